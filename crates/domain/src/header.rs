//! Names of headers: those that can travel with a message, and those that are ours or the connection's.

/// Headers that we set ourselves.
pub const OURS: [&str; 6] = [
    "webhook-accepted-at",
    "webhook-attempt",
    "webhook-group",
    "webhook-id",
    "webhook-repeat",
    "webhook-sequence",
];

/// Headers that are about the connection, or that API Gateway reserves.
/// Source of the last: API Gateway guide, "Transforming API requests", reserved headers.
#[must_use]
pub fn is_reserved(header: &str) -> bool {
    const NAMES: [&str; 16] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    NAMES.contains(&header)
        || ["x-amz-", "x-amzn-", "x-forwarded-", "access-control-", "apigw-"]
            .iter()
            .any(|prefix| header.starts_with(prefix))
}

/// What is shown in the place of a value that says who somebody is.
pub const MASKED: &str = "(masked)";

/// A header's value as it is shown to people: that of a signature, of credentials or of a secret is not, as
/// whoever reads it over a shoulder or in a log could send it again.
#[must_use]
pub fn shown<'v>(name: &str, value: &'v str) -> &'v str {
    const SECRET: [&str; 8] = [
        "authorization",
        "cookie",
        "signature",
        "secret",
        "token",
        "password",
        "api-key",
        "apikey",
    ];
    let name = name.to_ascii_lowercase();
    if SECRET.iter().any(|secret| name.contains(secret)) { MASKED } else { value }
}

/// What is wrong with a header, in lower case, that is to travel with messages.
#[must_use]
pub fn header_fault(name: &str) -> Option<String> {
    let good = (1..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !good {
        return Some(format!("{name:?} is not a header name of letters, digits, \"-\" and \"_\""));
    }
    is_reserved(name).then(|| {
        format!("{name:?} cannot reach the forwarder: it is reserved, or about the connection")
    })
}

/// What is wrong with a header, in lower case, that the configuration adds to every request to a
/// destination. `authorization` is one of those that services ask for.
#[must_use]
pub fn sent_header_fault(name: &str) -> Option<String> {
    /// Those of a signature of ours, and those that say what the body is.
    const SET: [&str; 5] =
        ["accept", "content-type", "webhook-signature", "webhook-timestamp", "x-amzn-trace-id"];
    if name == "authorization" || name == "user-agent" {
        return None;
    }
    if OURS.contains(&name) || SET.contains(&name) {
        return Some(format!("{name:?} is set by the forwarder"));
    }
    header_fault(name).map(|_| {
        format!("{name:?} is not the name of a header that can be added: it is about the connection, reserved, or not letters, digits, \"-\" and \"_\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_who_somebody_is_is_not_shown() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "x-hub-signature-256",
            "X-Gitlab-Token",
            "x-api-key",
            "apikey",
            "Set-Cookie",
            "x-secret",
            "x-password",
        ] {
            assert_eq!(shown(name, "v"), MASKED, "{name}");
        }
        for name in ["content-type", "x-workflow-id", "user-agent", "webhook-id"] {
            assert_eq!(shown(name, "v"), "v", "{name}");
        }
    }
}
