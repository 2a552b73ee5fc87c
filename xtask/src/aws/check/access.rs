//! What must hold of rights: enough for a message, exclusive, without wildcards but where AWS knows
//! nothing narrower, and nobody else's.

use std::collections::BTreeSet;

use serde_json::Value;

use super::policy::{self, allows, list};
use super::{Seen, Subject};
use crate::aws::resources::Resource;

/// Actions that AWS has no resources for.
/// Source: service authorization reference, X-Ray; Lambda guide, "Configuring VPC access".
const WITHOUT_RESOURCES: [&str; 10] = [
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:UnassignPrivateIpAddresses",
];

/// Roles by the end of their names, and the one service that may take each.
const ROLES: [(&str, &str); 3] = [
    ("ingest", "apigateway.amazonaws.com"),
    ("forwarder", "lambda.amazonaws.com"),
    ("resume", "scheduler.amazonaws.com"),
];

pub(super) fn no_strangers(subject: &Subject<'_>, seen: &mut Seen) {
    for (kind, attribute) in [
        ("aws_sqs_queue", "policy"),
        ("aws_sqs_queue_policy", "policy"),
        ("aws_sns_topic_policy", "policy"),
        ("aws_kms_key", "policy"),
        ("aws_kms_key_policy", "policy"),
        ("aws_iam_role", "assume_role_policy"),
    ] {
        for resource in subject.resources.of_kind(kind) {
            if resource.is_unknown(attribute) {
                // What is not written is AWS's own, for the owner; or it is another resource's.
                let origin = subject.resources.origin(resource, attribute);
                if kind != "aws_sqs_queue" || origin.untold || !origin.resources.is_empty() {
                    seen.unknown(resource, attribute);
                }
                continue;
            }
            let policy = resource.json(attribute).unwrap_or_default();
            for stranger in policy::strangers(&policy, subject.account()) {
                seen.broken(resource, format_args!("{stranger}{}", consequence(kind)));
            }
        }
    }
    for permission in subject.resources.of_kind("aws_lambda_permission") {
        let principal = permission.after["principal"].as_str().unwrap_or_default();
        let bound = ["source_arn", "source_account"]
            .iter()
            .any(|name| !permission.after[*name].is_null() || permission.is_unknown(name));
        let own = subject.account().is_some_and(|account| principal == account);
        if !(own || principal.ends_with(".amazonaws.com") && bound) {
            let problem = format_args!(
                "{principal:?} may call the function: with events that were never accepted"
            );
            seen.broken(permission, problem);
        }
    }
}

fn consequence(kind: &str) -> &'static str {
    match kind {
        "aws_sqs_queue" | "aws_sqs_queue_policy" => ": messages could be read, deleted or forged",
        "aws_sns_topic_policy" => ": alarms could be forged, or be read",
        "aws_kms_key" | "aws_kms_key_policy" => ": what the key protects would lie open",
        _ => ": whoever takes the role may send, read or delete messages",
    }
}

/// The policies of a role; `None`, noted, while one is not known.
fn policies_of(subject: &Subject<'_>, role: &str, seen: &mut Seen) -> Option<Vec<Value>> {
    let mut policies = Vec::new();
    for policy in subject.resources.of_kind("aws_iam_role_policy") {
        if policy.after["role"] == role {
            if policy.is_unknown("policy") {
                seen.unknown(policy, "policy");
                return None;
            }
            policies.push(policy.json("policy").unwrap_or_default());
        }
    }
    Some(policies)
}

pub(super) fn rights(subject: &Subject<'_>, seen: &mut Seen) {
    let (queue, dead) = (subject.queue(seen), subject.dead_letter_queue(seen));
    let environment = subject.config.environment();
    for (end, service) in ROLES {
        let name = format!("{environment}-webhook-{end}");
        let Some(role) = subject.named(seen, "aws_iam_role", "name", &name) else { continue };
        takes(role, service, subject.account(), seen);
        let Some(policies) = policies_of(subject, &name, seen) else { continue };
        let mut must = |actions: &[&str], on: Option<&Resource>, consequence: &str| {
            let Some(on) = on else { return };
            for action in actions {
                if !allows(&policies, action, &on.after["arn"]) {
                    let problem = format_args!(
                        "its policies do not allow {action} on {}: {consequence}",
                        on.address
                    );
                    seen.broken(role, problem);
                }
            }
        };
        match end {
            "ingest" => {
                must(&["sqs:SendMessage"], queue, "every webhook is answered 4xx or 5xx, and lost");
            }
            "forwarder" => {
                let receive = ["sqs:ReceiveMessage", "sqs:GetQueueAttributes"];
                must(&receive, queue, "nothing would be delivered");
                must(&["sqs:DeleteMessage"], queue, "what was delivered would be delivered again");
                must(
                    &["sqs:ChangeMessageVisibility"],
                    queue,
                    "what fails would not wait as long as said",
                );
                must(&["sqs:SendMessage"], dead, "rejected events would block their keys");
            }
            _ => {
                let mut mappings = subject.resources.of_kind("aws_lambda_event_source_mapping");
                let resume = ["lambda:UpdateEventSourceMapping"];
                must(&resume, mappings.next(), "a pause with an end would not end");
            }
        }
    }
}

/// Checks that exactly `service` may take a role.
fn takes(role: &Resource, service: &str, account: Option<&str>, seen: &mut Seen) {
    if role.is_unknown("assume_role_policy") {
        return seen.unknown(role, "assume_role_policy");
    }
    let policy = role.json("assume_role_policy").unwrap_or_default();
    let allowed: Vec<&Value> = policy::statements(&policy, "Allow").collect();
    let services = allowed.iter().flat_map(|it| list(&it["Principal"]["Service"]));
    let services: BTreeSet<&str> = services.filter_map(Value::as_str).collect();
    if services != BTreeSet::from([service]) {
        let problem = format_args!(
            "{} may take it, not {service} alone: what it is for would fail, or others have its rights",
            Vec::from_iter(services).join(", ")
        );
        seen.broken(role, problem);
    }
    // A schedule of any account could name the role.
    if service.starts_with("scheduler.") && allowed.iter().any(|it| !policy::is_bound(it, account))
    {
        seen.broken(role, "its trust is not bound to the account: another's schedule could resume");
    }
}

pub(super) fn least_privilege(subject: &Subject<'_>, seen: &mut Seen) {
    // A state has an empty text where there is none.
    let boundary = |role: &Resource| role.after["permissions_boundary"].as_str().map(str::to_owned);
    let boundaries: BTreeSet<String> = subject
        .resources
        .of_kind("aws_iam_role")
        .filter_map(boundary)
        .filter(|boundary| !boundary.is_empty())
        .collect();
    for role in subject.resources.of_kind("aws_iam_role") {
        let name = role.after["name"].as_str().unwrap_or_default();
        for exclusive in
            ["aws_iam_role_policies_exclusive", "aws_iam_role_policy_attachments_exclusive"]
        {
            let found =
                subject.resources.of_kind(exclusive).find(|it| it.after["role_name"] == name);
            match found {
                None => seen.broken(role, format_args!("it has no {exclusive}")),
                Some(found) => {
                    let arns = found.after["policy_arns"].as_array().map(Vec::len);
                    if arns.unwrap_or_default() > 0 {
                        seen.broken(found, "a policy is attached that is not written here");
                    }
                }
            }
        }
        let managed = role.after["managed_policy_arns"].as_array().map(Vec::len);
        if managed.unwrap_or_default() > 0 {
            seen.broken(role, "a policy is attached that is not written here");
        }
        if role.after["permissions_boundary"].as_str().is_none_or(str::is_empty)
            && !role.is_unknown("permissions_boundary")
            && let Some(boundary) = boundaries.first()
        {
            let problem = format_args!(
                "it has no permissions_boundary, others have {boundary}: nothing bounds what it is given"
            );
            seen.broken(role, problem);
        }
        statements(seen, role, "assume_role_policy");
    }
    if boundaries.len() > 1 {
        let all = Vec::from_iter(boundaries).join(" and ");
        seen.broken.push(format!("the roles have different permissions boundaries: {all}"));
    }
    for attachment in subject.resources.of_kind("aws_iam_role_policy_attachment") {
        seen.broken(attachment, "a policy is attached that is not written here");
    }
    for policy in subject.resources.of_kind("aws_iam_role_policy") {
        statements(seen, policy, "policy");
    }
}

/// Checks the statements of a policy.
fn statements(seen: &mut Seen, resource: &Resource, attribute: &str) {
    if resource.is_unknown(attribute) {
        return seen.unknown(resource, attribute);
    }
    let Some(policy) = resource.json(attribute) else {
        return seen.broken(resource, format_args!("its {attribute} is no JSON"));
    };
    for statement in policy::statements(&policy, "Allow") {
        for inverted in ["NotAction", "NotResource", "NotPrincipal"] {
            if !statement[inverted].is_null() {
                seen.broken(resource, format_args!("{inverted} allows what nobody has listed"));
            }
        }
        let actions: Vec<&str> = list(&statement["Action"]).filter_map(Value::as_str).collect();
        for action in actions.iter().filter(|action| action.contains('*')) {
            seen.broken(resource, format_args!("it allows {action}"));
        }
        let narrow = actions.iter().any(|action| !WITHOUT_RESOURCES.contains(action));
        for of in list(&statement["Resource"]).filter_map(Value::as_str) {
            if narrow && is_wide(of) {
                seen.broken(resource, format_args!("it allows {} on {of}", actions.join(", ")));
            }
        }
    }
}

/// Whether a resource is more than one, the streams of one log group aside: Lambda names them.
fn is_wide(resource: &str) -> bool {
    let streams = resource.strip_suffix(":*").filter(|group| group.contains(":log-group:"));
    streams.unwrap_or(resource).contains('*')
}
