//! `status`

use std::time::Duration;

use anyhow::Context as _;

use crate::environment::EnvironmentArgs;
use crate::output::Output;

/// Show what waits, what was delivered, and whether anything is lost
///
/// The first line says whether you must act, or may wait and for what. Where something could not be seen
/// it says that, and never that there is nothing to do.
///
/// The loss meter is, for each route: accepted - delivered - dead letters - dropped by an operator -
/// queued. It must be 0: what is more is missing. On this machine the engine counts, exactly and since
/// its data directory was made. On AWS its metrics do, for all routes together and up to some minutes
/// ago. What could not be asked is shown as "unknown" with the reason, never as 0.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} status local\n  {program} status local --watch\n  \
                  {program} status local --history hour\n  \
                  {program} status local --routes\n  \
                  {program} status dev --since 7days\n  \
                  {program} status dev --json | jq .queue.events\n\n\
                  Exit codes: 0 shown, whatever it shows; 1 it could not be asked. \
                  `{program} doctor ENV` is the one that judges.")
)]
pub struct Status {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Look again every 2 seconds, on AWS every 30, until Ctrl-C
    #[arg(long, short = 'w')]
    pub watch: bool,

    /// How far back the loss meter counts on AWS, up to 14 days [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Duration>,

    /// Show instead what happened in each minute of the last hour or day
    ///
    /// What was accepted, delivered, failed and became a dead letter, and how old events were when they were
    /// delivered. A minute of which nothing is known, as no engine ran, is a gap and never 0. On AWS its
    /// metrics tell, some minutes late; there a redrive counts as accepted, and of several routes the slowest
    /// one's ages are shown.
    #[arg(long, value_name = "BACK", conflicts_with_all = ["watch", "since"])]
    pub history: Option<Back>,

    /// Show instead what goes where: routes, destinations, and how long deliveries are tried
    ///
    /// By the configuration. With each route stands a request that tries it.
    #[arg(long, conflicts_with_all = ["watch", "since", "history"])]
    pub routes: bool,

    #[command(flatten)]
    pub output: Output,
}

/// How far back a history goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Back {
    /// 60 minutes
    Hour,
    /// 1,440 minutes
    Day,
}

/// How far back the loss meter may count: `CloudWatch` keeps minutes for 15 days. Source: `CloudWatch`
/// guide, "Metrics retention".
const LOSS_SINCE_MOST: Duration = Duration::from_hours(14 * 24);

fn parse_since(text: &str) -> anyhow::Result<Duration> {
    let duration = humantime::parse_duration(text).context("a time is written as 24h or 7days")?;
    let bounds = Duration::from_hours(1)..=LOSS_SINCE_MOST;
    anyhow::ensure!(bounds.contains(&duration), "the meter counts from an hour to 14 days back");
    Ok(duration)
}
