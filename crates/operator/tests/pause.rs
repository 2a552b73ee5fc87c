//! `webhook-operator pause` and `resume`, the built program, on an engine.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use domain::config::Config;
use engine::store::ReceiveRequest;
use engine::{Engine, EngineOptions, Storage};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;

async fn engine(dir: &Path) -> Engine {
    let config = json!({
        "environment": "test",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "one",
            "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/" }],
        }},
    });
    let config = Config::parse(&config.to_string()).unwrap();
    Engine::start(EngineOptions {
        storage: Storage::Directory(dir.to_owned()),
        // There is a mapping, and no function that would deliver.
        forwarder: Some("/nowhere".into()),
        ..EngineOptions::in_memory(config)
    })
    .await
    .unwrap()
}

async fn operator(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
    command.args(arguments).arg("test").arg("--data-dir").arg(dir);
    command.output().await.unwrap()
}

async fn json(dir: &Path, arguments: &[&str]) -> Value {
    let output = operator(dir, arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_says_why_and_ends_at_its_time_or_before() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let schedule = dir.path().join("schedule.json");

    let pause = ["pause", "--why", "リリース", "--for", "1h", "--json"];
    let paused = json(dir.path(), &pause).await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("リリース")));
    let kept: Value = serde_json::from_slice(&std::fs::read(&schedule).unwrap()).unwrap();
    let second = |time: &Value| time.as_str().unwrap()[..19].to_owned();
    assert_eq!(second(&kept["at"]), second(&paused["resumes_at"]));

    // Another pause takes the place of the first, with its end.
    let again = json(dir.path(), &["pause", "--why", "longer", "--json"]).await;
    assert_eq!(again["resumes_at"], Value::Null);
    assert!(!schedule.exists());

    json(dir.path(), &pause).await;
    assert_eq!(json(dir.path(), &["resume", "--json"]).await["state"], "resumed");
    assert!(!schedule.exists(), "a pause that comes later must not be ended by this one's time");

    let log = operator(dir.path(), &["dlq", "log", "--json"]).await.stdout;
    let log = String::from_utf8(log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&Value> = lines.iter().map(|line| &line["action"]).collect();
    assert_eq!(actions, ["pause", "pause", "pause", "resume"]);
    assert_eq!(lines[0]["reason"], "リリース");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_without_a_reason_or_with_no_time_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    for arguments in [
        ["pause", "--json"].as_slice(),
        &["pause", "--why", " "],
        &["pause", "--why", "r", "--for", "10s"],
        &["pause", "--why", "r", "--for", "15days"],
    ] {
        let output = operator(dir.path(), arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let log = operator(dir.path(), &["dlq", "log", "--json"]).await.stdout;
    assert!(log.is_empty(), "{}", String::from_utf8_lossy(&log));
    assert!(!dir.path().join("event-source-mapping.json").exists(), "it was switched");
    engine.stop().await;
}

/// Puts a dead letter of `event_id` into the dead-letter queue.
async fn add_dead_letter(dir: &Path, event_id: &str) {
    let letter = json!({
        "event_id": event_id, "message_id": event_id, "group_id": "order-7",
        "sequence_number": "1", "receive_count": 5, "sent_at_ms": 1_795_428_000_000_u64,
        "attributes": {}, "body": "{}",
    });
    let file = dir.join(format!("{event_id}.jsonl"));
    std::fs::write(&file, letter.to_string()).unwrap();
    let import = ["dlq", "import", "--json", "test", file.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
    command.args(import).arg("--data-dir").arg(dir);
    assert!(command.status().await.unwrap().success());
}

/// Puts an event into the queue, and receives it as a function would that is still at it.
async fn add_in_flight(engine: &Engine, dir: &Path, event_id: &str) {
    add_dead_letter(dir, event_id).await;
    json(dir, &["dlq", "redrive", "--all", "--json"]).await;
    let queue = engine.queue_url().rsplit('/').next().unwrap();
    let request = ReceiveRequest::default();
    assert_eq!(engine.store().receive(queue, request).await.unwrap().len(), 1);
}

/// Whether the engine delivers, by the switch that it keeps; it does until that is touched.
fn delivers(dir: &Path) -> bool {
    let switch = std::fs::read(dir.join("event-source-mapping.json"));
    switch.map_or(true, |switch| {
        let switch: Value = serde_json::from_slice(&switch).unwrap();
        switch["enabled"].as_bool().unwrap()
    })
}

const REDRIVE: [&str; 5] = ["dlq", "redrive", "--all", "--pause-first", "--json"];

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_ends_its_own_pause_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    json(dir.path(), &["pause", "--why", "release", "--json"]).await;
    add_dead_letter(dir.path(), "event-1").await;
    assert_eq!(json(dir.path(), &REDRIVE).await["sent"], json!(["event-1"]));
    assert!(!delivers(dir.path()), "somebody else's pause goes on");
    engine.stop().await;

    let dir = tempfile::tempdir().unwrap();
    let engine = self::engine(dir.path()).await;
    add_dead_letter(dir.path(), "event-2").await;
    assert_eq!(json(dir.path(), &REDRIVE).await["sent"], json!(["event-2"]));
    assert!(dir.path().join("event-source-mapping.json").exists(), "it was paused");
    assert!(delivers(dir.path()));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_interrupted_while_it_pauses_goes_on_delivering() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    add_in_flight(&engine, dir.path(), "event-1").await;
    add_dead_letter(dir.path(), "event-2").await;

    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
    command.args(REDRIVE).arg("test").arg("--data-dir").arg(dir.path());
    let redrive = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while delivers(dir.path()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = redrive.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::INT).unwrap();
    let done = redrive.wait_with_output().await.unwrap();
    assert_eq!(done.status.code(), Some(130), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(delivers(dir.path()));
    let left = json(dir.path(), &["dlq", "list", "--json"]).await;
    assert_eq!(left[0]["event_id"], "event-2", "nothing was sent");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_while_it_pauses_is_known_of() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    add_in_flight(&engine, dir.path(), "event-1").await;
    add_dead_letter(dir.path(), "event-2").await;

    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
    command.args(REDRIVE).args(["--why", "release 42", "test", "--data-dir"]).arg(dir.path());
    let mut redrive = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while delivers(dir.path()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    redrive.kill().await.unwrap();
    assert!(!delivers(dir.path()), "nobody could resume");

    let log = operator(dir.path(), &["dlq", "log", "--json"]).await.stdout;
    let log = String::from_utf8(log).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["reason"]), (&json!("pause"), &json!("release 42")));
    assert_eq!(last["what"]["by"], "dlq redrive");
    let status = json(dir.path(), &["status", "--json"]).await;
    assert_eq!(status["delivery"]["paused"], true);
    for arguments in [&REDRIVE[..], &["dlq", "redrive", "--group", "order-7"]] {
        let done = operator(dir.path(), arguments).await;
        let said = String::from_utf8(done.stderr).unwrap();
        let expected = [
            "delivery is paused since",
            "(release 42)",
            "`webhook-operator resume test --data-dir",
        ];
        assert!(expected.iter().all(|it| said.contains(it)), "{said}");
    }
    json(dir.path(), &["resume", "--no-wait", "--json"]).await;
    assert!(delivers(dir.path()));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_the_dead_letters_would_land_behind() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    // Nothing delivers, so what is redriven waits.
    for event_id in ["event-1", "event-2"] {
        add_dead_letter(dir.path(), event_id).await;
        json(dir.path(), &["dlq", "redrive", "--all", "--json"]).await;
    }
    add_dead_letter(dir.path(), "event-3").await;
    let delivered = |at: &str, group: &str, event_id: &str| {
        let line = json!({
            "timestamp": at, "message": "delivered", "event_id": event_id, "group": group,
        });
        format!("{line}\n")
    };
    let (before, after) = ("2026-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z");
    let log = [
        delivered(before, "order-7", "earlier"),
        delivered(after, "order-7", "later"),
        delivered(after, "order-7", "later"),
        delivered(after, "order-8", "of-another-group"),
    ];
    std::fs::write(dir.path().join("engine.1.log"), log.concat()).unwrap();

    let dry_run = ["dlq", "redrive", "--all", "--dry-run"];
    let shown = String::from_utf8(operator(dir.path(), &dry_run).await.stdout).unwrap();
    let group = "group order-7: 1 event, behind 2 events that wait and 1 delivered since\n";
    assert!(shown.contains(group), "{shown}");
    let plan = json(dir.path(), &[&dry_run[..], &["--json"]].concat()).await;
    assert_eq!(plan["would_send"], json!([{ "event_id": "event-3", "group": "order-7" }]));
    assert_eq!(plan["waiting_before"], 2);
    let group = &plan["groups"][0];
    assert_eq!((&group["group"], &group["events"]), (&json!("order-7"), &json!(1)));
    assert_eq!((&group["waiting"], &group["delivered_since"]), (&json!(2), &json!(1)));
    engine.stop().await;
}
