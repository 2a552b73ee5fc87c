//! `logs`: the log of an environment, and with `--follow` what is written from then on.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use commands::Logs;
use serde_json::Value;

use crate::environment::{self, Host};
use crate::history::Following;
use crate::people::printable;
use crate::zone;
use crate::{progress, trace};

/// Between two looks of `--follow`.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The same on AWS, whose log groups may be asked five times a second by the whole account.
const LOOK_EVERY_ON_AWS: Duration = Duration::from_secs(5);

/// Fields of a line that have a place of their own, or say nothing to people.
const PLACED: [&str; 4] = ["timestamp", "level", "message", "event_id"];

pub(crate) async fn run(given: Logs) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let since = given.since.at(environment.queue_time().await?);
    let is_engine = matches!(environment.host, Host::Engine { .. });
    let history = environment.history();
    let mut following = Following::new(&history, since);
    let _between_looks = given.follow.then(progress::quiet);
    let (mut is_whole, mut said) = (true, String::new());
    loop {
        let mut out = Vec::new();
        let looked = following
            .next(|line| {
                let line = if given.output.json() { line.to_owned() } else { in_words(line) };
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            })
            .await;
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(&out).and_then(|()| stdout.flush()) {
            // Nobody reads any more.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.context("writing to standard output")?,
        }
        drop(stdout);
        if let Some(missing) = looked? {
            is_whole = false;
            if missing != said {
                eprintln!("unknown: lines are missing ({missing})");
                said = missing;
            }
        }
        if !given.follow {
            return Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        tokio::time::sleep(if is_engine { LOOK_EVERY } else { LOOK_EVERY_ON_AWS }).await;
    }
}

/// A line for people: when, what, of which event, and how it went. What is no JSON is shown as it is.
fn in_words(line: &str) -> String {
    let Ok(json) = serde_json::from_str::<Value>(line) else { return printable(line) };
    let Some(message) = json["message"].as_str() else { return printable(line) };
    let at = zone::kept_to_the_millisecond(json["timestamp"].as_str().unwrap_or_default());
    let event_id = json["event_id"].as_str().map(printable);
    let told = event_id.is_some().then(|| trace::text(&json)).filter(|text| !text.is_empty());
    let told = told.unwrap_or_else(|| fields(&json));
    let parts = [format!("{at:<23}"), printable(message), event_id.unwrap_or_default(), told];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

/// The fields of a line of the engine's own, by name.
fn fields(json: &Value) -> String {
    let fields = json.as_object().into_iter().flatten();
    let fields =
        fields.filter(|(name, value)| !PLACED.contains(&name.as_str()) && !value.is_null());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields: Vec<String> =
        fields.map(|(name, value)| printable(&format!("{name} {}", text(value)))).collect();
    fields.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_in_words_and_what_is_none_as_it_is() {
        let retry = r#"{"timestamp":"2026-01-01T00:00:00.123Z","message":"retry","event_id":"e-1",
            "destination":"sss","status":503,"attempt":2,"retry_in_ms":4000}"#;
        assert_eq!(
            in_words(retry),
            "2026-01-01 00:00:00.123  retry  e-1  sss answered 503, attempt 2; again in 4 s"
        );
        let of_engine = r#"{"timestamp":"2026-01-01T00:00:00.123Z","level":"INFO","message":"listening","api":"127.0.0.1:1"}"#;
        assert_eq!(in_words(of_engine), "2026-01-01 00:00:00.123  listening  api 127.0.0.1:1");
        assert_eq!(in_words("START \u{1b}[2J"), "START \u{fffd}[2J");
    }
}
