//! `repeat`

use crate::audit::AuditArgs;
use crate::environment::Event;
use crate::why::parse_why;

/// Send an event that was delivered once more, marked as a repeat
///
/// For a service that has lost what an event had done. The event is posted to all destinations of its
/// route by the configuration of now, signed as any other, once: `webhook-repeat` says that it is a repeat
/// and when it was asked for, and `webhook-id` is the event's, so a service that remembers ids and takes no
/// notice of the mark drops it. It goes beside the queue: nothing waits for it, and what fails is said and
/// not tried again.
///
/// On one machine only, and only of what is kept: `keep_delivered` of the configuration says how much, and
/// keeps nothing unless it is there. While events of the same key wait it is refused, as it would come
/// between them; and while delivery is paused.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} repeat [OPTIONS] --why <TEXT> [ENV] <EVENT-ID>"),
    after_help = crate::program::help("Examples:\n  {program} repeat local 5f0c3c2e-6d0b-4a43-9c8e-0f7c6a3a9a11 --why 'restored from last night'\n  \
                  {program} repeat prod evt_1 --why 'lost by release 42' --anyway --json | jq .attempts")
)]
pub struct Repeat {
    #[command(flatten)]
    pub of: Event,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = parse_why)]
    pub why: String,

    /// Also while events of the same key wait
    #[arg(long)]
    pub anyway: bool,

    /// Do not wait for the service's answer
    #[arg(long)]
    pub no_wait: bool,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
