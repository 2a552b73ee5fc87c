//! `cargo xtask`: the project's one command line. Parses arguments and dispatches; each subcommand is
//! a file. What is heavy (the engine, the AWS SDK) is started as a process, so that this builds fast.

#![warn(clippy::disallowed_macros)]

// Before the others, which print by its macros.
#[macro_use]
extern crate terminal;

mod aws;
mod bench;
mod completions;
mod demo;
#[cfg(test)]
mod documents;
mod engine;
mod events;
mod fuzz;
mod http;
mod interrupt;
mod lint;
mod local;
mod module_docs;
mod operate;
mod package;
mod process;
mod prove;
mod release;
mod schema;
mod steps;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use commands::program;
use terminal::exit;

/// Build, run, test, package and operate the webhook queue
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version, after_help = exit::TABLE)]
struct Cli {
    /// Show errors of AWS with all that is known of them
    #[arg(long, global = true)]
    debug: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Local(local::Local),
    Demo(demo::Demo),
    #[command(flatten)]
    Operate(commands::Command),
    Package(package::Package),
    Release(release::Release),
    Bootstrap(aws::bootstrap::Bootstrap),
    New(aws::new::New),
    Plan(aws::plan::Plan),
    Check(aws::check::Check),
    Deploy(aws::deploy::Deploy),
    Promote(aws::promote::Promote),
    Rollback(aws::rollback::Rollback),
    Releases(aws::releases::Releases),
    Destroy(aws::destroy::Destroy),
    Estimate(aws::estimate::Estimate),
    Test(test::Test),
    Lint(lint::Lint),
    Bench(bench::Bench),
    Prove(prove::Prove),
    Fuzz(fuzz::Fuzz),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    program::called_as("cargo xtask");
    let Cli { debug, command } = Cli::try_parse().unwrap_or_else(|error| {
        let typed: Vec<_> = std::env::args_os().collect();
        if let Some(note) = program::taken_for_env(Cli::command(), &typed, &error) {
            eprintln!("note: {note}\n");
        }
        error.exit()
    });
    operate::DEBUG.store(debug, Ordering::Relaxed);
    let result = match command {
        Command::Local(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Operate(command) => operate::run(&command),
        Command::Package(command) => command.run(),
        Command::Release(command) => command.run(),
        Command::Bootstrap(command) => command.run(),
        Command::New(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Deploy(command) => command.run(),
        Command::Promote(command) => command.run(),
        Command::Rollback(command) => command.run(),
        Command::Releases(command) => command.run(),
        Command::Destroy(command) => command.run(),
        Command::Estimate(command) => command.run(),
        Command::Test(command) => Ok(command.run()),
        Command::Lint(command) => Ok(command.run()),
        Command::Bench(command) => command.run(),
        Command::Prove(command) => command.run(),
        Command::Fuzz(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    let written = terminal::print::finish().context("writing to standard output");
    result.and_then(|code| written.map(|()| code)).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        exit::code_of(&error)
    })
}
