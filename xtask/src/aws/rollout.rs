//! What deploy, promote and rollback have in common once they know the artifact: plan, show, check,
//! ask, apply, try it out, write it down.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use domain::time::Timestamp;
use serde_json::json;

use super::artifact::{self, Artifact};
use super::check::{self, Report};
use super::operator::Operator;
use super::release::{Kind, Record};
use super::resources::{Action, Resources};
use super::smoke::{self, Smoke};
use super::summary::Summary;
use super::terraform::{self, Outputs, Terraform};
use super::{Environment, ask, emulator, stage};
use crate::output::{Color, colored};

/// What the emulator does not keep: an alarm's actions, and what kind of integration one is.
const FORGOTTEN: [&str; 2] = ["alarms", "ingest"];

/// How an artifact is brought to an environment.
#[derive(Debug)]
pub(crate) struct Rollout<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) terraform: &'a Terraform<'a>,
    pub(crate) operator: &'a Operator<'a>,
    pub(crate) kind: Kind,
    /// The environment that it is promoted from.
    pub(crate) from: Option<&'a str>,
    /// Who does it.
    pub(crate) by: String,
    /// Whether the question is answered beforehand.
    pub(crate) yes: bool,
    pub(crate) json: bool,
}

impl Rollout<'_> {
    /// Makes `artifact` live.
    pub(crate) fn run(&self, artifact: &Artifact) -> anyhow::Result<ExitCode> {
        let environment = self.environment;
        artifact.check_runs_in(environment)?;
        if environment.is_local() {
            // Before anything is changed: what does not compile should show itself first.
            stage::build()?;
            emulator::ensure_running()?;
        }
        let stub = artifact::stub(environment)?;
        artifact.keep(self.operator)?;
        if let Some(stub) = &stub {
            stub.keep(self.operator)?;
        }
        let variables = artifact.variables(environment, stub.as_ref());
        terraform::write_variables(&self.terraform.artifact_file(), &variables)?;
        self.terraform.init()?;
        let resources = Resources::of_plan(&self.terraform.plan()?)?;
        let (summary, report) = self.review(&resources)?;
        if summary.is_empty() {
            eprintln!("nothing to change");
        } else {
            let question = format!("Apply this to {}?", environment.name);
            ask::confirm(&question, self.yes)?;
            self.terraform.apply()?;
            self.terraform.refresh()?;
        }
        let held = self.check_again(&report)?;
        let outputs = self.terraform.outputs()?;
        if outputs.code_sha256 != artifact.manifest.code_sha256 {
            bail!(
                "{} runs code {}, the artifact is {}: somebody else has deployed, or the alias was moved",
                outputs.function_name,
                outputs.code_sha256,
                artifact.manifest.code_sha256
            );
        }
        if environment.is_local() {
            stage::start(environment, &outputs)?;
        }
        let smoke = smoke::run(environment, self.operator, &outputs, &resources);
        let record = self.record(artifact, &outputs, &smoke)?;
        self.print(&record, &outputs, &summary)?;
        let failed = matches!(smoke, Smoke::Failed(_)) || !held;
        if failed {
            eprintln!(
                "error: {} is live and did not prove itself; `cargo xtask rollback {}` brings the former \
                 code back",
                record.id(),
                environment.name
            );
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Shows the plan and refuses what must not be.
    fn review(&self, resources: &Resources) -> anyhow::Result<(Summary, Report)> {
        let name = &self.environment.name;
        let summary = Summary::of(resources);
        eprint!("\n{}", summary.text());
        eprintln!("{name}: {}", summary.counts());
        let report = check::check(resources, &self.environment.config);
        if !report.holds() {
            eprint!("\n{}", report.text());
            bail!("the plan for {name} breaks what must hold, so nothing was changed");
        }
        eprintln!("checked: everything holds{}", later(&report));
        for queue in resources.all.iter().filter(|resource| {
            resource.kind == "aws_sqs_queue"
                && matches!(
                    resource.action,
                    Action::Delete | Action::DeleteThenCreate | Action::CreateThenDelete
                )
        }) {
            let warning =
                format!("{} goes, and with it every event that waits in it", queue.address);
            eprintln!("{}", colored(Color::Red, &warning));
        }
        Ok((summary, report))
    }

    /// Checks what could not be told before the apply, and says whether it holds.
    fn check_again(&self, before: &Report) -> anyhow::Result<bool> {
        if before.open() == 0 {
            return Ok(true);
        }
        let exempt = if self.environment.is_local() { FORGOTTEN.as_slice() } else { &[] };
        let state = Resources::of_state(&self.terraform.state()?)?;
        let after = check::check(&state, &self.environment.config).only_open_in(before, exempt);
        if !after.holds() {
            eprint!("\n{}", after.text());
        }
        Ok(after.holds())
    }

    fn record(
        &self,
        artifact: &Artifact,
        outputs: &Outputs,
        smoke: &Smoke,
    ) -> anyhow::Result<Record> {
        let now = Timestamp::from(SystemTime::now());
        let record = Record {
            by: self.by.clone(),
            kind: self.kind,
            from: self.from.map(str::to_owned),
            function_version: outputs.function_version.clone(),
            ..Record::new(&self.environment.name, now, &artifact.manifest, smoke)
        };
        record.keep(self.operator).context("it is live, but its release could not be recorded")?;
        Ok(record)
    }

    fn print(&self, record: &Record, outputs: &Outputs, summary: &Summary) -> anyhow::Result<()> {
        let urls = if self.environment.is_local() {
            stage::ingest_urls(self.environment)
        } else {
            outputs.ingest_urls.clone()
        };
        if self.json {
            let live = json!({
                "release": record.id(),
                "record": record,
                "ingest_urls": urls,
                "queue_url": outputs.queue_url,
                "dead_letter_queue_url": outputs.dead_letter_queue_url,
                "api_endpoint": outputs.api_endpoint,
                "function_name": outputs.function_name,
                "dashboard_name": outputs.dashboard_name,
                "changes": {
                    "added": summary.add.len(),
                    "changed": summary.change.len(),
                    "replaced": summary.replace.len(),
                    "destroyed": summary.destroy.len(),
                },
            });
            println!("{}", serde_json::to_string_pretty(&live)?);
            return Ok(());
        }
        println!("\n{} is live: release {}", self.environment.name, record.id());
        println!("  artifact    {}", record.sha256);
        let dirty = if record.dirty { ", with changes that are not committed" } else { "" };
        println!("  commit      {}{dirty}", record.short_commit());
        println!("  function    {} version {}", outputs.function_name, outputs.function_version);
        println!("  smoke test  {}", record.smoke);
        for (route, url) in urls {
            println!("  {route:<11} {url}");
        }
        Ok(())
    }
}

fn later(report: &Report) -> String {
    match report.open() {
        0 => String::new(),
        open => {
            format!(", {open} of {} to be checked again after the apply", report.findings.len())
        }
    }
}
