//! Commands that the operator carries out: it talks to the queues through the AWS SDK.

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use commands::EnvironmentArgs;

use crate::process;
use crate::{aws, engine, workspace};

/// Whether AWS's errors are shown with all that is known of them.
pub(crate) static DEBUG: AtomicBool = AtomicBool::new(false);

/// By which the operator is told where what is deployed takes webhooks: only Terraform knows.
const INGEST_VARIABLE: &str = "WEBHOOK_OPERATOR_INGEST";

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
    let ingest = match command {
        commands::Command::Send(send) => deployed(send)?.map(aws::ingest).transpose()?,
        _ => None,
    };
    build()?;
    let mut operator = operator();
    operator.args(std::env::args_os().skip(1));
    // `local` is the engine if one runs, and else what was deployed to the emulator.
    let is_local = command.environment().environment.as_deref() == Some(aws::LOCAL);
    if is_local && !engine::is_running(&workspace::data_dir(aws::LOCAL)) {
        aws::emulator::confine_if_running(&mut operator);
        operator.env(INGEST_VARIABLE, emulator::ingest());
    } else if let Some(ingest) = ingest {
        operator.env(INGEST_VARIABLE, ingest);
    }
    let status = operator.status().map_err(|error| process::cannot_start(&operator, &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The environment on AWS that is sent to, if that is one.
fn deployed(send: &commands::Send) -> anyhow::Result<Option<&str>> {
    let EnvironmentArgs { environment: Some(name), config: None, data_dir: None, api: None } =
        &send.environment
    else {
        return Ok(None);
    };
    let is_on_aws = name != aws::LOCAL && workspace::config(name)?.aws.is_some();
    Ok(Some(name.as_str()).filter(|_| is_on_aws && send.url.is_none()))
}
