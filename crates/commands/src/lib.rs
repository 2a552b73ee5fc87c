//! What operators type: the command line that `cargo xtask` and `webhook-operator` have in common. Types
//! only, so that help, completions and mistakes need none of what carries the commands out.

#![warn(clippy::disallowed_macros)]
#![expect(
    missing_docs,
    reason = "what stands at a command or an option is what --help shows of it"
)]

pub mod audit;
mod blocked;
pub mod damaged;
pub mod dlq;
mod doctor;
mod environment;
mod find;
mod logs;
mod output;
mod page;
mod pause;
pub mod program;
mod refused;
mod repeat;
mod resume;
mod retry;
mod send;
mod show;
mod skip;
mod status;
mod trace;
pub mod why;

pub use blocked::Blocked;
pub use doctor::Doctor;
pub use environment::EnvironmentArgs;
pub use find::Find;
pub use logs::Logs;
pub use output::{Output, Times};
pub use page::Page;
pub use pause::Pause;
pub use refused::Refused;
pub use repeat::Repeat;
pub use resume::Resume;
pub use retry::Retry;
pub use send::Send;
pub use show::Show;
pub use skip::Skip;
pub use status::{Back, Status};
pub use trace::Trace;

/// A command of an operator.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Status(Status),
    Trace(Trace),
    Show(Show),
    Blocked(Blocked),
    Refused(Refused),
    Logs(Logs),
    Skip(Skip),
    Doctor(Doctor),
    /// Look at dead letters and send them again
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Look at events that are not what was accepted, and take them out of the way
    #[command(subcommand)]
    Damaged(damaged::Damaged),
    Pause(Pause),
    Resume(Resume),
    Retry(Retry),
    Repeat(Repeat),
    Find(Find),
    Send(Send),
    Page(Page),
}

impl Command {
    /// Whether the times that it prints are told by the local clock: to people only.
    #[must_use]
    pub fn tells_local_times(&self) -> bool {
        use damaged::Damaged;
        use dlq::Dlq;
        match self {
            Self::Status(it) => it.output.local(),
            Self::Trace(it) => it.output.local(),
            Self::Show(it) => it.output.local(),
            Self::Blocked(it) => it.output.local(),
            Self::Refused(it) => it.output.local(),
            Self::Logs(it) => it.output.local(),
            Self::Doctor(it) => it.output.local(),
            Self::Find(it) => it.output.local(),
            Self::Skip(it) => it.times.local() && !it.json,
            Self::Pause(it) => it.times.local() && !it.json,
            Self::Resume(it) => it.times.local() && !it.json,
            Self::Retry(it) => it.times.local() && !it.json,
            Self::Dlq(Dlq::List(it)) => it.looking.output.local(),
            Self::Dlq(Dlq::Stats(it)) => it.output.local(),
            Self::Dlq(Dlq::Issues(it)) => it.looking.output.local(),
            Self::Dlq(Dlq::Show(it)) => it.output.local(),
            Self::Dlq(Dlq::Log(it)) => it.output.local(),
            Self::Dlq(Dlq::Redrive(it)) => it.times.local() && !it.json,
            Self::Damaged(Damaged::List(it)) => it.output.local(),
            // They print none.
            Self::Page(_)
            | Self::Repeat(_)
            | Self::Send(_)
            | Self::Dlq(Dlq::Edit(_) | Dlq::Export(_) | Dlq::Import(_) | Dlq::Drop(_))
            | Self::Damaged(Damaged::Export(_) | Damaged::Drop(_)) => false,
        }
    }

    /// Whether only a signal ends it: that it was interrupted is no news then.
    #[must_use]
    pub fn ends_by_signal(&self) -> bool {
        match self {
            Self::Status(it) => it.watch,
            Self::Logs(it) => it.follow,
            _ => false,
        }
    }

    /// The environment that it is about, as it was typed.
    #[must_use]
    pub fn environment(&self) -> &EnvironmentArgs {
        use damaged::Damaged;
        use dlq::Dlq;
        match self {
            Self::Status(it) => &it.environment,
            Self::Trace(it) => &it.of.environment,
            Self::Show(it) => &it.of.environment,
            Self::Blocked(it) => &it.environment,
            Self::Refused(it) => &it.environment,
            Self::Logs(it) => &it.environment,
            Self::Skip(it) => &it.environment,
            Self::Doctor(it) => &it.environment,
            Self::Pause(it) => &it.environment,
            Self::Resume(it) => &it.environment,
            Self::Retry(it) => &it.environment,
            Self::Repeat(it) => &it.of.environment,
            Self::Find(it) => &it.of.environment,
            Self::Send(it) => &it.environment,
            Self::Page(it) => &it.environment,
            Self::Dlq(Dlq::List(it)) => &it.looking.environment,
            Self::Dlq(Dlq::Stats(it)) => &it.environment,
            Self::Dlq(Dlq::Issues(it)) => &it.looking.environment,
            Self::Dlq(Dlq::Show(it)) => &it.of.environment,
            Self::Dlq(Dlq::Redrive(it)) => &it.environment,
            Self::Dlq(Dlq::Edit(it)) => &it.of.environment,
            Self::Dlq(Dlq::Export(it)) => &it.of.environment,
            Self::Dlq(Dlq::Import(it)) => &it.of.environment,
            Self::Dlq(Dlq::Drop(it)) => &it.environment,
            Self::Dlq(Dlq::Log(it)) => &it.environment,
            Self::Damaged(Damaged::List(it)) => &it.environment,
            Self::Damaged(Damaged::Export(it)) => &it.of.environment,
            Self::Damaged(Damaged::Drop(it)) => &it.environment,
        }
    }
}
