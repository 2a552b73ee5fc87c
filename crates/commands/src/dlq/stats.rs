//! `dlq stats`

use crate::environment::EnvironmentArgs;
use crate::output::Output;

use super::select::SelectOrReason;

/// Count the dead letters by route, reason and hour
///
/// To count them, all dead letters are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} dlq stats dev\n  {program} dlq stats dev --since 2h --json")
)]
pub struct Stats {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    #[command(flatten)]
    pub output: Output,

    #[command(flatten)]
    pub select: SelectOrReason,
}
