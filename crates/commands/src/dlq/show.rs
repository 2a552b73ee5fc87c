//! `dlq show`

use crate::environment::DeadLetter;
use crate::output::Output;

/// Show one dead letter: why it is one, what happened to it, its headers, its body
///
/// To find it, all dead letters are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} dlq show [OPTIONS] [ENV] <ID>"),
    after_help = crate::program::help("Examples:\n  {program} dlq show local 4f6f…\n  {program} dlq show dev 4f6f… --json | jq -r .body")
)]
pub struct Show {
    #[command(flatten)]
    pub of: DeadLetter,

    #[command(flatten)]
    pub output: Output,
}
