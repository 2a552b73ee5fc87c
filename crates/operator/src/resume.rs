//! `resume`: a pause ends. With the last one the event source mapping is enabled again, and what has
//! waited goes out.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use commands::{Resume, command, program::value};
use domain::pause::Pause;
use serde_json::json;
use terminal::exit::Failure;

use crate::blocked;
use crate::environment::{self, Environment};
use crate::interrupt::{self, interrupted};
use crate::pauses::{self, Ended, Switch};
use crate::people::printable;
use crate::queue::Counts;
use crate::{people, progress};

/// Between two looks at the queue. It does not tell by itself when it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far back the pace is measured.
const PACE_OVER: Duration = Duration::from_secs(30);

/// How long is looked before a queue is said not to get emptier.
const PACE_LEAST: Duration = Duration::from_secs(5);

pub(crate) async fn run(given: Resume) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    // What was resumed is told, however it ends.
    let _guard = interrupt::guard();
    let switch = Switch::of(&environment)?;
    let names = names(&given, &environment, &switch.list().await?)?;
    // Counted before: a queue may be empty again by the time that delivery is known to be on.
    let before = environment.waiting().await?.all();
    let what = json!({ "names": names });
    let action = environment.audit().begin("resume", None, what.clone(), given.audit).await?;
    let Ended { ended, left } = action.end(what, switch.end(&names).await).await?;
    if !left.is_empty() {
        report_left(&given, &environment, &ended, &left);
        return Ok(ExitCode::SUCCESS);
    }
    let mut waiting = environment.waiting().await?;
    if !given.json {
        if !ended.is_empty() {
            println!("ended: {}", pauses::in_a_line(&ended));
        }
        println!("resumed: {}", people::events_wait(before));
    }
    let begun = Instant::now();
    let drained = if given.no_wait {
        Drained::Empty
    } else {
        Box::pin(environment.drain(&mut waiting)).await?
    };
    let took = begun.elapsed();
    if given.json {
        let resumed = json!({
            "environment": environment.name, "state": "resumed", "waiting": waiting.all(),
            "blocked": if let Drained::Blocked(key) = &drained { Some(key) } else { None },
            "waiting_before": before, "ended": ended, "left": [],
            "took_ms": (!given.no_wait).then(|| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        });
        println!("{resumed}");
    } else if let Drained::Interrupted = drained {
        println!("delivery goes on; {} still", people::events_wait(waiting.all()));
    } else if let Drained::Blocked(key) = &drained {
        println!(
            "delivery goes on; {} behind what is rejected, and does not go out by itself: key {} is the \
             first; `{}` shows it",
            people::events_wait(waiting.all()),
            printable(key),
            command!["show", value(&environment.name), value(key)]
        );
    } else if !given.no_wait && before > 0 {
        println!("the queue is empty after {}", people::span(took));
    } else if !given.no_wait {
        println!("the queue is empty");
    }
    Ok(match drained {
        Drained::Empty => ExitCode::SUCCESS,
        Drained::Blocked(_) => ExitCode::FAILURE,
        Drained::Interrupted => ExitCode::from(Failure::Interrupted as u8),
    })
}

/// How it ended that a queue was watched.
#[derive(Debug)]
enum Drained {
    Empty,
    /// All that is left waits behind events that are rejected; this is the key that has waited longest.
    Blocked(String),
    /// By a signal.
    Interrupted,
}

/// The pauses to end. Without any the mapping may be off all the same, and is switched on.
fn names(
    given: &Resume,
    environment: &Environment,
    pauses: &[Pause],
) -> anyhow::Result<Vec<String>> {
    let all = || pauses.iter().map(|it| it.name.clone()).collect();
    match &given.name {
        Some(name) if !pauses.iter().any(|it| it.name == *name) => match pauses {
            [] => bail!("there is no pause {name:?}, nor any other: delivery was not changed"),
            _ => bail!(
                "there is no pause {name:?}, so nothing was changed; there is: {}",
                pauses::in_a_line(pauses)
            ),
        },
        Some(name) => Ok(vec![name.clone()]),
        None if given.all || pauses.len() <= 1 => Ok(all()),
        None => {
            let name = &environment.name;
            bail!(
                "there are {} pauses, so nothing was changed: {}; end one with `{}`, or \
                 all with `{}`",
                pauses.len(),
                pauses::in_a_line(pauses),
                command!["resume", value(name), "--name", value(&pauses[0].name)],
                command!["resume", value(name), "--all"],
            )
        }
    }
}

fn report_left(given: &Resume, environment: &Environment, ended: &[Pause], left: &[Pause]) {
    if given.json {
        let report = json!({
            "environment": environment.name, "state": "paused", "ended": ended, "left": left,
        });
        println!("{report}");
    } else {
        let said = match ended {
            // Between the look and the end of it.
            [] => "somebody else has ended it".to_owned(),
            ended => format!("ended: {}", pauses::in_a_line(ended)),
        };
        let left = pauses::in_a_line(left);
        println!("{said}\ndelivery is still paused: {left}");
    }
}

impl Environment {
    /// Shows the queue getting empty.
    async fn drain(&self, waiting: &mut Counts) -> anyhow::Result<Drained> {
        let begun = Instant::now();
        let mut most = waiting.all();
        let mut pace = Pace::default();
        let mut changed = begun;
        let bar = progress::drain(most);
        while waiting.all() > 0 {
            pace.saw(begun.elapsed(), waiting.all());
            bar.set_message(pace.text(&self.name));
            tokio::select! {
                () = interrupted() => {
                    bar.finish_and_clear();
                    return Ok(Drained::Interrupted);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let before = waiting.all();
            *waiting = self.waiting().await?;
            if waiting.all() < before {
                changed = Instant::now();
            } else if waiting.all() > 0 && changed.elapsed() >= PACE_LEAST {
                // If not, it is looked for again after as long.
                changed = Instant::now();
                if let Some(key) = self.all_blocked(waiting.all()).await? {
                    bar.finish_and_clear();
                    return Ok(Drained::Blocked(key));
                }
            }
            // What is accepted meanwhile has to go out too.
            most = most.max(waiting.all());
            bar.set_length(most);
            bar.set_position(most - waiting.all());
        }
        bar.finish_and_clear();
        Ok(Drained::Empty)
    }

    /// The key that has waited longest for an event that is rejected, if nothing else waits than such
    /// events and what is behind them. AWS does not tell how much that is: there it is all that waits.
    async fn all_blocked(&self, waiting: u64) -> anyhow::Result<Option<String>> {
        let (groups, unknown) = blocked::waiting(self).await?;
        let mut rejected = groups.iter().filter(|it| it.why == "rejected").peekable();
        let Some(first) = rejected.peek().map(|it| it.group.clone()) else { return Ok(None) };
        let are_all = match rejected.map(|it| it.behind).sum::<Option<u64>>() {
            Some(behind) => {
                let heads = groups.iter().filter(|it| it.why == "rejected").count() as u64;
                heads + behind >= waiting
            }
            None => unknown.is_empty() && groups.iter().all(|it| it.why == "rejected"),
        };
        Ok(are_all.then_some(first))
    }
}

/// How fast a queue gets emptier, by looks at it: what goes out less what comes in.
#[derive(Debug, Default)]
struct Pace {
    /// When, since the first look, and how many waited.
    looks: VecDeque<(Duration, u64)>,
}

impl Pace {
    fn saw(&mut self, at: Duration, waiting: u64) {
        self.looks.push_back((at, waiting));
        while self.looks.front().is_some_and(|(first, _)| at.saturating_sub(*first) > PACE_OVER) {
            self.looks.pop_front();
        }
    }

    /// How long it takes until nothing waits, at this pace; `None` if it gets no emptier.
    fn left(&self) -> Option<Duration> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let gone = first.1.checked_sub(last.1).filter(|gone| *gone > 0)?;
        let nanos =
            last.0.saturating_sub(first.0).as_nanos() * u128::from(last.1) / u128::from(gone);
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn text(&self, environment: &str) -> String {
        let watched = match (self.looks.front(), self.looks.back()) {
            (Some(first), Some(last)) => last.0.saturating_sub(first.0),
            _ => Duration::ZERO,
        };
        match self.left() {
            // Less than a second is not worth its milliseconds.
            Some(left) => format!("about {} left", people::span(left.max(Duration::from_secs(1)))),
            None if watched < PACE_LEAST => "no estimate yet".to_owned(),
            None => {
                let blocked = command!["blocked", value(environment)];
                format!("not getting fewer: `{blocked}` tells why")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(looks: &[(u64, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (at, waiting) in looks {
            pace.saw(Duration::from_secs(*at), *waiting);
        }
        pace
    }

    #[test]
    fn the_estimate_is_by_what_went_out_lately() {
        assert_eq!(pace(&[(0, 100), (10, 50)]).left(), Some(Duration::from_secs(10)));
        assert_eq!(pace(&[(0, 100), (10, 50)]).text("dev"), "about 10 s left");
        // Nothing for long, then fast: only the last half minute counts.
        let looks = [(0, 100), (60, 100), (70, 90), (90, 60)];
        assert_eq!(pace(&looks).left(), Some(Duration::from_secs(45)));
    }

    #[test]
    fn a_queue_that_does_not_get_emptier_has_no_end_in_sight() {
        assert_eq!(pace(&[(0, 5)]).text("dev"), "no estimate yet");
        for looks in [[(0, 5), (20, 5)], [(0, 5), (20, 9)]] {
            let text = pace(&looks).text("dev");
            assert!(text.contains(" blocked dev` tells why"), "{text}");
        }
    }

    #[test]
    fn after_five_seconds_a_queue_that_gets_no_emptier_is_said_not_to() {
        assert_eq!(pace(&[(0, 5), (4, 5)]).text("dev"), "no estimate yet");
        assert!(pace(&[(0, 5), (5, 5)]).text("dev").starts_with("not getting fewer"));
    }
}
