//! `cargo xtask trace`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Show everything that is known of one event, in order of time
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Trace {
    #[command(flatten)]
    arguments: Arguments,
}

impl Trace {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("trace", &self.arguments)
    }
}
