//! One batch in, one batch response out. Groups are walked side by side, the messages of a group one
//! after another; what each outcome leads to is asked of the domain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use bytes::Bytes;
use domain::batch::{self, Group, Kept, Step};
use domain::breaker::{Breaker, Permit};
use domain::config::{Config, LogLevel, UnknownRoute};
use domain::dead_letter::{self, Cause, Class, Unreadable};
use domain::deadline;
use domain::message::Message;
use domain::outcome::{Attempt, Next, TransportError, Verdict};
use domain::route::{Destination, Route};
use domain::schedule::Schedule;
use domain::time::Timestamp;
use futures_util::future::join_all;
use http::HeaderMap;

use crate::accepted::Accepted;
use crate::aws::AwsSecrets;
use crate::logging::{self, Line, Logger};
use crate::metrics::Metrics;
use crate::queue::{Queue, QueueError};
use crate::secrets::Secrets;
use crate::signatures::{self, Failure, Signatures};
use crate::skips::SkipList;
use crate::timeout::Timers;
use crate::webhook::{self, Exchange};
use crate::{Settings, StartError, event, lock, tls};

/// The function: what is kept from one invocation to the next.
#[derive(Debug)]
pub struct Forwarder {
    config: Config,
    client: reqwest::Client,
    timers: Timers,
    queue: Queue,
    secrets: Secrets,
    /// Where an operator has a way to list them.
    skips: Option<SkipList>,
    logger: Logger,
    /// Where somebody reads them.
    metrics: Option<Metrics>,
    /// By route and destination; every one of the configuration has its own.
    breakers: Mutex<BTreeMap<String, BTreeMap<String, Breaker>>>,
    accepted: Mutex<Accepted>,
}

/// Why a whole batch failed; nothing of it is deleted then.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// What came is not an event source mapping's batch.
    #[error("the event is not a batch of sqs records: {0}")]
    Event(#[from] serde_json::Error),
    /// A record that cannot be understood could not be saved either.
    #[error("an unreadable record could not be put into the dead-letter queue")]
    Unreadable,
}

/// One destination's part in an attempt.
struct Part<'a> {
    destination: &'a Destination,
    outcome: Outcome,
    verdict: Verdict,
}

enum Outcome {
    /// It has the event since an earlier attempt.
    AcceptedBefore,
    /// The breaker did not let the attempt through, for this time still.
    Refused(Duration),
    Posted(Exchange),
}

impl Forwarder {
    /// Sets up everything that deliveries need.
    ///
    /// # Errors
    ///
    /// [`StartError`] if certificates or HTTP client cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        let Settings {
            config,
            queue_url,
            dead_letter_queue_url,
            skips,
            aws,
            ssl_cert_file,
            metrics,
        } = settings;
        let (aws, logger) = (Arc::new(aws), Logger::new(config.forwarder().log_level));
        let tls = tls::client_config(ssl_cert_file.as_deref())?;
        let client = webhook::client(tls).map_err(StartError::Client)?;
        let secrets = Arc::new(AwsSecrets::new(Arc::clone(&aws), client.clone()));
        Ok(Self {
            metrics: metrics.then(|| Metrics::new(&config.environment())),
            logger,
            secrets: Secrets::new(
                config.routes().values().flat_map(Route::secrets),
                Arc::clone(&secrets),
                logger,
            ),
            skips: skips.map(|place| SkipList::new(place, secrets, logger)),
            queue: Queue::new(queue_url, dead_letter_queue_url, aws, client.clone()),
            breakers: Mutex::new(breakers(&config)),
            config,
            client,
            timers: Timers::default(),
            accepted: Mutex::default(),
        })
    }

    /// Delivers what can be delivered of a batch by `deadline` and reports the rest as failed. `trace`
    /// is the X-Ray trace header of this invocation.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if nothing of the batch may be deleted.
    pub async fn forward(
        &self,
        event: &str,
        deadline: SystemTime,
        trace: Option<&str>,
    ) -> Result<SqsBatchResponse, BatchError> {
        let deadline = Timestamp::from(deadline);
        let mut batch = event::parse(event, now())?;
        // An HTTP API begins no trace, so a message seldom has one of its own.
        if let Some(trace) = trace.filter(|trace| trace.contains("Sampled=1")) {
            for message in &mut batch.messages {
                message.trace_header.get_or_insert_with(|| trace.to_owned());
            }
        }
        for record in &batch.unreadable {
            self.save_unreadable(record, deadline).await?;
        }
        let mut groups = batch::groups(batch.messages);
        let kept: Vec<Kept> = match groups.as_mut_slice() {
            // The common case needs no side by side.
            [group] => self.walk(group, deadline).await,
            groups => {
                let walks = groups.iter_mut().map(|group| self.walk(group, deadline));
                join_all(walks).await.into_iter().flatten().collect()
            }
        };
        if !kept.is_empty() {
            self.change_visibility(&kept, deadline).await;
        }
        if let Some(metrics) = &self.metrics {
            logging::write(&metrics.take(now()));
        }
        let mut response = SqsBatchResponse::default();
        response.set_failures(kept.into_iter().map(|kept| kept.message_id));
        Ok(response)
    }

    /// Attempts a group's messages in order and returns what stays in the queue.
    async fn walk(&self, group: &mut Group, deadline: Timestamp) -> Vec<Kept> {
        let mut kept = Vec::new();
        while let Some(message) = group.head() {
            let route = self.config.route_of_message(message);
            let attempt_timeout =
                route.as_ref().map_or(Duration::ZERO, |route| route.attempt_timeout());
            let (step, reason) = if deadline::may_start(now(), deadline, attempt_timeout) {
                (self.attempt(message, route, deadline).await, "behind_failed")
            } else {
                self.log_not_attempted(message, "deadline");
                (Step::Keep { visible_in: Duration::ZERO }, "deadline")
            };
            if let Step::Keep { .. } = step {
                group.followers().for_each(|follower| self.log_not_attempted(follower, reason));
            }
            kept.extend(group.step(step));
        }
        kept
    }

    async fn attempt(
        &self,
        message: &Message,
        route: Result<&Route, UnknownRoute>,
        deadline: Timestamp,
    ) -> Step {
        let route = match route {
            Ok(route) => route,
            Err(error) => {
                return self.refuse(message, Class::Unroutable, error.to_string(), deadline).await;
            }
        };
        let attempt = route.attempt_number(message, now());
        let headers = match webhook::headers(message, route, attempt) {
            Ok(headers) => headers,
            Err(error) => {
                return self.refuse(message, Class::Malformed, error.to_string(), deadline).await;
            }
        };
        let signatures = match self.authenticate(message, route, attempt, deadline).await {
            Ok(signatures) => signatures,
            Err(step) => return step,
        };
        let parts = self.call(message, route, &headers, &signatures).await;
        let verdict =
            parts.iter().map(|part| part.verdict).reduce(Verdict::and).expect("a destination");
        let next = verdict.next(route, message.event_id(), attempt, message.age(now()));
        let next = self.unless_skipped(next, message, deadline).await;
        for part in &parts {
            self.log_part(message, route, attempt, part, next);
        }
        match next {
            Next::Delivered => {
                self.forget(message, route);
                Step::Done
            }
            Next::Retry(delay) | Next::Block(delay) => Step::Keep { visible_in: delay },
            Next::DeadLetter(class) => {
                let copy = dead_letter::dead_letter(message, class, cause(&parts), attempt);
                if self.send_dead_letter(message, class, copy, deadline).await.is_ok() {
                    self.forget(message, route);
                    return Step::Done;
                }
                Step::Keep { visible_in: route.schedule.delay(message.event_id(), attempt) }
            }
        }
    }

    /// What happens to a message, unless an operator wants it skipped. Asked for what would stay only.
    async fn unless_skipped(&self, next: Next, message: &Message, deadline: Timestamp) -> Next {
        match (&self.skips, next) {
            (Some(skips), Next::Retry(_) | Next::Block(_)) => {
                skips.current(time_left(deadline, now())).await.apply(next, message)
            }
            _ => next,
        }
    }

    /// Verifies the provider's signature and makes ours, where the route says so; or what becomes of
    /// a message for which that cannot be done.
    async fn authenticate<'a>(
        &self,
        message: &Message,
        route: &'a Route,
        attempt: u32,
        deadline: Timestamp,
    ) -> Result<Signatures<'a>, Step> {
        if route.secrets().next().is_none() {
            return Ok(Signatures::new());
        }
        let failure = match self.signatures(message, route, deadline).await {
            // Secrets may have taken their time.
            Ok(signatures) if deadline::may_start(now(), deadline, route.attempt_timeout()) => {
                return Ok(signatures);
            }
            Ok(_late) => {
                self.log_not_attempted(message, "deadline");
                return Err(Step::Keep { visible_in: Duration::ZERO });
            }
            Err(failure) => failure,
        };
        let line = Line { route: Some(&route.name()), ..line_about(message) };
        match failure {
            Failure::Unverified(error) => {
                let error = error.to_string();
                let (level, error_text) = (LogLevel::Warn, Some(error.as_str()));
                self.log(Line { level, message: "unverified", error: error_text, ..line });
                Err(self.refuse(message, Class::Unverified, error, deadline).await)
            }
            Failure::Secret(error) => {
                let wait = Verdict::Retry { at_least: Duration::ZERO };
                let next = wait.next(route, message.event_id(), attempt, message.age(now()));
                let retry_in_ms = if let Next::Retry(delay) = next { Some(delay) } else { None };
                self.log(Line {
                    level: LogLevel::Error,
                    message: "secret_unavailable",
                    attempt: Some(attempt),
                    error: Some(&error),
                    retry_in_ms,
                    ..line
                });
                match retry_in_ms {
                    Some(visible_in) => Err(Step::Keep { visible_in }),
                    None => Err(self.refuse(message, Class::GaveUp, error, deadline).await),
                }
            }
        }
    }

    async fn signatures<'a>(
        &self,
        message: &Message,
        route: &'a Route,
        deadline: Timestamp,
    ) -> Result<Signatures<'a>, Failure> {
        let time_left = || time_left(deadline, now());
        if let Some(verification) = route.verification_of(message) {
            signatures::verify(&self.secrets, message, verification, time_left()).await?;
        }
        signatures::sign(&self.secrets, message, route, now(), time_left()).await
    }

    /// Forgets who accepted an event that leaves the queue.
    fn forget(&self, message: &Message, route: &Route) {
        if route.destinations.len() > 1 {
            lock(&self.accepted).forget(&route.name(), message.event_id());
        }
    }

    /// Calls the destinations that do not have the event yet, side by side.
    async fn call<'a>(
        &self,
        message: &Message,
        route: &'a Route,
        headers: &HeaderMap,
        signatures: &Signatures<'_>,
    ) -> Vec<Part<'a>> {
        let body = Bytes::copy_from_slice(message.body.as_bytes());
        let part = async |destination: &'a Destination| {
            let mut headers = headers.clone();
            if let Some(signature) = signatures.get(destination.name()) {
                signature.sign(&mut headers);
            }
            let outcome = self.outcome(message, route, destination, headers, &body).await;
            let verdict = self.judge(message, route, destination, &outcome);
            Part { destination, outcome, verdict }
        };
        match route.destinations.as_slice() {
            [destination] => vec![part(destination).await],
            destinations => join_all(destinations.iter().map(part)).await,
        }
    }

    async fn outcome(
        &self,
        message: &Message,
        route: &Route,
        destination: &Destination,
        headers: HeaderMap,
        body: &Bytes,
    ) -> Outcome {
        if lock(&self.accepted).has(&route.name(), message.event_id(), &destination.name()) {
            return Outcome::AcceptedBefore;
        }
        if let Permit::Refused(pause) =
            self.breaker(route, destination, |breaker| breaker.permit(now()))
        {
            return Outcome::Refused(pause);
        }
        let posted = webhook::post(&self.client, &self.timers, destination, headers, body.clone());
        Outcome::Posted(posted.await)
    }

    /// The verdict on an outcome, remembered where the next attempts need it.
    fn judge(
        &self,
        message: &Message,
        route: &Route,
        destination: &Destination,
        outcome: &Outcome,
    ) -> Verdict {
        let now = now();
        let attempt = match outcome {
            Outcome::AcceptedBefore => return Verdict::Delivered,
            Outcome::Refused(pause) => Attempt::Refused(*pause),
            Outcome::Posted(Exchange { answer: Ok(answer), .. }) => Attempt::Answered {
                status: answer.status,
                retry_after: answer.retry_after.as_deref(),
            },
            Outcome::Posted(Exchange { answer: Err(error), .. }) => Attempt::Failed(*error),
        };
        let verdict = Verdict::of(&attempt, now);
        if let Outcome::Posted(_) = outcome {
            let answered = !matches!(verdict, Verdict::Retry { .. });
            self.breaker(route, destination, |breaker| breaker.record(now, answered));
        }
        if verdict == Verdict::Delivered && route.destinations.len() > 1 {
            lock(&self.accepted).add(&route.name(), message.event_id(), &destination.name());
        }
        verdict
    }

    /// Dead-letters a message that no attempt can be made for.
    async fn refuse(
        &self,
        message: &Message,
        class: Class,
        error: String,
        deadline: Timestamp,
    ) -> Step {
        let cause = Cause { error: Some(error), ..Cause::default() };
        let copy = dead_letter::dead_letter(message, class, cause, 0);
        if self.send_dead_letter(message, class, copy, deadline).await.is_ok() {
            return Step::Done;
        }
        let schedule = Schedule::default();
        let attempt = schedule.attempt_number(message.receive_count, message.age(now()));
        Step::Keep { visible_in: schedule.delay(message.event_id(), attempt) }
    }

    async fn send_dead_letter(
        &self,
        message: &Message,
        class: Class,
        copy: dead_letter::Copy,
        deadline: Timestamp,
    ) -> Result<(), QueueError> {
        let sent = self.queue.send_dead_letter(copy, time_left(deadline, now())).await;
        self.log_dead_letter(line_about(message), class, &sent);
        sent
    }

    async fn save_unreadable(
        &self,
        record: &Unreadable,
        deadline: Timestamp,
    ) -> Result<(), BatchError> {
        let copy = dead_letter::unreadable_dead_letter(record, now());
        let sent = self.queue.send_dead_letter(copy, time_left(deadline, now())).await;
        let line = Line { event_id: record.message_id.as_deref(), ..Line::default() };
        self.log_dead_letter(line, Class::Malformed, &sent);
        sent.map_err(|_logged| BatchError::Unreadable)
    }

    /// Within what is left of the invocation: the response must still get out.
    async fn change_visibility(&self, kept: &[Kept], deadline: Timestamp) {
        let left = deadline.since(now()).saturating_sub(deadline::RESPONSE_MARGIN / 2);
        if let Err(error) = self.queue.change_visibility(kept, left).await {
            self.logger.error(&error.to_string());
        }
    }

    fn breaker<T>(
        &self,
        route: &Route,
        destination: &Destination,
        ask: impl FnOnce(&mut Breaker) -> T,
    ) -> T {
        let mut breakers = lock(&self.breakers);
        let of_route = breakers.get_mut(route.name());
        let breaker = of_route.and_then(|of_route| of_route.get_mut(destination.name()));
        ask(breaker.expect("made for every route and destination"))
    }

    fn log(&self, line: Line<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.count(&line);
        }
        self.logger.write(line);
    }

    fn log_part(
        &self,
        message: &Message,
        route: &Route,
        attempt: u32,
        part: &Part<'_>,
        next: Next,
    ) {
        let (status, error, latency) = match &part.outcome {
            Outcome::AcceptedBefore => return,
            Outcome::Refused(_) => (None, Some("circuit_open"), None),
            Outcome::Posted(Exchange { answer: Ok(answer), latency }) => {
                (Some(answer.status), None, Some(*latency))
            }
            Outcome::Posted(Exchange { answer: Err(error), latency }) => {
                (None, Some(TransportError::as_str(*error)), Some(*latency))
            }
        };
        let (level, what, retry_in) = match (part.verdict, next, &part.outcome) {
            (Verdict::Delivered, _, _) => (LogLevel::Info, "delivered", None),
            (_, Next::DeadLetter(Class::Skipped), _) => (LogLevel::Warn, "skipped", None),
            (_, Next::Retry(delay), Outcome::Refused(_)) => {
                (LogLevel::Info, "not_attempted", Some(delay))
            }
            (Verdict::Retry { .. }, Next::Retry(delay), _) => {
                (LogLevel::Warn, "retry", Some(delay))
            }
            (Verdict::Retry { .. }, _, _) => (LogLevel::Error, "gave_up", None),
            (Verdict::Rejected, Next::Block(delay), _) => (LogLevel::Error, "blocked", Some(delay)),
            (Verdict::Rejected, _, _) => (LogLevel::Warn, "rejected", None),
        };
        let line = Line {
            level,
            message: what,
            route: Some(&route.name()),
            destination: Some(&part.destination.name()),
            attempt: Some(attempt),
            status,
            reason: error.filter(|_| what == "not_attempted"),
            error: error.filter(|_| what != "not_attempted"),
            latency_ms: latency,
            retry_in_ms: retry_in,
            ..line_about(message)
        };
        self.log(line);
    }

    fn log_dead_letter(&self, line: Line<'_>, class: Class, sent: &Result<(), QueueError>) {
        let error = sent.as_ref().err().map(ToString::to_string);
        self.log(Line {
            message: if error.is_none() { "dead_lettered" } else { "not_dead_lettered" },
            level: LogLevel::Error,
            reason: Some(class.as_str()),
            error: error.as_deref(),
            ..line
        });
    }

    fn log_not_attempted(&self, message: &Message, reason: &str) {
        let line = Line {
            level: LogLevel::Info,
            message: "not_attempted",
            reason: Some(reason),
            ..line_about(message)
        };
        self.log(line);
    }
}

fn breakers(config: &Config) -> BTreeMap<String, BTreeMap<String, Breaker>> {
    let of = |route: &Route| {
        let names = route.destinations.iter().map(|destination| destination.name().to_owned());
        names.map(|name| (name, Breaker::default())).collect()
    };
    config.routes().iter().map(|(name, route)| (name.clone(), of(route))).collect()
}

/// What every line about a message says.
fn line_about(message: &Message) -> Line<'_> {
    Line {
        event_id: Some(message.event_id()),
        route: message.route_name(),
        group: Some(&message.group_id),
        sequence: Some(&message.sequence_number),
        age_ms: Some(message.age(now())),
        ..Line::default()
    }
}

/// What a dead letter says: of the destinations, the first that failed.
fn cause(parts: &[Part<'_>]) -> Cause {
    let Some(part) = parts.iter().find(|part| part.verdict != Verdict::Delivered) else {
        return Cause::default();
    };
    let mut cause =
        Cause { destination: Some(part.destination.name().to_owned()), ..Cause::default() };
    match &part.outcome {
        Outcome::AcceptedBefore => {}
        Outcome::Refused(_) => cause.error = Some("circuit_open".to_owned()),
        Outcome::Posted(Exchange { answer: Ok(answer), .. }) => {
            cause.status = Some(answer.status);
            cause.response.clone_from(&answer.excerpt);
        }
        Outcome::Posted(Exchange { answer: Err(error), .. }) => {
            cause.error = Some(error.to_string());
        }
    }
    cause
}

/// What is left for a dead letter: after it, visibility timeouts are changed and the response is sent.
fn time_left(deadline: Timestamp, now: Timestamp) -> Duration {
    deadline.since(now).saturating_sub(deadline::RESPONSE_MARGIN)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
