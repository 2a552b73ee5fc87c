//! `blocked`

use crate::environment::EnvironmentArgs;
use crate::output::Output;

/// Show the message groups that wait, since when, for what, and what stands behind
///
/// Events of a group are delivered in order, so while its first event fails, the group waits; other
/// groups go on. A group that is "rejected" waits because its route says `on_reject: block`: the
/// destination refused the event, and it is tried again until it is taken or too old. A group that
/// is to "retry" waits for a destination that is down or slow.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} blocked local\n  {program} blocked dev --rejected\n  \
                  {program} blocked dev --json | jq -r '.groups[].event_id'")
)]
pub struct Blocked {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Only groups whose first event was rejected
    #[arg(long)]
    pub rejected: bool,

    #[command(flatten)]
    pub output: Output,
}
