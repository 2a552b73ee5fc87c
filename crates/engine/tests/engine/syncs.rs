//! What has to be on disk before anything relies on it, as the system sees it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::program::command;
use crate::support::{api_client, config};

const CALLS: &str = "trace=openat,fsync,fdatasync,rename,renameat,renameat2";

/// Whether this machine has `strace`, and lets it trace.
fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let is_able = tried.is_ok_and(|output| output.status.success());
    if !is_able {
        eprintln!("not traced: strace is not there, or may not trace");
    }
    is_able
}

/// Checks that a file was written under the name `new`, synced, moved to its place, and the directory
/// synced before anything else was done.
fn check_synced(trace: &str, dir: &Path, new: &str) {
    let new = dir.join(new).display().to_string();
    let dir = dir.display();
    let moved = trace.lines().find(|line| line.contains(" rename") && line.contains(&new));
    let moved = moved.unwrap_or_else(|| panic!("{new} was not moved in {trace}"));
    let thread = moved.split(' ').next().unwrap();
    // A call during which another thread made one has a second line.
    let calls = trace.lines().filter(|line| !line.contains(" resumed>"));
    let mut calls = calls.filter(|line| line.split(' ').next() == Some(thread));
    let before: Vec<&str> = calls.by_ref().take_while(|line| *line != moved).collect();
    let is_synced = |call: &str, file: &str| call.contains("sync(") && call.contains(file);
    assert!(before.iter().any(|call| is_synced(call, &format!("<{new}>"))), "{new}: {before:#?}");
    let after: Vec<&str> = calls.take(2).collect();
    assert!(after[0].contains("openat(") && after[0].contains(&format!("\"{dir}\"")), "{after:#?}");
    assert!(is_synced(after[1], &format!("<{dir}>")), "{after:#?}");
}

#[tokio::test]
async fn a_new_database_and_a_pause_are_on_disk_and_so_is_that_they_are_there() {
    if !can_trace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let (data_dir, trace) = (dir.join("data"), dir.join("trace"));
    let engine = command(&config(json!({})), &data_dir, Path::new("/nowhere"));
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-e", CALLS, "-o"]).arg(&trace);
    traced.arg(engine.get_program()).args(engine.get_args());
    traced.args(["--listen", "127.0.0.1:0", "--until-stdin-ends"].map(OsStr::new));
    traced.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut traced = traced.spawn().unwrap();
    let mut lines = BufReader::new(traced.stdout.take().unwrap()).lines();
    lines.by_ref().find(|line| line.as_ref().unwrap().contains("\"listening\"")).unwrap().unwrap();
    let read_on = std::thread::spawn(move || lines.for_each(drop));

    let announced = std::fs::read(data_dir.join("engine.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    let text = |name: &str| announced[name].as_str().unwrap();
    let url = format!("http://{}/_engine/event-source-mapping", text("api"));
    let paused = api_client(text("access_key_id")).put(url).body("{\"enabled\":false}").send();
    assert_eq!(paused.await.unwrap().status(), 200);
    drop(traced.stdin.take());
    assert!(traced.wait().unwrap().success());
    read_on.join().unwrap();

    let trace = std::fs::read_to_string(&trace).unwrap();
    check_synced(&trace, &data_dir, "queues.db.new");
    check_synced(&trace, &data_dir, "pauses.new");
}
