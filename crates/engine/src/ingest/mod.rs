//! Ingest: routes, answered as API Gateway's HTTP API with an `SQS-SendMessage` integration answers
//! them. 2xx means that the message is durable.
//!
//! Routes and queue are the engine's own, or, to stand in for the data path that an AWS emulator
//! lacks, those that were deployed to it ([`Backend`]).
//!
//! Not here: how a request becomes a message ([`domain::mapping`]), what the queue accepts
//! ([`store`](crate::store)), who may send.

mod body;
mod emulator;
mod line_limit;
mod response;
mod routes;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use domain::attribute::{self, Attributes};
use domain::config::{Config, LogLevel};
use domain::mapping::{Context, Request as MappingRequest, SendMessage};
use domain::quota;
use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use uuid::Uuid;

use crate::clock::Clock;
use crate::deliberate;
use crate::disk::Disk;
use crate::log::Log;
use crate::storage_health::{StorageHealth, StorageState};
use crate::store::{MessageAttribute, NewMessage, Store, StoreError};
use line_limit::LineLimit;
use response::Refusal;
use routes::Routes;

pub(crate) use emulator::Emulator;

/// How long a client may take to send a body. API Gateway ends a request after 30 s.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a load balancer asks for: 200 while events can be accepted, else 503. Neither counts as refused. A
/// route may have the same path, as events are posted.
const HEALTH_PATH: &str = "/healthz";

/// A path in the log is cut off here, in bytes: it is whatever a stranger sends.
const LOGGED_PATH_BYTES_MAX: usize = 200;

/// And so is a method; those that have a name are shorter.
const LOGGED_METHOD_BYTES_MAX: usize = 20;

/// The HTTP API.
pub(crate) struct Ingest {
    backend: Backend,
    clock: Arc<dyn Clock>,
    log: Log,
    counts: Counts,
    refused_lines: LineLimit,
    body_timeout: Duration,
}

/// Which routes there are, and the queue behind them.
pub(crate) enum Backend {
    /// The configuration's, and the engine's own.
    Engine(Box<EngineBackend>),
    /// What was deployed to an emulator.
    Emulator(Emulator),
}

/// The engine's own routes and queue.
pub(crate) struct EngineBackend {
    routes: Arc<Routes>,
    message_bytes_max: usize,
    store: Store,
    queue: String,
    health: StorageHealth,
    disk: Option<Arc<Disk>>,
}

/// A message that is in a queue.
struct Accepted {
    message_id: String,
    sequence_number: String,
    md5_of_body: String,
    md5_of_attributes: Option<String>,
    duplicate: bool,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
}

/// What ingest has done since the engine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct IngestStatus {
    /// Requests whose event is in the queue.
    accepted: u64,
    /// Requests answered otherwise.
    pub(crate) refused: u64,
}

#[derive(Serialize)]
struct AcceptedLine<'a> {
    event_id: &'a str,
    route: &'a str,
    group: &'a str,
    sequence: &'a str,
    bytes: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

#[derive(Serialize)]
struct RefusedLine<'a> {
    method: &'a str,
    path: &'a str,
    status: u16,
    rule: &'static str,
    reason: &'a str,
    /// As the answer says it, by which the sender can name the request.
    request_id: &'a str,
    source: IpAddr,
    /// Requests refused since the last such line that have none of their own.
    #[serde(skip_serializing_if = "is_zero")]
    unsaid: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde passes")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Backend {
    pub(crate) fn engine(
        config: &Config,
        queue_url: &str,
        store: Store,
        health: StorageHealth,
        disk: Option<Arc<Disk>>,
    ) -> Self {
        Self::Engine(Box::new(EngineBackend {
            routes: Arc::new(Routes::of(config, queue_url)),
            message_bytes_max: config.queue().max_message_bytes as usize,
            store,
            queue: config.queue_name(),
            health,
            disk,
        }))
    }

    async fn routes(&self) -> Result<Arc<Routes>, Refusal> {
        match self {
            Self::Engine(engine) => Ok(Arc::clone(&engine.routes)),
            // Asked for every request, as a deployment may have changed them since the last.
            Self::Emulator(emulator) => Ok(Arc::new(emulator.routes().await?)),
        }
    }

    /// The largest body that is worth reading, in bytes.
    fn message_bytes_max(&self) -> usize {
        match self {
            Self::Engine(engine) => engine.message_bytes_max,
            Self::Emulator(_) => quota::REQUEST_BODY_BYTES_MAX,
        }
    }

    /// Whether events can be kept. Who is told that they cannot may send none, so it is tried.
    async fn storage(&self) -> StorageState {
        match self {
            Self::Engine(engine) => {
                let disk = engine.disk.as_deref();
                engine.health.state(&engine.store, &engine.queue, disk).await
            }
            Self::Emulator(_) => StorageState::Ok,
        }
    }

    async fn send(&self, message: SendMessage) -> Result<Accepted, Refusal> {
        match self {
            Self::Engine(engine) => engine.send(message).await,
            Self::Emulator(emulator) => {
                // What SQS refuses, emulators take.
                new_message(message.clone()).check(quota::DEAD_LETTER_BYTES_MAX)?;
                Ok(emulator.send(message).await?)
            }
        }
    }
}

impl EngineBackend {
    async fn send(&self, message: SendMessage) -> Result<Accepted, Refusal> {
        let new = new_message(message);
        if self.disk.as_ref().is_some_and(|disk| !disk.has_room_for(new.body.len())) {
            return Err(Refusal::StorageFailed);
        }
        let md5_of_body = crate::sqs::md5::of_body(&new.body);
        let md5_of_attributes = crate::sqs::md5::of_attributes(&new.attributes);
        if deliberate::is_there("acknowledge-before-commit") {
            let (store, queue) = (self.store.clone(), self.queue.clone());
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                let _late = store.accept(&queue, new).await;
            });
            let message_id = uuid::Uuid::new_v4().to_string();
            let (sequence_number, duplicate) = (String::from("1"), false);
            return Ok(Accepted {
                message_id,
                sequence_number,
                md5_of_body,
                md5_of_attributes,
                duplicate,
            });
        }
        deliberate::leak();
        let sent = self.health.wrote(self.store.accept(&self.queue, new).await);
        if let (Err(StoreError::Storage(_)), Some(disk)) = (&sent, &self.disk) {
            disk.look_after_failure();
        }
        let sent = sent?;
        Ok(Accepted {
            message_id: sent.message_id,
            sequence_number: sent.sequence_number.to_string(),
            md5_of_body,
            md5_of_attributes,
            duplicate: sent.duplicate,
        })
    }
}

fn new_message(message: SendMessage) -> NewMessage {
    NewMessage {
        body: message.body,
        group_id: message.group_id,
        deduplication_id: message.deduplication_id,
        attributes: attributes(message.attributes),
        trace_header: None,
    }
}

impl Ingest {
    pub(crate) fn new(backend: Backend, clock: Arc<dyn Clock>, log: Log) -> Self {
        Self {
            backend,
            clock,
            log,
            counts: Counts::default(),
            refused_lines: LineLimit::default(),
            body_timeout: BODY_TIMEOUT,
        }
    }

    pub(crate) fn status(&self) -> IngestStatus {
        IngestStatus {
            accepted: self.counts.accepted.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response {
        // In the order of time: most are deduplication ids as well, and neighbours share a page there.
        let request_id = Uuid::now_v7().to_string();
        let (head, body) = request.into_parts();
        if head.uri.path() == HEALTH_PATH && matches!(head.method, Method::GET | Method::HEAD) {
            return response::health(self.backend.storage().await);
        }
        match self.accept(&request_id, peer, &head, body).await {
            Ok(response) => response,
            Err(refusal) => {
                self.refuse(&request_id, peer, &head, &refusal);
                response::refused(&request_id, &refusal)
            }
        }
    }

    async fn accept(
        self: &Arc<Self>,
        request_id: &str,
        peer: SocketAddr,
        head: &Parts,
        body: Incoming,
    ) -> Result<Response, Refusal> {
        if head_bytes(head) > quota::REQUEST_HEAD_BYTES_MAX {
            return Err(Refusal::HeadersTooLarge);
        }
        let routes = self.backend.routes().await?;
        let (route, path_parameters) = match routes.find(head.uri.path()) {
            Some(found) if head.method == Method::POST => found,
            _ => return Err(Refusal::NotFound),
        };
        let body = body::read(body, self.backend.message_bytes_max());
        let body = tokio::time::timeout(self.body_timeout, body);
        let body = body.await.map_err(|_elapsed| Refusal::Timeout)??;
        let bytes = body.len();
        let request_time = self.clock.wall();
        let source_ip = peer.ip().to_string();
        let mapped = MappingRequest {
            headers: headers(&head.headers),
            query: query(head.uri.query()),
            path: head.uri.path(),
            path_parameters,
            body: &body,
            context: Context {
                request_id,
                request_time,
                source_ip: &source_ip,
                route_key: &route.key,
                stage: "$default",
                http_method: head.method.as_str(),
            },
            stage_variables: BTreeMap::new(),
        };
        let message = route.parameters.evaluate(&mapped).map_err(Refusal::Unresolvable)?;
        let keeping = Arc::clone(self).keep(message, route.name.clone(), bytes);
        // As a task: a sender who hangs up ends this request, and what is in the queue by then has been
        // accepted all the same.
        let kept = tokio::spawn(keeping).await;
        let accepted = kept.map_err(|_panicked| Refusal::StorageFailed)??;
        Ok(response::accepted(request_id, &accepted))
    }

    /// Puts a message into the queue, counts it, and says so.
    async fn keep(
        self: Arc<Self>,
        message: SendMessage,
        route: String,
        bytes: usize,
    ) -> Result<Accepted, Refusal> {
        let group_id = message.group_id.clone();
        // What cannot be an id is whatever a stranger sends: it names no event, and has no place in a log.
        let event_id = message.attributes.get(attribute::EVENT_ID);
        let event_id = event_id.map(|it| it.value.clone()).filter(|id| quota::is_id(id));
        let accepted = self.backend.send(message).await?;
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.log.line(
            LogLevel::Info,
            "accepted",
            AcceptedLine {
                event_id: event_id.as_deref().unwrap_or(&accepted.message_id),
                route: &route,
                group: &group_id,
                sequence: &accepted.sequence_number,
                bytes,
                duplicate: accepted.duplicate,
            },
        );
        Ok(accepted)
    }

    fn refuse(&self, request_id: &str, peer: SocketAddr, head: &Parts, refusal: &Refusal) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        // Whoever can send can be refused, as often as he likes: the log is not his to fill.
        let Some(unsaid) = self.refused_lines.one_more(self.clock.uptime()) else { return };
        let path = head.uri.path();
        let line = RefusedLine {
            method: cut(head.method.as_str(), LOGGED_METHOD_BYTES_MAX),
            path: cut(path, LOGGED_PATH_BYTES_MAX),
            status: refusal.status().as_u16(),
            rule: refusal.rule().as_str(),
            reason: &refusal.logged_reason(),
            request_id,
            source: peer.ip(),
            unsaid,
        };
        // Storage that fails has a line of its own, one for all requests.
        let level = match refusal.status() {
            StatusCode::SERVICE_UNAVAILABLE => LogLevel::Debug,
            _ => LogLevel::Warn,
        };
        self.log.line(level, "refused", line);
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The request line and the headers, as they were on the wire.
fn head_bytes(head: &Parts) -> usize {
    const LINE_EXTRA: usize = "  HTTP/1.1\r\n".len();
    const HEADER_EXTRA: usize = ": \r\n".len();
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let line = head.method.as_str().len() + target + LINE_EXTRA;
    let headers = head.headers.iter();
    line + headers.map(|(n, v)| n.as_str().len() + v.len() + HEADER_EXTRA).sum::<usize>()
}

/// The headers whose values are text. One that is not is as good as absent.
fn headers(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let text = |value| std::str::from_utf8(value).ok();
    let pairs = headers.iter();
    pairs.filter_map(|(name, value)| Some((name.as_str(), text(value.as_bytes())?))).collect()
}

fn query(query: Option<&str>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect()
}

fn attributes(attributes: Attributes) -> crate::store::MessageAttributes {
    // An integration's attributes are all text.
    let own = |(name, attribute): (String, attribute::Attribute)| {
        let value = crate::store::AttributeValue::Text(attribute.value);
        (name, MessageAttribute { data_type: attribute.data_type, value })
    };
    attributes.into_iter().map(own).collect()
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Storage(_) => Self::StorageFailed,
            refused => Self::Sqs(refused.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::clock::SystemClock;
    use crate::server::Server;

    const LIMIT: Duration = Duration::from_secs(30);

    /// What is left of a body would be taken for the next request.
    #[tokio::test]
    async fn a_body_that_does_not_end_ends_the_connection() {
        let config = r#"{"environment":"test","routes":{"sss":{"path":"/sqs-hook",
            "ordering_key":"all","destinations":[{"name":"sss","url":"http://127.0.0.1:9/hook"}]}}}"#;
        let (clock, log) = (Arc::new(SystemClock::new()), Log::nowhere());
        let store = Store::in_memory(clock.clone()).unwrap();
        let config = Config::parse(config).unwrap();
        let health = StorageHealth::new(log.clone());
        let backend = Backend::engine(&config, "http://127.0.0.1/queue", store, health, None);
        let ingest = Ingest::new(backend, clock, log.clone());
        let ingest = Arc::new(Ingest { body_timeout: Duration::from_millis(100), ..ingest });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::start(listener, log, move |peer, request| {
            Arc::clone(&ingest).answer(peer, request)
        });
        let server = server.unwrap();
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let part = b"POST /sqs-hook HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nGET ";
        stream.write_all(part).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await;
        read.expect("it is closed").unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }

    /// API Gateway's limit is one on what is on the wire.
    #[test]
    fn a_head_is_as_long_as_it_was_on_the_wire() {
        let wire = "POST /sqs-hook?a=1 HTTP/1.1\r\nhost: h\r\nx-y: zzz\r\n";
        let request = Request::post("/sqs-hook?a=1").header("host", "h").header("x-y", "zzz");
        assert_eq!(head_bytes(&request.body(()).unwrap().into_parts().0), wire.len());
    }

    #[test]
    fn a_query_is_read_as_a_form_is() {
        let pairs = query(Some("a=1&b=%20x+y&c"));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(pairs, [("a", "1"), ("b", " x y"), ("c", "")]);
        assert!(query(None).is_empty());
    }

    #[test]
    fn a_line_says_how_many_had_none_if_there_are_any() {
        let line = |unsaid| {
            let line = RefusedLine {
                method: "POST",
                path: "/",
                status: 404,
                rule: "not_found",
                reason: "",
                request_id: "r-1",
                source: [127, 0, 0, 1].into(),
                unsaid,
            };
            serde_json::to_value(line).unwrap()
        };
        assert_eq!(line(0).get("unsaid"), None);
        assert_eq!(line(3)["unsaid"], 3);
    }
}
