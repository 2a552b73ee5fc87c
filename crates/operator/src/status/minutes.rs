//! `status --history`: what happened in each minute of the last hour or day. What is not known of a minute is
//! `None`, and never 0: no engine ran, or `CloudWatch` has no value (yet, or as nothing was counted).

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use commands::{Back, Status};
use deployment::Deployment;
use domain::config::Config;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use terminal::table::{self, Width};

use crate::cloudwatch::{Answer, CloudWatch, Metric, Series, count};
use crate::engine_api::EngineApi;
use crate::environment::{self, Host};
use crate::sdk::in_time;
use crate::{people, zone};

const MINUTE_MS: u64 = 60_000;

/// The JSON of `status --history --json`.
#[derive(Debug, Serialize)]
struct History {
    environment: String,
    /// `engine` or `aws`.
    host: &'static str,
    /// When it was asked, RFC 3339.
    at: String,
    /// The oldest first; the last is under way.
    minutes: Vec<Minute>,
    /// The same, of five minutes each of an hour, and of an hour each of a day.
    steps: Vec<Step>,
    /// Of which minute the newest known figure is.
    newest: Newest,
    /// What could not be told, and why.
    unknown: Vec<String>,
}

/// A minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    /// When it began, RFC 3339.
    at: String,
    accepted: Option<u64>,
    delivered: Option<u64>,
    /// Attempts.
    failed: Option<u64>,
    dead_lettered: Option<u64>,
    /// From acceptance to delivery.
    p50_ms: Option<u64>,
    p99_ms: Option<u64>,
}

/// Several minutes.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Step {
    /// What is known of its minutes, together; of ages the highest.
    #[serde(flatten)]
    sum: Minute,
    /// Counts that are not known of each of its minutes.
    in_part: Vec<&'static str>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Newest {
    accepted: Option<String>,
    delivered: Option<String>,
    failed: Option<String>,
    dead_lettered: Option<String>,
    p50_ms: Option<String>,
    p99_ms: Option<String>,
}

/// `/_engine/history`.
#[derive(Debug, Deserialize)]
struct Told {
    now: String,
    minutes: Vec<Minute>,
}

pub(super) async fn run(given: &Status, back: Back) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let (host, now, known, unknown) = match &environment.host {
        Host::Engine { api, .. } => {
            let (now, known) = of_engine(api).await?;
            ("engine", now, known, Vec::new())
        }
        Host::Aws { sdk, deployment } => {
            let now = people::now();
            let found = of_cloudwatch(sdk, deployment, back, now).await;
            let why = |error: anyhow::Error| vec![format!("history ({error:#})")];
            let (known, unknown) = found
                .map_or_else(|error| (BTreeMap::new(), why(error)), |known| (known, Vec::new()));
            ("aws", now, known, unknown)
        }
    };
    let minutes = every(now, back, known);
    let newest = Newest::of(&minutes);
    let environment = environment.name;
    let at = now.to_string();
    let steps = steps(&minutes, back);
    let history = History { environment, host, at, minutes, steps, newest, unknown };
    if given.output.json() {
        println!("{}", serde_json::to_string_pretty(&history)?);
    } else {
        print!("{}", shown(&history, people::width(given.output)));
    }
    Ok(ExitCode::SUCCESS)
}

/// What an engine knows, by minute.
async fn of_engine(api: &EngineApi) -> anyhow::Result<(Timestamp, BTreeMap<u64, Minute>)> {
    let told: Told = api.get("/_engine/history").await?;
    let of = |minute: Minute| Some((people::time(&minute.at)?.as_ms() / MINUTE_MS, minute));
    let now = people::time(&told.now).context("the engine tells no time")?;
    Ok((now, told.minutes.into_iter().filter_map(of).collect()))
}

/// What the metrics of SQS and of the forwarder tell.
async fn of_cloudwatch(
    sdk: &SdkConfig,
    deployment: &Deployment,
    back: Back,
    now: Timestamp,
) -> anyhow::Result<BTreeMap<u64, Minute>> {
    let config = &deployment.config;
    let since = people::before(now, Duration::from_mins(minutes(back)));
    let cloudwatch = CloudWatch::new(sdk);
    let metrics = metrics(config);
    let answers = in_time(cloudwatch.metrics(&metrics, since, now)).await?;
    Ok(by_minute(&answers, config.routes().len()))
}

/// Counts of each route, by the forwarder's names.
const OF_A_ROUTE: [&str; 3] = ["Delivered", "Failed", "DeadLettered"];

/// `NumberOfMessagesSent` first, then each of [`OF_A_ROUTE`] and two percentiles, of each route.
fn metrics(config: &Config) -> Vec<Metric> {
    let (environment, routes) = (config.environment(), config.routes());
    let sent = Metric::Queue {
        queue: config.queue_name(),
        name: "NumberOfMessagesSent",
        statistic: "Sum",
    };
    let counts = OF_A_ROUTE.into_iter().flat_map(|name| {
        routes.keys().map(move |route| Metric::Route {
            environment: environment.to_owned(),
            route: route.clone(),
            name,
        })
    });
    let ages = ["p50", "p99"].into_iter().flat_map(|percentile| {
        routes.keys().map(move |route| Metric::Age {
            environment: environment.to_owned(),
            route: route.clone(),
            percentile,
        })
    });
    [sent].into_iter().chain(counts).chain(ages).collect()
}

fn by_minute(answers: &[Answer], routes: usize) -> BTreeMap<u64, Minute> {
    let mut known = BTreeMap::<u64, Minute>::new();
    let mut take = |answers: &[Answer], put: fn(&mut Minute, u64)| {
        for (minute, value) in answers.iter().flat_map(BTreeMap::values).flat_map(Series::iter) {
            put(known.entry(*minute).or_default(), count(*value));
        }
    };
    let Some((sent, of_routes)) = answers.split_first() else { return known };
    take(std::slice::from_ref(sent), |it, value| it.accepted = Some(value));
    let puts: [fn(&mut Minute, u64); 5] = [
        |it, value| it.delivered = Some(it.delivered.unwrap_or_default() + value),
        |it, value| it.failed = Some(it.failed.unwrap_or_default() + value),
        |it, value| it.dead_lettered = Some(it.dead_lettered.unwrap_or_default() + value),
        |it, value| it.p50_ms = it.p50_ms.max(Some(value)),
        |it, value| it.p99_ms = it.p99_ms.max(Some(value)),
    ];
    for (answers, put) in of_routes.chunks(routes.max(1)).zip(puts) {
        take(answers, put);
    }
    known
}

/// How many minutes.
fn minutes(back: Back) -> u64 {
    match back {
        Back::Hour => 60,
        Back::Day => 1_440,
    }
}

/// Every minute up to now, known or not.
fn every(now: Timestamp, back: Back, mut known: BTreeMap<u64, Minute>) -> Vec<Minute> {
    let last = now.as_ms() / MINUTE_MS;
    let first = (last + 1).saturating_sub(minutes(back));
    let minute = |number| {
        let minute = known.remove(&number).unwrap_or_default();
        Minute { at: Timestamp::from_ms(number * MINUTE_MS).to_string(), ..minute }
    };
    (first..=last).map(minute).collect()
}

impl Newest {
    fn of(minutes: &[Minute]) -> Self {
        let newest = |of: fn(&Minute) -> Option<u64>| {
            let known = minutes.iter().rev().find(|minute| of(minute).is_some());
            known.map(|minute| minute.at.clone())
        };
        Self {
            accepted: newest(|it| it.accepted),
            delivered: newest(|it| it.delivered),
            failed: newest(|it| it.failed),
            dead_lettered: newest(|it| it.dead_lettered),
            p50_ms: newest(|it| it.p50_ms),
            p99_ms: newest(|it| it.p99_ms),
        }
    }
}

/// An hour by five minutes, a day by the hour.
fn steps(minutes: &[Minute], back: Back) -> Vec<Step> {
    let step_ms = MINUTE_MS
        * match back {
            Back::Hour => 5,
            Back::Day => 60,
        };
    let mut steps = BTreeMap::<u64, Step>::new();
    for minute in minutes {
        let at = people::time(&minute.at).unwrap_or_default().as_ms() / step_ms * step_ms;
        let step = steps.entry(at).or_default();
        step.sum.at = Timestamp::from_ms(at).to_string();
        step.add(minute);
    }
    steps.into_values().collect()
}

impl Step {
    fn add(&mut self, minute: &Minute) {
        let Self { sum, in_part } = self;
        for (name, sum, value) in [
            ("accepted", &mut sum.accepted, minute.accepted),
            ("delivered", &mut sum.delivered, minute.delivered),
            ("failed", &mut sum.failed, minute.failed),
            ("dead_lettered", &mut sum.dead_lettered, minute.dead_lettered),
        ] {
            match value {
                Some(value) => *sum = Some(sum.unwrap_or_default() + value),
                None if in_part.contains(&name) => {}
                None => in_part.push(name),
            }
        }
        sum.p50_ms = sum.p50_ms.max(minute.p50_ms);
        sum.p99_ms = sum.p99_ms.max(minute.p99_ms);
    }
}

fn shown(history: &History, width: Width) -> String {
    let row = |Step { sum, in_part }: &Step| {
        let count = |name: &str, sum: Option<u64>| {
            let more = if in_part.contains(&name) { "+" } else { "" };
            sum.map_or_else(|| "?".to_owned(), |sum| format!("{sum}{more}"))
        };
        let age = |ms: Option<u64>| {
            ms.map_or_else(|| "-".to_owned(), |ms| people::span(Duration::from_millis(ms)))
        };
        [
            zone::kept_to_the_second(&sum.at),
            count("accepted", sum.accepted),
            count("delivered", sum.delivered),
            count("failed", sum.failed),
            count("dead_lettered", sum.dead_lettered),
            age(sum.p50_ms),
            age(sum.p99_ms),
        ]
    };
    let rows: Vec<_> = history.steps.iter().map(row).collect();
    let from = zone::heading("FROM");
    let headings = [&from, "ACCEPTED", "DELIVERED", "FAILED", "DEAD", "P50 MAX", "P99 MAX"];
    let lines = table::render(headings, &rows, width);
    let unknown: Vec<String> =
        history.unknown.iter().map(|it| format!("unknown: {}\n", people::printable(it))).collect();
    let note = "?: not known; +: not of all of its minutes";
    format!("{lines}{note}\n{}", unknown.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_ms(29_000_000 * MINUTE_MS + 30_000)
    }

    fn minute(accepted: u64) -> Minute {
        Minute { accepted: Some(accepted), ..Minute::default() }
    }

    #[test]
    fn every_minute_is_there_and_what_is_not_known_is_no_number() {
        let known = BTreeMap::from([(29_000_000, minute(3)), (28_999_990, minute(0))]);
        let hour = every(now(), Back::Hour, known);
        assert_eq!((hour.len(), hour[59].accepted, hour[49].accepted), (60, Some(3), Some(0)));
        assert_eq!(hour.iter().filter(|it| it.accepted.is_none()).count(), 58);
        assert_eq!(every(now(), Back::Day, BTreeMap::new()).len(), 1_440);
        let steps = steps(&hour, Back::Hour);
        assert!([12, 13].contains(&steps.len()), "{steps:?}");
        let last = steps.last().unwrap();
        assert_eq!((last.sum.accepted, last.sum.failed), (Some(3), None));
        assert_eq!(last.in_part, ["delivered", "failed", "dead_lettered"]);
        assert!(steps[0].in_part.contains(&"accepted") && steps[0].sum.accepted.is_none());
        let newest = Newest::of(&hour);
        assert_eq!((newest.accepted.as_ref(), newest.failed), (Some(&hour[59].at), None));
    }

    #[test]
    fn metrics_of_routes_add_up_and_of_their_ages_the_slowest_is_told() {
        let series = |value: f64| Answer::from([("r".to_owned(), Series::from([(7, value)]))]);
        let none = Answer::new;
        let answers = [
            series(5.0),
            series(1.0),
            series(2.0),
            none(),
            series(4.0),
            none(),
            none(),
            series(10.0),
            series(30.0),
            series(70.0),
            series(50.0),
        ];
        let known = by_minute(&answers, 2);
        let expected = Minute {
            at: String::new(),
            accepted: Some(5),
            delivered: Some(3),
            failed: Some(4),
            dead_lettered: None,
            p50_ms: Some(30),
            p99_ms: Some(70),
        };
        assert_eq!(known, BTreeMap::from([(7, expected)]));
    }
}
