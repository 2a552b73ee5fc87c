//! `cargo xtask plan`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::artifact::{self, Artifact, parse_digest};
use super::operator::Operator;
use super::planned::Planned;
use super::resources::Resources;
use super::summary::fenced;
use super::terraform::Terraform;
use super::{Environment, emulator, preflight, promote};

/// Show what a deployment would change, and change nothing
///
/// Without --artifact the function is built from this work tree. Terraform's own account of the
/// changes, in full, is in target/terraform/ENV/plan.log. The `digest` of --json names the plan:
/// `--approved DIGEST` of deploy, promote and rollback applies no other.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask plan dev\n  cargo xtask plan dev --markdown plan.md\n  cargo xtask plan dev --artifact $(cargo xtask package --json | jq -r .sha256)\n  cargo xtask plan prod --live --expect-none\n  cargo xtask plan prod --from dev --json | jq -r .digest\n  cargo xtask plan prod --json | jq '.replace[].address'"
)]
pub(crate) struct Plan {
    #[command(flatten)]
    of: PlanArgs,

    /// Write the summary for a pull request's comment
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Exit with 1 if anything would change
    #[arg(long)]
    expect_none: bool,

    /// Print JSON: what is added, changed, replaced and destroyed
    #[arg(long)]
    json: bool,
}

/// What is planned
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// Environment, such as `dev`: a folder of `environments/`
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    /// Digest of the artifact, from target/package or the artifact bucket [default: build it]
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    pub(crate) artifact: Option<String>,

    /// The artifact that is live: whatever differs then is a change of values or of Terraform's files,
    /// or was made by somebody else
    #[arg(long, conflicts_with = "artifact")]
    pub(crate) live: bool,

    /// The artifact that `cargo xtask promote FROM ENV` would bring
    #[arg(long, value_name = "FROM", conflicts_with_all = ["artifact", "live"])]
    pub(crate) from: Option<String>,

    /// Other values than those in environments/ENV/terraform.tfvars.json, to try a change; `local` only
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl PlanArgs {
    pub(crate) fn environment(&self) -> anyhow::Result<Environment> {
        Environment::load_with(&self.environment, self.config.as_deref())
    }
}

impl Plan {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.of.environment()?;
        let Made { planned, difference, .. } = make(&environment, &self.of)?;
        let summary = &planned.summary;
        if let Some(file) = &self.markdown {
            // Whoever approves it reads which commits it brings.
            let difference = difference.as_deref().map(fenced).unwrap_or_default();
            std::fs::write(file, planned.markdown(&environment.name) + &difference)
                .with_context(|| format!("writing {}", file.display()))?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&planned)?);
        } else {
            print!("{}", summary.text());
            println!("{}: {}", environment.name, summary.counts());
        }
        let as_expected = !planned.applyable || !self.expect_none;
        Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A plan that was made.
pub(crate) struct Made {
    planned: Planned,
    pub(crate) resources: Resources,
    /// What a promotion would bring, if it is planned.
    difference: Option<String>,
}

/// Plans a deployment.
pub(crate) fn make(environment: &Environment, of: &PlanArgs) -> anyhow::Result<Made> {
    let terraform = Terraform::find(environment)?;
    let (artifact, difference) = chosen(environment, of)?;
    if let Some(difference) = &difference {
        eprint!("{difference}");
    }
    if environment.is_local() {
        emulator::ensure_running()?;
    }
    let stub = artifact::stub(environment)?;
    let (planned, resources) = Planned::make(environment, &terraform, &artifact, stub.as_ref())?;
    Ok(Made { planned, resources, difference })
}

/// The artifact that is asked for, or a new one; of a promotion, what it brings.
fn chosen(environment: &Environment, of: &PlanArgs) -> anyhow::Result<(Artifact, Option<String>)> {
    let mut difference = None;
    let artifact = match &of.artifact {
        None if of.live => {
            let (operator, _) = preflight::identify(environment)?;
            // Not the last record's: that release may have failed before it was live.
            Artifact::fetch(&operator.live()?.digest()?, &operator)?
        }
        None if let Some(from) = &of.from => {
            let (operator, _) = preflight::identify(environment)?;
            let taken = promote::take(&Environment::load(from)?, &environment.name, &operator)?;
            difference = Some(taken.difference);
            taken.artifact
        }
        None => {
            // Before minutes of building.
            preflight::identify(environment)?;
            Artifact::build(environment)?
        }
        Some(digest) => match Artifact::packaged(digest) {
            Some(artifact) => artifact,
            None => Artifact::fetch(digest, &Operator::new(environment)?)?,
        },
    };
    artifact.check_runs_in(environment)?;
    Ok((artifact, difference))
}
