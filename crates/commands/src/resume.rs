//! `resume`

use crate::environment::EnvironmentArgs;

/// Go on delivering, and show how what has waited goes out
#[derive(Debug, clap::Args)]
#[command(after_help = crate::program::help("Examples:\n  {program} resume dev\n  {program} resume dev --no-wait"))]
pub struct Resume {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Do not wait until the queue is empty
    #[arg(long)]
    pub no_wait: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
