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
use crate::message_text;
use crate::people::printable;
use crate::trace::{self, Step};
use crate::zone;

pub(super) async fn run(given: Show) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let mut found = Vec::new();
    let typed = [given.of.event_id];
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
    let told = unless_interrupted(history(&environment, &found)).await;
    let unknown: Option<String> = match &told {
        Ok((_, cut)) => cut.as_ref().map(|cut| format!("what else happened to it ({cut})")),
        Err(error) => Some(format!("what happened to it ({error:#})")),
    };
    let history = told.map(|(steps, _)| steps);
    for message in &found {
        if given.output.json() {
            let mut letter = as_json(message)?;
            letter["history"] = json!(history.as_ref().ok());
            letter["unknown"] = json!(unknown.iter().collect::<Vec<_>>());
            println!("{letter:#}");
        } else {
            print!("{}", render(message, &history));
        }
    }
    if let Some(unknown) = unknown.as_ref().filter(|_| !given.output.json()) {
        eprintln!("unknown: {}", printable(unknown));
    }
    Ok(if unknown.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the log tells of the event since it was accepted, and what it could not tell.
async fn history(
    environment: &Environment,
    found: &[DeadLetter],
) -> anyhow::Result<(Vec<Step>, Option<String>)> {
    let since = found.iter().map(|letter| letter.said_accepted_at()).min().unwrap_or_default();
    let event_id = found.first().map(|letter| letter.event_id()).unwrap_or_default();
    let about = |line: &Value| line["event_id"] == *event_id;
    let of_event = pattern("event_id", &[event_id]);
    let history = environment.history();
    let found = history.look(&of_event, since, about).await?;
    Ok((trace::folded(trace::steps(&found.lines)), history.cut(&found)))
}

/// A dead letter for programs.
pub(crate) fn as_json(message: &Message) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(Summary::of(message))?;
    value["headers"] = message_text::headers_json(message);
    let failure = failure_of(message);
    value["location"] = json!(failure.as_ref().and_then(|failure| failure.location.as_ref()));
    value["response"] = json!(failure.as_ref().and_then(|failure| failure.response.as_ref()));
    value["body"] = json!(message.body);
    Ok(value)
}

/// What is known of a dead letter, beside headers and body; names and values.
pub(crate) fn fields(message: &Message) -> Vec<(&'static str, String)> {
    let summary = Summary::of(message);
    let mut fields = vec![
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
        ("location", failure_of(message).and_then(|failure| failure.location)),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    fields.push(("issue", summary.issue));
    fields.push(("attempts", summary.attempts.to_string()));
    fields.push(("accepted", zone::exact(message.said_accepted_at())));
    fields.push(("dead since", zone::exact(message.sent_at)));
    fields
}

/// The service's last answer, as the dead letter's record has it.
pub(crate) fn response(message: &Message) -> Option<String> {
    match failure_of(message) {
        Some(failure) => failure.response.map(|response| message_text::response(&response)),
        None => message
            .attributes
            .contains_key(FAILURE)
            .then(|| "\nthe failure record is not readable".to_owned()),
    }
}

fn render(message: &Message, history: &anyhow::Result<Vec<Step>>) -> String {
    let fields = fields(message);
    let mut text: Vec<String> =
        fields.iter().map(|(name, value)| message_text::field(name, value)).collect();
    text.extend(message_text::headers(message));
    text.push(message_text::history(match history {
        Ok(steps) => Ok(steps),
        Err(error) => Err(format!("{error:#}")),
    }));
    text.extend(response(message));
    text.push(message_text::body(&message.body));
    text.join("\n") + "\n"
}
