//! `dlq issues`

use std::process::ExitCode;

use commands::dlq::Issues;
use domain::dead_letter::group_of;
use domain::issue::Issue;
use domain::time::Timestamp;
use serde_json::{Value, json};
use terminal::table::{Columns, Width};

use super::check_route;
use super::choice::Choice;
use super::look::look;
use crate::environment;
use crate::letter::DeadLetter;
use crate::people::{self, printable};
use crate::queue::Looked;
use crate::scratch::Scratch;
use crate::zone;

const TABLES: &str = "
    CREATE TABLE issues (
        name TEXT PRIMARY KEY, route TEXT, status TEXT, answer TEXT, letters INTEGER,
        first_ms INTEGER, last_ms INTEGER, keys INTEGER DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE keys (name TEXT, group_name TEXT, PRIMARY KEY (name, group_name)) WITHOUT ROWID;";

/// An issue with its dead letters.
struct Row {
    name: String,
    route: Option<String>,
    status: String,
    answer: String,
    count: u64,
    /// When the first of those that are there became a dead letter, and when the last.
    first: Timestamp,
    last: Timestamp,
    keys: u64,
}

pub(super) async fn run(given: Issues) -> anyhow::Result<ExitCode> {
    let given = given.looking;
    let environment = environment::connect(&given.environment).await?;
    let select = given.select.select();
    check_route(&environment, &select).await?;
    let mut choice = Choice::of(&select, environment.queue_time().await?)?;
    let found = Scratch::with(TABLES)?;
    let looked =
        look(
            &environment,
            |letter| {
                if choice.includes(letter) { note(&found, letter) } else { Ok(()) }
            },
        )
        .await?;
    choice.check(looked)?;
    let count =
        "UPDATE issues SET keys = (SELECT count(*) FROM keys WHERE keys.name = issues.name)";
    found.change(count, [])?;
    let (total, letters) = totals(&found)?;
    let limit = given.limit.unwrap_or(total).min(total);
    if given.output.json() {
        print_json(&found, limit, total, letters, looked)?;
    } else if total == 0 {
        println!("{}", super::none(looked, &select));
    } else {
        let width = people::width(given.output);
        print_table(&found, limit, width)?;
        let letters = people::count(letters, "dead letter");
        if limit < total {
            println!("{limit} of {total} issues, of {letters}");
        } else {
            println!("{} of {letters}", people::count(total, "issue"));
        }
    }
    Ok(looked.exit_code())
}

fn note(found: &Scratch, letter: &DeadLetter) -> anyhow::Result<()> {
    let issue = Issue::of(letter);
    let at_ms = i64::try_from(letter.sent_at.as_ms()).unwrap_or(i64::MAX);
    found.change(
        "INSERT INTO issues (name, route, status, answer, letters, first_ms, last_ms)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5) ON CONFLICT DO UPDATE SET
         letters = letters + 1, first_ms = min(first_ms, ?5), last_ms = max(last_ms, ?5)",
        (issue.name(), issue.route(), issue.status(), issue.answer(), at_ms),
    )?;
    let key = "INSERT INTO keys VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    found.change(key, [issue.name(), &group_of(letter)]).map(drop)
}

/// How many issues there are, and of how many dead letters.
fn totals(found: &Scratch) -> anyhow::Result<(u64, u64)> {
    let counted = found.first("SELECT count(*), sum(letters) FROM issues", [], |row| {
        let letters = row.get::<_, Option<i64>>(1)?.unwrap_or_default();
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), letters.unsigned_abs()))
    })?;
    Ok(counted.unwrap_or_default())
}

/// Shows `see` the most frequent.
fn each(found: &Scratch, limit: u64, mut see: impl FnMut(&Row)) -> anyhow::Result<()> {
    found.each(
        "SELECT name, route, status, answer, letters, first_ms, last_ms, keys FROM issues
         ORDER BY letters DESC, name LIMIT ?1",
        [i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            let number = |place| row.get(place).map(i64::unsigned_abs);
            Ok(Row {
                name: row.get(0)?,
                route: row.get(1)?,
                status: row.get(2)?,
                answer: row.get(3)?,
                count: number(4)?,
                first: Timestamp::from_ms(number(5)?),
                last: Timestamp::from_ms(number(6)?),
                keys: number(7)?,
            })
        },
        |row| {
            see(&row);
            Ok(())
        },
    )
}

fn print_json(
    found: &Scratch,
    limit: u64,
    total: u64,
    letters: u64,
    looked: Looked,
) -> anyhow::Result<()> {
    let mut before = "{\n  \"issues\": [\n";
    each(found, limit, |row| {
        print!("{before}    {}", as_json(row));
        before = ",\n";
    })?;
    print!("{}", if before == ",\n" { "\n  ],\n" } else { "{\n  \"issues\": [],\n" });
    println!(
        "  \"total\": {total},\n  \"dead_letters\": {letters},\n  \"unseen\": {}\n}}",
        looked.unseen()
    );
    Ok(())
}

fn as_json(row: &Row) -> Value {
    json!({
        "name": row.name, "count": row.count, "route": row.route, "status": row.status,
        "answer": row.answer, "first": row.first.to_string(), "last": row.last.to_string(),
        "keys": row.keys,
    })
}

fn print_table(found: &Scratch, limit: u64, width: Width) -> anyhow::Result<()> {
    let first = zone::heading("FIRST");
    let heading = ["ISSUE", "COUNT", "KEYS", "ROUTE", "STATUS", &first, "LAST", "ANSWER"];
    let mut columns = Columns::new(heading);
    each(found, limit, |row| columns.widen(&cells(row, width)))?;
    columns.fit(width);
    print!("{}", columns.heading());
    each(found, limit, |row| print!("{}", columns.line(&cells(row, width))))
}

fn cells(row: &Row, width: Width) -> [String; 8] {
    // Both are of the last two weeks: beside the others there is no room for year and seconds.
    let time = |at: Timestamp| {
        if width == Width::Any { zone::to_the_second(at) } else { zone::short(at) }
    };
    let text = |text: &str| if text.is_empty() { "-".to_owned() } else { printable(text) };
    [
        row.name.clone(),
        row.count.to_string(),
        row.keys.to_string(),
        text(row.route.as_deref().unwrap_or_default()),
        text(&row.status),
        time(row.first),
        time(row.last),
        text(&row.answer),
    ]
}
