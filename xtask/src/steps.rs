//! Steps that are run one after another, some beside others, all of them, and summed up at the end.

use std::collections::HashMap;
use std::process::ExitCode;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use terminal::color::{Color, colored};

/// How a step ended, if not by an error.
pub(crate) enum Outcome {
    Passed,
    /// It could not run here, for this reason.
    Skipped(String),
}

/// What a step does.
type Body<'a> = Box<dyn FnOnce() -> anyhow::Result<Outcome> + Send + 'a>;

enum Step<'a> {
    Run(Body<'a>),
    /// It runs beside those that follow, up to its [`Join`](Step::Join).
    Start(Body<'a>),
    Join,
}

/// Steps by name, in order.
#[derive(Default)]
pub(crate) struct Steps<'a> {
    steps: Vec<(&'static str, Step<'a>)>,
}

impl<'a> Steps<'a> {
    /// Adds a step that either passes or fails.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> anyhow::Result<()> + Send + 'a,
    ) {
        self.add_optional(name, || body().map(|()| Outcome::Passed));
    }

    /// Adds a step that may have to be skipped.
    pub(crate) fn add_optional(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> anyhow::Result<Outcome> + Send + 'a,
    ) {
        self.steps.push((name, Step::Run(Box::new(body))));
    }

    /// Adds a step that may have to be skipped, and runs beside those that `others` adds: it waits for
    /// programs most of the time.
    pub(crate) fn add_beside(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> anyhow::Result<Outcome> + Send + 'a,
        others: impl FnOnce(&mut Self),
    ) {
        self.steps.push((name, Step::Start(Box::new(body))));
        others(self);
        self.steps.push((name, Step::Join));
    }

    /// Leaves out the steps whose names do not contain `text`.
    pub(crate) fn keep(&mut self, text: &str) {
        self.steps.retain(|(name, _)| name.contains(text));
    }

    /// Runs all steps, whatever becomes of the others, and prints what ran and what did not.
    pub(crate) fn run(self) -> ExitCode {
        let (mut summary, mut counts) = (Vec::new(), [0_usize; 3]);
        std::thread::scope(|scope| {
            let mut running = HashMap::new();
            for (name, step) in self.steps {
                let (outcome, took) = match step {
                    Step::Run(body) => {
                        eprintln!("\n== {name}");
                        timed(body)
                    }
                    Step::Start(body) => {
                        eprintln!("\n== {name}, beside what follows");
                        running.insert(name, scope.spawn(|| timed(body)));
                        continue;
                    }
                    Step::Join => {
                        eprintln!("\n== {name}");
                        let joined = running.remove(name).map(ScopedJoinHandle::join);
                        joined.and_then(Result::ok).unwrap_or_else(|| {
                            (Err(anyhow::anyhow!("its thread panicked")), Duration::ZERO)
                        })
                    }
                };
                let (index, line) = described(name, &outcome, took);
                if let Err(error) = outcome {
                    eprintln!("error: {error:#}");
                }
                counts[index] += 1;
                summary.push(line);
            }
        });
        println!("\n{}", summary.join("\n"));
        let [passed, failed, skipped] = counts;
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn timed(body: Body<'_>) -> (anyhow::Result<Outcome>, Duration) {
    let started = Instant::now();
    (body(), started.elapsed())
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
