//! `cargo xtask releases`

use std::process::ExitCode;

use serde_json::Value;

use super::release::{self, Kind, Release, State};
use super::{Environment, preflight};

/// Show what was deployed to an environment: which code, when, by whom, and how far it came
///
/// What `passed` or was `skipped` is live and well, as far as it was tried; `failed` names the step;
/// what is `started` has no end: it was killed, or still runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask releases dev\n  cargo xtask releases dev --json | jq -r '.[0].sha256'"
)]
pub(crate) struct Releases {
    /// Environment
    #[arg(value_name = "ENV")]
    environment: String,

    /// Print JSON, the newest release first
    #[arg(long)]
    json: bool,
}

impl Releases {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = Environment::load(&self.environment)?;
        let (operator, _) = preflight::identify(&environment)?;
        let releases = release::all(&environment.name, &operator)?;
        if self.json {
            let documents: anyhow::Result<Vec<Value>> =
                releases.iter().map(Release::document).collect();
            println!("{}", serde_json::to_string_pretty(&documents?)?);
        } else if releases.is_empty() {
            println!("nothing was ever deployed to {}", environment.name);
        } else {
            print!("{}", table(&releases));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(releases: &[Release]) -> String {
    let heading = ["RELEASE", "COMMIT", "HOW", "STATE", "BY"].map(str::to_owned);
    let rows = releases.iter().map(|Release { id, record }| {
        let how = match (record.kind, &record.from) {
            (Kind::Deploy, _) => "deploy".to_owned(),
            (Kind::Promote, from) => format!("from {}", from.as_deref().unwrap_or("?")),
            (Kind::Rollback, _) => "rollback".to_owned(),
            (Kind::Destroy, _) => "destroy".to_owned(),
        };
        let dirty = if record.dirty { "+changes" } else { "" };
        let commit = format!("{}{dirty}", record.short_commit());
        // The reason is in the JSON.
        let state = match &record.state {
            State::Skipped { .. } => "skipped".to_owned(),
            State::Failed { step, .. } => format!("failed: {step}"),
            state => state.to_string(),
        };
        [id.clone(), commit, how, state, record.by.clone()]
    });
    let rows: Vec<[String; 5]> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let [id, commit, how, state, by] = row;
        format!(
            "{id:<a$}  {commit:<b$}  {how:<c$}  {state:<d$}  {by}\n",
            a = widths[0],
            b = widths[1],
            c = widths[2],
            d = widths[3]
        )
    };
    rows.iter().map(line).collect()
}
