//! Destinations with TLS: what is wrong with a certificate is in the log, since at night the log is all
//! there is.

use std::path::Path;
use std::sync::Arc;

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, config_with};
use contract_tests::within_patience;
use domain::config::HiddenText;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{NONE, lines};

#[derive(Clone, Copy)]
struct Certificate<'a> {
    host: &'static str,
    expired: bool,
    trusted: bool,
    /// Whose certificates callers have to show.
    callers: Option<&'a Authority>,
}

const GOOD: Certificate<'static> =
    Certificate { host: "127.0.0.1", expired: false, trusted: true, callers: None };

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    authority_named("an authority")
}

fn authority_named(name: &str) -> Authority {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate that this authority has given us, and its key, in PEM.
fn ours(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["webhook-queue".to_owned()]).unwrap();
    (leaf.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// Starts a destination with this certificate and puts the issuer to trust into `roots`. Returns its
/// URL.
async fn destination(certificate: &Certificate<'_>, roots: &Path) -> String {
    let (issuer, other) = (authority(), authority());
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
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match certificate.callers {
        None => config.with_no_client_auth(),
        Some(callers) => {
            let mut roots = RootCertStore::empty();
            roots.add(callers.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
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

/// A forwarder whose destination asks for a certificate of `callers`, and that shows what is in `file`.
async fn asked_for_ours(callers: &Authority, file: Option<&Path>) -> Forwarder {
    let roots = tempfile::NamedTempFile::new().unwrap();
    let url = destination(&Certificate { callers: Some(callers), ..GOOD }, roots.path()).await;
    let config = config_with(&url, |route| {
        route.destinations[0].client_certificate =
            file.map(|path| HiddenText(format!("file:{}", path.display())));
    });
    let variable = ("SSL_CERT_FILE", roots.path().display().to_string());
    let forwarder = Forwarder::start_with_more(config, [variable]).await;
    // It has read them once it takes its first event.
    assert_eq!(forwarder.invoke([]).await, NONE);
    forwarder
}

#[tokio::test]
async fn a_destination_that_asks_is_shown_our_certificate() {
    let callers = authority();
    let (certificate, key) = ours(&callers);
    let file = tempfile::NamedTempFile::new().unwrap();
    for pem in [format!("{certificate}{key}"), format!("{key}\n# and\n{certificate}")] {
        std::fs::write(file.path(), pem).unwrap();
        let forwarder = asked_for_ours(&callers, Some(file.path())).await;
        for id in ["m-1", "m-2"] {
            assert_eq!(forwarder.invoke([message(id, "a")]).await, NONE);
        }
    }
}

#[tokio::test]
async fn a_destination_that_does_not_take_our_certificate_gets_the_event_later() {
    let callers = authority();
    let (other, of_the_same_name) = (authority_named("another"), authority());
    let file = |authority| {
        let (certificate, key) = ours(authority);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate + &key).unwrap();
        file
    };
    let files = [file(&other), file(&of_the_same_name)];
    for file in files.iter().map(|file| Some(file.path())).chain([None]) {
        let forwarder = asked_for_ours(&callers, file).await;
        assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
        let log = forwarder.kill().await;
        assert_eq!(lines(&log, "retry")[0]["error"], "client_certificate_refused", "{log:?}");
    }
}

#[tokio::test]
async fn what_is_no_certificate_of_ours_is_told_and_not_shown() {
    let callers = authority();
    let (certificate, key) = ours(&callers);
    let (other_certificate, other_key) = ours(&callers);
    let file = tempfile::NamedTempFile::new().unwrap();
    for (pem, fault) in [
        ("planted-text".to_owned(), "no certificate in PEM"),
        (key.clone(), "no certificate in PEM"),
        (certificate.clone(), "no private key in PEM"),
        (certificate.clone() + &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "without a password"),
        (
            certificate.clone() + &key.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1),
            "without a password",
        ),
        (certificate.replace("-----END", "planted-text\n-----END") + &key, "holds"),
        (certificate.clone() + &other_key, "cannot be used together"),
        (other_certificate + &certificate + &key, "cannot be used together"),
    ] {
        std::fs::write(file.path(), &pem).unwrap();
        let forwarder = asked_for_ours(&callers, Some(file.path())).await;
        assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
        let log = forwarder.kill().await;
        let line = &lines(&log, "secret_unavailable")[0];
        let error = line["error"].as_str().unwrap();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        assert!(error.contains(fault), "{fault}: {error}");
        let shown = format!("{log:?}");
        assert!(!shown.contains("planted-text"), "{shown}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_certificate_is_put_right_without_a_restart() {
    let callers = authority();
    let (certificate, key) = ours(&callers);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &key).unwrap();
    let forwarder = asked_for_ours(&callers, Some(file.path())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    std::fs::write(file.path(), certificate + &key).unwrap();
    within_patience("the certificate", async {
        while forwarder.invoke([message("m-1", "a")]).await != NONE {}
    })
    .await;
}
