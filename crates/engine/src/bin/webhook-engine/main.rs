//! `webhook-engine`: the engine as a program. Arguments and exit codes; what is run is a module each,
//! and the library's.

mod check_config;
mod data;
mod environment;
mod health;
mod output;
mod serve;
mod service;
mod test_notification;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use manual::Manual;

/// Accepts webhooks, keeps them in a durable FIFO queue and delivers them in order, on one machine
///
/// Without a command, it does so until it is stopped.
#[derive(Debug, Parser)]
#[command(
    name = "webhook-engine",
    version,
    after_long_help = serve::AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    environment: Option<environment::Environment>,
    #[command(flatten)]
    serve: Option<serve::Serve>,
}

#[derive(Debug, Subcommand)]
enum Command {
    CheckConfig(check_config::CheckConfig),
    TestNotification(test_notification::TestNotification),
    Backup(data::Backup),
    Restore(data::Restore),
    Compact(data::Compact),
    Health(health::Health),
    #[command(hide = true)]
    Manual(Manual),
}

/// Why the program ends; see the exit codes in its help.
#[derive(Debug, Clone, Copy)]
enum Exit {
    Failure = 1,
    Configuration = 2,
    DataDirectory = 3,
    Destinations = 4,
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli { command: Some(Command::CheckConfig(command)), .. } => command.run(),
        Cli { command: Some(Command::TestNotification(command)), .. } => command.run(),
        Cli { command: Some(Command::Backup(command)), .. } => command.run(),
        Cli { command: Some(Command::Restore(command)), .. } => command.run(),
        Cli { command: Some(Command::Compact(command)), .. } => command.run(),
        Cli { command: Some(Command::Health(command)), .. } => command.run(),
        Cli { command: Some(Command::Manual(command)), .. } => command
            .write(env!("CARGO_BIN_NAME"), Cli::command())
            .map_err(|error| fail(Exit::Failure, &format_args!("no manual: {error}"))),
        Cli { environment: Some(environment), serve: Some(serve), .. } => serve.run(environment),
        _ => unreachable!("clap asks for the arguments that are required"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => ExitCode::from(exit as u8),
    }
}

/// Threads and sockets, which a command cannot do without.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| fail(Exit::Failure, &format_args!("no threads: {error}")))
}

/// Says why, and gives back the exit code.
fn fail(exit: Exit, reason: &dyn Display) -> Exit {
    output::tell(&format_args!("webhook-engine: {reason}"));
    exit
}
