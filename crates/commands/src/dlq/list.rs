//! `dlq list`

use crate::environment::EnvironmentArgs;

use super::select::SelectOrReason;

/// List the dead letters
///
/// On one machine the engine reads them, which changes nothing. SQS has no way to look without receiving:
/// while the list is made, the dead letters are hidden from other readers (for two minutes, should this
/// command be killed), and each one's receive count goes up by one. A queue that has thousands is hidden longer, some seconds for each hundred. Of the
/// messages that SQS itself moved, at most ten of a group can be seen at a time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} dlq list local\n  {program} dlq list prod --class rejected --since 2h --limit 20\n  {program} dlq list dev --json | jq -r '.[].event_id'")
)]
pub struct List {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Show this many at most, the oldest
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Do not cut what is wider than the terminal
    #[arg(long, short = 'w', conflicts_with = "json")]
    pub wide: bool,

    /// Print JSON: an array of objects
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub select: SelectOrReason,
}
