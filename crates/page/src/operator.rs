//! The operator's program: the only way from here to an environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use commands::program::{self, Word, value};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// How long a look may take; what takes longer is told as that.
const LOOK_TAKES_AT_MOST: Duration = Duration::from_mins(1);

/// A program that takes an operator's commands, and for which environment.
#[derive(Debug, Clone)]
pub struct Operator {
    program: PathBuf,
    environment: String,
    options: Vec<OsString>,
}

/// What a command said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Its JSON.
    pub(crate) json: Value,
    /// What else it told: what it could not see, and advice.
    pub(crate) notes: String,
}

/// Why a command said nothing that can be shown.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LookError {
    /// It could not be started.
    #[error("the operator's program cannot be started: {0}")]
    Start(String),
    /// No program takes it.
    #[error("a NUL character cannot be looked for: leave it out")]
    Nul,
    /// It failed, and said so.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("no answer within {} s", LOOK_TAKES_AT_MOST.as_secs())]
    Late,
    /// It said something else.
    #[error("the answer is not JSON: {0}")]
    Json(String),
}

impl Operator {
    /// `program` for the environment of this name, with the `options` that say where it is.
    #[must_use]
    pub fn new(program: PathBuf, environment: String, options: Vec<OsString>) -> Self {
        Self { program, environment, options }
    }

    /// The environment's name.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// What a command that changes nothing says.
    pub(crate) async fn ask(&self, words: &Words) -> Result<Said, LookError> {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let run = tokio::time::timeout(LOOK_TAKES_AT_MOST, command.output()).await;
        let output = run.map_err(|_elapsed| LookError::Late)?;
        let output = output.map_err(|error| match error.kind() {
            // Source: std, `Command::arg`.
            std::io::ErrorKind::InvalidInput => LookError::Nul,
            _ => LookError::Start(error.to_string()),
        })?;
        let notes = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // Done in part is told as well; nothing at all is a failure.
        if output.stdout.is_empty() && !output.status.success() {
            return Err(failure(output.status, &notes));
        }
        let json = if words.says_lines {
            lines(&output.stdout).map(Value::Array)
        } else {
            serde_json::from_slice(&output.stdout)
        };
        Ok(Said { json: json.map_err(|error| LookError::Json(error.to_string()))?, notes })
    }

    /// Starts a command; what it writes is to be read.
    pub(crate) fn start(&self, words: &Words) -> std::io::Result<Child> {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // What is typed at the terminal of the page is not typed at its acts.
        command.process_group(0);
        let Some(input) = words.input.clone() else { return command.spawn() };
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it says why.
            tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
        }
        Ok(child)
    }

    /// Starts a command that goes on until it is dropped.
    pub(crate) fn follow(&self, words: &Words) -> std::io::Result<Child> {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.process_group(0);
        command.spawn()
    }

    fn command(&self, words: &Words) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&words.command).arg(&self.environment).args(&self.options).arg("--json");
        for (option, value) in &words.options {
            command.arg(format!("{option}={value}"));
        }
        command.args(&words.flags);
        if !words.values.is_empty() {
            command.arg("--").args(&words.values);
        }
        command.stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    /// How a person types it.
    pub(crate) fn typed(&self, words: &Words) -> String {
        let mut typed: Vec<Word> = words.command.iter().map(|word| Word::from(*word)).collect();
        typed.push(value(&self.environment));
        for (option, of) in &words.options {
            typed.extend([Word::from(*option), value(of)]);
        }
        typed.extend(words.flags.iter().map(|flag| Word::from(*flag)));
        typed.extend(words.values.iter().map(value));
        program::command(typed)
    }
}

fn lines(stdout: &[u8]) -> serde_json::Result<Vec<Value>> {
    serde_json::Deserializer::from_slice(stdout).into_iter().collect()
}

fn failure(status: ExitStatus, notes: &str) -> LookError {
    let said = notes.lines().rev().find_map(|line| line.strip_prefix("error: "));
    LookError::Failed(said.map_or_else(|| format!("it ended with {status}"), str::to_owned))
}

/// A command's words, apart from the environment: what nobody else has chosen stands in `command` and
/// `flags`, what anybody may have chosen in `options` and `values`, where it never becomes an option.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Words {
    command: Vec<&'static str>,
    options: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
    values: Vec<String>,
    /// Whether it says a JSON document a line.
    says_lines: bool,
    /// What it reads from its standard input.
    input: Option<String>,
}

impl Words {
    pub(crate) fn new(command: &[&'static str]) -> Self {
        Self { command: command.to_vec(), ..Self::default() }
    }

    pub(crate) fn option(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.options.push((name, value.into()));
        self
    }

    pub(crate) fn flag(mut self, name: &'static str) -> Self {
        self.flags.push(name);
        self
    }

    pub(crate) fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    pub(crate) fn lines(mut self) -> Self {
        self.says_lines = true;
        self
    }

    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }
}
