//! A FIFO queue as SQS has it, with the lock that was recorded on AWS: of a group, what is visible and
//! stands before its first invisible message can be received.
//!
//! Sources: SQS guide, "FIFO queue delivery logic", and answers that another project recorded on AWS; see
//! `docs/sqs.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use domain::attribute::Attributes;
use domain::quota::{DEDUPLICATION_INTERVAL, VISIBILITY_TIMEOUT_SECONDS_MAX};

use crate::history::Micros;
use crate::random::Random;

const SECOND: Micros = 1_000_000;

/// A message that is sent.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) body: String,
    pub(super) group_id: String,
    pub(super) deduplication_id: String,
    pub(super) attributes: Attributes,
    /// Who sends.
    pub(super) sender: &'static str,
}

/// A message in the queue.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) message_id: String,
    pub(super) sequence: u64,
    pub(super) sending: Rc<Sending>,
    pub(super) sent_at: Micros,
    pub(super) receive_count: u32,
    received_at: Micros,
    visible_at: Micros,
    /// Of the last receive; none before the first.
    receipt: u64,
}

impl Stored {
    /// What stands for the last receive of this message.
    pub(super) fn receipt_handle(&self) -> String {
        format!("{}/{}", self.sequence, self.receipt)
    }
}

/// What SQS does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("ReceiptHandleIsInvalid")]
    Handle,
    #[error("MessageNotInflight")]
    NotInFlight,
}

/// How a queue is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) visibility_timeout: Micros,
    pub(super) max_receive_count: u32,
    /// Whether equal deduplication ids in different groups are two messages.
    pub(super) deduplicates_per_group: bool,
}

/// A queue.
#[derive(Debug)]
pub(super) struct Sqs {
    name: &'static str,
    settings: Settings,
    random: Random,
    messages: BTreeMap<u64, Stored>,
    groups: BTreeMap<String, BTreeSet<u64>>,
    deduplicated: BTreeMap<String, Micros>,
    last: u64,
}

impl Sqs {
    pub(super) fn new(name: &'static str, settings: Settings, random: Random) -> Self {
        let (messages, groups, deduplicated) = Default::default();
        Self { name, settings, random, messages, groups, deduplicated, last: 0 }
    }

    /// Puts a message at the end of its group, unless it is a repeat.
    pub(super) fn send(&mut self, now: Micros, sending: Sending) {
        let interval = Micros::try_from(DEDUPLICATION_INTERVAL.as_micros()).unwrap_or(Micros::MAX);
        self.deduplicated.retain(|_, until| *until > now);
        let mut key = sending.deduplication_id.clone();
        if self.settings.deduplicates_per_group {
            key = format!("{} {key}", sending.group_id);
        }
        if self.deduplicated.contains_key(&key) {
            return;
        }
        self.deduplicated.insert(key, now + interval);
        self.last += 1;
        let sequence = 18_000_000_000_000_000_000 + self.last * 256;
        self.groups.entry(sending.group_id.clone()).or_default().insert(sequence);
        let message_id = format!("{}-{}", self.name, self.last);
        let stored = Stored {
            message_id,
            sequence,
            sending: Rc::new(sending),
            sent_at: now,
            receive_count: 0,
            received_at: 0,
            visible_at: now,
            receipt: 0,
        };
        self.messages.insert(sequence, stored);
    }

    /// Receives at most `most` messages, and takes out what was received too often.
    pub(super) fn receive(&mut self, now: Micros, most: usize) -> (Vec<Stored>, Vec<Stored>) {
        let (mut received, mut buried) = (Vec::new(), Vec::new());
        let mut fronts: Vec<(Micros, Vec<u64>)> =
            self.groups.values().map(|group| self.front(group, now)).collect();
        fronts.retain(|(_, front)| !front.is_empty());
        // The group whose first message has been visible for longest comes first; nobody may rely on it.
        fronts.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        if self.random.below(4) == 0 {
            self.random.shuffle(&mut fronts);
        }
        // A receive asks some servers only, and may give less than there is.
        let most = if self.random.below(4) == 0 {
            1 + usize::try_from(self.random.below(most as u64)).unwrap_or_default()
        } else {
            most
        };
        for sequence in fronts.into_iter().flat_map(|(_, front)| front).take(most) {
            let Some(message) = self.messages.get_mut(&sequence) else { continue };
            if message.receive_count >= self.settings.max_receive_count {
                buried.extend(self.remove(sequence));
                continue;
            }
            message.receive_count += 1;
            message.received_at = now;
            message.visible_at = now + self.settings.visibility_timeout;
            message.receipt += 1;
            received.push(message.clone());
        }
        (received, buried)
    }

    /// Since when a group can be received, and what of it.
    fn front(&self, group: &BTreeSet<u64>, now: Micros) -> (Micros, Vec<u64>) {
        let messages = group.iter().filter_map(|sequence| self.messages.get(sequence));
        let front: Vec<&Stored> = messages.take_while(|it| it.visible_at <= now).collect();
        let since = front.first().map_or(now, |first| first.visible_at);
        (since, front.into_iter().map(|it| it.sequence).collect())
    }

    /// The message that a handle stands for, unless it was received again since.
    fn of(&mut self, handle: &str) -> Result<Option<&mut Stored>, Refused> {
        let (sequence, receipt) = handle.split_once('/').ok_or(Refused::Handle)?;
        let sequence: u64 = sequence.parse().map_err(|_| Refused::Handle)?;
        let Some(message) = self.messages.get_mut(&sequence) else { return Ok(None) };
        if message.receipt.to_string() != receipt {
            return Err(Refused::Handle);
        }
        Ok(Some(message))
    }

    /// Deletes a message that is in flight; one that is gone is no error.
    pub(super) fn delete(&mut self, now: Micros, handle: &str) -> Result<(), Refused> {
        let Some(message) = self.of(handle)? else { return Ok(()) };
        if message.visible_at <= now {
            return Err(Refused::Handle);
        }
        let sequence = message.sequence;
        self.remove(sequence);
        Ok(())
    }

    /// Sets how long a message stays in flight from now on.
    pub(super) fn change(
        &mut self,
        now: Micros,
        handle: &str,
        seconds: u32,
    ) -> Result<(), Refused> {
        let message = self.of(handle)?.ok_or(Refused::Handle)?;
        if message.visible_at <= now {
            return Err(Refused::NotInFlight);
        }
        let visible_at = now + Micros::from(seconds) * SECOND;
        let longest = Micros::from(VISIBILITY_TIMEOUT_SECONDS_MAX) * SECOND;
        if visible_at > message.received_at + longest {
            return Err(Refused::Handle);
        }
        message.visible_at = visible_at;
        Ok(())
    }

    /// Takes a message out, whoever has it.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Stored> {
        let message = self.messages.remove(&sequence)?;
        if let Some(group) = self.groups.get_mut(&message.sending.group_id) {
            group.remove(&sequence);
            if group.is_empty() {
                self.groups.remove(&message.sending.group_id);
            }
        }
        Some(message)
    }

    /// When something can be received next that cannot be now.
    pub(super) fn next_visible(&self, now: Micros) -> Option<Micros> {
        self.messages.values().map(|it| it.visible_at).filter(|at| *at > now).min()
    }

    /// All messages.
    pub(super) fn all(&self) -> impl Iterator<Item = &Stored> {
        self.messages.values()
    }

    /// The first message of each group that is in flight or waits for its next attempt.
    pub(super) fn hidden_heads(&self, now: Micros) -> Vec<&Stored> {
        let head = |group: &BTreeSet<u64>| self.messages.get(group.first()?);
        self.groups.values().filter_map(head).filter(|head| head.visible_at > now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max_receive_count: u32) -> Sqs {
        queue_that_deduplicates(false, max_receive_count)
    }

    fn queue_that_deduplicates(per_group: bool, max_receive_count: u32) -> Sqs {
        let settings = Settings {
            visibility_timeout: 30 * SECOND,
            max_receive_count,
            deduplicates_per_group: per_group,
        };
        Sqs::new("queue", settings, Random::new(4))
    }

    fn sent(queue: &mut Sqs, now: Micros, group: &str, id: &str) {
        queue.send(
            now,
            Sending {
                body: id.to_owned(),
                group_id: group.to_owned(),
                deduplication_id: id.to_owned(),
                attributes: Attributes::new(),
                sender: "ingest",
            },
        );
    }

    /// Receives until nothing more comes, as one receive may give less than there is.
    fn received(queue: &mut Sqs, now: Micros) -> Vec<Stored> {
        let mut all = Vec::new();
        loop {
            let (received, _) = queue.receive(now, 10);
            if received.is_empty() {
                return all;
            }
            all.extend(received);
        }
    }

    fn bodies(messages: &[Stored]) -> Vec<&str> {
        messages.iter().map(|it| it.sending.body.as_str()).collect()
    }

    /// As it was recorded on AWS.
    #[test]
    fn what_stands_before_the_first_invisible_one_is_received() {
        let mut queue = queue(1_000);
        for id in ["a", "b", "c"] {
            sent(&mut queue, 0, "g", id);
        }
        let first = received(&mut queue, 1);
        assert_eq!(bodies(&first), ["a", "b", "c"]);
        assert!(received(&mut queue, 2).is_empty());
        queue.change(2, &first[1].receipt_handle(), 0).unwrap();
        assert!(received(&mut queue, 3).is_empty(), "it is behind an invisible one");
        queue.change(3, &first[0].receipt_handle(), 0).unwrap();
        assert_eq!(bodies(&received(&mut queue, 4)), ["a", "b"]);
        assert_eq!(queue.delete(5, &first[0].receipt_handle()), Err(Refused::Handle));
        assert_eq!(queue.delete(5, &first[2].receipt_handle()), Ok(()));
        assert_eq!(queue.delete(6, &first[2].receipt_handle()), Ok(()), "it is gone");
    }

    #[test]
    fn a_repeat_within_five_minutes_is_none_and_a_late_delete_fails() {
        let mut queue = queue(1_000);
        sent(&mut queue, 0, "g", "a");
        sent(&mut queue, 299 * SECOND, "g", "a");
        assert_eq!(queue.all().count(), 1);
        sent(&mut queue, 300 * SECOND, "g", "a");
        assert_eq!(queue.all().count(), 2);
        let first = received(&mut queue, 301 * SECOND);
        assert_eq!(queue.next_visible(301 * SECOND), Some(331 * SECOND));
        assert_eq!(queue.delete(331 * SECOND, &first[0].receipt_handle()), Err(Refused::Handle));
        let change = queue.change(331 * SECOND, &first[0].receipt_handle(), 5);
        assert_eq!(change, Err(Refused::NotInFlight));
    }

    #[test]
    fn what_was_received_as_often_as_allowed_is_taken_out() {
        let mut queue = queue(2);
        sent(&mut queue, 0, "g", "a");
        for round in 0..2 {
            assert_eq!(received(&mut queue, round * 30 * SECOND).len(), 1);
        }
        let (received, buried) = queue.receive(90 * SECOND, 10);
        assert!(received.is_empty());
        assert_eq!((bodies(&buried), queue.all().count()), (vec!["a"], 0));
    }

    #[test]
    fn a_group_that_is_in_flight_holds_back_no_other() {
        let mut queue = queue(1_000);
        sent(&mut queue, 0, "g", "a");
        sent(&mut queue, 0, "g", "b");
        assert_eq!(received(&mut queue, 1).len(), 2);
        sent(&mut queue, 2, "g", "c");
        sent(&mut queue, 2, "h", "d");
        assert_eq!(bodies(&received(&mut queue, 3)), ["d"]);
        let heads = |queue: &Sqs, now| -> Vec<String> {
            queue.hidden_heads(now).iter().map(|it| it.sending.body.clone()).collect()
        };
        assert_eq!(heads(&queue, 4), ["a", "d"]);
        // "d" was received 2 µs later than "a".
        assert_eq!(heads(&queue, 1 + 30 * SECOND), ["d"]);
    }

    #[test]
    fn a_receive_gives_ten_at_most_and_counts_each_time() {
        let mut queue = queue(1_000);
        for number in 0..25 {
            sent(&mut queue, 0, "g", &number.to_string());
        }
        let mut times = 0;
        let mut all = Vec::new();
        while all.len() < 25 {
            let (received, _) = queue.receive(1, 10);
            assert!((1..=10).contains(&received.len()));
            // What was received before is in flight, and nothing behind it can be received.
            all.extend(received);
            assert!(queue.receive(1, 10).0.is_empty());
            for message in &all {
                queue.delete(1, &message.receipt_handle()).unwrap();
            }
            times += 1;
        }
        assert!(times >= 3 && all.iter().all(|it| it.receive_count == 1));
        sent(&mut queue, 2, "g", "last");
        for count in 1..4 {
            let again = received(&mut queue, Micros::from(count) * 30 * SECOND + 2);
            assert_eq!(again[0].receive_count, count);
        }
    }

    #[test]
    fn equal_ids_in_two_groups_are_two_messages_where_a_group_has_its_own() {
        for (per_group, messages) in [(false, 1), (true, 2)] {
            let mut queue = queue_that_deduplicates(per_group, 1_000);
            for group in ["g", "h", "g"] {
                sent(&mut queue, 0, group, "a");
            }
            assert_eq!(queue.all().count(), messages);
        }
    }

    #[test]
    fn a_visibility_timeout_ends_twelve_hours_after_the_receive_and_goes_with_the_last_handle() {
        let mut queue = queue(1_000);
        sent(&mut queue, 0, "g", "a");
        let first = received(&mut queue, 0).remove(0).receipt_handle();
        let most = VISIBILITY_TIMEOUT_SECONDS_MAX;
        assert_eq!(queue.change(SECOND, &first, most), Err(Refused::Handle));
        assert_eq!(queue.change(SECOND, &first, most - 1), Ok(()));
        assert_eq!(queue.next_visible(SECOND), Some(Micros::from(most) * SECOND));
        assert_eq!(queue.change(2 * SECOND, &first, 0), Ok(()));
        let second = received(&mut queue, 2 * SECOND).remove(0).receipt_handle();
        assert_eq!(queue.change(3 * SECOND, &first, 5), Err(Refused::Handle));
        assert_eq!(queue.delete(3 * SECOND, &first), Err(Refused::Handle));
        assert_eq!(queue.change(3 * SECOND, &second, 5), Ok(()));
        assert_eq!(queue.delete(4 * SECOND, &second), Ok(()));
        assert_eq!(queue.change(4 * SECOND, &second, 5), Err(Refused::Handle), "it is gone");
    }
}
