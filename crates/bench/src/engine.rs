//! The engine: durable accepts, end to end, and what a message costs when many are queued.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;

use crate::candidate::memory_kb;
use crate::load;
use crate::sink::{FAILING, Sink};
use crate::viewers::{self, Viewers};

const CONNECTIONS: usize = 32;
const GROUPS: usize = 100;
/// Events in each group whose first is answered 500, again and again.
const BEHIND_A_FAILURE: usize = 10;
/// Rounds of what is compared, in turn: medians and their ratios count.
const ROUNDS: usize = 3;
/// The same of accepts while people look, of which little is allowed to be lost.
const VIEWED_ROUNDS: usize = 7;
const VIEWERS: usize = 10;
/// Pause between two events while it is measured how long one takes to its destination.
const PACE: Duration = Duration::from_millis(1);
/// How often status and metrics are asked for while it is measured what that costs.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
/// Messages in one call. Source: SQS API reference, `SendMessageBatch`.
const BATCH: usize = 10;

/// What was measured.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct Figures {
    pub(crate) accepts_per_second: f64,
    pub(crate) floor_accepts_per_second: f64,
    pub(crate) delivered_per_second: f64,
    pub(crate) floor_delivered_per_second: f64,
    /// From a request to its delivery, at 1,000 a second.
    pub(crate) latency: Latency,
    pub(crate) floor_latency: Latency,
    /// The same of as many healthy groups while as many others fail, on the same processes.
    pub(crate) delivered_beside_failing_per_second: f64,
    /// Durable accepts while nobody looks at the page, and while ten do; none where there is no page.
    pub(crate) viewed: Option<Viewed>,
    /// Send, receive and delete of one message with few and with many queued, in microseconds.
    pub(crate) cost_few_us: f64,
    pub(crate) cost_many_us: f64,
    pub(crate) many: usize,
    /// Memory with many queued, in megabytes.
    pub(crate) memory_many_mb: f64,
    /// The same while status and metrics are asked for every second.
    pub(crate) cost_scraped_us: f64,
    pub(crate) memory_scraped_mb: f64,
}

/// Accepts per second.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub(crate) struct Viewed {
    pub(crate) by_nobody: f64,
    pub(crate) by_ten: f64,
}

/// How long events were under way.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) accepts: usize,
    pub(crate) deliveries: usize,
    pub(crate) paced: usize,
    pub(crate) many: usize,
}

/// What a running engine says of itself; its floor says where it listens.
#[derive(Debug, Deserialize)]
struct EngineFile {
    ingest: SocketAddr,
    api: Option<SocketAddr>,
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    access_key_id: String,
}

/// What of an event's body tells it from others.
#[derive(Debug, Deserialize)]
struct Event {
    workflow: usize,
}

/// What is measured: the engine, or what it takes at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Engine,
    Floor,
}

/// A process of either, killed when dropped.
struct Process {
    child: Child,
    file: EngineFile,
}

/// A thread that asks an engine how it is.
struct Scraping {
    end: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Scraping {
    fn end(self) -> anyhow::Result<()> {
        drop(self.end);
        self.thread.join().map_err(|_| anyhow::anyhow!("asking for status panicked"))?
    }
}

/// Measures a fresh process for each figure.
pub(crate) fn measure(effort: Effort) -> anyhow::Result<Figures> {
    let mut rounds: [Vec<f64>; 5] = Default::default();
    let mut latencies: [Vec<Latency>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (subject, [accepts, delivered], latency) in
            [(Subject::Engine, [0, 1], 0), (Subject::Floor, [2, 3], 1)]
        {
            rounds[accepts].push(accepts_per_second(subject, effort.accepts)?);
            rounds[delivered].push(delivered_per_second(subject, effort.deliveries, 0)?);
            latencies[latency].push(paced(subject, effort.paced)?);
        }
        rounds[4].push(delivered_per_second(Subject::Engine, effort.deliveries, GROUPS)?);
    }
    let [accepts, delivered, floor_accepts, floor_delivered, beside_failing] = rounds.map(median);
    let [latency, floor_latency] = latencies.map(|rounds| Latency {
        p50_ms: median(rounds.iter().map(|latency| latency.p50_ms).collect()),
        p99_ms: median(rounds.iter().map(|latency| latency.p99_ms).collect()),
    });
    let mut figures = Figures {
        accepts_per_second: accepts,
        floor_accepts_per_second: floor_accepts,
        delivered_per_second: delivered,
        floor_delivered_per_second: floor_delivered,
        latency,
        floor_latency,
        delivered_beside_failing_per_second: beside_failing,
        viewed: viewed(effort.accepts)?,
        many: effort.many,
        ..Figures::default()
    };
    many_queued(&mut figures)?;
    Ok(figures)
}

/// Accepts while nobody looks and while ten do, in turns.
fn viewed(accepts: usize) -> anyhow::Result<Option<Viewed>> {
    let program = std::env::current_exe()?;
    let operator = program.parent().and_then(viewers::operator);
    let Some(operator) = operator else {
        eprintln!("skipped: who looks at the page: webhook-operator was not built");
        return Ok(None);
    };
    let mut rounds: [Vec<f64>; 2] = Default::default();
    for _ in 0..VIEWED_ROUNDS {
        for (viewers, rounds) in [0, VIEWERS].into_iter().zip(&mut rounds) {
            let sink = Sink::start(None, Duration::ZERO)?;
            let dir = tempfile::tempdir()?;
            let process = Process::start(Subject::Engine, dir.path(), &sink.url)?;
            process.deliver(false)?;
            process.accept(1_000)?;
            let data_dir = dir.path().join("data");
            let looking = (viewers > 0).then(|| Viewers::look(&operator, &data_dir, viewers));
            let looking = looking.transpose()?;
            rounds.push(per_second(accepts, process.accept(accepts)?));
            looking.map(Viewers::end).transpose()?;
        }
    }
    let [by_nobody, by_ten] = rounds.map(median);
    Ok(Some(Viewed { by_nobody, by_ten }))
}

fn many_queued(figures: &mut Figures) -> anyhow::Result<()> {
    let sink = Sink::start(None, Duration::ZERO)?;
    let dir = tempfile::tempdir()?;
    let engine = Process::start(Subject::Engine, dir.path(), &sink.url)?;
    engine.deliver(false)?;
    engine.fill(1_000)?;
    figures.cost_few_us = engine.cost()?;
    engine.fill(figures.many - 1_000)?;
    figures.cost_many_us = engine.cost()?;
    figures.memory_many_mb = engine.memory_mb()?;
    let scraping = engine.scrape()?;
    figures.cost_scraped_us = engine.cost()?;
    figures.memory_scraped_mb = engine.memory_mb()?;
    scraping.end()
}

fn accepts_per_second(subject: Subject, accepts: usize) -> anyhow::Result<f64> {
    let sink = Sink::start(None, Duration::ZERO)?;
    let dir = tempfile::tempdir()?;
    let process = Process::start(subject, dir.path(), &sink.url)?;
    process.deliver(false)?;
    process.accept(1_000)?;
    Ok(per_second(accepts, process.accept(accepts)?))
}

/// End to end in healthy groups, from the first accept to the last delivery, while `failing` others
/// repeat what the destination answers 500.
fn delivered_per_second(
    subject: Subject,
    deliveries: usize,
    failing: usize,
) -> anyhow::Result<f64> {
    let sink = Sink::start(None, Duration::ZERO)?;
    let dir = tempfile::tempdir()?;
    let process = Process::start(subject, dir.path(), &sink.url)?;
    process.accept(1_000)?;
    await_count(|| sink.taken(), 1_000)?;
    process.accept_failing(failing)?;
    await_count(|| sink.failed(), failing as u64)?;
    let started = Instant::now();
    process.accept(deliveries)?;
    await_count(|| sink.taken(), 1_000 + deliveries as u64)?;
    Ok(per_second(deliveries, started.elapsed()))
}

/// How long an event takes from its request to its destination, at one every [`PACE`].
fn paced(subject: Subject, events: usize) -> anyhow::Result<Latency> {
    let sink = Sink::noting_arrivals()?;
    let dir = tempfile::tempdir()?;
    let process = Process::start(subject, dir.path(), &sink.url)?;
    process.accept(1_000)?;
    await_count(|| sink.taken(), 1_000)?;
    sink.take_arrivals();
    let sent = load::run_paced(process.file.ingest, CONNECTIONS, events, PACE, webhook)?;
    await_count(|| sink.taken(), 1_000 + events as u64)?;
    let mut took_ms = Vec::with_capacity(events);
    for arrival in sink.take_arrivals() {
        let event: Event = serde_json::from_slice(&arrival.body).context("an event's body")?;
        let since = sent.get(event.workflow).context("an event that nobody sent")?;
        took_ms.push(arrival.at.duration_since(*since).as_secs_f64() * 1e3);
    }
    took_ms.sort_by(f64::total_cmp);
    let at = |percent: usize| took_ms.get(took_ms.len() * percent / 100).copied();
    let ranks = at(50).zip(at(99)).context("nothing arrived")?;
    Ok(Latency { p50_ms: ranks.0, p99_ms: ranks.1 })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Process {
    fn start(subject: Subject, dir: &Path, target: &str) -> anyhow::Result<Self> {
        let programs =
            std::env::current_exe()?.parent().map(Path::to_owned).context("no folder")?;
        let data_dir = dir.join("data");
        let mut command = match subject {
            Subject::Engine => engine_command(&programs, dir, &data_dir, target)?,
            Subject::Floor => {
                std::fs::create_dir(&data_dir)?;
                let mut command = Command::new(programs.join("engine_floor"));
                command.arg(&data_dir).arg(target.trim_start_matches("http://"));
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().context("starting what is measured")?;
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
        bail!("what is measured did not get ready")
    }

    /// The header that shows the access key id.
    fn credential(&self) -> &'static str {
        format!("authorization: Bearer {}\r\n", self.file.access_key_id).leak()
    }

    /// Where the engine's queues are.
    fn api(&self) -> anyhow::Result<SocketAddr> {
        self.file.api.context("a floor has no queues to ask")
    }

    /// Switches the event source mapping; a floor that accepts is not kept from delivering.
    fn deliver(&self, enabled: bool) -> anyhow::Result<()> {
        let credential = self.credential();
        let Some(api) = self.file.api else { return Ok(()) };
        load::run(api, 1, 1, move |_| {
            let body = json!({ "enabled": enabled }).to_string();
            request("PUT", "/_engine/event-source-mapping", credential, &body)
        })?;
        Ok(())
    }

    /// Posts webhooks; each is durable when it is answered.
    fn accept(&self, total: usize) -> anyhow::Result<Duration> {
        load::run(self.file.ingest, CONNECTIONS, total, webhook)
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
        load::run(self.api()?, CONNECTIONS, total / BATCH, move |number| {
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

    fn memory_mb(&self) -> anyhow::Result<f64> {
        Ok(f64::from(u32::try_from(memory_kb(self.child.id(), "VmRSS:")?)?) / 1e3)
    }

    /// Asks for status and metrics every second, until told to end.
    fn scrape(&self) -> anyhow::Result<Scraping> {
        let (api, credential) = (self.api()?, self.credential());
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            loop {
                load::run(api, 1, 2, move |number| {
                    let path = ["/_engine/status", "/metrics"][number];
                    request("GET", path, credential, "")
                })?;
                if ended.recv_timeout(SCRAPE_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(());
                }
            }
        });
        Ok(Scraping { end, thread })
    }

    /// Send, receive and delete one message after another, in microseconds each.
    fn cost(&self) -> anyhow::Result<f64> {
        const MESSAGES: u32 = 4_000;
        let mut connection =
            bench::http::Connection::new(std::net::TcpStream::connect(self.api()?)?);
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

impl Drop for Process {
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

fn engine_command(
    programs: &Path,
    dir: &Path,
    data_dir: &Path,
    target: &str,
) -> anyhow::Result<Command> {
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
    let mut command = Command::new(programs.join("webhook-engine"));
    command
        .arg("--config")
        .arg(&config)
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--forwarder")
        .arg(programs.join("forwarder"))
        .args(["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
    Ok(command)
}

fn webhook(number: usize) -> Vec<u8> {
    let headers = format!("x-workflow-id: workflow-{}\r\n", number % GROUPS);
    request("POST", "/sqs-hook", &headers, &body(number))
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
