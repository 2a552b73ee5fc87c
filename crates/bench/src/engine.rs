//! The engine: durable accepts, end to end, and what a message costs when many are queued.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;

use crate::candidate::memory_kb;
use crate::load;
use crate::sink::{FAILING, Sink};

const CONNECTIONS: usize = 32;
const GROUPS: usize = 100;
/// Events in each group whose first is answered 500, again and again.
const BEHIND_A_FAILURE: usize = 10;
/// Rounds of end to end with and without such groups, in turn: their ratio counts.
const ROUNDS: usize = 3;
/// Messages in one call. Source: SQS API reference, `SendMessageBatch`.
const BATCH: usize = 10;

/// What was measured.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct Figures {
    pub(crate) accepts_per_second: f64,
    pub(crate) delivered_per_second: f64,
    /// The same of as many healthy groups while as many others fail, on the same processes.
    pub(crate) delivered_beside_failing_per_second: f64,
    /// Send, receive and delete of one message with few and with many queued, in microseconds.
    pub(crate) cost_few_us: f64,
    pub(crate) cost_many_us: f64,
    pub(crate) many: usize,
    /// Memory with many queued, in megabytes.
    pub(crate) memory_many_mb: f64,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) accepts: usize,
    pub(crate) deliveries: usize,
    pub(crate) many: usize,
}

/// What a running engine says of itself.
#[derive(Debug, Deserialize)]
struct EngineFile {
    ingest: SocketAddr,
    api: SocketAddr,
    queue_url: String,
    access_key_id: String,
}

/// An engine's process, killed when dropped.
struct Engine {
    child: Child,
    file: EngineFile,
}

/// Measures a fresh engine for each figure.
pub(crate) fn measure(effort: Effort) -> anyhow::Result<Figures> {
    let mut figures = Figures { many: effort.many, ..Figures::default() };
    let sink = Sink::start(None, Duration::ZERO)?;
    {
        let dir = tempfile::tempdir()?;
        let engine = Engine::start(dir.path(), &sink.url)?;
        engine.deliver(false)?;
        engine.accept(1_000)?;
        figures.accepts_per_second = per_second(effort.accepts, engine.accept(effort.accepts)?);
    }
    let (mut alone, mut beside_failing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(delivered_per_second(effort.deliveries, 0)?);
        beside_failing.push(delivered_per_second(effort.deliveries, GROUPS)?);
    }
    figures.delivered_per_second = median(alone);
    figures.delivered_beside_failing_per_second = median(beside_failing);
    {
        let dir = tempfile::tempdir()?;
        let engine = Engine::start(dir.path(), &sink.url)?;
        engine.deliver(false)?;
        engine.fill(1_000)?;
        figures.cost_few_us = engine.cost()?;
        engine.fill(effort.many - 1_000)?;
        figures.cost_many_us = engine.cost()?;
        figures.memory_many_mb =
            f64::from(u32::try_from(memory_kb(engine.child.id(), "VmRSS:")?)?) / 1e3;
    }
    Ok(figures)
}

/// End to end in healthy groups, from the first accept to the last delivery, while `failing` others
/// repeat what the destination answers 500.
fn delivered_per_second(deliveries: usize, failing: usize) -> anyhow::Result<f64> {
    let sink = Sink::start(None, Duration::ZERO)?;
    let dir = tempfile::tempdir()?;
    let engine = Engine::start(dir.path(), &sink.url)?;
    engine.accept(1_000)?;
    await_count(|| sink.taken(), 1_000)?;
    engine.accept_failing(failing)?;
    await_count(|| sink.failed(), failing as u64)?;
    let started = Instant::now();
    engine.accept(deliveries)?;
    await_count(|| sink.taken(), 1_000 + deliveries as u64)?;
    Ok(per_second(deliveries, started.elapsed()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Engine {
    fn start(dir: &Path, target: &str) -> anyhow::Result<Self> {
        let programs =
            std::env::current_exe()?.parent().map(Path::to_owned).context("no folder")?;
        let config = dir.join("config.json");
        let file = json!({
            "environment": "bench",
            "routes": { "sss": {
                "path": "/sqs-hook",
                "ordering_key": "$request.header.x-workflow-id",
                "destinations": [{ "name": "sss", "url": format!("{target}/application-hook") }],
            }},
            "forwarder": { "max_concurrency": 2 },
        });
        std::fs::write(&config, file.to_string())?;
        let data_dir = dir.join("data");
        let mut command = Command::new(programs.join("webhook-engine"));
        command
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(&data_dir)
            .arg("--forwarder")
            .arg(programs.join("forwarder"))
            .args(["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn().context("starting webhook-engine")?;
        let path = data_dir.join("engine.json");
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Ok(text) = std::fs::read_to_string(&path)
                && let Ok(file) = serde_json::from_str(&text)
            {
                return Ok(Self { child, file });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the engine did not get ready")
    }

    /// The header that shows the access key id.
    fn credential(&self) -> &'static str {
        format!("authorization: Bearer {}\r\n", self.file.access_key_id).leak()
    }

    /// Switches the event source mapping.
    fn deliver(&self, enabled: bool) -> anyhow::Result<()> {
        let credential = self.credential();
        load::run(self.file.api, 1, 1, move |_| {
            let body = json!({ "enabled": enabled }).to_string();
            request("PUT", "/_engine/event-source-mapping", credential, &body)
        })?;
        Ok(())
    }

    /// Posts webhooks; each is durable when it is answered.
    fn accept(&self, total: usize) -> anyhow::Result<Duration> {
        load::run(self.file.ingest, CONNECTIONS, total, |number| {
            let headers = format!("x-workflow-id: workflow-{}\r\n", number % GROUPS);
            request("POST", "/sqs-hook", &headers, &body(number))
        })
    }

    /// Posts webhooks that the destination answers 500, some in each of `groups`.
    fn accept_failing(&self, groups: usize) -> anyhow::Result<Duration> {
        load::run(self.file.ingest, CONNECTIONS, groups * BEHIND_A_FAILURE, move |number| {
            let headers = format!("x-workflow-id: failing-{}\r\n", number % groups);
            request("POST", "/sqs-hook", &headers, FAILING)
        })
    }

    /// Sends messages straight to the queue, ten in a call.
    fn fill(&self, total: usize) -> anyhow::Result<Duration> {
        let url: &'static str = self.file.queue_url.clone().leak();
        let credential = self.credential();
        load::run(self.file.api, CONNECTIONS, total / BATCH, move |number| {
            let entries: Vec<_> = (0..BATCH)
                .map(|entry| {
                    let number = number * BATCH + entry;
                    json!({
                        "Id": entry.to_string(), "MessageBody": body(number),
                        "MessageGroupId": format!("workflow-{}", number % 1_000),
                        "MessageDeduplicationId": format!("fill-{total}-{number}"),
                    })
                })
                .collect();
            let body = json!({ "QueueUrl": url, "Entries": entries }).to_string();
            sqs("SendMessageBatch", credential, &body)
        })
    }

    /// Send, receive and delete one message after another, in microseconds each.
    fn cost(&self) -> anyhow::Result<f64> {
        const MESSAGES: u32 = 2_000;
        let mut connection =
            bench::http::Connection::new(std::net::TcpStream::connect(self.file.api)?);
        let (url, credential) = (&self.file.queue_url, self.credential());
        let mut call =
            |operation: &str, body: serde_json::Value| -> anyhow::Result<serde_json::Value> {
                connection.write(&sqs(operation, credential, &body.to_string()))?;
                let answer = connection.read()?.context("the engine closed the connection")?;
                if !answer.head.starts_with("HTTP/1.1 200") {
                    bail!("{operation}: {}", String::from_utf8_lossy(&answer.body));
                }
                Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
            };
        let started = Instant::now();
        for number in 0..MESSAGES {
            let id = format!("cost-{}-{number}", started.elapsed().as_nanos());
            call(
                "SendMessage",
                json!({
                    "QueueUrl": url, "MessageBody": body(number as usize),
                    "MessageGroupId": format!("cost-{}", number % 100), "MessageDeduplicationId": id,
                }),
            )?;
            let received =
                call("ReceiveMessage", json!({ "QueueUrl": url, "MaxNumberOfMessages": 1 }))?;
            let handle = received["Messages"][0]["ReceiptHandle"].clone();
            call("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": handle }))?;
        }
        Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(MESSAGES))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn await_count(reached: impl Fn() -> u64, count: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    while reached() < count {
        if Instant::now() > deadline {
            bail!("{} of {count} messages were answered in time", reached());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn per_second(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

fn body(number: usize) -> String {
    json!({ "workflow": number, "state": "approved", "comment": "x".repeat(200) }).to_string()
}

fn sqs(operation: &str, credential: &str, body: &str) -> Vec<u8> {
    let headers = format!(
        "content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.{operation}\r\n{credential}"
    );
    request("POST", "/", &headers, body)
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}
