//! What the commands that look at dead letters have in common.

use crate::environment::EnvironmentArgs;
use crate::output::Output;

use super::select::SelectOrReason;

/// Which are looked at, and how it is printed
#[derive(Debug, clap::Args)]
pub struct Looking {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Show this many at most: dead letters the oldest, issues the most frequent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    #[command(flatten)]
    pub output: Output,

    #[command(flatten)]
    pub select: SelectOrReason,
}
