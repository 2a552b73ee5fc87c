//! `retry`: the next attempt now, instead of at the next step of the schedule.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use commands::Retry;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::engine_api::EngineApi;
use crate::environment::{self, Environment, Host};
use crate::interrupt::interrupted;
use crate::pauses::{self, Switch};
use crate::people::{self, printable};
use crate::progress;

/// What an engine says came of it.
#[derive(Debug, Deserialize)]
struct Answer {
    groups: Vec<Group>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    result: Outcome,
    /// Messages that can be received now.
    messages: Option<u64>,
    receive_count: Option<u32>,
    max_receive_count: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Now,
    NoGroup,
    NotWaiting,
    TooOften,
}

/// A page of the groups that wait.
#[derive(Debug, Deserialize)]
struct Waiting {
    groups: Vec<Head>,
}

#[derive(Debug, Deserialize)]
struct Head {
    group: String,
    sequence: String,
}

pub(crate) async fn run(given: Retry) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let Host::Engine { api, .. } = &environment.host else {
        bail!(
            "on AWS a message's visibility is changed by whoever received it last, and what that \
             takes is not in the forwarder's log; nothing was changed: the next attempt comes by the \
             schedule, within five minutes unless the route says otherwise"
        );
    };
    let keys = if given.all { waiting(api).await? } else { given.keys.clone() };
    let what = json!({ "all": given.all, "keys": given.keys, "groups": keys.len() });
    environment.audit().announce("retry", given.why.as_deref(), what).await?;
    let (groups, is_whole) = retry(&given, api, &keys).await?;
    report(&given, &environment, &groups, keys.len()).await?;
    Ok(if !is_whole {
        ExitCode::from(130)
    } else if groups.iter().all(Group::is_done) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Asks for one group after the other; tells whether it came to the end.
async fn retry(
    given: &Retry,
    api: &EngineApi,
    keys: &[String],
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
        }
        let answer: Answer = api.post("/_engine/retry", &json!({ "groups": [key] })).await?;
        groups.extend(answer.groups);
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
) -> anyhow::Result<()> {
    let pauses = Switch::of(environment)?.list().await?;
    if given.json {
        let report = json!({
            "environment": environment.name, "groups": groups,
            "not_reached": asked - groups.len(), "paused": !pauses.is_empty(),
        });
        println!("{report:#}");
        return Ok(());
    }
    let now = groups.iter().filter(|it| it.result == Outcome::Now).count();
    let others = groups.iter().filter(|it| it.result != Outcome::Now);
    let others = others.map(|it| format!("{}: {}\n", printable(&it.name), it.reason()));
    let left = asked - groups.len();
    let parts = [
        Some(format!("{} attempted now\n", are(now))),
        Some(others.collect()),
        (left > 0).then(|| format!("{} not reached\n", are(left))),
        (!pauses.is_empty()).then(|| {
            let pauses = pauses::in_a_line(&pauses);
            format!("delivery is paused, so it happens once that has ended: {pauses}\n")
        }),
    ];
    let text: String = parts.into_iter().flatten().collect();
    print!("{text}");
    Ok(())
}

fn are(groups: usize) -> String {
    let verb = if groups == 1 { "is" } else { "are" };
    format!("{} {verb}", people::count(groups as u64, "group"))
}

impl Group {
    /// Whether it is attempted as soon as it can be.
    fn is_done(&self) -> bool {
        matches!(self.result, Outcome::Now | Outcome::NotWaiting)
    }

    fn reason(&self) -> String {
        match self.result {
            Outcome::Now => "is attempted now".to_owned(),
            Outcome::NoGroup => "nothing of this key waits".to_owned(),
            Outcome::NotWaiting => "is being attempted, or about to be".to_owned(),
            Outcome::TooOften => format!(
                "was received {} times of {}, after which the queue moves it to the dead letters, so it \
                 is left to its schedule",
                self.receive_count.unwrap_or_default(),
                self.max_receive_count.unwrap_or_default()
            ),
        }
    }
}

/// The groups that wait, those with the oldest events first.
async fn waiting(api: &EngineApi) -> anyhow::Result<Vec<String>> {
    let (mut keys, mut path) = (Vec::new(), "/_engine/waiting-groups".to_owned());
    loop {
        let Waiting { groups } = api.get(&path).await?;
        let Some(last) = groups.last() else { return Ok(keys) };
        path = format!("/_engine/waiting-groups/after/{}", last.sequence);
        keys.extend(groups.into_iter().map(|head| head.group));
    }
}
