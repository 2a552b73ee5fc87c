//! `dlq list`

use std::process::ExitCode;

use commands::dlq::List;
use domain::dead_letter::redrive_order;
use domain::message::Message;
use terminal::table::{Columns, Width};

use super::choice::Choice;
use super::look::look;
use super::{Summary, check_route};
use crate::environment;
use crate::people::{self, printable};
use crate::scratch::Scratch;
use crate::zone;

/// What is listed, in the order in which it is shown.
const TABLES: &str = "
    CREATE TABLE found (sent_at_ms INTEGER, place TEXT, summary TEXT);
    CREATE INDEX found_in_order ON found (sent_at_ms, place);";

pub(super) async fn run(given: List) -> anyhow::Result<ExitCode> {
    let given = given.looking;
    let environment = environment::connect(&given.environment).await?;
    let select = given.select.select();
    check_route(&environment, &select).await?;
    let mut choice = Choice::of(&select, environment.queue_time().await?)?;
    let found = Scratch::with(TABLES)?;
    let mut total = 0_u64;
    let looked = look(&environment, |letter| {
        if choice.includes(letter) {
            total += 1;
            keep(&found, letter)?;
        }
        Ok(())
    })
    .await?;
    choice.check(looked)?;
    let limit = given.limit.unwrap_or(total).min(total);
    if given.output.json() {
        print_json(&found, limit)?;
    } else if total == 0 {
        println!("{}", super::none(looked, &select));
    } else {
        let width = people::width(given.output);
        print_table(&found, limit, width)?;
        if limit < total {
            println!("{limit} of {total} dead letters");
        }
    }
    Ok(looked.exit_code())
}

fn print_json(found: &Scratch, limit: u64) -> anyhow::Result<()> {
    let mut before = "[\n";
    each(found, limit, |summary| {
        let json = serde_json::to_string_pretty(summary)?.replace('\n', "\n  ");
        print!("{before}  {json}");
        before = ",\n";
        Ok(())
    })?;
    print!("{}", if before == ",\n" { "\n]\n" } else { "[]\n" });
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

fn print_table(found: &Scratch, limit: u64, width: Width) -> anyhow::Result<()> {
    let accepted = zone::heading("ACCEPTED");
    let mut columns = Columns::new([
        "EVENT ID",
        "ROUTE",
        "GROUP",
        "CLASS",
        "STATUS",
        "ATTEMPTS",
        &accepted,
        "DEAD SINCE",
    ]);
    each(found, limit, |summary| {
        columns.widen(&row(summary));
        Ok(())
    })?;
    columns.fit(width);
    print!("{}", columns.heading());
    each(found, limit, |summary| {
        print!("{}", columns.line(&row(summary)));
        Ok(())
    })
}

fn row(summary: &Summary) -> [String; 8] {
    let what = summary.status.map(|status| status.to_string());
    [
        printable(&summary.event_id),
        printable(summary.route.as_deref().unwrap_or("-")),
        printable(&summary.group),
        summary.reason.clone(),
        what.or_else(|| summary.error.as_deref().map(printable)).unwrap_or_else(|| "-".into()),
        summary.attempts.to_string(),
        zone::kept_to_the_second(&summary.accepted_at),
        zone::kept_to_the_second(&summary.dead_since),
    ]
}
