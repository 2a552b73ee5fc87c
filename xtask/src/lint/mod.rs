//! `cargo xtask lint`

mod terraform;
mod workflows;

use std::process::ExitCode;

use terminal::exit::{self, Failure};

use crate::process::{self, cargo};
use crate::steps::{Outcome, Steps};
use crate::{schema, tidy};

/// Check format, lints, documentation, Terraform, workflows and the rules about this repository
#[derive(Debug, clap::Args)]
pub(crate) struct Lint {}

impl Lint {
    #[expect(clippy::unused_self, reason = "every command runs as a value")]
    pub(crate) fn run(self) -> ExitCode {
        let mut steps = Steps::default();
        add(&mut steps);
        steps.add_optional("modules are safe (checkov)", terraform::checkov);
        steps.add_optional("licences, sources and advisories (cargo deny)", deny);
        steps.run()
    }
}

/// The checks that are quick, and those of what is not Rust where their tools can be had.
pub(crate) fn add(steps: &mut Steps<'_>) {
    steps.add("format", || process::run(cargo().args(["fmt", "--all", "--check"])));
    steps.add("rules about the repository", tidy::check);
    steps.add("configuration schema is current", schema::check);
    steps.add("clippy", || {
        let arguments =
            ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
        process::run(cargo().args(arguments))
    });
    steps.add("documentation", || {
        let mut doc = cargo();
        doc.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        process::run(&mut doc)
    });
    steps.add_optional("workflows are well-formed (actionlint)", workflows::actionlint);
    steps.add_optional("workflows are safe (zizmor)", workflows::zizmor);
    steps.add_optional("terraform format", terraform::format);
    steps.add_optional("terraform modules and environments", terraform::test);
}

/// A check that is skipped where its tool cannot be had.
fn optional(check: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Outcome> {
    match check() {
        Ok(()) => Ok(Outcome::Passed),
        Err(error) if exit::failure_of(&error) == Some(Failure::Environment) => {
            Ok(Outcome::Skipped(format!("{error:#}")))
        }
        Err(error) => Err(error),
    }
}

fn deny() -> anyhow::Result<Outcome> {
    if process::output(cargo().args(["deny", "--version"])).is_err() {
        let reason = "cargo-deny is not installed; `cargo install cargo-deny` installs it";
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    process::run(cargo().args(["deny", "check"]))?;
    Ok(Outcome::Passed)
}
