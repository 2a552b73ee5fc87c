//! An engine with dead letters, a clock that can be moved on, and commands that reach it through a
//! [`Proxy`].

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message as SdkMessage, MessageAttributeValue};
use domain::attribute::Attribute;
use domain::config::Config;
use domain::dead_letter::{Cause, Class, dead_letter};
use domain::message::{Message, Origin, Received};
use domain::time::Timestamp;
use engine::clock::Clock;
use engine::{Engine, EngineOptions, Storage};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::clock::ShiftedClock;
use crate::proxy::{Held, Proxy};

/// When all events were accepted: 2026-11-23T10:00:00Z.
const ACCEPTED_AT_MS: u64 = 1_795_428_000_000;

pub(crate) struct Site {
    engine: Engine,
    client: Client,
    proxy: Proxy,
    clock: Arc<ShiftedClock>,
    dir: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// A message as it was taken from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) group: String,
    pub(crate) event_id: String,
    pub(crate) body: String,
}

impl Site {
    /// One with a switch, and without anything that would deliver.
    pub(crate) async fn start() -> Self {
        let config = json!({
            "environment": "test",
            "routes": { "sss": {
                "path": "/sqs-hook",
                "ordering_key": "$request.header.x-key",
                "event_id": "$request.header.x-event",
                "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/" }],
            }},
        });
        // Commands are killed here, and no engine: what it writes need not reach a disk.
        let dir = match Path::new("/dev/shm") {
            memory if memory.is_dir() => tempfile::tempdir_in(memory),
            _ => tempfile::tempdir(),
        };
        let dir = dir.unwrap();
        let clock = Arc::new(ShiftedClock::default());
        let engine = Engine::start(EngineOptions {
            storage: Storage::Directory(dir.path().join("data")),
            forwarder: Some("/nowhere".into()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            reserve_bytes: 0,
            ..EngineOptions::in_memory(Config::parse(&config.to_string()).unwrap())
        })
        .await
        .unwrap();
        let key = engine.access_key_id().to_owned();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(key, "test", None, None, "test"))
            .endpoint_url(format!("http://{}", engine.api_address()))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let proxy = Proxy::to(engine.api_address()).await;
        Self { engine, client: Client::from_conf(config), proxy, clock, dir }
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) {
        self.engine.stop().await;
    }

    /// Puts the dead letter of an event whose message had the sequence number `sequence`.
    pub(crate) async fn add(&self, group: &str, id: &str, sequence: u64) {
        let attributes = [
            ("route", "sss".to_owned()),
            ("event_id", id.to_owned()),
            ("accepted_at", ACCEPTED_AT_MS.to_string()),
        ];
        let message = Message::parse(
            Received {
                message_id: format!("message-{sequence}-of-{id}"),
                receipt_handle: String::new(),
                body: json!({ "id": id }).to_string(),
                group_id: group.to_owned(),
                sequence_number: sequence.to_string(),
                receive_count: 3,
                sent_at: Timestamp::from_ms(ACCEPTED_AT_MS),
                attributes: attributes
                    .map(|(name, value)| (name.to_owned(), Attribute::string(value)))
                    .into(),
                trace_header: None,
            },
            Origin::Sender,
        );
        let cause = Cause { status: Some(422), ..Cause::default() };
        let letter = dead_letter(&message.unwrap(), Class::Rejected, cause, 3, Vec::new());
        let mut request = self
            .client
            .send_message()
            .queue_url(self.engine.dead_letter_queue_url())
            .message_body(letter.body)
            .message_group_id(letter.group_id)
            .message_deduplication_id(letter.deduplication_id);
        for (name, Attribute { data_type, value }) in letter.attributes {
            let value = MessageAttributeValue::builder().data_type(data_type).string_value(value);
            request = request.message_attributes(name, value.build().unwrap());
        }
        request.send().await.unwrap();
    }

    /// Has the ingest accept an event.
    pub(crate) async fn post(&self, group: &str, id: &str) {
        let head = format!("x-key: {group}\r\nx-event: {id}\r\n");
        let address = self.engine.ingest_address();
        let answer = exchange(address, "POST", "/sqs-hook", &head, "{}").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Has the first event of each group wait for its next attempt, for ten minutes.
    pub(crate) async fn fail(&self) {
        let receive = self.client.receive_message().queue_url(self.engine.queue_url());
        let receive = receive.max_number_of_messages(10).visibility_timeout(600);
        assert!(!receive.send().await.unwrap().messages.unwrap_or_default().is_empty());
    }

    /// Takes what can be received from the queue, each group in its order.
    pub(crate) async fn take_webhooks(&self) -> Vec<Taken> {
        let mut taken = self.take(self.engine.queue_url()).await;
        taken.sort_by(|a, b| a.group.cmp(&b.group));
        taken
    }

    /// Takes what can be received of the dead letters.
    pub(crate) async fn take_dead_letters(&self) -> Vec<Taken> {
        self.take(self.engine.dead_letter_queue_url()).await
    }

    async fn take(&self, queue_url: &str) -> Vec<Taken> {
        let mut taken = Vec::new();
        loop {
            let some = self.take_some(queue_url).await;
            if some.is_empty() {
                return taken;
            }
            taken.extend(some);
        }
    }

    /// As a consumer of the queue does.
    pub(crate) async fn consume(&self) -> Vec<Taken> {
        self.take_some(self.engine.queue_url()).await
    }

    async fn take_some(&self, queue_url: &str) -> Vec<Taken> {
        let receive = self.client.receive_message().queue_url(queue_url);
        let receive = receive.max_number_of_messages(10).message_attribute_names("All");
        let receive = receive.message_system_attribute_names("MessageGroupId".into());
        let mut taken = Vec::new();
        for message in receive.send().await.unwrap().messages.unwrap_or_default() {
            let delete = self.client.delete_message().queue_url(queue_url);
            let handle = message.receipt_handle.clone().unwrap();
            delete.receipt_handle(handle).send().await.unwrap();
            taken.push(Taken::from(message));
        }
        taken
    }

    /// What a command changes, as far as it shows at a glance.
    pub(crate) async fn state(&self) -> Value {
        let status = self.get("/_engine/status").await;
        let count = |queue: &str| {
            let count = |name: &str| status[queue][name].as_u64().unwrap();
            count("visible") + count("in_flight") + count("delayed")
        };
        let mut pauses = self.get("/_engine/pauses").await["pauses"].take();
        for pause in pauses.as_array_mut().unwrap() {
            pause["since"].take();
            pause["until"] = json!(pause["until"].is_string());
        }
        let skips = self.get("/_engine/skips").await["skips"].take();
        let in_flight = status["queue"]["in_flight"].clone();
        json!({
            "queue": count("queue"), "dead": count("dead_letter_queue"), "pauses": pauses,
            "skips": skips, "in_flight": in_flight,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.api("GET", path).await;
        let (_head, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    async fn api(&self, method: &str, path: &str) -> String {
        let key = format!("authorization: Bearer {}\r\n", self.engine.access_key_id());
        exchange(self.engine.api_address(), method, path, &key, "").await
    }

    /// Lets time pass for the engine until what a killed command has hidden is shown again, and its lease
    /// has expired.
    pub(crate) async fn later(&self, hidden_for: Duration) {
        self.clock.advance(hidden_for);
        let lease = self.get("/_engine/redrive-lease").await;
        if let Some(token) = lease["lease"]["token"].as_str() {
            self.api("DELETE", &format!("/_engine/redrive-lease/{token}")).await;
        }
    }

    /// The lines of the audit log of this action.
    pub(crate) fn audit(&self, action: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(self.dir.path().join("data/audit.jsonl"));
        let log = log.unwrap_or_default();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["action"] == action).collect()
    }

    /// Where commands run, and leave their files.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Done {
        self.proxy.hold(None);
        let output = self.command(arguments).output().await.unwrap();
        Done { code: output.status.code(), stderr: String::from_utf8(output.stderr).unwrap() }
    }

    /// Runs a command, and kills it where it is held; tells whether it was, or came to its end before.
    pub(crate) async fn run_and_kill(&self, arguments: &[&str], held: Held) -> bool {
        self.proxy.hold(Some(held));
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let killed = tokio::select! {
            () = self.proxy.reached() => true,
            _ended = child.wait() => false,
        };
        if killed {
            child.kill().await.unwrap();
        }
        self.proxy.hold(None);
        killed
    }

    /// Runs a command, and sends it TERM twice where it is held: the second once it has told of the first.
    pub(crate) async fn run_and_end_at_once(&self, arguments: &[&str], held: Held) -> Done {
        self.proxy.hold(Some(held));
        let mut child = self.command(arguments).stdout(Stdio::null()).spawn().unwrap();
        self.proxy.reached().await;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::TERM).unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut stderr = String::new();
        while !stderr.contains("stopping") {
            assert!(said.read_line(&mut stderr).await.unwrap() > 0, "{stderr}");
        }
        kill_process(pid.unwrap(), Signal::TERM).unwrap();
        said.read_to_string(&mut stderr).await.unwrap();
        let code = child.wait().await.unwrap().code();
        self.proxy.hold(None);
        Done { code, stderr }
    }

    /// Starts a command that says this, and lets this much time pass for the engine then; gives how it
    /// ended.
    pub(crate) async fn run_later(&self, arguments: &[&str], says: &str, time: Duration) -> Done {
        let mut child = self.command(arguments).stdout(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut stderr = String::new();
        while !stderr.contains(says) {
            assert!(said.read_line(&mut stderr).await.unwrap() > 0, "{stderr}");
        }
        self.clock.advance(time);
        said.read_to_string(&mut stderr).await.unwrap();
        Done { code: child.wait().await.unwrap().code(), stderr }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
        command.arg0("webhook-operator").env_remove("SUDO_COMMAND").kill_on_drop(true);
        command.args(arguments).args(["--api", &self.proxy.address.to_string()]);
        command.env("AWS_ACCESS_KEY_ID", self.engine.access_key_id());
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The files in a folder whose names end like this, by name.
pub(crate) fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.to_str().is_some_and(|name| name.ends_with(end))).collect();
    files.sort();
    files
}

/// The event ids of the dead letters in a file, which has to be whole.
pub(crate) fn exported(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let id = |line: &str| -> String {
        let letter: Value = serde_json::from_str(line).unwrap();
        letter["event_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

async fn exchange(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

impl From<SdkMessage> for Taken {
    fn from(message: SdkMessage) -> Self {
        let attributes = message.message_attributes.unwrap_or_default();
        let event_id = attributes.get("event_id").and_then(|value| value.string_value.clone());
        let mut system = message.attributes.unwrap_or_default();
        Self {
            group: system.remove(&"MessageGroupId".into()).unwrap(),
            event_id: event_id.unwrap_or_default(),
            body: message.body.unwrap(),
        }
    }
}
