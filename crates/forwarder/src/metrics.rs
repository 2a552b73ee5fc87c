//! Metrics in `CloudWatch`'s embedded metric format. What is counted travels in the log line that tells
//! of it, so the two cannot disagree and one line is paid for, not two. Only what no line tells, as the
//! level leaves it out, gets a line of its own: one for each route of a batch.
//!
//! Source: `CloudWatch` user guide, "Specification: Embedded metric format".

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::logging::{Line, What};

/// Values in one array, at most. Source: the specification, "Target members".
const VALUES_MAX: usize = 100;

/// What messages are counted under that no route takes; no route can have this name.
const NO_ROUTE: &str = "(none)";

/// Counts what lines tell.
#[derive(Debug)]
pub(crate) struct Metrics {
    environment: String,
    /// What no line told since the last [`Metrics::take`], by route.
    untold: Mutex<BTreeMap<String, Counts>>,
}

/// What is counted, under the metrics' names. What is not there is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    /// Also where it is 0: so that a route whose deliveries all fail has a count of deliveries, and is
    /// not taken for one that is not counted.
    delivered: u32,
    /// Attempts that were no delivery. Which will be made again and which not, their lines tell: a
    /// metric for each would be paid for every month.
    #[serde(skip_serializing_if = "is_zero")]
    failed: u32,
    #[serde(skip_serializing_if = "is_zero")]
    dead_lettered: u32,
    /// Of deliveries, in milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_many")]
    latency: Vec<u64>,
    /// From acceptance to delivery, in milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_many")]
    age_at_delivery: Vec<u64>,
}

/// A log line that `CloudWatch` counts.
#[derive(Serialize)]
pub(crate) struct CountedLine<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(flatten)]
    embedded: Embedded<'a, Counts>,
}

/// Counts that no log line tells.
#[derive(Serialize)]
struct CountsLine<'a> {
    route: &'a str,
    #[serde(flatten)]
    embedded: Embedded<'a, &'a Counts>,
}

/// What makes a line that has a `route` one of metrics.
#[derive(Serialize)]
struct Embedded<'a, C: Serialize> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    environment: &'a str,
    #[serde(flatten)]
    counts: C,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u64,
    cloud_watch_metrics: [Directive; 1],
}

/// What a line's members mean to `CloudWatch`. Dimensions are the environment and the route only: each
/// further one would multiply what the metrics cost.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 2]; 1],
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

impl Metrics {
    pub(crate) fn new(environment: &str) -> Self {
        Self { environment: environment.to_owned(), untold: Mutex::default() }
    }

    /// `line` with what `CloudWatch` is to count of it. `None` if that is nothing, or if it is kept for
    /// [`Metrics::take`]: the line is not written, or is of no route and leaves its place empty.
    pub(crate) fn count<'a>(&'a self, line: Line<'a>, is_written: bool) -> Option<CountedLine<'a>> {
        let counts = Counts::of(&line)?;
        if is_written && line.route.is_some() {
            return Some(CountedLine { line, embedded: self.embed(counts, line.timestamp) });
        }
        let route = line.route.unwrap_or(NO_ROUTE);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        match untold.get_mut(route) {
            Some(sum) => sum.add(counts),
            None => drop(untold.insert(route.to_owned(), counts)),
        }
        None
    }

    /// The lines for what no line told, which begins anew.
    pub(crate) fn take(&self, now: Timestamp) -> Vec<u8> {
        let untold =
            std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines = Vec::new();
        for (route, counts) in &untold {
            let line = CountsLine { route, embedded: self.embed(counts, now) };
            serde_json::to_writer(&mut lines, &line).expect("strings and numbers");
            lines.push(b'\n');
        }
        lines
    }

    fn embed<C: Serialize + Borrow<Counts>>(&self, counts: C, at: Timestamp) -> Embedded<'_, C> {
        let directive = Directive {
            namespace: "WebhookQueue",
            dimensions: [["environment", "route"]],
            metrics: counts.borrow().metrics(),
        };
        Embedded {
            aws: Metadata { timestamp: at.as_ms(), cloud_watch_metrics: [directive] },
            environment: &self.environment,
            counts,
        }
    }
}

impl Counts {
    /// Those of one line, if it is about anything that is counted.
    fn of(line: &Line<'_>) -> Option<Self> {
        let none = Self::default();
        Some(match line.what {
            What::Delivered => Self {
                delivered: 1,
                latency: line.latency_ms.map(milliseconds).into_iter().collect(),
                age_at_delivery: line.age_ms.map(milliseconds).into_iter().collect(),
                ..none
            },
            What::Retry | What::Rejected | What::Blocked | What::Skipped => {
                Self { failed: 1, ..none }
            }
            What::DeadLettered => Self { dead_lettered: 1, ..none },
            _ => return None,
        })
    }

    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.dead_lettered += other.dead_lettered;
        self.latency.extend(other.latency);
        self.latency.truncate(VALUES_MAX);
        self.age_at_delivery.extend(other.age_at_delivery);
        self.age_at_delivery.truncate(VALUES_MAX);
    }

    /// Those that a line with these counts has.
    fn metrics(&self) -> Vec<Metric> {
        let (count, time) = ("Count", "Milliseconds");
        let all = [
            (true, "Delivered", count),
            (self.failed > 0, "Failed", count),
            (self.dead_lettered > 0, "DeadLettered", count),
            (!self.latency.is_empty(), "Latency", time),
            (!self.age_at_delivery.is_empty(), "AgeAtDelivery", time),
        ];
        let there = all.into_iter().filter(|(is_there, ..)| *is_there);
        there.map(|(_, name, unit)| Metric { name, unit }).collect()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One value stands without an array: most lines have one.
fn one_or_many<S: Serializer>(values: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    match values {
        [value] => serializer.serialize_u64(*value),
        values => serializer.collect_seq(values),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use domain::config::LogLevel;
    use serde_json::{Value, json};

    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_ms(1_767_225_600_123)
    }

    const COUNTED: [What; 6] = [
        What::Delivered,
        What::Retry,
        What::Rejected,
        What::Blocked,
        What::Skipped,
        What::DeadLettered,
    ];

    fn line(what: What) -> Line<'static> {
        Line {
            timestamp: at(),
            what,
            route: Some("sss"),
            latency_ms: Some(Duration::from_millis(12)),
            age_ms: Some(Duration::from_millis(40)),
            ..Line::default()
        }
    }

    fn told(line: Line<'_>) -> Value {
        let metrics = Metrics::new("dev");
        serde_json::to_value(metrics.count(line, true).expect("it is counted")).unwrap()
    }

    fn keep(metrics: &Metrics, line: Line<'_>) {
        assert!(metrics.count(line, false).is_none(), "a line that is not written carries nothing");
    }

    fn taken(metrics: &Metrics) -> Vec<Value> {
        let text = String::from_utf8(metrics.take(at())).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The specification: every metric that is named is a member, and every dimension is a text.
    fn check_what_cloudwatch_demands(line: &Value) {
        assert_eq!(line["_aws"]["Timestamp"], 1_767_225_600_123_u64);
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                assert!(line[name].is_number() || line[name].is_array(), "{name} in {line}");
            }
            for dimension in directive["Dimensions"][0].as_array().unwrap() {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
            }
        }
    }

    fn metrics_of(line: &Value) -> Vec<(&str, &Value)> {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        let names = metrics.iter().map(|metric| metric["Name"].as_str().unwrap());
        names.map(|name| (name, &line[name])).collect()
    }

    #[test]
    fn a_line_carries_what_is_counted_of_it() {
        let (zero, one) = (json!(0), json!(1));
        for what in COUNTED {
            let line = told(line(what));
            check_what_cloudwatch_demands(&line);
            let expected = match what {
                What::Delivered => {
                    vec![
                        ("Delivered", &one),
                        ("Latency", &line["latency_ms"]),
                        ("AgeAtDelivery", &line["age_ms"]),
                    ]
                }
                What::DeadLettered => vec![("Delivered", &zero), ("DeadLettered", &one)],
                _ => vec![("Delivered", &zero), ("Failed", &one)],
            };
            assert_eq!(metrics_of(&line), expected);
        }
        let metrics = Metrics::new("dev");
        assert!(metrics.count(line(What::NotAttempted), true).is_none());
        assert_eq!(taken(&metrics), [Value::Null; 0], "what was told is not told again");
    }

    #[test]
    fn what_no_line_tells_is_counted_by_route_and_once() {
        let metrics = Metrics::new("dev");
        for what in COUNTED.into_iter().chain([What::Delivered]) {
            keep(&metrics, line(what));
        }
        keep(&metrics, Line { route: Some("crm"), ..line(What::Retry) });
        keep(&metrics, Line { route: Some("quiet"), ..line(What::NotAttempted) });
        let of_no_route = Line { route: None, ..line(What::DeadLettered) };
        assert!(metrics.count(of_no_route, true).is_none(), "its place for a route stays empty");
        let lines = taken(&metrics);
        lines.iter().for_each(check_what_cloudwatch_demands);
        let routes: Vec<_> = lines.iter().map(|line| line["route"].as_str().unwrap()).collect();
        assert_eq!(routes, ["(none)", "crm", "sss"]);
        assert_eq!(lines[0]["DeadLettered"], 1);
        assert_eq!(lines[2]["environment"], "dev");
        let names = ["Delivered", "Failed", "DeadLettered"];
        assert_eq!(names.map(|name| lines[2][name].as_u64().unwrap()), [2, 4, 1]);
        assert_eq!(lines[2]["Latency"], json!([12, 12]));
        assert_eq!(lines[2]["AgeAtDelivery"], json!([40, 40]));
        assert_eq!(taken(&metrics), [Value::Null; 0]);
    }

    #[test]
    fn an_array_is_never_longer_than_cloudwatch_takes() {
        let metrics = Metrics::new("dev");
        (0..150).for_each(|_| keep(&metrics, line(What::Delivered)));
        let [line] = taken(&metrics).try_into().unwrap();
        assert_eq!(line["Delivered"], 150);
        assert_eq!(line["Latency"].as_array().unwrap().len(), 100);
    }

    /// `cargo xtask estimate` reckons with the length of this file.
    #[test]
    fn a_delivery_s_line_is_as_long_as_the_estimate_says() {
        let line = Line {
            level: LogLevel::Info,
            event_id: Some("0b5dbb3e-6f0e-4b5e-9d53-0a4c7e1f7a52"),
            group: Some("5f3c1a52-7a0e-4f6e-8d0f-6f2b8c9e1d34"),
            sequence: Some("18889012345678901504"),
            destination: Some("sss"),
            host: Some("sss.example.com"),
            attempt: Some(1),
            status: Some(200),
            latency_ms: Some(Duration::from_millis(200)),
            age_ms: Some(Duration::from_millis(1_340)),
            ..line(What::Delivered)
        };
        let metrics = Metrics::new("prod");
        let written = serde_json::to_string(&metrics.count(line, true).unwrap()).unwrap();
        assert_eq!(written, include_str!("../../../contracts/delivered-line.json").trim_end());
    }
}
