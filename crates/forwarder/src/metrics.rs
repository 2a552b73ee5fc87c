//! Metrics in `CloudWatch`'s embedded metric format: a line for each route of a batch, beside the log
//! lines. They are counted from what is logged, so the two cannot disagree; one line a batch instead
//! of one a delivery keeps what it costs small.
//!
//! Source: `CloudWatch` user guide, "Specification: Embedded metric format".

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::time::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::logging::{Line, What};

/// Values in one array, at most. Source: the specification, "Target members".
const VALUES_MAX: usize = 100;

/// What messages are counted under that no route takes; no route can have this name.
const NO_ROUTE: &str = "(none)";

/// What the counts of a line mean to `CloudWatch`. Dimensions are the environment and the route only:
/// each further one would multiply what the metrics cost.
const COUNTS: &str = r#"{"Namespace":"WebhookQueue","Dimensions":[["environment","route"]],"Metrics":[{"Name":"Delivered","Unit":"Count"},{"Name":"Retried","Unit":"Count"},{"Name":"Rejected","Unit":"Count"},{"Name":"DeadLettered","Unit":"Count"}]}"#;

/// What its times mean, where there are any.
const TIMES: &str = r#"{"Namespace":"WebhookQueue","Dimensions":[["environment","route"]],"Metrics":[{"Name":"Latency","Unit":"Milliseconds"},{"Name":"AgeAtDelivery","Unit":"Milliseconds"}]}"#;

/// What has been counted since the last lines were written.
#[derive(Debug)]
pub(crate) struct Metrics {
    environment: String,
    routes: Mutex<BTreeMap<String, Counts>>,
    counts: Box<RawValue>,
    times: Box<RawValue>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    delivered: u32,
    retried: u32,
    rejected: u32,
    dead_lettered: u32,
    /// Of deliveries, in milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latency: Vec<u64>,
    /// From acceptance to delivery, in milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    age_at_delivery: Vec<u64>,
}

#[derive(Serialize)]
struct EmbeddedLine<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata<'a>,
    environment: &'a str,
    route: &'a str,
    #[serde(flatten)]
    counts: &'a Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: u64,
    cloud_watch_metrics: &'a [&'a RawValue],
}

impl Metrics {
    pub(crate) fn new(environment: &str) -> Self {
        let directive =
            |text: &str| RawValue::from_string(text.to_owned()).expect("the constants are JSON");
        Self {
            environment: environment.to_owned(),
            routes: Mutex::default(),
            counts: directive(COUNTS),
            times: directive(TIMES),
        }
    }

    /// Counts what a line tells.
    pub(crate) fn count(&self, line: &Line<'_>) {
        if !line.what.is_counted() {
            return;
        }
        let route = line.route.unwrap_or(NO_ROUTE);
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = match routes.get_mut(route) {
            Some(counts) => counts,
            None => routes.entry(route.to_owned()).or_default(),
        };
        match line.what {
            What::Delivered => {
                counts.delivered += 1;
                push(&mut counts.latency, line.latency_ms);
                push(&mut counts.age_at_delivery, line.age_ms);
            }
            What::Retry => counts.retried += 1,
            What::Rejected | What::Blocked | What::Skipped => counts.rejected += 1,
            What::DeadLettered => counts.dead_lettered += 1,
            _ => {}
        }
    }

    /// The lines for what has been counted, which begins anew.
    pub(crate) fn take(&self, now: Timestamp) -> Vec<u8> {
        let routes =
            std::mem::take(&mut *self.routes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines = Vec::new();
        for (route, counts) in &routes {
            let directives = [&*self.counts, &*self.times];
            let timed = if counts.latency.is_empty() { &directives[..1] } else { &directives };
            let line = EmbeddedLine {
                aws: Metadata { timestamp: now.as_ms(), cloud_watch_metrics: timed },
                environment: &self.environment,
                route,
                counts,
            };
            serde_json::to_writer(&mut lines, &line).expect("strings and numbers");
            lines.push(b'\n');
        }
        lines
    }
}

impl What {
    fn is_counted(self) -> bool {
        matches!(
            self,
            Self::Delivered
                | Self::Retry
                | Self::Rejected
                | Self::Blocked
                | Self::Skipped
                | Self::DeadLettered
        )
    }
}

fn push(values: &mut Vec<u64>, duration: Option<std::time::Duration>) {
    if values.len() < VALUES_MAX {
        let ms = duration.unwrap_or_default().as_millis();
        values.push(u64::try_from(ms).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn line(what: What) -> Line<'static> {
        Line {
            what,
            route: Some("sss"),
            latency_ms: Some(Duration::from_millis(12)),
            age_ms: Some(Duration::from_millis(40)),
            ..Line::default()
        }
    }

    fn taken(metrics: &Metrics) -> Vec<Value> {
        let text = String::from_utf8(metrics.take(Timestamp::from_ms(1_767_225_600_123))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_was_logged_is_counted_by_route_and_once() {
        let metrics = Metrics::new("dev");
        for what in [
            What::Delivered,
            What::Delivered,
            What::Retry,
            What::Rejected,
            What::Blocked,
            What::Skipped,
            What::DeadLettered,
        ] {
            metrics.count(&line(what));
        }
        metrics.count(&Line { route: Some("crm"), ..line(What::Retry) });
        metrics.count(&Line { route: None, ..line(What::DeadLettered) });
        metrics.count(&Line { route: Some("quiet"), ..line(What::NotAttempted) });
        let lines = taken(&metrics);
        let routes: Vec<_> = lines.iter().map(|line| line["route"].as_str().unwrap()).collect();
        assert_eq!(routes, ["(none)", "crm", "sss"]);
        assert_eq!(lines[0]["DeadLettered"], 1);
        assert_eq!(lines[2]["environment"], "dev");
        let names = ["Delivered", "Retried", "Rejected", "DeadLettered"];
        assert_eq!(names.map(|name| lines[2][name].as_u64().unwrap()), [2, 1, 3, 1]);
        assert_eq!(lines[2]["Latency"], json!([12, 12]));
        assert_eq!(lines[2]["AgeAtDelivery"], json!([40, 40]));
        assert_eq!(taken(&metrics), [Value::Null; 0]);
    }

    /// The specification: every metric that is named is a member, and every dimension is.
    #[test]
    fn cloudwatch_understands_every_line() {
        let metrics = Metrics::new("dev");
        for what in [What::Delivered, What::Retry] {
            metrics.count(&line(what));
            let [line] = taken(&metrics).try_into().unwrap();
            assert_eq!(line["_aws"]["Timestamp"], 1_767_225_600_123_u64);
            for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    assert!(!line[name].is_null(), "{name} is missing in {line}");
                }
                for dimension in directive["Dimensions"][0].as_array().unwrap() {
                    assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
                }
            }
        }
    }

    #[test]
    fn an_array_is_never_longer_than_cloudwatch_takes() {
        let metrics = Metrics::new("dev");
        (0..150).for_each(|_| metrics.count(&line(What::Delivered)));
        let [line] = taken(&metrics).try_into().unwrap();
        assert_eq!(line["Delivered"], 150);
        assert_eq!(line["Latency"].as_array().unwrap().len(), 100);
    }
}
