//! `dlq log`: who did what, when and why.

use std::process::ExitCode;

use commands::dlq::Log;
use serde_json::Value;
use terminal::table;

use crate::audit::Line;
use crate::audit::read::{Actions, Told, not_told};
use crate::environment;
use crate::people::{self, printable};
use crate::zone;

pub(super) async fn run(given: Log) -> anyhow::Result<ExitCode> {
    let Actions { lines, torn } =
        environment::connect(&given.environment).await?.audit().read().await?;
    let code = if torn == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if torn > 0 {
        eprintln!("{}", not_told(torn));
    }
    if given.output.json() {
        for line in &lines {
            println!("{}", serde_json::to_string(line)?);
        }
        return Ok(code);
    }
    if lines.is_empty() {
        if torn == 0 {
            println!("nobody has changed anything");
        }
        return Ok(code);
    }
    let row = |line: &Line| {
        let reason = line.reason.as_deref().unwrap_or("-");
        let result = Told::by(line, &lines).text();
        let what = told(&line.what);
        [&zone::kept_to_the_second(&line.at), &line.by, &line.action, result, reason, &what]
            .map(printable)
    };
    let rows: Vec<[String; 6]> = lines.iter().map(row).collect();
    let width = people::width(given.output);
    let when = zone::heading("WHEN");
    let headings = [&*when, "WHO", "ACTION", "RESULT", "WHY", "WHAT"];
    print!("{}", table::render(headings, &rows, width));
    Ok(code)
}

/// As many of a list are told one by one.
const TOLD_MAX: usize = 10;

/// What was done, in a line: names and values, without those that say nothing. `--json` has all.
fn told(what: &Value) -> String {
    let mut said = Vec::new();
    tell(what, "", &mut said);
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

fn tell(value: &Value, name: &str, said: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => said.push(name.to_owned()),
        Value::Object(members) => {
            // How it stands has a column of its own.
            let is_told = |member: &str| matches!(member, "state" | "started_at" | "result");
            for (member, value) in members.iter().filter(|(member, _)| !is_told(member)) {
                let name =
                    if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                tell(value, &name, said);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) if items.len() > TOLD_MAX => {
            said.push(format!("{name} {} of them", items.len()));
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            said.push(format!("{name} {}", items.join(" ")));
        }
        other => said.push(format!("{name} {}", text(other))),
    }
}

/// A string as it is, anything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_many_their_number_is_told() {
        let ids: Vec<String> = (0..=TOLD_MAX).map(|n| n.to_string()).collect();
        assert_eq!(told(&json!({ "sent_ids": ids })), "sent_ids 11 of them");
        assert_eq!(told(&json!({ "sent_ids": ids[..2] })), "sent_ids 0 1");
    }

    #[test]
    fn an_action_is_told_without_what_says_nothing() {
        let what = json!({
            "all": true, "chosen": 500, "event_ids": [], "failed": 0, "interrupted": false,
            "selection": { "grep": false, "group": "顧客-1", "reason": null }, "state": "started",
        });
        let expected = "all, chosen 500, failed 0, selection.group 顧客-1";
        assert_eq!(told(&what), expected);
        assert_eq!(told(&json!({ "event_ids": ["a", "b"] })), "event_ids a b");
        assert_eq!(told(&json!({})), "-");
    }

    #[test]
    fn as_many_as_fit_are_named() {
        let ids: Vec<String> = (0..TOLD_MAX).map(|n| n.to_string()).collect();
        assert_eq!(told(&json!({ "sent_ids": ids })), "sent_ids 0 1 2 3 4 5 6 7 8 9");
    }
}
