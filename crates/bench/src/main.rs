//! `webhook-bench`: measures and prints figures, ratios and targets. `cargo xtask bench` builds
//! everything as the artifact is built and starts it.

#![warn(clippy::disallowed_macros)]

#[macro_use]
extern crate terminal;

mod candidate;
mod engine;
mod forwarder;
mod load;
mod report;
mod runtime_api;
mod sink;
mod viewers;

use std::process::ExitCode;

use clap::Parser;

use crate::candidate::Candidate;
use crate::report::Report;
use crate::sink::Authority;

/// Measure the forwarder and the engine against floors
///
/// The forwarder runs against a floor on bare blocking sockets and against the original's way of
/// working (Python with urllib under awslambdaric; needs Python 3), with and without TLS. What counts
/// is the ratio within one run: the figures themselves are the machine's.
#[derive(Debug, Parser)]
#[command(
    name = "webhook-bench",
    bin_name = "cargo xtask bench",
    after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench --quick\n  cargo xtask bench --only engine --json"
)]
struct Cli {
    /// Measure less of everything: a minute, and rougher figures
    #[arg(long)]
    quick: bool,

    /// Measure one part only
    #[arg(long, value_enum)]
    only: Option<Part>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Forwarder,
    Engine,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(report) => {
            if cli.json {
                report.print_json();
            } else {
                report.print();
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Report> {
    let mut report = Report::default();
    if cli.only != Some(Part::Engine) {
        measure_forwarder(cli.quick, &mut report)?;
    }
    if cli.only != Some(Part::Forwarder) {
        eprintln!("the engine …");
        let effort = if cli.quick {
            engine::Effort { accepts: 20_000, deliveries: 10_000, paced: 3_000, many: 100_000 }
        } else {
            engine::Effort { accepts: 100_000, deliveries: 30_000, paced: 10_000, many: 1_000_000 }
        };
        report.engine = Some(engine::measure(effort)?);
    }
    Ok(report)
}

fn measure_forwarder(quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let effort = if quick {
        forwarder::Effort { repeats: 3, invocations: 500 }
    } else {
        forwarder::Effort { repeats: 7, invocations: 2_000 }
    };
    let dir = tempfile::tempdir()?;
    let authority = Authority::new(dir.path())?;
    let mut candidates = vec![Candidate::Floor, Candidate::Forwarder, Candidate::Metrics];
    let tools = match candidate::install_original() {
        Ok(tools) => {
            candidates.push(Candidate::Original);
            tools
        }
        Err(error) => {
            eprintln!("skipped: the original: {error:#}");
            dir.path().to_owned()
        }
    };
    for tls in [false, true] {
        eprintln!("the forwarder, {} tls …", if tls { "with" } else { "without" });
        let figures = forwarder::measure(&candidates, &authority, tls, &tools, effort)?;
        *(if tls { &mut report.tls } else { &mut report.plain }) = figures;
    }
    report.batch_ms = Some(forwarder::batch_of_ten(&authority, &tools)?);
    Ok(())
}
