//! Which certificates are trusted. Set up at start, so that the first delivery does not pay for it:
//! the built-in roots are constants of the binary, with no store to read and parse.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is not there, or not PEM.
    #[error("reading the certificates in {path}, named by SSL_CERT_FILE")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PemError,
    },
    /// There is no usable certificate in the file.
    #[error("no certificate in {path}, named by SSL_CERT_FILE, can be used")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The protocol versions do not fit the cryptography.
    #[error("setting up tls")]
    Protocol(#[source] rustls::Error),
}

/// A client that trusts the certificates in `ssl_cert_file`, or else Mozilla's roots.
pub(crate) fn client_config(ssl_cert_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let roots = match ssl_cert_file {
        Some(path) => roots_of(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let read = |source| TlsError::Read { path: path.to_owned(), source };
    let certificates: Result<Vec<CertificateDer<'_>>, PemError> =
        CertificateDer::pem_file_iter(path).map_err(read)?.collect();
    let mut roots = RootCertStore::empty();
    // A store may hold certificates that rustls does not take; the others are still good.
    let (added, _ignored) = roots.add_parsable_certificates(certificates.map_err(read)?);
    if added == 0 {
        return Err(TlsError::Empty { path: path.to_owned() });
    }
    Ok(roots)
}
