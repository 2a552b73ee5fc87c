//! `cargo xtask dlq`: starts the operator, which talks to the queues through the AWS SDK.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process::{self, cargo};
use crate::workspace;

/// Look at dead letters and send them again: `dlq --help` shows how
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Dlq {
    /// What `dlq` is to do: list, show or redrive
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Dlq {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        build()?;
        let mut operator = process::command(workspace::program("webhook-operator"));
        let status = operator.arg("dlq").args(self.arguments).status()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

/// Builds the operator; quick when nothing has changed.
pub(crate) fn build() -> anyhow::Result<()> {
    process::run(cargo().args(["build", "--quiet", "--package", "operator"]))
}
