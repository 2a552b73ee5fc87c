//! `cargo xtask blocked`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Show the message groups that wait, since when, for what, and what stands behind
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Blocked {
    #[command(flatten)]
    arguments: Arguments,
}

impl Blocked {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("blocked", &self.arguments)
    }
}
