//! `dlq log`

use crate::environment::EnvironmentArgs;
use crate::output::Output;

/// Show who did what to the environment, when and why
///
/// Everything that changes something is there: pauses, what was sent again, edited or dropped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} dlq log prod\n  {program} dlq log prod --json | jq 'select(.action == \"dlq drop\")'")
)]
pub struct Log {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    #[command(flatten)]
    pub output: Output,
}
