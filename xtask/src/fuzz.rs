//! `cargo xtask fuzz`: searches the parsers that meet untrusted bytes, by coverage.
//!
//! `cargo bolero` would build a package's programs and its other tests as well, which cannot be linked with
//! what only a fuzzer brings. So the one test is built and started here, as it does that.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use terminal::exit::Failure;

use crate::process::{self, cargo};
use crate::workspace;

/// What is compiled to count which code ran, as cargo-bolero 0.13 has it for `libFuzzer`.
const RUSTFLAGS: &str = "--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-sanitizer-coverage-stack-depth";

/// Seconds that one input may take.
const TIMEOUT_SECONDS: u64 = 10;

/// A test that is a fuzzer: one whose name begins with `fuzz_`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fuzzer {
    package: &'static str,
    /// What of the package holds it.
    target: &'static str,
    test: &'static str,
}

const FUZZERS: [Fuzzer; 11] = [
    in_library("domain", "fuzz::fuzz_configuration"),
    in_library("domain", "fuzz::fuzz_dead_letter"),
    in_library("domain", "fuzz::fuzz_expression"),
    in_library("domain", "fuzz::fuzz_mapping"),
    in_library("domain", "fuzz::fuzz_operators_marks"),
    in_library("domain", "fuzz::fuzz_signature"),
    in_library("engine", "sqs::messages::tests::fuzz_sqs_wire"),
    in_library("forwarder", "event::tests::fuzz_event"),
    in_library("operator", "audit::read::tests::fuzz_audit_line"),
    in_library("operator", "dlq::import::tests::fuzz_exported_letter"),
    Fuzzer { package: "xtask", target: "--bin=xtask", test: "aws::planned::tests::fuzz_plan" },
];

const fn in_library(package: &'static str, test: &'static str) -> Fuzzer {
    Fuzzer { package, target: "--lib", test }
}

/// Search the parsers that meet untrusted bytes for an input that breaks them
///
/// Each is built to count which of its code ran (libFuzzer, which needs a C++ compiler), and is given what
/// reaches more of it. What was found useful is kept in target/fuzz for the next time; what breaks a parser
/// is put beside its test, and every `cargo test` tries it from then on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz signature --minutes 60\n  cargo xtask fuzz --list\n\nExit codes:\n  0    nothing was found\n  1    an input broke a parser: it is named above\n  2    wrong arguments\n  3    a fuzzer could not be built"
)]
pub(crate) struct Fuzz {
    /// Only the parsers whose test's name holds this text [default: all]
    #[arg(value_name = "TEXT", default_value = "", hide_default_value = true)]
    text: String,

    /// How long each is searched
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: u64,

    /// Print their names instead, one a line
    #[arg(long)]
    list: bool,
}

impl Fuzz {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let fuzzers: Vec<_> =
            FUZZERS.iter().filter(|fuzzer| fuzzer.test.contains(&self.text)).collect();
        if fuzzers.is_empty() {
            let error = anyhow::anyhow!(
                "no parser has {:?} in its name: `cargo xtask fuzz --list` names all",
                self.text
            );
            return Err(Failure::Usage.of(error));
        }
        if self.list {
            for fuzzer in fuzzers {
                println!("{}", fuzzer.test);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut broken = Vec::new();
        for fuzzer in fuzzers {
            let program = fuzzer.build().map_err(|error| Failure::Environment.of(error))?;
            if !fuzzer.search(&program, self.minutes)? {
                broken.push(fuzzer.test);
            }
        }
        if !broken.is_empty() {
            eprintln!("error: an input breaks {}", broken.join(", "));
        }
        Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Fuzzer {
    /// Builds the package's tests of one kind, and tells where they are.
    fn build(&self) -> anyhow::Result<PathBuf> {
        let dir = workspace::target_dir().join("fuzz");
        let mut build = cargo();
        // With a target, what runs while it is built counts nothing.
        build
            .args([
                "test",
                "--profile=fuzz",
                "--no-run",
                "--message-format=json-render-diagnostics",
            ])
            .args(["--package", self.package, self.target, "--target", &host()?])
            .arg("--target-dir")
            .arg(dir)
            .env("RUSTFLAGS", RUSTFLAGS)
            // These flags are for nightly toolchains; the one that is pinned has them.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("BOLERO_FUZZER", "libfuzzer")
            .stderr(Stdio::inherit());
        let told = process::output(&mut build)?;
        let executable = told.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let is_test = message["profile"]["test"] == true;
            is_test.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
        });
        executable.with_context(|| format!("cargo built no tests of {}", self.package))
    }

    /// Whether nothing was found.
    fn search(&self, program: &Path, minutes: u64) -> anyhow::Result<bool> {
        let found = process::output(self.command(program).env("CARGO_BOLERO_SELECT", "one"))?;
        // Beside the test's source: what every `cargo test` tries.
        let kept = found.lines().find_map(|line| {
            let start = line.find('{')?;
            let target: Value = serde_json::from_str(line.get(start..)?).ok()?;
            target["work_dir"].as_str().map(PathBuf::from)
        });
        let kept = kept.with_context(|| format!("{} is no fuzzer", self.test))?;
        let (seeds, crashes) = (kept.join("corpus"), kept.join("crashes"));
        let corpus = workspace::target_dir().join("fuzz/corpus").join(self.test.replace("::", "."));
        for dir in [&corpus, &seeds, &crashes] {
            std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let [corpus, seeds, crashes] =
            [corpus, seeds, crashes].map(|dir| dir.display().to_string());
        let has_space = [&corpus, &seeds, &crashes].iter().any(|dir| dir.contains(' '));
        ensure!(!has_space, "the fuzzer splits its arguments at spaces, and {corpus:?} has one");
        // What it finds useful goes into the first of them.
        let arguments = format!(
            "{corpus} {seeds} {crashes} -artifact_prefix={crashes}/ -timeout={TIMEOUT_SECONDS} \
             -max_total_time={} -print_final_stats=1",
            minutes * 60
        );
        let mut search = self.command(program);
        // What it finds is what was asked for.
        search.env("BOLERO_LIBFUZZER_ARGS", arguments).stderr(std::io::stdout());
        let status = process::status(&mut search)?;
        // Git and people see only what was found.
        for dir in [&seeds, &crashes] {
            drop(std::fs::remove_dir(dir));
        }
        drop(std::fs::remove_dir(&kept));
        if let Some(parent) = kept.parent() {
            drop(std::fs::remove_dir(parent));
        }
        Ok(status.success())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = process::command(program);
        command
            .args([self.test, "--exact", "--nocapture", "--quiet", "--test-threads=1"])
            .env("BOLERO_TEST_NAME", self.test)
            .env("BOLERO_LIBTEST_HARNESS", "1");
        command
    }
}

/// The target that cargo builds for.
fn host() -> anyhow::Result<String> {
    let version = process::output(process::command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say for which host it is")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that none is forgotten: neither here nor in what runs every week.
    #[test]
    fn every_fuzzer_is_known_and_runs_every_week() {
        let mut found = std::collections::BTreeSet::new();
        let files = process::output(process::command("git").args(["ls-files", "*.rs"])).unwrap();
        for file in files.lines() {
            let Ok(source) = std::fs::read_to_string(workspace::root().join(file)) else {
                continue;
            };
            let names =
                source.lines().filter_map(|line| line.trim_start().strip_prefix("fn fuzz_"));
            found.extend(
                names.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()),
            );
        }
        let known =
            FUZZERS.iter().map(|fuzzer| fuzzer.test.rsplit_once("::fuzz_").unwrap().1.to_owned());
        assert_eq!(known.collect::<std::collections::BTreeSet<_>>(), found);
        let workflow = workspace::root().join(".github/workflows/proof.yml");
        let workflow = std::fs::read_to_string(workflow).unwrap();
        let weekly = workflow.lines().filter_map(|line| line.trim_start().strip_prefix("- "));
        let weekly: Vec<_> = weekly.filter(|it| it.contains("::fuzz_")).collect();
        let mut known: Vec<_> = FUZZERS.iter().map(|fuzzer| fuzzer.test).collect();
        // `cargo xtask fuzz NAME` is to mean one only.
        known.sort_by_key(|test| weekly.iter().position(|it| it == test));
        assert_eq!(known, weekly);
        for test in known {
            assert_eq!(FUZZERS.iter().filter(|fuzzer| fuzzer.test.contains(test)).count(), 1);
        }
    }
}
