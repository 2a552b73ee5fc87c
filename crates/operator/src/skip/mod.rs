//! `skip`: takes a failing event out of the way of its group, into the dead-letter queue.

mod list;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use commands::{Skip, command, program::value};
use domain::skip::Skips;
use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::blocked::{self, WaitingGroup};
use crate::ended::{Ended, ended};
use crate::engine_api::EngineApi;
use crate::environment::{self, Environment, Host};
use crate::history::pattern;
use crate::mapping::Mapping;
use crate::people::{self, printable, span};
use crate::{interrupt, progress, trace};
use list::SkipList;

/// Between two looks for an event that may be attempted just then.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long an event is looked for that does not wait: while it is attempted it does not, and does again
/// a moment later.
const ATTEMPTED_FOR: Duration = Duration::from_secs(3);

/// Between two looks at an engine. It does not tell by itself when an event has left.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between two looks at a log group: `FilterLogEvents` allows five calls a second for the whole
/// account.
const LOOK_AT_LOG_EVERY: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its next attempt is still to come.
    Asked,
    /// The service took it after all.
    Delivered,
    /// It is a dead letter.
    Skipped,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
        }
    }
}

/// The groups that wait, once `event_id` is the first of one; without it if that does not come to be. And
/// what could not be told.
async fn waiting_with(
    environment: &Environment,
    event_id: &str,
) -> anyhow::Result<(Vec<WaitingGroup>, Vec<String>)> {
    let limit = Instant::now() + ATTEMPTED_FOR;
    loop {
        let (waiting, unknown) = blocked::waiting(environment).await?;
        let is_there = waiting.iter().any(|it| it.event_id == event_id);
        let is_engine = matches!(environment.host, Host::Engine { .. });
        if is_there || !is_engine || Instant::now() >= limit {
            return Ok((waiting, unknown));
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

pub(crate) async fn run(given: Skip) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let list = SkipList::of(&environment);
    match &given.event_id {
        None => show(&given, &environment, &list).await?,
        Some(event_id) if given.undo => undo(&given, &environment, &list, event_id).await?,
        Some(event_id) => return skip(&given, &environment, &list, event_id).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(given: &Skip, environment: &Environment, list: &SkipList) -> anyhow::Result<()> {
    let skips = list.read().await?;
    if given.json {
        let skips: Vec<Value> = skips
            .iter()
            .map(|(event_id, sequence)| json!({ "event_id": event_id, "sequence": sequence }))
            .collect();
        let list = json!({ "environment": environment.name, "skips": skips });
        return {
            println!("{list:#}");
            Ok(())
        };
    }
    let lines: String =
        skips.iter().map(|(event_id, _sequence)| printable(event_id) + "\n").collect();
    print!("{}", if lines.is_empty() { "no event is to be skipped\n" } else { &lines });
    Ok(())
}

async fn undo(
    given: &Skip,
    environment: &Environment,
    list: &SkipList,
    event_id: &str,
) -> anyhow::Result<()> {
    let mut asked_for = list.read().await?;
    asked_for.retain(|it| it == event_id);
    let Some((_, sequence)) = asked_for.iter().next() else {
        bail!(
            "nobody asked for event {event_id:?} to be skipped, so nothing was changed; \
             `{}` shows which",
            command!["skip", value(&environment.name), "--list"]
        );
    };
    let what = json!({ "event_id": event_id, "sequence": sequence });
    let _guard = interrupt::guard();
    let audit = environment.audit();
    let why = given.why.as_deref();
    let action = audit.begin("skip --undo", why, what.clone(), given.audit).await?;
    let changed = list.change(&asked_for, &Skips::default()).await;
    action.end(what, changed).await?;
    if given.json {
        println!("{}", json!({ "event_id": event_id, "outcome": "undone" }));
    } else {
        println!("{} is not skipped, unless that has just happened", printable(event_id));
    }
    Ok(())
}

async fn skip(
    given: &Skip,
    environment: &Environment,
    list: &SkipList,
    event_id: &str,
) -> anyhow::Result<ExitCode> {
    let asked_at = people::now();
    let (waiting, unknown) = waiting_with(environment, event_id).await?;
    let Some(head) = waiting.iter().find(|it| it.event_id == event_id) else {
        bail!(
            "event {event_id:?} is not the first of a group that waits, so nothing was changed; \
             `{}` shows which are{}",
            command!["blocked", value(&environment.name)],
            unknown.iter().fold(String::new(), |text, it| text + "; unknown: " + it)
        );
    };
    let sequence = head.sequence.as_deref().with_context(|| {
        format!("the log does not tell the sequence number of event {event_id:?}")
    })?;
    let gone = done(environment, &list.read().await?).await?;
    let mut asked_for = Skips::default();
    asked_for.add(event_id, sequence);
    let what = json!({
        "event_id": event_id, "group": head.group, "sequence": sequence,
        "why": head.why, "last_answer": head.reason,
    });
    // What was asked for happens also when this program is killed.
    let _guard = interrupt::guard();
    let audit = environment.audit();
    let action = audit.begin("skip", given.why.as_deref(), what.clone(), given.audit).await?;
    action.end(what, list.change(&gone, &asked_for).await).await?;

    let is_paused = !Mapping::find(environment).await?.is_enabled().await?;
    let mut interrupted = false;
    let mut outcome = Outcome::Asked;
    if !given.no_wait && !is_paused {
        if !given.json {
            eprintln!("asked for; {}", next_attempt(head, asked_at));
        }
        let wait = progress::spinner("its next attempt");
        tokio::select! {
            left = left(environment, event_id, sequence, asked_at) => outcome = left?,
            () = interrupt::interrupted() => interrupted = true,
        }
        wait.finish_and_clear();
    }
    if outcome != Outcome::Asked {
        list.change(&asked_for, &Skips::default()).await?;
    }
    report(given, environment, head, outcome, is_paused);
    Ok(if interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn report(
    given: &Skip,
    environment: &Environment,
    head: &WaitingGroup,
    outcome: Outcome,
    is_paused: bool,
) {
    if given.json {
        let report = json!({
            "environment": environment.name, "event_id": head.event_id, "group": head.group,
            "outcome": outcome.as_str(), "behind": head.behind, "paused": is_paused,
        });
        println!("{report}");
        return;
    }
    let (event_id, group) = (printable(&head.event_id), printable(&head.group));
    let name = &environment.name;
    match outcome {
        Outcome::Asked if is_paused => println!(
            "asked for; delivery is paused, so it happens after `{}`",
            command!["resume", value(name)]
        ),
        Outcome::Asked => println!(
            "asked for; `{}` tells when it has happened",
            command!["trace", value(name), value(&head.event_id)]
        ),
        Outcome::Delivered => {
            println!("{event_id} was delivered after all; nothing was skipped");
        }
        Outcome::Skipped => {
            println!("{event_id} is a dead letter now, and group {group} goes on");
            let show = command!["dlq", "show", value(name), value(&head.event_id)];
            println!("`{show}` shows it");
        }
    }
}

/// Those of `asked_for` that have left the queue, for good: a message has its sequence number alone.
/// What merely does not wait may be attempted just then.
async fn done(environment: &Environment, asked_for: &Skips) -> anyhow::Result<Skips> {
    let mut done = Skips::default();
    for (event_id, sequence) in asked_for.iter() {
        let left = match &environment.host {
            Host::Engine { api, .. } => left_engine(api, event_id, sequence).await?,
            Host::Aws { deployment, .. } => {
                // Whatever was accepted before is not in the queue any more.
                let since =
                    Timestamp::from(SystemTime::now() - deployment.config.queue().retention);
                let about =
                    |line: &Value| line["event_id"] == *event_id && line["sequence"] == *sequence;
                let pattern = pattern("event_id", &[event_id]);
                outcome(&environment.history().find(&pattern, since, about).await?)
            }
        };
        if left.is_some() {
            done.add(event_id, sequence);
        }
    }
    Ok(done)
}

/// Waits until the event has left the queue.
async fn left(
    environment: &Environment,
    event_id: &str,
    sequence: &str,
    asked_at: Timestamp,
) -> anyhow::Result<Outcome> {
    loop {
        let (left, pause) = match &environment.host {
            Host::Engine { api, .. } => (left_engine(api, event_id, sequence).await?, LOOK_EVERY),
            Host::Aws { .. } => {
                (left_by_log(environment, event_id, asked_at).await?, LOOK_AT_LOG_EVERY)
            }
        };
        if let Some(outcome) = left {
            return Ok(outcome);
        }
        tokio::time::sleep(pause).await;
    }
}

/// A dead letter is there before the message is gone, so none then means that it was delivered.
async fn left_engine(
    api: &EngineApi,
    event_id: &str,
    sequence: &str,
) -> anyhow::Result<Option<Outcome>> {
    let places = trace::places(api, event_id).await?;
    let places = places.iter().map(|place| (place.dead_letter, place.sequence.as_str()));
    Ok(left_by_places(&places.collect::<Vec<_>>(), sequence))
}

/// By where its event is, as a dead letter or not, and under which sequence number.
fn left_by_places(places: &[(bool, &str)], sequence: &str) -> Option<Outcome> {
    if places.contains(&(false, sequence)) {
        return None;
    }
    let is_dead = places.iter().any(|(dead_letter, _)| *dead_letter);
    Some(if is_dead { Outcome::Skipped } else { Outcome::Delivered })
}

async fn left_by_log(
    environment: &Environment,
    event_id: &str,
    asked_at: Timestamp,
) -> anyhow::Result<Option<Outcome>> {
    let about = |line: &Value| line["event_id"] == *event_id;
    let history = environment.history();
    Ok(outcome(&history.find(&pattern("event_id", &[event_id]), asked_at, about).await?))
}

fn next_attempt(head: &WaitingGroup, now: Timestamp) -> String {
    match head.next_attempt_at.as_deref().and_then(people::time) {
        Some(at) if at > now => format!("its next attempt is in {}", span(at.since(now))),
        _ => "its next attempt is due".to_owned(),
    }
}

/// What became of an event by the lines since it was asked for.
fn outcome(lines: &[Value]) -> Option<Outcome> {
    ended(&lines.iter().collect::<Vec<_>>()).map(|ended| match ended {
        Ended::Delivered => Outcome::Delivered,
        Ended::DeadLettered => Outcome::Skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_is_due_when_its_time_has_come() {
        let line = json!({
            "timestamp": "2026-01-01T00:00:00.000Z", "message": "retry", "group": "g",
            "event_id": "e-1", "sequence": "1", "attempt": 1, "retry_in_ms": 60_000,
        });
        let [head] = blocked::of_log(&[line]).try_into().unwrap();
        let next_attempt = |now: &str| next_attempt(&head, now.parse().unwrap());
        assert_eq!(next_attempt("2026-01-01T00:00:10Z"), "its next attempt is in 50 s");
        for now in ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"] {
            assert_eq!(next_attempt(now), "its next attempt is due");
        }
    }

    #[test]
    fn what_the_log_says_became_of_it_is_the_outcome() {
        let line = |message: &str| json!({ "attempt": 3, "message": message });
        assert_eq!(outcome(&[]), None);
        assert_eq!(outcome(&[line("blocked")]), None);
        assert_eq!(outcome(&[line("delivered")]), Some(Outcome::Delivered));
        let skipped = [line("skipped"), json!({ "message": "dead_lettered" })];
        assert_eq!(outcome(&skipped), Some(Outcome::Skipped));
    }

    #[test]
    fn an_event_that_was_sent_again_has_left_as_what_it_was() {
        assert_eq!(left_by_places(&[(false, "1")], "1"), None);
        assert_eq!(left_by_places(&[(false, "1"), (true, "9")], "1"), None);
        assert_eq!(left_by_places(&[(true, "9")], "1"), Some(Outcome::Skipped));
        // A dead letter has a number of its own, which is nobody's of the queue.
        assert_eq!(left_by_places(&[(true, "1")], "1"), Some(Outcome::Skipped));
        assert_eq!(left_by_places(&[(false, "2")], "1"), Some(Outcome::Delivered));
        assert_eq!(left_by_places(&[], "1"), Some(Outcome::Delivered));
    }
}
