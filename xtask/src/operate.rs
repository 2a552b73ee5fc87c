//! Commands that the operator carries out: it talks to the queues through the AWS SDK.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::process;
use crate::{aws, engine, workspace};

/// What the operator is given as it is; it has its own `--help`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Arguments of the command: `--help` shows them
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Whether AWS's errors are shown with all that is known of them.
pub(crate) static DEBUG: AtomicBool = AtomicBool::new(false);

/// Builds the operator; quick when nothing has changed.
pub(crate) fn build() -> anyhow::Result<()> {
    process::build(&["operator"])
}

/// The operator, which says of every command that it advises that it is one of ours.
pub(crate) fn operator() -> Command {
    let mut operator = process::command(workspace::program("webhook-operator"));
    operator.env("WEBHOOK_OPERATOR_CALLED_AS", "cargo xtask");
    if DEBUG.load(Ordering::Relaxed) {
        operator.env("WEBHOOK_OPERATOR_DEBUG", "1");
    }
    operator
}

/// Runs the operator's command `name`.
pub(crate) fn run(name: &str, given: &Arguments) -> anyhow::Result<ExitCode> {
    build()?;
    let mut operator = operator();
    operator.arg(name).args(&given.arguments);
    // `local` is the engine if one runs, and else what was deployed to the emulator.
    let local = given.arguments.iter().any(|argument| argument == aws::LOCAL);
    if local && engine::running(&workspace::data_dir(aws::LOCAL)).is_err() {
        aws::emulator::confine_if_running(&mut operator);
    }
    let status = operator.status().map_err(|error| process::cannot_start(&operator, &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
