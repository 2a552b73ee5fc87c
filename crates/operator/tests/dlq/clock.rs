//! A clock of an engine that a test can move on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::time::Timestamp;
use engine::clock::{Clock, SystemClock, Uptime, Wait};

/// The machine's clocks, that tests can move forward between two commands.
#[derive(Debug, Default)]
pub(crate) struct ShiftedClock {
    system: SystemClock,
    shift_ms: AtomicU64,
}

impl ShiftedClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.shift_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn shift(&self) -> Duration {
        Duration::from_millis(self.shift_ms.load(Ordering::SeqCst))
    }
}

impl Clock for ShiftedClock {
    fn wall(&self) -> Timestamp {
        self.system.wall().plus(self.shift())
    }

    fn uptime(&self) -> Uptime {
        self.system.uptime().plus(self.shift())
    }

    fn boot(&self) -> Option<String> {
        self.system.boot()
    }

    fn wait_until(&self, time: Uptime) -> Wait<'_> {
        self.system.wait_until(Uptime::from_start(time.since_start().saturating_sub(self.shift())))
    }

    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_> {
        let shift = u64::try_from(self.shift().as_millis()).unwrap();
        self.system.wait_until_wall(Timestamp::from_ms(time.as_ms().saturating_sub(shift)))
    }
}
