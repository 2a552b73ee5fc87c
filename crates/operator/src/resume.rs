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

use crate::blocked::{self, WaitingGroup};
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
        let mut watch = Watch::default();
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
            if watch.is_stuck(begun.elapsed(), before, waiting.all()) {
                let (groups, unknown) = blocked::waiting(self).await?;
                if let Some(key) = all_blocked(&groups, unknown.is_empty(), waiting.all()) {
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
}

/// The key that has waited longest for an event that is rejected, if nothing else of `waiting` waits than
/// such events and what is behind them. AWS does not tell how much that is: there all groups have to be
/// known, and to wait for such events.
fn all_blocked(groups: &[WaitingGroup], all_known: bool, waiting: u64) -> Option<String> {
    let rejected: Vec<&WaitingGroup> = groups.iter().filter(|it| it.why == "rejected").collect();
    let first = rejected.first()?;
    let are_all = match rejected.iter().map(|it| it.behind).sum::<Option<u64>>() {
        Some(behind) => rejected.len() as u64 + behind >= waiting,
        None => all_known && rejected.len() == groups.len(),
    };
    are_all.then(|| first.group.clone())
}

/// Tells when it is time to look why a queue gets no emptier.
#[derive(Debug, Default)]
struct Watch {
    /// When it got emptier, or was looked into.
    since: Duration,
}

impl Watch {
    /// Whether it has not got emptier for so long, and something waits; then again after as long.
    fn is_stuck(&mut self, at: Duration, before: u64, waiting: u64) -> bool {
        let is_emptier = waiting < before;
        let is_stuck = !is_emptier && waiting > 0 && at.saturating_sub(self.since) >= PACE_LEAST;
        if is_emptier || is_stuck {
            self.since = at;
        }
        is_stuck
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

    #[test]
    fn it_is_looked_for_a_reason_when_nothing_went_out_for_long_and_again_after_as_long() {
        let mut watch = Watch::default();
        let mut is_stuck =
            |at, before, waiting| watch.is_stuck(Duration::from_secs(at), before, waiting);
        assert!(!is_stuck(4, 9, 9));
        assert!(is_stuck(5, 9, 9));
        assert!(!is_stuck(9, 9, 10) && is_stuck(10, 10, 10));
        // One went out.
        assert!(!is_stuck(15, 10, 9));
        assert!(!is_stuck(19, 9, 9) && is_stuck(20, 9, 9));
        // Nothing waits.
        assert!(!is_stuck(60, 0, 0));
    }

    #[test]
    fn a_queue_is_blocked_if_all_that_waits_stands_behind_what_is_rejected() {
        let line = |second: u32, group: &str, message: &str| {
            json!({
                "timestamp": format!("2026-01-01T00:00:{second:02}.000Z"), "message": message,
                "group": group, "event_id": format!("first-of-{group}"), "sequence": "1",
                "attempt": 1, "retry_in_ms": 1_000,
            })
        };
        let blocked = [line(1, "b", "blocked"), line(2, "a", "blocked")];
        let on_aws = blocked::of_log(&blocked);
        let b = Some("b".to_owned());
        assert_eq!(all_blocked(&on_aws, true, 99), b, "it has waited longest");
        assert_eq!(all_blocked(&on_aws, false, 99), None, "another group may be attempted");
        let with_retry = [&blocked[..], &[line(3, "c", "retry")]].concat();
        let with_retry = blocked::of_log(&with_retry);
        assert_eq!(all_blocked(&with_retry, true, 99), None);
        assert_eq!(all_blocked(&[], true, 1), None);

        // An engine tells how many stand behind.
        let on_engine = |behind| {
            let mut groups = blocked::of_log(&blocked);
            for it in &mut groups {
                it.behind = Some(behind);
            }
            groups
        };
        assert_eq!(all_blocked(&on_engine(3), true, 8), b);
        assert_eq!(all_blocked(&on_engine(3), true, 9), None);
    }
}
