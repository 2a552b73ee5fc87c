//! `cargo xtask promote`

use std::process::ExitCode;

use anyhow::bail;

use super::artifact::{Artifact, Workflow, parse_digest, parse_workflow};
use super::operator::Operator;
use super::release::{self, Kind, Record, Release};
use super::rollout::Rollout;
use super::terraform::Terraform;
use super::{Environment, ask, preflight};
use crate::process;

/// Bring the very bytes that one environment runs to another
///
/// Takes the last release of FROM, if it passed its smoke test and FROM's function runs it. Nothing is
/// rebuilt: the bytes are fetched, hashed again and, where TO has an artifact bucket of its own, kept
/// there. What was built with changes that are not committed is refused. Terraform's files and TO's
/// values are those of this work tree, which must be a commit's.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask promote dev prod\n  cargo xtask promote dev prod --yes --attested-by acme/webhook-queue/.github/workflows/deploy-dev.yml@refs/heads/main"
)]
pub(crate) struct Promote {
    /// Environment whose release is taken
    #[arg(value_name = "FROM")]
    from: String,

    /// Environment that it is brought to
    #[arg(value_name = "TO")]
    to: String,

    /// Refuse bytes that this workflow of GitHub Actions, of this branch, has not attested to have built
    /// (needs `gh`)
    #[arg(long, value_name = "WORKFLOW@REF", value_parser = parse_workflow)]
    attested_by: Option<Workflow>,

    /// Apply the plan with this digest only, which `cargo xtask plan TO --from FROM --json` has printed
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    approved: Option<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print JSON: the release and what is live
    #[arg(long)]
    json: bool,
}

impl Promote {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (from, to) = (Environment::load(&self.from)?, Environment::load(&self.to)?);
        ask::can_confirm(self.yes)?;
        let terraform = Terraform::find(&to)?;
        let (operator, by) = preflight::identify(&to)?;
        preflight::check_committed(&to)?;
        let Taken { artifact, before, difference } = take(&from, &to.name, &operator)?;
        eprint!("{difference}");
        if let Some(workflow) = &self.attested_by {
            artifact.check_attestation(workflow)?;
        }
        let rollout = Rollout {
            environment: &to,
            terraform: &terraform,
            operator: &operator,
            kind: Kind::Promote,
            from: Some(&from.name),
            before,
            by,
            approved: self.approved,
            yes: self.yes,
            json: self.json,
        };
        rollout.run(&artifact)
    }
}

/// What a promotion brings.
pub(super) struct Taken {
    pub(super) artifact: Artifact,
    /// The last release of the environment that it is brought to.
    pub(super) before: Option<Release>,
    /// What differs between the two, for people: the releases, the artifacts and the commits.
    pub(super) difference: String,
}

/// The artifact that `from` runs, for an environment `to` with its `operator`.
///
/// # Errors
///
/// When what `from` runs is not to be promoted, or is not what its last release says.
pub(super) fn take(from: &Environment, to: &str, operator: &Operator<'_>) -> anyhow::Result<Taken> {
    let source = Operator::new(from)?;
    let releases = release::all_of_effect(&from.name, &source)?;
    let chosen = release::to_promote(&from.name, &releases)?;
    let artifact = Artifact::fetch_for(operator, &chosen.record.sha256, &source)?;
    let live = source.live()?;
    if live.code_sha256 != artifact.manifest.code_sha256 {
        bail!(
            "{} runs code {} (version {}), and its last release {} is {}: somebody has deployed past the \
             records, or moved the alias. `cargo xtask deploy {}`, and promote that",
            from.name,
            live.code_sha256,
            live.function_version,
            chosen.id,
            artifact.manifest.code_sha256,
            from.name
        );
    }
    let before = release::all_of_effect(to, operator)?.into_iter().next();
    let commits = difference(before.as_ref().map(|release| &release.record), &chosen.record);
    let difference = format!("{} {} → {to}\n{commits}", from.name, chosen.id);
    Ok(Taken { artifact: artifact.of_release(&chosen.record), before, difference })
}

/// What the code of two releases has different.
pub(super) fn difference(live: Option<&Record>, new: &Record) -> String {
    let Some(live) = live else {
        return format!("  artifact  {}\n  commit    {}\n", new.short_digest(), new.short_commit());
    };
    let (old_commit, commit) = (live.short_commit(), new.short_commit());
    let artifact = if live.sha256 == new.sha256 {
        format!("  artifact  {}, which is live already\n", new.short_digest())
    } else {
        format!("  artifact  {} → {}\n", live.short_digest(), new.short_digest())
    };
    let mut lines = vec![artifact, format!("  commit    {old_commit} → {commit}\n")];
    if old_commit != commit {
        // A commit that is not in this clone can still be promoted.
        let mut log = process::command("git");
        log.args(["log", "--oneline", "--no-decorate", "--max-count=20"]);
        log.arg(format!("{old_commit}..{commit}"));
        let log = process::output(&mut log).unwrap_or_default();
        lines.extend(log.lines().map(|line| format!("            {line}\n")));
    }
    lines.concat()
}
