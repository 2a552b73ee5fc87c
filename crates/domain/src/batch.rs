//! A batch of messages, group by group: the heads of groups are attempted side by side, the messages
//! of a group one after another, and nothing overtakes.
//!
//! Of a batch, every message ends as done or as kept. A kept one is reported as failed, with the time
//! after which the queue shows it again. A message in flight holds back those behind it, so a follower
//! that came back later than its head would miss the head's next receive and hold up its group; all
//! that is kept of a group gets the same time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::message::{Message, Received, sequence_order};
use crate::quota::VISIBILITY_CHANGE_SECONDS_MAX;

/// The messages of one group in a batch, in order; the head is the next to be attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    messages: VecDeque<Message>,
}

/// What became of a group's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Delivered, or safely in the dead-letter queue: it may be deleted and the group goes on.
    Done,
    /// Not done: it stays, and whatever follows it in the group stays behind it.
    Keep {
        /// When the queue shows them again.
        visible_in: Duration,
    },
}

/// A message that stays in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// To be reported as failed.
    pub message_id: String,
    /// To change the visibility timeout with.
    pub receipt_handle: String,
    /// The visibility timeout to set, in seconds.
    pub visibility_timeout_seconds: u32,
}

impl Kept {
    /// A message that the queue shows again after `visible_in`, rounded up to whole seconds.
    #[must_use]
    pub fn new(message_id: String, receipt_handle: String, visible_in: Duration) -> Self {
        let seconds = visible_in.as_millis().div_ceil(1_000);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        Self {
            message_id,
            receipt_handle,
            visibility_timeout_seconds: seconds.min(VISIBILITY_CHANGE_SECONDS_MAX),
        }
    }
}

/// Sorts a batch into its groups: groups in order of their first message, messages by sequence number.
#[must_use]
pub fn groups(messages: Vec<Message>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for message in messages {
        match groups.iter_mut().find(|group| group.is_of(&message)) {
            Some(group) => group.messages.push_back(message),
            None => groups.push(Group { messages: VecDeque::from([message]) }),
        }
    }
    for group in &mut groups {
        group.messages.make_contiguous().sort_by(|a, b| {
            sequence_order(&a.sequence_number).cmp(&sequence_order(&b.sequence_number))
        });
    }
    groups
}

impl Group {
    /// The message to attempt next.
    #[must_use]
    pub fn head(&self) -> Option<&Message> {
        self.messages.front()
    }

    /// All messages, the head first.
    pub fn all(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter()
    }

    /// The messages behind the head.
    pub fn followers(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().skip(1)
    }

    /// Takes note of what became of the head and returns what is kept by it: nothing, or the head
    /// and all that follows.
    pub fn step(&mut self, step: Step) -> Vec<Kept> {
        match step {
            Step::Done => {
                self.messages.pop_front();
                Vec::new()
            }
            Step::Keep { visible_in } => {
                let kept = |received: Received| {
                    Kept::new(received.message_id, received.receipt_handle, visible_in)
                };
                self.messages.drain(..).map(Message::into_received).map(kept).collect()
            }
        }
    }

    /// Whether its messages are of the message group `group_id`.
    #[must_use]
    pub fn is(&self, group_id: &str) -> bool {
        self.head().is_some_and(|head| head.group_id == group_id)
    }

    fn is_of(&self, message: &Message) -> bool {
        self.is(&message.group_id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::message::tests::message;

    #[test]
    fn a_failed_head_keeps_what_follows_it_for_as_long() {
        let mut groups =
            groups(vec![message(1, "order-7"), message(2, "order-8"), message(3, "order-7")]);
        let kept = groups[0].step(Step::Keep { visible_in: Duration::from_millis(3_200) });
        let kept: Vec<_> = kept
            .iter()
            .map(|kept| (kept.message_id.as_str(), kept.visibility_timeout_seconds))
            .collect();
        assert_eq!(kept, [("m-1", 4), ("m-3", 4)]);
        assert_eq!(groups[0].head(), None);
        assert_eq!(groups[0].all().count(), 0);
        assert_eq!(groups[1].all().map(|it| it.message_id.as_str()).collect::<Vec<_>>(), ["m-2"]);
        assert_eq!(groups[1].head().unwrap().message_id, "m-2");
    }

    #[test]
    fn a_long_wait_ends_before_sqs_s_twelve_hours() {
        let mut groups = groups(vec![message(1, "g")]);
        let kept = groups[0].step(Step::Keep { visible_in: Duration::from_hours(24) });
        assert_eq!(kept[0].visibility_timeout_seconds, VISIBILITY_CHANGE_SECONDS_MAX);
    }

    proptest! {
        /// Whatever the outcomes, every message is done or kept exactly once, the done ones of a
        /// group come first and in order, and all that is kept of a group waits equally long.
        #[test]
        fn nothing_overtakes_and_nothing_is_forgotten(
            mut order in Just((0_u32..10).collect::<Vec<_>>()).prop_shuffle(),
            group_of in prop::collection::vec(0_u32..4, 10),
            outcomes in prop::collection::vec(prop::option::weighted(0.3, 0_u64..500), 10),
            size in 0_usize..=10,
        ) {
            order.truncate(size);
            let batch = order.iter().map(|n| message(*n, &group_of[*n as usize].to_string())).collect();
            let mut seen = BTreeMap::new();
            for mut group in groups(batch) {
                let (mut last, mut waits) = (None, Vec::new());
                while let Some(head) = group.head().cloned() {
                    prop_assert!(last < Some(head.sequence_number.clone()));
                    last = Some(head.sequence_number.clone());
                    let index: usize = head.message_id[2..].parse().unwrap();
                    let followers: Vec<_> = group.followers().map(|m| m.message_id.clone()).collect();
                    let step = outcomes[index].map_or(Step::Done, |seconds| Step::Keep {
                        visible_in: Duration::from_secs(seconds),
                    });
                    let kept = group.step(step);
                    if step == Step::Done {
                        prop_assert!(kept.is_empty());
                        seen.insert(head.message_id.clone(), "done");
                    } else {
                        prop_assert_eq!(kept.len(), followers.len() + 1);
                        for kept in kept {
                            waits.push(kept.visibility_timeout_seconds);
                            prop_assert_eq!(seen.insert(kept.message_id, "kept"), None);
                        }
                    }
                }
                waits.dedup();
                prop_assert!(waits.len() <= 1);
            }
            prop_assert_eq!(seen.len(), size);
        }
    }
}
