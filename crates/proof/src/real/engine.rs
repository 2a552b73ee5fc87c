//! The engine as a process, and its forwarders.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::http;
use super::record::Record;
use crate::history::Seen;

/// Longest start, and longest stop: what is under way has its function's time, and a busy machine its own.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// Where everything of a run is.
#[derive(Debug)]
pub(super) struct Places {
    /// A link to the folder of the programs.
    pub(super) programs: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) config: PathBuf,
    /// Where operators are, and leave their files.
    pub(super) desk: PathBuf,
    /// Where the files of the secrets are.
    pub(super) secrets: PathBuf,
}

/// A running engine. Killed when dropped.
#[derive(Debug)]
pub(super) struct Engine {
    child: Child,
    api: SocketAddr,
    access_key_id: String,
    forwarders: Arc<Mutex<Vec<u32>>>,
    readers: Vec<JoinHandle<()>>,
    record: Arc<Record>,
}

/// Where it listens.
#[derive(Debug, Clone, Copy)]
struct Listening {
    ingest: SocketAddr,
    api: SocketAddr,
}

impl Engine {
    /// Starts it, and gives it and where it accepts, once it listens.
    pub(super) async fn start(
        places: &Places,
        deliberate: Option<&str>,
        clock: Option<&Clock>,
        record: &Arc<Record>,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let mut command = command(places, clock)?;
        if let Some(fault) = deliberate {
            command.env("WEBHOOK_DELIBERATE_FAULT", fault);
        }
        let mut child = command.spawn().context("starting webhook-engine")?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let (listening, mut listens) = watch::channel(None);
        let forwarders = Arc::default();
        let log = Log {
            record: Arc::clone(record),
            forwarders: Arc::clone(&forwarders),
            listening,
            hours_ahead: clock.map_or(0, Clock::hours),
        };
        let said = Arc::clone(record);
        let readers = vec![
            tokio::spawn(read(stdout, move |line| log.line(line))),
            tokio::spawn(read(stderr, move |line| {
                said.search("the engine's standard error", line);
                // It says nothing there unless it ends.
                say(line);
            })),
        ];
        let started = tokio::time::timeout(ENDS_WITHIN, listens.wait_for(Option::is_some)).await;
        let Ok(Ok(Some(at))) = started.map(|listening| listening.map(|listening| *listening))
        else {
            bail!("webhook-engine does not listen; what it says stands above");
        };
        let file = std::fs::read_to_string(places.data_dir.join("engine.json"));
        let file: Value = serde_json::from_str(&file.context("reading engine.json")?)?;
        let access_key_id = file["access_key_id"].as_str().context("an access key id")?.to_owned();
        let record = Arc::clone(record);
        let engine = Self { child, api: at.api, access_key_id, forwarders, readers, record };
        Ok((engine, at.ingest))
    }

    /// Starts it where it cannot run: it has to end by itself, and to say why.
    pub(super) async fn refuse(
        places: &Places,
        clock: Option<&Clock>,
        record: &Record,
    ) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(ENDS_WITHIN, command(places, clock)?.output()).await;
        let output =
            ended.context("the engine does not end")?.context("starting webhook-engine")?;
        record.search("what the engine says", &output.stdout);
        record.search("what the engine says", &output.stderr);
        ensure!(
            output.status.code().is_some_and(|code| code != 0) && !output.stderr.is_empty(),
            "the engine cannot run, and ends with {} and says {:?}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
        );
        Ok(())
    }

    /// `kill -9`.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.record.push(Seen::Died { process: "engine" });
        self.child.start_kill().context("killing the engine")?;
        self.ended().await?;
        // Its forwarders may have outlived it by a moment: whatever was under way died between the two.
        self.record.push(Seen::Died { process: "engine" });
        Ok(())
    }

    /// Asks it to stop.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(pid).context("the engine has ended by itself")?;
        kill_process(pid, Signal::TERM).context("stopping the engine")?;
        let code = self.ended().await?;
        anyhow::ensure!(code == Some(0), "the engine was asked to stop and ended with {code:?}");
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        let ended = tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await;
        let status = ended.context("the engine does not end")?.context("waiting for the engine")?;
        for reader in self.readers.drain(..) {
            // Forwarders hold the log's other end as well: what they still write is read to its end.
            let _read = tokio::time::timeout(ENDS_WITHIN, reader).await;
        }
        Ok(status.code())
    }

    /// Its forwarders, of those that were started and live.
    pub(super) fn forwarders(&self) -> Vec<u32> {
        let mut pids = self.forwarders.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = self.child.id();
        pids.retain(|pid| parent(*pid) == engine);
        pids.clone()
    }

    /// `kill -9` on one of its forwarders.
    pub(super) async fn kill_forwarder(&self, forwarder: u32) -> anyhow::Result<()> {
        let Some(pid) = pid(forwarder) else { return Ok(()) };
        self.record.push(Seen::Died { process: "forwarder" });
        // It may have ended just now.
        let _ended = kill_process(pid, Signal::KILL);
        let started = Instant::now();
        while self.forwarders().contains(&forwarder) {
            ensure!(started.elapsed() < ENDS_WITHIN, "a killed forwarder does not end");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.record.push(Seen::Died { process: "forwarder" });
        Ok(())
    }

    /// What its API answers.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        let shown = format!("authorization: Bearer {}\r\n", self.access_key_id);
        let what = format!("GET {path}");
        let asked = tokio::time::timeout(ENDS_WITHIN, http::ask(self.api, &what, &shown, ""));
        let answer = asked.await.context("the engine's API does not answer")??;
        anyhow::ensure!(answer.status() == Some(200), "{path} answers {}", answer.first);
        Ok(String::from_utf8(answer.body)?)
    }

    /// What its API answers, as JSON.
    pub(super) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get(path).await?)?)
    }

    /// What it and its forwarders use.
    pub(super) fn usage(&self) -> Vec<(&'static str, u64, u64)> {
        let engine = self.child.id().into_iter().map(|pid| ("engine", pid));
        let forwarders = self.forwarders().into_iter().map(|pid| ("forwarder", pid));
        let used = engine
            .chain(forwarders)
            .filter_map(|(process, pid)| Some((process, memory_kib(pid)?, descriptors(pid)?)));
        used.collect()
    }
}

fn command(places: &Places, clock: Option<&Clock>) -> anyhow::Result<Command> {
    let forwarder = places.programs.join("forwarder");
    let mut command = Command::new(places.programs.join("webhook-engine"));
    command.arg("--config").arg(&places.config).arg("--data-dir").arg(&places.data_dir);
    command.args(["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
    command.args(["--reserve", "8", "--until-stdin-ends", "--forwarder"]);
    match clock {
        Some(clock) => command.arg(clock.forwarder(&forwarder)?).envs(clock.environment()),
        None => command.arg(forwarder),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    Ok(command)
}

/// What the log is read for.
struct Log {
    record: Arc<Record>,
    forwarders: Arc<Mutex<Vec<u32>>>,
    listening: watch::Sender<Option<Listening>>,
    /// How far its clock is ahead of ours.
    hours_ahead: i64,
}

impl Log {
    fn line(&self, line: &[u8]) {
        self.record.search("the engine's log", line);
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match text("message").as_str() {
            "listening" => {
                let at = |name: &str| text(name).parse().ok();
                let listening = at("ingest").zip(at("api"));
                self.listening
                    .send_replace(listening.map(|(ingest, api)| Listening { ingest, api }));
            }
            "forwarder_started" => {
                let pid = line["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
                let mut forwarders = self.forwarders.lock().unwrap_or_else(PoisonError::into_inner);
                forwarders.extend(pid);
            }
            "dead_lettered" => {
                let (event_id, reason) = (text("event_id"), text("reason"));
                let died_at = self.record.at(&text("timestamp"), self.hours_ahead);
                self.record.push(Seen::DeadLettered { event_id, reason, died_at });
            }
            // A process that took too long, or was killed by what is not us.
            "invocation failed" => {
                self.record.push(Seen::Died { process: "invocation" });
            }
            "retry" | "gave_up" => {
                if text("error").contains("time") {
                    self.record.push(Seen::TimedOut { event_id: text("event_id") });
                }
                self.failed(text("destination"));
            }
            "rejected" | "blocked" => self.failed(text("destination")),
            _ => {}
        }
    }

    fn failed(&self, destination: String) {
        self.record.counts.failed.send_modify(|failed: &mut HashMap<String, u64>| {
            *failed.entry(destination).or_default() += 1;
        });
    }
}

async fn read(from: impl AsyncRead + Unpin, mut line: impl FnMut(&[u8])) {
    let mut lines = BufReader::new(from);
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes).await.is_ok_and(|read| read > 0) {
        line(&bytes);
        bytes.clear();
    }
}

fn say(line: &[u8]) {
    eprint!("webhook-engine: {}", String::from_utf8_lossy(line));
}

pub(super) fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Who started a process. Source: proc(5).
fn parent(pid: u32) -> Option<u32> {
    status_line(pid, "PPid:")
}

fn memory_kib(pid: u32) -> Option<u64> {
    status_line(pid, "VmRSS:")
}

fn status_line<T: std::str::FromStr>(pid: u32, name: &str) -> Option<T> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

fn descriptors(pid: u32) -> Option<u64> {
    Some(std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).ok()?.count() as u64)
}
