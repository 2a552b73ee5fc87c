//! Commands that the operator carries out: it talks to the queues through the AWS SDK.

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::process;
use crate::{aws, engine, workspace};

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

/// Runs an operator's command, as it was typed here.
pub(crate) fn run(command: &commands::Command) -> anyhow::Result<ExitCode> {
    build()?;
    let mut operator = operator();
    operator.args(std::env::args_os().skip(1));
    // `local` is the engine if one runs, and else what was deployed to the emulator.
    let is_local = command.environment().environment.as_deref() == Some(aws::LOCAL);
    if is_local && engine::running(&workspace::data_dir(aws::LOCAL)).is_err() {
        aws::emulator::confine_if_running(&mut operator);
    }
    let status = operator.status().map_err(|error| process::cannot_start(&operator, &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
