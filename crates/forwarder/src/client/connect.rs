//! A new connection: the name, its addresses in turn, TLS where the URL says https.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::outcome::TransportError;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::USER_AGENT;
use super::head::Head;
use super::watched::{Stream, Unasked};
use crate::resolve::{ResolveError, Resolver};

/// How long a proxy's answer may be, in bytes.
const TUNNEL_HEAD_BYTES_MAX: usize = 8 * 1_024;

/// Where a connection leads to.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Scheme, host and port.
    pub(super) uri: Uri,
    /// Whom the certificate must name; `None` for plain HTTP.
    pub(super) tls: Option<ServerName<'static>>,
    /// Host and port, as a proxy is asked for them.
    pub(super) authority: String,
}

/// What makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: TlsConnector,
    /// What all connections are made through.
    proxy: Option<Uri>,
}

impl Connector {
    /// A connector that gives up after `limit`: the addresses of a name share it.
    pub(super) fn new(
        tls: ClientConfig,
        proxy: Option<Uri>,
        resolver: Resolver,
        limit: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        Self { tcp, tls: TlsConnector::from(Arc::new(tls)), proxy }
    }

    /// Connects to `origin`.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, TransportError> {
        let next = self.proxy.as_ref().unwrap_or(&origin.uri).clone();
        let connected = self.tcp.clone().call(next).await;
        let mut tcp = connected.map_err(|error| set_up(class(&error)))?.into_inner();
        let Some(name) = &origin.tls else { return Ok(Stream::Plain(tcp)) };
        if self.proxy.is_some() {
            tunnel(&mut tcp, &origin.authority).await?;
        }
        let tls = self.tls.connect(name.clone(), tcp).await;
        Ok(Stream::Tls(Box::new(tls.map_err(|error| set_up(class(&error)))?)))
    }
}

/// Asks the proxy at the other end for a connection to `authority`. Its answer is read here, and ends
/// here: whoever looks for that of the destination never sees it. Source: RFC 9110, section 9.3.6.
async fn tunnel(tcp: &mut TcpStream, authority: &str) -> Result<(), TransportError> {
    let request = format!(
        "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {USER_AGENT}\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.map_err(|error| class(&error))?;
    let mut head = Head::default();
    for _ in 0..TUNNEL_HEAD_BYTES_MAX {
        // One at a time: what follows is the destination's.
        let byte = tcp.read_u8().await.map_err(|error| class(&error))?;
        head.read(&[byte], false);
        if head.is_ended() {
            break;
        }
    }
    let made = head.is_ended() && head.status().is_some_and(|status| status.code / 100 == 2);
    made.then_some(()).ok_or(TransportError::ProxyRefused)
}

/// The system, too, may tell that nobody answered in time.
fn set_up(error: TransportError) -> TransportError {
    if error == TransportError::Timeout { TransportError::ConnectTimeout } else { error }
}

/// The class of a failure, from the error and what caused it.
pub(super) fn class(error: &(dyn Error + 'static)) -> TransportError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(class) = class_of_one(error) {
            return class;
        }
        cause = error.source();
    }
    TransportError::Other
}

fn class_of_one(error: &(dyn Error + 'static)) -> Option<TransportError> {
    if let Some(error) = error.downcast_ref::<ResolveError>() {
        return Some(match error {
            ResolveError::Name(_) => TransportError::NameNotFound,
            ResolveError::Forbidden => TransportError::ForbiddenAddress,
        });
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_class(error));
    }
    if error.is::<Unasked>() {
        return Some(TransportError::Closed);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // An I/O error carries another one without naming it as its source.
        let carried = error.get_ref().and_then(|inner| class_of_one(inner));
        return carried.or_else(|| io_class(error.kind()));
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse() || error.is_parse_status() {
        return Some(TransportError::InvalidAnswer);
    }
    let ended = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    ended.then_some(TransportError::Closed)
}

fn tls_class(error: &rustls::Error) -> TransportError {
    let error = match error {
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            return TransportError::ClientCertificateRefused;
        }
        rustls::Error::InvalidCertificate(error) => error,
        _ => return TransportError::Tls,
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            TransportError::CertificateExpired
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TransportError::CertificateOtherHost
        }
        // A private authority that was made anew under its old name is another one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TransportError::CertificateUnknownIssuer
        }
        _ => TransportError::Tls,
    }
}

/// What a server says of a client's certificate; it knows no other. One of an authority that was made
/// anew under its old name is one that it cannot "decrypt". Source: RFC 8446, section 6.2.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;

    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

fn io_class(kind: io::ErrorKind) -> Option<TransportError> {
    use io::ErrorKind;

    match kind {
        ErrorKind::ConnectionRefused => Some(TransportError::Refused),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Some(TransportError::Unreachable)
        }
        ErrorKind::TimedOut => Some(TransportError::Timeout),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Some(TransportError::Closed),
        ErrorKind::InvalidData => Some(TransportError::InvalidAnswer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_a_connection_has_its_class() {
        use io::ErrorKind as Kind;

        for (kind, class) in [
            (Kind::ConnectionRefused, Some(TransportError::Refused)),
            (Kind::HostUnreachable, Some(TransportError::Unreachable)),
            (Kind::NetworkUnreachable, Some(TransportError::Unreachable)),
            (Kind::NetworkDown, Some(TransportError::Unreachable)),
            (Kind::TimedOut, Some(TransportError::Timeout)),
            (Kind::ConnectionReset, Some(TransportError::Closed)),
            (Kind::ConnectionAborted, Some(TransportError::Closed)),
            (Kind::BrokenPipe, Some(TransportError::Closed)),
            (Kind::NotConnected, Some(TransportError::Closed)),
            (Kind::UnexpectedEof, Some(TransportError::Closed)),
            (Kind::InvalidData, Some(TransportError::InvalidAnswer)),
            (Kind::OutOfMemory, None),
        ] {
            assert_eq!(class_of_one(&io::Error::from(kind)), class, "{kind:?}");
        }
    }

    #[test]
    fn only_an_alert_about_a_certificate_is_about_ours() {
        use AlertDescription as Alert;

        for alert in [Alert::UnknownCA, Alert::CertificateRequired, Alert::DecryptError] {
            let error = rustls::Error::AlertReceived(alert);
            assert_eq!(tls_class(&error), TransportError::ClientCertificateRefused, "{alert:?}");
        }
        for alert in [Alert::HandshakeFailure, Alert::ProtocolVersion, Alert::InternalError] {
            assert_eq!(tls_class(&rustls::Error::AlertReceived(alert)), TransportError::Tls);
        }
    }
}
