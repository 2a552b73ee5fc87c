//! `refused`

use crate::dlq::When;
use crate::environment::EnvironmentArgs;
use crate::output::Output;

/// Show which requests were not accepted: when, by which rule, and what is done about it
///
/// What was refused is not in the queue: the sender has to send it again. On one machine the engine's log
/// is read, which has a line for each, of a flood for a hundred and then one a second, that says how many
/// have none; when the disk takes nothing, it has one for all (`storage failed`). On AWS it is the API's
/// access log, which has no path, as that may hold a secret: the route and the status tell the rule.
/// Bodies, headers and query strings are in neither.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} refused local\n  {program} refused prod --since 2h --limit 20\n  {program} refused prod --json | jq '.rules'")
)]
pub struct Refused {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Since this time, such as `2026-11-23T09:00:00Z`, or `2h` for two hours ago
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = When::parse)]
    pub since: When,

    /// Show this many at most, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    #[command(flatten)]
    pub output: Output,
}
