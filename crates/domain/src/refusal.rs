//! Requests that were not accepted: by which rule, and what is done about it. What is refused is not in the
//! queue.

use std::fmt;

/// By which rule a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No route has the path, or not for the method.
    NotFound,
    /// A header or field that the route needs is missing, or gives no text.
    Unresolvable,
    /// SQS refuses the message: its size, its characters, a group or id that is none.
    Message,
    /// The body is no UTF-8 text.
    NotText,
    /// The body is larger than API Gateway takes.
    BodyTooLarge,
    /// Request line and headers are larger than API Gateway takes.
    HeadersTooLarge,
    /// The body did not come to its end in time, or at all.
    Incomplete,
    /// The authorizer refused it.
    Unauthorized,
    /// There were more than the API takes.
    Throttled,
    /// Nothing is wrong with the request: the queue, or what stands before it, took nothing.
    Queue,
    /// The status alone is known.
    Unknown,
}

impl Rule {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::NotFound,
        Self::Unresolvable,
        Self::Message,
        Self::NotText,
        Self::BodyTooLarge,
        Self::HeadersTooLarge,
        Self::Incomplete,
        Self::Unauthorized,
        Self::Throttled,
        Self::Queue,
        Self::Unknown,
    ];

    /// The rule's name in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unresolvable => "unresolvable",
            Self::Message => "message",
            Self::NotText => "not_text",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Incomplete => "incomplete",
            Self::Unauthorized => "unauthorized",
            Self::Throttled => "throttled",
            Self::Queue => "queue",
            Self::Unknown => "unknown",
        }
    }

    /// The rule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }

    /// The rule, as far as API Gateway's access log tells it: the status of the answer, and whether the
    /// integration, which is SQS, had answered at all. A 400 without it is API Gateway's own, which found
    /// no value for a parameter.
    ///
    /// Source: API Gateway guide, "Customize HTTP API access logs", and "Troubleshooting HTTP API
    /// errors"; what a mapping without a value is answered by was seen there.
    #[must_use]
    pub fn of_access_log(status: u16, integration_status: Option<u16>) -> Self {
        match (status, integration_status) {
            (404, _) => Self::NotFound,
            (400, None) => Self::Unresolvable,
            (400, Some(_)) => Self::Message,
            (401 | 403, None) => Self::Unauthorized,
            (408, _) => Self::Incomplete,
            (413, _) => Self::BodyTooLarge,
            (429, None) => Self::Throttled,
            (431, _) => Self::HeadersTooLarge,
            (403 | 429, Some(_)) | (500.., _) => Self::Queue,
            _ => Self::Unknown,
        }
    }

    /// What is done about it.
    #[must_use]
    pub fn what_to_do(self) -> &'static str {
        match self {
            Self::NotFound => {
                "compare path and method (POST only) with `routes`: the sender has another URL, or a \
                 stranger looks around"
            }
            Self::Unresolvable => {
                "have the sender send what is missing, or change the route's expression"
            }
            Self::Message => {
                "compare size and characters with `queue.max_message_bytes` and what SQS takes"
            }
            Self::NotText => "the sender compresses, or has another character set than UTF-8",
            Self::BodyTooLarge | Self::HeadersTooLarge => "have the sender send less",
            Self::Incomplete => "the sender, or the network, broke off; he sends it again",
            Self::Unauthorized => "a token has expired, or a stranger knocks",
            Self::Throttled => "raise `aws.throttling`, or it is a flood",
            Self::Queue => {
                "repair the queue or the disk: `status` and the log's ERROR lines say what"
            }
            Self::Unknown => "the log says no more than the status",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        for rule in Rule::ALL {
            assert_eq!(Rule::named(rule.as_str()), Some(rule));
        }
        assert_eq!(Rule::named("no"), None);
    }

    #[test]
    fn a_line_of_the_access_log_tells_as_much_as_it_can() {
        for (status, integration_status, rule) in [
            (404, None, "not_found"),
            (400, None, "unresolvable"),
            (400, Some(400), "message"),
            (401, None, "unauthorized"),
            (403, None, "unauthorized"),
            (403, Some(403), "queue"),
            (408, None, "incomplete"),
            (413, None, "body_too_large"),
            (429, None, "throttled"),
            (429, Some(429), "queue"),
            (431, None, "headers_too_large"),
            (500, None, "queue"),
            (503, Some(503), "queue"),
            (418, None, "unknown"),
        ] {
            let told = Rule::of_access_log(status, integration_status);
            assert_eq!(told.as_str(), rule, "{status} {integration_status:?}");
        }
    }
}
