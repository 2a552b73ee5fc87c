//! `cargo xtask deploy`

use std::path::PathBuf;
use std::process::ExitCode;

use super::artifact::{Artifact, parse_digest};
use super::release::{self, Kind};
use super::rollout::Rollout;
use super::terraform::Terraform;
use super::{Environment, ask, preflight};

/// Bring an environment to what its configuration and this work tree say
///
/// Builds the function, plans, shows what would change, checks it, asks, applies, sends the event of
/// `aws.smoke_test` through the real path and records the release. `local` deploys the same modules to
/// an AWS emulator on this machine, with a stand-in for the service; `cargo xtask destroy local` ends
/// it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask deploy local\n  cargo xtask deploy dev\n  cargo xtask deploy dev --yes --artifact $(cargo xtask package --json | jq -r .sha256)"
)]
pub(crate) struct Deploy {
    /// Environment, such as `dev`: a folder of `environments/`
    #[arg(value_name = "ENV")]
    environment: String,

    /// Digest of the artifact, from target/package or the artifact bucket [default: build it]
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    artifact: Option<String>,

    /// Other values than those in environments/ENV/terraform.tfvars.json, to try a change; `local` only
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Apply the plan with this digest only, which `cargo xtask plan ENV --json` has printed
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    approved: Option<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print JSON: the release and what is live
    #[arg(long)]
    json: bool,
}

impl Deploy {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = Environment::load_with(&self.environment, self.config.as_deref())?;
        ask::can_confirm(self.yes)?;
        let terraform = Terraform::find(&environment)?;
        let (operator, by) = preflight::identify(&environment)?;
        preflight::check_deployable(&environment)?;
        let before = release::all_of_effect(&environment.name, &operator)?.into_iter().next();
        let artifact = match &self.artifact {
            None => Artifact::build(&environment)?,
            Some(digest) => match Artifact::packaged(digest) {
                Some(artifact) => artifact,
                None => Artifact::fetch(digest, &operator)?,
            },
        };
        let rollout = Rollout {
            environment: &environment,
            terraform: &terraform,
            operator: &operator,
            kind: Kind::Deploy,
            from: None,
            before,
            by,
            approved: self.approved,
            yes: self.yes,
            json: self.json,
        };
        rollout.run(&artifact)
    }
}
