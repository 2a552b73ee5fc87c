//! The program as a service: what a service manager hears of it, and the sockets that it gets.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::function::Function;
use crate::support::program::command;
use crate::support::{config, http_client, options, post as post_event, post_to};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_mins(1);

/// What a service manager hears.
struct Notifications {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    socket: UnixDatagram,
}

impl Notifications {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { _dir: dir, path, socket }
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4_096];
        let bytes = self.socket.recv(&mut buffer).expect("no notification");
        String::from_utf8(buffer[..bytes].to_vec()).unwrap().trim().to_owned()
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

fn terminate(mut child: Child) -> ExitStatus {
    signal(&child, "-TERM");
    child.wait().unwrap()
}

#[test]
fn a_service_manager_hears_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let (dir, notifications) = (tempfile::tempdir().unwrap(), Notifications::new());
    let child = command(&config(json!({})), dir.path(), Path::new("/nowhere"))
        .args(["--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &notifications.path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(notifications.next(), "READY=1");
    // Ready means that what it announces is there.
    assert!(dir.path().join("engine.json").exists());
    for _ in 0..3 {
        assert_eq!(notifications.next(), "WATCHDOG=1");
    }
    assert!(terminate(child).success());
    let rest: Vec<String> = std::iter::repeat_with(|| notifications.next())
        .take_while(|it| it != "STOPPING=1")
        .collect();
    assert!(rest.iter().all(|it| it == "WATCHDOG=1"), "{rest:?}");
}

/// The end of its standard input and a signal often come together: both ask for the same.
#[tokio::test]
async fn only_a_second_signal_cuts_off_what_is_being_delivered() {
    for (stdin_ends, signals, code) in [
        (true, ["-INT"].as_slice(), 0),
        (true, &["-INT", "-TERM"], 1),
        (false, &["-INT"], 0),
        (false, &["-TERM", "-INT"], 1),
    ] {
        let (dir, notifications) = (tempfile::tempdir().unwrap(), Notifications::new());
        let function = Function::new("event hang");
        let mut child = command(&config(json!({})), dir.path(), &function.executable())
            .args(["--listen", "127.0.0.1:0", "--until-stdin-ends"])
            .env("NOTIFY_SOCKET", &notifications.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(notifications.next(), "READY=1");
        let announced = std::fs::read(dir.path().join("engine.json")).unwrap();
        let announced: Value = serde_json::from_slice(&announced).unwrap();
        let ingest = announced["ingest"].as_str().unwrap();
        assert_eq!(post_to(&http_client(), ingest, "k", "event".into()).await.unwrap(), 200);
        function.wait_for(|record| record.len() == 1).await;
        let (first, rest) = signals.split_first().unwrap();
        if stdin_ends {
            drop(child.stdin.take());
            assert_eq!(notifications.next(), "STOPPING=1");
            signal(&child, first);
        } else {
            signal(&child, first);
            assert_eq!(notifications.next(), "STOPPING=1");
        }
        for name in rest {
            signal(&child, name);
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "stdin ends: {stdin_ends}, {signals:?}");
    }
}

#[test]
fn one_that_does_not_start_is_not_ready() {
    let (dir, notifications) = (tempfile::tempdir().unwrap(), Notifications::new());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = command(&config(json!({})), dir.path(), Path::new("/nowhere"))
        .args(["--listen", &taken.local_addr().unwrap().to_string()])
        .env("NOTIFY_SOCKET", &notifications.path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    notifications.socket.set_nonblocking(true).unwrap();
    let heard = notifications.socket.recv(&mut [0; 10]).unwrap_err();
    assert_eq!(heard.kind(), io::ErrorKind::WouldBlock);
}

/// A full disk is no reason to be ended; a store that is gone is.
#[tokio::test(flavor = "multi_thread")]
async fn it_lives_while_its_store_answers() {
    let engine = engine::Engine::start(options(&config(json!({})), None)).await.unwrap();
    assert!(engine.lives().await);
    let faults = engine.store().faults();
    faults.set_commits_fail(true);
    assert!(engine.lives().await);
    faults.set_commits_fail(false);
    faults.make_writer_panic();
    assert_ne!(post_event(&http_client(), &engine, "k", "body".to_owned()).await, 200);
    assert!(!engine.lives().await);
}

/// Starts one that finds `listener` as the socket named `ingest`, and waits until it is ready.
fn start_with_socket(listener: &TcpListener, dir: &Path, notifications: &Notifications) -> Child {
    let engine = command(&config(json!({})), dir, Path::new("/nowhere"));
    // The shell has the process id that the engine will have, and puts the socket in its place.
    let child = Command::new("sh")
        .arg("-c")
        .arg(
            "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=ingest; exec \"$@\" 3<&0 0</dev/null",
        )
        .arg("sh")
        .arg(engine.get_program())
        .args(engine.get_args())
        // Nobody listens there: it would fail if it tried.
        .args(["--listen", "192.0.2.1:1"])
        .env("NOTIFY_SOCKET", &notifications.path)
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(notifications.next(), "READY=1");
    child
}

/// Posts on a connection; `Ok(false)` once the server closes the connection after this.
fn post(stream: &mut TcpStream, number: usize) -> io::Result<bool> {
    let body = format!("event {number}");
    let request = format!(
        "POST /sqs-hook HTTP/1.1\r\nhost: h\r\nx-key: k{}\r\ncontent-length: {}\r\n\r\n{body}",
        number % 10,
        body.len(),
    );
    // In two parts, so that a stop finds requests of which it has read one only.
    let (first, second) = request.as_bytes().split_at(30);
    stream.write_all(first)?;
    thread::yield_now();
    stream.write_all(second)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                assert!(head.starts_with("HTTP/1.1 200"), "{text}");
                return Ok(!head.contains("connection: close"));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => answer.extend_from_slice(&buffer[..bytes]),
        }
    }
}

/// Posts one event after another until it is to stop, and gives the number of those that were accepted.
fn load(address: SocketAddr, next: &AtomicUsize, stop: &AtomicBool) -> usize {
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).expect("a connection was refused");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        for of_connection in 0.. {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            match post(&mut stream, number) {
                Ok(goes_on) => {
                    accepted += 1;
                    // Every third connection is for one event, as of a client that keeps none.
                    if !goes_on || number.is_multiple_of(3) || stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                // Closed before the request came: a client of HTTP has to expect that of a connection
                // that it kept, or had and did not use.
                Err(_) if of_connection > 0 || started.elapsed() > Duration::from_millis(500) => {
                    break;
                }
                Err(error) => panic!("event {number} got no answer: {error}"),
            }
        }
    }
    accepted
}

/// The socket outlives the engine, so that who comes meanwhile waits instead of being refused.
#[test]
fn twenty_restarts_under_load_refuse_nobody_and_lose_nothing() {
    let (dir, notifications) = (tempfile::tempdir().unwrap(), Notifications::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (next, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let mut child = start_with_socket(&listener, dir.path(), &notifications);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (next, stop) = (Arc::clone(&next), Arc::clone(&stop));
            thread::spawn(move || load(address, &next, &stop))
        })
        .collect();
    for _ in 0..20 {
        let before = next.load(Ordering::Relaxed);
        let limit = Instant::now() + LIMIT;
        while next.load(Ordering::Relaxed) < before + 20 {
            assert!(Instant::now() < limit && !clients.iter().any(thread::JoinHandle::is_finished));
            thread::yield_now();
        }
        assert!(terminate(child).success());
        while notifications.next() != "STOPPING=1" {}
        child = start_with_socket(&listener, dir.path(), &notifications);
    }
    stop.store(true, Ordering::Relaxed);
    let accepted: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let file = std::fs::read(dir.path().join("engine.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["ingest"], address.to_string());
    assert!(terminate(child).success());
    // Whoever got no answer may have been accepted all the same; whoever got one was.
    let queued = queued(dir.path());
    assert!(accepted >= 400 && queued >= accepted, "{accepted} accepted, {queued} queued");
    let sent = next.load(Ordering::Relaxed);
    assert!(queued <= sent, "{queued} queued of {sent}");
}

/// How many events wait in a data directory.
fn queued(dir: &Path) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = options(&config(json!({})), Some(dir));
        let engine = engine::Engine::start(options).await.unwrap();
        let statistics = engine.store().statistics("test-webhook.fifo").await.unwrap();
        engine.stop().await;
        usize::try_from(statistics.visible + statistics.in_flight).unwrap()
    })
}

#[test]
fn a_socket_that_nobody_knows_is_a_fault_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(&config(json!({})), dir.path(), Path::new("/nowhere"))
        .envs([("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "ingest:api:metrics")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("\"metrics\" is neither ingest nor api"), "{stderr}");
}

fn packaging(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name)
}

/// The values of a setting in a unit.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(packaging(unit)).unwrap();
    let start = format!("{name}=");
    text.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

/// What the unit promises, and how little it lets the engine do, as far as systemd can say without it.
#[test]
fn the_unit_lets_deliveries_end_and_the_engine_do_little_else() {
    let unit = "webhook-queue.service";
    for (name, value) in [
        ("KillMode", "mixed"),
        ("LimitNOFILE", "65536"),
        ("RestartPreventExitStatus", "2"),
        ("StartLimitIntervalSec", "0"),
        ("StateDirectoryMode", "0700"),
        ("Type", "notify"),
        ("UMask", "0077"),
        ("WatchdogSec", "60"),
    ] {
        assert_eq!(settings(unit, name), [value], "{name}");
    }
    assert!(settings(unit, "After")[0].contains("time-sync.target"));
    // The function's timeout, what each listener and the store may take after it.
    let config = std::fs::read(packaging("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let function = config["forwarder"]["function_timeout_seconds"].as_u64().unwrap();
    let stop: u64 = settings(unit, "TimeoutStopSec")[0].parse().unwrap();
    assert!(stop >= function + 10 + 10 + 5, "{stop} of {function}");
    let analyze = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(packaging(unit))
        .output();
    match analyze {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        Err(error) => eprintln!("not analyzed: systemd-analyze: {error}"),
    }
}

/// What the socket units pass is what the engine looks for, where it listens by itself.
#[test]
fn the_sockets_are_those_that_the_engine_takes() {
    let service = "webhook-queue.service";
    for (unit, name, address) in [
        ("webhook-queue.socket", "ingest", "127.0.0.1:8080"),
        ("webhook-queue-api.socket", "api", "127.0.0.1:9324"),
    ] {
        assert_eq!(settings(unit, "FileDescriptorName"), [name]);
        assert_eq!(settings(unit, "ListenStream"), [address]);
        for setting in ["Requires", "After", "Also"] {
            let value = settings(service, setting).concat();
            assert!(value.split(' ').any(|it| it == unit), "{setting} {unit}");
        }
        // A socket starts the service of its own name, unless it says which.
        let starts = settings(unit, "Service").pop();
        assert_eq!(starts.unwrap_or_else(|| unit.replace(".socket", ".service")), service);
        let help = Command::new(env!("CARGO_BIN_EXE_webhook-engine")).arg("--help").output();
        let help = String::from_utf8(help.unwrap().stdout).unwrap();
        assert!(help.contains(&format!("[default: {address}]")), "{help}");
    }
    assert!(!std::fs::read_to_string(packaging(service)).unwrap().contains("--listen"));
}

/// systemd itself reads the units, where it is; what they start is not there.
#[test]
fn systemd_understands_the_units() {
    let dir = tempfile::tempdir().unwrap();
    for unit in ["webhook-queue.service", "webhook-queue.socket", "webhook-queue-api.socket"] {
        let text = std::fs::read_to_string(packaging(unit)).unwrap();
        let text = text.replace("ExecStart=/usr/local/bin/webhook-engine", "ExecStart=/bin/true");
        std::fs::write(dir.path().join(unit), text).unwrap();
    }
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(dir.path().join("webhook-queue.service"))
        .arg(dir.path().join("webhook-queue.socket"))
        .arg(dir.path().join("webhook-queue-api.socket"))
        .output();
    match verify {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let ours: Vec<&str> = said.lines().filter(|it| it.contains("webhook-queue")).collect();
            assert!(ours.is_empty(), "{ours:?}");
        }
        Err(error) => eprintln!("not verified: systemd-analyze: {error}"),
    }
}
