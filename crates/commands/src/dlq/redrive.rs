//! `dlq redrive`

use std::time::Duration;

use clap::ArgGroup;

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::output::Times;
use crate::program::help;
use crate::why::parse_why;

use super::select::classes;
use super::which::{ONE_OF, Which};

/// Send dead letters again, in their order, as the same events
///
/// They go back to the end of their groups: behind what has arrived for the same ordering key since.
/// Nothing is sent before all dead letters have been seen, so that the later of two is never sent before
/// the earlier: while another command hides some, this one waits, holding nothing, and --now does not.
/// The copy is sent before the dead letter is deleted, under a deduplication id that belongs to the
/// dead letter. Should this command be killed in between, start it again within five minutes, as long as
/// the queue recognises what it has: it waits until the dead letters are shown again, after two. Later,
/// one event may arrive twice, with the same webhook-id. The audit log has a line when it starts and
/// one when it ends. Killed with --pause-first, its pause ends by itself within ten minutes, and with
/// `resume` at once; pauses of others stay as they are. One redrive at a time works on an environment: a
/// second is told whose the first is and how far. SQS hides a message for 12 hours at most: a redrive
/// that takes longer shows the dead letters again in time, looks anew and goes on. See `dlq list --help`
/// for what looking costs.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = help("{program} dlq redrive [OPTIONS] [ENV] <ID… | --all | SELECTION>"),
    group = ArgGroup::new("which").required(true).multiple(true).args(ONE_OF),
    after_help = help("\
Examples:
  {program} dlq redrive local --all --dry-run
  {program} dlq redrive local 4f6f… 91ab…
  {program} dlq redrive prod --class rejected --since 2h --rate 5 --why 'fixed in release 42'
  {program} dlq redrive prod --all --pause-first")
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
pub struct Redrive {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    #[command(flatten)]
    pub which: Which,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = parse_why)]
    pub why: Option<String>,

    /// Send this many in a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rate: Option<u32>,

    /// How long to wait for dead letters that are hidden, as by a redrive that was killed, before
    /// anything is sent
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub wait: Duration,

    /// Send what is shown now, and do not wait for what is hidden: an earlier event of a key may come
    /// after a later one
    #[arg(long, conflicts_with = "dry_run")]
    pub now: bool,

    /// Pause delivery, wait until deliveries under way have ended, redrive, and end that pause
    #[arg(long, conflicts_with = "dry_run")]
    pub pause_first: bool,

    /// Show what would be sent, in which order and behind what, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON: an object with what was sent and what failed
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub times: Times,

    /// How long they are hidden at a time, in seconds
    #[arg(long, hide = true)]
    pub hold_seconds: Option<u32>,

    /// How long they are held at all, in seconds
    #[arg(long, hide = true)]
    pub hold_most_seconds: Option<u32>,

    /// What `--class` was called before
    #[arg(long, value_name = "CLASS", hide = true, conflicts_with = "class", value_parser = classes())]
    pub reason: Option<String>,
}

impl Redrive {
    /// Which dead letters, by whichever name it was said.
    #[must_use]
    pub fn which(&self) -> Which {
        let mut which = self.which.clone();
        which.select.class = which.select.class.or_else(|| self.reason.clone());
        which
    }
}
