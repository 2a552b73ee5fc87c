//! `dlq show`

use std::process::ExitCode;

use commands::dlq::Show;
use domain::attribute::FAILURE;
use domain::dead_letter::{failure_of, redrive_order};
use domain::message::Message;
use serde_json::{Value, json};

use super::Summary;
use super::look::{Typed, look};
use crate::environment::{self, Environment};
use crate::history::pattern;
use crate::interrupt::unless_interrupted;
use crate::letter::DeadLetter;
use crate::people::{printable, printable_lines};
use crate::trace::{self, Step};

pub(super) async fn run(given: Show) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let mut found = Vec::new();
    let typed = [given.event_id];
    let mut ids = Typed::new(&typed);
    let looked = look(&environment, |message| {
        if ids.meet(message.event_id()) {
            found.push(message.clone());
        }
        Ok(())
    })
    .await?;
    let meant = ids.resolve_all(looked)?;
    found.retain(|message| meant.contains(message.event_id()));
    found.sort_by_key(|message| (message.sent_at, redrive_order(message)));
    let history = unless_interrupted(history(&environment, &found)).await;
    for message in &found {
        if given.json {
            let mut letter = as_json(message)?;
            letter["history"] = json!(history.as_ref().ok());
            println!("{letter:#}");
        } else {
            print!("{}", render(message, &history));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the log tells of the event since it was accepted.
async fn history(environment: &Environment, found: &[DeadLetter]) -> anyhow::Result<Vec<Step>> {
    let since = found.iter().map(|letter| letter.said_accepted_at()).min().unwrap_or_default();
    let event_id = found.first().map(|letter| letter.event_id()).unwrap_or_default();
    let about = |line: &Value| line["event_id"] == *event_id;
    let of_event = pattern("event_id", &[event_id]);
    let history = environment.history();
    let found = history.look(&of_event, since, about).await?;
    if let Some(cut) = history.cut(&found) {
        eprintln!("note: {cut}");
    }
    Ok(trace::steps(&found.lines))
}

fn as_json(message: &Message) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(Summary::of(message))?;
    value["headers"] = json!(message.headers().collect::<std::collections::BTreeMap<_, _>>());
    let failure = failure_of(message);
    value["location"] = json!(failure.as_ref().and_then(|failure| failure.location.as_ref()));
    value["response"] = json!(failure.as_ref().and_then(|failure| failure.response.as_ref()));
    value["body"] = json!(message.body);
    Ok(value)
}

fn render(message: &Message, history: &anyhow::Result<Vec<Step>>) -> String {
    let summary = Summary::of(message);
    let failure = failure_of(message);
    let mut lines = vec![
        ("event id", summary.event_id),
        ("message id", summary.message_id),
        ("route", summary.route.unwrap_or_else(|| "-".to_owned())),
        ("group", summary.group),
        ("class", summary.reason),
    ];
    let optional = [
        ("destination", summary.destination),
        ("status", summary.status.map(|status| status.to_string())),
        ("error", summary.error),
        ("location", failure.as_ref().and_then(|failure| failure.location.clone())),
    ];
    lines.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    lines.push(("attempts", summary.attempts.to_string()));
    lines.push(("accepted", summary.accepted_at));
    lines.push(("dead since", summary.dead_since));
    let mut text: Vec<String> =
        lines.iter().map(|(name, value)| format!("{name:<12} {}", printable(value))).collect();
    text.extend(message.headers().map(|(name, value)| {
        format!("{:<12} {}: {}", "header", printable(name), printable(value))
    }));
    text.push(match history {
        Ok(steps) if steps.is_empty() => {
            "\nhistory: the log tells nothing of it any more".to_owned()
        }
        Ok(steps) => format!("\nhistory\n{}", trace::steps_for_people(steps).trim_end()),
        Err(error) => format!("\nhistory: unknown ({error:#})"),
    });
    if let Some(response) = failure.and_then(|failure| failure.response) {
        text.push(format!("\nresponse\n{}", printable_lines(&response)));
    } else if message.attributes.contains_key(FAILURE) && failure_of(message).is_none() {
        text.push("\nthe failure record is not readable".to_owned());
    }
    text.push(format!("\nbody ({} bytes)\n{}\n", message.body.len(), body(&message.body)));
    text.join("\n")
}

/// The body for people: indented when it is JSON.
fn body(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let pretty = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
    printable_lines(pretty.as_deref().unwrap_or(body))
}
