//! `cargo xtask resume`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Go on delivering, and show how what has waited goes out
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Resume {
    #[command(flatten)]
    arguments: Arguments,
}

impl Resume {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("resume", &self.arguments)
    }
}
