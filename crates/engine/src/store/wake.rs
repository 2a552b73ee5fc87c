//! Waking receives that wait for a message, without looking at the queue again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::queue_time::QueueTime;

/// Who is to look at a queue again, once the transaction is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// One message, or one group, can be received now: one receive will do.
    One(i64),
    /// Something can be received at `at`, which every receive has to know, as the one that learns of
    /// it may have gone by then.
    At { queue_id: i64, now: QueueTime, at: QueueTime },
    /// The queue is another: every receive has to look.
    All(i64),
}

/// What the receives that wait for a queue's messages hear.
#[derive(Debug, Default)]
pub(super) struct Waker {
    notify: Notify,
    /// A time that all of them wait for, if it is not over: none that was told of is earlier.
    announced: Mutex<QueueTime>,
}

impl Waker {
    pub(super) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }

    /// The time that others wait for, which who begins to wait has not been told of.
    pub(super) fn announced_after(&self, now: QueueTime) -> Option<QueueTime> {
        let announced = *self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        Some(announced).filter(|at| *at > now)
    }

    /// Wakes all only for a time before the announced one, seldom with equal visibility timeouts: at
    /// the announced time all look, and each learns of the next.
    fn announce(&self, now: QueueTime, at: QueueTime) {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if at < *announced || *announced <= now {
            *announced = at;
            drop(announced);
            self.notify.notify_waiters();
        }
    }
}

/// One [`Waker`] per queue.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    queues: Mutex<HashMap<i64, Arc<Waker>>>,
}

impl Wakers {
    /// What is notified for a queue.
    pub(super) fn of(&self, queue_id: i64) -> Arc<Waker> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(queue_id).or_default())
    }

    pub(super) fn wake(&self, wakes: Vec<Wake>) {
        for wake in wakes {
            match wake {
                Wake::One(queue_id) => self.of(queue_id).notify.notify_one(),
                Wake::At { queue_id, now, at } => self.of(queue_id).announce(now, at),
                Wake::All(queue_id) => self.of(queue_id).notify.notify_waiters(),
            }
        }
    }
}
