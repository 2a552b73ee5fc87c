//! `webhook-operator`: what talks to an environment through the AWS SDK. On one machine the SDK is
//! pointed at the engine, so there is one code path. Where there is no clone it is called by its own
//! name; in one, `cargo xtask dlq …` starts it, and so do the commands that deploy, for what Terraform
//! does not do: artifacts, release records, the log.
//!
//! Exit codes: [`exit::TABLE`].

#![warn(clippy::disallowed_macros)]

// Before the others, which print by its macros.
#[macro_use]
extern crate terminal;

mod alongside;
mod answered_at;
mod artifact_store;
mod ask;
mod audit;
mod blocked;
mod cloudwatch;
mod damaged;
mod delivery;
mod dlq;
mod doctor;
mod document;
mod ended;
mod engine_api;
mod engine_status;
mod environment;
mod export_file;
mod find;
mod forget;
mod history;
mod identity;
mod interrupt;
mod kept_until;
mod lease;
mod letter;
mod live;
mod logs;
mod mapping;
mod message_text;
mod page;
mod pause;
mod pauses;
mod people;
mod progress;
mod queue;
mod queue_counts;
mod queue_time;
mod refused;
mod repeat;
mod resume;
mod resumption;
mod retry;
mod scratch;
mod sdk;
mod send;
mod settle;
mod show;
mod skip;
mod stage;
mod status;
mod trace;
mod zone;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use commands::program;
use manual::Manual;
use terminal::exit;

const EXAMPLES: &str = "\
Examples:
  {program} status local
  {program} status --data-dir /var/lib/webhook-queue
  {program} dlq redrive local --all --dry-run
  AWS_ACCESS_KEY_ID=… {program} blocked --api 127.0.0.1:9324
  {program} doctor dev --config /etc/webhook-queue/dev.json

`--help` on each command teaches it. Of an engine on this machine name the data directory, which its
user and root may read, or where its API listens: which environment it runs it says itself, and a name
that is another one is refused. Of AWS name the environment and its configuration file.

{exit codes}";

/// Operate the queues of an environment
#[derive(Debug, Parser)]
#[command(
    name = "webhook-operator",
    bin_name = program::name(),
    version,
    disable_help_subcommand = true,
    after_help = program::help(EXAMPLES).replace("{exit codes}", exit::TABLE)
)]
struct Cli {
    /// Show errors of AWS with all that is known of them
    #[arg(long, global = true)]
    debug: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Operate(Box<commands::Command>),
    // For xtask, as what follows.
    #[command(subcommand, hide = true)]
    Store(artifact_store::StoreCommand),
    #[command(hide = true)]
    Whoami(identity::Whoami),
    #[command(hide = true)]
    Live(live::Live),
    #[command(hide = true)]
    Settle(settle::Settle),
    #[command(hide = true)]
    Stage(stage::StageCommand),
    #[command(hide = true)]
    Forget(forget::Forget),
    #[command(hide = true)]
    AwaitDelivery(delivery::AwaitDelivery),
    #[command(hide = true)]
    Manual(Manual),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let matches = Cli::command().try_get_matches().unwrap_or_else(|error| {
        let typed: Vec<_> = std::env::args_os().collect();
        if let Some(note) = program::taken_for_env(Cli::command(), &typed, &error) {
            eprintln!("note: {note}\n");
        }
        error.exit()
    });
    program::remember(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    sdk::debug(cli.debug);
    progress::never_silent();
    let is_watched = matches!(&cli.command, Command::Operate(it) if it.ends_by_signal());
    let waiting = progress::waiting_for("an answer of the environment");
    let done = match interrupt::listen() {
        Ok(()) => Box::pin(interrupt::or_interrupted(carry_out(cli.command))).await,
        Err(error) => Err(error),
    };
    drop(waiting);
    let written = terminal::print::finish().context("writing to standard output");
    done.and_then(|code| written.map(|()| code)).unwrap_or_else(|error| {
        if !(is_watched && exit::failure_of(&error) == Some(exit::Failure::Interrupted)) {
            eprintln!("error: {error:#}");
        }
        exit::code_of(&error)
    })
}

async fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Operate(command) => Box::pin(operate(*command)).await,
        Command::Store(command) => command.run().await,
        Command::Whoami(command) => command.run().await,
        Command::Live(command) => command.run().await,
        Command::Settle(command) => command.run().await,
        Command::Stage(command) => command.run().await,
        Command::Forget(command) => command.run().await,
        Command::AwaitDelivery(command) => command.run().await,
        Command::Manual(command) => command
            .write(env!("CARGO_BIN_NAME"), Cli::command())
            .context("writing the manual")
            .map(|()| ExitCode::SUCCESS),
    }
}

/// Carries out what an operator typed.
async fn operate(command: commands::Command) -> anyhow::Result<ExitCode> {
    use commands::Command as Typed;
    if command.tells_local_times() {
        zone::be_local()?;
    }
    match command {
        Typed::Status(it) => status::run(it).await,
        Typed::Trace(it) => Box::pin(trace::run(it)).await,
        Typed::Show(it) => Box::pin(show::run(it)).await,
        Typed::Blocked(it) => Box::pin(blocked::run(it)).await,
        Typed::Refused(it) => Box::pin(refused::run(it)).await,
        Typed::Logs(it) => Box::pin(logs::run(it)).await,
        Typed::Skip(it) => skip::run(it).await,
        Typed::Doctor(it) => doctor::run(it).await,
        Typed::Dlq(it) => Box::pin(dlq::run(it)).await,
        Typed::Damaged(it) => Box::pin(damaged::run(it)).await,
        Typed::Pause(it) => Box::pin(pause::run(it)).await,
        Typed::Resume(it) => Box::pin(resume::run(it)).await,
        Typed::Retry(it) => Box::pin(retry::run(it)).await,
        Typed::Repeat(it) => Box::pin(repeat::run(it)).await,
        Typed::Find(it) => Box::pin(find::run(it)).await,
        Typed::Send(it) => Box::pin(send::run(it)).await,
        Typed::Page(it) => Box::pin(page::run(it)).await,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::error::ErrorKind;
    use manual::typed;

    use super::*;

    /// What a document leaves to its reader, as he could type it.
    fn filled_in(word: &str) -> &str {
        match word {
            "TIME" => "2h",
            "N" => "5",
            "HOST:PORT" => "127.0.0.1:9324",
            word => word,
        }
    }

    fn parse(words: &[String]) -> Result<(), clap::Error> {
        let arguments = words.iter().map(|word| filled_in(word));
        Cli::try_parse_from(std::iter::once("webhook-operator").chain(arguments)).map(drop)
    }

    /// Those that `cargo xtask` passes on.
    fn is_passed_on(words: &[String]) -> bool {
        commands::Command::has_subcommand(&words[0])
    }

    /// A command that is only named, such as `dlq list`, is not typed like that.
    fn is_named_only(words: &[String]) -> bool {
        words.len() == 1 || (words.len() == 2 && words[0] == "dlq")
    }

    #[test]
    fn every_command_of_the_documents_parses() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let mut git = std::process::Command::new("git");
        let listed = git.arg("-C").arg(root).args(["ls-files", "*.md"]).output().unwrap();
        let (mut count, mut refused) = (0, Vec::new());
        // What has changed since tells of commands that are gone.
        let files = String::from_utf8(listed.stdout).unwrap();
        for file in files.lines().filter(|file| *file != "CHANGELOG.md") {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let of_xtask = typed::commands(&text, "cargo xtask");
            let passed_on = of_xtask.into_iter().filter(|words| is_passed_on(words));
            let ours = typed::commands(&text, "webhook-operator");
            for words in ours.into_iter().chain(passed_on).filter(|words| !is_named_only(words)) {
                // A table's `dlq show ENV` names it, with the environment alone.
                let is_in_table = words[words.len() - 1] == "ENV" && words[0] == "dlq";
                if let Err(error) = parse(&words)
                    && error.kind() != ErrorKind::DisplayHelp
                    && !(is_in_table && error.kind() == ErrorKind::MissingRequiredArgument)
                {
                    refused.push(format!("{file}: {}: {error}", words.join(" ")));
                }
                count += 1;
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
        assert!(count > 60, "only {count} commands were found");
    }

    /// What somebody else may choose as a key, an id or a name, which are never empty.
    pub(crate) const CHOSEN: [&str; 6] = ["--all", "-y", "--", "$(touch x)", "a b", "'"];

    /// Sees that a printed command is taken as it was meant by a shell and by clap, with `chosen` in it as a
    /// value.
    pub(crate) fn takes(command: &str, chosen: &str) {
        let words = shlex::split(command).unwrap();
        let is_there = |word: &String| word == chosen || word.ends_with(&format!("={chosen}"));
        assert!(words.iter().any(is_there), "{command}");
        let parsed = Cli::try_parse_from(
            std::iter::once("webhook-operator").chain(words[1..].iter().map(String::as_str)),
        );
        let parsed = parsed.unwrap_or_else(|error| panic!("{command}: {error}"));
        // As no option it is in what was parsed as text.
        let parsed = format!("{parsed:?}");
        assert!(parsed.contains(&format!("{chosen:?}")), "{command}: {parsed}");
    }

    #[test]
    fn a_command_that_does_not_parse_is_noticed() {
        for text in ["webhook-operator dlq show local", "webhook-operator status local --wach"] {
            let [words] = typed::commands(text, "webhook-operator").try_into().unwrap();
            assert!(!is_named_only(&words) && parse(&words).is_err(), "{text}");
        }
    }
}
