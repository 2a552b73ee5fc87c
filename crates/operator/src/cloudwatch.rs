//! `CloudWatch`: alarms, and the counts that SQS and the forwarder keep there.
//!
//! Source: `CloudWatch` API reference, `DescribeAlarms` and `GetMetricData`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, MetricAlarm, MetricDataQuery, MetricDataResult, MetricStat, ScanBy,
    StatusCode,
};
use aws_smithy_types::DateTime;
use domain::time::Timestamp;
use serde::Serialize;

use crate::{people, sdk};

/// Metrics are asked for minute by minute: what SQS and the forwarder write is that fine, and is kept
/// so for 15 days. Source: `CloudWatch` guide, "Metrics retention".
pub(crate) const PERIOD_SECONDS: i32 = 60;

/// The namespace of SQS's metrics. Source: SQS guide, "Available `CloudWatch` metrics".
const SQS: &str = "AWS/SQS";

/// The namespace of the forwarder's metrics; see `forwarder::metrics`.
const FORWARDER: &str = "WebhookQueue";

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Alarm {
    pub(crate) name: String,
    /// The section of `docs/runbook.md`: the name without the environment.
    pub(crate) section: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub(crate) state: String,
    /// Since when it is in this state, RFC 3339.
    pub(crate) since: Option<String>,
}

/// One metric, by what it is of.
#[derive(Debug, Clone)]
pub(crate) enum Metric {
    /// One of SQS's, of a queue.
    Queue { queue: String, name: &'static str, statistic: &'static str },
    /// One of the forwarder's, of a route.
    Route { environment: String, route: String, name: &'static str },
    /// One of the forwarder's, of every route that has written it within two weeks, also of routes
    /// that the configuration does not know any more. Source: `CloudWatch` guide, "Search expressions".
    Routes { environment: String, name: &'static str },
    /// How old a route's events were at their delivery, as a percentile such as `p99`, in milliseconds.
    Age { environment: String, route: String, percentile: &'static str },
}

impl Metric {
    fn name(&self) -> String {
        match self {
            Self::Queue { queue, name, .. } => format!("{name} of {queue}"),
            Self::Route { route, name, .. } => format!("{name} of route {route}"),
            Self::Routes { name, .. } => format!("{name} of all routes"),
            Self::Age { route, percentile, .. } => format!("age ({percentile}) of route {route}"),
        }
    }
}

/// A metric's values by the minute that they are of, in minutes since the Unix epoch.
pub(crate) type Series = BTreeMap<u64, f64>;

/// What was answered for one [`Metric`]: each series with its label; [`Metric::Routes`] gives several,
/// labelled with the route.
pub(crate) type Answer = BTreeMap<String, Series>;

/// `CloudWatch` of an environment's region.
#[derive(Debug, Clone)]
pub(crate) struct CloudWatch {
    client: Client,
}

impl CloudWatch {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        Self { client: Client::new(sdk) }
    }

    /// The alarms whose names begin with `prefix`, by name.
    pub(crate) async fn alarms(&self, prefix: &str) -> anyhow::Result<Vec<Alarm>> {
        let mut pages = self
            .client
            .describe_alarms()
            .alarm_name_prefix(prefix)
            .alarm_types(AlarmType::MetricAlarm)
            .into_paginator()
            .send();
        let mut alarms = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| sdk::failed("asking for the alarms", error))?;
            let found = page.metric_alarms.unwrap_or_default();
            alarms.extend(found.iter().filter_map(|alarm| parse_alarm(alarm, prefix)));
        }
        alarms.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(alarms)
    }

    /// The values of `metrics` between two times, in the order of `metrics`.
    pub(crate) async fn metrics(
        &self,
        metrics: &[Metric],
        since: Timestamp,
        until: Timestamp,
    ) -> anyhow::Result<Vec<Answer>> {
        let queries = metrics.iter().enumerate().map(|(place, metric)| query(place, metric));
        let mut pages = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from_millis(i64::try_from(since.as_ms())?))
            .end_time(DateTime::from_millis(i64::try_from(until.as_ms())?))
            .scan_by(ScanBy::TimestampAscending)
            .into_paginator()
            .send();
        let mut answers = vec![Answer::new(); metrics.len()];
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| sdk::failed("asking for metrics", error))?;
            for result in page.metric_data_results.unwrap_or_default() {
                let place = result.id().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
                let place = place.filter(|place| *place < metrics.len());
                let place = place.with_context(|| format!("nobody asked for {:?}", result.id))?;
                take(&mut answers[place], result)
                    .with_context(|| format!("asking for {}", metrics[place].name()))?;
            }
        }
        Ok(answers)
    }
}

/// Adds a page's part of a series to what there is of it.
fn take(answer: &mut Answer, result: MetricDataResult) -> anyhow::Result<()> {
    let label = result.label.unwrap_or_default();
    if let Some(code @ (StatusCode::Forbidden | StatusCode::InternalError)) = result.status_code {
        bail!("CloudWatch answers {}", code.as_str());
    }
    let series = answer.entry(label).or_default();
    let times = result.timestamps.unwrap_or_default();
    for (time, value) in times.iter().zip(result.values.unwrap_or_default()) {
        let minute = u64::try_from(time.secs()).unwrap_or_default() / PERIOD_SECONDS as u64;
        series.insert(minute, value);
    }
    Ok(())
}

fn query(place: usize, metric: &Metric) -> MetricDataQuery {
    // An id begins with a small letter.
    let query = MetricDataQuery::builder().id(format!("m{place}"));
    let stat = |namespace: &str, name: &str, dimensions: &[(&str, &str)], statistic: &str| {
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(*value).build())
            .collect();
        let metric = aws_sdk_cloudwatch::types::Metric::builder()
            .namespace(namespace)
            .metric_name(name)
            .set_dimensions(Some(dimensions));
        MetricStat::builder().metric(metric.build()).period(PERIOD_SECONDS).stat(statistic).build()
    };
    match metric {
        Metric::Queue { queue, name, statistic } => query
            .metric_stat(stat(SQS, name, &[("QueueName", queue)], statistic))
            .label(*name)
            .build(),
        Metric::Route { environment, route, name } => {
            let dimensions = [("environment", environment.as_str()), ("route", route)];
            query.metric_stat(stat(FORWARDER, name, &dimensions, "Sum")).label(route).build()
        }
        Metric::Age { environment, route, percentile } => {
            let dimensions = [("environment", environment.as_str()), ("route", route)];
            let age = stat(FORWARDER, "AgeAtDelivery", &dimensions, percentile);
            query.metric_stat(age).label(route).build()
        }
        Metric::Routes { environment, name } => query
            .expression(format!(
                "SEARCH('{{{FORWARDER},environment,route}} environment=\"{environment}\" \
                 MetricName=\"{name}\"', 'Sum', {PERIOD_SECONDS})"
            ))
            .label("${PROP('Dim.route')}")
            .build(),
    }
}

fn parse_alarm(alarm: &MetricAlarm, prefix: &str) -> Option<Alarm> {
    let name = alarm.alarm_name()?;
    let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
    let since = since.and_then(|at| u64::try_from(at.to_millis().ok()?).ok());
    Some(Alarm {
        name: name.to_owned(),
        section: name.strip_prefix(prefix).unwrap_or(name).to_owned(),
        state: alarm.state_value().map_or("unknown", |state| state.as_str()).to_owned(),
        since: since.map(|ms| Timestamp::from_ms(ms).to_string()),
    })
}

/// How old the oldest message of a queue was, and when that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    pub(crate) seconds: u64,
    pub(crate) at: Timestamp,
}

impl Age {
    /// When the message came.
    pub(crate) fn since(self) -> Timestamp {
        people::before(self.at, Duration::from_secs(self.seconds))
    }
}

/// The metric of the oldest message's age.
pub(crate) fn age_of(queue: &str) -> Metric {
    Metric::Queue {
        queue: queue.to_owned(),
        name: "ApproximateAgeOfOldestMessage",
        statistic: "Maximum",
    }
}

/// The newest age of an answer to [`age_of`].
pub(crate) fn newest_age(answer: &Answer) -> Option<Age> {
    let (minute, seconds) =
        answer.values().filter_map(|series| series.last_key_value()).max_by_key(|it| it.0)?;
    let at = Timestamp::from_ms(minute * PERIOD_SECONDS as u64 * 1_000);
    Some(Age { seconds: count(*seconds), at })
}

/// A metric's value as a count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of what is negative or too large gives the nearest count"
)]
pub(crate) fn count(value: f64) -> u64 {
    value.round() as u64
}
