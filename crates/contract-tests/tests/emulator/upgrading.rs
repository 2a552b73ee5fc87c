//! What was deployed by an earlier version, with its own modules, is upgraded by today's commands:
//! bootstrap, then deploy. Nothing that holds events is replaced, and what waits is delivered after.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::rights::story::{ADMINISTRATOR, REGION, Story, output, post};
use crate::step;

/// The earlier version: the one of which modules and state are known to be in use.
const EARLIER: &str = "b731d9a";
/// Who deploys.
const DEPLOYER: &str = "dev-deploy";
/// Events that wait while the environment is upgraded.
const WAITING: u64 = 6;
/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Of what a replacement or a deletion takes events or records of them along, or where they come in.
const HOLD_EVENTS: [&str; 6] = [
    "aws_sqs_queue.",
    "aws_s3_bucket.",
    "aws_apigatewayv2_api.",
    "aws_apigatewayv2_stage.",
    "aws_apigatewayv2_route.",
    "aws_lambda_event_source_mapping.",
];

#[test]
fn an_environment_of_an_earlier_version_is_upgraded() {
    step::run("an earlier version is upgraded, on an AWS emulator", run);
}

fn run() -> anyhow::Result<Option<String>> {
    let root = step::root();
    let mut known = Command::new("git");
    known.arg("-C").arg(&root).args(["cat-file", "-e", &format!("{EARLIER}^{{commit}}")]);
    if output(&mut known).is_err() {
        return Ok(Some(format!("this clone is shallow and does not have {EARLIER}")));
    }
    Story::play(upgraded)
}

/// The modules and environments of the earlier version, in a folder of their own.
struct Earlier<'a> {
    story: &'a Story,
    dir: PathBuf,
}

impl<'a> Earlier<'a> {
    /// Takes them out of the history, with today's values of what the environments are.
    fn checkout(story: &'a Story, dir: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let archive = dir.join("earlier.tar");
        let mut git = Command::new("git");
        git.arg("-C").arg(step::root()).args(["archive", "--output"]).arg(&archive);
        output(git.args([EARLIER, "modules", "environments"]))?;
        output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&dir))?;
        let earlier = Self { story, dir };
        for name in ["bootstrap", "dev"] {
            let mut values = story.values(name)?;
            let environments = values.get_mut("environments").and_then(Value::as_object_mut);
            for environment in environments.into_iter().flat_map(|all| all.values_mut()) {
                // It knew no such right.
                environment.as_object_mut().context("an object")?.remove("promotes_from");
            }
            std::fs::write(earlier.values_file(name), values.to_string())?;
        }
        Ok(earlier)
    }

    fn values_file(&self, name: &str) -> PathBuf {
        self.dir.join("environments").join(name).join("terraform.tfvars.json")
    }

    fn terraform(&self, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let folder = self.dir.join("environments").join(name);
        output(self.story.terraform_in(&folder, ADMINISTRATOR).args(arguments))
    }

    /// Prepares the account, and deploys dev with the forwarder that is packaged under `digest`.
    fn apply(&self, digest: &str) -> anyhow::Result<Value> {
        self.terraform("bootstrap", &["init", "-input=false", "-no-color"])?;
        self.terraform("bootstrap", &["apply", "-input=false", "-no-color", "-auto-approve"])?;
        let region = format!("-backend-config=region={REGION}");
        self.terraform(
            "dev",
            &[
                "init",
                "-input=false",
                "-no-color",
                "-backend-config=bucket=acme-webhook-state",
                "-backend-config=key=dev/terraform.tfstate",
                &region,
                "-backend-config=use_lockfile=true",
            ],
        )?;
        let manifest = self.story.manifest()?;
        ensure!(manifest["sha256"] == digest, "another artifact was packaged");
        let artifact = json!({
            "code_sha256": manifest["code_sha256"], "architecture": manifest["arch"],
            "path": self.story.artifact(),
        });
        let artifact = format!("-var=artifact={artifact}");
        let apply = ["apply", "-input=false", "-no-color", "-auto-approve", &artifact];
        self.terraform("dev", &apply)?;
        serde_json::from_str(&self.terraform("dev", &["output", "-json"])?)
            .context("the earlier outputs")
    }
}

fn upgraded(story: &Story, dir: &Path) -> anyhow::Result<Option<String>> {
    let earlier = Earlier::checkout(story, dir.join("earlier"))?;
    let outputs = earlier.apply(&story.package("earlier")?)?;
    let url = outputs["ingest_urls"]["value"]["sss"].as_str().context("an address")?.to_owned();
    let before = earlier.state("dev")?;

    // Events wait.
    story.done(ADMINISTRATOR, &["pause", "dev", "--why", "upgrade"])?;
    for number in 0..WAITING {
        post(&url, &format!("key-{}", number % 2), &json!({ "number": number }).to_string())?;
    }

    // The account first, by the state that is there.
    let state = dir.join("earlier/environments/bootstrap/terraform.tfstate");
    story.take_state_of_bootstrap(&state)?;
    let planned = story.terraform(&["plan", "-input=false", "-no-color"])?;
    for kept in ["aws_s3_bucket.this", "aws_kms_key"] {
        let lines = planned.lines().filter(|line| line.contains(kept));
        let gone: Vec<&str> =
            lines.filter(|line| line.contains("destroyed") || line.contains("replaced")).collect();
        ensure!(gone.is_empty(), "bootstrap loses what it keeps: {gone:?}");
    }
    story.bootstrap()?;

    // Then the environment.
    story.proxy.take_calls();
    let digest = story.package("upgraded")?;
    let plan = ["plan", "dev", "--json", "--artifact", &digest];
    let plan: Value = serde_json::from_str(&story.done(DEPLOYER, &plan)?)?;
    let key = resource(&before, "aws_kms_key", "alarms").context("the former key")?;
    let arn = key["values"]["arn"].as_str().context("the key's ARN")?;
    for kind in ["replace", "destroy"] {
        for item in plan[kind].as_array().with_context(|| format!("{kind} in {plan}"))? {
            let address = item["address"].as_str().unwrap_or_default();
            let holds = HOLD_EVENTS.iter().any(|holds| address.contains(holds));
            ensure!(!holds, "the upgrade would {kind} {address}");
            ensure!(address != key["address"], "the former key would be destroyed");
        }
    }
    let forgotten = json!([{ "address": key["address"], "id": arn }]);
    ensure!(plan["forget"] == forgotten, "the former key is not named: {}", plan["forget"]);
    let deploy = ["deploy", "dev", "--yes", "--artifact", &digest];
    let ended = story.xtask(DEPLOYER, &deploy)?;
    ensure!(ended.said.contains(arn), "the former key is not named: {}", ended.said);
    ended.done()?;
    // A role that deploys may do nothing to keys: an account would refuse it.
    let calls = story.proxy.take_calls();
    let of_keys = calls.iter().filter(|call| call.who == DEPLOYER && call.service == "kms");
    ensure!(of_keys.count() == 0, "the upgrade asks for keys");

    // What holds events is what it was, and the key is there though nothing manages it.
    let after = story.state(DEPLOYER, "dev")?;
    for (kind, name) in [
        ("aws_sqs_queue", "webhook"),
        ("aws_sqs_queue", "dead_letter"),
        ("aws_apigatewayv2_api", "webhook"),
        ("aws_lambda_event_source_mapping", "queue"),
    ] {
        let id = |state: &Value| resource(state, kind, name).map(|it| it["values"]["id"].clone());
        let was = id(&before).with_context(|| format!("{kind}.{name} of before"))?;
        ensure!(id(&after) == Some(was), "{kind}.{name} is another one");
    }
    ensure!(resource(&after, "aws_kms_key", "alarms").is_none(), "the key is managed still");
    ensure!(story.key_exists(arn)?, "the former key was deleted");

    // What waited is delivered, each key in order.
    story.done(ADMINISTRATOR, &["resume", "dev", "--no-wait"])?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let received = story.received()?;
        let numbers: Vec<u64> = received.iter().filter_map(|it| it["number"].as_u64()).collect();
        for key in 0..2 {
            let of_key: Vec<u64> = numbers.iter().copied().filter(|it| it % 2 == key).collect();
            ensure!(of_key.is_sorted(), "overtaken: {numbers:?}");
        }
        if (0..WAITING).all(|number| numbers.contains(&number)) {
            return Ok(None);
        }
        if Instant::now() > deadline {
            bail!("of {WAITING} events were delivered {numbers:?}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Earlier<'_> {
    fn state(&self, name: &str) -> anyhow::Result<Value> {
        serde_json::from_str(&self.terraform(name, &["show", "-json"])?).context("its state")
    }
}

/// A resource of a state, in whichever module.
fn resource<'a>(state: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    let mut modules = vec![&state["values"]["root_module"]];
    while let Some(module) = modules.pop() {
        modules.extend(module["child_modules"].as_array().into_iter().flatten());
        let mut resources = module["resources"].as_array().into_iter().flatten();
        if let Some(found) = resources.find(|it| it["type"] == kind && it["name"] == name) {
            return Some(found);
        }
    }
    None
}
