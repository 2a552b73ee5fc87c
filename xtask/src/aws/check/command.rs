//! The command, on a plan of its own or on one that was made before.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;
use terminal::exit::Failure;

use crate::aws::plan::{self, PlanArgs};
use crate::aws::resources::Resources;

/// Check a plan against what must hold: timeouts, encryption, access, alarms, secrets
///
/// Plans as `cargo xtask plan` does, or reads a plan that was saved by `terraform show -json`. Exits
/// with 1 if anything is broken. What depends on values that are known only after the first apply is
/// shown as `later`; `cargo xtask deploy` checks it then.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask check dev\n  cargo xtask check dev --plan plan.json\n  cargo xtask check dev --json | jq '.findings[] | select(.broken != [])'"
)]
pub(crate) struct Check {
    #[command(flatten)]
    of: PlanArgs,

    /// Plan to check, as `terraform show -json` prints it, instead of making one
    #[arg(long, value_name = "FILE", conflicts_with = "artifact")]
    plan: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.of.environment()?;
        let resources = match &self.plan {
            Some(file) => {
                let read = std::fs::read_to_string(file)
                    .with_context(|| format!("reading {}", file.display()))
                    .map_err(|error| Failure::Usage.of(error));
                let plan: Value = serde_json::from_str(&read?)
                    .with_context(|| format!("{} is no JSON", file.display()))
                    .map_err(|error| Failure::Usage.of(error))?;
                Resources::of_plan(&plan)?
            }
            None => plan::make(&environment, &self.of)?.resources,
        };
        let report = super::check(&resources, &environment.config);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{}", report.text());
        }
        Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
