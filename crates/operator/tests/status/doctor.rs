//! `doctor`: what it finds, and that it fails when something is wrong.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;

use crate::support::{Done, Service, Site};

/// The lines by name, with their verdict and what was found.
fn check(done: &Done, name: &str) -> (String, String) {
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no {name} in {document:#}"));
    let text = |field: &str| check[field].as_str().unwrap().to_owned();
    assert_eq!(check["verdict"] == "ok", check["advice"].is_null(), "{check}");
    (text("verdict"), text("found"))
}

#[tokio::test]
async fn a_healthy_environment_passes() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let doctor = site.operate(&["doctor", "local"]).await;
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("FAIL"), "{}", doctor.stdout);
    assert!(service.delivered().is_empty(), "no request was sent");
    site.set_delivery(false).await;
    let doctor = site.operate(&["doctor", "local", "--json"]).await;
    assert_eq!(doctor.code, Some(0), "a warning is no failure");
    assert_eq!(check(&doctor, "delivery").0, "warn");
}

#[tokio::test]
async fn a_closed_port_fails() {
    let address = Service::nowhere().await;
    let site = Site::start(&format!("http://{address}")).await;
    let doctor = site.operate(&["doctor", "local", "--json"]).await;
    assert_eq!(doctor.code, Some(1));
    let (verdict, found) = check(&doctor, "destination sss/service");
    assert_eq!(verdict, "fail");
    assert!(found.starts_with(&format!("{address}: no connection to {address}: ")), "{found}");
}

#[tokio::test]
async fn a_certificate_that_ended_fails_and_one_that_ends_soon_warns() {
    const DAY: Duration = Duration::from_hours(24);
    let now = SystemTime::now();
    for (end, verdict, found) in [
        (now - 3 * DAY, "fail", "its certificate expired 3 d"),
        (now + 5 * DAY, "warn", "its certificate is good until "),
        (now + 60 * DAY, "ok", "its certificate is good until "),
    ] {
        let (address, authority) = tls_service(end);
        let site = Site::start(&format!("https://localhost:{}", address.port())).await;
        let trusted = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trusted.path(), authority).unwrap();
        let variables = [("SSL_CERT_FILE", trusted.path().to_str().unwrap())];
        let doctor = site.operate_with(&["doctor", "local", "--json"], &variables).await;
        let result = check(&doctor, "destination sss/service");
        assert_eq!(result.0, verdict, "{}", result.1);
        assert!(result.1.contains(found), "{}", result.1);
        assert_eq!(doctor.code, Some(i32::from(verdict == "fail")));
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_fails_and_destinations_are_checked_all_the_same() {
    let service = Service::anywhere().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    let text = format!(
        r#"{{"environment":"local","routes":{{"sss":{{"path":"/sqs-hook","ordering_key":"all",
            "destinations":[{{"name":"service","url":"{}"}}]}}}}}}"#,
        service.url()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = crate::support::operator(&["doctor", "local", "--json", "--config"]);
    command.arg(config).arg("--data-dir").arg(dir.path().join("nothing"));
    let doctor: Done = command.output().await.unwrap().into();
    assert_eq!(doctor.code, Some(1));
    assert_eq!(check(&doctor, "environment").0, "fail");
    assert_eq!(check(&doctor, "destination sss/service").0, "ok");
}

/// A server that only shakes hands, with a certificate that ends at `end`; and the authority that
/// signed it, as PEM.
fn tls_service(end: SystemTime) -> (SocketAddr, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = (end - Duration::from_hours(24 * 90)).into();
    params.not_after = end.into();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // A client that does not like the certificate goes.
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    (address, authority.pem())
}
