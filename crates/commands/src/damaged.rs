//! `damaged`: events that are not what was accepted.

use std::path::PathBuf;

use clap::ArgGroup;
use clap::builder::NonEmptyStringValueParser;

use crate::audit::AuditArgs;
use crate::environment::{EnvironmentArgs, FileToWrite};
use crate::output::Output;
use crate::program::help;
use crate::why::parse_why;

/// Look at events that are not what was accepted, and take them out of the way
///
/// An engine keeps a digest of each event, and compares it when the event's turn has come. One that is not
/// what was accepted any more, by a fault of the disk or of the memory, is never delivered: it is set
/// aside, its key waits from it on, and other keys go on. SQS shows nobody such a one.
#[derive(Debug, clap::Subcommand)]
pub enum Damaged {
    List(List),
    Export(Export),
    Drop(Drop),
}

/// List the damaged events, and what waits behind each
#[derive(Debug, clap::Args)]
#[command(
    after_help = help("Examples:\n  {program} damaged list local\n  {program} damaged list local --json")
)]
pub struct List {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    #[command(flatten)]
    pub output: Output,
}

/// Write what is left of damaged events into a file, and leave them where they are
///
/// The file has a JSON object a line, with the bytes of body and attributes in base64: keep it as safe
/// as the queue. Nothing puts it back, as nobody knows what was accepted: ask who sent it.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = help("{program} damaged export [OPTIONS] [ENV] <FILE>"),
    after_help = help("Examples:\n  {program} damaged export prod damaged.jsonl\n  {program} damaged export prod - | jq -r .body_base64 | base64 -d")
)]
pub struct Export {
    #[command(flatten)]
    pub of: FileToWrite,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON: how many were written, and where
    #[arg(long)]
    pub json: bool,
}

/// Delete damaged events, after writing what is left of them into a file, and let their keys go on
///
/// What stands behind them in their keys is delivered from then on; what is sent again comes after that.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = help("{program} damaged drop [OPTIONS] --why <TEXT> [ENV] <NUMBER… | --all>"),
    group = ArgGroup::new("which").required(true).args(["numbers", "all"]),
    after_help = help("\
Examples:
  {program} damaged drop prod 10000000000000000042 --why 'disk sda replaced, the SaaS sends it again'
  {program} damaged drop prod --all --why 'disk sda replaced' --dry-run")
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
pub struct Drop {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Sequence numbers, as `damaged list` shows them
    #[arg(value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    pub numbers: Vec<String>,

    /// All damaged events
    #[arg(long)]
    pub all: bool,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = parse_why, required_unless_present = "dry_run")]
    pub why: Option<String>,

    /// File that they are written into, `-` for standard output [default: damaged-TIME.jsonl]
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
}
