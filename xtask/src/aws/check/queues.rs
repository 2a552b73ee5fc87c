//! What must hold of the queues.

use domain::config::Receives;
use domain::quota::FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT;
use serde_json::Value;

use super::{Seen, Subject};

pub(super) fn visibility_timeout(subject: &Subject<'_>, seen: &mut Seen) {
    let (Some(queue), Some(function)) = (subject.queue(seen), subject.function(seen)) else {
        return;
    };
    let visibility = queue.after["visibility_timeout_seconds"].as_u64().unwrap_or_default();
    let timeout = function.after["timeout"].as_u64().unwrap_or_default();
    let least = timeout * u64::from(FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT);
    if timeout == 0 || visibility < least {
        seen.broken(
            queue,
            format_args!(
                "visibility_timeout_seconds is {visibility}, the function's timeout {timeout} s asks \
                 for {least}"
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
                "maxReceiveCount is {count}, the retries of route {} can come to {}",
                worst.by.name(),
                worst.count
            ),
        );
    }
}

pub(super) fn dead_letter_queue(subject: &Subject<'_>, seen: &mut Seen) {
    let (Some(queue), Some(dead)) = (subject.queue(seen), subject.dead_letter_queue(seen)) else {
        return;
    };
    for queue in [queue, dead] {
        if queue.after["fifo_queue"] != true {
            seen.broken(queue, "it is no FIFO queue");
        }
    }
    let retention =
        |values: &Value| values["message_retention_seconds"].as_u64().unwrap_or_default();
    if retention(&dead.after) < retention(&queue.after) {
        seen.broken(
            dead,
            format_args!(
                "message_retention_seconds is {}, that of {} is {}",
                retention(&dead.after),
                queue.address,
                retention(&queue.after)
            ),
        );
    }
    if queue.is_unknown("redrive_policy") {
        return seen.unknown(queue, "redrive_policy");
    }
    let policy = queue.json("redrive_policy").unwrap_or_default();
    let target = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
    if target.rsplit(':').next() != dead.after["name"].as_str() {
        seen.broken(queue, format_args!("its redrive policy names {target:?}"));
    }
}

pub(super) fn tls_only(subject: &Subject<'_>, seen: &mut Seen) {
    let policies: Vec<_> = subject.resources.of_kind("aws_sqs_queue_policy").collect();
    // Before a queue is there, its URL is not known, and neither is whose policy this is.
    let mut open = policies.iter().filter(|policy| policy.is_unknown("queue_url"));
    for queue in [subject.queue(seen), subject.dead_letter_queue(seen)].into_iter().flatten() {
        let own = policies.iter().find(|policy| {
            let url = policy.after["queue_url"].as_str().unwrap_or_default();
            url.rsplit('/').next() == queue.after["name"].as_str()
        });
        match own.or_else(|| open.next()) {
            None => seen.broken(queue, "it has no policy of its own"),
            Some(policy) if policy.is_unknown("policy") => seen.unknown(policy, "policy"),
            Some(policy) if refuses_plain_text(&policy.json("policy").unwrap_or_default()) => {}
            Some(policy) => seen.broken(policy, "it does not refuse plain text"),
        }
    }
}

/// Whether a policy denies everybody everything that does not come by TLS.
fn refuses_plain_text(policy: &Value) -> bool {
    let statements = policy["Statement"].as_array();
    statements.into_iter().flatten().any(|statement| {
        let transport = &statement["Condition"]["Bool"]["aws:SecureTransport"];
        let everybody = statement["Principal"] == "*" || statement["Principal"]["AWS"] == "*";
        let action = &statement["Action"];
        let everything = ["*", "sqs:*", "SQS:*"];
        statement["Effect"] == "Deny"
            && everybody
            && (*transport == "false" || *transport == false || transport[0] == "false")
            && everything.iter().any(|all| *action == *all || action[0] == *all)
    })
}

pub(super) fn encryption(subject: &Subject<'_>, seen: &mut Seen) {
    for queue in subject.resources.of_kind("aws_sqs_queue") {
        let own_key = !queue.after["kms_master_key_id"].as_str().unwrap_or_default().is_empty();
        if queue.after["sqs_managed_sse_enabled"] != true
            && !own_key
            && !queue.is_unknown("kms_master_key_id")
        {
            seen.broken(queue, "it is not encrypted");
        }
    }
    for topic in subject.resources.of_kind("aws_sns_topic") {
        let key = topic.after["kms_master_key_id"].as_str().unwrap_or_default();
        if key.is_empty() && !topic.is_unknown("kms_master_key_id") {
            seen.broken(topic, "it is not encrypted");
        }
    }
}
