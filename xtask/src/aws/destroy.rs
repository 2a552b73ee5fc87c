//! `cargo xtask destroy`

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::resources::Resources;
use super::summary::Summary;
use super::terraform::Terraform;
use super::{Environment, ask, emulator, local_dir, preflight, stage};
use crate::exit::Failure;

/// Delete an environment, with everything that waits in its queues
///
/// Refused while `aws.deletion_protection` is set. The list of skips and a pause's scheduled end go with
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
            return Err(error.context(Failure::Usage));
        }
        if environment.is_local() && !emulator::is_running() {
            stage::stop()?;
            forget()?;
            println!("{name}: nothing was running");
            return Ok(ExitCode::SUCCESS);
        }
        let terraform = Terraform::find(&environment)?;
        // Of the right account, before anything is looked at.
        let (operator, _) = preflight::identify(&environment)?;
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
            let _lock = terraform.lock()?;
            if environment.is_local() {
                stage::stop()?;
            }
            terraform.apply_destroy()?;
        }
        if environment.is_local() {
            stage::stop()?;
            emulator::stop()?;
            forget()?;
        } else {
            // Also where nothing is left to destroy: a run that was killed here is finished so.
            operator.forget()?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json!({ "destroyed": summary.destroy }))?);
        } else {
            println!("{name} is gone: {} resources were deleted", summary.destroy.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Deletes the state of what was on the emulator: it is gone with it.
fn forget() -> anyhow::Result<()> {
    for name in ["terraform.tfstate", "terraform.tfstate.backup"] {
        let path = local_dir().join(name);
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("deleting {}", path.display()))?;
        }
    }
    Ok(())
}
