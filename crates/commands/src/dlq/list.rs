//! `dlq list`

use super::looking::Looking;

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
    pub looking: Looking,
}
