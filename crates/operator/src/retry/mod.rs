//! `retry`: the next attempt now, instead of at the next step of the schedule.

mod aws;
mod engine;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use commands::Retry;
use domain::pause::Pause;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::audit::Ending;
use crate::blocked::{self, WaitingGroup};
use crate::engine_api::EngineApi;
use crate::environment::{self, Environment, Host};
use crate::history::{pattern, time_of};
use crate::interrupt::{self, interrupted};
use crate::pauses::{self, Switch};
use crate::people::{self, printable};
use crate::progress;
use crate::zone;
use aws::OnAws;

/// What came of a group.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    result: Outcome,
    /// Messages that can be received now.
    messages: Option<u64>,
    receive_count: Option<u32>,
    max_receive_count: Option<u32>,
    /// Why it could not be reached.
    reason: Option<String>,
    /// When it is attempted by itself, if it was not reached and that is known, RFC 3339.
    next_attempt_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Now,
    NoGroup,
    NotWaiting,
    TooOften,
    NotReached,
    /// Its destination asked by `Retry-After` not to be called yet.
    Resting,
}

/// A destination that asked by `Retry-After` not to be called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Rest {
    route: String,
    destination: String,
    /// RFC 3339.
    pub(crate) until: String,
}

/// Who is asked.
enum Asked<'a> {
    Engine(&'a EngineApi),
    Aws(OnAws<'a>),
}

impl Asked<'_> {
    async fn waiting(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Engine(api) => engine::waiting(api).await,
            Self::Aws(aws) => Ok(aws.waiting()),
        }
    }

    async fn now(&self, key: &str) -> anyhow::Result<Vec<Group>> {
        match self {
            Self::Engine(api) => engine::now(api, key).await,
            Self::Aws(aws) => Ok(vec![aws.now(key).await?]),
        }
    }

    /// The destinations that are not called yet, by the log.
    async fn rests(&self, environment: &Environment) -> anyhow::Result<Vec<Rest>> {
        match self {
            Self::Engine(_) => {
                let now = people::now();
                let asked = |line: &Value| line["retry_after_ms"].is_u64();
                let since = people::before(now, blocked::LOG_BACK);
                let of_messages = pattern("message", &blocked::SAYING);
                Ok(rests(&environment.history().find(&of_messages, since, asked).await?, now))
            }
            Self::Aws(aws) => Ok(aws.rests.clone()),
        }
    }

    fn unknown(&self) -> &[String] {
        match self {
            Self::Engine(_) => &[],
            Self::Aws(aws) => &aws.unknown,
        }
    }
}

pub(crate) async fn run(given: Retry) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let asked = match &environment.host {
        Host::Engine { api, .. } => Asked::Engine(api),
        Host::Aws { deployment, .. } => {
            let max_receive_count = deployment.config.queue().max_receive_count;
            Asked::Aws(OnAws::find(&environment, &given.keys, max_receive_count).await?)
        }
    };
    let keys = if given.all { asked.waiting().await? } else { given.keys.clone() };
    let what = json!({ "all": given.all, "keys": given.keys, "groups": keys.len() });
    let mut unknown = asked.unknown().to_vec();
    let is_found = unknown.is_empty();
    let rests = match asked.rests(&environment).await {
        Ok(rests) => rests,
        Err(error) => {
            unknown.push(format!("whether a destination asked not to be called ({error:#})"));
            Vec::new()
        }
    };
    let resting = match rests.as_slice() {
        [] => BTreeMap::new(),
        rests => resting(&blocked::waiting(&environment).await?.0, rests),
    };
    // What was asked for is told, and noted, however it ends.
    let _guard = interrupt::guard();
    let audit = environment.audit();
    let action = audit.begin("retry", given.why.as_deref(), what.clone(), given.audit).await?;
    let retried = retry(&given, &asked, &keys, &resting).await;
    let ending = match &retried {
        Err(error) => Ending::by(error),
        Ok((_groups, false)) => Ending::Interrupted,
        Ok((groups, true)) if groups.iter().all(Group::is_done) => Ending::Done,
        Ok(_) => Ending::Failed,
    };
    let noted = action.end_as(ending, what).await;
    let (groups, is_whole) = retried.and_then(|retried| noted.map(|()| retried))?;
    report(&given, &environment, &groups, keys.len(), &rests, &unknown).await?;
    Ok(if !is_whole {
        ExitCode::from(130)
    } else if groups.iter().all(Group::is_done) && is_found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Asks for one group after the other; tells whether it came to the end.
async fn retry(
    given: &Retry,
    asked: &Asked<'_>,
    keys: &[String],
    resting: &BTreeMap<String, String>,
) -> anyhow::Result<(Vec<Group>, bool)> {
    let progress = progress::bar(keys.len() as u64, "groups");
    let mut pace = interval(Duration::from_secs(1) / given.rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut groups = Vec::new();
    for key in keys {
        if given.all {
            tokio::select! {
                biased;
                () = interrupted() => return Ok((groups, false)),
                _tick = pace.tick() => {}
            }
        } else if interrupt::check().is_err() {
            return Ok((groups, false));
        }
        match resting.get(key) {
            Some(until) => groups.push(Group {
                next_attempt_at: Some(until.clone()),
                ..Group::of(key, Outcome::Resting)
            }),
            None => groups.extend(asked.now(key).await?),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok((groups, true))
}

async fn report(
    given: &Retry,
    environment: &Environment,
    groups: &[Group],
    asked: usize,
    rests: &[Rest],
    unknown: &[String],
) -> anyhow::Result<()> {
    let pauses = Switch::of(environment)?.list().await?;
    let left = asked - groups.len();
    if given.json {
        let report = json!({
            "environment": environment.name, "groups": groups,
            "not_reached": left, "paused": !pauses.is_empty(),
            "rests": rests, "unknown": unknown,
        });
        println!("{report:#}");
        return Ok(());
    }
    let text = told(groups, left, &pauses);
    let rests = rests.iter().map(|it| {
        let until = people::time(&it.until).map_or_else(|| it.until.clone(), zone::in_words);
        format!(
            "{} of route {} asked by Retry-After not to be called: what is for it is attempted after \
             {until}\n",
            printable(&it.destination),
            printable(&it.route)
        )
    });
    let unknown = unknown.iter().map(|it| format!("unknown: {}\n", printable(it)));
    print!("{text}{}{}", rests.collect::<String>(), unknown.collect::<String>());
    Ok(())
}

/// What came of the groups, for people; `left` were not reached.
fn told(groups: &[Group], left: usize, pauses: &[Pause]) -> String {
    let now = groups.iter().filter(|it| it.result == Outcome::Now).count();
    let others = groups.iter().filter(|it| it.result != Outcome::Now);
    let others = others.map(|it| format!("{}: {}\n", printable(&it.name), it.reason()));
    let parts = [
        Some(if pauses.is_empty() {
            format!("{} attempted now\n", are(now))
        } else {
            format!("{} attempted once delivery goes on\n", are(now))
        }),
        Some(others.collect()),
        (left > 0).then(|| format!("{} not reached\n", are(left))),
        (!pauses.is_empty()).then(|| {
            let pauses = pauses::in_a_line(pauses);
            format!("delivery is paused: {pauses}\n")
        }),
    ];
    parts.into_iter().flatten().collect()
}

/// The groups that wait for a destination which asked not to be called, and until when: another process
/// than the one that got its answer knows nothing of that, and would call it.
pub(crate) fn resting(waiting: &[WaitingGroup], rests: &[Rest]) -> BTreeMap<String, String> {
    let rest = |it: &WaitingGroup| {
        let is_its = |rest: &&Rest| {
            it.route.as_ref() == Some(&rest.route)
                && it.destination.as_ref() == Some(&rest.destination)
        };
        Some((it.group.clone(), rests.iter().find(is_its)?.until.clone()))
    };
    waiting.iter().filter_map(rest).collect()
}

/// The destinations that asked not to be called beyond `now`, and until when at the latest.
pub(crate) fn rests(lines: &[Value], now: Timestamp) -> Vec<Rest> {
    let mut rests: BTreeMap<(&str, &str), Timestamp> = BTreeMap::new();
    for line in lines {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let rest = line["retry_after_ms"].as_u64().map(Duration::from_millis);
        let Some((at, rest)) = time_of(line).zip(rest) else { continue };
        let until = rests.entry((text("route"), text("destination"))).or_default();
        *until = at.plus(rest).max(*until);
    }
    let to_come = rests.into_iter().filter(|(_, until)| *until > now);
    to_come
        .map(|((route, destination), until)| Rest {
            route: route.to_owned(),
            destination: destination.to_owned(),
            until: until.to_string(),
        })
        .collect()
}

fn are(groups: usize) -> String {
    let verb = if groups == 1 { "is" } else { "are" };
    format!("{} {verb}", people::count(groups as u64, "group"))
}

impl Group {
    fn of(key: &str, result: Outcome) -> Self {
        Self {
            name: key.to_owned(),
            result,
            messages: None,
            receive_count: None,
            max_receive_count: None,
            reason: None,
            next_attempt_at: None,
        }
    }

    /// Whether it is attempted as soon as it can be.
    fn is_done(&self) -> bool {
        matches!(self.result, Outcome::Now | Outcome::NotWaiting)
    }

    fn reason(&self) -> String {
        match self.result {
            Outcome::Now => "is attempted now".to_owned(),
            Outcome::NoGroup => {
                self.reason.clone().unwrap_or_else(|| "nothing of this key waits".to_owned())
            }
            Outcome::NotWaiting => "is being attempted, or about to be".to_owned(),
            Outcome::TooOften => format!(
                "was received {} times of {}, after which the queue moves it to the dead letters, so it \
                 is left to its schedule",
                self.receive_count.unwrap_or_default(),
                self.max_receive_count.unwrap_or_default()
            ),
            Outcome::Resting => {
                let until = self.next_attempt_at.as_deref().and_then(people::time);
                let until = until.map(|at| format!(" until {}", zone::in_words(at)));
                format!(
                    "is left alone: its destination asked by Retry-After not to be called{}",
                    until.unwrap_or_default()
                )
            }
            Outcome::NotReached => {
                let at = self.next_attempt_at.as_deref().and_then(people::time);
                let at = at.map(|at| format!("at {}", zone::in_words(at)));
                format!(
                    "could not be reached: {}; it is attempted by its schedule{}",
                    self.reason.as_deref().unwrap_or("nobody says why"),
                    at.map(|at| format!(", {at}")).unwrap_or_default()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_that_asked_for_it_is_left_alone_until_its_last_word() {
        let line = |second: u32, destination: &str, ms: Option<u64>| {
            json!({
                "timestamp": format!("2026-01-01T00:00:{second:02}.000Z"), "message": "retry",
                "route": "sss", "destination": destination, "retry_after_ms": ms,
            })
        };
        let lines = [
            line(1, "a", Some(60_000)),
            line(5, "a", Some(30_000)),
            line(5, "b", Some(4_000)),
            line(6, "c", None),
        ];
        let rests = rests(&lines, "2026-01-01T00:00:10Z".parse().unwrap());
        let told: Vec<(&str, &str)> =
            rests.iter().map(|it| (it.destination.as_str(), it.until.as_str())).collect();
        assert_eq!(told, [("a", "2026-01-01T00:01:01.000Z")]);
    }

    #[test]
    fn a_destination_whose_time_is_over_is_not_left_alone() {
        let line = json!({
            "timestamp": "2026-01-01T00:00:00.000Z", "message": "retry", "route": "sss",
            "destination": "a", "retry_after_ms": 10_000,
        });
        let rests = |now: &str| rests(std::slice::from_ref(&line), now.parse().unwrap()).len();
        assert_eq!((rests("2026-01-01T00:00:09.999Z"), rests("2026-01-01T00:00:10Z")), (1, 0));
    }

    #[test]
    fn what_came_of_the_groups_is_told_of_each_that_is_not_attempted_now() {
        let [now, gone] = [Group::of("a", Outcome::Now), Group::of("b", Outcome::NoGroup)];
        assert_eq!(
            told(&[now, gone], 0, &[]),
            "1 group is attempted now\nb: nothing of this key waits\n"
        );
        let now = || Group::of("a", Outcome::Now);
        assert_eq!(
            told(&[now(), now()], 1, &[]),
            "2 groups are attempted now\n1 group is not reached\n"
        );
        assert_eq!(told(&[], 0, &[]), "0 groups are attempted now\n");
    }

    #[test]
    fn a_group_that_waits_for_another_destination_or_route_is_not_left_alone() {
        let line = |group: &str, route: &str, destination: &str| {
            json!({
                "timestamp": "2026-01-01T00:00:00.000Z", "message": "retry", "group": group,
                "event_id": group, "route": route, "destination": destination, "attempt": 1,
                "sequence": "1", "retry_in_ms": 1_000,
            })
        };
        let waiting = [line("a", "sss", "a"), line("b", "sss", "b"), line("c", "other", "a")];
        let until = "2026-01-01T00:01:00.000Z".to_owned();
        let rest = Rest { route: "sss".to_owned(), destination: "a".to_owned(), until };
        let resting = resting(&blocked::of_log(&waiting), std::slice::from_ref(&rest));
        assert_eq!(resting, BTreeMap::from([("a".to_owned(), rest.until)]));
    }
}
