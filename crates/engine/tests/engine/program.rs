//! The program: its arguments, what it announces, its exit codes.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::function::Function;
use crate::support::program::{Program, command};
use crate::support::{config, http_client, post_to};

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
    assert!(announced["config_file"].as_str().unwrap().starts_with('/'), "{announced}");
    let start_command = announced["start_command"].as_str().unwrap();
    let arguments = format!(" --data-dir {} --forwarder /nowhere ", dir.path().display());
    assert!(start_command.starts_with("cd "), "{start_command}");
    assert!(start_command.contains("/webhook-engine --config /"), "{start_command}");
    assert!(start_command.contains(&arguments), "{start_command}");
    assert!(program.terminate().success());
    assert!(!file.exists());
}

/// How many files an engine may have open that was started with these limits: its soft one.
fn files_of(program: &Program) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    files.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn it_opens_as_many_files_as_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let program = Program::start_with_files("64:2000", &config, dir.path(), Path::new("/nowhere"));
    assert_eq!(files_of(&program), "2000");
    assert!(program.terminate().success());
}

/// They are used up by connections that ask for nothing: those make room, and events are accepted.
#[tokio::test]
async fn where_no_file_descriptors_are_left_events_are_accepted_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (config, function) = (config(json!({})), Function::new(""));
    let executable = function.executable();
    let program = Program::start_with_files("64:64", &config, dir.path(), &executable);
    assert_eq!(files_of(&program), "64");
    let mut idle = Vec::new();
    for number in 0..3 {
        // On a connection of its own.
        let client = http_client();
        let posted = post_to(&client, &program.ingest, "k", format!("k-{number}"));
        let posted = tokio::time::timeout(Duration::from_mins(1), posted).await;
        assert_eq!(posted.expect("it is never answered").unwrap(), 200);
        for _ in 0..64 {
            idle.push(tokio::net::TcpStream::connect(&program.ingest).await.unwrap());
        }
    }
    let record = function.wait_for(|record| record.len() >= 3).await;
    assert_eq!(record, ["k-0", "k-1", "k-2"]);
    drop(idle);
    assert!(program.terminate().success());
    let log = std::fs::read_to_string(dir.path().join("engine.log")).unwrap();
    assert!(log.contains("connections cannot be accepted"), "the limit was met: {log}");
}

#[tokio::test]
async fn where_deliveries_go_is_kept_and_a_change_is_said_and_refused_only_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let to = |url: &str| {
        let destination = json!([{ "name": "sss", "url": url, "timeout_seconds": 1 }]);
        config(json!({ "routes": { "sss": { "destinations": destination } } }))
    };
    let [before, now] = [to("http://127.0.0.1:9/hook?token=1"), to("http://127.0.0.1:7/hook")];
    let keeping = |config: &Value| {
        let mut command = command(config, dir.path(), Path::new("/nowhere"));
        command.args(["--listen", "127.0.0.1:0", "--keep-destinations", "--until-stdin-ends"]);
        command.output().unwrap()
    };
    let first = Program::start(&before, dir.path(), Path::new("/nowhere"));
    first.send_message("test-webhook.fifo", "g", "1").await;
    assert!(first.terminate().success());
    assert_eq!(
        keeping(&before).status.code(),
        Some(0),
        "nothing has changed, and stdin is at its end"
    );
    let refused = keeping(&now);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    let moved = "(1 do): sss/sss from http://127.0.0.1:9 to http://127.0.0.1:7";
    assert!(said.contains(moved) && !said.contains("token"), "{said}");

    // A URL that is put right must not keep the queue down.
    assert!(Program::start(&now, dir.path(), Path::new("/nowhere")).terminate().success());
    let log = std::fs::read_to_string(dir.path().join("engine.log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let moved: Vec<Value> =
        lines.filter(|line| line["message"] == "deliveries go elsewhere than before").collect();
    let [moved] = moved.as_slice() else { panic!("{moved:?}") };
    assert_eq!((&moved["route"], &moved["waiting"]), (&json!("sss"), &json!(1)));
    assert_eq!(moved["before"], "http://127.0.0.1:9");
    assert_eq!(moved["now"], "http://127.0.0.1:7");
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

/// A script that starts the forwarder instead of becoming it, say: what it started would deliver beside
/// the next process.
#[tokio::test]
async fn what_a_forwarder_has_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (wrapper, started) = (dir.path().join("wrapper"), dir.path().join("started"));
    let script =
        "#!/bin/sh\nsleep 1000 &\necho $! >\"$0.new\"\nmv \"$0.new\" \"${0%/*}/started\"\nwait\n";
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).unwrap();
    let program = Program::start(&config(json!({})), &dir.path().join("queue"), &wrapper);
    let limit = Instant::now() + Duration::from_mins(1);
    let child = loop {
        match std::fs::read_to_string(&started) {
            Ok(child) => break child.trim().to_owned(),
            Err(error) => assert!(Instant::now() < limit, "{error}"),
        }
    };
    // One that was killed and that nobody has asked for is a zombie.
    let lives = || {
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        state.contains("(sleep)") && !state.contains(") Z ")
    };
    assert!(lives());
    assert!(program.terminate().success());
    while lives() {
        assert!(Instant::now() < limit, "process {child} is still there");
    }
}

#[test]
fn missing_arguments_are_a_usage_error() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_webhook-engine")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// What is in the directory is for nobody else, whoever made it and however open it was.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_their_owner_s_whatever_the_directory_was() {
    let dir = tempfile::tempdir().unwrap();
    let modes = || -> Vec<(String, u32)> {
        let entries = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
        let mode = |entry: &std::fs::DirEntry| entry.metadata().unwrap().permissions().mode();
        entries.map(|it| (it.file_name().into_string().unwrap(), mode(&it) & 0o777)).collect()
    };
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let program = Program::start(&config(json!({})), dir.path(), Path::new("/nowhere"));
        program.send_message("test-webhook.fifo", "g", "body").await;
        let found = modes();
        for name in ["queues.db", "queues.db-wal", "engine.log", "engine.json", "access-key-id"] {
            assert!(found.iter().any(|(it, _)| it == name), "{name}: {found:?}");
        }
        assert!(found.iter().all(|(_, mode)| *mode == 0o600), "{found:?}");
        program.kill();
        // As an engine of before has left them.
        for (name, _) in found {
            std::fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o644)).unwrap();
        }
    }
}

#[test]
fn an_api_that_other_machines_reach_is_warned_of() {
    for (address, warnings) in [("127.0.0.1:0", 0), ("0.0.0.0:0", 1)] {
        let dir = tempfile::tempdir().unwrap();
        let on_loopback = command(&config(json!({})), dir.path(), Path::new("/nowhere"));
        let mut command = Command::new(on_loopback.get_program());
        let arguments = on_loopback.get_args();
        command
            .args(arguments.map(|it| if it == "127.0.0.1:0" { OsStr::new(address) } else { it }));
        command.args(["--listen", "127.0.0.1:0", "--until-stdin-ends"]).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8(output.stdout).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let warned = lines.filter(|line| {
            line["level"] == "WARN" && line["message"].to_string().contains("other machines")
        });
        assert_eq!(warned.count(), warnings, "{log}");
    }
}

/// Loopback is not authentication: other users of the machine reach it, and pages in a browser do.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_key_can_neither_look_into_the_queues_nor_change_them() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&config(json!({})), dir.path(), Path::new("/nowhere"));
    program.send_message("test-webhook.fifo", "g", "body").await;
    let url = format!("http://{}", program.api);
    let client = crate::support::http_client();
    let sqs = |operation: &str| {
        let body = json!({ "QueueUrl": program.queue_url("test-webhook.fifo") }).to_string();
        client
            .post(format!("{url}/"))
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .body(body)
    };
    let credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
    for request in [
        sqs("ReceiveMessage"),
        sqs("PurgeQueue"),
        sqs("ReceiveMessage").header("authorization", credential),
        client.put(format!("{url}/_engine/event-source-mapping")).body("{\"enabled\":false}"),
        client.get(format!("{url}/_engine/events/a")),
        client.get(format!("{url}/_engine/groups")),
        client.get(format!("{url}/2015-03-31/event-source-mappings")),
        client.get(format!("{url}/_engine/pauses")),
        client.get(format!("{url}/_engine/dead-letters")),
        client.get(format!("{url}/_engine/messages/a")),
        client.get(format!("{url}/_engine/redrive-lease")),
        client.post(format!("{url}/_engine/retry")).body("{\"groups\":[\"a\"]}"),
        client.put(format!("{url}/_engine/pauses/a")).body("{}"),
        client.delete(format!("{url}/_engine/pauses/a")),
        client.get(format!("{url}/nowhere")),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403);
        let text = answer.text().await.unwrap();
        assert!(text.contains("InvalidClientTokenId") && text.contains("engine.json"), "{text}");
    }
    for path in ["/metrics", "/_engine/health", "/_engine/status", "/_engine/history"] {
        let get = || client.get(format!("{url}{path}"));
        // Without a forwarder, health is 503.
        assert_ne!(get().send().await.unwrap().status().as_u16(), 403, "{path}");
        for (name, value) in [("host", "evil.example.com"), ("origin", "http://evil.example.com")] {
            let answer = get().header(name, value).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 403, "{path} {name}");
        }
    }
    let request = json!({ "QueueUrl": program.queue_url("test-webhook.fifo") });
    assert_eq!(program.sqs("ReceiveMessage", &request).await["Messages"][0]["Body"], "body");
}
