//! `cargo xtask test`

use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::process::{self, cargo};
use crate::prove::{Prove, Way};
use crate::steps::{Outcome, Steps};
use crate::{demo, lint, package, release, workspace};

/// Says to tests that take minutes that they are left out.
pub(crate) const QUICK_VARIABLE: &str = "XTASK_QUICK";

/// Names the file in which a test that deploys to an emulator says why it cannot; without it they are
/// left out.
const SKIPPED_VARIABLE: &str = "XTASK_SKIPPED";

/// Run everything that can run on this machine
///
/// Ends with what ran, what was skipped and why. Exits with 0 only if nothing failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Leave out what takes minutes: programs that are killed while they deliver, clients of SQS on the engine, a redrive that is killed 200 times, rights
    /// and the move from the original on an emulator, and building the artifact twice to compare the bytes
    #[arg(long)]
    quick: bool,

    /// Run only the steps whose names contain this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

impl Test {
    pub(crate) fn run(self) -> ExitCode {
        let mut steps = Steps::default();
        // With the tests' features: built without, fifty crates would be built again for the tests.
        let build = ["build", "--workspace", "--all-targets"];
        steps.add("build", move || process::run(cargo().args(build)));
        let quick = self.quick;
        steps.add("tests", move || {
            let mut tests = cargo();
            tests.args(["test", "--workspace", "--no-fail-fast"]).env(process::BUILT_VARIABLE, "1");
            if quick {
                tests.env(QUICK_VARIABLE, "1");
            }
            process::run(tests.env("FORWARDER_BINARY", workspace::program("forwarder")))
        });
        steps.add("demo", || demo::run(false));
        let deploy = || on_emulator("local::");
        steps.add_beside("deploy local, on an AWS emulator", deploy, |steps| {
            lint::add(steps);
            // The same ones every time, and others: each takes a second.
            let (same, others) = if quick { (75, 25) } else { (150, 50) };
            steps.add("simulated days", move || prove(Way::Simulation, Some(1), Some(same)));
            let by_a_new_seed = move || prove(Way::Simulation, None, Some(others));
            steps.add("simulated days by a new seed", by_a_new_seed);
        });
        steps.add_optional("every promise is attacked", move || {
            if quick {
                return Ok(Outcome::Skipped("left out by --quick".to_owned()));
            }
            prove(Way::Programs, None, None).map(|()| Outcome::Passed)
        });
        for (step, name) in [
            ("rights, on an AWS emulator", "rights::"),
            ("the original is moved, on an AWS emulator", "moving::"),
            ("an earlier version is upgraded, on an AWS emulator", "upgrading::"),
        ] {
            steps.add_optional(step, move || {
                if quick {
                    return Ok(Outcome::Skipped("left out by --quick".to_owned()));
                }
                on_emulator(name)
            });
        }
        steps.add_optional("a redrive that is killed 200 times", move || {
            if quick {
                return Ok(Outcome::Skipped("left out by --quick".to_owned()));
            }
            let mut test = cargo();
            // Of the whole workspace, as below.
            test.args(["test", "--quiet", "--workspace", "--test", "killed", "--", "--ignored"]);
            process::run(test.env(process::BUILT_VARIABLE, "1"))?;
            Ok(Outcome::Passed)
        });
        steps.add_optional("artifact is reproducible", move || {
            if quick {
                return Ok(Outcome::Skipped("left out by --quick".to_owned()));
            }
            package::check_reproducible()
        });
        steps.add_optional("released programs are reproducible", move || {
            if self.quick {
                return Ok(Outcome::Skipped("left out by --quick".to_owned()));
            }
            release::check_reproducible()
        });
        if let Some(text) = &self.only {
            steps.keep(text);
        }
        steps.run()
    }
}

/// Attacks in one of the two ways, with what is built.
fn prove(way: Way, seed: Option<u64>, days: Option<u64>) -> anyhow::Result<()> {
    let code = Prove::test(way, seed, days)?;
    ensure!(code == ExitCode::SUCCESS, "a promise was broken: its story stands above");
    Ok(())
}

/// Runs the tests of `contract-tests` that deploy to an emulator and whose names begin with `name`.
fn on_emulator(name: &str) -> anyhow::Result<Outcome> {
    let skipped = tempfile::NamedTempFile::new().context("making a file for the reason")?;
    let mut test = cargo();
    // Of the whole workspace: built alone, it would be built with other features.
    test.args(["test", "--quiet", "--workspace", "--test", "emulator", name]);
    test.args(["--", "--nocapture"]).env(SKIPPED_VARIABLE, skipped.path());
    process::run(test.env(process::BUILT_VARIABLE, "1"))?;
    let reason = std::fs::read_to_string(skipped.path()).context("reading why it was skipped")?;
    Ok(if reason.is_empty() { Outcome::Passed } else { Outcome::Skipped(reason) })
}
