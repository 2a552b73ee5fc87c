//! The HTTP client for destinations. It knows what a client of more use to others does not tell: how
//! old a connection is, whether it was used before, and what came on it byte by byte. So a whole
//! status line is an answer whatever follows it, and a connection that was closed as the request left
//! costs no attempt.

mod connect;
mod connection;
mod head;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::dead_letter::LOCATION_BYTES_MAX;
use domain::outcome::{Answer, TransportError};
use http::header::{self, ACCEPT, CONTENT_LENGTH, HOST};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, sleep_until};
use url::{Host, Position, Url};

use self::connect::{Connector, Origin};
use self::connection::{Connection, Record};
use crate::lock;
use crate::resolve::Resolver;
use crate::timeout::Timers;

/// How long a connection may take to be there: name, TCP and TLS together.
const SET_UP: Duration = Duration::from_secs(2);

/// How long an idle connection is kept. Load balancers commonly close theirs after 60 s.
const IDLE: Duration = Duration::from_secs(50);

/// How old a connection may be to carry another request: a name that has moved is followed by then.
const AGE: Duration = Duration::from_mins(1);

/// What `accept` and `user-agent` say.
pub(crate) const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
pub(crate) const OURSELVES: HeaderValue = HeaderValue::from_static(USER_AGENT);
const USER_AGENT: &str = concat!("webhook-queue/", env!("CARGO_PKG_VERSION"));

/// How an exchange ended.
#[derive(Debug)]
pub struct Exchange {
    /// What was answered, or why nothing was.
    pub answer: Result<Answer, TransportError>,
    /// How long it took.
    pub latency: Duration,
}

/// Kept-alive connections; no redirects, no metadata services.
pub(crate) struct Client {
    connector: Connector,
    /// Whether they lead to a proxy, which has to be told where to.
    proxied: bool,
    /// What is known of a URL since it was first called.
    endpoints: Mutex<HashMap<Url, Arc<Endpoint>>>,
}

/// A URL, taken apart once.
struct Endpoint {
    target: Uri,
    host: HeaderValue,
    origin: Origin,
    /// Of all URLs of the same scheme, host and port.
    pool: Arc<Pool>,
}

/// Idle connections to one scheme, host and port; the last one used is the next.
#[derive(Default)]
struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    #[expect(clippy::vec_box, reason = "it is moved in and out for every delivery, and large")]
    connections: Vec<Box<Connection>>,
    /// Whether somebody is about to close those that get too old.
    swept: bool,
}

/// A request, and where in its course it is.
struct Attempt<'a> {
    endpoint: &'a Endpoint,
    headers: HeaderMap,
    body: Bytes,
    connecting: bool,
    record: Record,
}

impl Client {
    /// A client that trusts what `tls` does, and calls everything through `proxy` if there is one.
    pub(crate) fn new(tls: ClientConfig, proxy: Option<&Url>) -> Self {
        Self::with_resolver(tls, proxy, Resolver::System)
    }

    fn with_resolver(tls: ClientConfig, proxy: Option<&Url>, resolver: Resolver) -> Self {
        let proxy = proxy.map(|url| authority(url).parse().expect("a URL's scheme, host and port"));
        let proxied = proxy.is_some();
        let connector = Connector::new(tls, proxy, resolver, SET_UP);
        Self { connector, proxied, endpoints: Mutex::default() }
    }

    /// Posts `body` to `url`, all within `timeout`.
    pub(crate) async fn post(
        &self,
        timers: &Timers,
        url: &Url,
        timeout: Duration,
        headers: HeaderMap,
        body: Bytes,
    ) -> Exchange {
        let started = std::time::Instant::now();
        let Some(endpoint) = self.endpoint(url) else {
            return Exchange { answer: Err(TransportError::Other), latency: started.elapsed() };
        };
        let mut attempt = Attempt {
            headers: endpoint.headers(headers, body.len()),
            endpoint: &endpoint,
            body,
            connecting: false,
            record: Record::default(),
        };
        let ended = timers.timeout(timeout, attempt.run(&self.connector, timers)).await;
        let failure = match ended {
            Some(Err(error)) => error,
            // An end without a status is one of something that was no answer to this request.
            Some(Ok(())) => TransportError::InvalidAnswer,
            None if attempt.connecting => TransportError::ConnectTimeout,
            None => TransportError::Timeout,
        };
        let answer = answer(attempt.record, url).ok_or(failure);
        Exchange { answer, latency: started.elapsed() }
    }

    fn endpoint(&self, url: &Url) -> Option<Arc<Endpoint>> {
        let mut endpoints = lock(&self.endpoints);
        if let Some(endpoint) = endpoints.get(url) {
            return Some(Arc::clone(endpoint));
        }
        let same = endpoints.iter().find(|(known, _)| authority(known) == authority(url));
        let pool = same.map(|(_, endpoint)| Arc::clone(&endpoint.pool)).unwrap_or_default();
        let endpoint = Arc::new(Endpoint::new(url, self.proxied, pool)?);
        endpoints.insert(url.clone(), Arc::clone(&endpoint));
        Some(endpoint)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Scheme, host and port.
fn authority(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

impl Endpoint {
    /// `None` for a URL that cannot be called, which the configuration does not let through.
    fn new(url: &Url, proxied: bool, pool: Arc<Pool>) -> Option<Self> {
        let path = PathAndQuery::try_from(&url[Position::BeforePath..Position::AfterQuery]).ok()?;
        // A proxy needs the whole URL, where there is no tunnel to the destination.
        let target = if proxied && url.scheme() == "http" {
            url[..Position::AfterQuery].parse().ok()?
        } else {
            Uri::from(path)
        };
        let tls = match (url.scheme(), url.host()?) {
            ("http", _) => None,
            (_, Host::Domain(name)) => Some(ServerName::try_from(name.to_owned()).ok()?),
            (_, Host::Ipv4(ip)) => Some(ServerName::from(std::net::IpAddr::from(ip))),
            (_, Host::Ipv6(ip)) => Some(ServerName::from(std::net::IpAddr::from(ip))),
        };
        Some(Self {
            target,
            host: HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()?,
            origin: Origin {
                uri: authority(url).parse().ok()?,
                tls,
                authority: format!("{}:{}", url.host_str()?, url.port_or_known_default()?),
            },
            pool,
        })
    }

    /// What every client sends; where a place is kept for it, there.
    fn headers(&self, mut headers: HeaderMap, body_bytes: usize) -> HeaderMap {
        headers.insert(HOST, self.host.clone());
        headers.entry(header::USER_AGENT).or_insert(OURSELVES);
        headers.entry(ACCEPT).or_insert(ANYTHING);
        // For an empty body too, where hyper would leave it out.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body_bytes));
        headers
    }

    fn request(&self, headers: HeaderMap, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        request
    }
}

impl Attempt<'_> {
    async fn run(&mut self, connector: &Connector, timers: &Timers) -> Result<(), TransportError> {
        if let Some(connection) = self.endpoint.pool.take() {
            let headers = self.headers.clone();
            match self.exchange(connection, headers).await {
                Err(error) if may_try_again(error, self.record.is_answered()) => {
                    self.record = Record::default();
                }
                ended => return ended,
            }
        }
        self.connecting = true;
        // Rare and large: what waits in it would be part of every delivery's state.
        let connect = Box::pin(async {
            Connection::new(connector.connect(&self.endpoint.origin).await?).await.map(Box::new)
        });
        let connection = timers.timeout(SET_UP, connect).await;
        let connection = connection.unwrap_or(Err(TransportError::ConnectTimeout))?;
        self.connecting = false;
        let headers = std::mem::take(&mut self.headers);
        self.exchange(connection, headers).await
    }

    async fn exchange(
        &mut self,
        mut connection: Box<Connection>,
        headers: HeaderMap,
    ) -> Result<(), TransportError> {
        let request = self.endpoint.request(headers, self.body.clone());
        connection.exchange(request, &mut self.record).await?;
        self.endpoint.pool.put(connection).await;
        Ok(())
    }
}

/// Whether a used connection was closed as the request left, or before. A second request, on a new
/// connection, belongs to the same attempt then; there is no third.
fn may_try_again(error: TransportError, answered: bool) -> bool {
    error != TransportError::Timeout && !answered
}

/// What was answered to a request to `url`, if anything was.
fn answer(record: Record, url: &Url) -> Option<Answer> {
    let status = record.status()?;
    let redirect = record.location.filter(|_| (300..=399).contains(&status));
    let excerpt = String::from_utf8_lossy(&record.excerpt);
    Some(Answer {
        status,
        retry_after: record.retry_after,
        location: redirect.and_then(|location| public_location(url, &location)),
        excerpt: (!excerpt.is_empty()).then(|| excerpt.into_owned()),
    })
}

/// Where `location` leads to from `url`, without what may be secret.
fn public_location(url: &Url, location: &str) -> Option<String> {
    let mut location = url.join(location).ok().filter(Url::has_host)?;
    location.set_query(None);
    location.set_fragment(None);
    location.set_username("").ok()?;
    location.set_password(None).ok()?;
    let mut location = String::from(location);
    // A URL is ASCII.
    location.truncate(LOCATION_BYTES_MAX);
    Some(location)
}

impl Pool {
    /// A connection that may carry another request, unless something came on it meanwhile.
    fn take(&self) -> Option<Box<Connection>> {
        let now = Instant::now();
        let connection = lock(&self.0).connections.pop()?;
        (now < end(&connection)).then_some(connection)
    }

    /// Keeps a connection for the next request, if it may carry one.
    async fn put(self: &Arc<Self>, mut connection: Box<Connection>) {
        if !connection.is_reusable().await {
            return;
        }
        let mut idle = lock(&self.0);
        idle.connections.push(connection);
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(Arc::clone(self).sweep());
        }
    }

    /// Closes what gets too old while nobody takes it, until there is nothing left.
    async fn sweep(self: Arc<Self>) {
        while let Some(next) = self.close_ended() {
            sleep_until(next).await;
        }
    }

    /// Closes the connections that are too old and returns when the next one will be.
    fn close_ended(&self) -> Option<Instant> {
        let mut idle = lock(&self.0);
        let now = Instant::now();
        idle.connections.retain(|connection| now < end(connection));
        let next = idle.connections.iter().map(|connection| end(connection)).min();
        idle.swept = next.is_some();
        next
    }
}

/// When an idle connection is not to be used any more.
fn end(connection: &Connection) -> Instant {
    (connection.idle_since() + IDLE).min(connection.opened() + AGE)
}
