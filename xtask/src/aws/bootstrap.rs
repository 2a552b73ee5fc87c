//! `cargo xtask bootstrap`: what an account needs before anything can be deployed to it, and the state
//! of that moved into the bucket that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use terminal::exit::Failure;

use super::{operator, terraform};
use crate::{operate, process, workspace};

/// The folder in `environments/`.
const FOLDER: &str = "bootstrap";

/// Says to Terraform that the state is in S3; where it stands, the state is there.
const BACKEND: &str = "terraform {\n  backend \"s3\" {}\n}\n";

/// Where Terraform keeps a state that is nowhere else.
const STATE: &str = "terraform.tfstate";

/// Prepare an AWS account: buckets, roles for GitHub, rights for people, keys for alarms
///
/// Applies environments/bootstrap, by a person with an administrator's rights: once for an account,
/// and again after a new environment or another version. --name, --region and --repository write its
/// values first; the account is that of the credentials. Its state is a file at first, and is moved
/// into the bucket that was just made: commit backend.tf, which says so.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bootstrap --name acme-webhook --region ap-northeast-1 --repository acme/webhook-queue\n  cargo xtask bootstrap --name acme-webhook --region ap-northeast-1 --repository acme@1234/webhook-queue@5678\n  cargo xtask bootstrap"
)]
pub(crate) struct Bootstrap {
    /// What the buckets', roles' and policies' names begin with; unique in the world
    #[arg(long, requires_all = ["region", "repository"])]
    name: Option<String>,

    /// Region that the environments are deployed to
    #[arg(long, requires = "name")]
    region: Option<String>,

    /// Repository whose workflows deploy, as the subjects of GitHub's tokens name it: OWNER/REPO, or
    /// OWNER@ID/REPO@ID if it was made, renamed or moved after 15 July 2026 (docs/github.md)
    #[arg(long, requires = "name", value_name = "OWNER/REPO", value_parser = parse_repository)]
    repository: Option<String>,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// `environments/bootstrap/terraform.tfvars.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    pub(crate) account_id: String,
    pub(crate) region: String,
    name: String,
    pub(crate) environments: BTreeMap<String, Trust>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oidc_provider_arn: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

/// Which of GitHub's tokens may act on an environment, and what that may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    plan_subjects: Vec<String>,
    deploy_subjects: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publishes_artifacts: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promotes_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorizer_functions: Option<Vec<String>>,
}

/// What bootstrap has made, as far as environments name it.
#[derive(Debug, Deserialize)]
pub(crate) struct Made {
    pub(crate) state_bucket: String,
    pub(crate) artifact_bucket: String,
    /// By environment.
    pub(crate) permissions_boundary_arns: BTreeMap<String, String>,
}

/// The environment whose releases are promoted to the one called `name`, as the account is prepared.
pub(crate) fn promotes_from(name: &str) -> anyhow::Result<Option<String>> {
    if !workspace::config_file(FOLDER).exists() {
        // It was prepared by other means.
        return Ok(None);
    }
    let mut values = Values::read()?;
    Ok(values.environments.remove(name).and_then(|trust| trust.promotes_from))
}

impl Bootstrap {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut values = Values::read()?;
        terraform::check_installed()?;
        operate::build()?;
        if let (Some(name), Some(region), Some(repository)) =
            (&self.name, &self.region, &self.repository)
        {
            let account_id = operator::caller(region, None)?.account;
            values.set(account_id, region, name, repository);
            values.write()?;
        }
        let caller = operator::caller(&values.region, Some(&values.account_id))?;
        eprintln!("preparing account {} in {}, as {}", caller.account, values.region, caller.arn);
        // A state that was on its way into the bucket when a run was killed.
        move_state(&values)?;
        init(&values)?;
        let mut apply = command();
        apply.arg("apply").args(self.yes.then_some("-auto-approve"));
        process::run(&mut apply)?;
        if !backend_file().exists() {
            write(&backend_file(), BACKEND)?;
        }
        if move_state(&values)? {
            println!("the state is in the bucket now; commit {}", shown(&backend_file()));
        }
        let made = made()?;
        println!("state      {}", made.state_bucket);
        println!("artifacts  {}", made.artifact_bucket);
        println!(
            "next: `cargo xtask new ENV` writes an environment, docs/github.md sets GitHub's variables"
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Values {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let file = workspace::config_file(FOLDER);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("reading {}", file.display()))
            .map_err(|error| Failure::Usage.of(error))
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        write(&workspace::config_file(FOLDER), &text)
    }

    /// Takes another account and another repository.
    fn set(&mut self, account_id: String, region: &str, name: &str, repository: &str) {
        self.account_id = account_id;
        region.clone_into(&mut self.region);
        name.clone_into(&mut self.name);
        for subjects in self.environments.values_mut() {
            subjects.change(|subject| {
                // `repo:OWNER/REPO:what` with another repository in it.
                let what = subject.splitn(3, ':').nth(2).unwrap_or_default();
                format!("repo:{repository}:{what}")
            });
        }
    }

    /// Adds an environment that the same workflows deploy as `like`, whose artifacts it takes.
    pub(crate) fn add(&mut self, name: &str, like: &str) -> anyhow::Result<()> {
        let subjects = self.environments.get(like);
        let mut subjects = subjects.with_context(|| format!("bootstrap has no {like}"))?.clone();
        subjects.plan_subjects.retain(|subject| subject.contains(":environment:"));
        subjects.change(|subject| {
            subject.replace(&format!(":environment:{like}"), &format!(":environment:{name}"))
        });
        subjects.publishes_artifacts = None;
        subjects.promotes_from = Some(like.to_owned());
        self.environments.insert(name.to_owned(), subjects);
        Ok(())
    }
}

impl Trust {
    fn change(&mut self, change: impl Fn(&str) -> String) {
        for subject in self.plan_subjects.iter_mut().chain(&mut self.deploy_subjects) {
            *subject = change(subject);
        }
    }
}

/// What bootstrap has made, from its state: in the bucket, or yet a file here.
pub(crate) fn made() -> anyhow::Result<Made> {
    terraform::check_installed()?;
    init(&Values::read()?)?;
    let output = process::output(command().args(["output", "-json"]))?;
    let outputs = serde_json::from_str(&output).context("reading bootstrap's outputs")?;
    let values = terraform::output_values(&outputs).ok_or_else(|| {
        Failure::Usage
            .of(anyhow!("bootstrap was never applied here: `cargo xtask bootstrap` does it"))
    })?;
    serde_json::from_value(values).context("reading bootstrap's outputs")
}

fn init(values: &Values) -> anyhow::Result<()> {
    let mut init = command();
    init.args(["init", "-input=false", "-reconfigure"]).stdout(Stdio::null());
    if backend_file().exists() {
        let Values { name, region, .. } = values;
        for setting in [
            format!("bucket={name}-state"),
            "key=bootstrap/terraform.tfstate".to_owned(),
            format!("region={region}"),
            "use_lockfile=true".to_owned(),
        ] {
            init.arg(format!("-backend-config={setting}"));
        }
    }
    process::run(&mut init)
}

/// Moves the state into the bucket, if it still is a file and is to be in the bucket, and says whether
/// it did. A state that is there already is not replaced.
fn move_state(values: &Values) -> anyhow::Result<bool> {
    let [file, moving] = [STATE, "moving.tfstate"].map(|name| folder().join(name));
    if backend_file().exists() && file.exists() {
        // Under its own name Terraform would ask whether to copy it, and may overwrite.
        std::fs::rename(&file, &moving).with_context(|| format!("renaming {}", file.display()))?;
    }
    if !moving.exists() {
        return Ok(false);
    }
    init(values)?;
    let text = std::fs::read_to_string(&moving)
        .with_context(|| format!("reading {}", moving.display()))?;
    let ours = resources(&text).context("reading the state's file")?;
    if in_bucket()?.is_empty() {
        process::run(command().args(["state", "push"]).arg(&moving))?;
    }
    if in_bucket()? != ours {
        let moving = shown(&moving);
        bail!("the bucket holds a state of other resources than {moving}, which stays");
    }
    for file in [moving, folder().join(format!("{STATE}.backup"))] {
        if file.exists() {
            std::fs::remove_file(&file).with_context(|| format!("deleting {}", file.display()))?;
        }
    }
    Ok(true)
}

/// The resources of the state in the bucket.
fn in_bucket() -> anyhow::Result<BTreeSet<String>> {
    let text = process::output(command().args(["state", "pull"]))?;
    if text.trim().is_empty() {
        return Ok(BTreeSet::new());
    }
    resources(&text).context("reading the state in the bucket")
}

/// The resources of a state with their ids. Its lineage tells nothing: Terraform gives a new one to
/// what is pushed to where there is no state.
fn resources(state: &str) -> anyhow::Result<BTreeSet<String>> {
    let state: Value = serde_json::from_str(state)?;
    let mut found = BTreeSet::new();
    for resource in state["resources"].as_array().into_iter().flatten() {
        for instance in resource["instances"].as_array().into_iter().flatten() {
            let [module, kind, name] = ["module", "type", "name"].map(|field| &resource[field]);
            let (key, id) = (&instance["index_key"], &instance["attributes"]["id"]);
            found.insert(format!("{module} {kind} {name} {key} {id}"));
        }
    }
    Ok(found)
}

/// Terraform at its usual place, with its questions and answers: a person does this.
fn command() -> Command {
    let mut terraform = process::command("terraform");
    terraform.arg(format!("-chdir={}", folder().display())).env("CHECKPOINT_DISABLE", "1");
    if !terminal::color::shows_colors() {
        terraform.env("TF_CLI_ARGS", "-no-color");
    }
    terraform
}

fn folder() -> PathBuf {
    workspace::environment_dir(FOLDER)
}

fn backend_file() -> PathBuf {
    folder().join("backend.tf")
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// A file as seen from the repository.
fn shown(file: &Path) -> String {
    file.strip_prefix(workspace::root()).unwrap_or(file).display().to_string()
}

fn parse_repository(text: &str) -> Result<String, String> {
    let is_word = |word: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
        !word.is_empty() && word.chars().all(good)
    };
    match text.split('/').collect::<Vec<_>>()[..] {
        [owner, name] if is_word(owner) && is_word(name) => Ok(text.to_owned()),
        _ => Err("a repository is OWNER/REPO, or OWNER@ID/REPO@ID".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_another_account_keep_what_each_environment_may() {
        let mut values = Values::read().unwrap();
        values.set("210987654321".to_owned(), "eu-west-1", "other", "o@1/r@2");
        let [dev, prod] = ["dev", "prod"].map(|name| values.environments[name].clone());
        assert_eq!(
            dev.plan_subjects,
            ["repo:o@1/r@2:pull_request", "repo:o@1/r@2:environment:dev-plan"]
        );
        assert_eq!(dev.deploy_subjects, ["repo:o@1/r@2:environment:dev"]);
        assert_eq!(prod.promotes_from.as_deref(), Some("dev"));
        assert_eq!((values.region.as_str(), values.name.as_str()), ("eu-west-1", "other"));
    }

    #[test]
    fn an_environment_is_added_with_subjects_of_its_own() {
        let mut values = Values::read().unwrap();
        values.add("staging", "dev").unwrap();
        let staging = &values.environments["staging"];
        assert_eq!(
            staging.plan_subjects,
            ["repo:acme/webhook-queue:environment:staging-plan"],
            "a pull request does not look at it"
        );
        assert_eq!(staging.deploy_subjects, ["repo:acme/webhook-queue:environment:staging"]);
        assert_eq!(staging.publishes_artifacts, None);
        assert!(values.add("other", "nowhere").is_err());
    }

    #[test]
    fn a_repository_is_named_as_in_a_subject() {
        for good in ["acme/webhook-queue", "acme@12/webhook-queue@34"] {
            assert_eq!(parse_repository(good).as_deref(), Ok(good));
        }
        for bad in ["acme", "acme/", "/a", "a/b/c", "acme/*", "a:b/c", "https://github.com/a/b"] {
            assert!(parse_repository(bad).is_err(), "{bad}");
        }
    }
}
