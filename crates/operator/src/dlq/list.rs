//! `dlq list`

use std::process::ExitCode;

use domain::dead_letter::redrive_order;
use domain::message::Message;

use super::select::SelectArgs;
use super::{Summary, look, printable, short_time};
use crate::environment::EnvironmentArgs;
use crate::people;
use crate::scratch::Scratch;
use crate::table::Columns;

/// List the dead letters
///
/// SQS has no way to look without receiving: while the list is made, the dead letters are hidden from
/// other readers (for two minutes, should this command be killed), and each one's receive count goes
/// up by one. A queue that has thousands is hidden longer, some seconds for each hundred. Of the
/// messages that SQS itself moved, at most ten of a group can be seen at a time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} dlq list local\n  {program} dlq list prod --reason rejected --since 2h --limit 20\n  {program} dlq list dev --json | jq -r '.[].event_id'")
)]
pub(crate) struct List {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Show this many at most, the oldest
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    select: SelectArgs,
}

/// What is listed, in the order in which it is shown.
const TABLES: &str = "
    CREATE TABLE found (sent_at_ms INTEGER, place TEXT, summary TEXT);
    CREATE INDEX found_in_order ON found (sent_at_ms, place);";

impl List {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let selection = self.select.selection();
        let found = Scratch::with(TABLES)?;
        let (mut total, mut kept) = (0_u64, Ok(()));
        look(&environment, |letter| {
            if kept.is_ok() && selection.includes(letter) {
                total += 1;
                kept = keep(&found, letter);
            }
        })
        .await?;
        kept?;
        let limit = self.limit.unwrap_or(total).min(total);
        if self.json {
            print_json(&found, limit)?;
        } else if total == 0 {
            println!("no dead letters");
        } else {
            print_table(&found, limit)?;
            if limit < total {
                people::print(&format!("{limit} of {total} dead letters\n"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_json(found: &Scratch, limit: u64) -> anyhow::Result<()> {
    let mut before = "[\n";
    each(found, limit, |summary| {
        let json = serde_json::to_string_pretty(summary)?.replace('\n', "\n  ");
        people::print(&format!("{before}  {json}"))?;
        before = ",\n";
        Ok(())
    })?;
    people::print(if before == ",\n" { "\n]\n" } else { "[]\n" })?;
    Ok(())
}

fn keep(found: &Scratch, letter: &Message) -> anyhow::Result<()> {
    let sent_at_ms = i64::try_from(letter.sent_at.as_ms()).unwrap_or(i64::MAX);
    let summary = serde_json::to_string(&Summary::of(letter))?;
    let insert = "INSERT INTO found VALUES (?1, ?2, ?3)";
    found.change(insert, (sent_at_ms, redrive_order(letter), summary)).map(drop)
}

/// Shows `see` the oldest.
fn each(
    found: &Scratch,
    limit: u64,
    mut see: impl FnMut(&Summary) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let oldest = "SELECT summary FROM found ORDER BY sent_at_ms, place LIMIT ?1";
    found.each(
        oldest,
        [limit],
        |row| row.get::<_, String>(0),
        |json| see(&serde_json::from_str(&json)?),
    )
}

fn print_table(found: &Scratch, limit: u64) -> anyhow::Result<()> {
    let mut columns = Columns::new(HEADING);
    each(found, limit, |summary| {
        columns.widen(&row(summary));
        Ok(())
    })?;
    people::print(&columns.heading())?;
    each(found, limit, |summary| Ok(people::print(&columns.line(&row(summary)))?))
}

const HEADING: [&str; 8] =
    ["EVENT ID", "ROUTE", "GROUP", "REASON", "STATUS", "ATTEMPTS", "ACCEPTED (UTC)", "DEAD SINCE"];

fn row(summary: &Summary) -> [String; 8] {
    let what = summary.status.map(|status| status.to_string());
    [
        printable(&summary.event_id),
        printable(summary.route.as_deref().unwrap_or("-")),
        printable(&summary.group),
        summary.reason.clone(),
        what.or_else(|| summary.error.as_deref().map(printable)).unwrap_or_else(|| "-".into()),
        summary.attempts.to_string(),
        short_time(&summary.accepted_at),
        short_time(&summary.dead_since),
    ]
}
