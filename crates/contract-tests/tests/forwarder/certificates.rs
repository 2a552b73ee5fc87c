//! Destinations with TLS: what is wrong with a certificate is in the log, since at night the log is all
//! there is.

use std::path::Path;
use std::sync::Arc;

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{NONE, lines};

struct Certificate {
    host: &'static str,
    expired: bool,
    trusted: bool,
}

const GOOD: Certificate = Certificate { host: "127.0.0.1", expired: false, trusted: true };

/// Starts a destination with this certificate and puts the issuer to trust into `roots`. Returns its
/// URL.
async fn destination(certificate: &Certificate, roots: &Path) -> String {
    let ca = || {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap()
    };
    let (issuer, other) = (ca(), ca());
    let trusted = if certificate.trusted { &issuer } else { &other };
    std::fs::write(roots, trusted.pem()).unwrap();
    let mut leaf = CertificateParams::new([certificate.host.to_owned()]).unwrap();
    if certificate.expired {
        (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    url
}

/// Answers every read with 200: a request is one, as it is small.
async fn serve(listener: TcpListener, tls: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let mut stream = tls.accept(stream).await?;
            while stream.read(&mut [0; 4_096]).await? > 0 {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
                stream.flush().await?;
            }
            std::io::Result::Ok(())
        });
    }
}

#[tokio::test]
async fn a_good_certificate_is_one() {
    let roots = tempfile::NamedTempFile::new().unwrap();
    let url = destination(&GOOD, roots.path()).await;
    let variable = ("SSL_CERT_FILE", roots.path().display().to_string());
    let forwarder = Forwarder::start_with_more(config(&url), [variable]).await;
    for id in ["m-1", "m-2"] {
        assert_eq!(forwarder.invoke([message(id, "a")]).await, NONE);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_in_the_log() {
    for (certificate, error) in [
        (Certificate { expired: true, ..GOOD }, "certificate_expired"),
        (Certificate { host: "other.example.com", ..GOOD }, "certificate_other_host"),
        (Certificate { trusted: false, ..GOOD }, "certificate_unknown_issuer"),
    ] {
        let roots = tempfile::NamedTempFile::new().unwrap();
        let url = destination(&certificate, roots.path()).await;
        let variable = ("SSL_CERT_FILE", roots.path().display().to_string());
        let forwarder = Forwarder::start_with_more(config(&url), [variable]).await;
        assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
        let log = forwarder.kill().await;
        assert_eq!(lines(&log, "retry")[0]["error"], error, "{log:?}");
    }
}
