//! Waking receives that wait for a message, without looking at the queue again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Who is to look at a queue again, once the transaction is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// One message, or one group, can be received now: one receive will do.
    One(i64),
    /// The time at which something can be received has changed: every receive has to know.
    All(i64),
}

/// One [`Notify`] per queue.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    queues: Mutex<HashMap<i64, Arc<Notify>>>,
}

impl Wakers {
    /// What is notified for a queue.
    pub(super) fn of(&self, queue_id: i64) -> Arc<Notify> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(queue_id).or_default())
    }

    pub(super) fn wake(&self, wakes: Vec<Wake>) {
        for wake in wakes {
            match wake {
                Wake::One(queue_id) => self.of(queue_id).notify_one(),
                Wake::All(queue_id) => self.of(queue_id).notify_waiters(),
            }
        }
    }
}
