//! What must hold of the queues.

use std::time::Duration;

use domain::config::Receives;
use domain::quota::{
    AWS_MESSAGE_BYTES_MAX, DEAD_LETTER_ROOM_BYTES, FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT,
};
use domain::route::Route;
use serde_json::{Value, json};

use super::policy::{self, list};
use super::{Leads, Seen, Subject, leads};
use crate::aws::resources::Action;

/// What SQS takes where an attribute is left out. Source: SQS API, `CreateQueue`.
const DEFAULT_VISIBILITY_SECONDS: u64 = 30;
const DEFAULT_RETENTION_SECONDS: u64 = 345_600;
/// The provider's, which it sends. Source: terraform-provider-aws, `aws_sqs_queue`.
const DEFAULT_MESSAGE_BYTES: u64 = 262_144;

pub(super) fn visibility_timeout(subject: &Subject<'_>, seen: &mut Seen) {
    let (Some(queue), Some(function)) = (subject.queue(seen), subject.function(seen)) else {
        return;
    };
    let visibility = seen.number(queue, "visibility_timeout_seconds", DEFAULT_VISIBILITY_SECONDS);
    let timeout = seen.number(function, "timeout", 3);
    let (Some(visibility), Some(timeout)) = (visibility, timeout) else { return };
    let least = timeout * u64::from(FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT);
    if visibility < least {
        seen.broken(
            queue,
            format_args!(
                "visibility_timeout_seconds is {visibility}, the function's timeout {timeout} s asks \
                 for {least}: a message would be handed out again while it is being delivered"
            ),
        );
    }
}

pub(super) fn receive_count(subject: &Subject<'_>, seen: &mut Seen) {
    let Some(queue) = subject.queue(seen) else {
        return;
    };
    if queue.is_unknown("redrive_policy") {
        return seen.unknown(queue, "redrive_policy");
    }
    let policy = queue.json("redrive_policy").unwrap_or_default();
    let count = policy["maxReceiveCount"].as_u64().unwrap_or_default();
    let (config, routes) = (subject.config, subject.config.routes());
    if let Some(worst) = Receives::worst(routes, config.forwarder().batch_size)
        && count < u64::from(worst.count)
    {
        seen.broken(
            queue,
            format_args!(
                "maxReceiveCount is {count}, the retries of route {} can come to {}: SQS would move \
                 messages that only wait for their next attempt to the dead-letter queue",
                worst.by.name(),
                worst.count
            ),
        );
    }
}

pub(super) fn order(subject: &Subject<'_>, seen: &mut Seen) {
    let settings = subject.config.queue();
    let queue = subject.queue(seen);
    for each in subject.queues(seen) {
        seen.must_be(each, "fifo_queue", &json!(true), "its messages would lose their order");
        if seen.number(each, "delay_seconds", 0).is_some_and(|delay| delay > 0) {
            let delay = &each.after["delay_seconds"];
            let problem =
                format_args!("delay_seconds is {delay}: every message would come so much later");
            seen.broken(each, problem);
        }
        let by_content = queue.is_some_and(|it| it.address == each.address)
            && settings.content_based_deduplication;
        let consequence = if by_content {
            "SQS would refuse the messages of a route that deduplicates by content"
        } else {
            "of two messages with the same body and no id SQS would drop the second"
        };
        let is_set = each.after["content_based_deduplication"] == true;
        if each.is_unknown("content_based_deduplication") {
            seen.unknown(each, "content_based_deduplication");
        } else if is_set != by_content {
            let problem = format_args!("content_based_deduplication is {is_set}: {consequence}");
            seen.broken(each, problem);
        }
    }
    if let Some(queue) = queue {
        let (scope, limit) = if settings.high_throughput {
            ("messageGroup", "perMessageGroupId")
        } else {
            ("queue", "perQueue")
        };
        let repeat = "the same id would make events of two keys one, or one two";
        seen.must_be(queue, "deduplication_scope", &json!(scope), repeat);
        let throttled = "SQS would take more or fewer messages in a second than the API is set to";
        seen.must_be(queue, "fifo_throughput_limit", &json!(limit), throttled);
    }
}

pub(super) fn retention(subject: &Subject<'_>, seen: &mut Seen) {
    let (Some(queue), Some(dead)) = (subject.queue(seen), subject.dead_letter_queue(seen)) else {
        return;
    };
    let settings = subject.config.queue();
    let patience = subject.config.routes().values().map(Route::give_up_after).max();
    let kept = |seen: &mut Seen, queue| {
        seen.number(queue, "message_retention_seconds", DEFAULT_RETENTION_SECONDS)
    };
    let (Some(queue_keeps), Some(dead_keeps)) = (kept(seen, queue), kept(seen, dead)) else {
        return;
    };
    let told = settings.retention.as_secs();
    if queue_keeps < told {
        let given_up = patience.unwrap_or(Duration::ZERO).as_secs();
        seen.broken(
            queue,
            format_args!(
                "message_retention_seconds is {queue_keeps}, the forwarder counts on {told} and gives \
                 up after {given_up}: SQS would delete messages that nobody has given up"
            ),
        );
    }
    let least = queue_keeps.max(settings.dead_letter_retention.as_secs());
    if dead_keeps < least {
        seen.broken(
            dead,
            format_args!(
                "message_retention_seconds is {dead_keeps}, not {least}: dead letters would be deleted \
                 before anybody sends them again"
            ),
        );
    }
    let fits =
        |seen: &mut Seen, queue| seen.number(queue, "max_message_size", DEFAULT_MESSAGE_BYTES);
    let (Some(queue_takes), Some(dead_takes)) = (fits(seen, queue), fits(seen, dead)) else {
        return;
    };
    // What is left out is the most that one machine can take; on AWS the provider sets a limit.
    let told = u64::from(settings.max_message_bytes.min(AWS_MESSAGE_BYTES_MAX));
    if queue_takes < told {
        seen.broken(
            queue,
            format_args!(
                "max_message_size is {queue_takes}, not {told}: SQS would refuse webhooks that the \
                 configuration takes"
            ),
        );
    }
    if dead_takes < queue_takes + u64::from(DEAD_LETTER_ROOM_BYTES) {
        seen.broken(
            dead,
            format_args!(
                "max_message_size is {dead_takes}, that of the queue {queue_takes}: the largest messages \
                 could not be dead-lettered with their reason"
            ),
        );
    }
}

pub(super) fn dead_letter_queue(subject: &Subject<'_>, seen: &mut Seen) {
    let (Some(queue), Some(dead)) = (subject.queue(seen), subject.dead_letter_queue(seen)) else {
        return;
    };
    let crashed = "a message that crashes the forwarder would be received for ever, or be lost";
    if queue.is_unknown("redrive_policy") {
        let origin = subject.resources.origin(queue, "redrive_policy");
        if !origin.untold && !origin.resources.contains(&dead.written_address()) {
            let problem =
                format_args!("its redrive_policy does not name {}: {crashed}", dead.address);
            return seen.broken(queue, problem);
        }
        seen.unknown(queue, "redrive_policy");
    } else {
        let policy = queue.json("redrive_policy").unwrap_or_default();
        match leads(&policy["deadLetterTargetArn"], dead, "arn") {
            Leads::There => {}
            Leads::Later => seen.unknown(queue, "redrive_policy"),
            Leads::Elsewhere(place) => {
                let problem = format_args!("its redrive policy names {place}: {crashed}");
                seen.broken(queue, problem);
            }
        }
    }
    if !dead.after["redrive_policy"].as_str().unwrap_or_default().is_empty() {
        seen.broken(dead, "it has a redrive_policy: dead letters that are looked at would move on");
    }
    let mut allowed = subject.resources.of_kind("aws_sqs_queue_redrive_allow_policy").peekable();
    if allowed.peek().is_none() {
        seen.broken(
            dead,
            "it has no aws_sqs_queue_redrive_allow_policy: any queue may put its messages among ours",
        );
    }
    for policy in allowed {
        let elsewhere = "any queue may put its messages among our dead letters";
        subject.must_lead(seen, policy, "queue_url", (dead, "url"), elsewhere);
        if policy.is_unknown("redrive_allow_policy") {
            let origin = subject.resources.origin(policy, "redrive_allow_policy");
            if origin.untold || origin.resources.contains(&queue.written_address()) {
                seen.unknown(policy, "redrive_allow_policy");
            } else {
                let problem = "it does not allow our queue: SQS would refuse our redrive policy";
                seen.broken(policy, problem);
            }
            continue;
        }
        let allow = policy.json("redrive_allow_policy").unwrap_or_default();
        let sources: Vec<&Value> = list(&allow["sourceQueueArns"]).collect();
        let ours = match sources[..] {
            [source] => leads(source, queue, "arn"),
            _ => Leads::Elsewhere(format!("{} queues", sources.len())),
        };
        match ours {
            _ if allow["redrivePermission"] != "byQueue" => {
                let problem = format_args!("it allows {allow}: {elsewhere}, or SQS none of ours");
                seen.broken(policy, problem);
            }
            Leads::There => {}
            Leads::Later => seen.unknown(policy, "redrive_allow_policy"),
            Leads::Elsewhere(place) => {
                let problem =
                    format_args!("it allows {place}: SQS would refuse our redrive policy");
                seen.broken(policy, problem);
            }
        }
    }
}

pub(super) fn stay(subject: &Subject<'_>, seen: &mut Seen) {
    for queue in subject.resources.all.iter().filter(|it| it.kind == "aws_sqs_queue") {
        let goes = match queue.action {
            Action::Delete => "deleted",
            Action::DeleteThenCreate | Action::CreateThenDelete => "replaced",
            Action::Nothing | Action::Create | Action::Update | Action::Forget => continue,
        };
        seen.broken(
            queue,
            format_args!(
                "it would be {goes}, and with it every event that waits in it; a `moved` block keeps \
                 a queue whose address has changed"
            ),
        );
    }
}

pub(super) fn tls_only(subject: &Subject<'_>, seen: &mut Seen) {
    let policies: Vec<_> = subject.resources.of_kind("aws_sqs_queue_policy").collect();
    // Before a queue is there, its URL is not known, and neither is whose policy this is.
    let mut open = policies.iter().filter(|policy| policy.is_unknown("queue_url"));
    for queue in subject.queues(seen) {
        let own = policies.iter().find(|policy| {
            let url = &policy.after["queue_url"];
            !url.is_null() && matches!(leads(url, queue, "url"), Leads::There | Leads::Later)
        });
        match own.or_else(|| open.next()) {
            None => seen.broken(queue, "it has no policy of its own, so it takes plain text"),
            Some(policy) if policy.is_unknown("policy") => seen.unknown(policy, "policy"),
            Some(resource) => {
                let policy = resource.json("policy").unwrap_or_default();
                if !refuses_plain_text(&policy, &queue.after["arn"]) {
                    seen.broken(resource, "it does not refuse plain text to everybody");
                }
                if policy::statements(&policy, "Deny").any(|it| !is_about_plain_text(it)) {
                    seen.broken(
                        resource,
                        "it denies more than plain text: messages could be neither sent nor received",
                    );
                }
            }
        }
    }
}

/// Whether a policy denies everybody everything that does not come by TLS.
fn refuses_plain_text(policy: &Value, arn: &Value) -> bool {
    policy::statements(policy, "Deny").any(|statement| {
        let everybody = statement["Principal"] == "*"
            || list(&statement["Principal"]["AWS"]).any(|it| it == "*");
        let everything = ["*", "sqs:*", "SQS:*"];
        let all_of = |name: &str, all: &[&str]| {
            list(&statement[name]).any(|it| it.as_str().is_some_and(|it| all.contains(&it)))
        };
        let on_queue =
            all_of("Resource", &["*"]) || list(&statement["Resource"]).any(|it| it == arn);
        is_about_plain_text(statement) && everybody && all_of("Action", &everything) && on_queue
    })
}

/// Whether the one condition of a statement is that a request comes as plain text.
fn is_about_plain_text(statement: &Value) -> bool {
    let condition = &statement["Condition"];
    let transport = &condition["Bool"]["aws:SecureTransport"];
    let only = |value: &Value| value.as_object().is_some_and(|it| it.len() == 1);
    let plain = list(transport).all(|it| it == "false" || it == false) && !transport.is_null();
    plain && only(condition) && only(&condition["Bool"])
}

pub(super) fn encryption(subject: &Subject<'_>, seen: &mut Seen) {
    for queue in subject.resources.of_kind("aws_sqs_queue") {
        let own_key = !queue.after["kms_master_key_id"].as_str().unwrap_or_default().is_empty();
        if queue.after["sqs_managed_sse_enabled"] != true
            && !own_key
            && !queue.is_unknown("kms_master_key_id")
        {
            seen.broken(queue, "it is not encrypted: bodies of webhooks would lie open at rest");
        }
    }
    for topic in subject.resources.of_kind("aws_sns_topic") {
        let key = topic.after["kms_master_key_id"].as_str().unwrap_or_default();
        if key.is_empty() && !topic.is_unknown("kms_master_key_id") {
            seen.broken(topic, "it is not encrypted");
        }
    }
}
