//! `retry`

use clap::builder::NonEmptyStringValueParser;

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::output::Times;
use crate::why::parse_why;

/// Attempt the first event of a group now, and those behind it in their order
///
/// For a service that is back: after an outage the next attempt may be minutes away. Nothing else
/// changes: not the schedule of what fails again, not when an event is given up, not the order. Behind a
/// breaker that is open it is the next probe, five seconds after the last failure. What waits for a
/// destination that asked by Retry-After not to be called is left alone, and until when is said. An
/// event that was received so often that the queue would soon take it for one that crashes the function
/// is left alone.
///
/// On AWS a message's time is changed with the receipt handles of its last receive only, which the
/// forwarder's log has for what failed: which keys it could not reach, and why, is said.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} retry [OPTIONS] [ENV] <KEY… | --all>"),
    group = clap::ArgGroup::new("which").required(true).args(["keys", "all"]),
    after_help = crate::program::help("Examples:\n  {program} retry local order-7\n  {program} retry prod --all --rate 5")
)]
pub struct Retry {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Ordering keys, as `blocked` shows them
    #[arg(value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub keys: Vec<String>,

    /// All groups that wait
    #[arg(long)]
    pub all: bool,

    /// With --all, so many groups in a second at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rate: u32,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = parse_why)]
    pub why: Option<String>,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub times: Times,
}
