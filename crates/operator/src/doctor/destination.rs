//! Whether a destination can be reached: a connection, its TLS, its certificate's end, and what time
//! it is there. The only request is `OPTIONS *`, so that nothing happens there.
//! Source: RFC 9110, section 9.3.7, "a 'ping' or 'no-op' type of method".

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use domain::time::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use url::Url;

use super::checks::Checks;
use crate::people::{self, span};
use crate::zone;

/// How long a connection and its handshake may take, each.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the answer to the request may take. One that is late is done without.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of an answer within which its head must end.
const HEAD_BYTES_MAX: u64 = 16 * 1024;

/// Warned of when a certificate ends within this time: longer than a certificate that renews itself
/// has left when it does, a third of 90 days.
const CERTIFICATE_LEFT_LEAST: Duration = Duration::from_hours(21 * 24);

/// From where deliveries are made, which is not always where this runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// From here, or from a place that reaches what can be reached from here.
    SameMachine,
    /// From a network of its own.
    Vpc,
    /// From nowhere yet: whether the configuration is right is all there is to tell.
    NothingRuns,
}

/// Nobody answers there now. Somebody may later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NobodyAnswers(String);

/// What time it is, as a destination and this machine say at once.
pub(super) struct Date {
    /// Host and port of the destination.
    pub(super) place: String,
    /// By the destination, to the second.
    pub(super) there: Timestamp,
    /// By this machine.
    pub(super) here: Timestamp,
}

/// What a connection told.
struct Reached {
    certificate_end: Option<Timestamp>,
    /// By the destination and by this machine.
    date: Option<(Timestamp, Timestamp)>,
}

/// Checks one destination of a route, and gives the date that it told.
pub(super) async fn check(
    route: &str,
    destination: &str,
    url: &Url,
    from: From,
    checks: &mut Checks,
) -> Option<Date> {
    let name = format!("destination {route}/{destination}");
    let Some(host) = url.host_str().map(str::to_owned) else {
        checks.fail(name, "its URL has no host", "give it one in the configuration");
        return None;
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let tls = url.scheme() == "https";
    let place = format!("{host}:{port}");
    let authority = place.clone();
    let tried = tokio::task::spawn_blocking(move || {
        let stream = connect(&host, port)?;
        if tls { reach_with_tls(stream, &host, &authority) } else { reach(stream, &authority) }
    });
    let tried = tried.await.unwrap_or_else(|panicked| Err(anyhow!("the check broke: {panicked}")));
    let reached = match tried {
        Ok(reached) => reached,
        Err(error) => {
            let may_answer_later = error.is::<NobodyAnswers>();
            unreachable(name, &format!("{place}: {error:#}"), from, may_answer_later, checks);
            return None;
        }
    };
    match reached.certificate_end {
        None => checks.ok(name, format!("{place} accepts connections, without TLS")),
        Some(end) => certificate(name, &place, end, checks),
    }
    let (there, here) = reached.date?;
    Some(Date { place, there, here })
}

fn unreachable(name: String, found: &str, from: From, may_answer_later: bool, checks: &mut Checks) {
    let advice =
        "events wait in the queue until it answers; is the service up, and is this its URL?";
    match from {
        From::Vpc => {
            let advice = "the function runs in a VPC and may reach it; `status` tells what it logs";
            checks.warn(name, found, advice);
        }
        From::SameMachine if may_answer_later => checks.warn(name, found, advice),
        From::SameMachine | From::NothingRuns => checks.fail(name, found, advice),
    }
}

fn certificate(name: String, place: &str, end: Timestamp, checks: &mut Checks) {
    let left = end.since(people::now());
    let until = format!("until {} ({})", zone::in_words(end), span(left));
    let found = format!("{place} accepts connections; its certificate is good {until}");
    if left < CERTIFICATE_LEFT_LEAST {
        checks.warn(name, found, "renew the certificate, or find out why it does not renew itself");
    } else {
        checks.ok(name, found);
    }
}

fn connect(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let host = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> =
        (host, port).to_socket_addrs().context("its name is not known")?.collect();
    let mut last: anyhow::Error = anyhow!("its name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                last = NobodyAnswers(format!("no connection to {address}: {error}")).into();
            }
        }
    }
    Err(last)
}

fn reach(mut stream: TcpStream, authority: &str) -> anyhow::Result<Reached> {
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.set_write_timeout(Some(ANSWER_PATIENCE))?;
    Ok(Reached { certificate_end: None, date: date(&mut stream, authority) })
}

/// Asks what time it is there. A service that does not say is none the worse for it.
fn date(stream: &mut (impl Read + Write), authority: &str) -> Option<(Timestamp, Timestamp)> {
    let request = format!("OPTIONS * HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = BufReader::new(stream.take(HEAD_BYTES_MAX)).lines();
    let field =
        head.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("date").then(|| value.trim().to_owned())
        });
    people::http_date(&field?).map(|there| (there, people::now()))
}

/// Shakes hands as the forwarder would.
fn reach_with_tls(mut stream: TcpStream, host: &str, authority: &str) -> anyhow::Result<Reached> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
    let mut connection = ClientConnection::new(Arc::new(client_config()?), name)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| tls_trouble(&error))?;
    }
    let chain = connection.peer_certificates().context("it showed no certificate")?;
    let leaf = chain.first().context("it showed no certificate")?;
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| anyhow!("its certificate cannot be read: {error}"))?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    let certificate_end = Some(Timestamp::from_ms(seconds.saturating_mul(1_000)));
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.set_write_timeout(Some(ANSWER_PATIENCE))?;
    let date = date(&mut rustls::Stream::new(&mut connection, &mut stream), authority);
    Ok(Reached { certificate_end, date })
}

/// What is wrong with a handshake, for people.
fn tls_trouble(error: &io::Error) -> anyhow::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => {
            let end = Timestamp::from_ms(not_after.as_secs().saturating_mul(1_000));
            anyhow!("its certificate expired {}", people::ago(end, people::now()))
        }
        Some(rustls::Error::InvalidCertificate(CertificateError::Expired)) => {
            anyhow!("its certificate has expired")
        }
        Some(error) => anyhow!("tls: {error}"),
        // It ended, or said nothing in time.
        None => NobodyAnswers(format!("tls: {error}")).into(),
    }
}

/// The certificates that the forwarder trusts: those in `SSL_CERT_FILE`, or else Mozilla's.
fn client_config() -> anyhow::Result<ClientConfig> {
    let roots = match std::env::var_os("SSL_CERT_FILE") {
        Some(path) => roots_of(&PathBuf::from(path))?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(path: &Path) -> anyhow::Result<RootCertStore> {
    let read = || format!("reading SSL_CERT_FILE {}", path.display());
    let certificates: Result<Vec<CertificateDer<'_>>, _> =
        CertificateDer::pem_file_iter(path).with_context(read)?.collect();
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(certificates.with_context(read)?);
    if added == 0 {
        bail!("no certificate in SSL_CERT_FILE {} can be used", path.display());
    }
    Ok(roots)
}
