//! What an answer, or none, leads to.
//!
//! | answer | verdict |
//! |---|---|
//! | 2xx | delivered |
//! | 408, 425, 429, 5xx; no answer, or one that is not HTTP | retry: it may work later |
//! | every other status, redirects among them | rejected: repeating the same request cannot help |
//!
//! A message is delivered when all its destinations accepted it. As long as one of them may still
//! accept it, it stays.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use crate::dead_letter::Class;
use crate::route::{OnReject, Route};
use crate::time::Timestamp;

/// How an attempt at one destination ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// With an answer.
    Answered {
        /// HTTP status.
        status: u16,
        /// The answer's `Retry-After`.
        retry_after: Option<&'a str>,
    },
    /// Without one.
    Failed(TransportError),
    /// It was not made, as the circuit breaker is open for this time still.
    Refused(Duration),
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportError {
    /// No connection: the name does not resolve, the port is closed, the network is unreachable.
    Connect,
    /// The TLS handshake failed: certificate, name or protocol.
    Tls,
    /// No complete answer within the destination's timeout.
    Timeout,
    /// The connection ended before the answer did.
    Closed,
    /// What came was not HTTP.
    InvalidAnswer,
    /// All addresses of the name are such that are never called.
    ForbiddenAddress,
    /// Anything else.
    Other,
}

impl TransportError {
    /// The class's name in logs and dead letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::InvalidAnswer => "invalid_answer",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an attempt means for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The destination has it.
    Delivered,
    /// It may work later, but not before this time has passed.
    Retry {
        /// What the destination (`Retry-After`) or the circuit breaker asks for.
        at_least: Duration,
    },
    /// It cannot work.
    Rejected,
}

/// What happens to the message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is deleted.
    Delivered,
    /// It stays, and is attempted again after this time.
    Retry(Duration),
    /// It was rejected and stays at the head of its group for an operator.
    Block(Duration),
    /// It goes to the dead-letter queue.
    DeadLetter(Class),
}

impl Verdict {
    /// The verdict on one attempt that ended at `now`.
    #[must_use]
    pub fn of(attempt: &Attempt<'_>, now: Timestamp) -> Self {
        match attempt {
            Attempt::Answered { status: 200..=299, .. } => Self::Delivered,
            Attempt::Answered { status: 408 | 425 | 429 | 500..=599, retry_after } => {
                let at_least = retry_after.and_then(|text| parse_retry_after(text, now));
                Self::Retry { at_least: at_least.unwrap_or_default() }
            }
            Attempt::Answered { .. } => Self::Rejected,
            Attempt::Failed(_) => Self::Retry { at_least: Duration::ZERO },
            Attempt::Refused(pause) => Self::Retry { at_least: *pause },
        }
    }

    /// The verdict on both: what may work later keeps the message, whatever else happened.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Retry { at_least: a }, Self::Retry { at_least: b }) => {
                Self::Retry { at_least: a.max(b) }
            }
            (retry @ Self::Retry { .. }, _) | (_, retry @ Self::Retry { .. }) => retry,
            (Self::Rejected, _) | (_, Self::Rejected) => Self::Rejected,
            (Self::Delivered, Self::Delivered) => Self::Delivered,
        }
    }

    /// What happens to an event of this age after its attempt number `attempt`.
    ///
    /// At `give_up_after` it leaves the queue even from a blocked group: later, SQS's retention
    /// would delete it, and no loss comes before order.
    #[must_use]
    pub fn next(self, route: &Route, event_id: &str, attempt: u32, age: Duration) -> Next {
        let gave_up = age >= route.give_up_after;
        let delay = |at_least: Duration| {
            route.schedule.delay(event_id, attempt).max(at_least.min(route.schedule.max_delay()))
        };
        match (self, route.on_reject) {
            (Self::Delivered, _) => Next::Delivered,
            (Self::Rejected, OnReject::DeadLetter) => Next::DeadLetter(Class::Rejected),
            (Self::Rejected, OnReject::Block) if gave_up => Next::DeadLetter(Class::Rejected),
            (Self::Rejected, OnReject::Block) => Next::Block(delay(Duration::ZERO)),
            (Self::Retry { .. }, _) if gave_up => Next::DeadLetter(Class::GaveUp),
            (Self::Retry { at_least }, _) => Next::Retry(delay(at_least)),
        }
    }
}

/// `Retry-After` in both its forms: seconds, or a date. Source: RFC 9110, section 10.2.3.
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::default().plus(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn route(on_reject: &str) -> Route {
        let json = format!(
            r#"{{"environment":"test","routes":{{"sss":{{"path":"/sqs-hook","ordering_key":"g",
            "on_reject":"{on_reject}","destinations":[{{"name":"sss","url":"http://localhost/"}}]}}}}}}"#
        );
        Config::parse(&json).unwrap().routes["sss"].clone()
    }

    fn answered(status: u16) -> Attempt<'static> {
        Attempt::Answered { status, retry_after: None }
    }

    fn check(attempt: &Attempt<'_>, expected: Verdict) {
        assert_eq!(
            Verdict::of(attempt, Timestamp::from_ms(784_111_770_000)),
            expected,
            "{attempt:?}"
        );
    }

    const RETRY: Verdict = Verdict::Retry { at_least: Duration::ZERO };

    #[test]
    fn every_status_has_one_verdict() {
        for status in 0..=999 {
            let expected = match status {
                200..=299 => Verdict::Delivered,
                408 | 425 | 429 | 500..=599 => RETRY,
                _ => Verdict::Rejected,
            };
            check(&answered(status), expected);
        }
    }

    #[test]
    fn no_answer_is_retried() {
        use TransportError::{
            Closed, Connect, ForbiddenAddress, InvalidAnswer, Other, Timeout, Tls,
        };
        for error in [Connect, Tls, Timeout, Closed, InvalidAnswer, ForbiddenAddress, Other] {
            check(&Attempt::Failed(error), RETRY);
        }
        let pause = Duration::from_secs(3);
        check(&Attempt::Refused(pause), Verdict::Retry { at_least: pause });
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (text, seconds) in [
            ("120", 120),
            (" 7 ", 7),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
            ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
            ("soon", 0),
            ("-1", 0),
        ] {
            let attempt = Attempt::Answered { status: 503, retry_after: Some(text) };
            check(&attempt, Verdict::Retry { at_least: Duration::from_secs(seconds) });
        }
        check(&Attempt::Answered { status: 422, retry_after: Some("9") }, Verdict::Rejected);
    }

    #[test]
    fn what_may_work_later_keeps_the_message() {
        let slow = Verdict::Retry { at_least: Duration::from_secs(9) };
        for (a, b, both) in [
            (Verdict::Delivered, Verdict::Delivered, Verdict::Delivered),
            (Verdict::Delivered, Verdict::Rejected, Verdict::Rejected),
            (Verdict::Rejected, RETRY, RETRY),
            (Verdict::Delivered, slow, slow),
            (RETRY, slow, slow),
        ] {
            assert_eq!(a.and(b), both);
            assert_eq!(b.and(a), both);
        }
    }

    #[test]
    fn retry_after_counts_up_to_the_cap() {
        let route = route("dead_letter");
        let next = |at_least| Verdict::Retry { at_least }.next(&route, "e", 1, Duration::ZERO);
        assert_eq!(next(Duration::ZERO), Next::Retry(Duration::from_secs(2)));
        assert_eq!(next(Duration::from_mins(1)), Next::Retry(Duration::from_mins(1)));
        assert_eq!(next(Duration::from_hours(9)), Next::Retry(Duration::from_mins(5)));
    }

    #[test]
    fn a_rejected_event_leaves_or_blocks() {
        let next = |on_reject| Verdict::Rejected.next(&route(on_reject), "e", 1, Duration::ZERO);
        assert_eq!(next("dead_letter"), Next::DeadLetter(Class::Rejected));
        assert_eq!(next("block"), Next::Block(Duration::from_secs(2)));
    }

    #[test]
    fn an_old_event_is_given_up_but_a_delivered_one_is_delivered() {
        let old = Duration::from_hours(72);
        for on_reject in ["dead_letter", "block"] {
            let route = route(on_reject);
            assert_eq!(RETRY.next(&route, "e", 9, old), Next::DeadLetter(Class::GaveUp));
            assert_eq!(
                Verdict::Rejected.next(&route, "e", 9, old),
                Next::DeadLetter(Class::Rejected)
            );
            assert_eq!(Verdict::Delivered.next(&route, "e", 9, old), Next::Delivered);
            let younger = old.checked_sub(Duration::from_millis(1)).unwrap();
            assert!(matches!(RETRY.next(&route, "e", 9, younger), Next::Retry(_)));
        }
    }
}
