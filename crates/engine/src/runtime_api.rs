//! The Lambda Runtime API, as one function process sees it: `next`, `response`, `error` and
//! `init/error`. Each process gets a listener of its own, so that the address it was given says which
//! process is asking, and a path that only the process knows: other users of the machine reach loopback,
//! too, and whoever can ask for an event could take it.
//!
//! Source: Lambda guide, "Using the Lambda runtime API for custom runtimes". Starting, watching and
//! ending the process is [`function`](crate::function)'s business, and so are time limits.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, InvalidHeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use domain::time::Timestamp;
use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};
use uuid::Uuid;

use crate::http::answer;
use crate::log::Log;
use crate::server::Server;

/// Largest response of a function, in bytes. Source: Lambda guide, "Lambda quotas".
const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024;

const VERSION: &str = "2018-06-01/runtime/";

/// One event on its way to the function.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Lambda's request id.
    pub(crate) request_id: String,
    /// When the function will be ended, by the wall clock, as the function has no other.
    pub(crate) deadline: Timestamp,
    /// The event, JSON.
    pub(crate) event: Bytes,
}

/// What a function reported instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct FunctionError {
    /// Its kind, as the function's runtime calls it.
    #[serde(rename = "errorType")]
    pub(crate) error_type: String,
    /// What happened.
    #[serde(rename = "errorMessage")]
    pub(crate) message: String,
}

/// How far a process has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    /// It has not asked for an event yet.
    Running,
    /// It has asked for its first event.
    Done,
    /// It said that it cannot work.
    Failed(FunctionError),
}

/// The answer to an invocation.
pub(crate) type Answer = Result<Bytes, FunctionError>;

/// The Runtime API of one process.
pub(crate) struct RuntimeApi {
    /// None of a function that is within this process.
    server: Option<Server>,
    exchange: Arc<Exchange>,
}

/// The function's side of a [`RuntimeApi`] where both are within one process.
pub(crate) struct Within(Arc<Exchange>);

/// What passes between the engine and one process.
struct Exchange {
    function_arn: HeaderValue,
    /// What every path begins with: a segment that nobody can guess.
    root: String,
    init: watch::Sender<Init>,
    slots: Mutex<Slots>,
    offered: Notify,
}

#[derive(Default)]
struct Slots {
    /// An event that the process has not taken yet.
    offered: Option<(Invocation, oneshot::Sender<Answer>)>,
    /// The event that it is working on.
    running: Option<(String, oneshot::Sender<Answer>)>,
}

impl Default for FunctionError {
    fn default() -> Self {
        Self { error_type: "Unknown".to_owned(), message: "the function gave no reason".to_owned() }
    }
}

impl RuntimeApi {
    /// Listens at a free port of the loopback interface.
    pub(crate) async fn start(function_arn: &str, log: Log) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let exchange = Arc::new(Exchange::new(function_arn).map_err(io::Error::other)?);
        let handler = {
            let exchange = Arc::clone(&exchange);
            move |_peer, request| Arc::clone(&exchange).answer(request)
        };
        Ok(Self { server: Some(Server::start(listener, log, handler)?), exchange })
    }

    /// For a function within this process: nobody listens.
    pub(crate) fn within(function_arn: &str) -> io::Result<(Self, Within)> {
        let exchange = Arc::new(Exchange::new(function_arn).map_err(io::Error::other)?);
        Ok((Self { server: None, exchange: Arc::clone(&exchange) }, Within(exchange)))
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`. Lambda's is host and port; what has a path is a URL.
    pub(crate) fn endpoint(&self) -> String {
        let address = self.server.as_ref().map_or_else(String::new, |it| it.address().to_string());
        format!("http://{address}{}", self.exchange.root.trim_end_matches('/'))
    }

    /// How far the process has come, now and from now on.
    pub(crate) fn init(&self) -> watch::Receiver<Init> {
        self.exchange.init.subscribe()
    }

    /// Offers an event; the receiver gets the function's answer.
    pub(crate) fn offer(&self, invocation: Invocation) -> oneshot::Receiver<Answer> {
        let (sender, answer) = oneshot::channel();
        self.exchange.slots().offered = Some((invocation, sender));
        self.exchange.offered.notify_one();
        answer
    }

    /// Takes an offer back; `None` if the process has it already.
    pub(crate) fn withdraw(&self) -> Option<Invocation> {
        self.exchange.slots().offered.take().map(|(invocation, _)| invocation)
    }
}

impl Within {
    /// The next event, which is taken.
    pub(crate) async fn next(&self) -> Invocation {
        self.0.asked();
        loop {
            if let Some(invocation) = self.0.take() {
                return invocation;
            }
            self.0.offered.notified().await;
        }
    }

    /// Answers the event that was taken last.
    pub(crate) fn answer(&self, request_id: &str, answer: Answer) {
        // Nobody waits any more if it came too late.
        let _refused = self.0.settle(request_id, answer);
    }
}

impl Exchange {
    fn new(function_arn: &str) -> Result<Self, InvalidHeaderValue> {
        Ok(Self {
            function_arn: HeaderValue::from_str(function_arn)?,
            root: format!("/{}/", Uuid::new_v4().simple()),
            init: watch::Sender::new(Init::Running),
            slots: Mutex::default(),
            offered: Notify::new(),
        })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().expect("no code panics while it holds the slots")
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix(&self.root);
        let Some(path) = path.and_then(|path| path.strip_prefix(VERSION)) else {
            return not_found();
        };
        if head.method == Method::GET && path == "invocation/next" {
            return self.next().await;
        }
        if head.method != Method::POST {
            return not_found();
        }
        let Ok(body) = axum::body::to_bytes(Body::new(body), RESPONSE_BYTES_MAX).await else {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge");
        };
        if path == "init/error" {
            self.init.send_replace(Init::Failed(function_error(&body)));
            return accepted();
        }
        match path.strip_prefix("invocation/").and_then(|path| path.split_once('/')) {
            Some((request_id, "response")) => self.settle(request_id, Ok(body)),
            Some((request_id, "error")) => self.settle(request_id, Err(function_error(&body))),
            _ => not_found(),
        }
    }

    /// Notes that the process asks for an event: it works.
    fn asked(&self) {
        self.init.send_if_modified(|init| {
            let first = *init == Init::Running;
            if first {
                *init = Init::Done;
            }
            first
        });
    }

    async fn next(&self) -> Response {
        self.asked();
        loop {
            if let Some(invocation) = self.take() {
                return self.handed_over(invocation);
            }
            self.offered.notified().await;
        }
    }

    /// What is offered, which is running from now on.
    fn take(&self) -> Option<Invocation> {
        let mut slots = self.slots();
        let (invocation, sender) = slots.offered.take()?;
        slots.running = Some((invocation.request_id.clone(), sender));
        Some(invocation)
    }

    fn handed_over(&self, invocation: Invocation) -> Response {
        Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .header("lambda-runtime-aws-request-id", &invocation.request_id)
            .header("lambda-runtime-deadline-ms", invocation.deadline.as_ms())
            .header("lambda-runtime-invoked-function-arn", &self.function_arn)
            .header("lambda-runtime-trace-id", trace_id(&invocation))
            .body(Body::from(invocation.event))
            .expect("a request id is made of header characters")
    }

    fn settle(&self, request_id: &str, answer: Answer) -> Response {
        let mut slots = self.slots();
        match slots.running.take_if(|(running, _)| running == request_id) {
            Some((_, sender)) => {
                // Nobody waits any more if the invocation ran out of time just now.
                let _late = sender.send(answer);
                accepted()
            }
            None => refused(StatusCode::BAD_REQUEST, "InvalidRequestID"),
        }
    }
}

/// An X-Ray trace header, not sampled: 8 hex digits of the time, 24 of the request id.
fn trace_id(invocation: &Invocation) -> String {
    let random: String = invocation.request_id.chars().filter(|c| *c != '-').take(24).collect();
    format!("Root=1-{:08x}-{random};Sampled=0", invocation.deadline.as_ms() / 1_000)
}

fn function_error(body: &[u8]) -> FunctionError {
    serde_json::from_slice(body).unwrap_or_default()
}

fn accepted() -> Response {
    answer(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn not_found() -> Response {
    refused(StatusCode::NOT_FOUND, "ResourceNotFound")
}

fn refused(status: StatusCode, error_type: &str) -> Response {
    answer(status, &json!({ "errorType": error_type, "errorMessage": error_type }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

    fn invocation(request_id: &str) -> Invocation {
        Invocation {
            request_id: request_id.to_owned(),
            deadline: Timestamp::from_ms(1_767_225_600_123),
            event: Bytes::from_static(b"{\"Records\":[]}"),
        }
    }

    fn url(api: &RuntimeApi, path: &str) -> String {
        format!("{}/{VERSION}{path}", api.endpoint())
    }

    /// Built with the forwarder, the client's TLS asks for a provider, though nothing here uses it.
    fn client() -> reqwest::Client {
        // Another test may have installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::new()
    }

    async fn post(api: &RuntimeApi, path: &str, body: &'static str) -> u16 {
        client().post(url(api, path)).body(body).send().await.unwrap().status().as_u16()
    }

    async fn next(api: &RuntimeApi) -> reqwest::Response {
        client().get(url(api, "invocation/next")).send().await.unwrap()
    }

    #[tokio::test]
    async fn an_event_goes_out_and_its_answer_comes_back() {
        let api = RuntimeApi::start(ARN, Log::nowhere()).await.unwrap();
        let answer = api.offer(invocation("r-1"));
        let event = next(&api).await;
        let header = |name| event.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("lambda-runtime-aws-request-id"), "r-1");
        assert_eq!(header("lambda-runtime-deadline-ms"), "1767225600123");
        assert_eq!(header("lambda-runtime-invoked-function-arn"), ARN);
        assert_eq!(header("lambda-runtime-trace-id"), "Root=1-6955b900-r1;Sampled=0");
        assert_eq!(event.bytes().await.unwrap(), "{\"Records\":[]}");
        assert_eq!(post(&api, "invocation/r-1/response", "null").await, 202);
        assert_eq!(answer.await.unwrap().unwrap(), "null");
    }

    #[tokio::test]
    async fn next_waits_for_an_event_and_ends_init() {
        let api = RuntimeApi::start(ARN, Log::nowhere()).await.unwrap();
        let mut init = api.init();
        assert_eq!(*init.borrow(), Init::Running);
        let offer = async {
            init.wait_for(|init| *init == Init::Done).await.unwrap();
            drop(api.offer(invocation("r-2")));
        };
        let (event, ()) = tokio::join!(next(&api), offer);
        assert_eq!(event.headers()["lambda-runtime-aws-request-id"], "r-2");
    }

    #[tokio::test]
    async fn an_error_is_the_answer_too() {
        let api = RuntimeApi::start(ARN, Log::nowhere()).await.unwrap();
        let answer = api.offer(invocation("r-1"));
        next(&api).await;
        let body = r#"{"errorType":"Panic","errorMessage":"no","stackTrace":[]}"#;
        assert_eq!(post(&api, "invocation/r-1/error", body).await, 202);
        let error = answer.await.unwrap().unwrap_err();
        assert_eq!(
            error,
            FunctionError { error_type: "Panic".to_owned(), message: "no".to_owned() }
        );
    }

    #[tokio::test]
    async fn a_failed_init_is_told() {
        let api = RuntimeApi::start(ARN, Log::nowhere()).await.unwrap();
        let body = r#"{"errorType":"Runtime.InitError","errorMessage":"QUEUE_URL is missing"}"#;
        assert_eq!(post(&api, "init/error", body).await, 202);
        let Init::Failed(error) = api.init().borrow().clone() else {
            panic!("init has not failed")
        };
        assert_eq!(error.message, "QUEUE_URL is missing");
    }

    #[tokio::test]
    async fn only_the_running_invocation_is_answered_and_once() {
        let api = RuntimeApi::start(ARN, Log::nowhere()).await.unwrap();
        assert_eq!(post(&api, "invocation/r-1/response", "null").await, 400);
        let _answer = api.offer(invocation("r-1"));
        assert_eq!(post(&api, "invocation/r-1/response", "null").await, 400, "not taken yet");
        next(&api).await;
        assert_eq!(post(&api, "invocation/r-0/response", "null").await, 400);
        assert_eq!(post(&api, "invocation/r-1/response", "null").await, 202);
        assert_eq!(post(&api, "invocation/r-1/response", "null").await, 400);
        assert_eq!(post(&api, "elsewhere", "").await, 404);
    }

    /// Who finds the port has to know the path as well: another user of the machine does not.
    #[tokio::test]
    async fn nobody_takes_an_event_who_does_not_know_the_path() {
        let (api, other) = (
            RuntimeApi::start(ARN, Log::nowhere()).await.unwrap(),
            RuntimeApi::start(ARN, Log::nowhere()).await.unwrap(),
        );
        let mut answer = api.offer(invocation("r-1"));
        let address = api.server.as_ref().unwrap().address();
        assert!(address.ip().is_loopback(), "{address}");
        let others = other.endpoint().rsplit('/').next().unwrap().to_owned();
        for root in ["", "/", "//", "/..", &format!("/{others}"), &format!("/{}", "0".repeat(32))] {
            for path in ["invocation/next", "invocation/r-1/response", "init/error"] {
                let url = format!("http://{address}{root}/{VERSION}{path}");
                for request in [client().get(&url), client().post(&url).body("null")] {
                    assert_eq!(request.send().await.unwrap().status().as_u16(), 404, "{url}");
                }
            }
        }
        assert_eq!(*api.init().borrow(), Init::Running);
        assert!(answer.try_recv().is_err());
        assert_eq!(api.withdraw().unwrap().request_id, "r-1");
    }

    #[tokio::test]
    async fn an_event_can_be_withdrawn_until_it_is_taken() {
        let api = RuntimeApi::start(ARN, Log::nowhere()).await.unwrap();
        let _answer = api.offer(invocation("r-1"));
        assert_eq!(api.withdraw().unwrap().request_id, "r-1");
        let _answer = api.offer(invocation("r-2"));
        assert_eq!(next(&api).await.headers()["lambda-runtime-aws-request-id"], "r-2");
        assert!(api.withdraw().is_none());
    }
}
