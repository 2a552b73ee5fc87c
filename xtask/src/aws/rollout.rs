//! What deploy, promote and rollback have in common once they know the artifact: plan, show, check,
//! ask, write down that it begins, apply, try it out, write down how it ended.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use terminal::exit::{self, Failure};

use super::artifact::{self, Artifact};
use super::check::{self, Report};
use super::lock::Lock;
use super::operator::Operator;
use super::planned::Planned;
use super::release::{INTERRUPTED, Kind, Record, Release, State, Step};
use super::resources::{Action, Resource, Resources};
use super::smoke::{self, Smoke};
use super::summary::Summary;
use super::terraform::{Outputs, Terraform};
use super::{Environment, ask, emulator, stage, trouble};
use crate::interrupt;
use crate::package::Stub;

/// What the emulator does not keep: an alarm's actions, and what kind of integration one is.
const FORGOTTEN: [&str; 2] = ["alarms", "ingest"];

/// Longest reason of a failure that is written down, in characters.
const REASON_CHARS_MAX: usize = 300;

/// How an artifact is brought to an environment.
#[derive(Debug)]
pub(crate) struct Rollout<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) terraform: &'a Terraform<'a>,
    pub(crate) operator: &'a Operator<'a>,
    pub(crate) kind: Kind,
    /// The environment that it is promoted from.
    pub(crate) from: Option<&'a str>,
    /// The last release of the environment.
    pub(crate) before: Option<Release>,
    /// Who does it.
    pub(crate) by: String,
    /// The digest of the only plan that may be applied.
    pub(crate) approved: Option<String>,
    /// Whether the question is answered beforehand.
    pub(crate) yes: bool,
    pub(crate) json: bool,
}

/// What was planned, and shown.
struct Shown {
    resources: Resources,
    planned: Planned,
    report: Report,
    /// Why what changes of the API does not go live by itself.
    obstacle: Option<String>,
}

/// How far it has come.
struct Reached {
    step: Step,
    outputs: Option<Outputs>,
}

impl Rollout<'_> {
    /// Makes `artifact` live.
    pub(crate) fn run(&self, artifact: &Artifact) -> anyhow::Result<ExitCode> {
        let environment = self.environment;
        let name = &environment.name;
        artifact.check_runs_in(environment)?;
        if environment.is_local() {
            // Before anything is changed: what does not compile should show itself first.
            stage::build()?;
            emulator::ensure_running()?;
        }
        let stub = artifact::stub(environment)?;
        self.tell_of_what_has_no_end();
        let shown = self.plan(artifact, stub.as_ref())?;
        shown.planned.check_approved(self.approved.as_deref(), name)?;
        if shown.planned.applyable {
            ask::confirm(&format!("Apply this to {name}?"), self.yes)?;
        } else {
            eprintln!("nothing to change");
        }
        // Whoever came in between and changed something makes the plan stale, which Terraform refuses.
        let lock = self.terraform.lock()?;
        let _guard = interrupt::guard()?;
        let before = self.before.as_ref().map(|release| &release.record);
        let begun = Record {
            by: self.by.clone(),
            from: self.from.map(str::to_owned),
            plan: Some(shown.planned.digest.clone()),
            ..Record::begin(name, self.kind, &artifact.manifest, before)
        };
        begun
            .keep(self.operator)
            .context("nothing was changed, as it could not be written down")?;
        let mut reached = Reached { step: Step::Begin, outputs: None };
        let carried_out = self.carry_out(artifact, stub.as_ref(), &shown, lock, &mut reached);
        let state = match &carried_out {
            Ok(state) => state.clone(),
            Err(error) => State::Failed { step: reached.step, reason: reason_of(error) },
        };
        let version = reached.outputs.as_ref().map(|outputs| outputs.function_version.clone());
        let record = begun.end(state, version);
        let kept = record.keep(self.operator).with_context(|| {
            format!(
                "release {} of {name} has ended as {}, and that could not be written down: `cargo xtask \
                 releases {name}` shows it as started. Once it can be, the same command again finds \
                 nothing to change and writes down how that ended",
                record.id(),
                record.state
            )
        });
        if let (Err(_first), Err(error)) = (&carried_out, &kept) {
            eprintln!("error: {error:#}");
        }
        carried_out?;
        kept?;
        let outputs = reached.outputs.context("it ended without Terraform's outputs")?;
        self.print(&record, &outputs, &shown.planned.summary)?;
        if record.needs_repair() {
            eprintln!(
                "error: {} is live and did not prove itself; `cargo xtask rollback {name}` brings the \
                 former code back",
                record.id()
            );
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Says so if the last deployment was killed, or still runs elsewhere.
    fn tell_of_what_has_no_end(&self) {
        if let Some(Release { id, record }) = &self.before
            && record.state == State::Started
        {
            eprintln!(
                "note: release {id} of {}, begun by {}, has no end: it was killed, or still runs. What it \
                 has left is taken up",
                self.environment.name, record.by
            );
        }
    }

    /// Plans, shows the plan and refuses what must not be.
    fn plan(&self, artifact: &Artifact, stub: Option<&Stub>) -> anyhow::Result<Shown> {
        let (planned, resources) = Planned::make(self.environment, self.terraform, artifact, stub)?;
        let report = self.review(&resources, &planned.summary)?;
        let obstacle = self.operator.obstacle_of_stage()?;
        let obstacle = obstacle.filter(|_| resources.all.iter().any(changes_api));
        if let Some(obstacle) = &obstacle {
            eprintln!("note: {obstacle}");
        }
        Ok(Shown { resources, planned, report, obstacle })
    }

    /// Does what was shown, and says how it ended; `reached` tells how far it came if it fails.
    fn carry_out(
        &self,
        artifact: &Artifact,
        stub: Option<&Stub>,
        shown: &Shown,
        lock: Lock,
        reached: &mut Reached,
    ) -> anyhow::Result<State> {
        let environment = self.environment;
        artifact.keep(self.operator)?;
        if let Some(stub) = stub {
            stub.keep(self.operator)?;
        }
        if shown.planned.applyable {
            let mappings = shown.resources.of_kind("aws_lambda_event_source_mapping");
            for mapping in mappings.filter(|mapping| mapping.action == Action::Update) {
                let uuid = mapping.before["uuid"].as_str();
                self.operator.settle(uuid.context("the event source mapping has no uuid")?)?;
            }
            let applied = self.terraform.apply();
            reached.step = step_of(&applied);
            applied?;
            reached.step = Step::Refresh;
            self.terraform.refresh()?;
        }
        reached.step = Step::Invariants;
        let report = self.check_again(&shown.report)?;
        let outputs = reached.outputs.insert(self.terraform.outputs()?);
        if let Some(broken) = report.filter(|report| !report.holds()) {
            eprint!("\n{}", broken.text());
            return Ok(State::Failed { step: Step::Invariants, reason: what_broke(&broken)? });
        }
        reached.step = Step::Code;
        if outputs.code_sha256 != artifact.manifest.code_sha256 {
            bail!(
                "{} runs code {}, the artifact is {}: somebody else has deployed, or the alias was moved",
                outputs.function_name,
                outputs.code_sha256,
                artifact.manifest.code_sha256
            );
        }
        drop(lock);
        if environment.is_local() {
            reached.step = Step::Stage;
            stage::start(environment, outputs)?;
        }
        reached.step = Step::Smoke;
        if let Some(reason) = shown.obstacle.clone() {
            eprintln!("smoke test skipped: {reason}");
            return Ok(State::Skipped { reason });
        }
        Ok(match smoke::run(environment, self.operator, outputs, &shown.resources)? {
            Smoke::Passed => {
                self.check_still_runs(artifact)?;
                State::Passed
            }
            Smoke::Skipped(reason) => State::Skipped { reason },
            Smoke::Failed(reason) => {
                State::Failed { step: Step::Smoke, reason: shortened(&reason) }
            }
        })
    }

    /// Fails if the function runs other code by now: nobody knows then which of them took the event.
    fn check_still_runs(&self, artifact: &Artifact) -> anyhow::Result<()> {
        let live = self.operator.live()?;
        if live.code_sha256 != artifact.manifest.code_sha256 {
            bail!(
                "somebody else has deployed to {} while the event went through: code {} runs there now \
                 (version {})",
                self.environment.name,
                live.code_sha256,
                live.function_version
            );
        }
        Ok(())
    }

    /// Shows the plan and refuses what must not be.
    fn review(&self, resources: &Resources, summary: &Summary) -> anyhow::Result<Report> {
        let name = &self.environment.name;
        eprint!("\n{}", summary.text());
        eprintln!("{name}: {}", summary.counts());
        let report = check::check(resources, &self.environment.config);
        if !report.holds() {
            eprint!("\n{}", report.text());
            bail!("the plan for {name} breaks what must hold, so nothing was changed");
        }
        eprintln!("checked: everything holds{}", later(&report));
        Ok(report)
    }

    /// Checks what could not be told before the apply.
    fn check_again(&self, before: &Report) -> anyhow::Result<Option<Report>> {
        if before.open() == 0 {
            return Ok(None);
        }
        let exempt = if self.environment.is_local() { FORGOTTEN.as_slice() } else { &[] };
        let state = Resources::of_state(&self.terraform.state()?)?;
        let after = check::check(&state, &self.environment.config);
        Ok(Some(after.only_open_in(before, exempt)))
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
                "record": record.document()?,
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
        println!("  smoke test  {}", record.state);
        for (route, url) in urls {
            println!("  {route:<11} {url}");
        }
        Ok(())
    }
}

/// How far an apply has come, of which nobody knows more if it failed.
pub(crate) fn step_of(applied: &anyhow::Result<()>) -> Step {
    let is_refused = applied.as_ref().is_err_and(trouble::is_refusal);
    if is_refused { Step::Begin } else { Step::Apply }
}

/// Whether something of the API changes that only a deployment of its stage brings to life.
fn changes_api(resource: &Resource) -> bool {
    let part = resource.kind.strip_prefix("aws_apigatewayv2_");
    resource.action != Action::Nothing
        && matches!(part, Some("route" | "integration" | "authorizer"))
}

/// Why something failed, in one line.
pub(crate) fn reason_of(error: &anyhow::Error) -> String {
    if exit::failure_of(error) == Some(Failure::Interrupted) {
        return INTERRUPTED.to_owned();
    }
    let text = format!("{error:#}");
    shortened(text.lines().next().unwrap_or_default())
}

/// The invariants that do not hold, in one line.
fn what_broke(report: &Report) -> anyhow::Result<String> {
    let report = serde_json::to_value(report)?;
    let findings = report["findings"].as_array().into_iter().flatten();
    let broken = findings.filter(|it| it["broken"].as_array().is_some_and(|it| !it.is_empty()));
    let lines = broken.map(|it| format!("{}: {}", text(&it["name"]), text(&it["broken"][0])));
    Ok(shortened(&lines.collect::<Vec<_>>().join("; ")))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn shortened(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

fn later(report: &Report) -> String {
    match report.open() {
        0 => String::new(),
        open => {
            format!(", {open} of {} to be checked again after the apply", report.findings.len())
        }
    }
}
