//! The engine as a program: started, killed, started again.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running `webhook-engine`. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// Where ingest listens.
    pub(crate) ingest: String,
    /// Where the queues are.
    pub(crate) api: String,
    client: reqwest::Client,
}

/// What a `webhook-engine` that does not start leaves behind.
pub(crate) struct Refusal {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

/// The command line, without `--listen`.
pub(crate) fn command(config: &Value, data_dir: &Path, function: &Path) -> Command {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let file = file.into_temp_path().keep().unwrap();
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-engine"));
    command.arg("--config").arg(file).arg("--data-dir").arg(data_dir);
    command.arg("--forwarder").arg(function);
    command.args(["--api-listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn listening(config: &Value, data_dir: &Path, function: &Path) -> Command {
    let mut command = command(config, data_dir, function);
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

impl Program {
    /// Starts it and waits until it listens.
    pub(crate) fn start(config: &Value, data_dir: &Path, function: &Path) -> Self {
        let (program, lines) = Self::start_unread(config, data_dir, function);
        // Somebody has to read on, or its log would be left out one day.
        std::thread::spawn(move || lines.for_each(drop));
        program
    }

    /// The same with more arguments.
    pub(crate) fn start_with(
        config: &Value,
        data_dir: &Path,
        function: &Path,
        arguments: &[&str],
    ) -> Self {
        let mut command = listening(config, data_dir, function);
        command.args(arguments);
        let (program, lines) = Self::spawned(command, data_dir);
        std::thread::spawn(move || lines.for_each(drop));
        program
    }

    /// The same with limits of files that it can have open, the soft and the hard one.
    pub(crate) fn start_with_files(
        files: &str,
        config: &Value,
        data_dir: &Path,
        function: &Path,
    ) -> Self {
        let engine = listening(config, data_dir, function);
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={files}")).arg(engine.get_program());
        command.args(engine.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        let (program, lines) = Self::spawned(command, data_dir);
        std::thread::spawn(move || lines.for_each(drop));
        program
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The same, and nobody reads its log beyond the line that says so, unless the caller does.
    pub(crate) fn start_unread(
        config: &Value,
        data_dir: &Path,
        function: &Path,
    ) -> (Self, Lines<BufReader<ChildStdout>>) {
        Self::spawned(listening(config, data_dir, function), data_dir)
    }

    fn spawned(mut command: Command, data_dir: &Path) -> (Self, Lines<BufReader<ChildStdout>>) {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|line| line["message"] == "listening")
            .expect("it ended before it listened");
        let address = |name: &str| listening[name].as_str().unwrap().to_owned();
        let file = std::fs::read_to_string(data_dir.join("engine.json")).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let client = crate::support::api_client(file["access_key_id"].as_str().unwrap());
        (Self { ingest: address("ingest"), api: address("api"), client, child }, lines)
    }

    /// Starts one that is expected not to start.
    pub(crate) fn refused(config: &Value, data_dir: &Path, function: &Path) -> Refusal {
        let engine = listening(config, data_dir, function);
        // One that starts after all ends with a code that is none of its own: 124.
        let mut command = Command::new("timeout");
        command.arg("60").arg(engine.get_program()).args(engine.get_args());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Refusal { code: output.status.code(), stderr }
    }

    /// A queue's URL.
    pub(crate) fn queue_url(&self, queue: &str) -> String {
        format!("http://{}/000000000000/{queue}", self.api)
    }

    /// What `/_engine/status` says.
    pub(crate) async fn status(&self) -> Value {
        let url = format!("http://{}/_engine/status", self.api);
        let answer = self.client.get(url).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Begins a pause; gives the status of the answer.
    pub(crate) async fn pause(&self, name: &str) -> u16 {
        let url = format!("http://{}/_engine/pauses/{name}", self.api);
        let body = json!({ "by": "ops", "reason": "the disk is full" }).to_string();
        self.client.put(url).body(body).send().await.unwrap().status().as_u16()
    }

    /// Waits until `accepts` takes the status.
    pub(crate) async fn wait_for_status(&self, accepts: impl Fn(Value) -> bool) {
        let limit = Instant::now() + Duration::from_mins(1);
        loop {
            let status = self.status().await;
            assert!(Instant::now() < limit, "{status}");
            if accepts(status) {
                return;
            }
        }
    }

    /// Asks the queues.
    pub(crate) async fn sqs(&self, operation: &str, request: &Value) -> Value {
        let answer = sqs(&self.client, &self.api, operation, request).await.unwrap();
        let status = answer.status();
        let answer = answer.bytes().await.unwrap();
        assert_eq!(status, 200, "{answer:?}");
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// Sends a message past ingest.
    pub(crate) async fn send_message(&self, queue: &str, group: &str, body: &str) {
        let request = json!({
            "QueueUrl": self.queue_url(queue), "MessageBody": body, "MessageGroupId": group,
            "MessageDeduplicationId": body,
        });
        self.sqs("SendMessage", &request).await;
    }

    /// Asks the queues again and again, until the engine is gone.
    pub(crate) fn sqs_until_gone(
        &self,
        operation: &'static str,
        request: Value,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (client, api) = (self.client.clone(), self.api.clone());
        async move { while sqs(&client, &api, operation, &request).await.is_ok() {} }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where the test made it.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

async fn sqs(
    client: &reqwest::Client,
    api: &str,
    operation: &str,
    request: &Value,
) -> reqwest::Result<reqwest::Response> {
    let target = format!("AmazonSQS.{operation}");
    let request = client.post(format!("http://{api}/")).body(request.to_string());
    request.header("x-amz-target", target).send().await
}
