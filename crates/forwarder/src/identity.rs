//! Who we are, where a destination asks (mutual TLS). A connection stays what it was made as, so each
//! certificate has a client of its own.

use std::collections::BTreeMap;
use std::slice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
use crate::secrets::{Doubt, Secrets, Younger};
use crate::signatures::Failure;

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
enum IdentityError {
    #[error("holds no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")")]
    NoCertificate,
    #[error("holds no private key in PEM, without a password (\"-----BEGIN PRIVATE KEY-----\")")]
    NoKey,
    #[error(
        "holds a certificate and a private key that cannot be used together, the certificate of this key first"
    )]
    Unusable,
}

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

    /// Makes new connections to `destination` show the certificate that is current, if any.
    pub(crate) async fn identify(
        &self,
        secrets: &Secrets,
        destination: &Destination,
        time_left: Duration,
    ) -> Result<(), Failure> {
        let Some(reference) = destination.client_certificate() else { return Ok(()) };
        let Identified { identity, .. } = &self.identified[reference];
        let mut known = identity.set(&secrets.one(reference, time_left).await?);
        // Somebody may have put it right just now.
        if known.is_err()
            && secrets.doubt(slice::from_ref(reference), Younger::ThanNow, time_left).await
                == Doubt::Fetched
        {
            known = identity.set(&secrets.one(reference, time_left).await?);
        }
        known.map_err(|error| Failure::NoSecret(format!("{reference} {error}")))
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
