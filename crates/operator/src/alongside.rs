//! Renewing what expires, while something else is at work.

use std::time::Duration;

use tokio::time::{Instant, interval_at};

/// What comes of `work`; beside it `renew` is called each `every`. Work is never cut off by it.
pub(crate) async fn alongside<T>(
    every: Duration,
    mut renew: impl AsyncFnMut(),
    work: impl Future<Output = T>,
) -> T {
    let renewing = async {
        let mut times = interval_at(Instant::now() + every, every);
        loop {
            times.tick().await;
            renew().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = renewing => unreachable!("it goes on for ever"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_renewed_for_as_long_as_the_work_takes() {
        let renewed = Cell::new(0);
        let renew = async || renewed.set(renewed.get() + 1);
        let work = async {
            tokio::time::sleep(Duration::from_secs(35)).await;
            "done"
        };
        assert_eq!(alongside(Duration::from_secs(10), renew, work).await, "done");
        assert_eq!(renewed.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_hangs_keeps_no_work_from_ending() {
        let renew = async || std::future::pending().await;
        let work = tokio::time::sleep(Duration::from_mins(5));
        alongside(Duration::from_secs(10), renew, work).await;
    }
}
