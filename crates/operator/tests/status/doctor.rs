//! `doctor`: what it finds, and that it fails when something is wrong.

use std::io::{Read as _, Write as _};
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
    assert!(service.delivered().is_empty(), "no event was sent");
    site.set_delivery(false).await;
    let doctor = site.operate(&["doctor", "local", "--json"]).await;
    assert_eq!(doctor.code, Some(0), "a warning is no failure");
    assert_eq!(check(&doctor, "delivery").0, "warn");
}

#[tokio::test]
async fn the_engine_knows_which_configuration_is_compared_unless_another_is_named() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let doctor = site.operate(&["doctor", "--json"]).await;
    assert_eq!(doctor.code, Some(0), "{}{}", doctor.stdout, doctor.stderr);
    let document: Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert_eq!(document["environment"], "local");
    let (verdict, found) = check(&doctor, "configuration");
    assert_eq!(verdict, "ok");
    assert!(found.starts_with("2 routes in /"), "{found}");
    assert_eq!(check(&doctor, "queues").0, "ok");

    let other = tempfile::NamedTempFile::new().unwrap();
    let text = std::fs::read_to_string(site.file("../config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["queue"] = serde_json::json!({ "retention_seconds": 1_000_000 });
    std::fs::write(other.path(), config.to_string()).unwrap();
    let named = ["doctor", "--json", "--config", other.path().to_str().unwrap()];
    let doctor = site.operate(&named).await;
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    let (verdict, found) = check(&doctor, "queues");
    assert_eq!(verdict, "fail");
    assert!(found.contains("retention is 14 d, not 11 d"), "{found}");

    config["environment"] = "other".into();
    std::fs::write(other.path(), config.to_string()).unwrap();
    let doctor = site.operate(&named).await;
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("it is of environment other, and what runs is local"));
}

/// By its API an engine may be on another machine, whose files are not this one's.
#[tokio::test]
async fn of_an_engine_that_is_found_by_its_api_no_file_is_read() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let Some(doctor) = site.operate_as_nobody(&["doctor", "local", "--json"]).await else { return };
    assert_eq!(doctor.code, Some(0), "{}{}", doctor.stdout, doctor.stderr);
    let (verdict, found) = check(&doctor, "configuration");
    assert_eq!(verdict, "warn");
    assert!(found.contains("not compared"), "{found}");
}

#[tokio::test]
async fn a_closed_port_is_warned_of_as_somebody_may_answer_later() {
    let address = Service::nowhere().await;
    let site = Site::start(&format!("http://{address}")).await;
    let doctor = site.operate(&["doctor", "local", "--json"]).await;
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    let (verdict, found) = check(&doctor, "destination sss/service");
    assert_eq!(verdict, "warn");
    assert!(found.starts_with(&format!("{address}: no connection to {address}: ")), "{found}");
}

/// A service that answers every request with what `head` gives then.
fn raw_service(head: impl Fn() -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"OPTIONS * HTTP/1.1\r\n"), "it does nothing");
            stream.write_all(head().as_bytes()).unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_clock_that_is_not_the_destinations_warns() {
    type Head = Box<dyn Fn() -> String + Send>;
    let date = |off_seconds: i64| -> Head {
        Box::new(move || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let seconds = now.checked_add_signed(off_seconds).unwrap().try_into().unwrap();
            let date = aws_smithy_types::DateTime::from_secs(seconds)
                .fmt(aws_smithy_types::date_time::Format::HttpDate)
                .unwrap();
            format!("HTTP/1.1 405 No\r\nserver: s\r\nDATE: {date}\r\n\r\n")
        })
    };
    let text = |text: &'static str| -> Head { Box::new(move || text.to_owned()) };
    for (head, verdict, expected) in [
        (date(0), "ok", "this machine's is as 127.0.0.1:"),
        (date(-3_620), "warn", "this machine's is 1 h ahead of what 127.0.0.1:"),
        (date(3_620), "warn", "this machine's is 1 h behind what 127.0.0.1:"),
        (text("HTTP/1.1 200 OK\r\n\r\ndate: nothing of the head"), "ok", "no destination"),
        (text("no HTTP\r\ndate: yesterday\r\n\r\n"), "ok", "no destination"),
    ] {
        let site = Site::start(&format!("http://{}", raw_service(head))).await;
        let doctor = site.operate(&["doctor", "local", "--json"]).await;
        let (found_verdict, found) = check(&doctor, "clock");
        assert_eq!(found_verdict, verdict, "{found}");
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(check(&doctor, "destination sss/service").0, "ok");
    }
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

#[tokio::test]
async fn of_an_engine_that_is_down_one_sentence_says_since_when_and_how_it_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let line = "{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"message\":\"delivered\"}\n";
    std::fs::write(dir.path().join("engine.log"), line).unwrap();
    let doctor = async |options: &[&str]| -> Done {
        let arguments = [&["doctor", "local", "--data-dir", path], options].concat();
        { crate::support::operator(&arguments) }.output().await.unwrap().into()
    };
    let sentence = |done: &Done| {
        let document: Value = serde_json::from_str(&done.stdout).unwrap();
        document["judged"]["sentence"].as_str().unwrap().to_owned()
    };
    let since = "You: the engine is down, and nothing is accepted or delivered; the last line of its log \
                 is of 2026-01-01 00:00:00 UTC (";
    // It was stopped.
    let done = doctor(&["--json"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let said = sentence(&done);
    assert!(said.starts_with(since) && said.contains("; start it as it is started"), "{said}");
    // It crashed.
    let left_over = serde_json::json!({
        "environment": "local", "api": Service::nowhere().await.to_string(), "queue_url": "http://q",
        "dead_letter_queue_url": "http://d", "start_command": "systemctl start webhook-queue",
    });
    std::fs::write(dir.path().join("engine.json"), left_over.to_string()).unwrap();
    let done = doctor(&["--json"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let said = sentence(&done);
    assert!(said.starts_with(since), "{said}");
    assert!(said.contains("start it again with `systemctl start webhook-queue`"), "{said}");
    let done = doctor(&[]).await;
    assert!(done.stdout.starts_with("You: the engine is down, "), "{}", done.stdout);
}
