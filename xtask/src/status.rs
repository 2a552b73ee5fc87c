//! `cargo xtask status`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Show what waits, what was delivered, and whether anything is lost
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Status {
    #[command(flatten)]
    arguments: Arguments,
}

impl Status {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("status", &self.arguments)
    }
}
