//! `cargo xtask pause`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Stop delivering, as around a release of your service: events are accepted, and wait in order
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Pause {
    #[command(flatten)]
    arguments: Arguments,
}

impl Pause {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("pause", &self.arguments)
    }
}
