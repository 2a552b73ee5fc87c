//! `dlq stats`

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::json;

use super::select::SelectArgs;
use super::{Summary, look, printable};
use crate::environment::EnvironmentArgs;
use crate::{people, table};

/// Count the dead letters by route, reason and hour
///
/// To count them, all dead letters are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} dlq stats dev\n  {program} dlq stats dev --since 2h --json")
)]
pub(crate) struct Stats {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    select: SelectArgs,
}

impl Stats {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let selection = self.select.selection();
        let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        look(&environment, |message| {
            if selection.includes(message) {
                let Summary { route, reason, dead_since, .. } = Summary::of(message);
                let hour = dead_since.get(..13).unwrap_or(&dead_since).replace('T', " ");
                let route = route.unwrap_or_else(|| "-".to_owned());
                *counts.entry((route, reason, hour)).or_default() += 1;
            }
        })
        .await?;
        let total: u64 = counts.values().sum();
        if self.json {
            let counts: Vec<_> = counts
                .iter()
                .map(|((route, reason, hour), count)| {
                    let hour = format!("{}:00:00Z", hour.replace(' ', "T"));
                    json!({ "route": route, "reason": reason, "hour": hour, "count": count })
                })
                .collect();
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "total": total, "counts": counts }))?
            );
            return Ok(ExitCode::SUCCESS);
        }
        if total == 0 {
            println!("no dead letters");
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 4]> = counts
            .into_iter()
            .map(|((route, reason, hour), count)| {
                [printable(&route), reason, format!("{hour}:00"), count.to_string()]
            })
            .collect();
        print!("{}", table::render(["ROUTE", "REASON", "DEAD SINCE (UTC)", "COUNT"], &rows));
        println!("{}", people::count(total, "dead letter"));
        Ok(ExitCode::SUCCESS)
    }
}
