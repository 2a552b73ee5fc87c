//! Who is notified: where posts go, how each of them ended, and how many did which way. What is posted is
//! the notifier's business. The URL is a secret, so nothing here shows more of it than its origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::address;
use domain::config::{Config, Notify};
use domain::notification::{PostTo, PostUrl};
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;

use crate::error_text::in_full;
use crate::secrets;

/// Longest exchange, from looking up the name to the answer's head.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Names the certificates that are trusted, for the forwarder as well.
const CERTIFICATES_VARIABLE: &str = "SSL_CERT_FILE";

/// Where posts go.
pub(crate) struct Receiver {
    notify: Notify,
    client: Result<Client, String>,
    sent: AtomicU64,
    failed: AtomicU64,
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
    #[error("notify.url: {0}")]
    Url(String),
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

/// Posts `text` to whom a configuration says, and gives the answer's status and who gave it; `None` where
/// it names nobody.
///
/// # Errors
///
/// [`PostError`] unless the answer is 2xx.
pub async fn notify(config: &Config, text: &str) -> Option<Result<(u16, String), PostError>> {
    let receiver = Receiver::of(config)?;
    Some(receiver.exchange(text).await)
}

impl Receiver {
    /// Whom a configuration says, if anybody.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        Self::with(config, Resolver::System)
    }

    fn with(config: &Config, resolver: Resolver) -> Option<Self> {
        let notify = config.notify()?.clone();
        let certificates = std::env::var_os(CERTIFICATES_VARIABLE).map(PathBuf::from);
        let client = tls(certificates.as_deref()).and_then(|tls| {
            let builder = Client::builder()
                .tls_backend_preconfigured(tls)
                .dns_resolver(resolver)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                // Posts are hours apart.
                .pool_max_idle_per_host(0)
                .http1_only()
                .referer(false)
                .timeout(TIMEOUT)
                .user_agent(concat!("webhook-queue/", env!("CARGO_PKG_VERSION")))
                .no_proxy();
            let builder = match config.proxy() {
                None => builder,
                Some(url) => builder
                    .proxy(reqwest::Proxy::all(url.clone()).map_err(|error| in_full(&error))?),
            };
            builder.build().map_err(|error| in_full(&error))
        });
        Some(Self { notify, client, sent: AtomicU64::new(0), failed: AtomicU64::new(0) })
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
        self.url()?;
        self.client.as_ref().map(drop).map_err(|error| PostError::Tls(error.clone()))
    }

    /// Posts, and counts how it ended.
    pub(crate) async fn post(&self, text: &str) -> Result<(), PostError> {
        let posted = self.exchange(text).await;
        let count = if posted.is_ok() { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        posted.map(drop)
    }

    async fn exchange(&self, text: &str) -> Result<(u16, String), PostError> {
        let url = self.url()?;
        let client = self.client.as_ref().map_err(|error| PostError::Tls(error.clone()))?;
        let format = self.notify.format();
        let request = client
            .post(url.expose().clone())
            .header(CONTENT_TYPE, format.content_type())
            .body(format.body(text));
        let origin = url.origin();
        let answer = match request.send().await {
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
        match self.notify.to() {
            PostTo::Url(url) => Ok(url.clone()),
            PostTo::Secret(reference) => secrets::read(reference)
                .map_err(|error| error.to_string())
                .and_then(|secret| PostUrl::of_secret(&secret))
                .map_err(|problem| PostError::Url(format!("{reference}: {problem}"))),
        }
    }
}

impl PostError {
    /// After which time the receiver wants to be asked again, if it said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Url(_) | Self::Tls(_) | Self::Unanswered { .. } => None,
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
