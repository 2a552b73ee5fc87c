//! `dlq show`

use std::process::ExitCode;

use domain::attribute::{FAILURE, HEADER_PREFIX};
use domain::dead_letter::{failure_of, redrive_order};
use domain::message::Message;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Summary, look, printable, short_time};
use crate::environment::{Environment, EnvironmentArgs};
use crate::history::pattern;
use crate::letter::DeadLetter;
use crate::{people, table};

/// Show one dead letter: why it is one, what was attempted, its headers, its body
///
/// The attempts are those that the log tells of, as far as it goes back. To find the dead letter, all
/// are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask dlq show local 4f6f…\n  cargo xtask dlq show dev 4f6f… --json | jq -r .body"
)]
pub(crate) struct Show {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Event id, as `dlq list` shows it
    #[arg(value_name = "ID")]
    event_id: String,

    /// Print JSON: an object with the body as text, one after the other if there are several
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
        let attempts = attempts(&environment, &self.event_id, &found).await;
        let attempts = attempts.map_err(|error| format!("{error:#}"));
        if let Err(error) = &attempts {
            eprintln!("note: the log could not be read: {error}");
        }
        let attempts = attempts.ok();
        for message in &found {
            if self.json {
                let json = as_json(message, attempts.as_deref())?;
                people::print(&format!("{json:#}\n"))?;
            } else {
                people::print(&render(message, attempts.as_deref()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An attempt to deliver the event, by the log.
#[derive(Debug, Serialize)]
struct Attempt {
    /// RFC 3339.
    at: Option<String>,
    /// `delivered`, `retry`, `rejected`, `blocked` or `gave_up`.
    outcome: String,
    /// Its number; it begins anew after a redrive.
    number: Option<u64>,
    destination: Option<String>,
    status: Option<u64>,
    /// What happened, if there was no answer.
    error: Option<String>,
    latency_ms: Option<u64>,
    /// In how many milliseconds the next one was to come.
    retry_in_ms: Option<u64>,
}

/// The log's lines that are attempts: something was sent, and answered or not.
const ATTEMPTS: [&str; 5] = ["delivered", "retry", "rejected", "blocked", "gave_up"];

/// The attempts that the log tells of, in order of time.
async fn attempts(
    environment: &Environment,
    event_id: &str,
    letters: &[DeadLetter],
) -> anyhow::Result<Vec<Attempt>> {
    let since = letters.iter().map(|letter| letter.accepted_at()).min().unwrap_or_default();
    let is_one = |line: &Value| {
        line["event_id"] == *event_id && ATTEMPTS.iter().any(|it| line["message"] == **it)
    };
    let lines =
        environment.history().find(&pattern("event_id", &[event_id]), since, is_one).await?;
    let attempt = |line: &Value| {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        Attempt {
            at: text("timestamp"),
            outcome: text("message").unwrap_or_default(),
            number: line["attempt"].as_u64(),
            destination: text("destination"),
            status: line["status"].as_u64(),
            error: text("error"),
            latency_ms: line["latency_ms"].as_u64(),
            retry_in_ms: line["retry_in_ms"].as_u64(),
        }
    };
    Ok(lines.iter().map(attempt).collect())
}

fn headers(message: &Message) -> impl Iterator<Item = (&str, &str)> {
    message.attributes.iter().filter_map(|(name, attribute)| {
        Some((name.strip_prefix(HEADER_PREFIX)?, attribute.value.as_str()))
    })
}

fn as_json(message: &Message, attempts: Option<&[Attempt]>) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(Summary::of(message))?;
    value["headers"] = json!(headers(message).collect::<std::collections::BTreeMap<_, _>>());
    value["history"] = json!(attempts);
    value["response"] = json!(failure_of(message).and_then(|failure| failure.response));
    value["body"] = json!(message.body);
    Ok(value)
}

fn render(message: &Message, attempts: Option<&[Attempt]>) -> String {
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
    ];
    lines.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    lines.push(("attempts", summary.attempts.to_string()));
    lines.push(("accepted", summary.accepted_at));
    lines.push(("dead since", summary.dead_since));
    let mut text: Vec<String> =
        lines.iter().map(|(name, value)| format!("{name:<12} {}", printable(value))).collect();
    text.extend(headers(message).map(|(name, value)| {
        format!("{:<12} {}: {}", "header", printable(name), printable(value))
    }));
    text.push(match attempts {
        None => "\nattempts are not known".to_owned(),
        Some([]) => "\nattempts: the log tells of none".to_owned(),
        Some(attempts) => {
            let rows: Vec<_> = attempts.iter().map(row).collect();
            let heading = ["ATTEMPT", "AT (UTC)", "OUTCOME", "DESTINATION", "ANSWER", "TOOK"];
            format!("\n{}", table::render(heading, &rows).trim_end())
        }
    });
    if let Some(response) = failure.and_then(|failure| failure.response) {
        text.push(format!("\nresponse\n{}", printable_block(&response)));
    } else if message.attributes.contains_key(FAILURE) && failure_of(message).is_none() {
        text.push("\nthe failure record is not readable".to_owned());
    }
    text.push(format!("\nbody ({} bytes)\n{}\n", message.body.len(), body(&message.body)));
    text.join("\n")
}

fn row(attempt: &Attempt) -> [String; 6] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let answer = attempt.status.map(|status| status.to_string());
    [
        or_none(attempt.number.map(|number| number.to_string())),
        or_none(attempt.at.as_deref().map(short_time)),
        printable(&attempt.outcome),
        or_none(attempt.destination.as_deref().map(printable)),
        or_none(answer.or_else(|| attempt.error.as_deref().map(printable))),
        or_none(attempt.latency_ms.map(|ms| format!("{ms} ms"))),
    ]
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
