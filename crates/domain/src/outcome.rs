//! What becomes of a message: from how it went at each destination to what happens with it, in one path.
//!
//! | answer | verdict |
//! |---|---|
//! | 2xx | delivered |
//! | 408, 425, 429, 5xx, and what the route says; no answer | retry: it may work later |
//! | every other status, redirects among them | rejected: repeating the same request cannot help |
//!
//! A message is delivered when all its destinations accepted it. As long as one of them may still
//! accept it, it stays.
//!
//! What was not attempted has not failed: a refusal changes neither the number of attempts nor the
//! schedule nor giving up. Only what SQS would delete before it is received again leaves the queue
//! all the same.

use std::time::{Duration, UNIX_EPOCH};

use crate::breaker::Signal;
use crate::dead_letter::{Cause, Class};
use crate::gate::Refusal;
use crate::message::Message;
use crate::route::{Destination, OnReject, Route};
use crate::schedule::Schedule;
use crate::signature::Unverified;
use crate::time::Timestamp;
pub use crate::transport::TransportError;

/// What a destination answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The answer's `Retry-After`.
    pub retry_after: Option<String>,
    /// The beginning of the body, of answers other than 2xx.
    pub excerpt: Option<String>,
    /// Where a redirect leads to, as a URL without query and fragment.
    pub location: Option<String>,
}

/// How one receive of a message ended at one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It has the message since an earlier attempt.
    AcceptedBefore,
    /// It has refused the message at an earlier attempt, for good.
    RejectedBefore(Answer),
    /// It was not called.
    NotMade(Refusal),
    /// With an answer.
    Answered(Answer),
    /// Without one.
    Failed(TransportError),
}

impl Attempt {
    /// The status of the answer, or else why there is none.
    #[must_use]
    pub fn said(&self) -> (Option<u16>, Option<&str>) {
        match self {
            Self::AcceptedBefore => (None, None),
            Self::Answered(answer) | Self::RejectedBefore(answer) => (Some(answer.status), None),
            Self::NotMade(refusal) => (None, Some(refusal.reason.as_str())),
            Self::Failed(error) => (None, Some(error.as_str())),
        }
    }
}

/// How one receive of a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'r> {
    /// No route takes it.
    Unroutable {
        /// Which was looked for.
        error: String,
    },
    /// It cannot be made a request.
    Malformed {
        /// Why.
        error: String,
    },
    /// Its signature is not one that its route accepts, and will not be.
    Unverified(Unverified),
    /// Its signature does not match a secret that may be older than the event.
    SecretInDoubt {
        /// When a younger one can be had.
        wait: Duration,
    },
    /// Without a secret it can be neither verified nor signed.
    NoSecret {
        /// Why there is none.
        error: String,
    },
    /// An attempt would not have ended before the function.
    NoTime,
    /// Its destinations were asked, or were not to be; never empty.
    Asked(Vec<(&'r Destination, Attempt)>),
}

/// One receive of a message, as far as decisions depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receive<'m> {
    /// The event.
    pub event_id: &'m str,
    /// The number, from 1, of the attempt that is due, or was just made.
    pub attempt: u32,
    /// That number as far as the schedule goes: what an operator had attempted early moves it no further.
    pub step: u32,
    /// What that number would be if every receive had been an attempt.
    pub receives: u32,
    /// How long the queue has had the message.
    pub age: Duration,
}

impl<'m> Receive<'m> {
    /// This receive, at `now` by the wall clock, of `message`, which takes `route` if there is one. Those
    /// receives that are remembered to have been no attempts are not in `receives_for_attempts`, and so
    /// many attempts are remembered as `attempts_made`: those are certain, however early they came.
    #[must_use]
    pub fn of(
        message: &'m Message,
        route: Option<&Route>,
        receives_for_attempts: u32,
        attempts_made: u32,
        now: Timestamp,
    ) -> Self {
        let age = message.age(now);
        let schedule = route.map_or_else(Schedule::default, |route| route.schedule);
        let step = schedule.attempt_number(receives_for_attempts, age);
        Self {
            event_id: message.event_id(),
            attempt: step.max(attempts_made.saturating_add(1)),
            step,
            receives: schedule.attempt_number(message.receive_count, age),
            age,
        }
    }
}

/// What happens to the message now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is deleted.
    Delivered,
    /// It stays, and is shown again after this time.
    Keep {
        /// When the queue shows it again.
        visible_in: Duration,
        /// Why.
        because: Because,
    },
    /// It goes to the dead-letter queue.
    DeadLetter {
        /// Why.
        class: Class,
        /// What happened last.
        cause: Cause,
        /// How many attempts were made.
        attempts: u32,
    },
}

/// Why a message stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// An attempt failed, and may work later.
    Failed,
    /// It was rejected and stays at the head of its group for an operator.
    Blocked,
    /// No attempt was made.
    NotAttempted,
}

/// What an attempt at one destination means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The destination has it.
    Delivered,
    /// It cannot work.
    Rejected,
    /// It was not called.
    NotAttempted,
    /// It may work later.
    Retry,
}

impl Route {
    /// The verdict on one attempt.
    #[must_use]
    pub fn verdict(&self, attempt: &Attempt) -> Verdict {
        match attempt {
            Attempt::AcceptedBefore => Verdict::Delivered,
            Attempt::RejectedBefore(_) => Verdict::Rejected,
            Attempt::NotMade(_) => Verdict::NotAttempted,
            Attempt::Failed(_) => Verdict::Retry,
            Attempt::Answered(answer) => match answer.status {
                200..=299 => Verdict::Delivered,
                status if self.reject_statuses.contains(status) => Verdict::Rejected,
                status if may_work_later(status) => Verdict::Retry,
                status if self.retry_statuses.contains(status) => Verdict::Retry,
                _ => Verdict::Rejected,
            },
        }
    }

    /// What an attempt that ended at `now` says about the destination itself.
    #[must_use]
    pub fn signal(&self, attempt: &Attempt, now: Timestamp) -> Signal {
        match attempt {
            Attempt::Failed(_) => Signal::NotThere { rest: None },
            Attempt::Answered(answer) => {
                let is_retried = self.verdict(attempt) == Verdict::Retry;
                let rest = self.rest(answer, now).filter(|_| is_retried);
                if is_retried && says_not_there(answer.status) {
                    Signal::NotThere { rest }
                } else {
                    Signal::Answered { rest }
                }
            }
            Attempt::AcceptedBefore | Attempt::RejectedBefore(_) | Attempt::NotMade(_) => {
                Signal::Unknown
            }
        }
    }

    /// What the answer asks for by `Retry-After`, at most the longest delay.
    fn rest(&self, answer: &Answer, now: Timestamp) -> Option<Duration> {
        let rest = parse_retry_after(answer.retry_after.as_deref()?, now)?;
        Some(rest.min(self.schedule.max_delay()))
    }
}

impl Outcome<'_> {
    /// What happens to the message, which is of `route` if one takes it. `now` is the wall clock's time.
    ///
    /// At `give_up_after` what fails leaves the queue even from a blocked group: later, SQS's
    /// retention would delete it, and no loss comes before order.
    #[must_use]
    pub fn next(&self, route: Option<&Route>, receive: Receive<'_>, now: Timestamp) -> Next {
        let dead_letter = |class, error: &dyn ToString, attempts| Next::DeadLetter {
            class,
            cause: Cause { error: Some(error.to_string()), ..Cause::default() },
            attempts,
        };
        match (self, route) {
            (Self::Unroutable { error }, _) => dead_letter(Class::Unroutable, error, 0),
            (Self::Malformed { error }, _) => dead_letter(Class::Malformed, error, 0),
            (Self::Unverified(error), _) => dead_letter(Class::Unverified, error, 0),
            (Self::NoTime, _) | (_, None) => {
                Next::Keep { visible_in: Duration::ZERO, because: Because::NotAttempted }
            }
            (Self::SecretInDoubt { wait }, Some(route)) => {
                let cause =
                    || Cause { error: Some("secret_in_doubt".to_owned()), ..Cause::default() };
                not_attempted(route, receive, *wait, cause)
            }
            (Self::NoSecret { error }, Some(route)) if receive.age >= route.give_up_after => {
                dead_letter(Class::GaveUp, error, receive.attempt - 1)
            }
            (Self::NoSecret { .. }, Some(route)) => Next::Keep {
                visible_in: route.schedule.delay(receive.event_id, receive.step),
                because: Because::Failed,
            },
            (Self::Asked(parts), Some(route)) => asked(parts, route, receive, now),
        }
    }
}

impl Outcome<'_> {
    /// What happens to the message instead of staying, if an operator wants it out of the way.
    #[must_use]
    pub fn skipped(&self, route: &Route, receive: Receive<'_>) -> Next {
        let was_attempted = match self {
            Self::Asked(parts) => {
                parts.iter().any(|(_, attempt)| route.verdict(attempt) != Verdict::NotAttempted)
            }
            _ => false,
        };
        let cause = match self {
            Self::Asked(parts) => {
                let (destination, attempt) = worst(parts, route);
                cause(destination, attempt)
            }
            Self::NoSecret { error } => Cause { error: Some(error.clone()), ..Cause::default() },
            _ => Cause::default(),
        };
        let attempts = receive.attempt - u32::from(!was_attempted);
        Next::DeadLetter { class: Class::Skipped, cause, attempts }
    }
}

impl Next {
    /// What happens to a message whose dead letter could not be sent: it stays.
    #[must_use]
    pub fn unsent(route: Option<&Route>, receive: Receive<'_>) -> Self {
        let schedule = route.map_or_else(Schedule::default, |route| route.schedule);
        Self::Keep {
            visible_in: schedule.delay(receive.event_id, receive.step),
            because: Because::Failed,
        }
    }
}

/// The worst of its destinations decides about a message.
fn asked(
    parts: &[(&Destination, Attempt)],
    route: &Route,
    receive: Receive<'_>,
    now: Timestamp,
) -> Next {
    let (destination, attempt) = worst(parts, route);
    let verdict = route.verdict(attempt);
    let gave_up = receive.age >= route.give_up_after;
    let delay = route.schedule.delay(receive.event_id, receive.step);
    let dead_letter =
        |class, attempts| Next::DeadLetter { class, cause: cause(destination, attempt), attempts };
    match (verdict, route.on_reject) {
        (Verdict::Delivered, _) => Next::Delivered,
        (Verdict::Rejected, OnReject::Block) if !gave_up => {
            Next::Keep { visible_in: delay, because: Because::Blocked }
        }
        (Verdict::Rejected, _) => dead_letter(Class::Rejected, receive.attempt),
        (Verdict::Retry, _) if gave_up => dead_letter(Class::GaveUp, receive.attempt),
        (Verdict::Retry, _) => {
            let rests = parts.iter().filter_map(|(_, attempt)| match attempt {
                Attempt::Answered(answer) if route.verdict(attempt) == Verdict::Retry => {
                    route.rest(answer, now)
                }
                Attempt::NotMade(refusal) => Some(refusal.wait.min(route.schedule.max_delay())),
                _ => None,
            });
            let visible_in = rests.fold(delay, Duration::max);
            Next::Keep { visible_in, because: Because::Failed }
        }
        (Verdict::NotAttempted, _) => {
            let waits = parts.iter().filter_map(|(_, attempt)| match attempt {
                Attempt::NotMade(refusal) => Some(refusal.wait),
                _ => None,
            });
            let wait = waits.max().unwrap_or_default().min(route.schedule.max_delay());
            // As if it had been an attempt, so that SQS's receive count grows no faster than by those.
            let delay = route.schedule.delay(receive.event_id, receive.receives);
            not_attempted(route, receive, wait.max(delay), || cause(destination, attempt))
        }
    }
}

/// Of several that are equally bad, the first.
fn worst<'a, 'r>(
    parts: &'a [(&'r Destination, Attempt)],
    route: &Route,
) -> (&'r Destination, &'a Attempt) {
    let worst = parts.iter().rev().max_by_key(|(_, attempt)| route.verdict(attempt));
    let (destination, attempt) = worst.expect("a route has a destination");
    (destination, attempt)
}

/// What was not attempted waits, unless SQS might delete it before it is received once more.
fn not_attempted(
    route: &Route,
    receive: Receive<'_>,
    visible_in: Duration,
    cause: impl FnOnce() -> Cause,
) -> Next {
    if receive.age + visible_in >= route.last_receive_within {
        let attempts = receive.attempt - 1;
        return Next::DeadLetter { class: Class::GaveUp, cause: cause(), attempts };
    }
    Next::Keep { visible_in, because: Because::NotAttempted }
}

/// What a dead letter says of the attempt that decided.
fn cause(destination: &Destination, attempt: &Attempt) -> Cause {
    let of = Cause { destination: Some(destination.name.clone()), ..Cause::default() };
    match attempt {
        Attempt::AcceptedBefore => of,
        Attempt::NotMade(refusal) => Cause { error: Some(refusal.reason.to_string()), ..of },
        Attempt::Failed(error) => Cause { error: Some(error.to_string()), ..of },
        Attempt::Answered(answer) | Attempt::RejectedBefore(answer) => Cause {
            status: Some(answer.status),
            response: answer.excerpt.clone(),
            location: answer.location.clone(),
            ..of
        },
    }
}

/// Statuses that say, whatever the route, that the same request may work later.
fn may_work_later(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// Statuses by which what stands before a service says that the service is not there, or wants no more
/// requests. A 500 is the application's answer to one event.
fn says_not_there(status: u16) -> bool {
    matches!(status, 429 | 502..=504)
}

/// `Retry-After` in both its forms: seconds, or a date. Fractions count as the second that they are in,
/// as some senders write them, and a number beyond all numbers is one.
/// Source: RFC 9110, section 10.2.3.
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) {
        let seconds = whole.parse().unwrap_or(u64::MAX);
        let part = u64::from(fraction.bytes().any(|byte| byte != b'0'));
        return Some(Duration::from_secs(seconds.saturating_add(part)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::default().plus(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;
    use crate::gate::RefusalReason;
    use crate::message::tests::changed;

    /// A route to the destinations `a` and `b`, with these settings more.
    fn route(more: Value) -> Route {
        let mut route = json!({
            "path": "/sqs-hook", "ordering_key": "g",
            "destinations": [
                { "name": "a", "url": "http://localhost/a" },
                { "name": "b", "url": "http://localhost/b" },
            ],
        });
        let Value::Object(more) = more else { panic!("an object") };
        route.as_object_mut().unwrap().extend(more);
        let file = json!({ "environment": "test", "routes": { "sss": route } });
        Config::parse(&file.to_string()).unwrap().routes()["sss"].clone()
    }

    fn plain() -> Route {
        route(json!({}))
    }

    fn answered(status: u16) -> Attempt {
        Attempt::Answered(Answer { status, ..Answer::default() })
    }

    fn asking(status: u16, retry_after: &str) -> Attempt {
        let retry_after = Some(retry_after.to_owned());
        Attempt::Answered(Answer { status, retry_after, ..Answer::default() })
    }

    fn refused(seconds: u64) -> Attempt {
        let wait = Duration::from_secs(seconds);
        Attempt::NotMade(Refusal { wait, reason: RefusalReason::CircuitOpen })
    }

    const NOW: u64 = 784_111_770_000;

    fn now() -> Timestamp {
        Timestamp::from_ms(NOW)
    }

    /// The receive for the attempt number `attempt`, at this age in seconds.
    fn receive(attempt: u32, age_seconds: u64) -> Receive<'static> {
        let age = Duration::from_secs(age_seconds);
        Receive { event_id: "e", attempt, step: attempt, receives: attempt, age }
    }

    /// What happens after these attempts at `a` and `b`.
    fn next(route: &Route, attempts: [Attempt; 2], receive: Receive<'_>) -> Next {
        let parts = route.destinations().iter().zip(attempts).collect();
        Outcome::Asked(parts).next(Some(route), receive, now())
    }

    fn keep(seconds: u64, because: Because) -> Next {
        Next::Keep { visible_in: Duration::from_secs(seconds), because }
    }

    fn class_of(next: &Next) -> Option<Class> {
        match next {
            Next::DeadLetter { class, .. } => Some(*class),
            Next::Delivered | Next::Keep { .. } => None,
        }
    }

    #[test]
    fn every_status_has_one_verdict() {
        for status in 0..=999 {
            let expected = match status {
                200..=299 => Verdict::Delivered,
                408 | 425 | 429 | 500..=599 => Verdict::Retry,
                _ => Verdict::Rejected,
            };
            assert_eq!(plain().verdict(&answered(status)), expected, "{status}");
        }
    }

    #[test]
    fn a_route_says_which_statuses_are_worth_another_attempt() {
        let route = route(json!({ "retry_statuses": ["404", "3xx"], "reject_statuses": ["500"] }));
        for (status, expected) in [
            (404, Verdict::Retry),
            (307, Verdict::Retry),
            (403, Verdict::Rejected),
            (500, Verdict::Rejected),
            (503, Verdict::Retry),
            (200, Verdict::Delivered),
        ] {
            assert_eq!(route.verdict(&answered(status)), expected, "{status}");
        }
    }

    #[test]
    fn what_the_other_attempts_mean() {
        let rejected = Attempt::RejectedBefore(Answer { status: 422, ..Answer::default() });
        for (attempt, expected) in [
            (Attempt::AcceptedBefore, Verdict::Delivered),
            (rejected, Verdict::Rejected),
            (refused(1), Verdict::NotAttempted),
            (Attempt::Failed(TransportError::Timeout), Verdict::Retry),
            (Attempt::Failed(TransportError::ForbiddenAddress), Verdict::Retry),
        ] {
            assert_eq!(plain().verdict(&attempt), expected, "{attempt:?}");
        }
    }

    #[test]
    fn a_dead_letter_says_who_failed_and_all_that_was_told() {
        let route = plain();
        let of = |attempt: &Attempt| cause(&route.destinations()[1], attempt);
        let named = Cause { destination: Some("b".into()), ..Cause::default() };
        assert_eq!(of(&Attempt::AcceptedBefore), named);
        let told = |error: &str| Cause { error: Some(error.into()), ..named.clone() };
        assert_eq!(of(&Attempt::Failed(TransportError::Refused)), told("refused"));
        assert_eq!(of(&refused(5)), told("circuit_open"));
        let answer = Answer {
            status: 307,
            retry_after: Some("1".into()),
            excerpt: Some("elsewhere".into()),
            location: Some("https://example.com/".into()),
        };
        let told = Cause {
            status: Some(307),
            response: answer.excerpt.clone(),
            location: answer.location.clone(),
            ..named.clone()
        };
        assert_eq!(of(&Attempt::Answered(answer.clone())), told);
        assert_eq!(of(&Attempt::RejectedBefore(answer)), told);
    }

    #[test]
    fn only_what_says_that_nobody_is_there_says_so() {
        let there = Signal::Answered { rest: None };
        let gone = Signal::NotThere { rest: None };
        for status in 0..=999 {
            let expected = if matches!(status, 429 | 502 | 503 | 504) { gone } else { there };
            assert_eq!(plain().signal(&answered(status), now()), expected, "{status}");
        }
        assert_eq!(plain().signal(&Attempt::Failed(TransportError::Refused), now()), gone);
        for attempt in [refused(1), Attempt::AcceptedBefore] {
            assert_eq!(plain().signal(&attempt, now()), Signal::Unknown);
        }
        // What is retried by a setting only is the router's answer to this path, and no outage.
        let route = route(json!({ "retry_statuses": ["404"], "reject_statuses": ["503"] }));
        assert_eq!(route.signal(&answered(404), now()), there);
        assert_eq!(route.signal(&answered(503), now()), there);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_the_longest_delay() {
        for (text, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("40.5", Some(41)),
            ("40.0", Some(40)),
            ("0.001", Some(1)),
            ("99999999999999999999999999", Some(300)),
            ("9999", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("1.2.3", None),
            ("", None),
        ] {
            let rest = seconds.map(Duration::from_secs);
            let signal = plain().signal(&asking(503, text), now());
            assert_eq!(signal, Signal::NotThere { rest }, "{text:?}");
        }
        let rest = Some(Duration::from_secs(9));
        assert_eq!(plain().signal(&asking(500, "9"), now()), Signal::Answered { rest });
        let none = Signal::Answered { rest: None };
        for status in [200, 422, 301] {
            assert_eq!(plain().signal(&asking(status, "9"), now()), none, "{status}");
        }
    }

    #[test]
    fn the_worst_destination_decides_and_the_first_of_these_is_named() {
        let check = |attempts: [Attempt; 2], class: Class, destination: &str, status| {
            let next = next(&plain(), attempts.clone(), receive(9, 72 * 3_600));
            let Next::DeadLetter { class: its_class, cause, .. } = next else {
                panic!("{attempts:?}: {next:?}")
            };
            assert_eq!(its_class, class, "{attempts:?}");
            assert_eq!(cause.destination.as_deref(), Some(destination), "{attempts:?}");
            assert_eq!(cause.status, status, "{attempts:?}");
        };
        check([answered(422), answered(503)], Class::GaveUp, "b", Some(503));
        check([answered(503), answered(422)], Class::GaveUp, "a", Some(503));
        check([answered(422), answered(200)], Class::Rejected, "a", Some(422));
        check([answered(200), answered(410)], Class::Rejected, "b", Some(410));
        check([answered(410), answered(422)], Class::Rejected, "a", Some(410));
        let both = [answered(200), Attempt::AcceptedBefore];
        assert_eq!(next(&plain(), both, receive(1, 0)), Next::Delivered);
    }

    #[test]
    fn a_rejected_event_leaves_or_blocks() {
        let rejected = || [answered(200), answered(422)];
        assert_eq!(class_of(&next(&plain(), rejected(), receive(1, 0))), Some(Class::Rejected));
        let block = route(json!({ "on_reject": "block" }));
        assert_eq!(next(&block, rejected(), receive(1, 0)), keep(2, Because::Blocked));
        let old = next(&block, rejected(), receive(9, 72 * 3_600));
        assert_eq!(class_of(&old), Some(Class::Rejected));
    }

    #[test]
    fn what_may_work_later_keeps_the_message_until_it_is_given_up() {
        let failed = |age| next(&plain(), [answered(422), answered(503)], receive(1, age));
        assert_eq!(failed(0), keep(2, Because::Failed));
        assert_eq!(failed(72 * 3_600 - 1), keep(2, Because::Failed));
        assert_eq!(class_of(&failed(72 * 3_600)), Some(Class::GaveUp));
        let delivered = [answered(200), answered(200)];
        assert_eq!(next(&plain(), delivered, receive(9, 72 * 3_600)), Next::Delivered);
    }

    #[test]
    fn the_longest_of_what_is_asked_for_is_waited() {
        let wait = |a, b| next(&plain(), [a, b], receive(1, 0));
        assert_eq!(wait(asking(503, "60"), asking(429, "9")), keep(60, Because::Failed));
        assert_eq!(wait(asking(503, "1"), answered(200)), keep(2, Because::Failed));
        assert_eq!(wait(answered(503), refused(30)), keep(30, Because::Failed));
        assert_eq!(wait(answered(503), refused(9_000)), keep(300, Because::Failed));
        // Not what comes with an answer that is final.
        assert_eq!(wait(answered(503), asking(422, "60")), keep(2, Because::Failed));
    }

    #[test]
    fn a_refusal_is_no_attempt() {
        let refused = |receive| next(&plain(), [refused(4), answered(200)], receive);
        let old = 72 * 3_600 + 1;
        assert_eq!(refused(receive(1, old)), keep(4, Because::NotAttempted));
        // It waits no less than a failure would, so that receives stay as rare.
        let ninth = Receive { receives: 9, ..receive(1, old) };
        let delay = plain().schedule.delay("e", 9);
        let kept = Next::Keep { visible_in: delay, because: Because::NotAttempted };
        assert!(delay > Duration::from_secs(100));
        assert_eq!(refused(ninth), kept);
    }

    #[test]
    fn what_sqs_would_delete_before_it_is_received_again_is_given_up_without_an_attempt() {
        let refused = |age| next(&plain(), [refused(4), answered(200)], receive(7, age));
        // Fourteen days, without the visibility timeout of six minutes.
        let last = 14 * 24 * 3_600 - 360;
        let delay = plain().schedule.delay("e", 7).as_secs();
        assert_eq!(refused(last - delay - 1), keep(delay, Because::NotAttempted));
        let Next::DeadLetter { class, cause, attempts } = refused(last - delay) else {
            panic!("kept")
        };
        assert_eq!((class, attempts), (Class::GaveUp, 6));
        assert_eq!(cause.error.as_deref(), Some("circuit_open"));
        assert_eq!(cause.destination.as_deref(), Some("a"));
    }

    #[test]
    fn without_an_attempt_there_is_one_reason_each() {
        let route = plain();
        let check = |outcome: Outcome<'_>, age, expected: Option<(Class, u32)>| {
            let next = outcome.next(Some(&route), receive(3, age), now());
            let told = match &next {
                Next::DeadLetter { class, attempts, cause } => {
                    assert!(cause.error.is_some(), "{outcome:?}");
                    Some((*class, *attempts))
                }
                Next::Delivered | Next::Keep { .. } => None,
            };
            assert_eq!(told, expected, "{outcome:?}");
            next
        };
        let error = || "why".to_owned();
        check(Outcome::Unroutable { error: error() }, 0, Some((Class::Unroutable, 0)));
        check(Outcome::Malformed { error: error() }, 0, Some((Class::Malformed, 0)));
        let unverified = Unverified::MissingHeader("x".into());
        check(Outcome::Unverified(unverified), 0, Some((Class::Unverified, 0)));
        let old = 72 * 3_600;
        check(Outcome::NoSecret { error: error() }, old, Some((Class::GaveUp, 2)));
        let kept = check(Outcome::NoSecret { error: error() }, old - 1, None);
        assert!(matches!(kept, Next::Keep { because: Because::Failed, .. }));
        let wait = Duration::from_secs(7);
        let kept = check(Outcome::SecretInDoubt { wait }, old, None);
        assert_eq!(kept, keep(7, Because::NotAttempted));
        let kept = check(Outcome::NoTime, old, None);
        assert_eq!(kept, keep(0, Because::NotAttempted));
        let last = 14 * 24 * 3_600;
        check(Outcome::SecretInDoubt { wait }, last, Some((Class::GaveUp, 2)));
    }

    #[test]
    fn a_message_without_a_route_leaves() {
        let outcome = Outcome::Unroutable { error: "why".into() };
        let next = outcome.next(None, receive(1, 0), now());
        assert_eq!(class_of(&next), Some(Class::Unroutable));
        assert_eq!(Next::unsent(None, receive(1, 0)), keep(2, Because::Failed));
        let slow = route(json!({ "retry": { "initial_delay_seconds": 60 } }));
        let Next::Keep { visible_in, .. } = Next::unsent(Some(&slow), receive(1, 0)) else {
            panic!("left")
        };
        assert!(visible_in > Duration::from_secs(50));
    }

    #[test]
    fn a_skip_says_what_was_in_the_way() {
        let route = plain();
        let skipped = |outcome: &Outcome<'_>| match outcome.skipped(&route, receive(3, 0)) {
            Next::DeadLetter { class: Class::Skipped, cause, attempts } => (cause, attempts),
            next => panic!("{next:?}"),
        };
        let asked = |attempts: [Attempt; 2]| {
            Outcome::Asked(route.destinations().iter().zip(attempts).collect())
        };
        let (cause, attempts) = skipped(&asked([answered(200), answered(503)]));
        assert_eq!((cause.destination.as_deref(), cause.status), (Some("b"), Some(503)));
        assert_eq!(attempts, 3);
        let (cause, attempts) = skipped(&asked([refused(1), refused(1)]));
        assert_eq!((cause.error.as_deref(), attempts), (Some("circuit_open"), 2));
        let (cause, attempts) = skipped(&Outcome::NoSecret { error: "why".into() });
        assert_eq!((cause.error.as_deref(), attempts), (Some("why"), 2));
    }

    #[test]
    fn a_receive_knows_how_far_the_message_has_come() {
        let message = changed(1, "g", |it| it.receive_count = 5);
        let at = message.sent_at.plus(Duration::from_hours(1));
        let receive = Receive::of(&message, None, 3, 0, at);
        assert_eq!((receive.attempt, receive.step, receive.receives), (3, 3, 5));
        assert_eq!((receive.event_id, receive.age), ("m-1", Duration::from_hours(1)));
        assert_eq!(Receive::of(&message, None, 3, 0, message.sent_at).attempt, 1);
        // What was made is certain, also where an operator was faster than the schedule.
        let early = Receive::of(&message, None, 3, 2, message.sent_at);
        assert_eq!((early.attempt, early.step), (3, 1));
        assert_eq!(Receive::of(&message, None, 3, 1, at).attempt, 3, "others may have made some");
        // As many attempts as its route's schedule can have made.
        let slow = route(json!({ "retry": { "initial_delay_seconds": 60 } }));
        let of_slow = |age| {
            Receive::of(&message, Some(&slow), 3, 0, message.sent_at.plus(Duration::from_secs(age)))
        };
        assert_eq!((of_slow(50).attempt, of_slow(50).receives), (1, 1));
        assert_eq!(of_slow(60).attempt, 2);
    }

    fn attempts() -> impl Strategy<Value = Attempt> {
        prop_oneof![
            (100_u16..700).prop_map(answered),
            ((100_u16..700), "[0-9]{1,4}").prop_map(|(status, text)| asking(status, &text)),
            (0_u64..1_000).prop_map(refused),
            Just(Attempt::AcceptedBefore),
            (400_u16..500)
                .prop_map(|status| Attempt::RejectedBefore(Answer { status, ..Answer::default() })),
            Just(Attempt::Failed(TransportError::Closed)),
        ]
    }

    proptest! {
        /// Delivered means that both have it; nothing leaves that may still work, before its time;
        /// and nothing waits for so long that SQS deletes it.
        #[test]
        fn no_loss_and_no_loop(
            a in attempts(), b in attempts(), attempt in 1_u32..1_000,
            age in 0_u64..1_300_000, block: bool,
        ) {
            let on_reject = if block { "block" } else { "dead_letter" };
            let route = route(json!({ "on_reject": on_reject }));
            let verdicts = [route.verdict(&a), route.verdict(&b)];
            let both = verdicts.iter().all(|verdict| *verdict == Verdict::Delivered);
            let receive = receive(attempt, age);
            match next(&route, [a, b], receive) {
                Next::Delivered => prop_assert!(both),
                Next::DeadLetter { class, attempts, .. } => {
                    prop_assert!(!both);
                    prop_assert!(attempts <= attempt);
                    let open = verdicts.iter().any(|verdict| *verdict > Verdict::Rejected);
                    prop_assert_eq!(open, class == Class::GaveUp);
                    let is_old = receive.age >= route.give_up_after;
                    prop_assert!(is_old || (class == Class::Rejected && !block));
                }
                Next::Keep { visible_in, .. } => {
                    prop_assert!(!both);
                    prop_assert!(visible_in <= route.schedule.max_delay());
                    prop_assert!(!visible_in.is_zero());
                    let retention = Duration::from_hours(14 * 24);
                    prop_assert!(receive.age + visible_in < retention);
                }
            }
        }
    }
}
