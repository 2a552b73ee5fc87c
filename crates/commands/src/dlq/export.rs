//! `dlq export`

use crate::audit::AuditArgs;
use crate::environment::FileToWrite;

use super::select::SelectOrReason;

/// Write dead letters into a file, complete, and leave them where they are
///
/// The file has a JSON object a line, bodies included: keep it as safe as the queue. `dlq import` puts
/// it back. To read them, all dead letters are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} dlq export [OPTIONS] [ENV] <FILE>"),
    after_help = crate::program::help("Examples:\n  {program} dlq export prod dead-letters.jsonl\n  {program} dlq export prod rejected.jsonl --class rejected --since 2h")
)]
pub struct Export {
    #[command(flatten)]
    pub of: FileToWrite,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON: how many were written, and where
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub select: SelectOrReason,
}
