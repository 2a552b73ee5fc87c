//! `dlq list`

use std::process::ExitCode;

use domain::dead_letter::redrive_order;

use super::select::SelectArgs;
use super::{Summary, look, printable, short_time};
use crate::environment::EnvironmentArgs;
use crate::table;

/// List the dead letters
///
/// SQS has no way to look without receiving: while the list is made, the dead letters are hidden from
/// other readers (for two minutes, should this command be killed), and each one's receive count goes
/// up by one. A queue that has thousands is hidden longer, some seconds for each hundred. Of the
/// messages that SQS itself moved, at most ten of a group can be seen at a time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask dlq list local\n  cargo xtask dlq list prod --reason rejected --since 2h --limit 20\n  cargo xtask dlq list dev --json | jq -r '.[].event_id'"
)]
pub(crate) struct List {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Show this many at most, the oldest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    select: SelectArgs,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let selection = self.select.selection();
        let mut found = Vec::new();
        look(&environment, |message| {
            if selection.includes(message) {
                found.push(((message.sent_at, redrive_order(message)), Summary::of(message)));
            }
        })
        .await?;
        // The oldest first.
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let total = found.len();
        let limit = self.limit.unwrap_or(total);
        let summaries: Vec<Summary> =
            found.into_iter().map(|(_, summary)| summary).take(limit).collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&summaries)?);
        } else if summaries.is_empty() {
            println!("no dead letters");
        } else {
            print!("{}", render(&summaries));
            if summaries.len() < total {
                println!("{} of {total} dead letters", summaries.len());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn render(summaries: &[Summary]) -> String {
    let rows: Vec<[String; 8]> = summaries
        .iter()
        .map(|summary| {
            let what = summary.status.map(|status| status.to_string());
            [
                printable(&summary.event_id),
                printable(summary.route.as_deref().unwrap_or("-")),
                printable(&summary.group),
                summary.reason.clone(),
                what.or_else(|| summary.error.as_deref().map(printable))
                    .unwrap_or_else(|| "-".into()),
                summary.attempts.to_string(),
                short_time(&summary.accepted_at),
                short_time(&summary.dead_since),
            ]
        })
        .collect();
    let heading = [
        "EVENT ID",
        "ROUTE",
        "GROUP",
        "REASON",
        "STATUS",
        "ATTEMPTS",
        "ACCEPTED (UTC)",
        "DEAD SINCE",
    ];
    table::render(heading, &rows)
}
