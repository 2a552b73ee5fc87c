//! `proof`: attacks the programs beside it, and says what it tried. `cargo xtask prove` starts it.

#![warn(clippy::disallowed_macros)]

#[macro_use]
extern crate terminal;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use proof::check::Promise;
use proof::history::{History, Name};
use proof::real::{self, Options};
use proof::report::Report;
use proof::self_test;
use proof::simulation::{self, Only};
use terminal::exit;

/// Try to break every promise, and say what was tried
///
/// Starts the engine that is beside it, posts events, answers them badly, kills what runs, operates, and
/// looks from outside whether anything accepted is missing, overtaken, repeated without a reason, forged,
/// stuck, miscounted or leaked. Ends with 1 if a promise was broken, and prints the story of it.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = concat!("Examples:\n  proof\n  proof --seed 7 --events 20000\n  proof --json\n\n",
        "Exit codes:\n  0    every promise was kept, and everything was exercised\n",
        "  1    a promise was broken, or something was never exercised\n",
        "  2    wrong arguments\n  3    a program is missing, or did not start or end")
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Repeats a run: the same faults at the same events [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How many events are sent
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,

    /// After this time no more faults begin
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,

    /// Do not fail where a fault met nobody
    #[arg(long)]
    part: bool,

    /// Write everything that was seen into this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// The command that repeats it, as it is typed
    #[arg(long, value_name = "TEXT", default_value = "proof", hide = true)]
    typed: String,

    /// Where the programs are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,

    /// Begin with the programs of this folder, and upgrade them in the middle
    #[arg(long, value_name = "DIR", conflicts_with = "self_test")]
    upgrade_from: Option<PathBuf>,

    /// Try instead whether faults are found that the programs are built with on purpose; all, or those with
    /// this text in their names
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    self_test: Option<String>,

    /// What is mounted is for this process alone
    #[arg(long, hide = true)]
    own_mounts: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Simulate(Simulate),
}

/// Let days of operation pass in one process and one simulated time
///
/// The forwarder's own code runs before a modelled service: on one day behind a modelled SQS and a modelled
/// Lambda, on the next behind the engine's own store and event source mapping, by a seed that repeats every day
/// to the byte. A day that breaks a promise is made as short as it gets, and
/// printed with the command that repeats it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  proof simulate\n  proof simulate --seed 7 --days 200\n  proof simulate --seed 7 --from 31 --days 1 --history FILE\n\nExit codes:\n  0    every promise was kept, and everything was exercised\n  1    a promise was broken, or something was never exercised\n  2    wrong arguments"
)]
struct Simulate {
    /// Repeats days [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How many days pass
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    days: u64,

    /// The first day
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,

    /// Only these faults of a day, by their places; with `none`, no fault
    #[arg(long, value_name = "N,N", value_delimiter = ',', num_args = 0..)]
    only_faults: Option<Vec<u32>>,

    /// Only these events of a day
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', num_args = 0.., value_parser = name)]
    only_events: Option<Vec<Name>>,

    /// Do not fail where a fault met nobody
    #[arg(long)]
    part: bool,

    /// Write everything that was seen into this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// The command that repeats it, as it is typed
    #[arg(long, value_name = "TEXT", default_value = "proof simulate", hide = true)]
    typed: String,

    /// Try instead whether faults are found that this is built with on purpose
    #[arg(long)]
    self_test: bool,

    /// Print after how many days the promise is broken that this deliberate fault breaks
    #[arg(long, value_name = "FAULT", hide = true)]
    until_broken: Option<String>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn name(text: &str) -> Result<Name, &'static str> {
    Name::parse(text).ok_or("an event is called as in k3-17")
}

impl Simulate {
    fn only(&self) -> Only {
        Only {
            faults: self.only_faults.as_ref().map(|faults| faults.iter().copied().collect()),
            events: self.only_events.as_ref().map(|events| events.iter().copied().collect()),
        }
    }

    fn run(&self) -> anyhow::Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(new_seed);
        if let Some(fault) = &self.until_broken {
            return until_broken(seed, fault);
        }
        if self.self_test {
            return simulated_self_test(seed);
        }
        let repeat =
            format!("{} --seed {seed} --from {} --days {}", self.typed, self.from, self.days);
        eprintln!("seed {seed}; `{repeat}` repeats it");
        let only = self.only();
        let mut out = self.history.as_deref().map(create).transpose()?;
        let mut report = simulation::report(&History::default());
        let mut stories = String::new();
        for (day, history, of_day) in
            simulation::days(seed, self.from..self.from + self.days, &only)
        {
            if let Some(out) = &mut out {
                history.write_to(out).context("writing the history")?;
            }
            let broken: Vec<&str> = of_day.broken().map(Promise::text).collect();
            if !broken.is_empty() {
                eprintln!("day {day} broke: {}", broken.join(", "));
            }
            if stories.is_empty() && !of_day.is_kept() {
                stories = self.stories(seed, day, &of_day, &history);
            }
            report.add(of_day);
        }
        if let Some(mut out) = out {
            out.flush().context("writing the history")?;
        }
        if self.json {
            println!("{:#}", report.json(seed));
        } else {
            print!("{}", report.text());
            println!("{stories}\n{repeat}");
        }
        terminal::print::finish().context("writing to standard output")?;
        let is_whole = self.part || report.unexercised().is_empty();
        Ok(if report.is_kept() && is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The shortest stories of what a day broke.
    fn stories(&self, seed: u64, day: u64, report: &Report, history: &History) -> String {
        let whole = self.only_faults.is_none() && self.only_events.is_none();
        let mut text = String::new();
        for promise in report.broken() {
            let shortest = whole.then(|| simulation::shrink(seed, day, promise)).flatten();
            let Some(shortest) = shortest else {
                text.push_str(&report.stories(history));
                return text;
            };
            text.push_str(&simulation::report(&shortest.history).stories(&shortest.history));
            let faults: Vec<String> =
                shortest.only.faults.iter().flatten().map(u32::to_string).collect();
            let events: Vec<String> =
                shortest.only.events.iter().flatten().map(Name::to_string).collect();
            text.extend([format!(
                "\n{} --seed {seed} --from {day} --days 1 --part --only-faults={} --only-events={}\n",
                self.typed,
                faults.join(","),
                events.join(",")
            )]);
        }
        text
    }
}

fn until_broken(seed: u64, fault: &str) -> anyhow::Result<ExitCode> {
    let found = simulation::self_test::DELIBERATE.into_iter().find(|(name, _)| *name == fault);
    let (_, promise) = found.with_context(|| format!("no deliberate fault is called {fault}"))?;
    let Some(day) = simulation::self_test::first_broken(seed, promise) else {
        return Ok(ExitCode::FAILURE);
    };
    println!("{}", day + 1);
    terminal::print::finish().context("writing to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn simulated_self_test(seed: u64) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("which program is this?")?;
    let all = simulation::self_test::run(&program, seed, |fault, promise, days| match days {
        Some(days) => println!("found  after {days:3} days  {fault:26} {}", promise.text()),
        None => println!("MISSED                  {fault:26} {}", promise.text()),
    });
    let all = all.context("starting this program once more")?;
    terminal::print::finish().context("writing to standard output")?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn create(file: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(file).context("making the history's file")?))
}

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(exit::Failure::Environment as u8)
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::Simulate(simulate)) = &cli.command {
        return simulate.run();
    }
    if !cli.own_mounts {
        start_with_own_mounts()?;
    }
    let beside = || std::env::current_exe().ok()?.parent().map(PathBuf::from);
    let programs = cli.programs.or_else(beside).context("where are the programs?")?;
    let seed = cli.seed.unwrap_or_else(new_seed);
    let repeat = format!("{} --seed {seed} --events {}", cli.typed, cli.events);
    eprintln!("seed {seed}; `{repeat}` repeats it");
    let options = Options {
        programs,
        seed,
        events: cli.events,
        time: Duration::from_secs(cli.minutes * 60),
        upgrade_from: cli.upgrade_from,
        own_mounts: cli.own_mounts,
        deliberate: None,
        progress: |text| eprintln!("{text}"),
    };
    if let Some(text) = &cli.self_test {
        return self_test(&options, text);
    }
    let run = real::run(&options)?;
    if let Some(file) = cli.history {
        let mut out = create(&file)?;
        run.history.write_to(&mut out).and_then(|()| out.flush()).context("writing the history")?;
    }
    let report = Report::of(&run.history, run.skipped);
    if cli.json {
        println!("{:#}", report.json(seed));
    } else {
        print!("{}", report.text());
        print!("{}", report.stories(&run.history));
        println!("\n{repeat}");
    }
    terminal::print::finish().context("writing to standard output")?;
    let is_whole = cli.part || report.unexercised().is_empty();
    Ok(if report.is_kept() && is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Becomes this program once more, with mounts that go with it however it ends; gives back where that is
/// only for others.
fn start_with_own_mounts() -> anyhow::Result<()> {
    let apart = |program: &Path| {
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "--"]).arg(program);
        unshare
    };
    if !apart(Path::new("true")).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let program = std::env::current_exe().context("which program is this?")?;
    let mut again = apart(&program);
    let error = again.arg("--own-mounts").args(std::env::args_os().skip(1)).exec();
    Err(error).context("starting this program with mounts of its own")
}

fn self_test(options: &Options, text: &str) -> anyhow::Result<ExitCode> {
    let options = Options { progress: |_text| {}, ..options.clone() };
    let found = self_test::run(&options, text, |found| {
        let what = if found.is_found { "found " } else { "MISSED" };
        let error = found.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let (seconds, promise) = (found.took.as_secs(), found.promise.text());
        println!("{what} {seconds:4} s  {:26} {promise}{error}", found.fault);
    });
    let missed = found.iter().filter(|found| !found.is_found).count();
    println!("\n{} of {} deliberate faults found", found.len() - missed, found.len());
    terminal::print::finish().context("writing to standard output")?;
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One that nobody chose.
fn new_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};

    // The standard library seeds its hashers from the system's randomness. Short enough to be typed.
    RandomState::new().hash_one(std::process::id()) % 1_000_000_000
}
