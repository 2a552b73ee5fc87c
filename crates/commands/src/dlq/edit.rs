//! `dlq edit`

use std::path::PathBuf;

use crate::audit::AuditArgs;
use crate::environment::DeadLetter;
use crate::why::parse_why;

/// Change the body of a dead letter in an editor, and send it again as the same event
///
/// The editor is the one that VISUAL or EDITOR names. Nothing is sent if the body is left as it is, or
/// was JSON and is none any more; what was typed is kept in a file then, and --body goes on with it.
/// The event carries the attribute `edited_at`, and the audit log says who changed it; the service
/// sees the same webhook-id. The copy is sent before the dead letter is deleted, under a
/// deduplication id that belongs to both the dead letter and its new body.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} dlq edit [OPTIONS] --why <TEXT> [ENV] <ID>"),
    after_help = crate::program::help("Examples:\n  {program} dlq edit prod 4f6f… --why 'wrong customer id'\n  EDITOR='code --wait' {program} dlq edit dev 4f6f… --why typo\n  {program} dlq edit dev 4f6f… --why typo --body corrected.json --json")
)]
pub struct Edit {
    #[command(flatten)]
    pub of: DeadLetter,

    /// Why; it stands in the audit log
    #[arg(long, alias = "reason", value_name = "TEXT", value_parser = parse_why)]
    pub why: String,

    /// Take the new body from this file, and open no editor
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON: the event, and the digests of both bodies
    #[arg(long)]
    pub json: bool,
}
