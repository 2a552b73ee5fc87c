//! `status`: one screen that answers "is it flowing, how late, what failed, is anything lost".

pub(crate) mod aws;
mod engine;
mod meter;
mod pause;
mod report;
mod screen;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::environment::{EnvironmentArgs, Host};
use crate::{people, progress};
use report::Report;

/// Between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The same on AWS: its metrics are told once a minute and each question costs, and the log of the
/// whole account may be asked five times a second.
const LOOK_EVERY_ON_AWS: Duration = Duration::from_secs(30);

/// How far back the loss meter counts on AWS, unless it is said.
const LOSS_SINCE: Duration = Duration::from_hours(24);

/// How far back it may count: `CloudWatch` keeps minutes for 15 days. Source: `CloudWatch` guide,
/// "Metrics retention".
const LOSS_SINCE_MOST: Duration = Duration::from_hours(14 * 24);

/// Moves the cursor home and clears what is below. Source: ECMA-48, CUP and ED.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

/// Show what waits, what was delivered, and whether anything is lost
///
/// The loss meter is, for each route: accepted - delivered - dead letters - dropped by an operator -
/// queued. It must be 0: what is more is missing. On this machine the engine counts, exactly and since
/// its data directory was made. On AWS its metrics do, for all routes together and up to some minutes
/// ago. What could not be asked is shown as "unknown" with the reason, never as 0.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} status local\n  {program} status local --watch\n  \
                  {program} status dev --since 7days\n  \
                  {program} status dev --json | jq .queue.events\n\n\
                  Exit codes: 0 shown, whatever it shows; 1 it could not be asked. \
                  `{program} doctor ENV` is the one that judges.")
)]
pub(crate) struct Status {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Look again every 2 seconds, on AWS every 30, until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// How far back the loss meter counts on AWS, up to 14 days [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Duration>,

    /// Print JSON; with --watch an object a line
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.watch {
            return Box::pin(self.watch()).await;
        }
        let report = Box::pin(self.look()).await?;
        let text = if self.json {
            serde_json::to_string_pretty(&report)? + "\n"
        } else {
            screen::render(&report)
        };
        people::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What fails meanwhile is shown, and asked again: it is what one watches for.
    async fn watch(self) -> anyhow::Result<ExitCode> {
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        let _between_looks = progress::quiet();
        loop {
            let looked = Box::pin(self.look()).await;
            let on_aws = looked.as_ref().is_ok_and(|report| report.host == "aws");
            let pause = if on_aws { LOOK_EVERY_ON_AWS } else { LOOK_EVERY };
            let text = match looked {
                Ok(report) if self.json => serde_json::to_string(&report)? + "\n",
                Ok(report) => screen::render(&report),
                Err(error) if self.json => {
                    serde_json::json!({ "error": format!("{error:#}") }).to_string() + "\n"
                }
                Err(error) => format!("error: {error:#}\n"),
            };
            let mut out = std::io::stdout().lock();
            if out.is_terminal() && !self.json {
                out.write_all(HOME_AND_CLEAR.as_bytes())?;
            }
            out.write_all(text.as_bytes())?;
            out.flush()?;
            drop(out);
            tokio::select! {
                _interrupted = interrupt.as_mut() => return Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Report> {
        let environment = self.environment.connect().await?;
        match &environment.host {
            Host::Engine { api, .. } => {
                anyhow::ensure!(
                    self.since.is_none(),
                    "--since is for AWS: an engine counts since its data directory was made"
                );
                engine::report(&environment, api).await
            }
            Host::Aws { sdk, deployment } => {
                let loss_since = self.since.unwrap_or(LOSS_SINCE);
                Box::pin(aws::report(&environment, sdk, deployment, loss_since)).await
            }
        }
    }
}

fn parse_since(text: &str) -> anyhow::Result<Duration> {
    let duration = humantime::parse_duration(text).context("a time is written as 24h or 7days")?;
    let bounds = Duration::from_hours(1)..=LOSS_SINCE_MOST;
    anyhow::ensure!(bounds.contains(&duration), "the meter counts from an hour to 14 days back");
    Ok(duration)
}
