//! The proof that what Terraform writes works: the modules deployed to an emulator, webhooks sent
//! through, changed, rolled back and destroyed.
//!
//! It uses the commands as a person does, as processes, and judges by what the stand-in for the
//! service received.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use deployment::Deployment;
use domain::config::Config;
use emulator::Emulator;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;

use crate::step::{self, Ended};

/// The environment that is deployed to an emulator on this machine.
const LOCAL: &str = "local";

macro_rules! alarm {
    ($name:literal) => {
        concat!("module.webhook.module.monitoring.aws_cloudwatch_metric_alarm.", $name)
    };
}

/// What a second plan wants to change although nothing has changed, because the emulator does not
/// keep it. On AWS it must be nothing.
const NOT_KEPT: [(&str, &str); 13] = [
    // `integration_subtype` and `credentials_arn` are not answered, so the provider sees another kind
    // of integration and makes a new one; the route's target follows.
    ("replace", "module.webhook.module.ingest.aws_apigatewayv2_integration.queue[\"sss\"]"),
    ("change", "module.webhook.module.ingest.aws_apigatewayv2_route.webhook[\"sss /sqs-hook\"]"),
    // `metrics_config` is not answered.
    ("change", "module.webhook.module.forwarder.aws_lambda_event_source_mapping.queue"),
    // Statistic, period and actions are not answered.
    ("change", alarm!("mapping_not_enabled")),
    ("change", alarm!("this[\"api-client-errors\"]")),
    ("change", alarm!("this[\"api-server-errors\"]")),
    ("change", alarm!("nothing_delivered[\"sss\"]")),
    ("change", alarm!("this[\"dead-letters-arriving\"]")),
    ("change", alarm!("this[\"dead-letters-near-retention\"]")),
    ("change", alarm!("this[\"dead-letters-present\"]")),
    ("change", alarm!("this[\"function-errors\"]")),
    ("change", alarm!("this[\"function-throttles\"]")),
    ("change", alarm!("this[\"oldest-message-too-old\"]")),
];

/// How long anything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn what_terraform_writes_works() {
    step::run("deploy local, on an AWS emulator", run);
}

/// Deploys to an emulator and looks whether it works, where Terraform, its provider and the emulator
/// can be had; else says why it cannot run here.
fn run() -> anyhow::Result<Option<String>> {
    let emulator = Emulator::new(local_dir(), step::target_dir());
    if emulator.is_running() {
        let reason = "local is deployed; `cargo xtask destroy local` ends that";
        return Ok(Some(reason.to_owned()));
    }
    let dir = tempfile::tempdir().context("making a folder for the configurations")?;
    let proof = Proof {
        client: client(),
        dir: dir.path().to_owned(),
        emulator: emulator.clone(),
        config: Deployment::parse(&std::fs::read_to_string(config_file())?)?.config,
    };
    let first = proof.try_deploy(&proof.config("first", |_| {})?, &[])?;
    if let Some(reason) = first.missing() {
        emulator.stop()?;
        return Ok(Some(reason));
    }
    let result = proof.tell(first);
    // Also after a failure: nothing may be left running.
    let destroyed = proof.xtask(&["destroy", LOCAL, "--yes"]).map(drop);
    result.and(destroyed)?;
    ensure!(!emulator.is_running(), "the emulator still runs");
    ensure!(!local_dir().join("terraform.tfstate").exists(), "Terraform's state is still there");
    Ok(None)
}

struct Proof {
    client: ureq::Agent,
    dir: PathBuf,
    emulator: Emulator,
    /// What `local` is configured to be.
    config: Config,
}

impl Proof {
    fn tell(&self, first: Ended) -> anyhow::Result<()> {
        let config = self.config("first", |_| {})?;
        let first = parsed(first)?;
        ensure!(
            first["record"]["smoke"] == "passed",
            "the smoke test: {}",
            first["record"]["smoke"]
        );

        say("a second plan changes nothing but what the emulator does not keep");
        self.nothing_to_change(&config)?;

        say("events of two keys arrive in order");
        self.order()?;

        say("a failing event is retried");
        self.retry()?;

        say("a rejected event is a dead letter with its reason, and is sent again");
        self.dead_letter()?;

        say("paused, events wait; resumed, they go out");
        self.pause()?;

        say("a changed route is replaced, and orders by its new key");
        self.change_route()?;

        say("other code is deployed, and the former comes back");
        self.roll_back(&first)
    }

    /// The environment's configuration with `change`, and retries that a test can wait for.
    fn config(&self, name: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<PathBuf> {
        let text = std::fs::read_to_string(config_file())?;
        let mut config: Value = serde_json::from_str(&text)?;
        config["routes"]["sss"]["retry"] =
            json!({ "initial_delay_seconds": 1, "max_delay_seconds": 2 });
        config["routes"]["sss"]["give_up_after_seconds"] = json!(600);
        change(&mut config);
        let file = self.dir.join(format!("{name}.json"));
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }

    fn deploy(&self, config: &Path, more: &[&str]) -> anyhow::Result<Value> {
        parsed(self.try_deploy(config, more)?)
    }

    #[expect(clippy::unused_self, reason = "what the story is told with")]
    fn try_deploy(&self, config: &Path, more: &[&str]) -> anyhow::Result<Ended> {
        let config = config.display().to_string();
        let arguments = ["deploy", LOCAL, "--yes", "--json", "--config", &config];
        step::xtask(&[&arguments, more].concat(), &[])
    }

    fn nothing_to_change(&self, config: &Path) -> anyhow::Result<()> {
        let config = config.display().to_string();
        let digest = sha256(&manifest()?);
        let plan = ["plan", LOCAL, "--json", "--config", &config, "--artifact", &digest];
        let plan = self.xtask_json(&plan)?;
        let mut found = BTreeSet::new();
        for kind in ["add", "change", "replace", "destroy"] {
            for item in plan[kind].as_array().into_iter().flatten() {
                found.insert((kind, item["address"].as_str().unwrap_or_default()));
            }
        }
        let known: BTreeSet<(&str, &str)> = NOT_KEPT.into_iter().collect();
        ensure!(found == known, "a second plan would change {found:?}, expected {known:?}");
        Ok(())
    }

    fn order(&self) -> anyhow::Result<()> {
        let mut sent = BTreeSet::new();
        for number in 1..=6 {
            for key in ["A-1", "B-2"] {
                sent.insert(self.post(key, number, "order")?);
            }
        }
        let received = self.await_received(|received| {
            sent.iter().all(|id| received.iter().any(|webhook| webhook["id"] == id.as_str()))
        })?;
        let mut last = BTreeMap::new();
        for body in received.iter().filter_map(body).filter(|body| body["note"] == "order") {
            let number = body["number"].as_u64().unwrap_or_default();
            let key = body["key"].as_str().unwrap_or_default().to_owned();
            let before = last.insert(key.clone(), number).unwrap_or_default();
            ensure!(number >= before, "{number} of {key} arrived after {before}");
        }
        Ok(())
    }

    fn retry(&self) -> anyhow::Result<()> {
        let rule = json!({ "body_contains": "outage", "status": 503, "times": 2 });
        self.behave(&json!({ "rules": [rule] }))?;
        let id = self.post("retry", 1, "outage")?;
        let received = self.await_received(|received| delivered(received, &id))?;
        let statuses: Vec<_> =
            of(&received, &id).map(|webhook| webhook["status"].clone()).collect();
        ensure!(statuses == [503, 503, 200], "attempts were answered {statuses:?}");
        Ok(())
    }

    fn dead_letter(&self) -> anyhow::Result<()> {
        self.behave(&json!({ "rules": [{ "body_contains": "unknown", "status": 422 }] }))?;
        let id = self.post("rejected", 1, "unknown workflow")?;
        let deadline = Instant::now() + PATIENCE;
        let letter = loop {
            let letters = self.xtask_json(&["dlq", "list", LOCAL, "--json"])?;
            let letters = letters.as_array().cloned().unwrap_or_default();
            if let Some(letter) =
                letters.into_iter().find(|letter| letter["event_id"] == id.as_str())
            {
                break letter;
            }
            ensure!(Instant::now() < deadline, "event {id} did not become a dead letter");
        };
        ensure!(letter["reason"] == "rejected" && letter["status"] == 422, "it says {letter}");
        self.behave(&json!({}))?;
        self.xtask(&["dlq", "redrive", LOCAL, &id])?;
        self.await_received(|received| delivered(received, &id)).map(drop)
    }

    fn pause(&self) -> anyhow::Result<()> {
        self.xtask(&["pause", LOCAL, "--why", "proof"])?;
        let id = self.post("paused", 1, "paused")?;
        let paused = self.xtask_json(&["pause", LOCAL, "--why", "proof", "--json"])?;
        ensure!(paused["waiting"] == 1, "while paused: {paused}");
        ensure!(of(&self.received()?, &id).next().is_none(), "it was delivered while paused");
        self.xtask(&["resume", LOCAL])?;
        self.await_received(|received| delivered(received, &id)).map(drop)
    }

    /// The path stays as it is: to take away the settings of the former path's route, the emulator
    /// deletes the whole stage.
    fn change_route(&self) -> anyhow::Result<()> {
        let other = self.config("other", |config| {
            config["routes"]["sss"]["ordering_key"] = json!("$request.body.key");
            config["aws"]["smoke_test"]["body"] = json!({ "key": "smoke-test" });
        })?;
        let digest = sha256(&manifest()?);
        let deployed = self.deploy(&other, &["--artifact", &digest])?;
        ensure!(
            deployed["changes"]["replaced"].as_u64() > Some(0),
            "nothing was replaced: {deployed}"
        );
        let id = self.post_with_header("by-header", "by-body", 1, "other key")?;
        let received = self.await_received(|received| delivered(received, &id))?;
        let groups: Vec<&Value> = of(&received, &id).map(|webhook| &webhook["group"]).collect();
        ensure!(groups.iter().all(|group| *group == "by-body"), "it was in the groups {groups:?}");
        // And back, for what follows.
        self.deploy(&self.config("first", |_| {})?, &["--artifact", &digest]).map(drop)
    }

    fn roll_back(&self, first: &Value) -> anyhow::Result<()> {
        let other = other_artifact()?;
        let config = self.config("first", |_| {})?;
        let second = self.deploy(&config, &["--artifact", &sha256(&other)])?;
        ensure!(
            second["record"]["sha256"] == other["sha256"],
            "the other code is not live: {second}"
        );
        ensure!(
            self.live_code()? == other["code_sha256"],
            "Lambda runs other code than was deployed"
        );
        let former =
            first["record"]["sha256"].as_str().context("the first release has no digest")?;
        let back = self.xtask_json(&["rollback", LOCAL, "--yes", "--json"])?;
        ensure!(back["record"]["sha256"] == former, "rolled back to {back}");
        ensure!(
            self.live_code()? == manifest()?["code_sha256"],
            "Lambda does not run the former code"
        );
        let releases = self.xtask_json(&["releases", LOCAL, "--json"])?;
        let kinds: Vec<&str> = releases
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|release| release["kind"].as_str())
            .collect();
        ensure!(kinds.first() == Some(&"rollback"), "releases are {kinds:?}");
        Ok(())
    }

    /// What Lambda itself says that it runs.
    fn live_code(&self) -> anyhow::Result<String> {
        let endpoint = self.emulator.endpoint().context("the emulator does not run")?;
        let function = format!("{LOCAL}-webhook-forwarder");
        let url =
            format!("{endpoint}/2015-03-31/functions/{function}/configuration?Qualifier=live");
        let answer: Value = serde_json::from_str(&self.get(&url)?)
            .with_context(|| format!("reading the answer of {url}"))?;
        let code = answer["CodeSha256"].as_str();
        code.map(str::to_owned).with_context(|| format!("{url} answered {answer}"))
    }

    /// Posts an event through the deployed route and returns its id.
    fn post(&self, key: &str, number: u32, note: &str) -> anyhow::Result<String> {
        self.post_with_header(key, key, number, note)
    }

    fn post_with_header(
        &self,
        header: &str,
        key: &str,
        number: u32,
        note: &str,
    ) -> anyhow::Result<String> {
        let urls = emulator::ingest_urls(&self.config);
        let url = urls.get("sss").context("there is no route sss")?;
        let body =
            json!({ "key": key, "number": number, "note": note, "顧客": "株式会社" }).to_string();
        let request = self.client.post(url).header("content-type", "application/json");
        let mut answer = request.header("x-workflow-id", header).send(&body)?;
        let id = answer.headers().get("apigw-requestid").map(|id| id.to_str().map(str::to_owned));
        match id {
            Some(id) if answer.status() == 200 => Ok(id?),
            _ => {
                bail!("{url} answered {}: {}", answer.status(), answer.body_mut().read_to_string()?)
            }
        }
    }

    fn behave(&self, behavior: &Value) -> anyhow::Result<()> {
        let url = format!("{}/_stub/behavior", self.stub()?);
        let mut answer = self.client.put(&url).send(&behavior.to_string())?;
        let status = answer.status();
        ensure!(status == 200, "{url} answered {status}: {}", answer.body_mut().read_to_string()?);
        Ok(())
    }

    fn received(&self) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/_stub/received", self.stub()?);
        serde_json::from_str(&self.get(&url)?).context("reading what was received")
    }

    /// What the stand-in has received, once that is `enough`.
    fn await_received(&self, enough: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        let mut received = self.received()?;
        while !enough(&received) {
            ensure!(Instant::now() < deadline, "not everything arrived; there is {received:?}");
            // The stand-in answers as soon as it has one more.
            let more = format!("at_least={}&wait_ms=1000", received.len() + 1);
            self.get(&format!("{}/_stub/received?{more}", self.stub()?))?;
            received = self.received()?;
        }
        Ok(received)
    }

    fn get(&self, url: &str) -> anyhow::Result<String> {
        let answer = self.client.get(url).call().with_context(|| format!("asking {url}"))?;
        Ok(answer.into_body().read_to_string()?)
    }

    /// Where the stand-in for the service is.
    fn stub(&self) -> anyhow::Result<String> {
        Ok(emulator::stand_in(&self.config, "sss")?)
    }

    #[expect(clippy::unused_self, reason = "what the story is told with")]
    fn xtask_json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        parsed(step::xtask(arguments, &[])?)
    }

    /// Runs a command as a person would, and returns what it printed.
    #[expect(clippy::unused_self, reason = "what the story is told with")]
    fn xtask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        step::xtask(arguments, &[])?.done()
    }
}

/// What a command printed, as JSON.
fn parsed(ended: Ended) -> anyhow::Result<Value> {
    let command = ended.command.clone();
    let printed = ended.done()?;
    serde_json::from_str(&printed).with_context(|| format!("`{command}` printed {printed}"))
}

/// A client that takes every status for an answer.
fn client() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(70)));
    config.build().into()
}

/// Where everything of the deployment on this machine is kept.
fn local_dir() -> PathBuf {
    step::root().join(".webhook-queue").join("deploy-local")
}

fn config_file() -> PathBuf {
    step::root().join("environments").join(LOCAL).join("terraform.tfvars.json")
}

fn say(text: &str) {
    eprintln!("-- {text}");
}

/// The attempts to deliver an event.
fn of<'a>(received: &'a [Value], id: &str) -> impl Iterator<Item = &'a Value> {
    received.iter().filter(move |webhook| webhook["id"] == id)
}

fn delivered(received: &[Value], id: &str) -> bool {
    of(received, id).any(|webhook| webhook["status"] == 200)
}

fn body(webhook: &Value) -> Option<Value> {
    serde_json::from_str(webhook["body"].as_str()?).ok()
}

/// Where the artifact is that was built for the emulator.
fn package() -> PathBuf {
    step::target_dir().join("package/emulator")
}

/// Its manifest.
fn manifest() -> anyhow::Result<Value> {
    let file = package().join("manifest.json");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))
}

fn sha256(manifest: &Value) -> String {
    manifest["sha256"].as_str().unwrap_or_default().to_owned()
}

/// Another artifact, of the same program in another zip file: other code to Lambda, which looks at
/// the bytes. It is kept where artifacts of releases are.
fn other_artifact() -> anyhow::Result<Value> {
    let zip = std::fs::read(package().join("function.zip")).context("reading the artifact")?;
    let mut other = ZipWriter::new_append(Cursor::new(zip))?;
    other.set_comment("other")?;
    let zip = other.finish()?.into_inner();
    let digest = Sha256::digest(&zip);
    let mut manifest = manifest()?;
    let hexadecimal: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["sha256"] = json!(hexadecimal.concat());
    manifest["code_sha256"] = json!(BASE64_STANDARD.encode(digest));
    manifest["zip_bytes"] = json!(zip.len());
    let dir = local_dir().join("bucket").join("artifacts");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join(format!("{}.zip", sha256(&manifest))), zip)?;
    std::fs::write(dir.join(format!("{}.json", sha256(&manifest))), manifest.to_string())?;
    Ok(manifest)
}
