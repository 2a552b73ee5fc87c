//! An engine to test, and what tests do to it.

pub(crate) mod forwarder;
pub(crate) mod function;
pub(crate) mod program;
pub(crate) mod service;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use domain::config::Config;
use engine::{Engine, EngineOptions, Storage};
use serde_json::{Value, json};
use tokio::sync::watch;

/// A client for plain HTTP. Built with the forwarder, its TLS asks for a provider all the same.
pub(crate) fn http_client() -> reqwest::Client {
    // Another test may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A client for the API, which shows this access key id.
pub(crate) fn api_client(access_key_id: &str) -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let value = format!("Bearer {access_key_id}").parse().unwrap();
    let headers = reqwest::header::HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, value)]);
    reqwest::Client::builder().default_headers(headers).build().unwrap()
}

/// A configuration with one route, `/sqs-hook`, ordered by `x-key`; `changes` replace its fields.
pub(crate) fn config(changes: Value) -> Value {
    let mut config = json!({
        "environment": "test",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-key",
            "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/hook", "timeout_seconds": 1 }],
        } },
        "forwarder": { "function_timeout_seconds": 4, "max_concurrency": 2 },
    });
    merge(&mut config, changes);
    config
}

fn merge(to: &mut Value, from: Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (name, value) in from {
                merge(to.entry(name).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from,
    }
}

/// Options for an engine in memory, or in `data_dir`.
pub(crate) fn options(config: &Value, data_dir: Option<&Path>) -> EngineOptions {
    let config = Config::parse(&config.to_string()).unwrap();
    let mut options = EngineOptions::in_memory(config);
    if let Some(dir) = data_dir {
        options.storage = Storage::Directory(dir.to_owned());
    }
    options
}

/// Posts an event for `key`, and gives the status.
pub(crate) async fn post(
    client: &reqwest::Client,
    engine: &Engine,
    key: &str,
    body: String,
) -> u16 {
    post_to(client, &engine.ingest_address().to_string(), key, body).await.unwrap()
}

/// The same for an engine that may be gone.
pub(crate) async fn post_to(
    client: &reqwest::Client,
    ingest: &str,
    key: &str,
    body: String,
) -> reqwest::Result<u16> {
    let url = format!("http://{ingest}/sqs-hook");
    let response = client.post(url).header("x-key", key).body(body).send().await?;
    let status = response.status().as_u16();
    response.bytes().await?;
    Ok(status)
}

/// Asks the engine's own API.
pub(crate) async fn get(engine: &Engine, path: &str) -> Value {
    let url = format!("http://{}/_engine/{path}", engine.api_address());
    serde_json::from_slice(
        &api_client(engine.access_key_id()).get(url).send().await.unwrap().bytes().await.unwrap(),
    )
    .unwrap()
}

/// Asks ingest whether it accepts events, as a load balancer does: the status and the document.
pub(crate) async fn healthz(client: &reqwest::Client, engine: &Engine) -> (u16, Value) {
    let url = format!("http://{}/healthz", engine.ingest_address());
    let answer = client.get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// Switches the event source mapping.
pub(crate) async fn set_enabled(engine: &Engine, enabled: bool) -> u16 {
    let url = format!("http://{}/_engine/event-source-mapping", engine.api_address());
    let body = json!({ "enabled": enabled }).to_string();
    let client = api_client(engine.access_key_id());
    client.put(url).body(body).send().await.unwrap().status().as_u16()
}

/// A log to look into, and to wait for.
#[derive(Clone)]
pub(crate) struct LogLines(Arc<Mutex<Vec<u8>>>, watch::Sender<Vec<Value>>);

impl Default for LogLines {
    fn default() -> Self {
        Self(Arc::default(), watch::Sender::new(Vec::new()))
    }
}

impl LogLines {
    /// Waits for a line with this message that `accepts`.
    pub(crate) async fn wait_for(&self, message: &str, accepts: impl Fn(&Value) -> bool) -> Value {
        let find = |lines: &Vec<Value>| {
            lines.iter().find(|line| line["message"] == message && accepts(line)).cloned()
        };
        let mut lines = self.1.subscribe();
        let limit = std::time::Duration::from_mins(1);
        let found =
            tokio::time::timeout(limit, lines.wait_for(|lines| find(lines).is_some())).await;
        let Ok(lines) = found else { panic!("no line {message:?} in {:#?}", self.all()) };
        find(&lines.unwrap()).unwrap()
    }

    /// Waits until this many lines have this message.
    pub(crate) async fn wait_for_count(&self, message: &str, count: usize) {
        let limit = std::time::Duration::from_mins(1);
        let mut lines = self.1.subscribe();
        let of_message =
            |lines: &Vec<Value>| lines.iter().filter(|line| line["message"] == message).count();
        let found =
            tokio::time::timeout(limit, lines.wait_for(|lines| of_message(lines) >= count)).await;
        assert!(found.is_ok(), "not {count} lines {message:?} in {:#?}", self.all());
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.1.borrow().clone()
    }

    /// How many lines have this message.
    pub(crate) fn count(&self, message: &str) -> usize {
        self.all().iter().filter(|line| line["message"] == message).count()
    }
}

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut pending = self.0.lock().unwrap();
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let line = serde_json::from_slice(&line).expect("every line is JSON");
            self.1.send_modify(|lines| lines.push(line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
