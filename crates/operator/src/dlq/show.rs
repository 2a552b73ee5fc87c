//! `dlq show`

use std::process::ExitCode;

use domain::attribute::FAILURE;
use domain::dead_letter::{failure_of, redrive_order};
use domain::message::Message;
use serde_json::{Value, json};

use super::{Summary, look, printable};
use crate::environment::{Environment, EnvironmentArgs};
use crate::history::pattern;
use crate::interrupt::unless_interrupted;
use crate::letter::DeadLetter;
use crate::trace::{self, Step};

/// Show one dead letter: why it is one, what happened to it, its headers, its body
///
/// To find it, all dead letters are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = crate::program::help("Examples:\n  {program} dlq show local 4f6f…\n  {program} dlq show dev 4f6f… --json | jq -r .body")
)]
pub(crate) struct Show {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Event id, as `dlq list` shows it
    #[arg(value_name = "ID")]
    event_id: String,

    /// Print JSON: an object with the body as text
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mut found = Vec::new();
        look(&environment, |message| {
            if message.event_id() == self.event_id {
                found.push(message.clone());
            }
        })
        .await?;
        found.sort_by_key(|message| (message.sent_at, redrive_order(message)));
        if found.is_empty() {
            anyhow::bail!(
                "no dead letter has event id {:?}; `dlq list` shows those there are",
                self.event_id
            );
        }
        let history = unless_interrupted(self.history(&environment, &found)).await;
        for message in &found {
            if self.json {
                let mut letter = as_json(message)?;
                letter["history"] = json!(history.as_ref().ok());
                println!("{}", serde_json::to_string_pretty(&letter)?);
            } else {
                print!("{}", render(message, &history));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    /// What the log tells of the event since it was accepted.
    async fn history(
        &self,
        environment: &Environment,
        found: &[DeadLetter],
    ) -> anyhow::Result<Vec<Step>> {
        let since = found.iter().map(|letter| letter.said_accepted_at()).min().unwrap_or_default();
        let about = |line: &Value| line["event_id"] == *self.event_id;
        let of_event = pattern("event_id", &[&self.event_id]);
        let history = environment.history();
        let found = history.look(&of_event, since, about).await?;
        if let Some(cut) = history.cut(&found) {
            eprintln!("note: {cut}");
        }
        Ok(trace::steps(&found.lines))
    }
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
        ("reason", summary.reason),
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
        text.push(format!("\nresponse\n{}", printable_block(&response)));
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
    printable_block(pretty.as_deref().unwrap_or(body))
}

/// A text of several lines, without other control characters.
fn printable_block(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}
