//! Timeouts whose timers are kept for the next one.
//!
//! A new timer that is due before all others makes the runtime write to its own wake-up descriptor
//! and turn once more; for a timeout that almost never comes, on every delivery. A kept timer is due
//! too early instead, and is only then moved to where it must be.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::lock;

/// The timers that no timeout uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    idle: Mutex<Vec<Pin<Box<Sleep>>>>,
}

impl Timers {
    /// What `future` gives, if it does within `timeout`.
    pub(crate) async fn timeout<F: Future>(
        &self,
        timeout: Duration,
        future: F,
    ) -> Option<F::Output> {
        let due = Instant::now() + timeout;
        let kept = lock(&self.idle).pop();
        let mut timer = kept.unwrap_or_else(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        let mut future = pin!(future);
        let output = poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            while timer.as_mut().poll(context).is_ready() {
                if timer.deadline() >= due {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(due);
            }
            Poll::Pending
        })
        .await;
        lock(&self.idle).push(timer);
        output
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kept_timer_ends_no_timeout_early_or_late() {
        let timers = Timers::default();
        for seconds in [5, 3, 10, 10, 1] {
            let started = Instant::now();
            assert_eq!(timers.timeout(Duration::from_secs(seconds), ready(7)).await, Some(7));
            let timeout = Duration::from_secs(seconds);
            assert_eq!(timers.timeout(timeout, pending::<()>()).await, None);
            // Timers of the runtime are due on whole milliseconds.
            let late = started.elapsed().checked_sub(timeout).expect("not early");
            assert!(late <= Duration::from_millis(1), "{late:?}");
        }
        assert_eq!(timers.idle.lock().unwrap().len(), 1);
    }
}
