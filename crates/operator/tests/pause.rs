//! `webhook-operator pause`, `resume` and `retry`, and the pause and the lease of `dlq redrive`: the built
//! program, on an engine.
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

/// The pauses that the engine keeps.
fn pauses(dir: &Path) -> Vec<Value> {
    let kept = std::fs::read(dir.join("pauses.json"));
    kept.map_or_else(
        |_none| Vec::new(),
        |kept| {
            let kept: Value = serde_json::from_slice(&kept).unwrap();
            kept["pauses"].as_array().unwrap().clone()
        },
    )
}

/// Whether the engine delivers.
fn delivers(dir: &Path) -> bool {
    pauses(dir).is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_says_why_and_ends_at_its_time_or_before() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;

    let pause = ["pause", "--why", "リリース", "--for", "1h", "--json"];
    let paused = json(dir.path(), &pause).await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("リリース")));
    let kept = pauses(dir.path());
    assert_eq!((kept.len(), &kept[0]["until"]), (1, &paused["resumes_at"]));
    assert_eq!((&kept[0]["name"], &kept[0]["by"]), (&paused["name"], &paused["name"]));

    // Another of the same name takes the place of the first, with its end.
    let again = json(dir.path(), &["pause", "--why", "longer", "--json"]).await;
    assert_eq!(again["resumes_at"], Value::Null);
    assert_eq!((pauses(dir.path()).len(), &pauses(dir.path())[0]["until"]), (1, &Value::Null));

    json(dir.path(), &pause).await;
    let resumed = json(dir.path(), &["resume", "--json"]).await;
    assert_eq!(
        (&resumed["state"], &resumed["ended"][0]["reason"]),
        (&json!("resumed"), &json!("リリース"))
    );
    assert!(delivers(dir.path()));

    let log = operator(dir.path(), &["dlq", "log", "--json"]).await.stdout;
    let log = String::from_utf8(log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<(&Value, &Value)> =
        lines.iter().map(|line| (&line["action"], &line["what"]["result"])).collect();
    let act = |action: &str| [(json!(action), Value::Null), (json!(action), json!("done"))];
    let expected = [act("pause"), act("pause"), act("pause"), act("resume")].concat();
    assert_eq!(actions, expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    assert_eq!(lines[0]["reason"], "リリース");
    assert_eq!(lines[0]["what"]["for_seconds"], 3_600);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_goes_on_when_the_last_pause_ends_and_whose_it_was_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let said = async |arguments: &[&str]| {
        let output = operator(dir.path(), arguments).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let named = ["pause", "--why", "release 42", "--name", "release"];
    let (code, stdout, _) = said(&named).await;
    assert!(code == Some(0) && stdout.contains("--name release --data-dir"), "{stdout}");
    let (_, stdout, _) = said(&["pause", "--why", "upgrade"]).await;
    assert!(stdout.contains("paused as well: release, by "), "{stdout}");

    let (code, _, stderr) = said(&["resume"]).await;
    assert_eq!((code, pauses(dir.path()).len()), (Some(1), 2), "{stderr}");
    for part in ["there are 2 pauses", "(release 42)", "(upgrade)", "--name release", "--all"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let (code, _, stderr) = said(&["resume", "--name", "nobody"]).await;
    assert_eq!((code, pauses(dir.path()).len()), (Some(1), 2));
    assert!(stderr.contains("no pause \"nobody\"") && stderr.contains("release, by"), "{stderr}");

    let (code, stdout, _) = said(&["resume", "--name", "release"]).await;
    assert!(code == Some(0) && !delivers(dir.path()), "{stdout}");
    assert!(
        stdout.contains("ended: release, by ") && stdout.contains("still paused: "),
        "{stdout}"
    );
    let screen = said(&["status"]).await.1;
    assert!(screen.contains(": upgrade") && !screen.contains("release 42"), "{screen}");

    // A single one ends whoever made it.
    let (code, stdout, _) = said(&["resume", "--no-wait"]).await;
    assert!(code == Some(0) && delivers(dir.path()), "{stdout}");
    assert!(stdout.contains("ended: ") && stdout.contains("(upgrade)"), "{stdout}");

    said(&named).await;
    said(&["pause", "--why", "upgrade"]).await;
    assert_eq!(said(&["resume", "--all", "--no-wait"]).await.0, Some(0));
    assert!(delivers(dir.path()));
    // Nothing to end is no fault: delivery goes on.
    assert_eq!(said(&["resume", "--no-wait"]).await.0, Some(0));
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
        &["pause", "--why", "r", "--name", " "],
        &["resume", "--name", "a", "--all"],
    ] {
        let output = operator(dir.path(), arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let log = operator(dir.path(), &["dlq", "log", "--json"]).await.stdout;
    assert!(log.is_empty(), "{}", String::from_utf8_lossy(&log));
    assert!(!dir.path().join("pauses.json").exists(), "it was switched");
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

/// Puts an event into the queue, and receives it as a function would that is still at it; gives its
/// receipt handle.
async fn add_in_flight(engine: &Engine, dir: &Path, event_id: &str) -> String {
    add_dead_letter(dir, event_id).await;
    json(dir, &["dlq", "redrive", "--all", "--json"]).await;
    let queue = engine.queue_url().rsplit('/').next().unwrap();
    let request = ReceiveRequest::default();
    let mut received = engine.store().receive(queue, request).await.unwrap();
    assert_eq!(received.len(), 1);
    received.remove(0).receipt_handle
}

const REDRIVE: [&str; 5] = ["dlq", "redrive", "--all", "--pause-first", "--json"];

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_ends_its_own_pause_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    json(dir.path(), &["pause", "--why", "release", "--json"]).await;
    add_dead_letter(dir.path(), "event-1").await;
    assert_eq!(json(dir.path(), &REDRIVE).await["sent"], json!(["event-1"]));
    let left = pauses(dir.path());
    assert_eq!((left.len(), &left[0]["reason"]), (1, &json!("release")), "somebody else's goes on");
    engine.stop().await;

    let dir = tempfile::tempdir().unwrap();
    let engine = self::engine(dir.path()).await;
    add_dead_letter(dir.path(), "event-2").await;
    assert_eq!(json(dir.path(), &REDRIVE).await["sent"], json!(["event-2"]));
    assert!(dir.path().join("pauses.json").exists(), "it was paused");
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
    let left = pauses(dir.path());
    assert_eq!((left.len(), &left[0]["name"]), (1, &json!("dlq redrive")), "nobody could resume");
    assert!(left[0]["until"].is_string(), "it ends by itself");

    let log = operator(dir.path(), &["dlq", "log", "--json"]).await.stdout;
    let log = String::from_utf8(log).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["reason"]), (&json!("pause"), &json!("release 42")));
    assert_eq!(last["what"]["by"], "dlq redrive");
    let status = json(dir.path(), &["status", "--json"]).await;
    assert_eq!(status["delivery"]["paused"], true);
    // Its lease keeps others out for a minute, which nobody waits for here.
    let token = lease(&engine).await.unwrap().token;
    engine.store().release_lease("redrive", &token).await.unwrap();
    for arguments in [["dlq", "redrive", "--group", "order-7"]] {
        let done = operator(dir.path(), &arguments).await;
        let said = String::from_utf8(done.stderr).unwrap();
        let expected = [
            "delivery is paused: dlq redrive, by ",
            "(release 42)",
            "`webhook-operator resume test --data-dir",
        ];
        assert!(expected.iter().all(|it| said.contains(it)), "{said}");
    }
    json(dir.path(), &["resume", "--no-wait", "--json"]).await;
    assert!(delivers(dir.path()));
    engine.stop().await;
}

/// The lease that the engine has given somebody.
async fn lease(engine: &Engine) -> Option<domain::lease::Lease> {
    engine.store().lease("redrive").await.unwrap()
}

fn start_redrive(dir: &Path) -> tokio::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND").kill_on_drop(true);
    // One in a second: it is at work until it is ended.
    command.args(["dlq", "redrive", "--all", "--rate", "1", "--why", "fixed in 4.3", "test"]);
    command.arg("--data-dir").arg(dir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until somebody has the lease.
async fn taken(engine: &Engine) {
    while lease(engine).await.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_redrives_at_once_the_second_is_told_whose_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    for number in 0..60 {
        add_dead_letter(dir.path(), &format!("event-{number}")).await;
    }
    let mut first = start_redrive(dir.path());
    taken(&engine).await;
    for second in [&REDRIVE[..], &["dlq", "redrive", "--all"]] {
        let done = operator(dir.path(), &[second, &["--wait", "1s"]].concat()).await;
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        for part in [" redrives (fixed in 4.3) since ", "wait until that has ended", "expires in "]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert!(delivers(dir.path()), "the second has paused nothing");
    // Looking needs no lease.
    let shown = operator(dir.path(), &["dlq", "list", "--json"]).await;
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    // A plan of a part is no plan.
    let plan = operator(dir.path(), &["dlq", "redrive", "--all", "--dry-run"]).await;
    assert_eq!(plan.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&plan.stderr).contains("a redrive waits for them"));

    // Interrupted, it gives the lease back.
    let pid = first.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::INT).unwrap();
    assert_eq!(first.wait().await.unwrap().code(), Some(130));
    assert_eq!(lease(&engine).await, None);

    // Killed, it keeps others out for a minute at most.
    let mut killed = start_redrive(dir.path());
    taken(&engine).await;
    killed.kill().await.unwrap();
    let left = lease(&engine).await.unwrap();
    assert!(left.until.since(engine.store().clock().wall()) <= Duration::from_mins(1));
    let next = operator(dir.path(), &["dlq", "redrive", "--all", "--wait", "1s"]).await;
    assert_eq!(next.status.code(), Some(1));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_attempted_now_and_one_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    add_dead_letter(dir.path(), "event-1").await;
    json(dir.path(), &["dlq", "redrive", "--all", "--json"]).await;
    let queue = engine.queue_url().rsplit('/').next().unwrap().to_owned();
    let fail = async || {
        let request = ReceiveRequest::default();
        let received = engine.store().receive(&queue, request).await.unwrap();
        let handle = &received[0].receipt_handle;
        engine.store().change_visibility(&queue, handle, 600).await.unwrap();
    };
    fail().await;
    let group = engine.store().groups(&queue, "", 1).await.unwrap()[0].group.clone();
    let retry = |key: &'static str| {
        let dir = dir.path().to_owned();
        async move {
            let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
            command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
            command.args(["retry", "test", key, "--json", "--data-dir"]).arg(&dir);
            command.output().await.unwrap()
        }
    };
    assert_eq!(group, "order-7");
    let retried = retry("order-7").await;
    assert_eq!(retried.status.code(), Some(0), "{}", String::from_utf8_lossy(&retried.stderr));
    let retried: Value = serde_json::from_slice(&retried.stdout).unwrap();
    assert_eq!(retried["groups"][0]["result"], "now");
    fail().await;
    let all = retry("--all").await;
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((&all["groups"][0]["group"], &all["not_reached"]), (&json!("order-7"), &json!(0)));
    fail().await;
    let nobody = retry("nobody").await;
    assert_eq!(nobody.status.code(), Some(1));
    let nobody: Value = serde_json::from_slice(&nobody.stdout).unwrap();
    assert_eq!(nobody["groups"][0]["result"], "no_group");
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

/// Starts a command on an engine, sends it TERM once the audit log has this many lines, and gives its exit
/// code and the states that the log then tells of its action.
async fn interrupted(dir: &Path, arguments: &[&str], lines: usize) -> (Option<i32>, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND").kill_on_drop(true);
    command.args(arguments).arg("--data-dir").arg(dir);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let told = || {
        let log = std::fs::read_to_string(dir.join("audit.jsonl")).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["action"] == arguments[0]).collect::<Vec<_>>()
    };
    while told().len() < lines {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    let code = child.wait().await.unwrap().code();
    let results = told().into_iter().skip(1).map(|mut line| line["what"]["result"].take());
    (code, results.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_interrupted_exits_with_130_and_the_audit_log_tells_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let handle = add_in_flight(&engine, dir.path(), "event-1").await;
    let done = || (Some(130), vec![json!("done")]);

    // What is under way does not end here, nor does what waits get less.
    let pause = interrupted(dir.path(), &["pause", "test", "--why", "r"], 2).await;
    assert_eq!((pause, delivers(dir.path())), (done(), false));
    let resume = interrupted(dir.path(), &["resume", "test"], 2).await;
    assert_eq!((resume, delivers(dir.path())), (done(), true));

    // It is attempted again in ten minutes.
    let queue = engine.queue_url().rsplit('/').next().unwrap();
    engine.store().change_visibility(queue, &handle, 600).await.unwrap();
    let skip = interrupted(dir.path(), &["skip", "test", "event-1", "--why", "r"], 2).await;
    assert_eq!(skip, done());
    let skips = Command::new(env!("CARGO_BIN_EXE_webhook-operator"))
        .args(["skip", "test", "--list", "--data-dir"])
        .arg(dir.path())
        .output();
    assert_eq!(skips.await.unwrap().stdout, b"event-1\n", "it stays asked for");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_there_once_what_is_under_way_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let handle = add_in_flight(&engine, dir.path(), "event-1").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND").kill_on_drop(true);
    command.args(["pause", "--why", "upgrade", "--json", "test", "--data-dir"]).arg(dir.path());
    let mut pause = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    while delivers(dir.path()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(2), pause.wait()).await;
    assert!(ended.is_err(), "a delivery is under way");
    let queue = engine.queue_url().rsplit('/').next().unwrap();
    engine.store().delete(queue, &handle).await.unwrap();
    let done = pause.wait_with_output().await.unwrap();
    let paused: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(paused["waiting"], 0, "{paused}");
    engine.stop().await;
}

/// With the dead letters of others hidden nothing is sent, so nothing is to be paused for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_pauses_nothing_before_all_dead_letters_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    add_dead_letter(dir.path(), "event-1").await;
    let queue = engine.dead_letter_queue_url().rsplit('/').next().unwrap();
    let hidden = engine.store().receive(queue, ReceiveRequest::default()).await.unwrap();
    assert_eq!(hidden.len(), 1);
    let done = operator(dir.path(), &[&REDRIVE[..], &["--wait", "1s"]].concat()).await;
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(!dir.path().join("pauses.json").exists(), "it was paused");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_pauses_sends_nothing_before_what_is_under_way_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path()).await;
    let handle = add_in_flight(&engine, dir.path(), "event-1").await;
    add_dead_letter(dir.path(), "event-2").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND").kill_on_drop(true);
    command.args(REDRIVE).arg("test").arg("--data-dir").arg(dir.path());
    let mut redrive = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    while delivers(dir.path()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(2), redrive.wait()).await;
    assert!(ended.is_err(), "a delivery is under way");
    let queue = engine.queue_url().rsplit('/').next().unwrap();
    engine.store().delete(queue, &handle).await.unwrap();
    let done = redrive.wait_with_output().await.unwrap();
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((done.status.code(), &report["sent"]), (Some(0), &json!(["event-2"])));
    assert!(delivers(dir.path()));
    engine.stop().await;
}
