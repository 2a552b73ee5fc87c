//! Who is notified: where posts and heartbeats go, how each of them ended, and how many posts did which way.
//! What is posted, and when, is the notifier's and the heartbeat's business. The URLs are secrets, so nothing
//! here shows more of them than their origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::address;
use domain::config::Config;
use domain::notification::{Format, PostTo, PostUrl};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use url::Url;

use crate::error_text::in_full;
use crate::secrets;

/// Longest exchange, from looking up the name to the answer's head.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Names the certificates that are trusted, for the forwarder as well.
const CERTIFICATES_VARIABLE: &str = "SSL_CERT_FILE";

/// Where posts go.
pub(crate) struct Receiver {
    caller: Caller,
    format: Format,
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Somebody with a URL that the configuration names.
pub(crate) struct Caller {
    /// The setting that names it.
    setting: &'static str,
    to: PostTo,
    client: Result<Client, String>,
}

/// How posts ended, since the engine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Outcomes {
    /// The receiver answered 2xx.
    pub(crate) sent: u64,
    pub(crate) failed: u64,
}

/// Why a post has not arrived, as far as is known. Never with the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// There is no URL where the configuration says that it is.
    #[error("{setting}: {problem}")]
    Url {
        /// The setting.
        setting: &'static str,
        /// What is there instead.
        problem: String,
    },
    /// The certificates that are to be trusted cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// An answer, and not 2xx.
    #[error("{origin} answered {status}")]
    Refused {
        /// Who answered.
        origin: String,
        /// With which status.
        status: u16,
        /// After which time it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error("{origin} gave no answer: {reason}")]
    Unanswered {
        /// Who did not answer.
        origin: String,
        /// Why.
        reason: String,
    },
}

/// How one of those who are named by `notify` answered: its status and who gave it.
pub type Answered = Result<(u16, String), PostError>;

/// Posts `text` to whom a configuration says, and sends a heartbeat to whom it says: how each was answered,
/// `None` for whom it does not name.
pub async fn notify(config: &Config, text: &str) -> (Option<Answered>, Option<Answered>) {
    let (receiver, heartbeat) = (Receiver::of(config), Caller::of_heartbeat(config));
    let posted = async { Some(receiver.as_ref()?.exchange(text).await) };
    let beaten = async { Some(heartbeat.as_ref()?.beat().await) };
    tokio::join!(posted, beaten)
}

impl Receiver {
    /// Whom a configuration says, if anybody.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        Self::with(config, Resolver::System)
    }

    fn with(config: &Config, resolver: Resolver) -> Option<Self> {
        let notify = config.notify()?;
        let caller = Caller::new("notify.url", notify.to()?, config, resolver);
        let (sent, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Some(Self { caller, format: notify.format(), sent, failed })
    }

    /// How posts ended so far.
    pub(crate) fn outcomes(&self) -> Outcomes {
        Outcomes {
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Whether a post could be tried at all.
    pub(crate) fn is_ready(&self) -> Result<(), PostError> {
        self.caller.is_ready()
    }

    /// Posts, and counts how it ended.
    pub(crate) async fn post(&self, text: &str) -> Result<(), PostError> {
        let posted = self.exchange(text).await;
        let count = if posted.is_ok() { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        posted.map(drop)
    }

    async fn exchange(&self, text: &str) -> Answered {
        let (content_type, body) = (self.format.content_type(), self.format.body(text));
        let post =
            |client: &Client, url| client.post(url).header(CONTENT_TYPE, content_type).body(body);
        self.caller.exchange(post).await
    }
}

impl Caller {
    /// Whom a configuration names for heartbeats, if anybody.
    pub(crate) fn of_heartbeat(config: &Config) -> Option<Self> {
        let to = config.notify()?.heartbeat()?;
        Some(Self::new("notify.heartbeat_url", to, config, Resolver::System))
    }

    fn new(setting: &'static str, to: &PostTo, config: &Config, resolver: Resolver) -> Self {
        Self { setting, to: to.clone(), client: client(config, resolver) }
    }

    /// Whether it could be called at all.
    pub(crate) fn is_ready(&self) -> Result<(), PostError> {
        self.url()?;
        self.client.as_ref().map(drop).map_err(|error| PostError::Tls(error.clone()))
    }

    /// A heartbeat.
    pub(crate) async fn beat(&self) -> Answered {
        self.exchange(Client::get).await
    }

    async fn exchange(&self, request: impl FnOnce(&Client, Url) -> RequestBuilder) -> Answered {
        let url = self.url()?;
        let client = self.client.as_ref().map_err(|error| PostError::Tls(error.clone()))?;
        let origin = url.origin();
        let answer = match request(client, url.expose().clone()).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let reason = if error.is_timeout() {
                    format!("none within {} s", TIMEOUT.as_secs())
                } else {
                    in_full(&error.without_url())
                };
                return Err(PostError::Unanswered { origin, reason });
            }
        };
        let status = answer.status();
        if status.is_success() {
            return Ok((status.as_u16(), origin));
        }
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(retry_after_of);
        Err(PostError::Refused { origin, status: status.as_u16(), retry_after })
    }

    /// Read again each time: it may have been replaced.
    fn url(&self) -> Result<PostUrl, PostError> {
        match &self.to {
            PostTo::Url(url) => Ok(url.clone()),
            PostTo::Secret(reference) => secrets::read(reference)
                .map_err(|error| error.to_string())
                .and_then(|secret| PostUrl::of_secret(&secret))
                .map_err(|problem| PostError::Url {
                    setting: self.setting,
                    problem: format!("{reference}: {problem}"),
                }),
        }
    }
}

fn client(config: &Config, resolver: Resolver) -> Result<Client, String> {
    let certificates = std::env::var_os(CERTIFICATES_VARIABLE).map(PathBuf::from);
    let builder = Client::builder()
        .tls_backend_preconfigured(tls(certificates.as_deref())?)
        .dns_resolver(resolver)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Posts are hours apart, heartbeats a minute.
        .pool_max_idle_per_host(0)
        .http1_only()
        .referer(false)
        .timeout(TIMEOUT)
        .user_agent(concat!("webhook-queue/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    let builder = match config.proxy() {
        None => builder,
        Some(url) => {
            builder.proxy(reqwest::Proxy::all(url.clone()).map_err(|error| in_full(&error))?)
        }
    };
    builder.build().map_err(|error| in_full(&error))
}

impl PostError {
    /// After which time the receiver wants to be asked again, if it said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Url { .. } | Self::Tls(_) | Self::Unanswered { .. } => None,
        }
    }
}

/// Who is asked for the addresses of a name, without those that are never called: it may lead to a
/// metadata service.
#[derive(Clone)]
enum Resolver {
    /// The system's resolver.
    System,
    /// Somebody who gives every name these addresses.
    #[cfg(test)]
    Always(Vec<SocketAddr>),
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = match resolver {
                // The client puts the port of the URL in the place of this one.
                Self::System => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
                #[cfg(test)]
                Self::Always(addresses) => addresses,
            };
            let is_allowed = |it: &SocketAddr| !address::is_forbidden(it.ip());
            let allowed: Vec<SocketAddr> = addresses.into_iter().filter(is_allowed).collect();
            if allowed.is_empty() {
                return Err("the name leads to addresses that are never called only".into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// Seconds, as those who limit say it; a date is passed over.
fn retry_after_of(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Trusts the certificates in this file, or else Mozilla's roots, as the forwarder does.
fn tls(certificates: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = certificates {
        let named = |problem: &str| {
            format!("{}, named by {CERTIFICATES_VARIABLE}: {problem}", path.display())
        };
        let read = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<CertificateDer<'_>>, _>>)
            .map_err(|error| named(&error.to_string()))?;
        roots = RootCertStore::empty();
        let (added, _ignored) = roots.add_parsable_certificates(read);
        if added == 0 {
            return Err(named("no certificate in it can be used"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn receiver(port: u16, addresses: &[&str]) -> Receiver {
        let config = json!({
            "environment": "test",
            "routes": { "r": {
                "path": "/r", "ordering_key": "$request.header.k",
                "destinations": [{ "name": "d", "url": "http://127.0.0.1:9/" }],
            } },
            "notify": { "url": format!("http://receiver.test:{port}/") },
        });
        let addresses = addresses.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 0));
        let config = Config::parse(&config.to_string()).unwrap();
        Receiver::with(&config, Resolver::Always(addresses.collect())).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_leads_to_what_is_never_called_gets_no_post() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let metadata = ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"];
        let refused = receiver(port, &metadata).post("text").await.unwrap_err().to_string();
        assert!(refused.contains("addresses that are never called"), "{refused}");

        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let other = receiver(port, &["169.254.169.254", "127.0.0.1"]);
        let (posted, _stream) = tokio::join!(other.post("text"), answer);
        posted.unwrap();
    }
}
