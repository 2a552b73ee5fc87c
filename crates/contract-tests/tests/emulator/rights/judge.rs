//! The evaluator of IAM policies, and whose policies are which, as Terraform has made them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::story::{ACCOUNT, ADMINISTRATOR, REGION};
use super::table::{KEY, Right};
use crate::step;

/// It is asked as a program of its own, and nothing of it is in what is released.
const PACKAGE: &str = "@cloud-copilot/iam-simulate@0.1.173";

/// Installs the evaluator unless it is there; else why it cannot be had on this machine.
pub(super) fn install() -> Result<PathBuf, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("starting a runtime: {error}"))?;
    let target = step::target_dir().join("tmp");
    runtime.block_on(contract_tests::installed::npm(&target, &[PACKAGE]))
}

/// Who there is, with which policies.
pub(super) struct Judge {
    evaluator: PathBuf,
    principals: BTreeMap<String, Value>,
    /// Policies of resources, by the resource's ARN.
    resources: BTreeMap<String, Value>,
    boundaries: BTreeMap<String, Value>,
    /// ARNs that AWS draws, by what is there and the environment.
    drawn: BTreeMap<(&'static str, String), String>,
}

impl Judge {
    /// Whoever bootstrap's state says there is, and the administrator.
    pub(super) fn new(evaluator: PathBuf, bootstrap: &Value) -> anyhow::Result<Self> {
        let resources = resources(bootstrap);
        let policies: BTreeMap<&str, &Value> = of_kind(&resources, "aws_iam_policy")
            .map(|it| (it["arn"].as_str().unwrap_or_default(), it))
            .collect();
        let mut judge = Self {
            evaluator,
            principals: BTreeMap::new(),
            resources: BTreeMap::new(),
            boundaries: BTreeMap::new(),
            drawn: BTreeMap::new(),
        };
        for (arn, policy) in &policies {
            judge.boundaries.insert((*arn).to_owned(), document(&policy["policy"])?);
        }
        for role in of_kind(&resources, "aws_iam_role") {
            let name = role["name"].as_str().unwrap_or_default();
            let attached = of_kind(&resources, "aws_iam_role_policy_attachment")
                .filter(|attachment| attachment["role"] == name)
                .map(|attachment| policies[attachment["policy_arn"].as_str().unwrap_or_default()]);
            let attached: Vec<Value> = attached.map(named).collect::<Result<_, _>>()?;
            ensure!(!attached.is_empty(), "{name} has no policy");
            judge.add(
                name.trim_start_matches("acme-webhook-"),
                &role["arn"],
                &attached,
                &Value::Null,
            );
        }
        for name in ["dev", "prod"] {
            let of = |policy: &str| {
                let arn = format!("arn:aws:iam::{ACCOUNT}:policy/acme-webhook-{name}-{policy}");
                named(policies.get(arn.as_str()).with_context(|| format!("there is no {arn}"))?)
            };
            let person = json!(format!("arn:aws:iam::{ACCOUNT}:role/people"));
            judge.add(&format!("{name}-look"), &person, &[of("look")?], &Value::Null);
            judge.add(
                &format!("{name}-operate"),
                &person,
                &[of("look")?, of("operate")?],
                &Value::Null,
            );
        }
        let everything = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
        let administrator = json!(format!("arn:aws:iam::{ACCOUNT}:role/administrator"));
        let policies = [json!({ "name": "everything", "policy": everything })];
        judge.add(ADMINISTRATOR, &administrator, &policies, &Value::Null);
        for policy in of_kind(&resources, "aws_s3_bucket_policy") {
            let bucket = policy["bucket"].as_str().unwrap_or_default();
            judge.resources.insert(format!("arn:aws:s3:::{bucket}"), document(&policy["policy"])?);
        }
        for key in of_kind(&resources, "aws_kms_key") {
            let arn = key["arn"].as_str().unwrap_or_default().to_owned();
            let of = key["description"].as_str().unwrap_or_default();
            let of = of.trim_start_matches("Encrypts alarms of ").trim_end_matches("-webhook");
            judge.resources.insert(arn.clone(), document(&key["policy"])?);
            judge.drawn.insert(("alarms-key", of.to_owned()), arn);
        }
        // What a key's policy is unless its owner says otherwise: IAM decides. Source: KMS guide,
        // "Default key policy".
        let root = format!("arn:aws:iam::{ACCOUNT}:root");
        let statement = json!({ "Effect": "Allow", "Principal": { "AWS": root }, "Action": "kms:*", "Resource": "*" });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
        judge.resources.insert(format!("arn:aws:kms:{REGION}:{ACCOUNT}:{KEY}"), policy);
        judge.add("cloudwatch", &json!("cloudwatch.amazonaws.com"), &[], &Value::Null);
        Ok(judge)
    }

    /// The ARN of what an environment has: `alarms-key`, `mapping`, `topic`.
    pub(super) fn drawn(&self, what: &'static str, environment: &str) -> anyhow::Result<&str> {
        let found = self.drawn.get(&(what, environment.to_owned()));
        Ok(found.with_context(|| format!("{environment} has no {what}"))?)
    }

    /// The roles that an environment's modules have made.
    pub(super) fn learn(&mut self, environment: &str, state: &Value) -> anyhow::Result<()> {
        let resources = resources(state);
        for role in of_kind(&resources, "aws_iam_role") {
            let name = role["name"].as_str().unwrap_or_default();
            let inline = of_kind(&resources, "aws_iam_role_policy").filter(|it| it["role"] == name);
            let inline: Vec<Value> = inline.map(named).collect::<Result<_, _>>()?;
            let boundary = role["permissions_boundary"].as_str().unwrap_or_default();
            let policy = self.boundaries.get(boundary);
            let policy = policy.with_context(|| format!("{name} is not bounded by bootstrap"))?;
            let boundary = json!({ "name": boundary, "policy": policy });
            let short = name.rsplit("-webhook-").next().unwrap_or_default();
            self.add(&format!("{environment}-{short}"), &role["arn"], &inline, &boundary);
        }
        for mapping in of_kind(&resources, "aws_lambda_event_source_mapping") {
            let arn = mapping["arn"].as_str().unwrap_or_default().to_owned();
            self.drawn.insert(("mapping", environment.to_owned()), arn);
        }
        for policy in of_kind(&resources, "aws_sns_topic_policy") {
            let arn = policy["arn"].as_str().unwrap_or_default().to_owned();
            self.resources.insert(arn.clone(), document(&policy["policy"])?);
            self.drawn.insert(("topic", environment.to_owned()), arn);
        }
        Ok(())
    }

    /// Whether there is such a one by now.
    pub(super) fn knows(&self, who: &str) -> bool {
        self.principals.contains_key(who)
    }

    fn add(&mut self, who: &str, arn: &Value, policies: &[Value], boundary: &Value) {
        let principal = json!({ "arn": arn, "policies": policies, "boundary": boundary });
        self.principals.insert(who.to_owned(), principal);
    }

    /// What is not judged so.
    pub(super) fn all_but(
        &self,
        asked: &[(String, Right)],
        verdict: &str,
    ) -> anyhow::Result<Vec<String>> {
        self.told(asked, |result| result != verdict)
    }

    /// What is judged so, or could not be judged.
    pub(super) fn none_of(
        &self,
        asked: &[(String, Right)],
        verdict: &str,
    ) -> anyhow::Result<Vec<String>> {
        self.told(asked, |result| result == verdict || result == "Error")
    }

    fn told(
        &self,
        asked: &[(String, Right)],
        wrong: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Vec<String>> {
        let verdicts = self.verdicts(asked)?;
        ensure!(verdicts.len() == asked.len(), "{} verdicts of {}", verdicts.len(), asked.len());
        let wrong = asked
            .iter()
            .zip(verdicts)
            .filter(|(_, it)| wrong(it["result"].as_str().unwrap_or_default()));
        let wrong = wrong.map(|((who, right), verdict)| {
            let Right { action, resource, context } = right;
            let errors = verdict["errors"].as_str().unwrap_or_default();
            format!("{who}: {action} on {resource} {context:?} {errors}")
        });
        Ok(wrong.collect())
    }

    fn verdicts(&self, asked: &[(String, Right)]) -> anyhow::Result<Vec<Value>> {
        let requests: Vec<Value> = asked
            .iter()
            .map(|(who, Right { action, resource, context })| {
                json!({ "who": who, "action": action, "resource": resource, "context": context })
            })
            .collect();
        let question = json!({
            "account": ACCOUNT,
            "principals": self.principals,
            "resources": self.resources,
            "requests": requests,
        });
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/rights/evaluate.mjs");
        let mut node = Command::new("node");
        node.arg(script).arg(&self.evaluator).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.spawn().context("starting node")?;
        let mut stdin = child.stdin.take().context("node reads")?;
        let text = question.to_string();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().context("waiting for node")?;
        writer.join().expect("a thread that does not panic")?;
        ensure!(output.status.success(), "the evaluator ended with {}", output.status);
        serde_json::from_slice(&output.stdout).context("reading the verdicts")
    }
}

/// The values of all resources in a state, with their types.
fn resources(state: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut modules = vec![&state["values"]["root_module"]];
    while let Some(module) = modules.pop() {
        modules.extend(module["child_modules"].as_array().into_iter().flatten());
        for resource in module["resources"].as_array().into_iter().flatten() {
            let kind = resource["type"].as_str().unwrap_or_default().to_owned();
            found.push((kind, resource["values"].clone()));
        }
    }
    found
}

fn of_kind<'a>(resources: &'a [(String, Value)], kind: &str) -> impl Iterator<Item = &'a Value> {
    resources.iter().filter(move |(is, _)| is == kind).map(|(_, values)| values)
}

/// A policy with its name.
fn named(policy: &Value) -> anyhow::Result<Value> {
    Ok(json!({ "name": policy["name"], "policy": document(&policy["policy"])? }))
}

fn document(text: &Value) -> anyhow::Result<Value> {
    serde_json::from_str(text.as_str().unwrap_or_default()).context("a policy's document")
}
