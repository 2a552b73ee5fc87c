//! The program: its arguments, what it announces, its exit codes.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::config;
use crate::support::program::{Program, command};

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test]
async fn it_announces_where_it_listens_and_stops_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&config(json!({})), dir.path(), Path::new("/nowhere"));
    let file = dir.path().join("engine.json");
    let announced = read(&file);
    assert_eq!(
        (&announced["ingest"], &announced["api"]),
        (&json!(program.ingest), &json!(program.api))
    );
    assert_eq!(announced["environment"], "test");
    assert_eq!(announced["queue_url"], program.queue_url("test-webhook.fifo"));
    assert_eq!(announced["dead_letter_queue_url"], program.queue_url("test-webhook-dlq.fifo"));
    assert!(announced["pid"].is_u64());
    assert!(program.terminate().success());
    assert!(!file.exists());
}

/// The forwarder inherits it, and has the secrets in its memory.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crash_leaves_no_memory_on_disk() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let allowed = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: allowed, maximum: allowed }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&config(json!({})), dir.path(), Path::new("/nowhere"));
    let pid = read(&dir.path().join("engine.json"))["pid"].as_u64().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let limits: Vec<&str> = line.split_whitespace().skip(4).collect();
    assert_eq!(limits, ["0", "0", "bytes"], "{line}");
    assert!(program.terminate().success());
}

#[test]
fn every_fault_of_a_configuration_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = config(json!({
        "environment": "Test", "routes": { "sss": { "path": "hook" } }, "queue": { "retention_seconds": 1 },
    }));
    let refusal = Program::refused(&faulty, dir.path(), Path::new("/nowhere"));
    assert_eq!(refusal.code, Some(2));
    for part in [
        "cannot be used:",
        "\n  environment: ",
        "\n  routes.sss.path: ",
        "\n  queue.retention_seconds: ",
    ] {
        assert!(refusal.stderr.contains(part), "{part:?} in {}", refusal.stderr);
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was created");
}

#[test]
fn an_address_in_use_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(&config(json!({})), dir.path(), Path::new("/nowhere"))
        .args(["--target", "http://127.0.0.1:9", "--listen", &address])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("cannot listen at {address}: ")), "{stderr}");
}

#[test]
fn missing_arguments_are_a_usage_error() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_webhook-engine")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
