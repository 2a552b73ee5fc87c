//! The stub's HTTP server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::behavior::Behavior;
use crate::received::{Log, Received};

/// Longest wait for webhooks, so that a forgotten question ends.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A stub that can be served and looked at. A clone is the same stub.
#[derive(Debug, Clone, Default)]
pub struct Stub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    behavior: Mutex<Behavior>,
    total: watch::Sender<u64>,
    /// Called with every webhook that was answered, or not.
    report: fn(&Received),
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            behavior: Mutex::default(),
            total: watch::Sender::default(),
            report: |_webhook| {},
        }
    }
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

impl Stub {
    /// A stub that behaves so until it is told otherwise, and calls `report` with every webhook.
    #[must_use]
    pub fn new(behavior: Behavior, report: fn(&Received)) -> Self {
        let shared = Shared { behavior: Mutex::new(behavior), report, ..Shared::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Serves `listener` until the future is dropped.
    ///
    /// # Errors
    ///
    /// What `accept` gives when the listener is of no use any more.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<Infallible> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let stub = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| stub.answer(request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                // A broken connection is the other side's to report: it is what this is for.
                let _broken = connection.await;
            });
        }
    }

    /// Binds `listen` and serves it in the background.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn spawn(self, listen: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        tokio::spawn(self.serve(listener));
        Ok(address)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_broken| NoAnswer)?.to_bytes();
        match (parts.method, parts.uri.path()) {
            (Method::GET, "/_stub/received") => Ok(self.received(parts.uri.query()).await),
            (Method::DELETE, "/_stub/received") => {
                lock(&self.shared.log).clear();
                self.shared.total.send_replace(0);
                Ok(json(StatusCode::OK, &"forgotten"))
            }
            (Method::PUT, "/_stub/behavior") => Ok(self.behave(&body)),
            (Method::GET, "/_stub/behavior") => {
                Ok(json(StatusCode::OK, &*lock(&self.shared.behavior)))
            }
            (_, path) if path.starts_with("/_stub/") => {
                Ok(message(StatusCode::NOT_FOUND, "no such command"))
            }
            (Method::POST, _) => {
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                self.take(Received::new(path, &parts.headers, &body)).await
            }
            _ => Ok(message(StatusCode::METHOD_NOT_ALLOWED, "webhooks are posted")),
        }
    }

    /// Takes a webhook.
    async fn take(&self, mut webhook: Received) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let (status, behavior) = {
            let mut behavior = lock(&self.shared.behavior);
            (behavior.status_for(&webhook), behavior.clone())
        };
        if !behavior.delay().is_zero() {
            tokio::time::sleep(behavior.delay()).await;
        }
        webhook.status = if behavior.down { 0 } else { status };
        (self.shared.report)(&webhook);
        {
            let mut log = lock(&self.shared.log);
            log.push(webhook);
            self.shared.total.send_replace(log.total);
        }
        if behavior.down {
            return Err(NoAnswer);
        }
        let text = if status < 300 { "accepted" } else { "not accepted" };
        let mut response = message(StatusCode::from_u16(status).map_err(|_bad| NoAnswer)?, text);
        if let Some(value) = behavior.retry_after.and_then(|text| text.parse().ok()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        Ok(response)
    }

    /// What was received, once there is enough of it or time is up.
    async fn received(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let number = |name: &str| {
            let pairs =
                query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse::<u64>().ok())
        };
        let wait = Duration::from_millis(number("wait_ms").unwrap_or_default()).min(WAIT_MAX);
        let at_least = number("at_least").unwrap_or_default();
        let mut total = self.shared.total.subscribe();
        // Whether there is enough or not: the answer shows it.
        let _elapsed = tokio::time::timeout(wait, total.wait_for(|total| *total >= at_least)).await;
        match lock(&self.shared.log).to_json() {
            Ok(body) => response(StatusCode::OK, body),
            Err(error) => message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    fn behave(&self, body: &[u8]) -> Response<Full<Bytes>> {
        match serde_json::from_slice::<Behavior>(body) {
            Ok(behavior) => {
                if let Some(status) = behavior.unusable_status() {
                    let error = format!("status {status} is not within 200 to 599");
                    return message(StatusCode::BAD_REQUEST, &error);
                }
                *lock(&self.shared.behavior) = behavior;
                message(StatusCode::OK, "understood")
            }
            Err(error) => message(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
}

fn message(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    json(status, &serde_json::json!({ "message": text }))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    response(status, serde_json::to_vec(value).expect("strings and numbers"))
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
