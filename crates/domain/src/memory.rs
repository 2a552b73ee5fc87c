//! What a process remembers of messages that are still in the queue: which destinations need not be
//! called again, how many receives were no attempts, and how many were.
//!
//! It goes by the message, not by the event: an event that was edited, or that its provider sent once
//! more, is another message, and reaches every destination. In memory only: after a restart the
//! receiver recognises a repeat by `webhook-id`.

use std::collections::BTreeMap;

use crate::breaker::Standing;
use crate::message::Message;
use crate::outcome::{Answer, Attempt, Verdict};
use crate::route::{Destination, OnReject, Route};

/// Messages that are remembered at most; the one not heard of for longest is forgotten.
pub const MESSAGES_MAX: usize = 10_000;

/// How it ended at a destination that need not be called again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    Accepted,
    Rejected(Answer),
}

/// The messages that a process has something to remember of.
#[derive(Debug, Default)]
pub struct Memory {
    messages: BTreeMap<String, Remembered>,
    /// By when they were last heard of.
    order: BTreeMap<u64, String>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Remembered {
    heard: u64,
    unattempted: u32,
    attempts: u32,
    ended: Vec<(String, Ended)>,
}

impl Memory {
    /// What stands for an attempt where `destination` need not be called for `message`: it has it
    /// already, by what is remembered or by the mark of a redriven dead letter, or will not take it.
    #[must_use]
    pub fn attempt_before(&self, message: &Message, destination: &str) -> Option<Attempt> {
        match self.ended(message, destination) {
            Some(Ended::Rejected(answer)) => Some(Attempt::RejectedBefore(answer.clone())),
            Some(Ended::Accepted) => Some(Attempt::AcceptedBefore),
            None => {
                let has_it = message.delivered_to().any(|name| name == destination);
                has_it.then_some(Attempt::AcceptedBefore)
            }
        }
    }

    /// Those of the destinations of `message`, by its route, that have it.
    #[must_use]
    pub fn delivered_to(&self, message: &Message, route: Option<&Route>) -> Vec<String> {
        let names = route.into_iter().flat_map(Route::destinations).map(Destination::name);
        let has_it = |name: &&str| {
            matches!(self.attempt_before(message, name), Some(Attempt::AcceptedBefore))
        };
        names.filter(has_it).map(str::to_owned).collect()
    }

    fn ended(&self, message: &Message, destination: &str) -> Option<&Ended> {
        let remembered = self.messages.get(&message.message_id)?;
        remembered.ended.iter().find(|(name, _)| name == destination).map(|(_, ended)| ended)
    }

    /// Remembers of an attempt at one of several destinations whether it need not be called again. One
    /// that blocks its group by a rejection is, as the service may be put right.
    pub fn remember(
        &mut self,
        message: &Message,
        route: &Route,
        destination: &Destination,
        attempt: &Attempt,
    ) {
        if route.destinations().len() == 1 {
            return;
        }
        let ended = match (route.verdict(attempt), attempt, route.on_reject) {
            (Verdict::Delivered, _, _) => Ended::Accepted,
            (Verdict::Rejected, Attempt::Answered(answer), OnReject::DeadLetter) => {
                Ended::Rejected(answer.clone())
            }
            _ => return,
        };
        self.end(message, destination.name(), ended);
    }

    fn end(&mut self, message: &Message, destination: &str, ended: Ended) {
        let remembered = self.hear(message);
        remembered.ended.retain(|(name, _)| name != destination);
        remembered.ended.push((destination.to_owned(), ended));
    }

    /// Remembers that this receive of `message` was an attempt, and that it stays.
    pub fn attempted(&mut self, message: &Message) {
        self.hear(message).attempts += 1;
    }

    /// How many attempts at `message` are remembered; others may have been made.
    #[must_use]
    pub fn attempts_made(&self, message: &Message) -> u32 {
        self.messages.get(&message.message_id).map_or(0, |it| it.attempts)
    }

    /// Remembers that no destination was called in this receive of `message`.
    pub fn put_back(&mut self, message: &Message) {
        self.hear(message).unattempted += 1;
    }

    /// Remembers of a message that stands behind another of its group in a batch that it was never
    /// attempted: nothing overtakes, so it was behind in every receive before, whichever process had it.
    pub fn stands_behind(&mut self, message: &Message) {
        let before = message.receive_count.saturating_sub(1);
        if before > 0 {
            self.hear(message).unattempted = before;
        }
    }

    /// How often `message` was received for an attempt, this time included, as far as is remembered;
    /// at least once.
    #[must_use]
    pub fn receives_for_attempts(&self, message: &Message) -> u32 {
        let unattempted = self.messages.get(&message.message_id).map_or(0, |it| it.unattempted);
        message.receive_count.saturating_sub(unattempted).max(1)
    }

    /// How far `message` has come. What this process put back and never attempted counts as never
    /// attempted, although another may have: an event that did nothing wrong would else wait with those
    /// that did, where processes take turns with it.
    #[must_use]
    pub fn standing(&self, message: &Message) -> Standing {
        match self.messages.get(&message.message_id) {
            _ if message.receive_count <= 1 => Standing::New,
            Some(known) if known.attempts == 0 => Standing::PutBack,
            _ => Standing::Tried,
        }
    }

    /// Forgets a message that leaves the queue.
    pub fn forget(&mut self, message: &Message) {
        if let Some(remembered) = self.messages.remove(&message.message_id) {
            self.order.remove(&remembered.heard);
        }
    }

    fn hear(&mut self, message: &Message) -> &mut Remembered {
        self.clock += 1;
        let id = &message.message_id;
        if let Some(known) = self.messages.get(id) {
            self.order.remove(&known.heard);
        } else if self.messages.len() == MESSAGES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.messages.remove(&oldest);
        }
        self.order.insert(self.clock, id.clone());
        let remembered = self.messages.entry(id.clone()).or_default();
        remembered.heard = self.clock;
        remembered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::config::Config;
    use crate::message::tests::{changed, message, sent, with};
    use crate::outcome::TransportError;

    fn received(n: u32, count: u32) -> Message {
        changed(n, "g", |received| received.receive_count = count)
    }

    fn config(destinations: &[&str], on_reject: &str) -> Config {
        let destination = |name| json!({ "name": name, "url": "https://sss.example.com/" });
        let destinations: Vec<_> = destinations.iter().map(destination).collect();
        let file = json!({ "environment": "test", "routes": { "sss": {
            "path": "/a", "ordering_key": "g", "on_reject": on_reject, "destinations": destinations,
        } } });
        Config::parse(&file.to_string()).unwrap()
    }

    fn rejected() -> Ended {
        Ended::Rejected(Answer { status: 422, ..Answer::default() })
    }

    #[test]
    fn a_destination_is_remembered_until_the_message_is_gone() {
        let mut memory = Memory::default();
        memory.end(&message(1, "g"), "first", Ended::Accepted);
        memory.end(&message(1, "g"), "second", rejected());
        assert_eq!(memory.ended(&message(1, "g"), "first"), Some(&Ended::Accepted));
        assert_eq!(memory.ended(&message(1, "g"), "second"), Some(&rejected()));
        assert_eq!(memory.ended(&message(1, "g"), "third"), None);
        assert_eq!(memory.ended(&message(2, "g"), "first"), None);
        memory.forget(&message(1, "g"));
        assert_eq!(memory.ended(&message(1, "g"), "first"), None);
        assert_eq!((memory.messages.len(), memory.order.len()), (0, 0));
    }

    #[test]
    fn who_has_a_message_is_not_called_again_and_stands_in_its_dead_letter() {
        let config = config(&["a", "b", "c"], "dead_letter");
        let route = &config.routes()["sss"];
        let redriven = sent(with(message(1, "g"), "delivered_to", "a,gone"));
        let mut memory = Memory::default();
        assert_eq!(memory.attempt_before(&redriven, "a"), Some(Attempt::AcceptedBefore));
        assert_eq!(memory.attempt_before(&redriven, "b"), None);
        assert_eq!(memory.delivered_to(&redriven, Some(route)), ["a"]);
        memory.end(&redriven, "b", rejected());
        memory.end(&redriven, "c", Ended::Accepted);
        let answer = Answer { status: 422, ..Answer::default() };
        assert_eq!(memory.attempt_before(&redriven, "b"), Some(Attempt::RejectedBefore(answer)));
        assert_eq!(memory.attempt_before(&redriven, "c"), Some(Attempt::AcceptedBefore));
        assert_eq!(memory.delivered_to(&redriven, Some(route)), ["a", "c"]);
        assert_eq!(memory.delivered_to(&redriven, None), [""; 0]);
    }

    #[test]
    fn an_attempt_is_remembered_if_it_was_the_last_at_one_of_several() {
        let told = |names: &[&str], on_reject, status: Option<u16>| {
            let config = config(names, on_reject);
            let route = &config.routes()["sss"];
            let answer = |status| Attempt::Answered(Answer { status, ..Answer::default() });
            let attempt = status.map_or(Attempt::Failed(TransportError::Timeout), answer);
            let mut memory = Memory::default();
            memory.remember(&message(1, "g"), route, &route.destinations()[0], &attempt);
            memory.ended(&message(1, "g"), "a").cloned()
        };
        assert_eq!(told(&["a", "b"], "dead_letter", Some(200)), Some(Ended::Accepted));
        assert_eq!(told(&["a", "b"], "block", Some(200)), Some(Ended::Accepted));
        assert_eq!(told(&["a", "b"], "dead_letter", Some(422)), Some(rejected()));
        assert_eq!(told(&["a", "b"], "block", Some(422)), None);
        assert_eq!(told(&["a", "b"], "dead_letter", Some(503)), None);
        assert_eq!(told(&["a", "b"], "dead_letter", None), None);
        assert_eq!(told(&["a"], "dead_letter", Some(200)), None);
    }

    #[test]
    fn another_message_of_the_same_event_is_another() {
        let event = |n| with(message(n, "g"), "event_id", "evt-1");
        let mut memory = Memory::default();
        memory.end(&event(1), "first", Ended::Accepted);
        assert_eq!(memory.ended(&event(2), "first"), None);
    }

    #[test]
    fn receives_without_an_attempt_do_not_count() {
        let mut memory = Memory::default();
        assert_eq!(memory.standing(&received(1, 1)), Standing::New);
        assert_eq!(memory.standing(&received(1, 2)), Standing::Tried);
        memory.put_back(&received(1, 1));
        assert_eq!(memory.standing(&received(1, 2)), Standing::PutBack);
        memory.put_back(&received(1, 2));
        assert_eq!(memory.standing(&received(1, 3)), Standing::PutBack);
        assert_eq!(memory.receives_for_attempts(&received(1, 4)), 2);
        assert_eq!(memory.standing(&received(1, 4)), Standing::PutBack, "another's receive");
        memory.attempted(&received(1, 4));
        assert_eq!(memory.standing(&received(1, 5)), Standing::Tried);
        assert_eq!(memory.receives_for_attempts(&received(1, 0)), 1);
    }

    #[test]
    fn what_stands_behind_another_was_never_attempted_whoever_received_it() {
        let mut memory = Memory::default();
        memory.stands_behind(&received(1, 104));
        assert_eq!(memory.receives_for_attempts(&received(1, 104)), 1);
        assert_eq!(memory.standing(&received(1, 104)), Standing::PutBack);
        // Behind once more, and then it is the first.
        memory.put_back(&received(1, 104));
        memory.stands_behind(&received(1, 105));
        memory.put_back(&received(1, 105));
        assert_eq!(memory.receives_for_attempts(&received(1, 106)), 1);
        assert_eq!(memory.receives_for_attempts(&received(1, 107)), 2);
        memory.stands_behind(&received(2, 1));
        assert_eq!(memory.standing(&received(2, 1)), Standing::New);
        assert_eq!(memory.messages.len(), 1, "what came for the first time takes no room");
    }

    #[test]
    fn attempts_that_were_made_are_remembered() {
        let mut memory = Memory::default();
        assert_eq!(memory.attempts_made(&received(1, 1)), 0);
        memory.attempted(&received(1, 1));
        memory.put_back(&received(1, 2));
        memory.attempted(&received(1, 3));
        assert_eq!(memory.attempts_made(&received(1, 4)), 2);
        assert_eq!(memory.receives_for_attempts(&received(1, 4)), 3);
        memory.forget(&received(1, 4));
        assert_eq!(memory.attempts_made(&received(1, 4)), 0);
    }

    #[test]
    fn it_is_bounded_and_forgets_what_was_not_heard_of() {
        let mut memory = Memory::default();
        memory.end(&message(0, "g"), "first", Ended::Accepted);
        let most = u32::try_from(MESSAGES_MAX).unwrap();
        for n in 1..most {
            memory.put_back(&message(n, "g"));
        }
        memory.put_back(&message(0, "g"));
        memory.put_back(&message(most, "g"));
        assert_eq!(memory.messages.len(), MESSAGES_MAX);
        assert_eq!(memory.order.len(), MESSAGES_MAX);
        assert_eq!(memory.ended(&message(0, "g"), "first"), Some(&Ended::Accepted));
        assert!(!memory.messages.contains_key("m-1"));
    }
}
