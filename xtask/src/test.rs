//! `cargo xtask test`

use std::process::ExitCode;

use crate::process::{self, cargo};
use crate::steps::{Outcome, Steps};
use crate::{demo, lint, package};

/// Run everything that can run on this machine
///
/// Ends with what ran, what was skipped and why. Exits with 0 only if nothing failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Leave out what takes minutes: the artifact is not built
    #[arg(long)]
    quick: bool,
}

impl Test {
    pub(crate) fn run(self) -> ExitCode {
        let mut steps = Steps::default();
        steps.add("build", || process::run(cargo().args(["build", "--workspace"])));
        steps
            .add("tests", || process::run(cargo().args(["test", "--workspace", "--no-fail-fast"])));
        steps.add("demo", || demo::run(false));
        lint::add(&mut steps);
        steps.add_optional("artifact is reproducible", move || {
            if self.quick {
                return Ok(Outcome::Skipped("left out by --quick".to_owned()));
            }
            package::check_reproducible()
        });
        steps.run()
    }
}
