//! `cargo xtask dlq`

use std::process::ExitCode;

use crate::operate::{self, Arguments};

/// Look at dead letters and send them again: `dlq --help` shows how
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Dlq {
    #[command(flatten)]
    arguments: Arguments,
}

impl Dlq {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        operate::run("dlq", &self.arguments)
    }
}
