//! An event that an operator sends once more: one attempt, marked as that, whose end is the answer. It is in
//! no queue, so nothing of it is kept, tried again or dead-lettered. Should a queue have one after all, by
//! somebody who marks what they send, it stays there if it fails, as any message does.

use std::time::Duration;

use domain::config::LogLevel;
use domain::message::Message;
use domain::outcome::{Attempt, Outcome, Verdict};
use domain::route::Route;
use serde::Serialize;
use url::Position;

use crate::logging::{Line, What};
use crate::outside::Outside;
use crate::report::Report;

/// How it ended, in the response of the function.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Repeated {
    pub(crate) message_id: String,
    /// Whether every destination has taken it.
    pub(crate) delivered: bool,
    pub(crate) attempts: Vec<Asked>,
    /// Why nobody was asked, if that is so.
    pub(crate) error: Option<String>,
}

/// What a destination made of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Asked {
    destination: String,
    delivered: bool,
    status: Option<u16>,
    error: Option<String>,
    latency_ms: Option<u64>,
}

impl Repeated {
    /// By how the attempt ended, and how long each destination took.
    pub(crate) fn of(
        message: &Message,
        route: Option<&Route>,
        outcome: &Outcome<'_>,
        latencies: &[Option<Duration>],
    ) -> Self {
        let attempts = match (outcome, route) {
            (Outcome::Asked(parts), Some(route)) => parts
                .iter()
                .zip(latencies)
                .map(|((destination, attempt), latency)| {
                    let (status, error) = attempt.said();
                    let before =
                        if matches!(attempt, Attempt::NotMade(_)) { "not called: " } else { "" };
                    let error = error.map(|error| format!("{before}{error}"));
                    Asked {
                        destination: destination.name().to_owned(),
                        delivered: route.verdict(attempt) == Verdict::Delivered,
                        status,
                        error,
                        latency_ms: latency.map(ms),
                    }
                })
                .collect(),
            _ => Vec::new(),
        };
        Self {
            message_id: message.message_id.clone(),
            delivered: !attempts.is_empty() && attempts.iter().all(|it| it.delivered),
            error: why_nobody(outcome),
            attempts,
        }
    }

    /// Tells of each destination, or why none was asked.
    pub(crate) fn tell(
        &self,
        report: &Report<impl Outside>,
        message: &Message,
        route: Option<&Route>,
    ) {
        let about = Line { route: route.map(Route::name), ..report.about(message) };
        let line = |delivered: bool| {
            let (level, what) = if delivered {
                (LogLevel::Info, What::Repeated)
            } else {
                (LogLevel::Warn, What::RepeatFailed)
            };
            Line { level, what, ..about }
        };
        if self.attempts.is_empty() {
            report.line(Line { error: self.error.as_deref(), ..line(false) });
        }
        for asked in &self.attempts {
            let to = route.into_iter().flat_map(Route::destinations);
            let to = to.into_iter().find(|it| it.name() == asked.destination);
            report.line(Line {
                destination: Some(&asked.destination),
                host: to.map(|to| &to.url()[Position::BeforeHost..Position::AfterPort]),
                status: asked.status,
                error: asked.error.as_deref(),
                latency_ms: asked.latency_ms.map(Duration::from_millis),
                ..line(asked.delivered)
            });
        }
    }
}

fn why_nobody(outcome: &Outcome<'_>) -> Option<String> {
    match outcome {
        Outcome::Asked(_) => None,
        Outcome::Unroutable { error } | Outcome::NoSecret { error } => Some(error.clone()),
        Outcome::Malformed { error } => Some(format!("it cannot be made a request: {error}")),
        Outcome::Unverified(error) => Some(format!("it is not verified: {error}")),
        Outcome::SecretInDoubt { .. } => {
            Some("it is not verified: the secret at hand may be an older one".to_owned())
        }
        Outcome::NoTime => Some("no time was left".to_owned()),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
