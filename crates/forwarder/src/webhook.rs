//! One POST to one destination: what is sent, and how the exchange ended. No retry, no rule.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::dead_letter::RESPONSE_BYTES_MAX;
use domain::message::Message;
use domain::outcome::{Answer, TransportError};
use domain::route::{Destination, Route};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, InvalidHeaderValue, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::dns::Resolve;
use reqwest::{Client, Request, Response};
use rustls::ClientConfig;

use crate::resolve::{ForbiddenAddress, resolver};
use crate::timeout::Timers;

/// How much of an answer is read, in bytes: to keep the connection for the next delivery an answer
/// must be read to its end, but not whatever its length.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// How long an idle connection is kept. Load balancers commonly close theirs after 60 s.
const IDLE: Duration = Duration::from_secs(50);

/// The header that tells the receiver a repeat. Source: Standard Webhooks, "Webhook headers".
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const WEBHOOK_GROUP: HeaderName = HeaderName::from_static("webhook-group");
const WEBHOOK_SEQUENCE: HeaderName = HeaderName::from_static("webhook-sequence");
const WEBHOOK_ACCEPTED_AT: HeaderName = HeaderName::from_static("webhook-accepted-at");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How an exchange ended.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) answer: Result<Answer, TransportError>,
    pub(crate) latency: Duration,
}

/// A client for destinations: kept-alive connections, no redirects, no proxy, no metadata services.
pub(crate) fn client(tls: ClientConfig) -> Result<Client, reqwest::Error> {
    client_with(tls, resolver())
}

fn client_with(
    tls: ClientConfig,
    resolver: Arc<impl Resolve + 'static>,
) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        .referer(false)
        .dns_resolver(resolver)
        .build()
}

/// The headers that `message` goes out with, for all destinations. `trace` is this invocation's.
///
/// # Errors
///
/// When a passed-on value cannot stand in a header, such as one with a line break.
pub(crate) fn headers(
    message: &Message,
    route: &Route,
    attempt: u32,
    trace: Option<&str>,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, JSON);
    for (name, value) in route.passed_headers(message) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("checked with the configuration");
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes())?);
    }
    headers.insert(WEBHOOK_ID, HeaderValue::from_str(message.event_id())?);
    headers.insert(WEBHOOK_ATTEMPT, HeaderValue::from(attempt));
    // Some emulators do not pass these on; an empty header would say that they are empty.
    for (name, value) in
        [(WEBHOOK_GROUP, &message.group_id), (WEBHOOK_SEQUENCE, &message.sequence_number)]
    {
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_str(value)?);
        }
    }
    let accepted_at = message.accepted_at().to_string();
    headers.insert(WEBHOOK_ACCEPTED_AT, HeaderValue::from_str(&accepted_at)?);
    // A trace that cannot stand in a header is nothing that an event should fail for.
    let trace = message.trace_header.as_deref().or(trace);
    if let Some(Ok(trace)) = trace.map(HeaderValue::from_str) {
        headers.insert(TRACE_ID, trace);
    }
    Ok(headers)
}

/// Posts `body` to `destination` within its timeout.
pub(crate) async fn post(
    client: &Client,
    timers: &Timers,
    destination: &Destination,
    headers: HeaderMap,
    body: Bytes,
) -> Exchange {
    let started = Instant::now();
    let mut request = Request::new(Method::POST, destination.url().clone());
    *request.headers_mut() = headers;
    // For an empty body too, where the client would leave it out.
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *request.body_mut() = Some(body.into());
    let exchange = async {
        let response = client.execute(request).await.map_err(|error| class(&error))?;
        read(response).await.map_err(|error| class(&error))
    };
    let answer = timers.timeout(destination.timeout(), exchange).await;
    let answer = answer.unwrap_or(Err(TransportError::Timeout));
    Exchange { answer, latency: started.elapsed() }
}

async fn read(mut response: Response) -> Result<Answer, reqwest::Error> {
    let delivered = response.status().is_success();
    let (mut excerpt, mut read_bytes) = (Vec::new(), 0);
    while let Some(chunk) = response.chunk().await? {
        read_bytes += chunk.len();
        if !delivered {
            let room = RESPONSE_BYTES_MAX - excerpt.len();
            excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        if read_bytes > ANSWER_BYTES_MAX {
            break;
        }
    }
    let retry_after = response.headers().get(RETRY_AFTER);
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned),
        location: None,
        excerpt: (!excerpt.is_empty()).then(|| String::from_utf8_lossy(&excerpt).into_owned()),
    })
}

/// The class of a failed exchange, from the error and what caused it.
fn class(error: &reqwest::Error) -> TransportError {
    let mut cause = error.source();
    let mut io_kind = None;
    let mut incomplete = false;
    while let Some(inner) = cause {
        if inner.is::<rustls::Error>() {
            return TransportError::Tls;
        }
        if inner.is::<ForbiddenAddress>() {
            return TransportError::ForbiddenAddress;
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            io_kind = Some(io.kind());
            if carries_tls_error(io) {
                return TransportError::Tls;
            }
        }
        if let Some(hyper) = inner.downcast_ref::<hyper::Error>() {
            if hyper.is_parse() || hyper.is_parse_status() {
                return TransportError::InvalidAnswer;
            }
            incomplete |= hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled();
        }
        cause = inner.source();
    }
    match io_kind {
        _ if error.is_timeout() => TransportError::Timeout,
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof,
        ) => TransportError::Closed,
        _ if error.is_connect() => TransportError::Refused,
        _ if incomplete => TransportError::Closed,
        Some(io::ErrorKind::InvalidData) => TransportError::InvalidAnswer,
        _ if error.is_body() || error.is_decode() => TransportError::Closed,
        _ => TransportError::Other,
    }
}

/// An I/O error carries another one without naming it as its source.
fn carries_tls_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| {
        inner.is::<rustls::Error>()
            || inner.downcast_ref::<io::Error>().is_some_and(carries_tls_error)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{SocketAddr, TcpListener};

    use domain::config::Config;
    use reqwest::dns::{Name, Resolving};

    use crate::resolve::allowed;

    use super::*;

    #[test]
    fn an_answer_that_is_not_tls_is_a_tls_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            // Until the client has gone, so that nothing but these bytes can be what it saw.
            io::copy(&mut stream, &mut io::sink())
        });
        let client = client(crate::tls::client_config(None).unwrap()).unwrap();
        assert_eq!(error(&client, &url), TransportError::Tls);
        drop(client);
        server.join().unwrap().unwrap();
    }

    /// How a post to `url` fails.
    fn error(client: &Client, url: &str) -> TransportError {
        let config = serde_json::json!({ "environment": "test", "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "g",
            "destinations": [{ "name": "sss", "url": url, "timeout_seconds": 20 }],
        }}});
        let config = Config::parse(&config.to_string()).unwrap();
        let destination = &config.routes()["sss"].destinations()[0];
        let timers = Timers::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let post = post(client, &timers, destination, HeaderMap::new(), Bytes::new());
        runtime.block_on(post).answer.unwrap_err()
    }

    /// A name server that somebody turned against us.
    struct Metadata;

    impl Resolve for Metadata {
        fn resolve(&self, _name: Name) -> Resolving {
            let metadata = SocketAddr::from(([169, 254, 169, 254], 0));
            Box::pin(async move { Ok(allowed(std::iter::once(metadata))?) })
        }
    }

    #[test]
    fn a_name_that_leads_to_a_metadata_service_is_not_called() {
        let tls = crate::tls::client_config(None).unwrap();
        let client = client_with(tls, Arc::new(Metadata)).unwrap();
        assert_eq!(error(&client, "http://sss.internal/"), TransportError::ForbiddenAddress);
    }
}
