//! `skip`

use clap::builder::NonEmptyStringValueParser;

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::output::Times;
use crate::why::parse_why;

/// Take a failing event out of the way of its group: it becomes a dead letter, and the group goes on
///
/// For an event that `blocked` shows: one that the service rejects on a route that says `on_reject:
/// block`, or one that fails again and again. Nothing happens at once: the event is attempted once
/// more when its time has come, and delivered if the service takes it. If not, it goes to the
/// dead-letter queue as `skipped`, and what stands behind it is delivered in order. `dlq redrive` or
/// `dlq edit` send it again, behind what was delivered since.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} skip prod 5f0c3c2e-6d0b-4a43-9c8e-0f7c6a3a9a11 --why 'order 7 was cancelled by phone'\n  \
                  {program} skip local evt_1 --why test --no-wait\n  \
                  {program} skip local --list")
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
pub struct Skip {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// The event, as `blocked` shows it
    #[arg(value_name = "EVENT-ID", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "list", conflicts_with = "list")]
    pub event_id: Option<String>,

    /// Why; it stands in the audit log
    #[arg(
        long,
        alias = "reason",
        value_name = "TEXT",
        value_parser = parse_why,
        required_unless_present_any = ["list", "undo"],
        conflicts_with = "list"
    )]
    pub why: Option<String>,

    /// Do not wait for its next attempt
    #[arg(long, conflicts_with_all = ["list", "undo"])]
    pub no_wait: bool,

    /// Take back what was asked for, if its next attempt is still to come
    #[arg(long, conflicts_with = "list")]
    pub undo: bool,

    /// Show the events that were asked for
    #[arg(long)]
    pub list: bool,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub times: Times,
}
