//! `status`: one screen that answers "is it flowing, how late, what failed, is anything lost".

mod aws;
mod engine;
mod report;
mod screen;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::environment::{EnvironmentArgs, Host};
use crate::people;
use report::Report;

/// Between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Moves the cursor home and clears what is below. Source: ECMA-48, CUP and ED.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

/// Show what waits, what was delivered, and whether anything is lost
///
/// The loss meter is, for each route: accepted - delivered - dead letters - dropped by an operator -
/// queued. It must be 0: what is more is missing. It is counted by the engine on this machine, since
/// the time that is shown; what AWS does not tell is shown as "unknown on AWS", never as 0.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask status local\n  cargo xtask status local --watch\n  \
                  cargo xtask status dev --json | jq .queue.events\n\n\
                  Exit codes: 0 shown, whatever it shows; 1 it could not be asked. \
                  `cargo xtask doctor ENV` is the one that judges."
)]
pub(crate) struct Status {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Look again every 2 seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Print JSON; with --watch an object a line
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.watch {
            return self.watch().await;
        }
        let report = self.look().await?;
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
        loop {
            let text = match self.look().await {
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
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Report> {
        let environment = self.environment.connect().await?;
        match &environment.host {
            Host::Engine { api, .. } => engine::report(&environment.name, api).await,
            Host::Aws { sdk, config } => aws::report(&environment, sdk, config).await,
        }
    }
}
