//! What is told of a message: one typed line, which the log writes and `CloudWatch` counts, so that the
//! two cannot disagree.

use std::time::{Duration, SystemTime};

use domain::config::LogLevel;
use domain::dead_letter::Class;
use domain::message::Message;
use domain::outcome::{Answer, Attempt, Because, Next, Outcome, Receive, Verdict};
use domain::route::{Destination, Route};
use url::Position;

use crate::logging::{Line, Logger, What};
use crate::metrics::Metrics;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) logger: Logger,
    /// Where somebody reads them.
    pub(crate) metrics: Option<Metrics>,
}

impl Report {
    /// Tells what a line says.
    pub(crate) fn line(&self, line: Line<'_>) {
        let line = Line { timestamp: SystemTime::now().into(), ..line };
        let is_written = self.logger.writes(line.level);
        match self.metrics.as_ref().and_then(|metrics| metrics.count(line, is_written)) {
            Some(counted) => self.logger.write(line.level, &counted),
            None => self.logger.write(line.level, &line),
        }
    }

    /// Tells how a receive of `message` ended; `latencies` are those of the attempts, in their order.
    pub(crate) fn outcome(
        &self,
        message: &Message,
        route: Option<&Route>,
        outcome: &Outcome<'_>,
        receive: Receive<'_>,
        next: &Next,
        latencies: &[Option<Duration>],
    ) {
        let about = Line { route: route.map(Route::name), ..about(message) };
        match (outcome, route) {
            (Outcome::Asked(parts), Some(route)) => {
                for ((destination, attempt), latency) in parts.iter().zip(latencies) {
                    let about = Line { latency_ms: *latency, ..about };
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
                ..about
            }),
            (Outcome::SecretInDoubt { .. }, _) => {
                let retry_in_ms = wait_of(next);
                self.not_attempted(Line { retry_in_ms, ..about }, "secret_in_doubt");
            }
            (Outcome::NoTime, _) => self.not_attempted(about, "deadline"),
            (Outcome::Unroutable { .. } | Outcome::Malformed { .. }, _)
            | (Outcome::Asked(_), None) => {}
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
        let (status, error) = match attempt {
            // Told when it happened.
            Attempt::AcceptedBefore | Attempt::RejectedBefore(_) => return,
            Attempt::NotMade(refusal) => (None, Some(refusal.reason.as_str())),
            Attempt::Answered(Answer { status, .. }) => (Some(*status), None),
            Attempt::Failed(error) => (None, Some(error.as_str())),
        };
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
            ..about
        });
    }

    /// Tells that no attempt was made at a message, and why.
    pub(crate) fn behind(&self, message: &Message, reason: &str) {
        self.not_attempted(about(message), reason);
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

fn wait_of(next: &Next) -> Option<Duration> {
    match next {
        Next::Keep { visible_in, .. } => Some(*visible_in),
        Next::Delivered | Next::DeadLetter { .. } => None,
    }
}

/// What every line about a message says.
pub(crate) fn about(message: &Message) -> Line<'_> {
    Line {
        event_id: Some(message.event_id()),
        route: message.route_name(),
        group: Some(&message.group_id),
        sequence: Some(&message.sequence_number),
        age_ms: Some(message.age(SystemTime::now().into())),
        ..Line::default()
    }
}
