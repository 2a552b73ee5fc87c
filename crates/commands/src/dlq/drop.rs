//! `dlq drop`

use std::path::PathBuf;

use clap::ArgGroup;

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::program::help;
use crate::why::parse_why;

use super::which::{ONE_OF, Which};

/// Delete dead letters that nobody needs, after writing them into a file
///
/// They are written first, complete, so that `dlq import` can bring them back.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = help("{program} dlq drop [OPTIONS] --why <TEXT> [ENV] <ID… | --all | SELECTION>"),
    group = ArgGroup::new("which").required(true).multiple(true).args(ONE_OF),
    after_help = help("\
Examples:
  {program} dlq drop prod 4f6f… --why 'test event of the SaaS'
  {program} dlq drop prod --class unverified --until 2d --why 'forged' --dry-run
  {program} dlq drop prod 4f6f… 91ab… --why duplicates --export dropped.jsonl --yes")
)]
pub struct Drop {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    #[command(flatten)]
    pub which: Which,

    /// Why; it stands in the audit log
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = parse_why,
        required_unless_present_any = ["dry_run", "reason"]
    )]
    pub why: Option<String>,

    /// File that they are written into, `-` for standard output [default: dropped-TIME.jsonl]
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,

    /// Show what would be dropped, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON: what was dropped, and the file
    #[arg(long)]
    pub json: bool,

    /// It said why, and elsewhere it chooses: whoever types it has to say which is meant
    #[arg(long, value_name = "TEXT", hide = true, value_parser = refused)]
    reason: Option<String>,
}

fn refused(_text: &str) -> Result<String, &'static str> {
    Err("--why says why, and --class chooses by the class of the failure: say which you mean")
}
