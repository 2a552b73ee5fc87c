//! docs/from-the-original.md as it is played: an installation of the original's kind is moved while
//! webhooks come in, and everything arrives, in order.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use emulator::Background;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::rights::proxy::free_address;
use crate::rights::story::{ADMINISTRATOR, Story, output};
use crate::step;

/// Who deploys.
const OPERATOR: &str = "dev-deploy";
/// How long the former queue must stay empty; the document says two minutes.
const QUIET: Duration = Duration::from_secs(5);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// Events that are posted between two steps at least.
const BETWEEN: usize = 5;

#[test]
fn an_installation_of_the_original_is_moved() {
    step::run("the original is moved, on an AWS emulator", run);
}

fn run() -> anyhow::Result<Option<String>> {
    Story::play(|story, dir| {
        let gateway = Background { name: "gateway", dir: dir.join("gateway") };
        let moved = moved(story, &gateway, dir);
        gateway.stop()?;
        moved
    })
}

/// The former installation: Terraform's files and state, in folders of their own.
struct Original<'a> {
    story: &'a Story,
    dir: PathBuf,
}

impl Original<'_> {
    /// Runs Terraform in one of its folders.
    fn terraform(&self, folder: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut terraform = Command::new("terraform");
        terraform
            .arg(format!("-chdir={}", self.dir.join(folder).display()))
            .args(arguments)
            .env("TF_VAR_emulator_endpoint", self.story.emulator_endpoint()?)
            .env("TF_VAR_service_url", format!("{}/hook", self.story.stand_in_url()))
            .env("TF_VAR_function_zip", self.dir.join("producer.zip"))
            .env("CHECKPOINT_DISABLE", "1");
        output(&mut terraform)
    }

    fn apply(&self, folder: &str) -> anyhow::Result<Value> {
        self.terraform(folder, &["init", "-input=false", "-no-color"])?;
        self.terraform(folder, &["apply", "-input=false", "-no-color", "-auto-approve"])?;
        let outputs = self.terraform(folder, &["output", "-json"])?;
        serde_json::from_str(&outputs).context("the original's outputs")
    }

    /// How many messages a queue has, and how many are being worked on.
    fn messages(&self, queue_url: &str) -> anyhow::Result<(u64, u64)> {
        let url = self.story.emulator_endpoint()?;
        let request = ureq::post(&url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "AmazonSQS.GetQueueAttributes")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0");
        let body = json!({ "QueueUrl": queue_url, "AttributeNames": ["All"] });
        let answer = request.send(body.to_string()).context("asking for a queue's attributes")?;
        let answer: Value = serde_json::from_str(&answer.into_body().read_to_string()?)?;
        let count = |name: &str| answer["Attributes"][name].as_str().and_then(|it| it.parse().ok());
        let [visible, in_flight] =
            ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"].map(count);
        visible.zip(in_flight).with_context(|| format!("no counts in {answer}"))
    }
}

/// Posts numbered events of one key without a pause, and keeps which were accepted.
struct Sender {
    accepted: Arc<Mutex<Vec<u64>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Sender {
    fn start(url: String) -> Self {
        let (accepted, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (numbers, stopped) = (Arc::clone(&accepted), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for number in 1.. {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let request = ureq::post(&url).header("content-type", "application/json");
                let request = request.header("x-workflow-id", "w-1");
                request
                    .send(json!({ "number": number }).to_string())
                    .with_context(|| format!("event {number} was refused"))?;
                numbers.lock().unwrap_or_else(PoisonError::into_inner).push(number);
                // A SaaS does not post without end; its pace is no condition of the test.
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        Self { accepted, stop, thread }
    }

    fn count(&self) -> usize {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until some more were accepted.
    fn some_more(&self) -> anyhow::Result<()> {
        let (wanted, deadline) = (self.count() + BETWEEN, Instant::now() + PATIENCE);
        while self.count() < wanted {
            ensure!(!self.thread.is_finished(), "an event was refused");
            ensure!(Instant::now() < deadline, "nothing more is accepted");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<Vec<u64>> {
        self.stop.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(ended) => ended?,
            Err(_panicked) => bail!("the sender panicked"),
        }
        Ok(self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn moved(story: &Story, gateway: &Background, dir: &Path) -> anyhow::Result<Option<String>> {
    story.bootstrap()?;
    let original = Original { story, dir: dir.join("original") };
    original.write()?;
    let api = original.apply("api")?["api_id"]["value"].clone();
    let api = api.as_str().context("the API has an id")?.to_owned();
    let before = original.apply("iac")?;
    let text = |name: &str| before[name]["value"].as_str().unwrap_or_default().to_owned();

    let address = free_address()?;
    let mut command = Command::new(step::program("webhook-gateway"));
    command.args(["--emulator", &story.emulator_endpoint()?, "--api-id", &api]);
    command.args(["--listen", &address.to_string()]);
    gateway.start(&mut command, address)?;
    let sender = Sender::start(format!("http://{address}/sqs-hook"));
    sender.some_more()?;

    // 1. What the former dead-letter queue holds is decided before.
    ensure!(original.messages(&text("dead_letter_queue_url"))? == (0, 0), "dead letters before");

    // 2. Deployed with the mapping off, taking the route over.
    story.edit("dev", |dev| {
        let aws = &mut dev["aws"];
        aws["api"] = json!({ "id": api });
        aws["start_paused"] = json!(true);
    })?;
    let takeover = format!(
        "import {{\n  to = module.webhook.module.ingest.aws_apigatewayv2_route.webhook[\"sss /sqs-hook\"]\n  \
         id = \"{api}/{}\"\n}}\n",
        text("route_id")
    );
    story.write("environments/dev/takeover.tf", &takeover)?;
    story.commit()?;
    let digest = story.package("moved to")?;
    story.done(OPERATOR, &["deploy", "dev", "--yes", "--artifact", &digest])?;
    sender.some_more()?;

    // 3. Out of the former state, or its destruction would delete the route.
    original.terraform("iac", &["state", "rm", "aws_apigatewayv2_route.webhook"])?;

    // 4. The former function delivers what is left. Only then goes on what came after.
    let deadline = Instant::now() + PATIENCE;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < QUIET {
        if original.messages(&text("queue_url"))? != (0, 0) {
            quiet_since = Instant::now();
        }
        ensure!(Instant::now() < deadline, "the former queue does not get empty");
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(original.messages(&text("dead_letter_queue_url"))? == (0, 0), "dead letters after");
    let by_then = story.received()?.len();
    ensure!(by_then < sender.count(), "what came after the takeover waits");

    // 5. On.
    story.done(ADMINISTRATOR, &["resume", "dev"])?;
    sender.some_more()?;

    // 6. The former installation goes; the route stays.
    original.terraform("iac", &["destroy", "-input=false", "-no-color", "-auto-approve"])?;
    sender.some_more()?;
    let accepted = sender.end()?;

    let deadline = Instant::now() + PATIENCE;
    loop {
        let received = story.received()?;
        let mut first = Vec::new();
        for number in received.iter().filter_map(|it| it["number"].as_u64()) {
            if !first.contains(&number) {
                first.push(number);
            }
        }
        ensure!(first.is_sorted(), "overtaken: {first:?}");
        if first == accepted {
            eprintln!("{} events, none lost, none overtaken", accepted.len());
            return Ok(None);
        }
        ensure!(Instant::now() < deadline, "accepted {accepted:?}, received {first:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Original<'_> {
    /// Writes its files.
    fn write(&self) -> anyhow::Result<()> {
        for (folder, text) in [
            ("api", include_str!("../fixtures/original/api/main.tf")),
            ("iac", include_str!("../fixtures/original/main.tf")),
        ] {
            std::fs::create_dir_all(self.dir.join(folder))?;
            std::fs::write(self.dir.join(folder).join("main.tf"), text)?;
            let provider = include_str!("../fixtures/original/provider.tf");
            std::fs::write(self.dir.join(folder).join("provider.tf"), provider)?;
        }
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("producer.py", SimpleFileOptions::default().unix_permissions(0o644))?;
        zip.write_all(include_bytes!("../fixtures/original/producer.py"))?;
        std::fs::write(self.dir.join("producer.zip"), zip.finish()?.into_inner())?;
        Ok(())
    }
}
