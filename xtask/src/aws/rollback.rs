//! `cargo xtask rollback`

use std::process::ExitCode;

use super::artifact::{Artifact, parse_digest};
use super::promote::difference;
use super::release::{self, Kind};
use super::rollout::Rollout;
use super::terraform::Terraform;
use super::{Environment, ask, preflight};

/// Bring the code of an earlier release back
///
/// Without --to it is the latest release with other code that was live before, and passed its smoke
/// test or had none. One that failed, or has no end, is never gone back to. Nothing is rebuilt. Only the
/// code goes back: Terraform's files and the environment's values are those of this work tree.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask rollback prod\n  cargo xtask releases prod\n  cargo xtask rollback prod --to 20261123T180102"
)]
pub(crate) struct Rollback {
    /// Environment
    #[arg(value_name = "ENV")]
    environment: String,

    /// Release to go back to, or the beginning of its name
    #[arg(long, value_name = "RELEASE")]
    to: Option<String>,

    /// Do nothing unless the latest release failed, or has no end: it was killed
    #[arg(long, conflicts_with = "to")]
    if_failed: bool,

    /// Apply the plan with this digest only, which `cargo xtask plan ENV --artifact DIGEST --json` has
    /// printed
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    approved: Option<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print JSON: the release and what is live
    #[arg(long)]
    json: bool,
}

impl Rollback {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = Environment::load(&self.environment)?;
        ask::can_confirm(self.yes)?;
        let terraform = Terraform::find(&environment)?;
        let (operator, by) = preflight::identify(&environment)?;
        preflight::warn_if_uncommitted(&environment);
        let releases = release::all_of_effect(&environment.name, &operator)?;
        if self.if_failed && !releases.first().is_some_and(|latest| latest.record.needs_repair()) {
            eprintln!(
                "{}: the latest release did not fail, nothing to roll back",
                environment.name
            );
            return Ok(ExitCode::SUCCESS);
        }
        let chosen = release::to_go_back_to(&environment.name, &releases, self.to.as_deref())?;
        let artifact =
            Artifact::fetch(&chosen.record.sha256, &operator)?.of_release(&chosen.record);
        eprintln!("{} back to {}", environment.name, chosen.id);
        eprint!("{}", difference(releases.first().map(|it| &it.record), &chosen.record));
        let rollout = Rollout {
            environment: &environment,
            terraform: &terraform,
            operator: &operator,
            kind: Kind::Rollback,
            from: None,
            before: releases.first().cloned(),
            by,
            approved: self.approved,
            yes: self.yes,
            json: self.json,
        };
        rollout.run(&artifact)
    }
}
