//! `dlq log`: who did what, when and why.

use std::process::ExitCode;

use super::{printable, short_time};
use crate::audit::Line;
use crate::environment::EnvironmentArgs;
use crate::table;

/// Show who did what to the environment, when and why
///
/// Everything that changes something is there: pauses, what was sent again, edited or dropped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask dlq log prod\n  cargo xtask dlq log prod --json | jq 'select(.action == \"dlq drop\")'"
)]
pub(crate) struct Log {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Print a JSON object per action
    #[arg(long)]
    json: bool,
}

impl Log {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let lines = self.environment.connect().await?.audit().read().await?;
        if self.json {
            for line in &lines {
                println!("{}", serde_json::to_string(line)?);
            }
            return Ok(ExitCode::SUCCESS);
        }
        if lines.is_empty() {
            println!("nobody has changed anything");
            return Ok(ExitCode::SUCCESS);
        }
        let row = |line: &Line| {
            let reason = line.reason.as_deref().unwrap_or("-");
            [&short_time(&line.at), &line.by, &line.action, reason, &line.what.to_string()]
                .map(printable)
        };
        let rows: Vec<[String; 5]> = lines.iter().map(row).collect();
        print!("{}", table::render(["WHEN (UTC)", "WHO", "ACTION", "WHY", "WHAT"], &rows));
        Ok(ExitCode::SUCCESS)
    }
}
