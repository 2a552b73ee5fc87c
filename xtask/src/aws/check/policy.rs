//! IAM's policy documents, as far as they are looked at.

use serde_json::Value;

/// Keys by which a statement can be bound to one account.
/// Source: IAM guide, "AWS global condition context keys"; KMS guide, `kms:CallerAccount`.
const ACCOUNT_KEYS: [&str; 4] =
    ["aws:PrincipalAccount", "aws:SourceAccount", "aws:SourceOwner", "kms:CallerAccount"];

/// The statements of a policy with this effect.
pub(super) fn statements<'a>(
    policy: &'a Value,
    effect: &'a str,
) -> impl Iterator<Item = &'a Value> {
    list(&policy["Statement"]).filter(move |statement| statement["Effect"] == effect)
}

/// The elements of a list, or the one element that stands for it.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Value::Array(many) => (Some(many), None),
        Value::Null => (None, None),
        one => (None, Some(one)),
    };
    many.into_iter().flatten().chain(one)
}

/// Whether a policy allows an action on a resource, without a condition and with no statement against.
pub(super) fn allows(policies: &[Value], action: &str, resource: &Value) -> bool {
    let about = |statement: &Value| {
        let named = |field: &str, wanted: &str| {
            list(&statement[field]).filter_map(Value::as_str).any(|it| matches(it, wanted))
        };
        let on = resource.as_str().is_none_or(|resource| named("Resource", resource));
        named("Action", action) && on
    };
    let any = |effect: &str, test: &dyn Fn(&Value) -> bool| {
        policies.iter().any(|policy| statements(policy, effect).any(test))
    };
    any("Allow", &|it| about(it) && it["Condition"].is_null()) && !any("Deny", &about)
}

/// Whether a policy of a resource lets a service of AWS do something with it.
pub(super) fn lets(policy: &Value, service: &str, action: &str) -> bool {
    statements(policy, "Allow").any(|statement| {
        let named = |value: &Value, wanted: &str| {
            list(value).filter_map(Value::as_str).any(|it| matches(it, wanted))
        };
        list(&statement["Principal"]["Service"]).any(|it| it == service)
            && named(&statement["Action"], action)
    })
}

/// Whether a pattern of IAM's, with `*` for any text, matches. Actions are known in any case.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Whether a statement is bound to one of our accounts: every value of one of its equalities is `account`.
pub(super) fn is_bound(statement: &Value, account: Option<&str>) -> bool {
    let equals = ["StringEquals", "ArnEquals"].map(|name| &statement["Condition"][name]);
    equals.into_iter().filter_map(Value::as_object).flatten().any(|(key, values)| {
        let mut values = list(values).peekable();
        ACCOUNT_KEYS.iter().any(|known| known.eq_ignore_ascii_case(key))
            && values.peek().is_some()
            && values.all(|value| account.is_none_or(|account| value == account))
    })
}

/// Who may what, of those that a policy lets in and that are neither of `account` nor AWS's services.
pub(super) fn strangers(policy: &Value, account: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements(policy, "Allow").filter(|it| !is_bound(it, account)) {
        let actions: Vec<&str> = list(&statement["Action"]).filter_map(Value::as_str).collect();
        let actions = actions.join(", ");
        let principal = &statement["Principal"];
        if *principal == "*" || !statement["NotPrincipal"].is_null() {
            found.push(format!("everybody may {actions}"));
        }
        for (kind, names) in principal.as_object().into_iter().flatten() {
            for name in list(names).filter_map(Value::as_str) {
                let own = match kind.as_str() {
                    "Service" => true,
                    "AWS" => account.is_some_and(|account| {
                        name == account || name.split(':').nth(4) == Some(account)
                    }),
                    _ => false,
                };
                if name == "*" {
                    found.push(format!("everybody may {actions}"));
                } else if !own {
                    found.push(format!("{name} may {actions}"));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("sqs:*", "sqs:SendMessage"),
            ("*", ""),
            ("SQS:Send*", "sqs:SendMessage"),
            ("a*c*e", "abcde"),
            ("kms:GenerateDataKey", "kms:GenerateDataKey"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("sqs:Send", "sqs:SendMessage"), ("a*c", "abcd"), ("a*x*d", "abcd")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn who_is_not_of_the_account_is_found() {
        let of = |principal: Value, condition: Value| {
            let statement = json!({
                "Effect": "Allow", "Action": "sqs:SendMessage", "Principal": principal,
                "Condition": condition,
            });
            strangers(&json!({ "Statement": statement }), Some("123456789012"))
        };
        let ours = json!({ "AWS": ["123456789012", "arn:aws:iam::123456789012:root"] });
        assert_eq!(of(ours, Value::Null), Vec::<String>::new());
        assert_eq!(
            of(json!({ "Service": "sns.amazonaws.com" }), Value::Null),
            Vec::<String>::new()
        );
        assert_eq!(of(json!("*"), Value::Null), ["everybody may sqs:SendMessage"]);
        let bound = json!({ "StringEquals": { "aws:PrincipalAccount": "123456789012" } });
        assert_eq!(of(json!("*"), bound), Vec::<String>::new());
        let elsewhere = json!({ "StringEquals": { "aws:PrincipalAccount": "999999999999" } });
        assert_eq!(of(json!({ "AWS": "*" }), elsewhere), ["everybody may sqs:SendMessage"]);
        let foreign = json!({ "AWS": "arn:aws:iam::999999999999:root" });
        let found = of(foreign, Value::Null);
        assert_eq!(found, ["arn:aws:iam::999999999999:root may sqs:SendMessage"]);
        let federated = json!({ "Federated": "accounts.google.com" });
        assert_eq!(of(federated, Value::Null), ["accounts.google.com may sqs:SendMessage"]);
    }
}
