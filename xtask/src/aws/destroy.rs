//! `cargo xtask destroy`

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use terminal::exit::Failure;

use super::operator::Operator;
use super::release::{self, Record, State};
use super::resources::Resources;
use super::rollout::{reason_of, step_of};
use super::summary::Summary;
use super::terraform::Terraform;
use super::{Environment, ask, emulator, local_dir, preflight, stage};
use crate::interrupt;

/// Delete an environment, with everything that waits in its queues
///
/// Refused while `aws.deletion_protection` is set. That it begins and how it ended is on record, as of a
/// deployment: `cargo xtask releases`. The list of skips and the pauses go with
/// it; artifacts, release records and the state's bucket stay. `local` also stops the emulator and all
/// that `cargo xtask deploy local` started.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask destroy local --yes\n  cargo xtask destroy dev")]
pub(crate) struct Destroy {
    /// Environment
    #[arg(value_name = "ENV")]
    environment: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print JSON: what was deleted
    #[arg(long)]
    json: bool,
}

impl Destroy {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = Environment::load(&self.environment)?;
        let name = &environment.name;
        if environment.aws.deletion_protection {
            let error = anyhow!(
                "{name} is protected: set aws.deletion_protection to false in its configuration, prepare \
                 the folder with `cargo xtask plan {name}` (which refuses), take the protection out of the \
                 state with\n  TF_DATA_DIR={} terraform -chdir=environments/{name} state rm \
                 'module.webhook.module.queue.terraform_data.deletion_protection[0]'\nand start again",
                environment.terraform_dir().join("data").display()
            );
            return Err(Failure::Usage.of(error));
        }
        if environment.is_local() && !emulator::is_running() {
            stage::stop()?;
            forget()?;
            println!("{name}: nothing was running");
            return Ok(ExitCode::SUCCESS);
        }
        let terraform = Terraform::find(&environment)?;
        // Of the right account, before anything is looked at.
        let (operator, by) = preflight::identify(&environment)?;
        let before =
            release::all_of_effect(name, &operator)?.into_iter().next().map(|last| last.record);
        // Deleting asks for the variables as well, checks their shape, and uses none of them.
        let any = json!({ "code_sha256": BASE64_STANDARD.encode([0; 32]), "path": "none" });
        let lock = terraform.lock()?;
        terraform.tell(&json!({ "artifact": any, "stub_artifact": any }))?;
        terraform.init()?;
        let summary = Summary::of(&Resources::of_plan(&terraform.plan_destroy()?)?);
        drop(lock);
        eprint!("\n{}", summary.text());
        eprintln!("{name}: {}", summary.counts());
        if !summary.is_empty() {
            let question = format!("Delete {name} and every event that waits in its queues?");
            ask::confirm(&question, self.yes)?;
        }
        let lock = terraform.lock()?;
        let _guard = interrupt::guard()?;
        // A run that was killed is finished, also where nothing is left to delete.
        let is_unfinished = before.as_ref().is_some_and(Record::is_unfinished_destroy);
        let begun = (!summary.is_empty() || is_unfinished)
            .then(|| Record::begin_destroy(name, before.as_ref(), by));
        if let Some(begun) = &begun {
            begun
                .keep(&operator)
                .context("nothing was deleted, as it could not be written down")?;
        }
        let done = carry_out(&environment, &terraform, &operator, summary.is_empty());
        drop(lock);
        let kept = begun.map_or(Ok(()), |begun| {
            let state = match &done {
                Ok(()) => State::Passed,
                Err(error) => State::Failed { step: step_of(&done), reason: reason_of(error) },
            };
            begun.end(state, None).keep(&operator).context("writing down how it ended")
        });
        if let (Err(_first), Err(error)) = (&done, &kept) {
            eprintln!("error: {error:#}");
        }
        done?;
        kept?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json!({ "destroyed": summary.destroy }))?);
        } else {
            println!("{name} is gone: {} resources were deleted", summary.destroy.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Deletes what there is, and what the commands have made beside Terraform.
fn carry_out(
    environment: &Environment,
    terraform: &Terraform<'_>,
    operator: &Operator<'_>,
    is_empty: bool,
) -> anyhow::Result<()> {
    if environment.is_local() {
        stage::stop()?;
    }
    if !is_empty {
        terraform.apply_destroy()?;
    }
    if environment.is_local() {
        emulator::stop()?;
        return forget();
    }
    operator.forget()
}

/// Deletes the state of what was on the emulator, and its pauses: they are gone with it.
fn forget() -> anyhow::Result<()> {
    let operating = local_dir().join("bucket").join("operating");
    if operating.exists() {
        std::fs::remove_dir_all(&operating)
            .with_context(|| format!("deleting {}", operating.display()))?;
    }
    for name in ["terraform.tfstate", "terraform.tfstate.backup"] {
        let path = local_dir().join(name);
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("deleting {}", path.display()))?;
        }
    }
    Ok(())
}
