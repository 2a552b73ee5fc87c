//! What must not be in a plan, as it would be in the state as well. What is found is never printed.

use serde_json::Value;

use super::{Seen, Subject};
use crate::aws::resources::has_true;

/// How secrets begin that everybody knows by their beginning, and how many such characters follow at
/// least.
const BEGINNINGS: [(&str, usize); 9] = [
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 30),
    ("github_pat_", 30),
    ("whsec_", 20),
    ("sk_live_", 16),
    ("xoxb-", 20),
    ("glpat-", 20),
    ("-----BEGIN ", 0),
];

/// Parts of the names of variables that hold secrets.
const NAMES: [&str; 7] =
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY"];

/// Beginnings of values that only say where a secret is.
const REFERENCES: [&str; 4] = ["arn:", "ssm:", "secretsmanager:", "/"];

pub(super) fn no_secrets(subject: &Subject<'_>, seen: &mut Seen) {
    for resource in subject.resources.all.iter().filter(|resource| !resource.after.is_null()) {
        let mut found = Vec::new();
        search(&resource.after, &mut String::new(), &mut found);
        for path in found {
            seen.broken(resource, format_args!("{path} looks like a secret"));
        }
        let [_, marks] = &resource.sensitive;
        let fields = marks.as_object().into_iter().flatten();
        for (name, _) in fields.filter(|(_, marks)| has_true(marks)) {
            if !resource.after[name].is_null() {
                seen.broken(
                    resource,
                    format_args!("{name} is sensitive and would be in the state"),
                );
            }
        }
    }
}

/// Looks at every text below a value.
fn search(value: &Value, path: &mut String, found: &mut Vec<String>) {
    let before = path.len();
    let mut below = |step: &str, value: &Value| {
        path.push_str(step);
        search(value, path, found);
        path.truncate(before);
    };
    match value {
        Value::Array(values) => {
            for (position, value) in values.iter().enumerate() {
                below(&format!("[{position}]"), value);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                below(&format!(".{name}"), value);
            }
        }
        Value::String(text) => {
            let name = path.rsplit('.').next().unwrap_or_default();
            let in_variables = path.contains(".variables.");
            if has_secret(text) || (in_variables && is_secret_variable(name, text)) {
                found.push(path.trim_start_matches('.').to_owned());
            }
        }
        _ => {}
    }
}

fn is_secret_variable(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    !value.is_empty()
        && NAMES.iter().any(|part| name.contains(part))
        && !REFERENCES.iter().any(|beginning| value.starts_with(beginning))
}

fn has_secret(text: &str) -> bool {
    let follows = |rest: &str| {
        rest.bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-+/=".contains(byte))
            .count()
    };
    let known = BEGINNINGS.iter().any(|(beginning, more)| {
        text.match_indices(beginning).any(|(at, _)| {
            let inside = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let rest = &text[at + beginning.len()..];
            !inside
                && follows(rest) >= *more
                && (*beginning != "-----BEGIN " || rest.contains("PRIVATE KEY"))
        })
    });
    known || has_credentials_in_url(text)
}

/// `https://user:password@host`
fn has_credentials_in_url(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let authority = text[at + 3..].split(['/', '?', '#', '"', ' ']).next().unwrap_or_default();
        authority.split_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_looks() {
        for secret in [
            "AKIAIOSFODNN7EXAMPLE",
            "x=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
            "https://user:hunter2@example.com/hook",
        ] {
            assert!(has_secret(secret), "{secret}");
        }
        for harmless in [
            "AKIA",
            "arn:aws:sqs:us-east-1:123456789012:dev-webhook.fifo",
            "https://example.com:8443/hook?to=a@b.example",
            "-----BEGIN CERTIFICATE-----",
            "MAKIAIOSFODNN7EXAMPLE0",
            "",
        ] {
            assert!(!has_secret(harmless), "{harmless}");
        }
    }

    #[test]
    fn a_variable_may_say_where_its_secret_is() {
        assert!(is_secret_variable("GITHUB_WEBHOOK_SECRET", "hunter2"));
        assert!(!is_secret_variable("GITHUB_WEBHOOK_SECRET", "ssm:/dev/webhook"));
        assert!(!is_secret_variable("QUEUE_URL", "https://sqs.example/1/q"));
    }
}
