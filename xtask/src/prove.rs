//! `cargo xtask prove`: starts the proof, beside the programs that it attacks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::process::{self, cargo};
use crate::workspace;

/// What is attacked, and what attacks.
const PACKAGES: [&str; 4] = ["engine", "forwarder", "operator", "proof"];

/// Events of `--quick`: what a debug build delivers within two minutes.
const QUICK_EVENTS: u64 = 20_000;
/// Events of each run of `--self-test`.
const SELF_TEST_EVENTS: u64 = 4_000;
/// What the programs are built with for `--self-test`, and for nothing else.
const DELIBERATE_FAULTS: &str = "engine/deliberate-faults,forwarder/deliberate-faults";
/// Events of a whole proof.
const EVENTS: u64 = 1_000_000;
/// Simulated days of `--quick`, and of a whole proof.
const QUICK_DAYS: u64 = 200;
const DAYS: u64 = 10_000;

/// Try to break every promise, and say what was tried
///
/// First, days of operation, on AWS and on one machine, pass in one process and one simulated time, around
/// the forwarder's and the engine's own code; a day is repeated to the byte by its seed, and one that breaks
/// a promise is made short. Then it starts the engine, posts events, answers them badly, kills what runs
/// with -9, fills the disk, operates and is killed while operating; and looks from outside whether anything
/// accepted is missing, overtaken, repeated without a reason, forged, stuck, miscounted or leaked. Prints
/// what was tried how often, and the story of what broke. As root it mounts a disk of its own for the data directory, so that it can be full.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask prove --quick\n  cargo xtask prove --quick --seed 7\n  cargo xtask prove --only simulation --simulated-days 1000\n  cargo xtask prove --only programs --events 100000 --minutes 10\n  cargo xtask prove --json\n\nExit codes:\n  0    every promise was kept, and everything was exercised\n  1    a promise was broken, or something was never exercised\n  2    wrong arguments\n  3    a program did not start or end"
)]
pub(crate) struct Prove {
    /// 200 simulated days, 20,000 events and debug builds, which takes some minutes [default: 10,000 days,
    /// 1,000,000 events and release builds]
    #[arg(long)]
    quick: bool,

    /// Repeats a run: the same faults at the same events [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Attack in one of the two ways only
    #[arg(long, value_name = "WAY", conflicts_with = "self_test")]
    only: Option<Way>,

    /// How many days are simulated
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    simulated_days: Option<u64>,

    /// How many events are sent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    events: Option<u64>,

    /// After this time no more faults begin [default: 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,

    /// Begin with former programs, and upgrade them in the middle: a folder of them, or a commit that is
    /// built [default: the last tag; with --quick none]
    #[arg(long, value_name = "DIR|COMMIT", conflicts_with = "self_test")]
    upgrade_from: Option<String>,

    /// Write everything that was seen of the programs into this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Try instead whether faults are found that the programs are built with on purpose; all, or those with
    /// this text in their names
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    self_test: Option<String>,

    /// Print the reports as JSON, one after the other
    #[arg(long)]
    json: bool,
}

/// What is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// The forwarder's code, between what is modelled.
    Simulation,
    /// The programs.
    Programs,
}

impl Prove {
    /// Attacks in one of the two ways with the debug builds that are there: by this seed, or a new one.
    pub(crate) fn test(way: Way, seed: Option<u64>, days: Option<u64>) -> anyhow::Result<ExitCode> {
        let prove = Self {
            quick: true,
            seed,
            only: Some(way),
            simulated_days: days,
            events: None,
            minutes: None,
            upgrade_from: None,
            history: None,
            self_test: None,
            json: false,
        };
        prove.attack("debug")
    }

    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let folder = if self.self_test.is_some() {
            let packages = PACKAGES.iter().flat_map(|package| ["--package", package]);
            let mut build = cargo();
            build.arg("build").args(packages).args(["--features", DELIBERATE_FAULTS]);
            // Apart from what anybody else starts.
            let dir = workspace::target_dir().join("deliberate-faults");
            process::run(build.arg("--target-dir").arg(dir))?;
            "deliberate-faults/debug"
        } else if self.quick {
            process::build(&PACKAGES)?;
            "debug"
        } else {
            // What attacks has features of tokio that are not for what is attacked.
            let (attacked, attacks) = PACKAGES.split_at(3);
            for packages in [attacked, attacks] {
                let packages = packages.iter().flat_map(|package| ["--package", package]);
                process::run(cargo().args(["build", "--release", "--bins"]).args(packages))?;
            }
            "release"
        };
        self.attack(folder)
    }

    /// Attacks the programs in this folder of what is built.
    fn attack(&self, folder: &str) -> anyhow::Result<ExitCode> {
        let proof = workspace::target_dir().join(folder).join("proof");
        let is_wanted = |way: Way| match self.only {
            Some(only) => only == way,
            None => self.self_test.is_none() || way == Way::Programs,
        };
        let former = if is_wanted(Way::Programs) { self.former()? } else { None };
        let mut arguments = self.arguments();
        arguments.extend(former.map(|former| format!("--upgrade-from={}", former.display())));
        let mut worst = 0;
        for (way, arguments) in
            [(Way::Simulation, self.arguments_of_simulation()), (Way::Programs, arguments)]
        {
            if is_wanted(way) {
                let status = process::status(process::command(&proof).args(arguments))?;
                let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                worst = code.max(worst);
            }
        }
        Ok(worst.into())
    }

    /// The folder of the programs that are upgraded.
    fn former(&self) -> anyhow::Result<Option<PathBuf>> {
        let named = match &self.upgrade_from {
            Some(named) => named.clone(),
            None if self.quick || self.self_test.is_some() => return Ok(None),
            None => {
                let mut describe = process::command("git");
                let tag = process::output(describe.args(["describe", "--tags", "--abbrev=0"]));
                // Before the first release there is none.
                let Ok(tag) = tag else { return Ok(None) };
                tag.trim().to_owned()
            }
        };
        if Path::new(&named).is_dir() {
            return Ok(Some(std::path::absolute(&named).context("finding the former programs")?));
        }
        build_former(&named).map(Some)
    }

    /// What the simulation is told.
    fn arguments_of_simulation(&self) -> Vec<String> {
        let days = self.simulated_days.unwrap_or(if self.quick { QUICK_DAYS } else { DAYS });
        let mut arguments = vec!["simulate".to_owned(), format!("--days={days}")];
        // It takes what makes a day short as well.
        arguments.push("--typed=cargo run --package proof -- simulate".to_owned());
        arguments.extend(self.seed.map(|seed| format!("--seed={seed}")));
        if days < QUICK_DAYS {
            // Too few for every fault to meet somebody.
            arguments.push("--part".to_owned());
        }
        arguments.extend(self.json.then(|| "--json".to_owned()));
        arguments
    }

    /// What the proof is told.
    fn arguments(&self) -> Vec<String> {
        let events = self.events.unwrap_or(match (&self.self_test, self.quick) {
            (Some(_), _) => SELF_TEST_EVENTS,
            (None, true) => QUICK_EVENTS,
            (None, false) => EVENTS,
        });
        let mut typed = "cargo xtask prove".to_owned();
        if self.quick {
            typed.push_str(" --quick");
        }
        typed.extend(self.upgrade_from.iter().map(|named| format!(" --upgrade-from {named}")));
        let mut arguments = vec![format!("--events={events}"), format!("--typed={typed}")];
        arguments.extend(self.seed.map(|seed| format!("--seed={seed}")));
        arguments.extend(self.minutes.map(|minutes| format!("--minutes={minutes}")));
        arguments.extend(
            self.history
                .as_ref()
                .and_then(|file| std::path::absolute(file).ok())
                .map(|file| format!("--history={}", file.display())),
        );
        if self.quick {
            // Two minutes are too short for every fault to meet somebody.
            arguments.push("--part".to_owned());
        }
        arguments.extend(self.self_test.iter().map(|text| format!("--self-test={text}")));
        arguments.extend(self.json.then(|| "--json".to_owned()));
        arguments
    }
}

/// Builds the programs of a commit, beside those of this one.
fn build_former(commit: &str) -> anyhow::Result<PathBuf> {
    let folder = workspace::target_dir().join("former");
    let (source, target) = (folder.join("source"), folder.join("target"));
    let git = |words: &[&str]| {
        let mut git = process::command("git");
        git.arg("worktree").args(words);
        git
    };
    let remove = || git(&["remove", "--force"]).arg(&source).output();
    // One that was left by a build that was interrupted.
    let _left = remove();
    process::run(git(&["add", "--detach"]).arg(&source).arg(commit))?;
    let (attacked, _attacks) = PACKAGES.split_at(3);
    let packages = attacked.iter().flat_map(|package| ["--package", package]);
    let mut build = cargo();
    build.args(["build", "--release", "--bins"]).args(packages).arg("--target-dir").arg(&target);
    let ended = process::run(build.current_dir(&source));
    remove().context("removing the former source")?;
    ended?;
    Ok(target.join("release"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::{Cli, Command};

    #[test]
    fn the_command_that_repeats_a_run_is_the_one_that_was_typed() {
        let prove = |typed: &str| {
            let words = format!("xtask prove {typed}");
            let Command::Prove(prove) =
                Cli::try_parse_from(words.split_whitespace()).unwrap().command
            else {
                panic!("{words}");
            };
            prove
        };
        let arguments = |typed: &str| prove(typed).arguments().join(" ");
        assert_eq!(
            prove("--quick --seed 7").arguments_of_simulation().join(" "),
            "simulate --days=200 --typed=cargo run --package proof -- simulate --seed=7"
        );
        assert_eq!(
            arguments("--quick --seed 7"),
            "--events=20000 --typed=cargo xtask prove --quick --seed=7 --part"
        );
        assert_eq!(
            arguments("--quick --upgrade-from v1.2.0"),
            "--events=20000 --typed=cargo xtask prove --quick --upgrade-from v1.2.0 --part"
        );
        assert_eq!(
            arguments("--events 5000 --json"),
            "--events=5000 --typed=cargo xtask prove --json"
        );
    }
}
