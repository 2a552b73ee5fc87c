//! Which fault comes when. A pure function of the seed and of how many events there are.

use serde::Serialize;

use crate::random::Random;

/// Something that goes wrong, or that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The service refuses connections.
    Refuse,
    /// It answers 500.
    Fail,
    /// It answers 503.
    Unavailable,
    /// It answers 429 with `Retry-After`.
    TooMany,
    /// It never answers.
    Hang,
    /// It resets the connection before it has read the request.
    ResetBefore,
    /// It resets the connection once it has taken the event, before it answers.
    ResetAfter,
    /// It answers late, within the timeout.
    Slow,
    /// It answers what is not HTTP.
    Garbage,
    /// Its answer ends before the status line does.
    HalfAnswer,
    /// Its answer ends with the status line, a 2xx.
    StatusLineOnly,
    /// It answers with a 2xx that nobody uses, and with bodies that lie about their length.
    OddSuccess,
    /// Its name leads to another address, and nobody listens where it was.
    MoveName,
    /// The engine is killed with -9, and started again.
    KillEngine,
    /// A forwarder is killed with -9.
    KillForwarder,
    /// All forwarders are.
    KillForwarders,
    /// The engine is asked to stop, and started with another configuration.
    Reconfigure,
    /// The disk of the data directory is full.
    FullDisk,
    /// The engine is killed, and its files are read-only when it is started again.
    ReadOnlyDisk,
    /// The engine is killed or stopped, and started with the wall clock hours away.
    StepClock,
    /// The engine is stopped, and newer programs are started where former ones were.
    Upgrade,
    /// Dead letters are redriven.
    Redrive,
    /// A redrive is killed.
    KillRedrive,
    /// The first event of a key that waits is skipped.
    Skip,
    /// A skip is killed.
    KillSkip,
    /// What waits is retried.
    Retry,
    /// A retry is killed.
    KillRetry,
    /// Delivery is paused and resumed.
    Pause,
    /// The engine is killed while delivery is paused.
    PauseAcrossKill,
    /// A pause is killed.
    KillPause,
    /// A resume is killed.
    KillResume,
    /// A dead letter gets another body.
    Edit,
    /// An edit is killed.
    KillEdit,
    /// A dead letter is dropped.
    Drop,
    /// A drop is killed.
    KillDrop,
    /// A dead letter is dropped, and put back from the file.
    Import,
    /// Putting it back is killed, and done again.
    KillImport,
    /// What was delivered is sent once more.
    Repeat,
    /// Operators redrive, retry and skip at the same time.
    TogetherAct,
    /// Somebody acts by the page's forms, while others type commands.
    PageAct,
    /// The page is killed while its acts are under way.
    KillPage,
    /// The provider signs with another secret from now on.
    RotateSecret,
    /// Lambda throttles the function: what was received was received for nothing.
    Throttle,
    /// What the function is done with is not deleted.
    DeleteFails,
    /// Visibility timeouts are not changed, or nobody hears that they were.
    VisibilityFails,
    /// Dead letters are not taken, or nobody hears that they were.
    DeadLetterFails,
    /// Secrets and skips cannot be read.
    SecretFails,
    /// A wall clock is set while the function runs.
    ForwarderClock,
    /// The service's wall clock, by which its `Retry-After` says a date, is off.
    ServiceClock,
    /// The wall clock of the machine that the engine and its forwarders are on is set.
    EngineClock,
    /// What is stored of an event is damaged.
    StoredDamage,
}

impl Fault {
    /// Those that programs meet.
    pub const ALL: [Self; 42] = [
        Self::Refuse,
        Self::Fail,
        Self::Unavailable,
        Self::TooMany,
        Self::Hang,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Slow,
        Self::Garbage,
        Self::HalfAnswer,
        Self::StatusLineOnly,
        Self::OddSuccess,
        Self::MoveName,
        Self::KillEngine,
        Self::KillForwarder,
        Self::KillForwarders,
        Self::Reconfigure,
        Self::FullDisk,
        Self::ReadOnlyDisk,
        Self::StepClock,
        Self::Upgrade,
        Self::Redrive,
        Self::KillRedrive,
        Self::Skip,
        Self::KillSkip,
        Self::Retry,
        Self::KillRetry,
        Self::Pause,
        Self::PauseAcrossKill,
        Self::KillPause,
        Self::KillResume,
        Self::Edit,
        Self::KillEdit,
        Self::Drop,
        Self::KillDrop,
        Self::Import,
        Self::KillImport,
        Self::Repeat,
        Self::TogetherAct,
        Self::PageAct,
        Self::KillPage,
        Self::RotateSecret,
    ];

    /// Those of simulated days.
    pub const SIMULATED: [Self; 40] = [
        Self::Refuse,
        Self::Fail,
        Self::Unavailable,
        Self::TooMany,
        Self::Hang,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Slow,
        Self::Garbage,
        Self::HalfAnswer,
        Self::StatusLineOnly,
        Self::OddSuccess,
        Self::KillEngine,
        Self::KillForwarder,
        Self::KillForwarders,
        Self::Reconfigure,
        Self::FullDisk,
        Self::Redrive,
        Self::KillRedrive,
        Self::Skip,
        Self::KillSkip,
        Self::Retry,
        Self::KillRetry,
        Self::Pause,
        Self::PauseAcrossKill,
        Self::KillPause,
        Self::KillResume,
        Self::Edit,
        Self::KillEdit,
        Self::Drop,
        Self::Throttle,
        Self::DeleteFails,
        Self::VisibilityFails,
        Self::DeadLetterFails,
        Self::SecretFails,
        Self::RotateSecret,
        Self::ForwarderClock,
        Self::ServiceClock,
        Self::EngineClock,
        Self::StoredDamage,
    ];

    /// Whether a simulated day on AWS has it: what it has in place of an engine, and no disk.
    #[must_use]
    pub fn is_on_aws(self) -> bool {
        !matches!(self, Self::KillEngine | Self::FullDisk | Self::EngineClock | Self::StoredDamage)
    }

    /// Whether one on one machine has it.
    #[must_use]
    pub fn is_on_one_machine(self) -> bool {
        !matches!(self, Self::Throttle | Self::DeleteFails | Self::ForwarderClock)
    }

    /// Whether it is the service that fails.
    #[must_use]
    pub fn is_of_service(self) -> bool {
        self <= Self::MoveName
    }
}

/// A fault, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Once this many events have been sent.
    pub after: u64,
    /// What.
    pub fault: Fault,
    /// Which destination fails, of a fault of the service; which numbers an act takes, of others.
    pub choice: u64,
}

/// Fewest events for each step: less would meet nothing.
const EVENTS_PER_STEP: u64 = 400;
/// How often every fault comes at most: a round takes up to two minutes, most of which is waiting.
const ROUNDS_MAX: u64 = 15;

/// The steps of a seed: every fault as often as every other, in an order of the seed's; an upgrade once, in
/// the middle.
#[must_use]
pub fn schedule(seed: u64, events: u64) -> Vec<Step> {
    let mut random = Random::of(seed, 1);
    let rounds = (events / EVENTS_PER_STEP / Fault::ALL.len() as u64).clamp(1, ROUNDS_MAX);
    let mut faults = Vec::new();
    for _ in 0..rounds {
        let mut round = Fault::ALL;
        random.shuffle(&mut round);
        faults.extend(round.into_iter().filter(|fault| *fault != Fault::Upgrade));
    }
    faults.insert(faults.len() / 2, Fault::Upgrade);
    let count = faults.len() as u64;
    let step = |(place, fault)| {
        // The last ones too meet events behind them.
        let after = (place as u64 + 1) * events / (count + 2);
        Step { after, fault, choice: random.number() }
    };
    faults.into_iter().enumerate().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_schedule_and_leaves_out_no_fault() {
        let steps = schedule(7, 20_000);
        assert_eq!(steps, schedule(7, 20_000));
        assert_ne!(steps, schedule(8, 20_000));
        for fault in Fault::ALL {
            let times = steps.iter().filter(|step| step.fault == fault).count();
            assert_eq!(times, 1, "{fault:?}");
        }
        let of_more = schedule(7, 100_000);
        let times = |fault| of_more.iter().filter(|step| step.fault == fault).count();
        assert_eq!((times(Fault::Upgrade), times(Fault::MoveName)), (1, 5));
        assert!(steps.is_sorted_by_key(|step| step.after));
        assert!(steps.iter().all(|step| step.after > 0 && step.after < 20_000));
    }
}
