//! `cargo xtask completions`: completion for a shell, of a command that is cargo's first argument.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory as _, ValueHint};
use clap_complete::aot;

use crate::{Cli, workspace};

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

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut command = with_values(Cli::command(), &environments()?);
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
