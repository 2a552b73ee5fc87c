//! `doctor`: checks everything that deliveries depend on and an operator can mend, and says how.

mod checks;
mod destination;
mod disk;
mod environment;
mod preflight;

use std::process::ExitCode;

use serde_json::json;

use crate::environment::EnvironmentArgs;
use crate::people;
use checks::{Check, Checks, Verdict};

/// Check what deliveries depend on, and say what to do
///
/// The configuration, credentials and permissions, the queues' settings, the function's mapping, the
/// destinations (a connection, its TLS, and `OPTIONS *`, which does nothing there), certificates, the
/// clock, the loss meter, and on one machine the disk. Destinations are tried from where this runs; a
/// function in a VPC may reach others. Before the first deployment to AWS: the tools, the credentials,
/// the buckets, the account's quota, and whether the names are free.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} doctor local\n  {program} doctor dev --json | jq \
                  '.checks[] | select(.verdict != \"ok\")'\n\n\
                  Exit codes: 0 nothing failed (warnings may be there); 1 something failed")
)]
pub(crate) struct Doctor {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut checks = Checks::default();
        let environment = Box::pin(environment::check(&self.environment, &mut checks)).await?;
        let worst = checks.worst();
        if self.json {
            let checks = checks.all();
            let document = json!({
                "environment": environment, "verdict": worst, "checks": checks,
            });
            people::print(&format!("{document:#}\n"))?;
        } else {
            people::print(&render(checks.all()))?;
        }
        Ok(if worst == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let line = |check: &Check| {
        let mut text = format!("{:<4}  {:<width$}  {}\n", check.verdict, check.name, check.found);
        if let Some(advice) = &check.advice {
            text = format!("{text}{:width$}        {advice}\n", "");
        }
        text
    };
    checks.iter().map(line).collect()
}
