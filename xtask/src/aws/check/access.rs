//! What must hold of roles: exclusive policies, and no wildcard but where AWS knows nothing narrower.

use serde_json::Value;

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

pub(super) fn least_privilege(subject: &Subject<'_>, seen: &mut Seen) {
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
        statements(seen, role, "assume_role_policy");
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
    for statement in list(&policy["Statement"]).filter(|it| it["Effect"] == "Allow") {
        for inverted in ["NotAction", "NotResource", "NotPrincipal"] {
            if !statement[inverted].is_null() {
                seen.broken(resource, format_args!("{inverted} allows what nobody has listed"));
            }
        }
        let actions: Vec<&str> = list(&statement["Action"]).filter_map(Value::as_str).collect();
        for action in actions.iter().filter(|action| action.contains('*')) {
            seen.broken(resource, format_args!("it allows {action}"));
        }
        if statement["Principal"] == "*" || list(&statement["Principal"]["AWS"]).any(|it| it == "*")
        {
            seen.broken(resource, "everybody may take this role");
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

/// The elements of a list, or the one element that stands for it.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Value::Array(many) => (Some(many), None),
        Value::Null => (None, None),
        one => (None, Some(one)),
    };
    many.into_iter().flatten().chain(one)
}
