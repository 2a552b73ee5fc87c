//! The loss meter: is every event that was accepted delivered, a dead letter, dropped by an operator,
//! or still queued? What is none of these is missing.
//!
//! `missing = accepted − delivered − dead letters − dropped − queued + copies`, by route.
//!
//! The sides come from different places. `accepted` is counted with the send, in its transaction.
//! `queued` and `dead letters` are rows. `delivered` is counted when the event source mapping deletes
//! what the forwarder reported as done, unless the dead-letter queue had got a copy of it. `dropped`
//! is what somebody deleted from the dead-letter queue and did not send back. `copies` came into the
//! dead-letter queue while their originals did not leave the queue because of it: for a moment while
//! an event becomes a dead letter, for good when an operator imports one. They are no new events.
//!
//! It notices a message that was deleted by anyone but the mapping, purged, or older than the
//! retention, in either queue, and rows that are gone from the database. Below 0 there are more
//! events than were accepted: somebody put rows into the database.
//!
//! It cannot notice a forwarder that reports as done what it has not delivered (the destination's own
//! count tells, by `webhook-id`), an event that was never accepted, and a dead letter that was deleted
//! by mistake: that is a drop. A redrive that died half-way counts as one drop too few until it is
//! run again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::store::{QueueLedger, Ways};

/// Where a route's events are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    /// Accepted, or there when counting began.
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    /// In the dead-letter queue now.
    pub(crate) dead_letters: u64,
    /// Deleted from the dead-letter queue and not sent back.
    pub(crate) dropped: i64,
    /// In the queue now, in flight or not.
    pub(crate) queued: u64,
    /// What is none of these. Must be 0.
    pub(crate) missing: i64,
    /// Came into the dead-letter queue, and the original did not leave the queue because of it.
    pub(crate) copies: i64,
    /// Came into the dead-letter queue, each time counted.
    pub(crate) dead_lettered: u64,
    /// Came back from it.
    pub(crate) redriven: u64,
    /// By which way messages left that nobody takes on purpose.
    pub(crate) left: Left,
}

/// Messages that left either queue without being delivered or dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    /// Older than the retention.
    pub(crate) expired: u64,
    /// By a purge.
    pub(crate) purged: u64,
    /// Deleted from the queue by hand.
    pub(crate) deleted: u64,
}

/// The balance of every route, from the ledgers of the queue and of its dead-letter queue.
pub(crate) fn balances(
    queue: &QueueLedger,
    dead_letters: &QueueLedger,
) -> BTreeMap<String, Balance> {
    let routes: BTreeSet<&String> = queue.routes.keys().chain(dead_letters.routes.keys()).collect();
    let of = |ledger: &QueueLedger, route: &String| {
        ledger.routes.get(route).copied().unwrap_or_default()
    };
    let balance = |route| balance(&of(queue, route), &of(dead_letters, route));
    routes.into_iter().map(|route| (route.clone(), balance(route))).collect()
}

fn balance(queue: &Ways, dead: &Ways) -> Balance {
    let accepted = queue.opening + dead.opening + queue.ingested + queue.sent;
    let redriven = queue.returned + queue.moved_in;
    let dropped = signed(dead.deleted + dead.moved_out) - signed(redriven);
    let copies = signed(dead.sent + dead.returned) - signed(queue.dead_lettered);
    Balance {
        accepted,
        delivered: queue.done,
        dead_letters: dead.queued,
        dropped,
        queued: queue.queued,
        missing: signed(accepted)
            - signed(queue.done)
            - signed(dead.queued)
            - dropped
            - signed(queue.queued)
            + copies,
        copies,
        dead_lettered: dead.sent + dead.returned + dead.moved_in,
        redriven,
        left: Left {
            expired: queue.expired + dead.expired,
            purged: queue.purged + dead.purged,
            deleted: queue.deleted,
        },
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(queue: &Ways, dead: &Ways, missing: i64, dropped: i64) {
        let balance = balance(queue, dead);
        assert_eq!((balance.missing, balance.dropped), (missing, dropped), "{balance:?}");
    }

    #[test]
    fn nothing_is_missing_on_any_way_that_is_taken_on_purpose() {
        let none = Ways::default();
        let queue = Ways { opening: 1, ingested: 9, sent: 2, done: 5, queued: 7, ..none };
        check(&queue, &none, 0, 0);
        // Dead-lettered by the forwarder and by SQS's policy; one redriven and delivered, one dropped.
        let queue =
            Ways { ingested: 5, dead_lettered: 3, moved_out: 1, returned: 1, done: 2, ..none };
        let dead = Ways { returned: 3, moved_in: 1, deleted: 2, queued: 2, ..none };
        check(&queue, &dead, 0, 1);
    }

    #[test]
    fn what_left_by_another_way_is_missing() {
        let none = Ways::default();
        check(&Ways { ingested: 3, deleted: 1, queued: 2, ..none }, &none, 1, 0);
        check(&Ways { ingested: 3, expired: 3, ..none }, &none, 3, 0);
        check(&Ways { ingested: 3, queued: 2, ..none }, &none, 1, 0);
        let queue = Ways { ingested: 1, dead_lettered: 1, ..none };
        check(&queue, &Ways { returned: 1, expired: 1, ..none }, 1, 0);
    }

    #[test]
    fn a_copy_is_no_new_event() {
        let none = Ways::default();
        // On its way to become a dead letter; redriven half-way; dropped, and imported again.
        let queue = Ways { ingested: 1, queued: 1, ..none };
        check(&queue, &Ways { returned: 1, queued: 1, ..none }, 0, 0);
        let queue = Ways { ingested: 1, dead_lettered: 1, returned: 1, queued: 1, ..none };
        check(&queue, &Ways { returned: 1, queued: 1, ..none }, 0, -1);
        let queue = Ways { ingested: 1, dead_lettered: 1, ..none };
        check(&queue, &Ways { returned: 2, deleted: 1, queued: 1, ..none }, 0, 1);
    }
}
