//! `webhook-operator`: what operates the queues of an environment through the AWS SDK. On one machine
//! the SDK is pointed at the engine, so there is one code path. `cargo xtask dlq …` starts it.
//!
//! Exit codes: 0 done, 1 failed or only partly done, 2 wrong usage, 130 interrupted.

mod dlq;
mod environment;
mod queue;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Operate the queues of an environment
#[derive(Debug, Parser)]
#[command(
    name = "webhook-operator",
    bin_name = "cargo xtask",
    version,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at dead letters and send them again
    #[command(subcommand)]
    Dlq(dlq::Dlq),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { command: Command::Dlq(dlq) } = Cli::parse();
    match dlq.run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
