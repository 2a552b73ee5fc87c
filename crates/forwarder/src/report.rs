//! What is told of a message: one typed line, which the log writes and `CloudWatch` counts, so that the
//! two cannot disagree.

use std::sync::Arc;
use std::time::Duration;

use domain::breaker::Signal;
use domain::config::LogLevel;
use domain::dead_letter::{Class, excerpt};
use domain::gate::RefusalReason;
use domain::message::Message;
use domain::outcome::{Attempt, Because, Next, Outcome, Receive, Verdict};
use domain::route::{Destination, Route};
use domain::time::Timestamp;
use url::Position;

use crate::logging::{Line, Logger, What};
use crate::metrics::Metrics;
use crate::outside::Outside;
use crate::secrets::Secrets;

/// Longest receipt handles of a line together, in bytes: of `CloudWatch`'s 256 KiB for a line, and far
/// more than the handles of a batch of [`BATCH_SIZE_MAX`](domain::quota::BATCH_SIZE_MAX) messages take.
/// Source: Lambda guide, "Working with Lambda function logs".
const RECEIPT_HANDLES_BYTES_MAX: usize = 64 * 1_024;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Report<O> {
    pub(crate) outside: Arc<O>,
    pub(crate) logger: Logger,
    /// Where somebody reads them: on AWS.
    pub(crate) metrics: Option<Metrics>,
    /// What must be in no answer that is told; `None` if none is.
    pub(crate) answers: Option<Arc<Secrets<O>>>,
}

/// What is told beside how a receive ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// How long the attempts took, in their order.
    pub(crate) latencies: &'a [Option<Duration>],
    /// If the message stays: the receipt handles of all that is kept with it, its own first.
    pub(crate) handles: &'a [&'a str],
}

impl<O: Outside> Report<O> {
    /// Tells what a line says.
    pub(crate) fn line(&self, line: Line<'_>) {
        let line = Line { timestamp: self.outside.now(), ..line };
        let is_written = self.logger.writes(line.level);
        match self.metrics.as_ref().and_then(|metrics| metrics.count(line, is_written)) {
            Some(counted) => self.logger.write(&*self.outside, line.level, &counted),
            None => self.logger.write(&*self.outside, line.level, &line),
        }
    }

    /// Tells an error that is about no message.
    pub(crate) fn error(&self, message: &str) {
        self.logger.error(&*self.outside, message);
    }

    /// What every line about a message says.
    pub(crate) fn about<'m>(&self, message: &'m Message) -> Line<'m> {
        Line {
            event_id: Some(message.event_id()),
            route: message.route_name(),
            group: Some(&message.group_id),
            sequence: Some(&message.sequence_number),
            age_ms: Some(message.age(self.outside.now())),
            ..Line::default()
        }
    }

    /// Tells how a receive of `message` ended.
    pub(crate) fn outcome(
        &self,
        message: &Message,
        route: Option<&Route>,
        outcome: &Outcome<'_>,
        receive: Receive<'_>,
        next: &Next,
        Beside { latencies, handles }: Beside<'_>,
    ) {
        let about = Line { route: route.map(Route::name), ..self.about(message) };
        let mut kept = self.kept(message, next, handles);
        match (outcome, route) {
            (Outcome::Asked(parts), Some(route)) => {
                for ((destination, attempt), latency) in parts.iter().zip(latencies) {
                    let about = Line { latency_ms: *latency, ..about };
                    let response = self.response(message, attempt);
                    let about = Line { response: response.as_deref(), ..about };
                    // Once, if several destinations have a line each.
                    let is_told = told_when_it_happens(attempt);
                    let is_kept = is_told && route.verdict(attempt) != Verdict::Delivered;
                    let about =
                        if is_kept { std::mem::take(&mut kept).in_line(about) } else { about };
                    self.part(about, route, destination, attempt, receive, next);
                }
            }
            (Outcome::Unverified(error), _) => {
                let error = error.to_string();
                let (level, what) = (LogLevel::Warn, What::Unverified);
                self.line(Line { level, what, error: Some(&error), ..about });
            }
            (Outcome::NoSecret { error }, _) => self.line(Line {
                level: LogLevel::Error,
                what: What::SecretUnavailable,
                attempt: Some(receive.attempt),
                error: Some(error),
                retry_in_ms: wait_of(next),
                ..kept.in_line(about)
            }),
            (Outcome::SecretInDoubt { .. }, _) => {
                let retry_in_ms = wait_of(next);
                let about = kept.in_line(about);
                self.not_attempted(Line { retry_in_ms, ..about }, "secret_in_doubt");
            }
            (Outcome::NoTime, _) => self.not_attempted(about, "deadline"),
            (Outcome::Unroutable { .. } | Outcome::Malformed { .. }, _)
            | (Outcome::Asked(_), None) => {}
        }
    }

    /// What makes those that stay be shown again sooner. Where an engine asks itself nobody needs it.
    fn kept<'a>(&self, message: &Message, next: &Next, handles: &'a [&'a str]) -> Kept<'a> {
        let bytes: usize = handles.iter().map(|handle| handle.len()).sum();
        match wait_of(next) {
            Some(wait)
                if self.metrics.is_some()
                    && !wait.is_zero()
                    && bytes <= RECEIPT_HANDLES_BYTES_MAX =>
            {
                Kept { receive_count: Some(message.receive_count), receipt_handles: handles }
            }
            _ => Kept::default(),
        }
    }

    /// The beginning of an answer that was no delivery, where it is told.
    fn response(&self, message: &Message, attempt: &Attempt) -> Option<String> {
        let secrets = self.answers.as_ref()?;
        match attempt {
            Attempt::Answered(answer) => {
                let text = excerpt(answer.excerpt.as_deref()?);
                Some(secrets.hidden_in(&text, message.token()))
            }
            _ => None,
        }
    }

    fn part(
        &self,
        about: Line<'_>,
        route: &Route,
        destination: &Destination,
        attempt: &Attempt,
        receive: Receive<'_>,
        next: &Next,
    ) {
        if matches!(attempt, Attempt::AcceptedBefore | Attempt::RejectedBefore(_)) {
            // Told when it happened.
            return;
        }
        let (status, error) = attempt.said();
        let (level, what) = told(route.verdict(attempt), next);
        let not_attempted = what == What::NotAttempted;
        self.line(Line {
            level,
            what,
            destination: Some(destination.name()),
            host: Some(&destination.url()[Position::BeforeHost..Position::AfterPort]),
            attempt: Some(receive.attempt),
            status,
            reason: error.filter(|_| not_attempted),
            error: error.filter(|_| !not_attempted),
            retry_in_ms: wait_of(next).filter(|_| what != What::Delivered),
            retry_after_ms: rest_of(route, attempt, self.outside.now()),
            ..about
        });
    }

    /// Tells that no attempt was made at a message, and why.
    pub(crate) fn behind(&self, message: &Message, reason: &str) {
        self.not_attempted(self.about(message), reason);
    }

    fn not_attempted(&self, line: Line<'_>, reason: &str) {
        let (level, what) = (LogLevel::Info, What::NotAttempted);
        self.line(Line { level, what, reason: Some(reason), ..line });
    }

    /// Tells whether a dead letter was sent, or why not.
    pub(crate) fn dead_letter(&self, line: Line<'_>, class: Class, error: Option<&str>) {
        self.line(Line {
            what: if error.is_none() { What::DeadLettered } else { What::NotDeadLettered },
            level: LogLevel::Error,
            reason: Some(class.as_str()),
            error,
            ..line
        });
    }
}

/// What the line about a message that stays says of those that stay with it.
#[derive(Default)]
struct Kept<'a> {
    receive_count: Option<u32>,
    receipt_handles: &'a [&'a str],
}

impl<'a> Kept<'a> {
    fn in_line(self, line: Line<'a>) -> Line<'a> {
        let Self { receive_count, receipt_handles } = self;
        Line { receive_count, receipt_handles, ..line }
    }
}

/// Whether an attempt is told in this receive, and was not in one before.
fn told_when_it_happens(attempt: &Attempt) -> bool {
    !matches!(attempt, Attempt::AcceptedBefore | Attempt::RejectedBefore(_))
}

/// What a line about one destination says.
fn told(verdict: Verdict, next: &Next) -> (LogLevel, What) {
    match (verdict, next) {
        (Verdict::Delivered, _) => (LogLevel::Info, What::Delivered),
        (_, Next::DeadLetter { class: Class::Skipped, .. }) => (LogLevel::Warn, What::Skipped),
        (Verdict::NotAttempted, Next::Keep { .. }) => (LogLevel::Info, What::NotAttempted),
        (Verdict::Retry, Next::Keep { .. }) => (LogLevel::Warn, What::Retry),
        (Verdict::Retry | Verdict::NotAttempted, _) => (LogLevel::Error, What::GaveUp),
        (Verdict::Rejected, Next::Keep { because: Because::Blocked, .. }) => {
            (LogLevel::Error, What::Blocked)
        }
        (Verdict::Rejected, _) => (LogLevel::Warn, What::Rejected),
    }
}

/// How long the destination wants to be left alone from now on, if it said so.
fn rest_of(route: &Route, attempt: &Attempt, now: Timestamp) -> Option<Duration> {
    if let Attempt::NotMade(refusal) = attempt {
        return Some(refusal.wait).filter(|_| refusal.reason == RefusalReason::RetryAfter);
    }
    match route.signal(attempt, now) {
        Signal::NotThere { rest } | Signal::Answered { rest } => rest,
        Signal::Unknown => None,
    }
}

fn wait_of(next: &Next) -> Option<Duration> {
    match next {
        Next::Keep { visible_in, .. } => Some(*visible_in),
        Next::Delivered | Next::DeadLetter { .. } => None,
    }
}
