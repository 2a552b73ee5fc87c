//! `find`

use crate::environment::Text;
use crate::output::Output;

/// Find events by a text in their body, headers, ids or key
///
/// Looks at what waits, at the dead letters, and at what was delivered and is kept (`keep_delivered` of the
/// configuration); upper and lower case are one. Nothing is received by it. It looks at so much and no more,
/// and says if that was not all.
///
/// On one machine only: on AWS a message is read by who receives it, and `dlq list --grep` looks through the
/// dead letters.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} find [OPTIONS] [ENV] <TEXT>"),
    after_help = crate::program::help("Examples:\n  {program} find local order-7\n  \
                  {program} find prod 'tanaka@example.com' --limit 5 --json | jq -r '.events[].event_id'")
)]
pub struct Find {
    #[command(flatten)]
    pub of: Text,

    /// Events that are shown, at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,

    #[command(flatten)]
    pub output: Output,
}
