//! A disk that somebody fills: events are refused, and what is queued is delivered to the last one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use engine::Engine;
use serde_json::json;

use crate::support::function::Function;
use crate::support::program::Program;
use crate::support::{config, get, http_client, options, post, post_to, set_enabled};

const DISK: &str = "size=48m";
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// A file system of its own, in memory. Unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let options = format!("mode=0700,{options}");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: only root can mount a small disk");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for size in [64 * 1024, 4 * 1024, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn filler(&self) -> std::path::PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test that failed may still have files open there.
        let _left = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

async fn start(dir: &Path, function: &Function) -> Engine {
    let mut options = options(&config(json!({})), Some(dir));
    options.forwarder = Some(function.executable());
    options.reserve_bytes = RESERVE_BYTES;
    Engine::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_filled_refuses_events_and_delivers_those_that_are_queued() {
    const QUEUED: usize = 300;
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let function = Function::new("");
    let client = http_client();
    let data_dir = disk.path().join("data");
    let engine = start(&data_dir, &function).await;
    assert_eq!(set_enabled(&engine, false).await, 200);
    for number in 0..QUEUED {
        assert_eq!(post(&client, &engine, "k", format!("k-{number}")).await, 200);
    }
    disk.fill();
    // What is written in place still has room, until it is noticed.
    while post(&client, &engine, "other", "other-0".to_owned()).await == 200 {}
    assert!(data_dir.join("reserve.spare.0").exists(), "nothing is given up for what is new");
    let status = get(&engine, "status").await;
    assert_eq!(status["disk"]["accepting"], false, "{status}");
    assert!(status["disk"]["free_bytes"].as_u64().unwrap() < RESERVE_BYTES);
    assert_eq!(get(&engine, "health").await["storage"], "full");
    assert_eq!(
        crate::support::healthz(&client, &engine).await,
        (503, json!({ "storage": "full" }))
    );

    // The reserve is held again once there is room, and is what a start has when there is none.
    fs::remove_file(disk.filler()).unwrap();
    while !data_dir.join("reserve.0").exists() {
        tokio::task::yield_now().await;
    }
    engine.stop().await;
    disk.fill();
    let engine = start(&data_dir, &function).await;
    let url = format!("http://{}/sqs-hook", engine.ingest_address());
    let refused = client.post(url).header("x-key", "other").body("other-1").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(set_enabled(&engine, true).await, 200, "a pause can end");
    let mine = |record: &[String]| record.iter().filter(|body| body.starts_with("k-")).count();
    let record = function.wait_for(|record| mine(record) >= QUEUED).await;
    assert_eq!(mine(&record), QUEUED, "each was delivered, once");
    crate::faults::check_order(&record);

    fs::remove_file(disk.filler()).unwrap();
    while post(&client, &engine, "other", "other-2".to_owned()).await != 200 {}
    assert_eq!(get(&engine, "health").await["storage"], "ok");
    engine.stop().await;
}

/// Fills it again and again, as a program does that logs without end.
struct Filler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filler {
    fn start(disk: &SmallDisk) -> Self {
        let (stop, path) = (Arc::<AtomicBool>::default(), disk.filler());
        let stopped = Arc::clone(&stop);
        let fill = move || {
            let mut filler = File::options().append(true).create(true).open(path).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                while filler.write_all(&[0; 4 * 1024]).is_ok() {}
                std::thread::yield_now();
            }
        };
        Self { stop, thread: Some(std::thread::spawn(fill)) }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Waits until the queue is empty: each of so many was delivered once, and in order.
async fn all_are_delivered(program: &Program, function: &Function, queued: usize) {
    let record = function.wait_for(|record| record.len() >= queued).await;
    assert_eq!(record.len(), queued, "each was delivered, once");
    crate::faults::check_order(&record);
    program.wait_for_status(|status| status["queue"]["visible"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_was_killed_on_a_disk_without_any_room_delivers_what_is_queued() {
    const QUEUED: usize = 300;
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let function = Function::new("");
    let client = http_client();
    let data_dir = disk.path().join("data");
    let config = config(json!({}));
    let reserve = ["--reserve", "16"];
    // Nothing delivers until the disk is full.
    let program = Program::start_with(&config, &data_dir, Path::new("/nowhere"), &reserve);
    for number in 0..QUEUED {
        let key = format!("k{}", number % 9);
        let body = format!("{key}-{number}");
        assert_eq!(post_to(&client, &program.ingest, &key, body).await.unwrap(), 200);
    }
    let filler = Filler::start(&disk);
    while data_dir.join("reserve.0").exists() {
        tokio::task::yield_now().await;
    }
    program.kill();

    let program = Program::start_with(&config, &data_dir, &function.executable(), &reserve);
    all_are_delivered(&program, &function, QUEUED).await;
    assert_eq!(program.pause("ops").await, 200);
    program.kill();
    drop(filler);
}

/// Nobody frees a byte, and little is held for writes that find no room: what the log holds goes into the
/// database's own room, and the log begins anew in place.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_put_into_the_database_on_a_disk_without_any_room() {
    const QUEUED: usize = 300;
    const BODY_BYTES: usize = 4_000;
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let function = Function::new("");
    let client = http_client();
    let data_dir = disk.path().join("data");
    let (config, reserve) = (config(json!({})), ["--reserve", "16"]);
    let program = Program::start_with(&config, &data_dir, Path::new("/nowhere"), &reserve);
    for number in 0..QUEUED {
        let body = format!("k-{number:0BODY_BYTES$}");
        assert_eq!(post_to(&client, &program.ingest, "k", body).await.unwrap(), 200);
    }
    program.kill();
    for number in 2..16 {
        fs::remove_file(data_dir.join(format!("reserve.spare.{number}"))).unwrap();
    }
    for number in 0..4 {
        fs::remove_file(data_dir.join(format!("reserve.{number}"))).unwrap();
    }
    disk.fill();
    let program = Program::start_with(&config, &data_dir, &function.executable(), &reserve);
    all_are_delivered(&program, &function, QUEUED).await;
    program.kill();
}

/// What filled the disk was this queue itself: once it is delivered there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_filled_its_disk_goes_on_once_it_is_delivered() {
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let function = Function::new("");
    let client = http_client();
    let engine = start(disk.path(), &function).await;
    assert_eq!(set_enabled(&engine, false).await, 200);
    let mut accepted = 0;
    let body = |number: usize| format!("k-{number}{}", " ".repeat(100_000));
    while post(&client, &engine, &format!("k{}", accepted % 7), body(accepted)).await == 200 {
        accepted += 1;
    }
    assert!(accepted > 50, "{accepted}");
    assert_eq!(set_enabled(&engine, true).await, 200);
    function.wait_for(|record| record.len() >= accepted).await;
    let limit = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while post(&client, &engine, "k", "new".to_owned()).await != 200 {
        assert!(std::time::Instant::now() < limit, "{}", get(&engine, "status").await["disk"]);
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_files_can_be_paused_and_started_on() {
    let Some(disk) = SmallDisk::mount("size=64m,nr_inodes=40") else { return };
    let function = Function::new("");
    let engine = start(disk.path(), &function).await;
    let client = http_client();
    assert_eq!(post(&client, &engine, "k", "k-0".to_owned()).await, 200);
    (0..100).take_while(|n| File::create(disk.path().join(format!("filler-{n}"))).is_ok()).count();
    while disk.path().join("reserve.0").exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(set_enabled(&engine, false).await, 200);
    assert_eq!(set_enabled(&engine, true).await, 200);
    function.wait_for(|record| record.len() == 1).await;
    engine.stop().await;
    start(disk.path(), &function).await.stop().await;
}

/// A file system that can be made to fail as that of a disk with errors does. Unmounted when dropped.
struct FailingDisk {
    dir: tempfile::TempDir,
}

impl FailingDisk {
    /// `None` where this process may not mount one.
    fn mount() -> Option<Self> {
        let disk = Self { dir: tempfile::tempdir().unwrap() };
        File::create(disk.image()).unwrap().set_len(64 * 1024 * 1024).unwrap();
        fs::create_dir(disk.path()).unwrap();
        let mut mkfs = Command::new("mkfs.ext4");
        if run(mkfs.args(["-q", "-F"]).arg(disk.image())) && disk.mount_again() {
            return Some(disk);
        }
        println!("skipped: only root can mount an image, of ext4");
        None
    }

    fn image(&self) -> std::path::PathBuf {
        self.dir.path().join("image")
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("mounted")
    }

    fn mount_again(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,errors=remount-ro"]);
        run(mount.arg(self.image()).arg(self.path()))
    }

    /// The kernel finds an error, and makes it read-only. Source: ext4's documentation, "/sys entries".
    fn fail(&self) {
        let mut findmnt = Command::new("findmnt");
        let output = findmnt.args(["-no", "SOURCE"]).arg(self.path()).output().unwrap();
        let device = String::from_utf8(output.stdout).unwrap();
        let device = device.trim().strip_prefix("/dev/").unwrap();
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }

    /// What an operator does with it.
    fn repair(&self) {
        assert!(run(Command::new("umount").arg(self.path())), "somebody has files open there");
        // 1: errors were corrected. Source: e2fsck(8).
        let fsck = Command::new("e2fsck").arg("-fp").arg(self.image()).output().unwrap();
        assert!(matches!(fsck.status.code(), Some(0 | 1)), "{fsck:?}");
        assert!(self.mount_again());
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        // A test that failed may still have files open there.
        let _left = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_refuses_events_and_loses_none() {
    let Some(disk) = FailingDisk::mount() else { return };
    let function = Function::new("");
    let client = http_client();
    let data_dir = disk.path().join("data");
    let engine = start(&data_dir, &function).await;
    assert_eq!(set_enabled(&engine, false).await, 200);
    for number in 0..3 {
        assert_eq!(post(&client, &engine, "k", format!("k-{number}")).await, 200);
    }
    disk.fail();
    let url = format!("http://{}/sqs-hook", engine.ingest_address());
    for number in 3..5 {
        let refused = client.post(&url).header("x-key", "k").body(format!("k-{number}"));
        let refused = refused.send().await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
    }
    let failing = (503, json!({ "storage": "failing" }));
    assert_eq!(crate::support::healthz(&client, &engine).await, failing);
    let status = get(&engine, "status").await;
    assert_eq!(
        (&status["storage_failing"], &status["queue"]["visible"]),
        (&json!(true), &json!(3))
    );
    let metrics = format!("http://{}/metrics", engine.api_address());
    let metrics = client.get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|line| line == "webhook_storage_up 0"), "{metrics}");
    engine.stop().await;

    disk.repair();
    let engine = start(&data_dir, &function).await;
    assert_eq!(set_enabled(&engine, true).await, 200, "it was paused, and is");
    assert_eq!(post(&client, &engine, "k", "k-5".to_owned()).await, 200);
    let record = function.wait_for(|record| record.len() >= 4).await;
    assert_eq!(record, ["k-0", "k-1", "k-2", "k-5"], "what was refused was not accepted");
    engine.stop().await;
}
