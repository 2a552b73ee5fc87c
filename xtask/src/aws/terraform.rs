//! Terraform as a child process: its output is streamed and kept, Ctrl-C is passed on once, and its
//! errors are turned into what to do about them.

use std::fs::{DirBuilder, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;

use super::trouble::{self, Advice};
use super::{Environment, emulator, local_dir};
use crate::exit::Failure;
use crate::{interrupt, process, workspace};

/// The oldest Terraform that will do: the state's lock in S3 needs it.
const OLDEST: (u32, u32) = (1, 11);

/// Where to get it.
const INSTALL: &str = "https://developer.hashicorp.com/terraform/install has it";

/// Terraform in an environment's folder.
#[derive(Debug)]
pub(crate) struct Terraform<'a> {
    environment: &'a Environment,
    /// Where its own files, the plan and the log of its output are.
    out: PathBuf,
}

/// How a run ended.
struct Ended {
    code: Option<i32>,
    /// What it said on standard error.
    said: String,
}

/// What is shown of Terraform's output while it runs; all of it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Everything,
    /// Reading and locking only: the changes are summed up afterwards.
    Progress,
}

#[derive(Debug, Deserialize)]
struct Version {
    terraform_version: String,
}

impl<'a> Terraform<'a> {
    /// Finds Terraform and checks its version.
    ///
    /// # Errors
    ///
    /// When there is none, or one that is too old.
    pub(crate) fn find(environment: &'a Environment) -> anyhow::Result<Self> {
        let mut ask = Command::new("terraform");
        ask.args(["version", "-json"]).env("CHECKPOINT_DISABLE", "1");
        let output = ask.output().map_err(|error| {
            let (major, minor) = OLDEST;
            anyhow!("starting terraform: {error}; Terraform {major}.{minor} or later is needed, {INSTALL}")
                .context(Failure::Environment)
        })?;
        let version: Version =
            serde_json::from_slice(&output.stdout).context("reading Terraform's version")?;
        check_version(&version.terraform_version)?;
        let out = environment.terraform_dir();
        // A plan holds every value, so nobody else may look.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&out)
            .with_context(|| format!("making {}", out.display()))?;
        Ok(Self { environment, out })
    }

    /// The file by which Terraform is told of the artifact.
    pub(crate) fn artifact_file(&self) -> PathBuf {
        self.out.join("artifact.tfvars.json")
    }

    /// Fetches providers and finds the state.
    pub(crate) fn init(&self) -> anyhow::Result<()> {
        let settings = self.backend()?.into_iter();
        let mut arguments: Vec<String> =
            settings.map(|it| format!("-backend-config={it}")).collect();
        if self.environment.is_local() {
            // Another clone with the same target directory keeps its state elsewhere.
            arguments.push("-reconfigure".to_owned());
        }
        let ended = self.run("init", &arguments, Show::Progress)?;
        self.done("init", &ended, |_environment| String::new())
    }

    /// Where the state is.
    fn backend(&self) -> anyhow::Result<Vec<String>> {
        if self.environment.is_local() {
            let state = local_dir().join("terraform.tfstate");
            return Ok(vec![format!("path={}", state.display())]);
        }
        let aws = &self.environment.aws;
        let bucket = aws.state_bucket.as_ref().context("aws.state_bucket is not set")?;
        Ok(vec![
            format!("bucket={bucket}"),
            format!("key={}/terraform.tfstate", self.environment.name),
            format!("region={}", aws.region),
            "use_lockfile=true".to_owned(),
        ])
    }

    /// Plans a deployment and returns the plan as JSON.
    pub(crate) fn plan(&self) -> anyhow::Result<Value> {
        self.plan_with(&[])
    }

    /// Plans to delete everything.
    pub(crate) fn plan_destroy(&self) -> anyhow::Result<Value> {
        self.plan_with(&["-destroy"])
    }

    fn plan_with(&self, more: &[&str]) -> anyhow::Result<Value> {
        let mut arguments = vec![format!("-out={}", self.plan_file().display())];
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments.extend(self.variables()?);
        let ended = self.run("plan", &arguments, Show::Progress)?;
        self.done("plan", &ended, |_environment| String::new())?;
        self.json(&["show", "-json", &self.plan_file().display().to_string()])
    }

    /// What Terraform is told besides the environment's own file.
    fn variables(&self) -> anyhow::Result<Vec<String>> {
        let mut variables = vec![format!("-var-file={}", self.artifact_file().display())];
        if let Some(values) = &self.environment.values {
            variables.push(format!("-var-file={}", values.display()));
        }
        if self.environment.is_local() {
            variables.push(format!("-var=emulator_endpoint={}", emulator::endpoint()?));
        }
        Ok(variables)
    }

    /// Reads what there is anew: provider 5.100 keeps a function's former `code_sha256` when it
    /// updates the code.
    pub(crate) fn refresh(&self) -> anyhow::Result<()> {
        let mut arguments = vec!["-refresh-only".to_owned(), "-auto-approve".to_owned()];
        arguments.extend(self.variables()?);
        let ended = self.run("refresh", &arguments, Show::Progress)?;
        self.done("refresh", &ended, |_environment| String::new())
    }

    /// Carries out the plan that was made last.
    pub(crate) fn apply(&self) -> anyhow::Result<()> {
        self.apply_or(trouble::deploy_half_way)
    }

    /// Carries out the plan that deletes everything.
    pub(crate) fn apply_destroy(&self) -> anyhow::Result<()> {
        self.apply_or(trouble::destroy_half_way)
    }

    /// Carries out a plan; what to do should it fail in the middle is `half_way`.
    fn apply_or(&self, half_way: fn(&str) -> String) -> anyhow::Result<()> {
        let plan = self.plan_file().display().to_string();
        let ended = self.run("apply", &[plan], Show::Everything)?;
        self.done("apply", &ended, half_way)
    }

    /// What there is, as Terraform knows it.
    pub(crate) fn state(&self) -> anyhow::Result<Value> {
        self.json(&["show", "-json"])
    }

    /// The environment's outputs, by name.
    pub(crate) fn outputs(&self) -> anyhow::Result<Outputs> {
        let outputs = self.json(&["output", "-json"])?;
        Outputs::parse(&outputs)
    }

    fn plan_file(&self) -> PathBuf {
        self.out.join("plan.tfplan")
    }

    /// Terraform in the environment's folder, with nothing of what it needs left to chance.
    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new("terraform");
        command
            .arg(format!("-chdir={}", workspace::environment_dir(&self.environment.name).display()))
            .env("TF_DATA_DIR", self.out.join("data"))
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_INPUT", "0")
            .env("CHECKPOINT_DISABLE", "1")
            .stdin(Stdio::null());
        if self.environment.is_local() {
            emulator::confine(&mut command, &emulator::endpoint()?);
        }
        Ok(command)
    }

    fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = self.command()?;
        command.args(arguments);
        let output = process::output(&mut command)?;
        serde_json::from_str(&output).with_context(|| format!("reading terraform {}", arguments[0]))
    }

    /// Runs Terraform, streams and keeps what it says.
    fn run(&self, verb: &str, arguments: &[String], show: Show) -> anyhow::Result<Ended> {
        let mut command = self.command()?;
        // Options stand before what they are about.
        let subcommand = if verb == "refresh" { "apply" } else { verb };
        command.args([subcommand, "-no-color", "-input=false"]).args(arguments);
        eprintln!("$ terraform {verb} (in environments/{})", self.environment.name);
        // A terminal sends Ctrl-C to the whole group; Terraform gets it from us, once.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| process::cannot_start(&command, &error))?;
        let log_path = self.log_file(verb);
        let log = File::create(&log_path);
        let log = Mutex::new(log.with_context(|| format!("writing {}", log_path.display()))?);
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        let (status, said) = std::thread::scope(|threads| {
            threads.spawn(|| copy(stdout, &log, show));
            let said = threads.spawn(|| copy(stderr, &log, Show::Everything));
            let status = interrupt::wait("terraform", &mut child);
            (status, said.join().unwrap_or_default())
        });
        Ok(Ended { code: status?.code(), said })
    }

    fn log_file(&self, verb: &str) -> PathBuf {
        self.out.join(format!("{verb}.log"))
    }

    /// An error that says what to do, unless the run ended well.
    fn done(&self, verb: &str, ended: &Ended, otherwise: fn(&str) -> String) -> anyhow::Result<()> {
        if ended.code == Some(0) {
            return Ok(());
        }
        let name = &self.environment.name;
        let advice = trouble::advice(&ended.said, name, &self.out.join("data"));
        let log = self.log_file(verb);
        let failed = format!("terraform {verb} failed; all it said is in {}", log.display());
        Err(match advice {
            None => anyhow!("{failed}{}", otherwise(name)),
            Some(Advice { text, failure: None }) => anyhow!("{failed}\n{text}"),
            Some(Advice { text, failure: Some(failure) }) => {
                anyhow!("{failed}\n{text}").context(failure)
            }
        })
    }
}

/// Copies lines to the log and, as far as they are to be shown, to standard error.
fn copy(from: impl Read, log: &Mutex<File>, show: Show) -> String {
    let mut said = String::new();
    let mut shows = true;
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        shows = shows && (show == Show::Everything || is_progress(&line));
        if shows {
            eprintln!("  {line}");
        }
        // A full disk must not stop Terraform, and what it says is shown as well.
        let _unwritten = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        said.push_str(&line);
        said.push('\n');
    }
    said
}

/// Whether a line stands before Terraform's own account of the changes.
fn is_progress(line: &str) -> bool {
    let beginnings = ["Terraform used", "Terraform will", "No changes", "Changes to Outputs"];
    !beginnings.iter().any(|beginning| line.starts_with(beginning))
        && !line.starts_with("Note: ")
        && !line.starts_with("Terraform has been successfully initialized")
}

fn check_version(version: &str) -> anyhow::Result<()> {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if (major, minor) >= OLDEST {
        return Ok(());
    }
    let (oldest_major, oldest_minor) = OLDEST;
    let error = anyhow!(
        "terraform {version} is too old: {oldest_major}.{oldest_minor} or later is needed to lock the \
         state; {INSTALL}"
    );
    Err(error.context(Failure::Environment))
}

/// What an environment says of itself once it is deployed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Outputs {
    pub(crate) api_endpoint: String,
    pub(crate) api_id: String,
    pub(crate) ingest_urls: std::collections::BTreeMap<String, String>,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
    pub(crate) function_name: String,
    pub(crate) function_version: String,
    pub(crate) code_sha256: String,
    pub(crate) log_group_name: String,
    pub(crate) dashboard_name: Option<String>,
}

impl Outputs {
    fn parse(outputs: &Value) -> anyhow::Result<Self> {
        let Some(outputs) = outputs.as_object().filter(|outputs| !outputs.is_empty()) else {
            bail!("nothing is deployed: Terraform's state has no outputs");
        };
        let values: serde_json::Map<String, Value> =
            outputs.iter().map(|(name, output)| (name.clone(), output["value"].clone())).collect();
        serde_json::from_value(Value::from(values)).context("reading Terraform's outputs")
    }
}

/// Writes the file by which Terraform is told of the artifact.
pub(crate) fn write_variables(path: &Path, variables: &Value) -> anyhow::Result<()> {
    std::fs::write(path, variables.to_string())
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_are_compared_as_numbers() {
        for good in ["1.11.0", "1.11.4", "1.12.0-rc1", "1.100.0", "2.0.0"] {
            check_version(good).unwrap();
        }
        for bad in ["1.10.5", "0.15.5", "1.9.8", "one"] {
            let error = check_version(bad).unwrap_err();
            assert!(format!("{error:#}").contains(&format!("terraform {bad} is too old")));
            assert_eq!(error.downcast_ref(), Some(&Failure::Environment));
        }
    }

    #[test]
    fn an_environment_without_outputs_is_not_deployed() {
        let error = Outputs::parse(&json!({})).unwrap_err().to_string();
        assert!(error.starts_with("nothing is deployed"), "{error}");
    }

    #[test]
    fn only_what_stands_before_the_changes_is_shown_of_a_plan() {
        assert!(is_progress("module.queue.aws_sqs_queue.webhook: Refreshing state..."));
        assert!(!is_progress("Terraform used the selected providers to generate the following"));
        assert!(!is_progress("No changes. Your infrastructure matches the configuration."));
    }
}
