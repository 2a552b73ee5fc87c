//! `dlq import`

use crate::audit::AuditArgs;
use crate::environment::FileToRead;
use crate::why::parse_why;

/// Put dead letters from a file back into the dead-letter queue
///
/// The file is one that `dlq export` or `dlq drop` has written. What is there already is not put in a
/// second time, so it can be started again after a failure; a dead letter is known by the id of the
/// message that died, so that an event that died twice is two. They are as old as when they first
/// became dead letters only in their records: SQS counts anew.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} dlq import [OPTIONS] [ENV] <FILE>"),
    after_help = crate::program::help("Examples:\n  {program} dlq import prod dead-letters.jsonl"))]
pub struct Import {
    #[command(flatten)]
    pub of: FileToRead,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = parse_why)]
    pub why: Option<String>,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON: how many were put back, and how many were there
    #[arg(long)]
    pub json: bool,
}
