//! `cargo xtask doctor`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Check what deliveries depend on, and say what to do
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Doctor {
    #[command(flatten)]
    arguments: Arguments,
}

impl Doctor {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("doctor", &self.arguments)
    }
}
