//! The time of an invocation: which of it is left, and how old events are in it.

use std::time::Duration;

use domain::deadline;
use domain::time::Timestamp;
use tokio::time::Instant;

/// One invocation's time. It begins by the wall clock, as its deadline and the events' times are told by
/// that, and goes on by the time that passes: a wall clock that is set meanwhile makes no event old
/// enough to be given up, and no deadline pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invocation {
    wall: Timestamp,
    began: Instant,
    deadline: Timestamp,
}

impl Invocation {
    /// Begins at `wall`, the wall clock's time now.
    pub(crate) fn begin(wall: Timestamp, deadline: Timestamp) -> Self {
        Self { wall, began: Instant::now(), deadline }
    }

    /// When it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// What the wall clock says if nobody has set it since the beginning.
    pub(crate) fn now(&self) -> Timestamp {
        self.wall.plus(self.began.elapsed())
    }

    /// Whether an attempt that may take `attempt_timeout` may begin.
    pub(crate) fn may_start(&self, attempt_timeout: Duration) -> bool {
        deadline::may_start(self.now(), self.deadline, attempt_timeout)
    }

    /// How long an attempt that may take `timeout` may wait for its beginning.
    pub(crate) fn time_to_wait(&self, timeout: Duration) -> Duration {
        deadline::time_to_wait(self.now(), self.deadline, timeout)
    }

    /// How long calls of AWS's services may take.
    pub(crate) fn time_for_calls(&self) -> Duration {
        deadline::time_for_calls(self.now(), self.deadline)
    }

    /// How long the last call, which sets visibility, may take.
    pub(crate) fn time_for_visibility(&self) -> Duration {
        deadline::time_for_visibility(self.now(), self.deadline)
    }
}
