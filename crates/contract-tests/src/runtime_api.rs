//! The Lambda Runtime API, as much of it as a function process sees: it hands out one event after
//! another and takes what the function says to each.
//!
//! Source: Lambda guide, "Using the Lambda runtime API for custom runtimes".

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use domain::time::Timestamp;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// What a function says to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has worked.
    Response(Bytes),
    /// It has not.
    Error(FunctionError),
}

/// What a function reports when it cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionError {
    /// Its kind.
    pub error_type: String,
    /// What happened.
    pub error_message: String,
}

/// The API of one function process.
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<Invocation>,
    init_error: watch::Receiver<Option<FunctionError>>,
}

struct Invocation {
    event: Bytes,
    deadline: Timestamp,
    trace: &'static str,
    answer: oneshot::Sender<Answer>,
}

/// What Lambda gives an invocation that nobody traces.
pub const NOT_TRACED: &str = "Root=1-67891233-abcdef012345678912345678;Sampled=0";

struct Shared {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    init_error: watch::Sender<Option<FunctionError>>,
}

impl RuntimeApi {
    /// Listens at a free port.
    pub async fn start() -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        let init_error = watch::Sender::new(None);
        let shared = Arc::new(Shared {
            events: tokio::sync::Mutex::new(receiver),
            running: Mutex::default(),
            init_error: init_error.clone(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(report_init_error))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, events, init_error: init_error.subscribe() }
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the process work on `event`; the receiver gets its answer, or an error once the process
    /// can no longer give one.
    pub fn offer(
        &self,
        event: Bytes,
        deadline: Timestamp,
        trace: &'static str,
    ) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        // The server task may have ended with the test's runtime; then nobody waits for the answer.
        let _sent = self.events.send(Invocation { event, deadline, trace, answer });
        receiver
    }

    /// What the process reported instead of asking for its first event, if it did.
    #[must_use]
    pub fn init_error(&self) -> Option<FunctionError> {
        self.init_error.borrow().clone()
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let invocation = shared.events.lock().await.recv().await;
    let Some(Invocation { event, deadline, trace, answer }) = invocation else {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let id = {
        let mut running = shared.running.lock().expect("no holder panics");
        let id = format!("00000000-0000-4000-8000-{:012}", running.len());
        running.insert(id.clone(), answer);
        id
    };
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline.as_ms())
        .header(
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:test-webhook-forwarder",
        )
        .header("lambda-runtime-trace-id", trace)
        .body(Body::from(event))
        .expect("all headers are ASCII")
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response<Body> {
    shared.settle(&id, Answer::Response(body))
}

async fn error(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response<Body> {
    match serde_json::from_slice(&body) {
        Ok(error) => shared.settle(&id, Answer::Error(error)),
        Err(_) => empty(StatusCode::BAD_REQUEST),
    }
}

async fn report_init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    match serde_json::from_slice(&body) {
        Ok(error) => {
            shared.init_error.send_replace(Some(error));
            empty(StatusCode::ACCEPTED)
        }
        Err(_) => empty(StatusCode::BAD_REQUEST),
    }
}

impl Shared {
    /// A second answer to the same event is refused, as Lambda does; the first one counts.
    fn settle(&self, id: &str, answer: Answer) -> Response<Body> {
        let mut running = self.running.lock().expect("no holder panics");
        let Some(waiting) = running.get_mut(id) else { return empty(StatusCode::BAD_REQUEST) };
        // The id stays known, so that ids remain distinct; its sender is replaced by a dead one.
        let waiting = std::mem::replace(waiting, oneshot::channel().0);
        match waiting.send(answer) {
            Ok(()) => empty(StatusCode::ACCEPTED),
            Err(_) => empty(StatusCode::BAD_REQUEST),
        }
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from("{}"));
    *response.status_mut() = status;
    response
}
