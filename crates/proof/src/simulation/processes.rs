//! The processes of the function, whoever starts them: which are at work, and what is done to them.

use std::cell::RefCell;
use std::time::Duration;

use engine::simulation::Watched;
use tokio::time::{sleep, timeout};

use super::world::World;
use crate::schedule::Fault;

/// Those that run.
#[derive(Debug, Default)]
pub(super) struct Processes {
    at_work: Watched<u64>,
    /// How often all of them were killed.
    kills: Watched<u64>,
    /// At which polls the next invocations end.
    crashes: RefCell<Vec<u64>>,
}

impl Processes {
    /// One has something to do.
    pub(super) fn begin(&self) {
        add(&self.at_work, 1);
    }

    /// One has done it.
    pub(super) fn end(&self) {
        add(&self.at_work, -1);
    }

    /// Is ready once one is at work.
    pub(super) async fn once_busy(&self) {
        self.at_work.once(|at_work| at_work > 0).await;
    }

    /// Is ready once none is.
    pub(super) async fn once_idle(&self) {
        self.at_work.once(|at_work| at_work == 0).await;
    }

    /// Is ready some time after one has begun, while one is at work; or when this time is over.
    pub(super) async fn while_busy(&self, within: Duration, some_time: impl Fn() -> Duration) {
        let while_busy = async {
            loop {
                self.once_busy().await;
                sleep(some_time()).await;
                if self.at_work.get() > 0 {
                    return;
                }
            }
        };
        let _nothing_came = timeout(within, while_busy).await;
    }

    /// How often all were killed so far.
    pub(super) fn kills(&self) -> u64 {
        self.kills.get()
    }

    /// Is ready once they were killed again.
    pub(super) async fn once_killed_after(&self, kills: u64) {
        self.kills.once(|now| now != kills).await;
    }

    /// Ends all.
    pub(super) fn kill(&self) {
        add(&self.kills, 1);
    }

    /// Ends all, by a fault that meets those at work.
    pub(super) fn kill_by_fault(&self, world: &World) {
        for _ in 0..self.at_work.get() {
            world.hit(Fault::KillForwarders);
        }
        self.kill();
    }

    /// Ends the next invocations, each at another of its awaits.
    pub(super) fn crash_next(&self, at: impl IntoIterator<Item = u64>) {
        self.crashes.borrow_mut().extend(at);
    }

    /// Ends no more of them.
    pub(super) fn crash_no_more(&self) {
        self.crashes.borrow_mut().clear();
    }

    /// At which of its polls this invocation ends.
    pub(super) fn crash(&self, world: &World) -> Option<u64> {
        let at = self.crashes.borrow_mut().pop();
        if at.is_some() {
            world.hit(Fault::KillForwarder);
        }
        at
    }
}

fn add(number: &Watched<u64>, more: i64) {
    number.set(number.get().saturating_add_signed(more));
}
