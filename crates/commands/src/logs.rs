//! `logs`

use crate::dlq::When;
use crate::environment::EnvironmentArgs;
use crate::output::Output;

/// Print the log: what was accepted, each attempt and how it ended
///
/// On one machine it is the engine's, in which the forwarder's lines are; on AWS the forwarder's log group.
/// With --follow what is written from then on comes as well, until Ctrl-C: no line twice, and none left
/// out, also where the engine puts a file aside. Where lines are missing it says so.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} logs local --follow\n  {program} logs prod --since 2h\n  \
                  {program} logs prod -f --json | jq -c 'select(.event_id == \"evt_1\")'\n\n\
                  Exit codes: 0 all lines since then; 1 some are missing; 130 interrupted, as --follow ends")
)]
pub struct Logs {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Since this time, such as `2026-11-23T09:00:00Z`, or `2h` for two hours ago
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = When::parse)]
    pub since: When,

    /// Go on with what is written from then on, until Ctrl-C
    #[arg(long, short = 'f')]
    pub follow: bool,

    #[command(flatten)]
    pub output: Output,
}
