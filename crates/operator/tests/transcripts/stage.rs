//! An engine that delivers to a service which answers as it is told, and an operator beside it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use domain::config::Config;
use engine::{Engine, EngineOptions, Storage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Longest wait for something that is to happen.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the service answers to an attempt at an event: its status and text.
pub(crate) type Answer = (u16, &'static str);

type Answers = Arc<Mutex<Box<dyn Fn(&Attempt<'_>) -> Answer + Send>>>;

/// An attempt, as the service sees it.
pub(crate) struct Attempt<'a> {
    pub(crate) body: &'a str,
    pub(crate) number: u32,
}

/// An environment on this machine, called `local`.
pub(crate) struct Stage {
    engine: Option<Engine>,
    config: String,
    disk: Option<SmallDisk>,
    dir: tempfile::TempDir,
    answers: Answers,
    serving: JoinHandle<()>,
    /// Where the service is.
    service: String,
}

/// What the documents call the folder that this is played in, and the service.
const FOLDER: &str = "/home/me/webhook-queue";
const SERVICE: &str = "127.0.0.1:9010";

impl Stage {
    /// An environment with the route `sss`, with these settings beside its path and destination.
    pub(crate) async fn start(route: Value) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None, route).await
    }

    /// The same with its data on a disk that can be filled; `None` where none can be mounted.
    pub(crate) async fn start_on_a_small_disk(route: Value) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mount(&dir.path().join(".webhook-queue"))?;
        Some(Self::start_in(dir, Some(disk), route).await)
    }

    async fn start_in(dir: tempfile::TempDir, disk: Option<SmallDisk>, route: Value) -> Self {
        let answers: Answers = Arc::new(Mutex::new(Box::new(|_| (200, "{}"))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = listener.local_addr().unwrap().to_string();
        let url = format!("http://{service}/hook");
        let of_service = Arc::clone(&answers);
        let answer = move |headers: HeaderMap, body: String| async move {
            let number =
                headers.get("webhook-attempt").and_then(|it| it.to_str().ok()?.parse().ok());
            let attempt = Attempt { body: &body, number: number.unwrap_or(1) };
            let (status, text) = (of_service.lock().unwrap())(&attempt);
            (StatusCode::from_u16(status).unwrap(), text)
        };
        let app = axum::Router::new().fallback(axum::routing::post(answer));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

        let mut sss = json!({
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-workflow-id",
            "pass_headers": ["content-type", "x-workflow-id"],
            "destinations": [{ "name": "sss", "url": url }],
        });
        sss.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
        let config = json!({ "environment": "local", "routes": { "sss": sss }, "forwarder": { "max_concurrency": 2 } }).to_string();
        let file = dir.path().join("environments/local/terraform.tfvars.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &config).unwrap();
        let mut stage = Self { engine: None, config, disk, dir, answers, serving, service };
        stage.start_engine().await;
        stage
    }

    /// Starts the engine on the data that is there.
    pub(crate) async fn start_engine(&mut self) {
        let mut options = EngineOptions::in_memory(Config::parse(&self.config).unwrap());
        options.storage = Storage::Directory(self.dir.path().join(".webhook-queue/local"));
        options.forwarder = Some(crate::forwarder::forwarder());
        options.config_file =
            Some(self.dir.path().join("environments/local/terraform.tfvars.json"));
        options.log = Box::new(std::io::sink());
        if self.disk.is_some() {
            options.reserve_bytes = SmallDisk::RESERVE_BYTES;
        }
        self.engine = Some(Engine::start(options).await.unwrap());
    }

    /// Ends it, until it is started again.
    pub(crate) async fn stop_engine(&mut self) {
        self.engine.take().unwrap().stop().await;
    }

    /// The disk that it was started on.
    pub(crate) fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().unwrap()
    }

    /// From now on the service answers like this.
    pub(crate) fn answer(&self, answer: impl Fn(&Attempt<'_>) -> Answer + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answer);
    }

    /// Posts an event, and waits until the status is as `accepts` wants.
    pub(crate) async fn post(&self, key: &str, body: &str, accepts: impl Fn(&Value) -> bool) {
        let answer = self.offer(key, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        self.until(accepts).await;
    }

    /// Posts an event; gives the answer.
    pub(crate) async fn offer(&self, key: &str, body: &str) -> String {
        let headers = format!("content-type: application/json\r\nx-workflow-id: {key}\r\n");
        let request = format!(
            "POST /sqs-hook HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream =
            TcpStream::connect(self.engine.as_ref().unwrap().ingest_address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Waits until what `status --json` says is as `accepts` wants.
    pub(crate) async fn until(&self, accepts: impl Fn(&Value) -> bool) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let said = self.run("status local --json").await;
            let status: Value = serde_json::from_str(&said).unwrap();
            if accepts(&status) {
                return;
            }
            assert!(Instant::now() < limit, "{status:#}");
        }
    }

    /// Waits until what a command prints is as `accepts` wants.
    pub(crate) async fn until_printed(&self, words: &str, accepts: impl Fn(&str) -> bool) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let said = self.run(words).await;
            if accepts(&said) {
                return;
            }
            assert!(Instant::now() < limit, "{said}");
        }
    }

    /// Runs an operator's command that no page shows.
    pub(crate) async fn run(&self, words: &str) -> String {
        self.operate(&shlex::split(words).unwrap(), &[]).await
    }

    /// Begins an operator's command, whose standard output is read by the caller.
    pub(crate) fn begin(&self, words: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
        command.args(shlex::split(words).unwrap()).current_dir(self.dir.path());
        command.env("USER", "owner").env_remove("SUDO_USER").env_remove("SUDO_COMMAND");
        command.env("XDG_RUNTIME_DIR", self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// What an operator's command says on both streams, as on a terminal; standard error first, on which
    /// notes come before what is found.
    pub(crate) async fn operate(&self, arguments: &[String], env: &[(&str, &str)]) -> String {
        let folder = self.dir.path().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
        command.args(arguments.iter().map(|argument| argument.replace(FOLDER, folder)));
        command.env("USER", "owner");
        command.current_dir(self.dir.path()).envs(env.iter().copied());
        command.env("WEBHOOK_OPERATOR_CALLED_AS", "cargo xtask");
        command.env_remove("SUDO_USER").env_remove("SUDO_COMMAND").env("TMPDIR", self.dir.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        // What is waited for is told on standard error after two seconds, as on a slow machine.
        let notes = String::from_utf8(output.stderr).unwrap();
        let notes = notes.split_inclusive('\n').filter(|line| !line.starts_with("waiting for "));
        let said = notes.collect::<String>() + &String::from_utf8(output.stdout).unwrap();
        said.replace(folder, FOLDER).replace(&self.service, SERVICE)
    }

    /// An editor that leaves this body.
    pub(crate) fn editor(&self, body: &str) -> String {
        let (body_file, script) = (self.dir.path().join("edited"), self.dir.path().join("editor"));
        std::fs::write(&body_file, body).unwrap();
        std::fs::write(&script, format!("#!/bin/sh\ncat {} > \"$1\"\n", body_file.display()))
            .unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        script.to_str().unwrap().to_owned()
    }

    /// Writes a file where what an operator left to be corrected is.
    pub(crate) fn correct(&self, body: &str) {
        let of_editor = |path: &PathBuf| {
            path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("dead-letter-"))
        };
        let mut files = std::fs::read_dir(self.dir.path()).unwrap().map(|it| it.unwrap().path());
        std::fs::write(files.find(of_editor).unwrap(), body).unwrap();
    }
}

/// A file system of its own, in memory. Unmounted when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Below this no events are accepted.
    const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

    /// `None` where this process may not mount one.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs"]).arg(path);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self(path.to_owned()))
    }

    /// Takes all room that is left.
    pub(crate) fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        while filler.write_all(&[0; 4 * 1024]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("somebody-s.log")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// How many dead letters a status tells of.
pub(crate) fn dead(count: u64) -> impl Fn(&Value) -> bool {
    move |status| status["dead_letters"]["count"] == count && status["queue"]["in_flight"] == 0
}

/// Nothing is in the queues.
pub(crate) fn is_done(status: &Value) -> bool {
    status["queue"]["events"] == 0
}
