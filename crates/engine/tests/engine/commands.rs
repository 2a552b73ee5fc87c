//! The program's commands besides serving: `check-config` and `health`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::config;
use crate::support::forwarder;
use crate::support::function::Function;
use crate::support::program::Program;

fn webhook_engine() -> Command {
    Command::new(env!("CARGO_BIN_EXE_webhook-engine"))
}

fn check_config(config: &Value, forwarder: &Path, environment: &[(&str, &str)]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    let mut command = webhook_engine();
    command.arg("check-config").arg("--config").arg(file.path()).arg("--forwarder").arg(forwarder);
    command.env_remove("CREDENTIALS_DIRECTORY").envs(environment.iter().copied());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A route whose destination gets three secrets, as headers.
fn with_secrets(references: [&str; 3]) -> Value {
    let headers = json!({ "x-a": references[0], "x-b": references[1], "x-c": references[2] });
    let mut config = config(json!({}));
    config["routes"]["sss"]["destinations"][0]["headers"] = headers;
    config
}

#[test]
fn a_configuration_that_works_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "planted-secret\n").unwrap();
    let file = format!("file:{}", secret.display());
    let config = with_secrets([&file, "env:WEBHOOK_TEST_SECRET", "ssm:/elsewhere"]);
    let environment = [("WEBHOOK_TEST_SECRET", "planted-secret")];
    let output = check_config(&config, &forwarder::executable(), &environment);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), stderr), (Some(0), ""), "{stdout}");
    for part in [
        ": ok, environment test\n",
        "route sss: POST /sqs-hook to sss http://127.0.0.1:9\n",
        "the forwarder starts\n",
        "secrets that are there: 2\n",
        "not checked: ssm:/elsewhere\n",
    ] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    assert!(!stdout.contains("planted-secret"));
}

/// As a start does: the faults of the file first, then what only the forwarder knows.
#[test]
fn every_reason_why_a_configuration_would_not_work_is_told() {
    let faulty = config(json!({ "environment": "Test", "queue": { "retention_seconds": 1 } }));
    let forwarder = forwarder::executable();
    let output = check_config(&faulty, &forwarder, &[]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("\n  environment: "), "{stderr}");
    assert!(stderr.contains("\n  queue.retention_seconds: "), "{stderr}");

    // Certificates are the forwarder's to read.
    let output = check_config(&config(json!({})), &forwarder, &[("SSL_CERT_FILE", "/nowhere.pem")]);
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("/nowhere.pem, named by SSL_CERT_FILE"), "{stderr}");

    for (forwarder, reason) in [
        (Path::new("/nowhere/forwarder"), "there is no executable /nowhere/forwarder"),
        (Path::new("/bin/false"), "it ended before it asked for an event: exit status: 1"),
        (&Function::new("init no such thing").executable(), "no such thing"),
    ] {
        let output = check_config(&config(json!({})), forwarder, &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(reason), "{reason:?} in {stderr}");
    }
}

#[test]
fn a_secret_that_is_not_there_is_told_and_one_that_is_there_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, large) = (dir.path().join("empty"), dir.path().join("large"));
    std::fs::write(&empty, "\n").unwrap();
    std::fs::write(&large, "planted-secret".repeat(10_000)).unwrap();
    let function = Function::new("all ok");
    let file = |path: &Path| format!("file:{}", path.display());
    let missing = dir.path().join("missing");
    for (reference, reason) in [
        (file(&missing), "No such file"),
        (file(&empty), "is empty"),
        (file(&large), "larger than 65536 bytes"),
        (file(dir.path()), "it is not a file"),
        ("env:WEBHOOK_TEST_SECRET".to_owned(), "environment variable not found"),
    ] {
        let config = with_secrets([&reference, "ssm:/b", "ssm:/c"]);
        let output = check_config(&config, &function.executable(), &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(&format!("secret {reference}: ")), "{stderr}");
        assert!(stderr.contains(reason), "{reason:?} in {stderr}");
        assert!(!stderr.contains("planted-secret"), "{stderr}");
    }
    let config = with_secrets(["env:WEBHOOK_TEST_SECRET", "ssm:/b", "ssm:/c"]);
    let output = check_config(&config, &function.executable(), &[("WEBHOOK_TEST_SECRET", "")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the variable is empty"));
}

/// A unit's credentials are there for the unit only, so that nobody else can miss them.
#[test]
fn credentials_are_looked_for_by_the_unit_that_has_them() {
    let function = Function::new("all ok");
    let credential = "file:/run/credentials/webhook-queue-test.service/token";
    let config = with_secrets([credential, "ssm:/b", "ssm:/c"]);
    let output = check_config(&config, &function.executable(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("not checked: {credential}")));
    let of_the_unit = [("CREDENTIALS_DIRECTORY", "/run/credentials/webhook-queue-test.service")];
    let output = check_config(&config, &function.executable(), &of_the_unit);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("No such file"), "{}", text(&output.stderr));
}

#[test]
fn health_is_the_engine_s() {
    let health = |api: &str| webhook_engine().args(["health", "--api", api]).output().unwrap();
    for (script, code) in [("all ok", 0), ("init no such thing", 1)] {
        let (dir, function) = (tempfile::tempdir().unwrap(), Function::new(script));
        let program = Program::start(&config(json!({})), dir.path(), &function.executable());
        let limit = std::time::Instant::now() + std::time::Duration::from_mins(1);
        // An engine is well until its forwarder has failed to start.
        let output = loop {
            let output = health(&program.api);
            if output.status.code() == Some(code) {
                break output;
            }
            assert!(std::time::Instant::now() < limit, "{output:?}");
        };
        if code == 0 {
            assert!(text(&output.stdout).contains("\"storage\":\"ok\""), "{output:?}");
        } else {
            let stderr = text(&output.stderr);
            assert!(stderr.contains("503") && stderr.contains("no such thing"), "{stderr}");
        }
        let api = program.api.clone();
        program.kill();
        let output = health(&api);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(&api), "{output:?}");
    }
}

/// What starts an engine today starts one with commands as well.
#[test]
fn a_command_is_not_mixed_with_serving() {
    let output = webhook_engine().args(["--data-dir", "d", "health"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = webhook_engine().arg("check-config").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--forwarder <PATH>"), "{output:?}");
}
