//! What must hold of alarms and logs.

use serde_json::{Value, json};

use super::{Seen, Subject, policy};
use crate::aws::resources::Resource;

/// The alarms that an environment must have, by the section of the runbook that each points to. An
/// alarm's name is `ENV-webhook-SECTION`; of [`NOTHING_DELIVERED`] there is one for each route, whose
/// name follows.
pub(crate) const ALARMS: [&str; 10] = [
    "dead-letters-present",
    "dead-letters-arriving",
    "oldest-message-too-old",
    NOTHING_DELIVERED,
    "dead-letters-near-retention",
    "function-errors",
    "function-throttles",
    "mapping-not-enabled",
    "api-client-errors",
    "api-server-errors",
];

pub(crate) const NOTHING_DELIVERED: &str = "nothing-delivered";

/// What an alarm must watch.
struct Watched {
    of: Of,
    namespace: &'static str,
    /// Added up, where there are more than one.
    metrics: &'static [&'static str],
    statistic: &'static str,
    rings: Rings,
    /// How long it may take to ring.
    within_seconds: u64,
    /// What no data at all means.
    silence: &'static str,
}

/// What a metric is about.
enum Of {
    Queue,
    DeadLetters,
    Function,
    Api,
    Route(String),
}

/// When an alarm rings.
enum Rings {
    /// From a threshold of 1 to this on.
    AtLeast(f64),
    /// When there is none.
    Below1,
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

impl Watched {
    /// What the alarm of a section must watch; of a route's, where it is one.
    fn of(section: &str, subject: &Subject<'_>, route: Option<&str>) -> Self {
        let settings = subject.config.queue();
        let at_least = |of, namespace, metrics, statistic, most| Self {
            of,
            namespace,
            metrics,
            statistic,
            rings: Rings::AtLeast(most),
            within_seconds: HOUR,
            silence: "notBreaching",
        };
        let sqs = "AWS/SQS";
        let age: &[&str] = &["ApproximateAgeOfOldestMessage"];
        match section {
            "dead-letters-present" => {
                let held: &[&str] = &[
                    "ApproximateNumberOfMessagesVisible",
                    "ApproximateNumberOfMessagesNotVisible",
                ];
                at_least(Of::DeadLetters, sqs, held, "Maximum", 1.0)
            }
            "dead-letters-arriving" => {
                at_least(Of::DeadLetters, sqs, &["NumberOfMessagesSent"], "Sum", 1.0)
            }
            "oldest-message-too-old" => {
                let most = settings.retention.as_secs_f64() / 2.0;
                at_least(Of::Queue, sqs, age, "Maximum", most)
            }
            NOTHING_DELIVERED => Self {
                of: Of::Route(route.unwrap_or_default().to_owned()),
                rings: Rings::Below1,
                within_seconds: DAY,
                ..at_least(Of::Queue, "WebhookQueue", &["Delivered"], "Sum", 0.0)
            },
            "dead-letters-near-retention" => {
                let most = settings.dead_letter_retention.as_secs_f64() * 0.99;
                at_least(Of::DeadLetters, sqs, age, "Maximum", most)
            }
            "function-errors" => at_least(Of::Function, "AWS/Lambda", &["Errors"], "Sum", 1.0),
            "function-throttles" => {
                at_least(Of::Function, "AWS/Lambda", &["Throttles"], "Sum", 1.0)
            }
            "mapping-not-enabled" => Self {
                rings: Rings::Below1,
                within_seconds: DAY,
                silence: "breaching",
                ..at_least(
                    Of::Queue,
                    sqs,
                    &["NumberOfEmptyReceives", "NumberOfMessagesReceived"],
                    "Sum",
                    0.0,
                )
            },
            "api-client-errors" => at_least(Of::Api, "AWS/ApiGateway", &["4xx"], "Sum", f64::MAX),
            _ => at_least(Of::Api, "AWS/ApiGateway", &["5xx"], "Sum", f64::MAX),
        }
    }

    /// The dimensions of its metrics; `None` while they are not known.
    fn dimensions(&self, subject: &Subject<'_>) -> Option<Value> {
        let config = subject.config;
        Some(match &self.of {
            Of::Queue => json!({ "QueueName": config.queue_name() }),
            Of::DeadLetters => json!({ "QueueName": config.dead_letter_queue_name() }),
            Of::Function => {
                json!({ "FunctionName": format!("{}-webhook-forwarder", config.environment()) })
            }
            Of::Route(route) => json!({ "environment": config.environment(), "route": route }),
            Of::Api => {
                let mut routes = subject.resources.of_kind("aws_apigatewayv2_route");
                let api = routes.find_map(|route| route.after["api_id"].as_str())?;
                let mut stages = subject.resources.of_kind("aws_apigatewayv2_stage");
                let stage = stages.find(|stage| stage.after["api_id"] == api);
                // The stage of an API that is not ours is what the configuration says.
                json!({ "ApiId": api, "Stage": stage.map(|stage| &stage.after["name"]) })
            }
        })
    }
}

/// A metric that an alarm looks at.
struct Looked<'a> {
    values: &'a Value,
    dimensions_unknown: bool,
    statistic: &'a Value,
    period_seconds: u64,
    /// Its id in the alarm's expression, if there is one.
    id: Option<&'a str>,
}

fn looked(alarm: &Resource) -> Vec<Looked<'_>> {
    let queries = alarm.after["metric_query"].as_array().map(Vec::as_slice).unwrap_or_default();
    if queries.is_empty() {
        return vec![Looked {
            values: &alarm.after,
            dimensions_unknown: alarm.is_unknown("dimensions"),
            statistic: &alarm.after["statistic"],
            period_seconds: alarm.after["period"].as_u64().unwrap_or_default(),
            id: None,
        }];
    }
    let metrics = queries.iter().enumerate().filter_map(|(position, query)| {
        let values = query["metric"].get(0)?;
        let unknown = &alarm.unknown["metric_query"][position]["metric"][0]["dimensions"];
        Some(Looked {
            values,
            dimensions_unknown: crate::aws::resources::has_true(unknown),
            statistic: &values["stat"],
            period_seconds: values["period"].as_u64().unwrap_or_default(),
            id: query["id"].as_str(),
        })
    });
    metrics.collect()
}

pub(super) fn alarms(subject: &Subject<'_>, seen: &mut Seen) {
    let environment = subject.config.environment();
    for section in ALARMS {
        let routes: Vec<Option<&str>> = if section == NOTHING_DELIVERED {
            subject.config.routes().keys().map(|name| Some(name.as_str())).collect()
        } else {
            vec![None]
        };
        for route in routes {
            let of_route = route.map(|route| format!("-{route}")).unwrap_or_default();
            let name = format!("{environment}-webhook-{section}{of_route}");
            if let Some(alarm) =
                subject.named(seen, "aws_cloudwatch_metric_alarm", "alarm_name", &name)
            {
                watches(subject, alarm, &Watched::of(section, subject, route), seen);
            }
        }
    }
    for alarm in subject.resources.of_kind("aws_cloudwatch_metric_alarm") {
        heard(subject, alarm, seen);
    }
    may_publish(subject, seen);
}

/// Checks that an alarm rings when it should.
fn watches(subject: &Subject<'_>, alarm: &Resource, wanted: &Watched, seen: &mut Seen) {
    let looked = looked(alarm);
    let names: Vec<&str> =
        looked.iter().filter_map(|it| it.values["metric_name"].as_str()).collect();
    let never = "it would not ring for what it is named after";
    let same_names = names.len() == wanted.metrics.len()
        && wanted.metrics.iter().all(|name| names.contains(name));
    if !same_names {
        let problem = format_args!("it looks at {names:?}, not {:?}: {never}", wanted.metrics);
        seen.broken(alarm, problem);
    }
    let dimensions = wanted.dimensions(subject);
    for metric in &looked {
        if metric.values["namespace"] != wanted.namespace {
            let namespace = &metric.values["namespace"];
            seen.broken(
                alarm,
                format_args!("namespace is {namespace}, not {}: {never}", wanted.namespace),
            );
        }
        if *metric.statistic != wanted.statistic {
            let statistic = metric.statistic;
            seen.broken(
                alarm,
                format_args!("statistic is {statistic}, not {}: {never}", wanted.statistic),
            );
        }
        match &dimensions {
            _ if metric.dimensions_unknown => seen.unknown(alarm, "dimensions"),
            None => seen.unknown(alarm, "dimensions"),
            Some(wanted) => {
                let is = &metric.values["dimensions"];
                // A stage that is not in the plan may have any name, but must be named.
                let same = wanted.as_object().into_iter().flatten().all(|(name, value)| {
                    is[name] == *value || value.is_null() && is[name].is_string()
                });
                let count = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
                if !same || count(is) != count(wanted) {
                    let problem = format_args!("dimensions are {is}, not {wanted}: {never}");
                    seen.broken(alarm, problem);
                }
            }
        }
    }
    rings(alarm, wanted, &looked, seen);
}

fn rings(alarm: &Resource, wanted: &Watched, looked: &[Looked<'_>], seen: &mut Seen) {
    let comparison = alarm.after["comparison_operator"].as_str().unwrap_or_default();
    let threshold = alarm.after["threshold"].as_f64();
    let (operator, good) = match wanted.rings {
        Rings::AtLeast(most) => (
            "GreaterThanOrEqualToThreshold",
            threshold.is_some_and(|threshold| (1.0..=most).contains(&threshold)),
        ),
        Rings::Below1 => {
            ("LessThanThreshold", threshold.is_some_and(|it| (it - 1.0).abs() < f64::EPSILON))
        }
    };
    if comparison != operator || !good {
        let threshold = &alarm.after["threshold"];
        let problem = format_args!(
            "it rings at {comparison} {threshold}, which is {}: it would ring always, never or too late",
            match wanted.rings {
                Rings::AtLeast(most) => format!("not {operator} 1 to {most}"),
                Rings::Below1 => format!("not {operator} 1"),
            }
        );
        seen.broken(alarm, problem);
    }
    let periods = alarm.after["evaluation_periods"].as_u64().unwrap_or_default();
    let period = looked.iter().map(|it| it.period_seconds).max().unwrap_or_default();
    let after = periods.saturating_mul(period);
    if after == 0 || after > wanted.within_seconds {
        let problem = format_args!(
            "it rings after {periods} periods of {period} s, more than {} s: too late",
            wanted.within_seconds
        );
        seen.broken(alarm, problem);
    }
    let missing = alarm.after["treat_missing_data"].as_str().unwrap_or("missing");
    if missing != wanted.silence {
        let problem = format_args!(
            "treat_missing_data is {missing:?}, not {:?}: silence would be taken for the opposite",
            wanted.silence
        );
        seen.broken(alarm, problem);
    }
    let expression = alarm.after["metric_query"].as_array().into_iter().flatten();
    let expressions: Vec<&str> = expression
        .filter(|query| query["return_data"] == true)
        .filter_map(|query| query["expression"].as_str())
        .collect();
    let adds_up = match looked {
        [Looked { id: None, .. }] => true,
        metrics => matches!(expressions[..], [one] if metrics.iter().all(|it| {
            it.id.is_some_and(|id| one.split(|c: char| !c.is_alphanumeric()).any(|word| word == id))
        })),
    };
    if !adds_up {
        seen.broken(
            alarm,
            format_args!("its expression {expressions:?} does not add up its metrics"),
        );
    }
}

/// Checks that somebody hears an alarm.
fn heard(subject: &Subject<'_>, alarm: &Resource, seen: &mut Seen) {
    if alarm.after["actions_enabled"] == false {
        seen.broken(alarm, "nobody hears it: its actions are disabled");
    }
    if alarm.is_unknown("alarm_actions") {
        return seen.unknown(alarm, "alarm_actions");
    }
    let mut actions = alarm.after["alarm_actions"].as_array().into_iter().flatten().peekable();
    if actions.peek().is_none() {
        return seen.broken(alarm, "nobody hears it: it has no alarm_actions");
    }
    let has_ears = |action: &Value| {
        let mut topics = subject.resources.of_kind("aws_sns_topic");
        let mut subscriptions = subject.resources.of_kind("aws_sns_topic_subscription");
        // Who hears another's topic is not ours to know.
        topics.all(|topic| topic.after["arn"] != *action)
            || subscriptions
                .any(|it| it.is_unknown("topic_arn") || it.after["topic_arn"] == *action)
    };
    if !actions.any(has_ears) {
        seen.broken(alarm, "nobody hears it: its topic has no subscription");
    }
}

/// Checks that `CloudWatch` may send alarms to the topics and use their keys.
fn may_publish(subject: &Subject<'_>, seen: &mut Seen) {
    let service = "cloudwatch.amazonaws.com";
    for resource in subject.resources.of_kind("aws_sns_topic_policy") {
        if resource.is_unknown("policy") {
            seen.unknown(resource, "policy");
        } else if !policy::lets(
            &resource.json("policy").unwrap_or_default(),
            service,
            "sns:Publish",
        ) {
            seen.broken(
                resource,
                format_args!("{service} may not publish: no alarm reaches anybody"),
            );
        }
    }
    let mut used = Vec::new();
    for topic in subject.resources.of_kind("aws_sns_topic") {
        let key = &topic.after["kms_master_key_id"];
        // Source: SNS guide, "Configuring KMS permissions for SNS topic encryption".
        if *key == "alias/aws/sns" {
            let problem = "kms_master_key_id is alias/aws/sns, which lets no service in: no alarm \
                           reaches anybody";
            seen.broken(topic, problem);
        }
        used.push(key);
    }
    for key in subject.resources.of_kind("aws_kms_key") {
        let arn = &key.after["arn"];
        if !arn.is_null() && !used.contains(&arn) {
            continue;
        }
        if key.after["is_enabled"] == false {
            seen.broken(key, "is_enabled is false: no alarm reaches anybody");
        }
        if key.is_unknown("policy") {
            seen.unknown(key, "policy");
            continue;
        }
        let policy = key.json("policy").unwrap_or_default();
        for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
            if !policy::lets(&policy, service, action) {
                let problem = format_args!("{service} may not {action}: no alarm reaches anybody");
                seen.broken(key, problem);
            }
        }
    }
}

pub(super) fn log_retention(subject: &Subject<'_>, seen: &mut Seen) {
    for group in subject.resources.of_kind("aws_cloudwatch_log_group") {
        if group.after["retention_in_days"].as_u64().unwrap_or_default() == 0 {
            seen.broken(group, "its lines are kept for ever");
        }
    }
    // A function that names no group writes to one that Lambda makes, without retention.
    for function in subject.resources.of_kind("aws_lambda_function") {
        let config = &function.after["logging_config"][0];
        let named = config["log_group"].as_str().map(str::to_owned);
        let default =
            function.after["function_name"].as_str().map(|it| format!("/aws/lambda/{it}"));
        let group = named.or(default).unwrap_or_default();
        if subject.resources.find("aws_cloudwatch_log_group", "name", &group).is_none() {
            seen.broken(function, format_args!("its log group {group} is not in the plan"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// Each alarm points to the section of the runbook that has its name.
    #[test]
    fn the_runbook_has_a_section_for_every_alarm() {
        let file = workspace::root().join("docs").join("runbook.md");
        let text = std::fs::read_to_string(file).unwrap();
        let is_alarm = |section: &&str| section.contains('-') && !section.contains(' ');
        let mut sections: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("## ")).filter(is_alarm).collect();
        let mut alarms = ALARMS.to_vec();
        sections.sort_unstable();
        alarms.sort_unstable();
        assert_eq!(sections, alarms);
    }
}
