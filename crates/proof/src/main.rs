//! `proof`: attacks the programs beside it, and says what it tried. `cargo xtask prove` starts it.

#![warn(clippy::disallowed_macros)]

#[macro_use]
extern crate terminal;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use proof::real::{self, Options};
use proof::report::Report;
use proof::self_test;
use terminal::exit;

/// Try to break every promise, and say what was tried
///
/// Starts the engine that is beside it, posts events, answers them badly, kills what runs, operates, and
/// looks from outside whether anything accepted is missing, overtaken, repeated without a reason, forged,
/// stuck, miscounted or leaked. Ends with 1 if a promise was broken, and prints the story of it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = concat!("Examples:\n  proof\n  proof --seed 7 --events 20000\n  proof --json\n\n",
        "Exit codes:\n  0    every promise was kept, and everything was exercised\n",
        "  1    a promise was broken, or something was never exercised\n",
        "  2    wrong arguments\n  3    a program is missing, or did not start or end")
)]
struct Cli {
    /// Repeats a run: the same faults at the same events [default: a new one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How many events are sent
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,

    /// After this time no more faults begin
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
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

    /// Try instead whether faults are found that the programs are built with on purpose; all, or those with
    /// this text in their names
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    self_test: Option<String>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(exit::Failure::Environment as u8)
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
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
        deliberate: None,
        progress: |text| eprintln!("{text}"),
    };
    if let Some(text) = &cli.self_test {
        return self_test(&options, text);
    }
    let run = real::run(&options)?;
    if let Some(file) = cli.history {
        let mut out = BufWriter::new(File::create(&file).context("making the history's file")?);
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
