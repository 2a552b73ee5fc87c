//! `refused`: which requests were not accepted, from the engine's log or the API's access log.

use std::cell::RefCell;
use std::process::ExitCode;

use anyhow::bail;
use commands::Refused;
use domain::refusal::Rule;
use domain::time::Timestamp;
use rusqlite::Row;
use serde_json::{Value, json};
use terminal::table::{Columns, Width};

use crate::environment::{self, Environment, Host};
use crate::history::{History, pattern, time_of};
use crate::people::{self, printable};
use crate::scratch::Scratch;
use crate::zone;

const TABLES: &str = "
    CREATE TABLE refused (
        at_ms INTEGER, status INTEGER, rule TEXT, place TEXT, why TEXT, request_id TEXT, source TEXT,
        unsaid INTEGER
    );
    CREATE INDEX refused_in_time ON refused (at_ms);";

/// A request that was not accepted.
struct Request {
    at: Timestamp,
    status: u16,
    rule: String,
    /// Method and path, or the route's key.
    place: String,
    why: Option<String>,
    id: Option<String>,
    source: Option<String>,
    /// How many others have no line of their own.
    unsaid: u64,
}

pub(crate) async fn run(given: Refused) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let now = environment.queue_time().await?;
    let since = given.since.at(now);
    let found = Scratch::with(TABLES)?;
    let log = log(&environment)?;
    let (wanted, read): (_, fn(&Value) -> Option<Request>) = match &log {
        History::Engine(_) => (pattern("message", &["refused"]), of_engine),
        History::LogGroup { .. } => (pattern("status", &["4*", "5*"]), of_access_log),
    };
    let noted = RefCell::new(Ok(()));
    let note = |line: &Value| {
        let mut noted = noted.borrow_mut();
        if let (Ok(()), Some(request)) = (&*noted, read(line).filter(|it| it.at >= since)) {
            *noted = keep(&found, &request);
        }
        // Nothing is kept of it here.
        false
    };
    let looked = log.look(&wanted, since, note).await?;
    noted.into_inner()?;
    let cut = log.cut(&looked);
    if let Some(cut) = &cut {
        eprintln!("unknown: what else was refused ({cut})");
    }
    let rules = rules(&found)?;
    let limit = given.limit;
    if given.output.json() {
        print_json(&found, limit, looked.cut.unwrap_or(since), cut.as_deref(), &rules)?;
    } else if rules.is_empty() {
        println!(
            "no request was refused since {}, by {}{}",
            zone::in_words(since),
            log.name(),
            if cut.is_some() { ", as far as it could be read" } else { "" }
        );
    } else {
        print_table(&found, limit, people::width(given.output))?;
        for (rule, count) in &rules {
            let what_to_do = Rule::named(rule).unwrap_or(Rule::Unknown).what_to_do();
            println!("{count} × {}: {what_to_do}", printable(rule));
        }
        println!("not in the queue: what is wanted of it the sender has to send again");
    }
    Ok(if cut.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where refused requests are noted.
fn log(environment: &Environment) -> anyhow::Result<History> {
    match &environment.host {
        Host::Engine { .. } => Ok(environment.history()),
        Host::Aws { sdk, deployment } => {
            let has_own_api = deployment.aws.as_ref().is_none_or(|aws| aws.api.is_none());
            if !has_own_api {
                bail!(
                    "the API of {0} is not its own (`aws.api`), and what is refused there is in the access \
                     log of that API's owner, where its stage has one",
                    environment.name
                );
            }
            // Source: `modules/http-api`.
            Ok(History::LogGroup {
                client: aws_sdk_cloudwatchlogs::Client::new(sdk),
                name: format!("/aws/apigateway/{}-webhook", deployment.config.environment()),
            })
        }
    }
}

/// A line `refused` of the engine.
fn of_engine(line: &Value) -> Option<Request> {
    if line["message"] != "refused" {
        return None;
    }
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let status = u16::try_from(line["status"].as_u64()?).ok()?;
    Some(Request {
        at: time_of(line)?,
        status,
        // An engine of before has none in its lines.
        rule: text("rule").unwrap_or_else(|| Rule::Unknown.to_string()),
        place: format!("{} {}", line["method"].as_str()?, line["path"].as_str()?),
        why: text("reason"),
        id: text("request_id"),
        source: text("source"),
        unsaid: line["unsaid"].as_u64().unwrap_or_default(),
    })
}

/// A line of the access log, as `modules/http-api` has it written: every value a text, `-` where API
/// Gateway has none.
fn of_access_log(line: &Value) -> Option<Request> {
    let text = |name: &str| line[name].as_str().filter(|it| !matches!(*it, "" | "-"));
    let status: u16 = text("status")?.parse().ok()?;
    let integration_status = text("integrationStatus").and_then(|it| it.parse().ok());
    let at_ms = text("requestTimeEpoch")?.parse().ok()?;
    let why = text("integrationErrorMessage").or(text("authorizerError")).or(text("errorMessage"));
    (status >= 400).then(|| Request {
        at: Timestamp::from_ms(at_ms),
        status,
        rule: Rule::of_access_log(status, integration_status).to_string(),
        place: text("routeKey").unwrap_or("no route").to_owned(),
        why: why.map(str::to_owned),
        id: text("requestId").map(str::to_owned),
        source: text("sourceIp").map(str::to_owned),
        unsaid: 0,
    })
}

fn keep(found: &Scratch, it: &Request) -> anyhow::Result<()> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let insert = "INSERT INTO refused VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Request { at, status, rule, place, why, id, source, unsaid } = it;
    let (at_ms, unsaid) = (number(at.as_ms()), number(*unsaid));
    found.change(insert, (at_ms, status, rule, place, why, id, source, unsaid)).map(drop)
}

/// How many requests each rule refused, as far as they have lines.
fn rules(found: &Scratch) -> anyhow::Result<Vec<(String, u64)>> {
    let count =
        "SELECT rule, count(*) FROM refused GROUP BY rule ORDER BY count(*) DESC, rule LIMIT 100";
    found.all(count, [], |row| Ok((row.get(0)?, row.get(1).map(i64::unsigned_abs)?)))
}

/// How many have no line.
fn unsaid(found: &Scratch) -> anyhow::Result<u64> {
    let sum =
        found.first("SELECT sum(unsaid) FROM refused", [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(sum.flatten().unwrap_or_default().unsigned_abs())
}

/// Shows `see` the newest, in order of time.
fn each(found: &Scratch, limit: u32, mut see: impl FnMut(&Request)) -> anyhow::Result<()> {
    found.each(
        "SELECT * FROM (SELECT *, rowid AS number FROM refused ORDER BY at_ms DESC, number DESC LIMIT ?1)
         ORDER BY at_ms, number",
        [limit],
        read,
        |it| {
            see(&it);
            Ok(())
        },
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Request> {
    Ok(Request {
        at: Timestamp::from_ms(row.get(0).map(i64::unsigned_abs)?),
        status: row.get(1)?,
        rule: row.get(2)?,
        place: row.get(3)?,
        why: row.get(4)?,
        id: row.get(5)?,
        source: row.get(6)?,
        unsaid: row.get(7).map(i64::unsigned_abs)?,
    })
}

fn print_json(
    found: &Scratch,
    limit: u32,
    since: Timestamp,
    unknown: Option<&str>,
    rules: &[(String, u64)],
) -> anyhow::Result<()> {
    let mut before = "{\n  \"requests\": [\n";
    each(found, limit, |it| {
        let line = json!({
            "at": it.at.to_string(), "status": it.status, "rule": it.rule, "place": it.place,
            "why": it.why, "request_id": it.id, "source": it.source,
        });
        print!("{before}    {line}");
        before = ",\n";
    })?;
    print!("{}", if before == ",\n" { "\n  ],\n" } else { "{\n  \"requests\": [],\n" });
    let rules: serde_json::Map<String, Value> =
        rules.iter().map(|(rule, count)| (rule.clone(), json!(count))).collect();
    println!(
        "  \"rules\": {},\n  \"unsaid\": {},\n  \"since\": \"{since}\",\n  \"unknown\": {}\n}}",
        json!(rules),
        unsaid(found)?,
        json!(unknown.into_iter().collect::<Vec<_>>())
    );
    Ok(())
}

fn print_table(found: &Scratch, limit: u32, width: Width) -> anyhow::Result<()> {
    let time = zone::heading("TIME");
    let heading = [&*time, "STATUS", "RULE", "WHERE", "REQUEST ID", "WHY"];
    let mut columns = Columns::new(heading);
    let mut shown = 0_u64;
    each(found, limit, |it| {
        shown += 1;
        columns.widen(&cells(it));
    })?;
    columns.fit(width);
    print!("{}", columns.heading());
    each(found, limit, |it| print!("{}", columns.line(&cells(it))))?;
    let all = found.first("SELECT count(*) FROM refused", [], |row| row.get::<_, i64>(0))?;
    let all = all.unwrap_or_default().unsigned_abs();
    if shown < all {
        println!("the newest {shown} of {all}");
    }
    if let unsaid @ 1.. = unsaid(found)? {
        println!("and {} that have no line of their own", people::count(unsaid, "request"));
    }
    Ok(())
}

fn cells(it: &Request) -> [String; 6] {
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
    [
        zone::to_the_second(it.at),
        it.status.to_string(),
        printable(&it.rule),
        printable(&it.place),
        text(&it.id),
        text(&it.why),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_engine_of_before_has_no_rule() {
        let line = json!({
            "timestamp": "2026-01-01T00:00:00Z", "message": "refused", "method": "GET", "path": "/x",
            "status": 404, "reason": "Not Found",
        });
        let request = of_engine(&line).unwrap();
        assert_eq!((request.rule.as_str(), request.id), ("unknown", None));
        assert!(of_engine(&json!({ "message": "accepted" })).is_none());
    }

    #[test]
    fn what_was_accepted_is_not_refused() {
        let line = |status: &str| json!({ "requestTimeEpoch": "1767225600000", "status": status, "routeKey": "-" });
        assert!(of_access_log(&line("200")).is_none());
        let request = of_access_log(&line("404")).unwrap();
        assert_eq!((request.place.as_str(), request.status), ("no route", 404));
    }
}
