//! Terraform as a child process: it writes into a file, which is followed, so that it needs nobody to
//! listen; Ctrl-C is passed on once, and its errors are turned into what to do about them.

use std::fs::{DirBuilder, File};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, test_kill_process};
use serde::Deserialize;
use serde_json::Value;
use terminal::exit::Failure;

use super::lock::Lock;
use super::trouble::{self, Advice};
use super::{Environment, emulator, local_dir};
use crate::{interrupt, process, workspace};

/// Between two looks at what Terraform has written.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How the folders of runs are called, before the process's id.
const RUN: &str = "run-";

/// The oldest Terraform that will do: the state's lock in S3 needs it.
const OLDEST: (u32, u32) = (1, 11);

/// Where to get it.
const INSTALL: &str = "https://developer.hashicorp.com/terraform/install has it";

/// Terraform in an environment's folder.
#[derive(Debug)]
pub(crate) struct Terraform<'a> {
    environment: &'a Environment,
    /// Where its own files and the log of its output are.
    out: PathBuf,
    /// Where this run's plan is, and what it was made of: no other run may apply it.
    run: PathBuf,
}

/// How a run ended.
struct Ended {
    code: Option<i32>,
    /// Its errors, as it wrote them.
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
    /// Finds Terraform for an environment.
    ///
    /// # Errors
    ///
    /// As [`check_installed`].
    pub(crate) fn find(environment: &'a Environment) -> anyhow::Result<Self> {
        check_installed()?;
        interrupt::listen()?;
        let out = environment.terraform_dir();
        make_private(&out)?;
        let run = out.join(format!("{RUN}{}", std::process::id()));
        Ok(Self { environment, out, run })
    }

    /// Takes the environment's lock on this machine, which all that follows needs but [`Self::find`].
    /// It is not to be held while somebody is asked.
    pub(crate) fn lock(&self) -> anyhow::Result<Lock> {
        let lock = Lock::take(&self.environment.name, &self.out)?;
        forget_ended_runs(&self.out)?;
        make_private(&self.run)?;
        Ok(lock)
    }

    /// Writes the file by which Terraform is told of the artifact.
    pub(crate) fn tell(&self, variables: &Value) -> anyhow::Result<()> {
        let path = self.artifact_file();
        std::fs::write(&path, variables.to_string())
            .with_context(|| format!("writing {}", path.display()))
    }

    fn artifact_file(&self) -> PathBuf {
        self.run.join("artifact.tfvars.json")
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
        self.run.join("plan.tfplan")
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
        // Ctrl-C is ours to act on.
        command.args(arguments).process_group(0);
        let output = process::output(&mut command)?;
        serde_json::from_str(&output).with_context(|| format!("reading terraform {}", arguments[0]))
    }

    /// Runs Terraform, and shows what it writes into its log.
    fn run(&self, verb: &str, arguments: &[String], show: Show) -> anyhow::Result<Ended> {
        // All that can fail comes before it is started: nobody would wait for it.
        interrupt::listen()?;
        interrupt::check()?;
        let mut command = self.command()?;
        // Options stand before what they are about.
        let subcommand = if verb == "refresh" { "apply" } else { verb };
        command.args([subcommand, "-no-color", "-input=false"]).args(arguments);
        eprintln!("$ terraform {verb} (in environments/{})", self.environment.name);
        let path = self.log_file(verb);
        let log = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        // Locked as long as Terraform has it open: should we be killed, the next run sees that it lives.
        log.lock().with_context(|| format!("locking {}", path.display()))?;
        command.stdout(log.try_clone()?).stderr(log);
        // A terminal sends Ctrl-C to the whole group; Terraform gets it from us, once.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| process::cannot_start(&command, &error))?;
        // Closes our copies of the log.
        drop(command);
        let has_ended = AtomicBool::new(false);
        let (status, said) = std::thread::scope(|threads| {
            let said = threads.spawn(|| follow(&path, show, &has_ended));
            let status = interrupt::during("terraform", child.id(), || child.wait());
            has_ended.store(true, Ordering::Release);
            (status, said.join().expect("following a file does not panic"))
        });
        let status = status?.with_context(|| format!("waiting for terraform {verb}"))?;
        Ok(Ended { code: status.code(), said: said? })
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
        let first = ended.said.lines().next().unwrap_or_default();
        let reason = first.trim_start_matches(['│', ' ']).trim_start_matches("Error: ");
        let failed =
            format!("terraform {verb} failed: {reason}\nall it said is in {}", log.display());
        Err(match advice {
            None => anyhow!("{failed}{}", otherwise(name)),
            Some(Advice { text, failure: None }) => anyhow!("{failed}\n{text}"),
            Some(Advice { text, failure: Some(failure) }) => {
                failure.of(anyhow!("{failed}\n{text}"))
            }
        })
    }
}

impl Drop for Terraform<'_> {
    fn drop(&mut self) {
        // What is left is removed by the next run.
        let _left = std::fs::remove_dir_all(&self.run);
    }
}

/// Makes a folder into which nobody else may look: a plan holds every value.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("making {}", dir.display()))
}

/// Removes what runs have left that were killed.
fn forget_ended_runs(out: &Path) -> anyhow::Result<()> {
    let entries = out.read_dir().with_context(|| format!("looking into {}", out.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(RUN)?.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        let is_ours = pid.as_raw_pid().cast_unsigned() == std::process::id();
        if !is_ours && test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            std::fs::remove_dir_all(entry.path())
                .with_context(|| format!("deleting {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Shows the lines of a log as they come, as far as they are to be shown, until its writer has ended,
/// and returns the errors among them.
fn follow(log: &Path, show: Show, has_ended: &AtomicBool) -> anyhow::Result<String> {
    let read = || format!("reading {}", log.display());
    let mut file = File::open(log).with_context(read)?;
    let (mut unread, mut said) = (Vec::new(), String::new());
    let mut shows = true;
    loop {
        // Asked first: what was written before the end is read after it.
        let is_last = has_ended.load(Ordering::Acquire);
        file.read_to_end(&mut unread).with_context(read)?;
        if is_last && unread.last().is_some_and(|byte| *byte != b'\n') {
            unread.push(b'\n');
        }
        let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in String::from_utf8_lossy(&unread[..whole]).lines() {
            let is_error = !said.is_empty() || begins_error(line);
            shows = is_error || (shows && (show == Show::Everything || is_progress(line)));
            if shows {
                eprintln!("  {line}");
            }
            if is_error {
                said.push_str(line);
                said.push('\n');
            }
        }
        unread.drain(..whole);
        if is_last {
            return Ok(said);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The ids of this machine's Terraform processes that work on an environment, of whichever clone.
pub(crate) fn running(environment: &str) -> Vec<String> {
    let processes = process::output(Command::new("ps").args(["-A", "-o", "pid=,args="]));
    let folder = format!("/environments/{environment} ");
    let works_on = |line: &&str| {
        let mut words = line.split_whitespace();
        let is_terraform = words.any(|word| word.rsplit('/').next() == Some("terraform"));
        is_terraform && line.contains(" -chdir=") && line.contains(&folder)
    };
    let text = processes.unwrap_or_default();
    let pids = text.lines().filter(works_on).filter_map(|line| line.split_whitespace().next());
    pids.map(str::to_owned).collect()
}

/// Whether Terraform's account of what went wrong begins here.
fn begins_error(line: &str) -> bool {
    line.trim_start_matches(['│', ' ']).starts_with("Error: ")
}

/// Whether a line stands before Terraform's own account of the changes.
fn is_progress(line: &str) -> bool {
    let beginnings = ["Terraform used", "Terraform will", "No changes", "Changes to Outputs"];
    !beginnings.iter().any(|beginning| line.starts_with(beginning))
        && !line.starts_with("Note: ")
        && !line.starts_with("Terraform has been successfully initialized")
}

/// Looks for Terraform, and at its version.
///
/// # Errors
///
/// [`Failure::Environment`] when there is none, or one that is too old.
pub(crate) fn check_installed() -> anyhow::Result<()> {
    let mut ask = Command::new("terraform");
    ask.args(["version", "-json"]).env("CHECKPOINT_DISABLE", "1");
    let output = ask.output().map_err(|error| {
        let (major, minor) = OLDEST;
        Failure::Environment.of(anyhow!(
            "starting terraform: {error}; Terraform {major}.{minor} or later is needed, {INSTALL}"
        ))
    })?;
    let version: Version =
        serde_json::from_slice(&output.stdout).context("reading Terraform's version")?;
    check_version(&version.terraform_version)
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
    Err(Failure::Environment.of(error))
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
        let Some(values) = output_values(outputs) else {
            bail!("nothing is deployed: Terraform's state has no outputs");
        };
        // What was deployed by an earlier version has each by itself.
        let values = values.get("webhook").unwrap_or(&values);
        Self::deserialize(values).context("reading Terraform's outputs")
    }
}

/// The values of outputs by their names, if there are any.
pub(crate) fn output_values(outputs: &Value) -> Option<Value> {
    let outputs = outputs.as_object().filter(|outputs| !outputs.is_empty())?;
    let value = |(name, output): (&String, &Value)| (name.clone(), output["value"].clone());
    Some(outputs.iter().map(value).collect::<serde_json::Map<_, _>>().into())
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
            assert_eq!(terminal::exit::failure_of(&error), Some(Failure::Environment));
        }
    }

    #[test]
    fn outputs_are_one_object_and_were_many() {
        let values = json!({
            "api_endpoint": "https://a", "api_id": "a", "ingest_urls": {}, "queue_url": "q",
            "dead_letter_queue_url": "d", "function_name": "f", "function_version": "7",
            "code_sha256": "c", "log_group_name": "l", "dashboard_name": null,
        });
        let many: serde_json::Map<_, _> = values
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), json!({ "value": value })))
            .collect();
        for outputs in [json!({ "webhook": { "value": values } }), many.into()] {
            assert_eq!(Outputs::parse(&outputs).unwrap().function_version, "7");
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
