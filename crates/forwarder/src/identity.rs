//! Who we are, where a destination asks (mutual TLS). A connection stays what it was made as, so each
//! certificate has a client of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use domain::route::Destination;
use domain::secret::{Secret, SecretReference};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use url::Url;

use crate::client::Client;
use crate::lock;

/// The clients for all destinations.
#[derive(Debug)]
pub(crate) struct Clients {
    anonymous: Client,
    identified: BTreeMap<SecretReference, Identified>,
}

#[derive(Debug)]
struct Identified {
    identity: Arc<Identity>,
    client: Client,
}

/// A certificate with its key, and the secret that both were read from.
#[derive(Debug, Default)]
struct Identity(Mutex<Option<(Arc<Secret>, Arc<CertifiedKey>)>>);

/// Why a secret is no certificate to show. What it is instead is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no certificate.
    #[error("holds no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")")]
    NoCertificate,
    /// There is no key.
    #[error("holds no private key in PEM, without a password (\"-----BEGIN PRIVATE KEY-----\")")]
    NoKey,
    /// Both are there, and do not belong together.
    #[error(
        "holds a certificate and a private key that cannot be used together, the certificate of this key first"
    )]
    Unusable,
}

/// In "-----BEGIN ENCRYPTED PRIVATE KEY-----" and "Proc-Type: 4,ENCRYPTED". Sources: RFC 7468, section
/// 11; RFC 1421, section 4.6.1.1.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

impl Clients {
    /// Clients that trust what `tls` does, and call everything through `proxy` if there is one.
    pub(crate) fn new<'a>(
        tls: &ClientConfig,
        proxy: Option<&Url>,
        destinations: impl Iterator<Item = &'a Destination>,
    ) -> Self {
        let references = destinations.filter_map(Destination::client_certificate);
        let identified = |reference: &SecretReference| {
            let identity = Arc::<Identity>::default();
            let mut tls = tls.clone();
            tls.client_auth_cert_resolver = Arc::<Identity>::clone(&identity);
            // A session that is resumed would stand for the certificate that it began with.
            tls.resumption = Resumption::disabled();
            (reference.clone(), Identified { identity, client: Client::new(tls, proxy) })
        };
        Self {
            identified: references.map(identified).collect(),
            anonymous: Client::new(tls.clone(), proxy),
        }
    }

    /// The client for a destination.
    pub(crate) fn of(&self, destination: &Destination) -> &Client {
        let identified = destination.client_certificate().and_then(|it| self.identified.get(it));
        identified.map_or(&self.anonymous, |identified| &identified.client)
    }

    /// Makes new connections of those who are identified by `reference` show this certificate.
    pub(crate) fn identify(
        &self,
        reference: &SecretReference,
        certificate: &Arc<Secret>,
    ) -> Result<(), IdentityError> {
        self.identified[reference].identity.set(certificate)
    }
}

impl Identity {
    fn set(&self, secret: &Arc<Secret>) -> Result<(), IdentityError> {
        let mut current = lock(&self.0);
        if !current.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, secret)) {
            *current = Some((Arc::clone(secret), Arc::new(certified_key(secret.expose())?)));
        }
        Ok(())
    }
}

fn certified_key(pem: &[u8]) -> Result<CertifiedKey, IdentityError> {
    // A key with a password says so in its first line, or in one that is no PEM to others.
    if pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return Err(IdentityError::NoKey);
    }
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_quoting| IdentityError::NoCertificate)?;
    if certificates.is_empty() {
        return Err(IdentityError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_quoting| IdentityError::NoKey)?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider())
        .map_err(|_quoting| IdentityError::Unusable)
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        lock(&self.0).as_ref().map(|(_, key)| Arc::clone(key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use domain::config::Config;
    use http::HeaderMap;
    use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::timeout::Timers;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn certified(authority: &Authority, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap();
        (leaf.signed_by(&key, authority).unwrap(), key)
    }

    /// A service that asks for a certificate of `authority` and answers one request a connection.
    /// Returns its port and where it writes down what it was shown.
    async fn service(authority: &Authority) -> (u16, Arc<Mutex<Vec<CertificateDer<'static>>>>) {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (certificate, key) = certified(authority, "127.0.0.1");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, shown) =
            (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<_>>>::default());
        let seen = Arc::clone(&shown);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = tls.accept(stream).await else { continue };
                let certificates = stream.get_ref().1.peer_certificates().unwrap();
                lock(&seen).push(certificates[0].clone().into_owned());
                let _request = stream.read(&mut [0; 4_096]).await.unwrap();
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (port, shown)
    }

    /// A new certificate is shown with the next connection: no session begun with the former one goes on.
    #[tokio::test]
    async fn a_new_certificate_is_shown_with_the_next_connection() {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let (port, shown) = service(&authority).await;
        let config = Config::parse(&format!(
            r#"{{"environment":"test","routes":{{"sss":{{"path":"/a","ordering_key":"g",
            "destinations":[{{"name":"sss","url":"https://127.0.0.1:{port}/",
            "client_certificate":"env:A"}}]}}}}}}"#
        ));
        let config = config.unwrap();
        let destination = &config.routes()["sss"].destinations()[0];
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let clients = Clients::new(&tls, None, [destination].into_iter());
        let (timers, mut ours) = (Timers::default(), Vec::new());
        for name in ["first", "second"] {
            let (certificate, key) = certified(&authority, name);
            let pem = Secret::new((certificate.pem() + &key.serialize_pem()).as_bytes());
            clients
                .identified
                .values()
                .next()
                .unwrap()
                .identity
                .set(&Arc::new(pem.unwrap()))
                .unwrap();
            for _ in 0..2 {
                let client = clients.of(destination);
                let (timeout, url) = (destination.timeout(), destination.url());
                let body = Bytes::from_static(b"{}");
                let exchange = client.post(&timers, url, timeout, HeaderMap::new(), body).await;
                assert_eq!(exchange.answer.unwrap().status, 200);
                ours.push(certificate.der().clone());
            }
        }
        assert_eq!(*lock(&shown), ours);
    }
}
