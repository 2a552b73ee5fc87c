//! Why a destination gave no answer, as far as that can be told apart.

use std::fmt;

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportError {
    /// The name does not resolve.
    NameNotFound,
    /// Nobody listens at the port.
    Refused,
    /// There is no way to the address.
    Unreachable,
    /// The connection, TLS included, was not there in time.
    ConnectTimeout,
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate is for another host.
    CertificateOtherHost,
    /// The certificate was issued by nobody who is trusted.
    CertificateUnknownIssuer,
    /// The destination wants to know who calls, and does not accept our certificate, or that we show
    /// none.
    ClientCertificateRefused,
    /// The TLS handshake failed in another way.
    Tls,
    /// No answer within the destination's timeout.
    Timeout,
    /// The connection ended before an answer came.
    Closed,
    /// What came was not HTTP, or not an answer to this request.
    InvalidAnswer,
    /// The proxy made no connection to the destination.
    ProxyRefused,
    /// All addresses of the name are such that are never called.
    ForbiddenAddress,
    /// Anything else.
    Other,
}

impl TransportError {
    /// The class's name in logs and dead letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameNotFound => "name_not_found",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateOtherHost => "certificate_other_host",
            Self::CertificateUnknownIssuer => "certificate_unknown_issuer",
            Self::ClientCertificateRefused => "client_certificate_refused",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::InvalidAnswer => "invalid_answer",
            Self::ProxyRefused => "proxy_refused",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
