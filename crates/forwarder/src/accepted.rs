//! Which destinations have accepted an event that others have not: they are not called again while
//! it is retried. In memory only: after a restart the receiver recognises a repeat by `webhook-id`.

use std::collections::VecDeque;

/// Events that are remembered at most; the oldest is forgotten.
const EVENTS_MAX: usize = 1_000;

/// The destinations that have accepted events which are still in the queue.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Event {
    route: String,
    id: String,
    destinations: Vec<String>,
}

impl Event {
    fn is(&self, route: &str, event_id: &str) -> bool {
        self.id == event_id && self.route == route
    }
}

impl Accepted {
    /// Whether `destination` has the event.
    pub(crate) fn has(&self, route: &str, event_id: &str, destination: &str) -> bool {
        self.events
            .iter()
            .find(|event| event.is(route, event_id))
            .is_some_and(|event| event.destinations.iter().any(|name| name == destination))
    }

    /// Remembers that `destination` has the event.
    pub(crate) fn add(&mut self, route: &str, event_id: &str, destination: &str) {
        if self.has(route, event_id, destination) {
            return;
        }
        if let Some(event) = self.events.iter_mut().find(|event| event.is(route, event_id)) {
            event.destinations.push(destination.to_owned());
            return;
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            route: route.to_owned(),
            id: event_id.to_owned(),
            destinations: vec![destination.to_owned()],
        });
    }

    /// Forgets an event that has left the queue.
    pub(crate) fn forget(&mut self, route: &str, event_id: &str) {
        self.events.retain(|event| !event.is(route, event_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_until_the_event_is_gone() {
        let mut accepted = Accepted::default();
        accepted.add("sss", "e-1", "first");
        accepted.add("sss", "e-1", "second");
        assert!(accepted.has("sss", "e-1", "first") && accepted.has("sss", "e-1", "second"));
        assert!(!accepted.has("sss", "e-2", "first") && !accepted.has("other", "e-1", "first"));
        accepted.forget("sss", "e-1");
        assert!(!accepted.has("sss", "e-1", "first"));
    }

    #[test]
    fn is_bounded() {
        let mut accepted = Accepted::default();
        for n in 0..=EVENTS_MAX {
            accepted.add("sss", &format!("e-{n}"), "first");
        }
        assert!(!accepted.has("sss", "e-0", "first"));
        assert!(accepted.has("sss", "e-1", "first"));
    }
}
