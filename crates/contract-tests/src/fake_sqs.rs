//! SQS as the forwarder calls it: takes note of every call, and fails on demand.
//!
//! Deliberately no queue: what a queue does with these calls is the queue's contract, tested
//! elsewhere. Source of the protocol: SQS API reference, AWS JSON 1.0.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use domain::attribute::{self, Attribute, Attributes};
use domain::dead_letter::Failure;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::event::receipt_handle;
use crate::within_patience;

/// An SQS with two queues, at a port of its own.
pub struct FakeSqs {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call as a whole is refused, as if a permission were missing.
    Refused,
    /// SQS fails: HTTP 500.
    Broken,
    /// The call succeeds, but names every entry of the batch as failed.
    EntriesFailed,
    /// No answer ever comes.
    Hangs,
}

/// A call, or one entry of a batch call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `SendMessage`, `ChangeMessageVisibility` or `DeleteMessage`, also for an entry of a batch.
    pub action: String,
    /// Its parameters.
    pub parameters: Value,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// A message that was sent to the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its body.
    pub body: String,
    /// Its message group.
    pub group_id: String,
    /// Its deduplication id.
    pub deduplication_id: String,
    /// Its message attributes, without the failure record.
    pub attributes: Attributes,
    /// The failure record.
    pub failure: Failure,
    /// Bytes that count toward SQS's limits.
    pub bytes: usize,
}

struct Shared {
    address: SocketAddr,
    calls: watch::Sender<Vec<Call>>,
    faults: Mutex<BTreeMap<&'static str, Fault>>,
}

impl FakeSqs {
    /// Listens at a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared =
            Arc::new(Shared { address, calls: watch::Sender::default(), faults: Mutex::default() });
        let router = Router::new()
            .route("/", post(call))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, shared }
    }

    /// The endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The queue's URL.
    #[must_use]
    pub fn queue_url(&self) -> String {
        self.shared.queue_url("test-webhook.fifo")
    }

    /// The dead-letter queue's URL.
    #[must_use]
    pub fn dead_letter_queue_url(&self) -> String {
        self.shared.queue_url("test-webhook-dlq.fifo")
    }

    /// From now on, calls of `action` and of its batch form fail.
    pub fn fail(&self, action: &'static str, fault: Fault) {
        self.shared.faults().insert(action, fault);
    }

    /// From now on, everything works again.
    pub fn recover(&self) {
        self.shared.faults().clear();
    }

    /// All calls so far, entries of batches one by one.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// Returns when there has been a call of `action`, whatever became of it.
    pub async fn called(&self, action: &str) {
        let mut calls = self.shared.calls.subscribe();
        let called = calls.wait_for(|calls| calls.iter().any(|call| call.action == action));
        within_patience(action, called).await.expect("the sender is in self");
    }

    /// The visibility timeout, in seconds, that this message has been given; `None` if none has.
    ///
    /// # Panics
    ///
    /// When it was given on the wrong queue.
    #[must_use]
    pub fn visibility(&self, message_id: &str) -> Option<u64> {
        let receipt_handle = receipt_handle(message_id);
        let calls = self.calls();
        let call = calls.iter().rev().find(|call| {
            call.succeeded
                && call.action == "ChangeMessageVisibility"
                && call.parameters["ReceiptHandle"] == receipt_handle.as_str()
        })?;
        assert_eq!(call.parameters["QueueUrl"], self.queue_url());
        Some(call.parameters["VisibilityTimeout"].as_u64().expect("a number of seconds"))
    }

    /// The messages that were sent to the dead-letter queue.
    ///
    /// # Panics
    ///
    /// When something was sent elsewhere, or is no dead letter.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let calls = self.calls();
        let sent = calls.iter().filter(|call| call.succeeded && call.action == "SendMessage");
        sent.map(|call| self.dead_letter(&call.parameters)).collect()
    }

    fn dead_letter(&self, parameters: &Value) -> DeadLetter {
        assert_eq!(parameters["QueueUrl"], self.dead_letter_queue_url());
        let text = |name: &str| {
            let text = parameters[name].as_str();
            text.unwrap_or_else(|| panic!("no {name} in {parameters}")).to_owned()
        };
        let mut attributes = message_attributes(&parameters["MessageAttributes"]);
        let bytes = text("MessageBody").len() + attribute::bytes(&attributes);
        let failure = attributes.remove(attribute::FAILURE).expect("it says why");
        DeadLetter {
            body: text("MessageBody"),
            group_id: text("MessageGroupId"),
            deduplication_id: text("MessageDeduplicationId"),
            failure: serde_json::from_str(&failure.value).expect("the record is JSON"),
            attributes,
            bytes,
        }
    }
}

impl Shared {
    fn queue_url(&self, name: &str) -> String {
        format!("http://{}/000000000000/{name}", self.address)
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<&'static str, Fault>> {
        self.faults.lock().expect("no holder panics")
    }
}

fn message_attributes(parameters: &Value) -> Attributes {
    let attributes = parameters.as_object().into_iter().flatten();
    let attribute = |value: &Value| Attribute {
        data_type: value["DataType"].as_str().expect("a type").to_owned(),
        value: value["StringValue"]
            .as_str()
            .or(value["BinaryValue"].as_str())
            .expect("a value")
            .to_owned(),
    };
    attributes.map(|(name, value)| (name.clone(), attribute(value))).collect()
}

async fn call(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let action = target.and_then(|target| target.strip_prefix("AmazonSQS."));
    let (Some(action), Ok(parameters)) = (action, serde_json::from_slice::<Value>(&body)) else {
        return error(StatusCode::BAD_REQUEST, "InvalidAction");
    };
    let (single, is_batch) = match action.strip_suffix("Batch") {
        Some(single) => (single, true),
        None => (action, false),
    };
    if !["SendMessage", "ChangeMessageVisibility", "DeleteMessage"].contains(&single) {
        return error(StatusCode::BAD_REQUEST, "InvalidAction");
    }
    let fault = shared.faults().get(single).copied();
    let entries = entries(&parameters, is_batch);
    shared.calls.send_modify(|calls| {
        calls.extend(entries.iter().map(|entry| Call {
            action: single.to_owned(),
            parameters: entry.clone(),
            succeeded: fault.is_none(),
        }));
    });
    match fault {
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::Broken) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Some(Fault::EntriesFailed) if is_batch => ok(&batch_result(&entries, &[])),
        Some(Fault::Refused | Fault::EntriesFailed) => {
            error(StatusCode::FORBIDDEN, "AccessDeniedException")
        }
        None if is_batch => ok(&batch_result(&[], &entries)),
        None => ok(
            &json!({ "MessageId": "00000000-0000-4000-8000-000000000001", "SequenceNumber": "1" }),
        ),
    }
}

/// The entries of a batch, each with the queue's URL as a single call has it.
fn entries(parameters: &Value, is_batch: bool) -> Vec<Value> {
    if !is_batch {
        return vec![parameters.clone()];
    }
    let entries = parameters["Entries"].as_array().into_iter().flatten();
    let with_queue_url = |entry: &Value| {
        let mut entry = entry.clone();
        entry["QueueUrl"] = parameters["QueueUrl"].clone();
        entry
    };
    entries.map(with_queue_url).collect()
}

fn batch_result(failed: &[Value], successful: &[Value]) -> Value {
    let failed: Vec<Value> = failed
        .iter()
        .map(|entry| json!({ "Id": entry["Id"], "Code": "InternalError", "SenderFault": false }))
        .collect();
    let successful: Vec<Value> = successful
        .iter()
        .map(|entry| json!({ "Id": entry["Id"], "MessageId": "00000000-0000-4000-8000-000000000001" }))
        .collect();
    json!({ "Failed": failed, "Successful": successful })
}

fn ok(body: &Value) -> Response<Body> {
    answer(StatusCode::OK, body)
}

fn error(status: StatusCode, code: &str) -> Response<Body> {
    answer(
        status,
        &json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "on demand" }),
    )
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(body.to_string()))
        .expect("a status and a fixed header")
}
