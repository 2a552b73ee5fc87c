//! A queue's messages, held while an operator looks at them.
//!
//! SQS has no way to look without receiving: whoever looks hides the messages from others for a
//! while and raises their receive counts by one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message as SdkMessage, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName,
};
use aws_smithy_types::Blob;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::attribute::{Attribute, Attributes};
use domain::dead_letter::{Outgoing, group_of, redrive_order};
use domain::message::{Message, Origin, Received};
use domain::quota;
use domain::time::Timestamp;

use crate::interrupt::{Interrupted, interrupted};
use crate::letter::{DeadLetter, Letter};
use crate::scratch::Scratch;
use crate::{progress, sdk};

/// Messages that can be received in a second at the very least: with many, they are hidden longer, so
/// that the first do not show again before the last have been received.
const RECEIVED_PER_SECOND_MIN: u32 = 50;

/// Messages in flight on a FIFO queue; at the limit a receive returns nothing.
/// Source: SQS guide, "FIFO queue quotas".
const IN_FLIGHT_MAX: u32 = 120_000;

/// Messages of a group that can be in flight together while it is only looked at: a receive's worth.
/// Source: SQS API reference, `ReceiveMessage`.
const SHOWN_OF_A_GROUP: u32 = 10;

/// How long a receive waits for more, in seconds: long enough that SQS asks all its servers.
const WAIT_SECONDS: i32 = 1;

/// What is remembered of each message: its last receive, and where it stands among the chosen. Only
/// those have a letter.
const TABLES: &str = "
    CREATE TABLE held (
        number INTEGER PRIMARY KEY,
        message_id TEXT NOT NULL UNIQUE,
        handle TEXT NOT NULL,
        event_id TEXT,
        group_name TEXT,
        place TEXT,
        letter TEXT
    );
    CREATE INDEX held_by_group ON held (group_name, place, number) WHERE letter IS NOT NULL;
    CREATE TABLE received (message_group TEXT PRIMARY KEY, messages INTEGER) WITHOUT ROWID;
    CREATE TABLE not_chosen (group_name TEXT, place TEXT, event_id TEXT);
    CREATE INDEX not_chosen_by_group ON not_chosen (group_name, place);";

/// How many messages a queue has, by SQS's approximate counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that a receive would give.
    pub(crate) shown: u64,
    /// Those that somebody has received.
    pub(crate) hidden: u64,
}

impl Counts {
    /// Asks a queue.
    pub(crate) async fn of(client: &Client, queue_url: &str) -> anyhow::Result<Self> {
        let [shown, hidden] = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let asked = client.get_queue_attributes().queue_url(queue_url);
        let asked = asked.attribute_names(shown.clone()).attribute_names(hidden.clone());
        let asked = asked.send().await.map_err(|error| failed("looking at", queue_url, error))?;
        let told = asked.attributes.unwrap_or_default();
        let count = |name: &QueueAttributeName| {
            let count = told.get(name).and_then(|count| count.parse().ok());
            count.with_context(|| format!("{queue_url} tells no {}", name.as_str()))
        };
        Ok(Self { shown: count(&shown)?, hidden: count(&hidden)? })
    }

    pub(crate) fn all(self) -> u64 {
        self.shown + self.hidden
    }
}

/// How long messages are kept from others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hiding {
    /// How long they are hidden at a time, in seconds; renewed while it goes on, so that they show
    /// again soon if this program is killed.
    pub(crate) seconds: u32,
    /// How long they can be held at all, in seconds: SQS counts from the receive.
    pub(crate) most_seconds: u32,
}

impl Default for Hiding {
    fn default() -> Self {
        Self { seconds: 120, most_seconds: quota::VISIBILITY_CHANGE_SECONDS_MAX }
    }
}

impl Hiding {
    /// The same where a queue shows so many.
    fn for_many(self, shown: u64) -> Self {
        let many = u32::try_from(shown).unwrap_or(u32::MAX).min(IN_FLIGHT_MAX);
        let seconds = self.seconds + many / RECEIVED_PER_SECOND_MIN;
        Self { seconds: seconds.min(self.most_seconds), ..self }
    }

    /// Whether what was hidden so long ago is to be hidden anew: the half of the time is left for that.
    fn is_due(self, hidden: Duration) -> bool {
        hidden >= Duration::from_secs(self.seconds.into()) / 2
    }

    /// Whether what was received so long ago cannot be hidden for as long again.
    fn is_over(self, received: Duration) -> bool {
        let held = received + Duration::from_secs(self.seconds.into());
        held > Duration::from_secs(self.most_seconds.into())
    }
}

/// Whether what was held is still held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    All,
    /// SQS has shown some to others: the time was over, or somebody deleted them.
    InPart,
}

/// How much of a queue was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) seen: u64,
    pub(crate) all: u64,
}

impl Looked {
    /// How many were not seen.
    pub(crate) fn unseen(self) -> u64 {
        self.all.saturating_sub(self.seen)
    }

    /// What was not seen, if there was something, and why; for people.
    pub(crate) fn text(self) -> Option<String> {
        let Self { seen, all } = self;
        (self.unseen() > 0).then(|| {
            format!(
                "looked at {seen} of about {all} dead letters: {} are hidden, as somebody else looks at \
                 them (should that command have been killed, for two minutes, and longer if there are \
                 thousands), or as they stand behind ten of their group",
                self.unseen()
            )
        })
    }
}

/// A queue and the messages that were received from it. Those that were chosen lie in a temporary
/// database, with the receipts of all, so that the memory needed depends neither on their size nor on
/// their number.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    client: &'a Client,
    queue_url: &'a str,
    hold: Hiding,
    /// Since when at least, for those that were received first.
    received_since: Instant,
    /// Since when at least, for those whose time was renewed first.
    hidden_since: Instant,
    /// How many were received.
    seen: u64,
    /// How many the queue had before.
    before: Counts,
    scratch: Scratch,
}

/// Dead letters of a group that were not chosen although a later one of it was.
#[derive(Debug)]
pub(crate) struct PassedOver {
    pub(crate) group: String,
    pub(crate) count: u64,
    /// Those of the oldest.
    pub(crate) event_ids: Vec<String>,
}

/// A chosen message, by its place in the order of its group.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    number: i64,
    pub(crate) message_id: String,
    pub(crate) event_id: String,
    pub(crate) group: String,
    place: String,
}

impl<'a> Held<'a> {
    /// Receives all that the queue shows, and keeps what `choose` says. The others are shown again.
    pub(crate) async fn receive(
        client: &'a Client,
        queue_url: &'a str,
        choose: impl FnMut(&DeadLetter) -> bool,
    ) -> anyhow::Result<Self> {
        Self::receive_for(client, queue_url, Hiding::default(), choose).await
    }

    /// The same, hidden for another time than usual.
    pub(crate) async fn receive_for(
        client: &'a Client,
        queue_url: &'a str,
        time: Hiding,
        mut choose: impl FnMut(&DeadLetter) -> bool,
    ) -> anyhow::Result<Self> {
        let before = Counts::of(client, queue_url).await?;
        let mut held = Self {
            client,
            queue_url,
            hold: time.for_many(before.shown),
            received_since: Instant::now(),
            hidden_since: Instant::now(),
            seen: 0,
            before,
            scratch: Scratch::with(TABLES)?,
        };
        let progress = progress::bar(before.shown, "looked at");
        loop {
            let batch = tokio::select! {
                biased;
                () = interrupted() => None,
                batch = held.next() => Some(batch),
            };
            let Some(batch) = batch else {
                progress.finish_and_clear();
                held.release().await?;
                return Err(Interrupted::error());
            };
            let batch = batch?;
            if batch.is_empty() {
                progress.finish_and_clear();
                held.show_again("letter IS NULL").await?;
                return Ok(held);
            }
            progress.inc(batch.len() as u64);
            let seen_before = held.seen;
            for message in batch {
                held.add(&parse(message)?, &mut choose)?;
            }
            if held.seen == seen_before {
                // What was received first shows again: nothing new is to come.
                progress.finish_and_clear();
                held.show_again("letter IS NULL").await?;
                return Ok(held);
            }
        }
    }

    async fn next(&self) -> anyhow::Result<Vec<SdkMessage>> {
        let received = self
            .client
            .receive_message()
            .queue_url(self.queue_url)
            .max_number_of_messages(10)
            .visibility_timeout(seconds(self.hold.seconds))
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| failed("receiving from", self.queue_url, error))?;
        Ok(received.messages.unwrap_or_default())
    }

    fn add(
        &mut self,
        letter: &DeadLetter,
        mut choose: impl FnMut(&DeadLetter) -> bool,
    ) -> anyhow::Result<()> {
        let Received { message_id, receipt_handle, group_id, .. } = &*letter.message;
        // One that showed again meanwhile was looked at, and has another receipt.
        let renew = "UPDATE held SET handle = ?2 WHERE message_id = ?1";
        if self.scratch.change(renew, [message_id, receipt_handle])? > 0 {
            return Ok(());
        }
        self.seen += 1;
        let count = "INSERT INTO received VALUES (?1, 1)
                     ON CONFLICT DO UPDATE SET messages = messages + 1";
        self.scratch.change(count, [group_id])?;
        if choose(letter) {
            let json = serde_json::to_string(&Letter::from(letter))?;
            let (event_id, group) = (letter.event_id(), group_of(letter));
            self.scratch.change(
                "INSERT INTO held
                 (message_id, handle, event_id, group_name, place, letter)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                [message_id, receipt_handle, event_id, &group, &redrive_order(letter), &json],
            )?;
        } else {
            let insert = "INSERT INTO held (message_id, handle) VALUES (?1, ?2)";
            self.scratch.change(insert, [message_id, receipt_handle])?;
            let insert = "INSERT INTO not_chosen VALUES (?1, ?2, ?3)";
            let (group, place) = (group_of(letter), redrive_order(letter));
            self.scratch.change(insert, [&*group, &*place, letter.event_id()])?;
        }
        Ok(())
    }

    /// What of all that there was before has been looked at.
    pub(crate) fn looked(&self) -> Looked {
        Looked { seen: self.seen, all: self.before.all().max(self.seen) }
    }

    /// Whether what was not seen can only stand behind what was: SQS shows ten of a group at a time, chosen
    /// or not, and what it moved itself stands in the groups of the webhook queue.
    pub(crate) fn rest_is_behind(&self) -> anyhow::Result<bool> {
        let full = self.scratch.first(
            "SELECT 1 FROM received WHERE messages >= ?1 LIMIT 1",
            [SHOWN_OF_A_GROUP],
            |_row| Ok(()),
        )?;
        Ok(full.is_some() || self.seen >= u64::from(IN_FLIGHT_MAX))
    }

    /// Chooses no event but these.
    pub(crate) fn keep_only(&self, event_ids: &BTreeSet<String>) -> anyhow::Result<()> {
        let chosen = "SELECT DISTINCT event_id FROM held WHERE letter IS NOT NULL";
        let mut others = Vec::new();
        self.scratch.each(
            chosen,
            [],
            |row| row.get::<_, String>(0),
            |event_id| {
                others.extend(Some(event_id).filter(|it| !event_ids.contains(it)));
                Ok(())
            },
        )?;
        for event_id in others {
            let insert = "INSERT INTO not_chosen SELECT group_name, place, event_id FROM held
                          WHERE event_id = ?1 AND letter IS NOT NULL";
            self.scratch.change(insert, [&event_id])?;
            self.scratch.change("UPDATE held SET letter = NULL WHERE event_id = ?1", [event_id])?;
        }
        Ok(())
    }

    /// How many are chosen, and of how many groups.
    pub(crate) fn chosen(&self) -> anyhow::Result<(u64, u64)> {
        let counted = self.scratch.first(
            "SELECT count(*), count(DISTINCT group_name) FROM held WHERE letter IS NOT NULL",
            [],
            |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs())),
        )?;
        counted.context("counting")
    }

    /// The chosen message after `last`: group by group, each in the order of the webhook queue.
    pub(crate) fn after(&self, last: Option<&Chosen>) -> anyhow::Result<Option<Chosen>> {
        let (group, place, number) =
            last.map_or(("", "", 0), |last| (&*last.group, &*last.place, last.number));
        self.scratch.first(
            "SELECT number, message_id, event_id, group_name, place FROM held
             WHERE letter IS NOT NULL AND (group_name, place, number) > (?1, ?2, ?3)
             ORDER BY group_name, place, number LIMIT 1",
            (group, place, number),
            read_chosen,
        )
    }

    /// The first chosen message of the group after `group`.
    pub(crate) fn after_group(&self, group: &str) -> anyhow::Result<Option<Chosen>> {
        self.scratch.first(
            "SELECT number, message_id, event_id, group_name, place FROM held
             WHERE letter IS NOT NULL AND group_name > ?1
             ORDER BY group_name, place, number LIMIT 1",
            [group],
            read_chosen,
        )
    }

    /// Shows `see` each group of what was chosen: its name, how many, and when its first one died.
    pub(crate) fn each_group(
        &self,
        mut see: impl FnMut(&str, u64, Timestamp) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.scratch.each(
            "SELECT group_name, count(*), min(letter ->> '$.sent_at_ms') FROM held
             WHERE letter IS NOT NULL GROUP BY group_name ORDER BY group_name",
            [],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
            |(group, count, dead_since_ms)| {
                let dead_since = Timestamp::from_ms(dead_since_ms.unsigned_abs());
                see(&group, count.unsigned_abs(), dead_since)
            },
        )
    }

    /// Shows `see` each group of whose dead letters some that were not chosen come before one that was,
    /// with as many of their events as `named` says.
    pub(crate) fn each_passed_over(
        &self,
        named: u32,
        mut see: impl FnMut(PassedOver) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.scratch.each(
            "SELECT o.group_name, c.last, count(*) FROM not_chosen o JOIN
                 (SELECT group_name, max(place) AS last FROM held
                  WHERE letter IS NOT NULL GROUP BY group_name) c
             ON c.group_name = o.group_name AND o.place < c.last
             GROUP BY o.group_name ORDER BY o.group_name",
            [],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)),
            |(group, last, count)| {
                let event_ids = self.scratch.all(
                    "SELECT event_id FROM not_chosen WHERE group_name = ?1 AND place < ?2
                     ORDER BY place LIMIT ?3",
                    (&group, &last, named),
                    |row| row.get(0),
                )?;
                see(PassedOver { group, count: count.unsigned_abs(), event_ids })
            },
        )
    }

    /// A message that was chosen, as it was received.
    pub(crate) fn load(&self, message_id: &str) -> anyhow::Result<DeadLetter> {
        let find = "SELECT handle, letter FROM held WHERE message_id = ?1";
        let found: Option<(String, Option<String>)> =
            self.scratch.first(find, [message_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (receipt_handle, json) = found.context("the message is not held any more")?;
        let json = json.context("the message was not chosen")?;
        let letter: Letter = serde_json::from_str(&json).context("in a temporary database")?;
        letter.received_by(receipt_handle)
    }

    /// Whether they have been held for as long as SQS allows: whoever goes on has to look again.
    pub(crate) fn is_over(&self) -> bool {
        self.hold.is_over(self.received_since.elapsed())
    }

    /// Makes sure that all that is held stays hidden while it is worked on: a delete after the
    /// visibility timeout fails on a FIFO queue. What SQS does not hold any longer is let go.
    pub(crate) async fn keep(&mut self) -> anyhow::Result<Kept> {
        if !self.hold.is_due(self.hidden_since.elapsed()) {
            return Ok(Kept::All);
        }
        let now = Instant::now();
        let mut kept = Kept::All;
        let mut last = 0;
        loop {
            let batch = self.batch_after(last, "true")?;
            let Some(&(end, _)) = batch.last() else { break };
            for (number, _) in self.hide(&batch, self.hold.seconds, "holding").await? {
                self.scratch.change("DELETE FROM held WHERE number = ?1", [number])?;
                kept = Kept::InPart;
            }
            last = end;
        }
        self.hidden_since = now;
        Ok(kept)
    }

    /// Deletes a message that is held.
    pub(crate) async fn delete(&mut self, message_id: &str) -> anyhow::Result<()> {
        let find = "SELECT handle FROM held WHERE message_id = ?1";
        let handle: Option<String> = self.scratch.first(find, [message_id], |row| row.get(0))?;
        self.client
            .delete_message()
            .queue_url(self.queue_url)
            .receipt_handle(handle.context("the message is not held any more")?)
            .send()
            .await
            .map_err(|error| failed("deleting a message of", self.queue_url, error))?;
        self.scratch.change("DELETE FROM held WHERE message_id = ?1", [message_id])?;
        Ok(())
    }

    /// Shows all that is still held to others again. What fails shows itself when the time is over.
    pub(crate) async fn release(mut self) -> anyhow::Result<()> {
        self.show_again("true").await
    }

    /// Shows those again of which the SQL condition `which` is true.
    async fn show_again(&mut self, which: &str) -> anyhow::Result<()> {
        let count = format!("SELECT count(*) FROM held WHERE {which}");
        let count: Option<i64> = self.scratch.first(&count, [], |row| row.get(0))?;
        let progress = progress::bar(count.unwrap_or_default().unsigned_abs(), "shown again");
        let mut last = 0;
        loop {
            let batch = self.batch_after(last, which)?;
            let Some(&(end, _)) = batch.last() else { break };
            self.hide(&batch, 0, "releasing").await?;
            progress.inc(batch.len() as u64);
            last = end;
        }
        self.scratch.change(&format!("DELETE FROM held WHERE {which}"), [])?;
        progress.finish_and_clear();
        Ok(())
    }

    /// Numbers and receipt handles of a call's worth of messages after number `last`.
    /// Ten: SQS API reference, `ChangeMessageVisibilityBatch`.
    fn batch_after(&self, last: i64, which: &str) -> anyhow::Result<Vec<(i64, String)>> {
        let batch = format!(
            "SELECT number, handle FROM held WHERE number > ?1 AND {which} ORDER BY number LIMIT 10"
        );
        self.scratch.all(&batch, [last], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Hides a batch for so long from now. Gives those that SQS refused.
    async fn hide<'b>(
        &self,
        batch: &'b [(i64, String)],
        for_seconds: u32,
        what: &str,
    ) -> anyhow::Result<Vec<&'b (i64, String)>> {
        let entries: Result<Vec<_>, _> = batch
            .iter()
            .enumerate()
            .map(|(position, (_, handle))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(handle)
                    .visibility_timeout(seconds(for_seconds))
                    .build()
            })
            .collect();
        let hidden = self
            .client
            .change_message_visibility_batch()
            .queue_url(self.queue_url)
            .set_entries(Some(entries?))
            .send()
            .await
            .map_err(|error| failed(&format!("{what} messages of"), self.queue_url, error))?;
        let refused = hidden.failed.iter().filter_map(|refused| refused.id.parse::<usize>().ok());
        Ok(refused.filter_map(|position| batch.get(position)).collect())
    }
}

fn read_chosen(row: &rusqlite::Row<'_>) -> rusqlite::Result<Chosen> {
    Ok(Chosen {
        number: row.get(0)?,
        message_id: row.get(1)?,
        event_id: row.get(2)?,
        group: row.get(3)?,
        place: row.get(4)?,
    })
}

fn seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Sends `copy` to a queue, and gives the message's id.
pub(crate) async fn send(
    client: &Client,
    queue_url: &str,
    copy: Outgoing,
) -> anyhow::Result<String> {
    let mut request = client
        .send_message()
        .queue_url(queue_url)
        .message_body(copy.body)
        .message_group_id(copy.group_id)
        .message_deduplication_id(copy.deduplication_id);
    for (name, attribute) in copy.attributes {
        request = request.message_attributes(name, sdk_attribute(attribute)?);
    }
    let sent = request.send().await.map_err(|error| failed("sending to", queue_url, error))?;
    sent.message_id.with_context(|| format!("{queue_url} took a message and gave it no id"))
}

fn failed(
    what: &str,
    queue_url: &str,
    error: impl std::error::Error + ProvideErrorMetadata + 'static,
) -> anyhow::Error {
    sdk::failed(&format!("{what} {queue_url}"), error)
}

/// An SDK message as a dead letter.
fn parse(message: SdkMessage) -> anyhow::Result<DeadLetter> {
    let (Some(message_id), Some(receipt_handle), Some(body)) =
        (message.message_id, message.receipt_handle, message.body)
    else {
        bail!("the queue handed out a message without id, receipt handle or body");
    };
    let mut system = message.attributes.unwrap_or_default();
    let mut number = |name: MessageSystemAttributeName| {
        system.remove(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
    };
    let receive_count = number(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = Timestamp::from_ms(number(MessageSystemAttributeName::SentTimestamp));
    let attributes: Attributes = message
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name, attribute(value)))
        .collect();
    let deduplication_id = system.remove(&MessageSystemAttributeName::MessageDeduplicationId);
    let deduplication_id = deduplication_id.unwrap_or_else(|| message_id.clone());
    // What SQS moved by itself is still as the ingest sent it.
    let was_moved = system.contains_key(&MessageSystemAttributeName::DeadLetterQueueSourceArn);
    let origin = if was_moved { Origin::Ingest } else { Origin::Sender };
    let received = Received {
        message_id,
        receipt_handle,
        body,
        group_id: system.remove(&MessageSystemAttributeName::MessageGroupId).unwrap_or_default(),
        sequence_number: system
            .remove(&MessageSystemAttributeName::SequenceNumber)
            .unwrap_or_default(),
        receive_count: u32::try_from(receive_count).unwrap_or(u32::MAX),
        sent_at,
        attributes,
        trace_header: system.remove(&MessageSystemAttributeName::AwsTraceHeader),
    };
    let message = Message::parse(received, origin).context("the queue handed out no message")?;
    Ok(DeadLetter { message, deduplication_id })
}

fn attribute(value: MessageAttributeValue) -> Attribute {
    let text = match (value.string_value, value.binary_value) {
        (Some(text), _) => text,
        (None, Some(bytes)) => BASE64_STANDARD.encode(bytes),
        (None, None) => String::new(),
    };
    Attribute { data_type: value.data_type, value: text }
}

fn sdk_attribute(attribute: Attribute) -> anyhow::Result<MessageAttributeValue> {
    let builder = MessageAttributeValue::builder().data_type(&attribute.data_type);
    let builder = if attribute.is_binary() {
        builder.binary_value(Blob::new(BASE64_STANDARD.decode(&attribute.value)?))
    } else {
        builder.string_value(attribute.value)
    };
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDING: Hiding = Hiding { seconds: 120, most_seconds: 43_200 };

    #[test]
    fn many_are_hidden_longer_and_never_longer_than_sqs_allows() {
        let seconds = |shown| HIDING.for_many(shown).seconds;
        assert_eq!([seconds(0), seconds(49), seconds(1_000)], [120, 120, 140]);
        // More than that cannot be received.
        assert_eq!([seconds(120_000), seconds(u64::MAX)], [2_520, 2_520]);
        let short = Hiding { most_seconds: 130, ..HIDING }.for_many(1_000);
        assert_eq!((short.seconds, short.most_seconds), (130, 130));
    }

    #[test]
    fn what_is_held_is_hidden_anew_at_half_of_the_time_and_over_when_there_is_no_time_left() {
        let second = Duration::from_secs;
        assert!(!HIDING.is_due(second(59)) && HIDING.is_due(second(60)));
        let most = second(43_200 - 120);
        assert!(!HIDING.is_over(most) && HIDING.is_over(most + second(1)));
    }

    #[test]
    fn what_was_not_seen_is_said_and_nothing_if_all_was() {
        let text = Looked { seen: 3, all: 5 }.text().unwrap();
        assert!(text.starts_with("looked at 3 of about 5 dead letters: 2 are hidden"), "{text}");
        assert_eq!(Looked { seen: 5, all: 5 }.text(), None);
    }

    fn client() -> Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new("us-east-1"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Client::from_conf(config.build())
    }

    fn held(client: &Client) -> Held<'_> {
        Held {
            client,
            queue_url: "",
            hold: HIDING,
            received_since: Instant::now(),
            hidden_since: Instant::now(),
            seen: 0,
            before: Counts::default(),
            scratch: Scratch::with(TABLES).unwrap(),
        }
    }

    fn letter(group: &str, id: &str, handle: &str) -> DeadLetter {
        let letter = serde_json::json!({
            "event_id": id, "message_id": id, "group_id": group, "sequence_number": "1",
            "receive_count": 1, "sent_at_ms": 0, "attributes": {}, "body": "{}",
        });
        serde_json::from_value::<Letter>(letter).unwrap().received_by(handle.to_owned()).unwrap()
    }

    #[test]
    fn one_that_shows_again_is_the_same_with_another_receipt() {
        let client = client();
        let mut held = held(&client);
        for handle in ["first", "second"] {
            held.add(&letter("a", "a-1", handle), |_| true).unwrap();
        }
        assert_eq!((held.seen, held.chosen().unwrap()), (1, (1, 1)));
        assert_eq!(held.load("a-1").unwrap().receipt_handle, "second");
    }

    #[test]
    fn behind_ten_of_a_group_are_the_others_whether_the_ten_were_chosen_or_not() {
        let client = client();
        let mut held = held(&client);
        for number in 0..SHOWN_OF_A_GROUP - 1 {
            held.add(&letter("a", &format!("a-{number}"), ""), |_| false).unwrap();
        }
        held.add(&letter("b", "b-1", ""), |_| true).unwrap();
        assert!(!held.rest_is_behind().unwrap());
        held.add(&letter("a", "a-last", ""), |_| true).unwrap();
        assert!(held.rest_is_behind().unwrap());
    }
}
