//! A queue's messages, held while an operator looks at them.
//!
//! SQS has no way to look without receiving: whoever looks hides the messages from others for a
//! while and raises their receive counts by one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
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
use domain::dead_letter::Copy;
use domain::message::Message;
use domain::quota;
use domain::time::Timestamp;

use crate::letter::Letter;
use crate::{progress, sdk};

/// How long messages are hidden while they are looked at, in seconds; renewed while it goes on.
const HOLD_SECONDS: u32 = 120;

/// Messages that can be received in a second at the very least: with many, they are hidden longer, so
/// that the first do not show again before the last have been received.
const RECEIVED_PER_SECOND_MIN: u32 = 50;

/// Messages per call. Source: SQS API reference, `ReceiveMessage`.
const BATCH: usize = 10;

/// How long a receive waits for more, in seconds: long enough that SQS asks all its servers.
const WAIT_SECONDS: i32 = 1;

/// The person has had enough.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing was changed")]
pub(crate) struct Interrupted;

/// A queue and the messages that were received from it. Those that were chosen lie in a temporary
/// file, so that the memory needed does not depend on their size.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    client: &'a Client,
    queue_url: &'a str,
    hold_seconds: u32,
    /// Since when at least, for those that were hidden first.
    hidden_since: Instant,
    messages: BTreeMap<String, Receipt>,
    spool: BufWriter<File>,
    spool_bytes: u64,
}

/// One receive of a message.
#[derive(Debug)]
struct Receipt {
    handle: String,
    /// Where a chosen message begins in the spool, and its length, in bytes.
    place: Option<(u64, usize)>,
}

impl<'a> Held<'a> {
    /// Receives all that the queue shows, and keeps what `choose` says. The others are shown again.
    pub(crate) async fn receive(
        client: &'a Client,
        queue_url: &'a str,
        mut choose: impl FnMut(&Message) -> bool,
    ) -> anyhow::Result<Self> {
        let visible = visible(client, queue_url).await?;
        let spool = tempfile::tempfile().context("making a temporary file")?;
        let mut held = Self {
            client,
            queue_url,
            hold_seconds: (HOLD_SECONDS + visible / RECEIVED_PER_SECOND_MIN)
                .min(quota::VISIBILITY_CHANGE_SECONDS_MAX),
            hidden_since: Instant::now(),
            messages: BTreeMap::new(),
            spool: BufWriter::new(spool),
            spool_bytes: 0,
        };
        let progress = progress::bar(visible.into(), "looked at");
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let batch = tokio::select! {
                biased;
                _interrupted = interrupt.as_mut() => None,
                batch = held.next() => Some(batch),
            };
            let Some(batch) = batch else {
                progress.finish_and_clear();
                held.release().await?;
                return Err(Interrupted.into());
            };
            let batch = batch?;
            if batch.is_empty() {
                progress.finish_and_clear();
                held.show_again(|receipt| receipt.place.is_none()).await?;
                return Ok(held);
            }
            progress.inc(batch.len() as u64);
            for message in batch {
                let message = parse(message)?;
                let place =
                    if choose(&message) { Some(held.keep_in_spool(&message)?) } else { None };
                let receipt = Receipt { handle: message.receipt_handle, place };
                held.messages.insert(message.message_id, receipt);
            }
        }
    }

    async fn next(&self) -> anyhow::Result<Vec<SdkMessage>> {
        let received = self
            .client
            .receive_message()
            .queue_url(self.queue_url)
            .max_number_of_messages(10)
            .visibility_timeout(seconds(self.hold_seconds))
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| failed("receiving from", self.queue_url, error))?;
        Ok(received.messages.unwrap_or_default())
    }

    fn keep_in_spool(&mut self, message: &Message) -> anyhow::Result<(u64, usize)> {
        let json = serde_json::to_vec(&Letter::from(message))?;
        self.spool.write_all(&json).context("writing to a temporary file")?;
        let place = (self.spool_bytes, json.len());
        self.spool_bytes += json.len() as u64;
        Ok(place)
    }

    /// A message that was chosen, as it was received.
    pub(crate) fn load(&mut self, message_id: &str) -> anyhow::Result<Message> {
        let receipt = self.messages.get(message_id).context("the message is not held any more")?;
        let (start, bytes) = receipt.place.context("the message was not chosen")?;
        let receipt_handle = receipt.handle.clone();
        self.spool.flush().context("writing to a temporary file")?;
        let mut json = vec![0; bytes];
        self.spool.get_ref().read_exact_at(&mut json, start).context("reading a temporary file")?;
        let letter: Letter = serde_json::from_slice(&json).context("in a temporary file")?;
        Ok(Message { receipt_handle, ..Message::from(letter) })
    }

    /// Makes sure that all that is held stays hidden while it is worked on: a delete after the
    /// visibility timeout fails on a FIFO queue. What SQS does not hold any longer is let go.
    pub(crate) async fn keep(&mut self) -> anyhow::Result<()> {
        if self.hidden_since.elapsed() < Duration::from_secs(self.hold_seconds.into()) / 2 {
            return Ok(());
        }
        let now = Instant::now();
        let mut lost = Vec::new();
        let held: Vec<(&String, &Receipt)> = self.messages.iter().collect();
        for batch in held.chunks(BATCH) {
            let handles = batch.iter().map(|(_, receipt)| receipt.handle.as_str());
            let refused = self.hide(handles, self.hold_seconds, "holding").await?;
            lost.extend(refused.into_iter().filter_map(|at| Some(batch.get(at)?.0.clone())));
        }
        for message_id in lost {
            self.messages.remove(&message_id);
        }
        self.hidden_since = now;
        Ok(())
    }

    /// Deletes a message that is held.
    pub(crate) async fn delete(&mut self, message_id: &str) -> anyhow::Result<()> {
        let receipt = self.messages.get(message_id).context("the message is not held any more")?;
        self.client
            .delete_message()
            .queue_url(self.queue_url)
            .receipt_handle(&receipt.handle)
            .send()
            .await
            .map_err(|error| failed("deleting a message of", self.queue_url, error))?;
        self.messages.remove(message_id);
        Ok(())
    }

    /// Shows all that is still held to others again. What fails shows itself when the time is over.
    pub(crate) async fn release(mut self) -> anyhow::Result<()> {
        self.show_again(|_| true).await
    }

    async fn show_again(&mut self, which: impl Fn(&Receipt) -> bool) -> anyhow::Result<()> {
        let released: Vec<Receipt> =
            self.messages.extract_if(.., |_, receipt| which(receipt)).map(|(_, it)| it).collect();
        let progress = progress::bar(released.len() as u64, "shown again");
        for batch in released.chunks(BATCH) {
            let handles = batch.iter().map(|receipt| receipt.handle.as_str());
            self.hide(handles, 0, "releasing").await?;
            progress.inc(batch.len() as u64);
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// Hides a batch for so long from now. Gives the positions of those that SQS refused.
    async fn hide(
        &self,
        handles: impl Iterator<Item = &str>,
        for_seconds: u32,
        what: &str,
    ) -> anyhow::Result<Vec<usize>> {
        let entries: Result<Vec<_>, _> = handles
            .enumerate()
            .map(|(position, handle)| {
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
        Ok(hidden.failed.iter().filter_map(|refused| refused.id.parse().ok()).collect())
    }
}

/// How many messages the queue shows, by SQS's approximate count.
async fn visible(client: &Client, queue_url: &str) -> anyhow::Result<u32> {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let asked = client.get_queue_attributes().queue_url(queue_url).attribute_names(name.clone());
    let asked = asked.send().await.map_err(|error| failed("looking at", queue_url, error))?;
    let count = asked.attributes.and_then(|attributes| attributes.get(&name)?.parse().ok());
    count.with_context(|| format!("{queue_url} does not tell how many messages it has"))
}

fn seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Sends `copy` to a queue.
pub(crate) async fn send(client: &Client, queue_url: &str, copy: Copy) -> anyhow::Result<()> {
    let mut request = client
        .send_message()
        .queue_url(queue_url)
        .message_body(copy.body)
        .message_group_id(copy.group_id)
        .message_deduplication_id(copy.deduplication_id);
    for (name, attribute) in copy.attributes {
        request = request.message_attributes(name, sdk_attribute(attribute)?);
    }
    request.send().await.map_err(|error| failed("sending to", queue_url, error))?;
    Ok(())
}

fn failed(
    what: &str,
    queue_url: &str,
    error: impl std::error::Error + ProvideErrorMetadata + 'static,
) -> anyhow::Error {
    sdk::failed(&format!("{what} {queue_url}"), error)
}

/// An SDK message as the domain knows it.
fn parse(message: SdkMessage) -> anyhow::Result<Message> {
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
    Ok(Message {
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
    })
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
