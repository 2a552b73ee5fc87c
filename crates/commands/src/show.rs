//! `show`

use crate::environment::EventOrKey;
use crate::output::Output;

/// Show an event wherever it is, and what can be done about it
///
/// Whether it waits, is being attempted, stands behind another of its group, blocks it, is a dead letter
/// or was delivered lately: its headers and body, what happened to it with the service's last answer, what
/// is behind it, and each command that can be typed about it. Of an ordering key the events that wait are
/// shown, and the first of them.
///
/// On one machine all of this is read, and nothing is received. On AWS it comes from the log: a message
/// that waits can be read only by who receives it, so its headers and body are not shown; those of a
/// dead letter are, which is received for it as `dlq list --help` says. What was delivered is nowhere any
/// more, and the log alone tells of it, unless the engine keeps it (`keep_delivered`). The service's answers are in the log where the configuration says
/// `logs.answers`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} show [OPTIONS] [ENV] <ID|KEY>"),
    after_help = crate::program::help("Examples:\n  {program} show local 5f0c3c2e-6d0b-4a43-9c8e-0f7c6a3a9a11\n  \
                  {program} show local 5f0c\n  {program} show prod order-7\n  \
                  {program} show local evt_1 --json | jq -r '.messages[0].body'")
)]
pub struct Show {
    #[command(flatten)]
    pub of: EventOrKey,

    /// On AWS, look for it among the dead letters although the log does not say that it is one
    #[arg(long)]
    pub look: bool,

    /// How many days back the log is read
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub days: u32,

    #[command(flatten)]
    pub output: Output,
}
