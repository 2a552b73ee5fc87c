//! `cargo xtask demo`: the whole story, unattended, and whether the promises held.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use terminal::color::{Color, colored};

use crate::engine::{self, Start};
use crate::http::Client;
use crate::operate;
use crate::process::{self, Service};

/// Show the whole story in half a minute: order, an outage, a rejection, a redrive
///
/// Runs on its own ports and in its own folder, and leaves nothing behind. Exits with 0 only if every
/// promise held, judged by what the stand-in for the service really received.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {}

impl Demo {
    #[expect(clippy::unused_self, reason = "every command runs as a value")]
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        run(true)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Text in the body of the event that the service rejects at first.
const REJECTED: &str = "unknown workflow";

/// How long anything may take before the demo fails, in milliseconds.
const PATIENCE_MS: u32 = 20_000;

/// What the stand-in received.
#[derive(Debug, Clone, Deserialize)]
struct Received {
    id: Option<String>,
    group: Option<String>,
    body: String,
    status: u16,
}

/// An event that the queue accepted.
#[derive(Debug, Clone)]
struct Accepted {
    id: String,
    number: u32,
}

/// A promise, and what was seen of it.
#[derive(Debug)]
struct Promise {
    text: &'static str,
    held: bool,
    seen: String,
}

/// The running parts.
struct Stage {
    client: Client,
    ingest: String,
    stub: String,
    data_dir: std::path::PathBuf,
    accepted: Vec<Accepted>,
}

/// Runs the demo, after a build unless the programs are there already.
pub(crate) fn run(build: bool) -> anyhow::Result<()> {
    if build {
        engine::build(&["sss-stub", "operator"])?;
    }
    let dir = tempfile::tempdir().context("making a folder for the demo")?;
    let config = dir.path().join("config.json");
    std::fs::write(&config, configuration().to_string())
        .context("writing the demo's configuration")?;
    let data_dir = dir.path().join("data");
    let any = "127.0.0.1:0".parse().context("an address")?;
    let (_stub, stub) = engine::start_stub(any)?;
    let start = Start {
        config: &config,
        data_dir: &data_dir,
        listen: any,
        api_listen: any,
        target: Some(&stub),
        keep_destinations: false,
        command: "cargo xtask demo",
    };
    let (engine, mut log) = engine::start(&start)?;
    let ingest = process::await_line("the engine", &mut log, |line| {
        (line["message"] == "listening").then(|| line["ingest"].as_str().map(str::to_owned))?
    })?;
    // The rest of the log must be read, or the engine would wait for a reader.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let stage = Stage { client: Client::new(), ingest, stub, data_dir, accepted: Vec::new() };
    let promises = stage.tell(engine)?;
    println!("\n{}", table(&promises));
    if promises.iter().all(|promise| promise.held) {
        println!("\nall promises held");
        return Ok(());
    }
    bail!("a promise did not hold")
}

fn configuration() -> Value {
    json!({
        "environment": "demo",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-workflow-id",
            "destinations": [{ "name": "sss", "url": "http://127.0.0.1/application-hook", "timeout_seconds": 2 }],
            "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 2 },
            "give_up_after_seconds": 600,
        }},
        "forwarder": { "function_timeout_seconds": 5, "max_concurrency": 3 },
    })
}

impl Stage {
    fn tell(mut self, engine: Service) -> anyhow::Result<Vec<Promise>> {
        say("three keys send three events each");
        self.send(&["a", "b", "c"], 3, None)?;
        self.await_received(9)?;

        say("the service goes down; events are still accepted");
        self.behave(&json!({ "status": 503 }))?;
        let while_down = self.send(&["a", "b", "c"], 4, None)?;
        let failed =
            self.await_received(12)?.iter().filter(|webhook| webhook.status == 503).count();

        say("the service is back, and rejects one event for now");
        let reject = json!({ "rules": [{ "body_contains": REJECTED, "status": 422 }] });
        self.behave(&reject)?;
        let rejected = self.send(&["b"], 1, Some(REJECTED))?;
        self.send(&["b"], 2, None)?;
        self.await_until(|stage, received| {
            let others = stage.accepted.iter().filter(|event| event.id != rejected[0].id);
            others.into_iter().all(|event| delivered(received).any(|id| *id == event.id))
        })?;

        say("the rejected event is a dead letter, with the reason");
        let letter = self.await_dead_letter(&rejected[0].id)?;
        print!("{letter}");

        say("the service has learned; the dead letter is sent again");
        self.behave(&json!({}))?;
        print!("{}", self.operator(&["redrive", "demo", "--all"])?);
        let received =
            self.await_until(|_, received| delivered(received).any(|id| *id == rejected[0].id))?;
        let dead_letters = self.operator(&["list", "demo", "--json"])?;
        engine.stop()?;
        Ok(self.judge(&received, &while_down, failed, &rejected[0], &letter, &dead_letters))
    }

    /// Posts `count` events for each of `keys` and remembers those that were accepted.
    fn send(
        &mut self,
        keys: &[&str],
        count: u32,
        note: Option<&str>,
    ) -> anyhow::Result<Vec<Accepted>> {
        let url = format!("http://{}/sqs-hook", self.ingest);
        let mut sent = Vec::new();
        for _ in 0..count {
            for key in keys {
                let number = u32::try_from(self.accepted.len()).context("few events")? + 1;
                let body = json!({ "key": key, "number": number, "note": note }).to_string();
                let headers = [
                    ("x-workflow-id".to_owned(), (*key).to_owned()),
                    ("content-type".to_owned(), "application/json".to_owned()),
                ];
                let answer = self.client.post(&url, &headers, &body)?;
                if answer.status != 200 {
                    bail!("the queue answered {}: {}", answer.status, answer.body);
                }
                let id = answer.request_id.context("the queue gave no request id")?;
                let event = Accepted { id, number };
                self.accepted.push(event.clone());
                sent.push(event);
            }
        }
        println!("  accepted {}", sent.len());
        Ok(sent)
    }

    fn behave(&self, behavior: &Value) -> anyhow::Result<()> {
        let answer =
            self.client.put(&format!("{}/_stub/behavior", self.stub), &behavior.to_string())?;
        if answer.status != 200 {
            bail!("the stub answered {}: {}", answer.status, answer.body);
        }
        Ok(())
    }

    /// What the stub has received, once it is at least so much.
    fn await_received(&self, at_least: usize) -> anyhow::Result<Vec<Received>> {
        let query = format!("at_least={at_least}&wait_ms={PATIENCE_MS}");
        let answer = self.client.get(&format!("{}/_stub/received?{query}", self.stub))?;
        let received: Vec<Received> =
            serde_json::from_str(&answer.body).context("reading what the stub received")?;
        if received.len() < at_least {
            bail!("the service received {} of {at_least} webhooks in time", received.len());
        }
        Ok(received)
    }

    /// What the stub has received, once `enough` says so; asks again with every webhook.
    fn await_until(
        &self,
        enough: impl Fn(&Self, &[Received]) -> bool,
    ) -> anyhow::Result<Vec<Received>> {
        let mut received = self.await_received(0)?;
        while !enough(self, &received) {
            received = self.await_received(received.len() + 1)?;
        }
        Ok(received)
    }

    /// The dead letter, which is sent before the original is deleted: it is there when the next
    /// events of its group have been delivered.
    fn await_dead_letter(&self, event_id: &str) -> anyhow::Result<String> {
        self.operator(&["show", "demo", event_id])
    }

    fn operator(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut operator = operate::operator();
        operator.arg("dlq").args(arguments).arg("--data-dir").arg(&self.data_dir);
        process::output(&mut operator)
    }

    fn judge(
        &self,
        received: &[Received],
        while_down: &[Accepted],
        failed: usize,
        rejected: &Accepted,
        letter: &str,
        dead_letters: &str,
    ) -> Vec<Promise> {
        let got: BTreeSet<&String> = delivered(received).collect();
        let missing = self.accepted.iter().filter(|event| !got.contains(&event.id)).count();
        let late = while_down.iter().filter(|event| got.contains(&event.id)).count();
        let disorder = disorder(received, rejected.number);
        let reason = letter.contains("rejected") && letter.contains("422");
        let left =
            serde_json::from_str::<Vec<Value>>(dead_letters).map_or(usize::MAX, |left| left.len());
        vec![
            Promise {
                text: "no accepted message is dropped",
                held: missing == 0,
                seen: format!("{} accepted, {missing} missing", self.accepted.len()),
            },
            Promise {
                text: "order is kept per key",
                held: disorder.is_empty(),
                seen: if disorder.is_empty() {
                    "no event overtook another".into()
                } else {
                    disorder.join(", ")
                },
            },
            Promise {
                text: "an outage only delays",
                held: failed > 0 && late == while_down.len(),
                seen: format!(
                    "{failed} attempts failed, {late} of {} delivered after it",
                    while_down.len()
                ),
            },
            Promise {
                text: "what fails stays, with the reason",
                held: reason,
                seen: "a dead letter says rejected, 422".into(),
            },
            Promise {
                text: "it is re-sent as the same event",
                held: got.contains(&rejected.id) && left == 0,
                seen: format!("delivered with its webhook-id, {left} dead letters left"),
            },
        ]
    }
}

/// The ids of webhooks that the service accepted.
fn delivered(received: &[Received]) -> impl Iterator<Item = &String> {
    received
        .iter()
        .filter(|webhook| webhook.status == 200)
        .filter_map(|webhook| webhook.id.as_ref())
}

/// Events that arrived, for the first time, after a later one of their key. The redriven one does.
fn disorder(received: &[Received], redriven: u32) -> Vec<String> {
    let (mut last, mut seen, mut found) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for webhook in received.iter().filter(|webhook| webhook.status == 200) {
        let body: Value = serde_json::from_str(&webhook.body).unwrap_or_default();
        let number = body["number"].as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.unwrap_or_default();
        if !seen.insert(webhook.id.clone()) || number == redriven {
            continue;
        }
        let group = webhook.group.clone().unwrap_or_default();
        let before = last.insert(group.clone(), number).unwrap_or_default();
        if number < before {
            found.push(format!("{number} of {group} after {before}"));
        }
    }
    found
}

fn say(text: &str) {
    println!("\n{}", colored(Color::Green, &format!("* {text}")));
}

fn table(promises: &[Promise]) -> String {
    let rows = promises.iter().map(|promise| {
        let (color, mark) =
            if promise.held { (Color::Green, "held  ") } else { (Color::Red, "BROKEN") };
        format!("{}  {:<36} {}", colored(color, mark), promise.text, promise.seen)
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(id: &str, group: &str, number: u32, status: u16) -> Received {
        let body = json!({ "number": number }).to_string();
        Received { id: Some(id.into()), group: Some(group.into()), body, status }
    }

    #[test]
    fn overtaking_is_seen_and_repeats_are_not() {
        let mut received = vec![
            webhook("1", "a", 1, 503),
            webhook("1", "a", 1, 200),
            webhook("2", "a", 2, 200),
            webhook("1", "a", 1, 200),
            webhook("3", "b", 1, 200),
        ];
        assert!(disorder(&received, 99).is_empty());
        received.push(webhook("5", "a", 5, 200));
        received.push(webhook("4", "a", 4, 200));
        assert_eq!(disorder(&received, 99), ["4 of a after 5"]);
        assert!(disorder(&received, 4).is_empty());
    }
}
