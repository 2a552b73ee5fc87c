//! An environment on this machine: an engine, the real forwarder, a service, and an operator.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use domain::config::Config;
use engine::{Engine, EngineOptions, Storage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fake_cloudwatch::FakeCloudWatch;

/// A user who is nobody here. Source: Debian policy, "UID and GID classes".
const NOBODY: u32 = 65_534;

/// Longest wait for something that is to happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// An engine that delivers to `service`, and a folder in which the operator finds it.
pub(crate) struct Site {
    engine: Engine,
    dir: tempfile::TempDir,
}

/// How an operator's command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What an HTTP server answered.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Site {
    /// An engine with two routes: `/sqs-hook`, and `/strict` whose rejected events block. Both are
    /// ordered by `x-key`, and go to `destination`.
    pub(crate) async fn start(destination: &str) -> Self {
        Self::with(destination, json!({})).await
    }

    /// The same with other settings of the forwarder.
    pub(crate) async fn with(destination: &str, forwarder_settings: Value) -> Self {
        Self::with_more(destination, forwarder_settings, json!({})).await
    }

    /// An engine that keeps so much of what it delivers.
    pub(crate) async fn keeping(destination: &str, keep: Value) -> Self {
        Self::with_more(destination, json!({}), json!({ "keep_delivered": keep })).await
    }

    async fn with_more(destination: &str, forwarder_settings: Value, more: Value) -> Self {
        let route = |path: &str, on_reject: &str| {
            json!({
                "path": path,
                "ordering_key": "$request.header.x-key",
                "on_reject": on_reject,
                "destinations":
                    [{ "name": "service", "url": format!("{destination}/hook"), "timeout_seconds": 2 }],
                "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 1 },
                "give_up_after_seconds": 600,
            })
        };
        let mut config = json!({
            "environment": "local",
            "routes": { "sss": route("/sqs-hook", "dead_letter"), "strict": route("/strict", "block") },
            "forwarder": { "function_timeout_seconds": 5, "max_concurrency": 2 },
        });
        let settings = config["forwarder"].as_object_mut().unwrap();
        settings.extend(forwarder_settings.as_object().unwrap().clone());
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        Self { engine: engine(dir.path()).await, dir }
    }

    /// Ends the engine in order, and starts another one with its data.
    pub(crate) async fn restarted(self) -> Self {
        let Self { engine: before, dir } = self;
        before.stop().await;
        Self { engine: engine(dir.path()).await, dir }
    }

    /// Ends the engine in order, changes its database as a broken disk does, and starts another one with it.
    pub(crate) async fn with_changed_database(self, sql: &str) -> Self {
        let Self { engine: before, dir } = self;
        before.stop().await;
        let database = rusqlite::Connection::open(dir.path().join("data/queues.db")).unwrap();
        database.execute_batch(sql).unwrap();
        database.close().unwrap();
        Self { engine: engine(dir.path()).await, dir }
    }

    /// Sends a request that is refused, and gives its id.
    pub(crate) async fn refused(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> String {
        let answer = http(self.engine.ingest_address(), method, path, headers, body).await;
        assert!(answer.head.starts_with("HTTP/1.1 4"), "{}", answer.head);
        let id = answer.head.lines().find_map(|line| line.strip_prefix("apigw-requestid: "));
        id.unwrap().trim().to_owned()
    }

    /// Three events are delivered, and then one is posted that the service rejects.
    pub(crate) async fn post_three_and_a_rejected_one(&self, service: &Service) {
        for n in 0..3 {
            self.post("/sqs-hook", &format!("k{n}"), "{}").await;
        }
        self.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 3).await;
        service.set(Behavior::Answer(422));
        self.post("/sqs-hook", "k", "{}").await;
    }

    /// Posts an event to a route's path, and gives its id.
    pub(crate) async fn post(&self, path: &str, key: &str, body: &str) -> String {
        let address = self.engine.ingest_address();
        let answer = http(address, "POST", path, &format!("x-key: {key}\r\n"), body).await;
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{}", answer.head);
        let id = answer.head.lines().find_map(|line| line.strip_prefix("apigw-requestid: "));
        id.unwrap().trim().to_owned()
    }

    fn credential(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.engine.access_key_id())
    }

    /// Asks the API listener.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        http(self.engine.api_address(), "GET", path, &self.credential(), "").await
    }

    /// Switches delivery on or off.
    pub(crate) async fn set_delivery(&self, enabled: bool) {
        let body = json!({ "enabled": enabled }).to_string();
        let path = "/_engine/event-source-mapping";
        let answer = http(self.engine.api_address(), "PUT", path, &self.credential(), &body).await;
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{}", answer.head);
    }

    /// Receives a message and deletes it, as anybody can who speaks SQS.
    pub(crate) async fn delete_one(&self, queue_url: &str) {
        let received = self.sqs("ReceiveMessage", json!({ "QueueUrl": queue_url })).await;
        let handle = &received["Messages"][0]["ReceiptHandle"];
        assert!(handle.is_string(), "{received}");
        self.sqs("DeleteMessage", json!({ "QueueUrl": queue_url, "ReceiptHandle": handle })).await;
    }

    /// Sends a message, as anybody can who speaks SQS.
    pub(crate) async fn send(&self, queue_url: &str) {
        let id = format!("{:?}", Instant::now()).replace([' ', '{', '}'], "");
        let message = json!({
            "QueueUrl": queue_url, "MessageBody": "{}", "MessageGroupId": id,
            "MessageDeduplicationId": id,
        });
        self.sqs("SendMessage", message).await;
    }

    /// Whether somebody who receives gets a message.
    pub(crate) async fn receives(&self, queue_url: &str) -> bool {
        let received = self.sqs("ReceiveMessage", json!({ "QueueUrl": queue_url })).await;
        received["Messages"][0].is_object()
    }

    /// Receives what the queue shows, as bodies and receipt handles, and hides it for ten minutes, as the
    /// forwarder does with what failed.
    pub(crate) async fn fail_all(&self) -> Vec<(String, String)> {
        let queue_url = self.queue_url();
        let receive = json!({ "QueueUrl": queue_url, "MaxNumberOfMessages": 10 });
        let received = self.sqs("ReceiveMessage", receive).await;
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
        let received: Vec<(String, String)> =
            messages.iter().map(|it| (text(it, "Body"), text(it, "ReceiptHandle"))).collect();
        for (_, handle) in &received {
            let hide = json!({
                "QueueUrl": queue_url, "ReceiptHandle": handle, "VisibilityTimeout": 600,
            });
            self.sqs("ChangeMessageVisibility", hide).await;
        }
        received
    }

    async fn sqs(&self, operation: &str, request: Value) -> Value {
        let target = format!("x-amz-target: AmazonSQS.{operation}\r\n{}", self.credential());
        let address = self.engine.api_address();
        let answer = http(address, "POST", "/", &target, &request.to_string()).await;
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{}: {}", answer.head, answer.body);
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    pub(crate) fn queue_url(&self) -> &str {
        self.engine.queue_url()
    }

    pub(crate) fn dead_letter_queue_url(&self) -> &str {
        self.engine.dead_letter_queue_url()
    }

    /// What `/_engine/status` says once `accepts` takes it.
    pub(crate) async fn wait_for(&self, accepts: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            let status: Value =
                serde_json::from_str(&self.get("/_engine/status").await.body).unwrap();
            if accepts(&status) {
                return status;
            }
            assert!(Instant::now() < limit, "{status:#}");
        }
    }

    /// `kill -9` to every process of the forwarder that was started.
    pub(crate) fn kill_forwarders(&self) {
        let limit = Instant::now() + PATIENCE;
        let started = || -> Vec<String> {
            let log = std::fs::read_to_string(self.dir.path().join("data/engine.log")).unwrap();
            // The last line may be there in part.
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .filter(|line| line["message"] == "forwarder_started")
                .map(|line| line["pid"].to_string())
                .collect()
        };
        // A line is written a moment after what it tells of.
        let mut pids = started();
        while pids.is_empty() {
            assert!(Instant::now() < limit, "no forwarder has started");
            std::thread::yield_now();
            pids = started();
        }
        for pid in pids {
            let killed = std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
            assert!(killed.success());
        }
    }

    /// Runs an operator's command on this environment.
    pub(crate) async fn operate(&self, arguments: &[&str]) -> Done {
        self.operate_with(arguments, &[]).await
    }

    /// The same with environment variables.
    pub(crate) async fn operate_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Done {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).output().await.unwrap().into()
    }

    /// Starts an operator's command. It is killed when dropped.
    pub(crate) fn start_command(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs an operator's command as a user who can read no file of the engine's, and knows where its API
    /// is and what opens it; `None` where only root could be that user.
    pub(crate) async fn operate_as_nobody(&self, arguments: &[&str]) -> Option<Done> {
        if !rustix::process::getuid().is_root() {
            eprintln!("skipped: only root can be another user");
            return None;
        }
        // The program may be in a folder that only root may enter: a copy is not.
        let programs = tempfile::tempdir().unwrap();
        std::fs::set_permissions(programs.path(), Permissions::from_mode(0o755)).unwrap();
        let program = programs.path().join("webhook-operator");
        // By another process: a file that this one has open for writing could be inherited by what
        // another test starts just then, and not be run as long as it is.
        let copied =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_webhook-operator")).arg(&program).status();
        assert!(copied.await.unwrap().success());
        let mut command = Command::new(program);
        command.args(arguments).args(["--api", &self.engine.api_address().to_string()]);
        command.env("AWS_ACCESS_KEY_ID", self.engine.access_key_id());
        command.uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null());
        Some(command.output().await.unwrap().into())
    }

    /// Where the engine's API is, and what it wants to be shown.
    pub(crate) fn api_address(&self) -> String {
        self.engine.api_address().to_string()
    }

    pub(crate) fn access_key_id(&self) -> String {
        self.engine.access_key_id().to_owned()
    }

    /// A file of the data directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = operator(arguments);
        command.arg("--data-dir").arg(self.dir.path().join("data"));
        command
    }

    /// Runs an operator's command as if this engine's SQS and Lambda were AWS's, which say less of
    /// themselves than an engine does.
    pub(crate) async fn operate_as_on_aws(&self, arguments: &[&str]) -> Done {
        self.command_as_on_aws(arguments).output().await.unwrap().into()
    }

    /// The same, with a `CloudWatch`.
    pub(crate) async fn operate_on_aws(&self, fake: &FakeCloudWatch, arguments: &[&str]) -> Done {
        self.command_on_aws(fake, arguments).output().await.unwrap().into()
    }

    pub(crate) fn command_on_aws(&self, fake: &FakeCloudWatch, arguments: &[&str]) -> Command {
        let mut command = self.command_as_on_aws(arguments);
        command.env("AWS_ENDPOINT_URL_CLOUDWATCH", fake.url());
        command.env("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", fake.url());
        command.env("AWS_ENDPOINT_URL_SCHEDULER", fake.url());
        command.env("AWS_ENDPOINT_URL_SSM", fake.url());
        command
    }

    fn command_as_on_aws(&self, arguments: &[&str]) -> Command {
        let mut command = operator(arguments);
        // What an emulator has no bucket for is kept below the folder that it runs in.
        command
            .current_dir(self.dir.path())
            .arg("--config")
            .arg(self.dir.path().join("config.json"));
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.engine.api_address()));
        command
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", self.engine.access_key_id());
        command.env("AWS_SECRET_ACCESS_KEY", "test");
        command.env_remove("SUDO_USER").env("USER", "operator-1");
        command
    }

    /// Writes the audit log that commands read as on AWS.
    pub(crate) fn write_audit_log(&self, lines: &[Value]) {
        let dir = self.dir.path().join(".webhook-queue/deploy-local");
        std::fs::create_dir_all(&dir).unwrap();
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(dir.join("audit.jsonl"), lines.concat()).unwrap();
    }

    /// What a command prints as JSON, when it succeeds.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let done = self.operate(&[arguments, &["--json"]].concat()).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_str(&done.stdout).unwrap()
    }
}

/// An engine by the configuration in this folder, which keeps its data there.
async fn engine(dir: &Path) -> Engine {
    let config_file = dir.join("config.json");
    let config = std::fs::read_to_string(&config_file).unwrap();
    let mut options = EngineOptions::in_memory(Config::parse(&config).unwrap());
    options.storage = Storage::Directory(dir.join("data"));
    options.forwarder = Some(crate::forwarder::forwarder());
    options.config_file = Some(config_file);
    options.log = Box::new(std::io::sink());
    Engine::start(options).await.unwrap()
}

/// The program, with `arguments`.
pub(crate) fn operator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    command.arg0("webhook-operator").env_remove("SUDO_COMMAND");
    // Help is as wide as the terminal, else as this says.
    command.args(arguments).env("COLUMNS", "100").current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// One exchange, on a connection of its own.
async fn http(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { head: head.to_owned(), body: body.to_owned() }
}

/// The service to deliver to. It is gone when dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Behavior>>,
    delivered: watch::Sender<Vec<String>>,
    requested: watch::Sender<usize>,
    attempts: Arc<Mutex<Vec<u64>>>,
    serving: JoinHandle<()>,
}

/// What the service does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behavior {
    Answer(u16),
    /// Takes everything but this body.
    Refuse(&'static str),
    /// Answers 503, and asks not to be called for a minute.
    Rest,
    Hang,
}

impl Service {
    /// A service at `address`, port 0 for any, that answers 200.
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(Behavior::Answer(200)));
        let delivered = watch::Sender::<Vec<String>>::default();
        let requested = watch::Sender::new(0);
        let (behavior, bodies, requests) =
            (Arc::clone(&answer), delivered.clone(), requested.clone());
        let attempts = Arc::<Mutex<Vec<u64>>>::default();
        let numbers = Arc::clone(&attempts);
        let handle = move |headers: HeaderMap, body: String| async move {
            let number =
                headers.get("webhook-attempt").and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
            numbers.lock().unwrap().extend(number);
            requests.send_modify(|requests| *requests += 1);
            let now = *behavior.lock().unwrap();
            match now {
                Behavior::Hang => std::future::pending().await,
                Behavior::Rest => {
                    let rest = [(axum::http::header::RETRY_AFTER, "60")];
                    (StatusCode::SERVICE_UNAVAILABLE, rest).into_response()
                }
                Behavior::Answer(_) | Behavior::Refuse(_) => {
                    let status = match now {
                        Behavior::Answer(status) => status,
                        Behavior::Refuse(refused) if body == refused => 422,
                        _ => 200,
                    };
                    if status == 200 {
                        bodies.send_modify(|bodies| bodies.push(body));
                    }
                    StatusCode::from_u16(status).unwrap().into_response()
                }
            }
        };
        let app = axum::Router::new().fallback(axum::routing::post(handle));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, answer, delivered, requested, attempts, serving }
    }

    /// A service on any port.
    pub(crate) async fn anywhere() -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// An address where nobody listens: it was somebody's just now.
    pub(crate) async fn nowhere() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, behavior: Behavior) {
        *self.answer.lock().unwrap() = behavior;
    }

    /// Waits until this many requests have come, whatever became of them.
    pub(crate) async fn requested(&self, least: usize) {
        let mut requested = self.requested.subscribe();
        let enough = requested.wait_for(|requests| *requests >= least);
        tokio::time::timeout(PATIENCE, enough).await.unwrap().unwrap();
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        *self.requested.borrow()
    }

    /// The numbers of the attempts that have come.
    pub(crate) fn attempts(&self) -> Vec<u64> {
        self.attempts.lock().unwrap().clone()
    }

    /// The bodies that were taken.
    pub(crate) fn delivered(&self) -> Vec<String> {
        self.delivered.borrow().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
