//! `cargo xtask completions`: completion for a shell, of a command that is cargo's first argument.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, CommandFactory as _, ValueHint};
use clap_complete::aot;
use serde::Deserialize;

use crate::{Cli, operate, process, workspace};

/// The command's name to zsh, whose completion of cargo looks for one like this, and to fish.
const NAME: &str = "cargo-xtask";

/// The command's name to bash, whose script does not work with a hyphen in it (`clap_complete` 4.6).
const BASH_NAME: &str = "cargo_xtask";

/// How bash finds it behind `cargo xtask`, and cargo's own completion otherwise.
const BASH: &str = include_str!("completions/cargo.bash");

/// How fish finds it.
const FISH: &str = include_str!("completions/cargo.fish");

/// Write a script by which a shell completes `cargo xtask …`
///
/// It knows the commands, their options, and the environments that there are now: write it again after
/// there are others.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Install it:\n  bash  cargo xtask completions bash > ~/.cargo-xtask.bash, and in ~/.bashrc: source ~/.cargo-xtask.bash\n  zsh   cargo xtask completions zsh > ~/.zfunc/_cargo-xtask, and in ~/.zshrc before compinit: fpath+=~/.zfunc\n  fish  cargo xtask completions fish > ~/.config/fish/completions/cargo-xtask.fish, and in\n        ~/.config/fish/config.fish: source ~/.config/fish/completions/cargo-xtask.fish"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// A command of the operator's, as it describes itself.
#[derive(Debug, Deserialize)]
struct Described {
    name: String,
    about: Option<String>,
    arguments: Vec<Argument>,
    commands: Vec<Described>,
}

#[derive(Debug, Deserialize)]
struct Argument {
    id: String,
    long: Option<String>,
    short: Option<char>,
    help: Option<String>,
    value_name: Option<String>,
    takes_values: bool,
    /// Whether it may be there more than once.
    repeats: bool,
    required: bool,
    values: Vec<String>,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut command = described_in_full()?;
        let mut script = Vec::new();
        match self.shell {
            Shell::Bash => {
                aot::generate(aot::Bash, &mut command, BASH_NAME, &mut script);
                script.extend_from_slice(BASH.as_bytes());
            }
            Shell::Zsh => aot::generate(aot::Zsh, &mut command, NAME, &mut script),
            Shell::Fish => {
                aot::generate(aot::Fish, &mut command, NAME, &mut script);
                script.extend_from_slice(FISH.as_bytes());
            }
        }
        std::io::stdout().write_all(&script).context("writing the script")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// All commands with all their arguments, those of the operator's among them.
fn described_in_full() -> anyhow::Result<Command> {
    let of_operator = of_operator()?;
    let mut cli = Cli::command();
    for described in of_operator.commands {
        // What the operator has besides is for xtask only.
        if cli.find_subcommand(&described.name).is_some() {
            cli = cli.mut_subcommand(described.name.clone(), |_passed_on| described.command());
        }
    }
    let environments = environments()?;
    Ok(with_values(cli, &environments))
}

fn of_operator() -> anyhow::Result<Described> {
    operate::build()?;
    let mut operator = operate::operator();
    operator.arg("arguments");
    let output = operator.output().map_err(|error| process::cannot_start(&operator, &error))?;
    if !output.status.success() {
        bail!("webhook-operator arguments ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("reading what webhook-operator takes")
}

/// The folders of `environments/` that commands can be told of.
fn environments() -> anyhow::Result<Vec<String>> {
    let dir = workspace::root().join("environments");
    let reading = || format!("reading {}", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let has_routes = std::fs::read_to_string(entry.path().join("terraform.tfvars.json"))
            .is_ok_and(|text| text.contains("\"routes\""));
        names.extend(entry.file_name().into_string().ok().filter(|_| has_routes));
    }
    names.sort();
    Ok(names)
}

/// Gives the arguments that name an environment or a file what they can be.
fn with_values(command: Command, environments: &[String]) -> Command {
    let command = command.mut_args(|argument| {
        match argument
            .get_value_names()
            .and_then(|names| names.first())
            .map(clap::builder::Str::as_str)
        {
            Some("ENV" | "FROM" | "TO") => {
                argument.value_parser(PossibleValuesParser::new(environments.to_vec()))
            }
            Some("FILE") => argument.value_hint(ValueHint::FilePath),
            Some("DIR") => argument.value_hint(ValueHint::DirPath),
            _ => argument,
        }
    });
    command.mut_subcommands(|command| with_values(command, environments))
}

impl Described {
    fn command(self) -> Command {
        let command = Command::new(self.name).about(self.about.unwrap_or_default());
        let arguments = self.arguments.into_iter().map(Argument::argument);
        let commands = self.commands.into_iter().map(Self::command);
        // An environment may be left out before an event.
        let command = command.disable_help_flag(true).allow_missing_positional(true);
        command.args(arguments).subcommands(commands)
    }
}

impl Argument {
    fn argument(self) -> Arg {
        let action = match (self.takes_values, self.repeats) {
            (false, _) => ArgAction::SetTrue,
            (true, false) => ArgAction::Set,
            (true, true) => ArgAction::Append,
        };
        let mut argument = Arg::new(self.id).action(action).help(self.help.unwrap_or_default());
        argument = argument.required(self.required);
        if let Some(long) = self.long {
            argument = argument.long(long);
        }
        if let Some(short) = self.short {
            argument = argument.short(short);
        }
        if let Some(name) = self.value_name.filter(|_| self.takes_values) {
            argument = argument.value_name(name);
        }
        if !self.values.is_empty() && self.takes_values {
            argument = argument.value_parser(PossibleValuesParser::new(self.values));
        }
        argument
    }
}
