//! `cargo xtask bench`: starts the benchmark, built as the artifact is.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process::{self, cargo};

/// Measure the forwarder and the engine against floors: `bench --help` shows how
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// Arguments of the benchmark
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let packages = [
            "--package",
            "bench",
            "--package",
            "forwarder",
            "--package",
            "engine",
            "--package",
            "sss-stub",
        ];
        process::run(cargo().args(["build", "--release", "--bins"]).args(packages))?;
        // Who looks at the page is measured beside the engine, with the operator as it is released.
        process::run(cargo().args(["build", "--profile", "operator", "--package", "operator"]))?;
        let bench = crate::workspace::target_dir().join("release").join("webhook-bench");
        let status = process::status(process::command(bench).args(self.arguments))?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
