//! `cargo xtask skip`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Take a failing event out of the way of its group: it becomes a dead letter, and the group goes on
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Skip {
    #[command(flatten)]
    arguments: Arguments,
}

impl Skip {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("skip", &self.arguments)
    }
}
