//! Steps that are run one after another, all of them, and summed up at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use terminal::color::{Color, colored};

/// How a step ended, if not by an error.
pub(crate) enum Outcome {
    Passed,
    /// It could not run here, for this reason.
    Skipped(String),
}

/// What a step does.
type Body<'a> = Box<dyn FnOnce() -> anyhow::Result<Outcome> + 'a>;

/// Steps by name, in order.
#[derive(Default)]
pub(crate) struct Steps<'a> {
    steps: Vec<(&'static str, Body<'a>)>,
}

impl<'a> Steps<'a> {
    /// Adds a step that either passes or fails.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> anyhow::Result<()> + 'a,
    ) {
        self.add_optional(name, || body().map(|()| Outcome::Passed));
    }

    /// Adds a step that may have to be skipped.
    pub(crate) fn add_optional(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> anyhow::Result<Outcome> + 'a,
    ) {
        self.steps.push((name, Box::new(body)));
    }

    /// Leaves out the steps whose names do not contain `text`.
    pub(crate) fn keep(&mut self, text: &str) {
        self.steps.retain(|(name, _)| name.contains(text));
    }

    /// Runs all steps, whatever becomes of the others, and prints what ran and what did not.
    pub(crate) fn run(self) -> ExitCode {
        let (mut summary, mut counts) = (Vec::new(), [0_usize; 3]);
        for (name, body) in self.steps {
            eprintln!("\n== {name}");
            let started = Instant::now();
            let outcome = body();
            let (index, line) = described(name, &outcome, started.elapsed());
            if let Err(error) = outcome {
                eprintln!("error: {error:#}");
            }
            counts[index] += 1;
            summary.push(line);
        }
        println!("\n{}", summary.join("\n"));
        let [passed, failed, skipped] = counts;
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn described(name: &str, outcome: &anyhow::Result<Outcome>, took: Duration) -> (usize, String) {
    let seconds = took.as_secs_f64();
    match outcome {
        Ok(Outcome::Passed) => {
            (0, format!("{}  {seconds:7.1} s  {name}", colored(Color::Green, "passed ")))
        }
        Ok(Outcome::Skipped(reason)) => {
            (2, format!("{}  {seconds:7.1} s  {name}: {reason}", colored(Color::Yellow, "skipped")))
        }
        Err(error) => {
            (1, format!("{}  {seconds:7.1} s  {name}: {error:#}", colored(Color::Red, "failed ")))
        }
    }
}
