//! `cargo xtask local` from start to Ctrl-C, and again.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running `cargo xtask local`.
struct Local {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Local {
    /// Starts it, and reads until it says where to post.
    fn start(data_dir: &Path, target: &str) -> Self {
        Self::start_with(data_dir, target, &[])
    }

    fn start_with(data_dir: &Path, target: &str, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["local", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"])
            .args(["--target", target])
            .args(more)
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(|line| line.unwrap().trim().to_owned())
            .find(|line| line.starts_with("http://"))
            .expect("it ended before it listened");
        Self { child, lines, url }
    }

    /// Posts an event for order-7 and returns the status.
    fn post(&self) -> u16 {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(&self.url).header("x-workflow-id", "order-7");
        // The route passes it on, so it must be there.
        let request = request.header("content-type", "application/json");
        request.send("{}").unwrap().status().as_u16()
    }

    /// Reads on until a line tells of `what`.
    fn wait_for(&mut self, what: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(what)).unwrap_or_else(|| panic!("no line {what:?}"))
    }

    /// Sends what Ctrl-C sends, and waits for the end.
    fn interrupt(mut self) -> (ExitStatus, Vec<String>) {
        self.signal();
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap(), rest)
    }

    fn signal(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // After a failed assertion, what it started must end, too.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal();
            let _ended = self.child.wait();
        }
    }
}

/// A service that accepts everything.
fn service() -> String {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            std::thread::spawn(move || accept(stream.unwrap()));
        }
    });
    url
}

/// Answers each request of a connection.
fn accept(mut stream: std::net::TcpStream) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut body_bytes, mut line) = (0, String::new());
        while reader.read_line(&mut line)? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(length) = lower.strip_prefix("content-length:") {
                body_bytes = length.trim().parse().unwrap();
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        reader.read_exact(&mut vec![0; body_bytes])?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

#[test]
fn what_waited_when_it_was_stopped_is_delivered_when_it_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/hook", nobody.local_addr().unwrap());
    drop(nobody);

    let mut local = Local::start(dir.path(), &closed);
    assert_eq!(local.post(), 200);
    let accepted = local.wait_for("  accepted ");
    assert!(accepted.contains("order-7"), "{accepted}");
    local.wait_for("  retry ");
    let (status, rest) = local.interrupt();
    assert!(status.success(), "{status}");
    let kept = format!("stopped; events that wait are kept in {}", dir.path().display());
    assert_eq!(rest.last(), Some(&kept));

    // Nobody else gets them unless that is said.
    let other = service();
    let refused = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "local",
            "--listen",
            "127.0.0.1:0",
            "--api-listen",
            "127.0.0.1:0",
            "--target",
            &other,
        ])
        .arg("--data-dir")
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for expected in
        ["accepted for other destinations (1 do): sss/sss from http://127.0.0.1:", "--switch"]
    {
        assert!(said.contains(expected), "{said}");
    }

    let mut local = Local::start_with(dir.path(), &other, &["--switch"]);
    let delivered = local.wait_for("  delivered ");
    let host = url::Url::parse(&other).unwrap();
    assert!(delivered.contains(&format!(" by 127.0.0.1:{} ", host.port().unwrap())), "{delivered}");
    let event_id = accepted.split_whitespace().nth(2).unwrap();
    assert!(delivered.contains(event_id), "{event_id} in {delivered}");
    assert!(local.interrupt().0.success());
}

#[test]
fn paused_events_are_accepted_and_go_out_when_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let operate = |arguments: &[&str]| {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = xtask.args(arguments).arg("--data-dir").arg(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut local = Local::start(dir.path(), &service());
    let paused = operate(&["pause", "local", "--why", "test"]);
    assert!(paused.starts_with("paused: 0 events wait"), "{paused}");
    assert!(paused.contains("keeps each new event for 14 d "), "{paused}");
    assert_eq!((local.post(), local.post()), (200, 200));
    local.wait_for("  accepted ");
    // An engine without a function would show nothing either: the queue has both.
    let paused: serde_json::Value =
        serde_json::from_str(&operate(&["pause", "local", "--why", "test", "--json"])).unwrap();
    assert_eq!((&paused["state"], &paused["waiting"]), (&"paused".into(), &2.into()));
    let engine = std::fs::read(dir.path().join("engine.json")).unwrap();
    let engine: serde_json::Value = serde_json::from_slice(&engine).unwrap();
    let start = "cargo xtask local --target URL --listen '127.0.0.1:0' --api-listen '127.0.0.1:0'";
    assert_eq!(engine["start_command"], format!("{start} --data-dir {}", dir.path().display()));

    let resumed = operate(&["resume", "local"]);
    assert!(resumed.contains("\nthe queue is empty"), "{resumed}");
    for _ in 0..2 {
        local.wait_for("  delivered ");
    }
    assert!(local.interrupt().0.success());
}

#[test]
fn killed_it_takes_its_engine_along_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut local = Local::start(dir.path(), &service());
    assert_eq!(local.post(), 200);
    local.wait_for("  delivered ");
    let file = dir.path().join("engine.json");
    let engine: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let process = Path::new("/proc").join(engine["pid"].to_string());
    assert!(process.exists());
    local.child.kill().unwrap();
    local.child.wait().unwrap();
    let limit = Instant::now() + Duration::from_mins(1);
    while file.exists() {
        assert!(Instant::now() < limit, "the engine goes on");
        std::thread::yield_now();
    }
    let log = || std::fs::read_to_string(dir.path().join("engine.log")).unwrap();
    while !log().contains("\"message\":\"stopped\"") {
        assert!(Instant::now() < limit, "it was not stopped in good order: {}", log());
        std::thread::yield_now();
    }
}

#[test]
fn what_is_sent_to_another_host_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let send = |more: &[&str]| {
        let mut send = Command::new(env!("CARGO_BIN_EXE_xtask"));
        send.args(["send", "local"]).args(more).arg("--data-dir").arg(dir.path());
        let done = send.stdin(Stdio::null()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    // For documentation: nobody is there. Source: RFC 5737.
    let elsewhere = Local::start(dir.path(), "https://192.0.2.1/hook");
    let (code, said) = send(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("https://192.0.2.1") && said.contains("--yes"), "{said}");
    let (code, said) = send(&["--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(elsewhere.interrupt().0.success());

    let here = Local::start_with(dir.path(), &service(), &["--switch"]);
    let (code, said) = send(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("to be delivered to http://127.0.0.1:"), "{said}");
    assert!(here.interrupt().0.success());
}

/// Whatever an engine and operators leave in its directory is theirs to remove.
#[test]
fn what_an_engine_has_left_is_no_obstacle_to_a_fresh_start() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let target = service();
    let first = Local::start(&data_dir, &target);
    assert_eq!(first.post(), 200);
    assert!(first.interrupt().0.success());
    // As `cargo xtask skip` writes it.
    std::fs::write(data_dir.join("skips.json"), "{\"skips\":{}}").unwrap();
    let fresh = Local::start_with(&data_dir, &target, &["--fresh"]);
    assert!(!data_dir.join("skips.json").exists());
    assert_eq!(fresh.post(), 200);
    assert!(fresh.interrupt().0.success());
}
