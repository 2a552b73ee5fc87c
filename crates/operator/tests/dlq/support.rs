//! Queues with dead letters, and an operator who works on them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message as SdkMessage, MessageAttributeValue, QueueAttributeName};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use domain::attribute::{Attribute, Attributes};
use domain::dead_letter::{Cause, Class, dead_letter};
use domain::message::{Message, Origin, Received};
use domain::time::Timestamp;
use engine::clock::Clock;
use engine::store::Store;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::clock::ShiftedClock;

/// When all test events were accepted: 2026-11-23T10:00:00Z.
pub(crate) const ACCEPTED_AT_MS: u64 = 1_795_428_000_000;

/// Two FIFO queues over the SQS protocol, and a folder in which the operator finds them.
pub(crate) struct Queues {
    store: Store,
    client: Client,
    clock: Arc<ShiftedClock>,
    fault: Arc<Mutex<Fault>>,
    data_dir: tempfile::TempDir,
    queue_url: String,
    dead_letter_queue_url: String,
}

/// What goes wrong between the operator and the queues.
#[derive(Debug, Default, Clone)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Requests of this operation wait.
    Hold(&'static str, Arc<Gate>),
    /// The same, and what an answer is dated is not when its queue's messages are.
    HoldAndDate(&'static str, Arc<Gate>, &'static str),
    /// Requests of this operation are refused.
    Refuse(&'static str),
    /// Messages of this group are refused.
    RefuseGroup(&'static str),
    /// Of messages that are to be hidden for longer, the last but one is said to be shown to others.
    LoseLastButOne,
    /// The engine says that it logs errors only.
    LogsErrorsOnly,
}

/// Where requests wait until a test lets them through.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) reached: Notify,
    pub(crate) open: Notify,
}

/// A webhook as it waits in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) group: String,
    pub(crate) event_id: String,
    pub(crate) body: String,
    pub(crate) attributes: Vec<String>,
    pub(crate) token: Option<String>,
}

/// How an operator's command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Queues {
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let store = Store::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let fault = Arc::<Mutex<Fault>>::default();
        // Nothing delivers from these queues.
        let no_mapping = || async { "{\"EventSourceMappings\":[]}" };
        let data_dir = tempfile::tempdir().unwrap();
        let no_pauses = || async { "{\"pauses\":[]}" };
        let api = engine::sqs::router(store.clone())
            .merge(engine::leases_api::router(store.clone()))
            .route("/_engine/pauses", axum::routing::get(no_pauses))
            .merge(engine::operators::router(Some(data_dir.path())))
            .route("/2015-03-31/event-source-mappings", axum::routing::get(no_mapping))
            .route("/_engine/status", axum::routing::get(async || status().to_string()))
            .layer(middleware::from_fn_with_state(Arc::clone(&fault), interfere));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async { axum::serve(listener, api).await.unwrap() });
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        let queue_url = create_queue(&client, "test-webhook.fifo").await;
        let dead_letter_queue_url = create_queue(&client, "test-webhook-dlq.fifo").await;
        let engine = json!({
            "environment": "test", "api": address, "queue_url": queue_url,
            "dead_letter_queue_url": dead_letter_queue_url,
        });
        std::fs::write(data_dir.path().join("engine.json"), engine.to_string()).unwrap();
        let queues =
            Self { store, client, clock, fault, data_dir, queue_url, dead_letter_queue_url };
        queues.write_log(&[]);
        queues
    }

    /// Ends the lease of a redrive that was killed, which expires in a minute by itself.
    pub(crate) async fn end_lease(&self) {
        let lease = self.store.lease("redrive").await.unwrap().unwrap();
        self.store.release_lease("redrive", &lease.token).await.unwrap();
    }

    /// What the engine would have logged.
    pub(crate) fn write_log(&self, lines: &[String]) {
        // As an engine begins its first.
        let log = format!("{{\"message\":\"log_file\",\"number\":1}}\n{}", lines.join("\n"));
        std::fs::write(self.data_dir.path().join("engine.log"), log).unwrap();
    }

    /// Puts the dead letter of an event that a destination rejected.
    pub(crate) async fn add_rejected(&self, event: Event) {
        self.add_answered(event, 422, "{\"error\":\"unknown workflow\"}").await;
    }

    /// The same, of one that got another answer.
    pub(crate) async fn add_answered(&self, event: Event, status: u16, response: &str) {
        let cause = Cause {
            destination: Some("sss".to_owned()),
            status: Some(status),
            error: None,
            response: Some(response.to_owned()),
            location: None,
        };
        let message = Message::parse(event.0, Origin::Sender).unwrap();
        let letter = dead_letter(&message, Class::Rejected, cause, 3, Vec::new());
        self.send_dead_letter(
            &letter.group_id,
            &letter.deduplication_id,
            letter.body,
            letter.attributes,
        )
        .await;
    }

    /// Puts an event as SQS's redrive policy moves it: as it was, in its group.
    pub(crate) async fn add_moved_by_sqs(&self, event: Event) {
        let Received { message_id, group_id, body, attributes, .. } = event.0;
        self.send_dead_letter(&group_id, &message_id, body, attributes).await;
    }

    async fn send_dead_letter(
        &self,
        group: &str,
        deduplication_id: &str,
        body: String,
        attributes: Attributes,
    ) {
        let mut request = self
            .client
            .send_message()
            .queue_url(&self.dead_letter_queue_url)
            .message_body(body)
            .message_group_id(group)
            .message_deduplication_id(deduplication_id);
        for (name, Attribute { data_type, value }) in attributes {
            let value = MessageAttributeValue::builder().data_type(data_type).string_value(value);
            request = request.message_attributes(name, value.build().unwrap());
        }
        request.send().await.unwrap();
    }

    /// Takes everything out of the webhook queue, each group in its order.
    pub(crate) async fn take_webhooks(&self) -> Vec<Waiting> {
        let mut messages = self.take_all(&self.queue_url).await;
        messages.sort_by(|a, b| a.group.cmp(&b.group));
        messages
    }

    /// How many dead letters can be received now.
    pub(crate) async fn take_dead_letters(&self) -> usize {
        self.take_all(&self.dead_letter_queue_url).await.len()
    }

    async fn take_all(&self, queue_url: &str) -> Vec<Waiting> {
        let mut taken = Vec::new();
        loop {
            let received = self
                .client
                .receive_message()
                .queue_url(queue_url)
                .max_number_of_messages(10)
                .message_system_attribute_names("MessageGroupId".into())
                .message_attribute_names("All");
            let messages = received.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return taken;
            }
            for message in messages {
                let handle = message.receipt_handle.clone().unwrap();
                let delete = self.client.delete_message().queue_url(queue_url);
                delete.receipt_handle(handle).send().await.unwrap();
                taken.push(Waiting::from(message));
            }
        }
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Lets time pass for the queues.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs `dlq` with `arguments` on these queues.
    pub(crate) async fn dlq(&self, arguments: &[&str]) -> Done {
        self.start_dlq(arguments).wait_with_output().await.unwrap().into()
    }

    /// Runs `dlq` with an editor that is a shell command; the file is its `$1`.
    pub(crate) async fn dlq_with_editor(&self, editor: &str, arguments: &[&str]) -> Done {
        let script = self.data_dir.path().join("editor.sh");
        std::fs::write(&script, editor).unwrap();
        let mut command = operator(&["dlq"]);
        command.args(arguments).arg("--data-dir").arg(self.data_dir.path());
        command.env_remove("VISUAL").env("EDITOR", format!("sh {}", script.display()));
        command.output().await.unwrap().into()
    }

    /// Lets a command run to its end, and says how much memory it had needed, in kilobytes, when it
    /// called `operation` for the `nth` time. Source: proc(5), `VmHWM`.
    pub(crate) async fn peak_kilobytes(
        &self,
        child: Child,
        operation: &'static str,
        nth: usize,
    ) -> u64 {
        let gate = Arc::<Gate>::default();
        self.set_fault(Fault::Hold(operation, Arc::clone(&gate)));
        for _ in 1..nth {
            gate.reached.notified().await;
            gate.open.notify_one();
        }
        gate.reached.notified().await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap()));
        let status = status.unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")).unwrap();
        self.set_fault(Fault::None);
        gate.open.notify_one();
        let done: Done = child.wait_with_output().await.unwrap().into();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        peak.trim().parse().unwrap()
    }

    /// A place for files.
    pub(crate) fn file(&self, name: &str) -> String {
        self.data_dir.path().join(name).display().to_string()
    }

    /// The audit log.
    pub(crate) async fn audit_lines(&self) -> Vec<serde_json::Value> {
        let log = self.dlq(&["log", "test", "--json"]).await.stdout;
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the audit log says was done, and why.
    pub(crate) async fn audit(&self) -> Vec<(String, String)> {
        let log = self.dlq(&["log", "test", "--json"]).await.stdout;
        let line = |line: &str| -> (String, String) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            (text("action"), text("reason"))
        };
        log.lines().map(line).collect()
    }

    /// Starts it. It is killed when dropped.
    pub(crate) fn start_dlq(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// How it is started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = operator(&["dlq"]);
        command.args(arguments).arg("--data-dir").arg(self.data_dir.path());
        command
    }

    /// How it is started by another program, which becomes it.
    pub(crate) fn by(&self, program: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args([env!("CARGO_BIN_EXE_webhook-operator"), "dlq"]);
        command.args(arguments).arg("--data-dir").arg(self.data_dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Hides so many dead letters for long, as somebody does who looks at them.
    pub(crate) async fn hide(&self, count: usize) {
        for _letter in 0..count {
            let receive = self.client.receive_message().queue_url(&self.dead_letter_queue_url);
            let received = receive.visibility_timeout(600).send().await.unwrap();
            assert_eq!(received.messages.map(|messages| messages.len()), Some(1));
        }
    }
}

/// What an engine with one route says of itself.
fn status() -> serde_json::Value {
    let queue = json!({
        "visible": 0, "in_flight": 0, "delayed": 0, "message_groups": 0, "oldest_age_ms": null,
    });
    json!({
        "now": "2026-11-23T10:00:00.000Z", "started_at": "2026-11-23T10:00:00.000Z",
        "version": "0", "trouble": null, "disk": null, "ingest": { "refused": 0 }, "queue": queue,
        "waiting_groups": 0, "dead_letter_queue": queue, "dead_letters_by_reason": {},
        "event_source_mapping": null, "deliveries": { "destinations": {}, "last": [] },
        "loss_meter": { "since": "2026-11-23T10:00:00.000Z", "missing": 0, "routes": {
            "sss": { "accepted": 0, "delivered": 0, "dead_letters": 0, "dead_lettered": 0, "left": {} },
        } },
        "log_level": "INFO", "origins": {},
    })
}

/// The program, with `arguments`.
pub(crate) fn operator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
    // Help is as wide as the terminal, else as this says.
    command.args(arguments).env("COLUMNS", "100").current_dir(root());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Types `line` into a shell that knows the program by its name.
pub(crate) async fn typed(line: &str) -> Done {
    let programs = Path::new(env!("CARGO_BIN_EXE_webhook-operator")).parent().unwrap();
    let others = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("PATH", format!("{}:{others}", programs.display()));
    shell.env_remove("SUDO_COMMAND").stdin(Stdio::null()).output().await.unwrap().into()
}

/// Runs the program, with `arguments`, to its end.
pub(crate) async fn run(arguments: &[&str]) -> Done {
    operator(arguments).output().await.unwrap().into()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn create_queue(client: &Client, name: &str) -> String {
    let request = client.create_queue().queue_name(name);
    let created = request.attributes(QueueAttributeName::FifoQueue, "true").send().await;
    created.unwrap().queue_url.unwrap()
}

async fn interfere(
    State(fault): State<Arc<Mutex<Fault>>>,
    request: Request,
    next: Next,
) -> Response {
    let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let target = request.headers().get("x-amz-target").map(|value| value.to_str().unwrap());
    let operation = target.and_then(|target| target.strip_prefix("AmazonSQS.")).unwrap_or_default();
    match fault {
        Fault::Hold(held, gate) | Fault::HoldAndDate(held, gate, _) if operation == held => {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
        Fault::HoldAndDate(.., date) => {
            let mut answer = next.run(request).await;
            answer.headers_mut().insert("date", date.parse().unwrap());
            return answer;
        }
        Fault::LogsErrorsOnly if request.uri().path() == "/_engine/status" => {
            let mut status = status();
            status["log_level"] = json!("ERROR");
            return status.to_string().into_response();
        }
        Fault::Refuse(refused) if operation == refused => {
            let error =
                "{\"__type\":\"com.amazonaws.sqs#ReceiptHandleIsInvalid\",\"message\":\"no\"}";
            return (StatusCode::BAD_REQUEST, error).into_response();
        }
        Fault::RefuseGroup(group) if operation == "SendMessage" => {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let fields: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if fields["MessageGroupId"] == group {
                return refusal();
            }
            return next.run(Request::from_parts(parts, Body::from(body))).await;
        }
        Fault::Refuse(refused) if operation == refused => return refusal(),
        Fault::LoseLastButOne if operation == "ChangeMessageVisibilityBatch" => {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let fields: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let entries = fields["Entries"].as_array().unwrap();
            let place = entries.len().saturating_sub(2);
            let entry = &entries[place];
            let is_held = entry["VisibilityTimeout"].as_u64() > Some(0);
            let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
            if !is_held {
                return answer;
            }
            let lost = json!({
                "Id": entry["Id"], "SenderFault": true, "Code": "MessageNotInflight",
                "Message": "no",
            });
            let rest = entries.iter().enumerate();
            let rest = rest.filter(|(it, _)| *it != place).map(|(_, it)| json!({ "Id": it["Id"] }));
            let said = json!({ "Successful": rest.collect::<Vec<_>>(), "Failed": [lost] });
            return said.to_string().into_response();
        }
        Fault::None
        | Fault::Hold(..)
        | Fault::RefuseGroup(_)
        | Fault::Refuse(_)
        | Fault::LoseLastButOne
        | Fault::LogsErrorsOnly => {}
    }
    next.run(request).await
}

fn refusal() -> Response {
    let error = "{\"__type\":\"com.amazonaws.sqs#InvalidMessageContents\",\"message\":\"no\"}";
    (StatusCode::BAD_REQUEST, error).into_response()
}

/// An event that became a dead letter.
pub(crate) struct Event(Received);

impl Event {
    /// The event `id` of `group`, whose message had the sequence number `sequence`.
    pub(crate) fn new(group: &str, id: &str, sequence: u64) -> Self {
        let attributes = [
            ("route", "sss".to_owned()),
            ("event_id", id.to_owned()),
            ("accepted_at", ACCEPTED_AT_MS.to_string()),
            ("header.x-workflow-id", group.to_owned()),
        ];
        Self(Received {
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
        })
    }

    /// The same event, that died as another message.
    pub(crate) fn dead_as(mut self, message_id: &str) -> Self {
        message_id.clone_into(&mut self.0.message_id);
        self
    }

    pub(crate) fn with_body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.0.body);
        self
    }

    pub(crate) fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.0.attributes.insert(name.to_owned(), Attribute::string(value));
        self
    }
}

impl From<SdkMessage> for Waiting {
    fn from(message: SdkMessage) -> Self {
        let mut attributes = message.message_attributes.unwrap_or_default();
        let text = |name: &str| attributes.get(name).and_then(|value| value.string_value.clone());
        let (event_id, token) = (text("event_id"), text("token"));
        let mut names: Vec<String> = attributes.drain().map(|(name, _)| name).collect();
        names.sort_unstable();
        let mut system = message.attributes.unwrap_or_default();
        Self {
            group: system.remove(&"MessageGroupId".into()).unwrap(),
            event_id: event_id.unwrap_or_default(),
            body: message.body.unwrap(),
            attributes: names,
            token,
        }
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
