//! `trace`

use crate::environment::Event;
use crate::output::Output;

/// Show everything that is known of one event, in order of time
///
/// When it was accepted, each attempt and how it ended, and where the event is now. The event's id is
/// the apigw-requestid of the answer to its sender, or the provider's own where the route names one;
/// receivers see it as webhook-id. A message id works too, while the message is in a queue.
///
/// On one machine the engine's log is read (engine.log and the files beside it in the data directory,
/// 100 MB), on AWS the forwarder's log group, as far as --days goes back; and the audit log, for what
/// operators did to the event.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} trace [OPTIONS] [ENV] <EVENT-ID>"),
    after_help = crate::program::help("Examples:\n  {program} trace local 5f0c3c2e-6d0b-4a43-9c8e-0f7c6a3a9a11\n  \
                  {program} trace dev evt_1 --days 14 --json | jq '.steps[].what'")
)]
pub struct Trace {
    #[command(flatten)]
    pub of: Event,

    /// How many days back the log is read
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub days: u32,

    #[command(flatten)]
    pub output: Output,
}
