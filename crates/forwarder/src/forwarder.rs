//! One batch in, one batch response out. Groups are walked side by side, the messages of a group one
//! after another; what becomes of a message is decided by the domain, in one path.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use bytes::Bytes;
use domain::batch::{self, Group, Kept, Step};
use domain::config::{Config, LogLevel};
use domain::dead_letter::{self, Cause, Class, Unreadable};
use domain::json::JsonError;
use domain::memory::Memory;
use domain::message::Message;
use domain::outcome::{Answer, Attempt, Because, Next, Outcome, Receive};
use domain::route::{Destination, Route};
use domain::schedule::Schedule;
use domain::signature::Unverified;
use domain::time::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::HeaderMap;
use serde::Serialize;

use crate::client::Exchange;
use crate::gates::Gates;
use crate::invocation::Invocation;
use crate::logging::{Line, Logger, What};
use crate::metrics::Metrics;
use crate::network::Network;
use crate::outside::Outside;
use crate::repeat::Repeated;
use crate::report::{Beside, Report};
use crate::secrets::Secrets;
use crate::signatures::{self, Failure};
use crate::skips::SkipList;
use crate::{Settings, StartError, deliberate, event, lock, webhook};

/// The function: what is kept from one invocation to the next.
#[derive(Debug)]
pub struct Forwarder<O = Network> {
    config: Config,
    ingest_sender: Option<String>,
    outside: Arc<O>,
    secrets: Arc<Secrets<O>>,
    /// Where an operator has a way to list them.
    skips: Option<SkipList<O>>,
    report: Report<O>,
    gates: Gates,
    memory: Mutex<Memory>,
}

/// Why a whole batch failed; nothing of it is deleted then.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// What came is not an event source mapping's batch.
    #[error("the event is not a batch of sqs records: {0}")]
    Event(#[from] JsonError),
    /// A record that has not even an id could not be saved either.
    #[error("an unreadable record could not be put into the dead-letter queue")]
    Unreadable,
}

/// What the function answers: which messages stay, and how repeats ended.
///
/// Source of the first: Lambda guide, "Handling errors for an SQS event source".
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The messages that are not to be deleted.
    pub batch_item_failures: Vec<BatchItemFailure>,
    /// What an operator wanted to be sent once more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeated>,
}

/// How a receive ended, and how long each attempt of it took.
struct Ending<'r> {
    outcome: Outcome<'r>,
    latencies: Vec<Option<Duration>>,
}

impl<'r> From<Outcome<'r>> for Ending<'r> {
    fn from(outcome: Outcome<'r>) -> Self {
        Self { outcome, latencies: Vec::new() }
    }
}

impl Forwarder {
    /// Sets up everything that deliveries need.
    ///
    /// # Errors
    ///
    /// [`StartError`] if certificates or HTTP client cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        let network = Network::new(&settings)?;
        Ok(Self::within(settings, network))
    }
}

impl<O: Outside> Forwarder<O> {
    /// A forwarder to which this is outside.
    pub fn within(settings: Settings, outside: O) -> Self {
        let Settings { config, ingest_sender, skips, metrics, .. } = settings;
        let (outside, logger) = (Arc::new(outside), Logger::new(config.forwarder().log_level));
        let references = config.routes().values().flat_map(Route::secrets);
        let secrets = Arc::new(Secrets::new(references, Arc::clone(&outside), logger));
        Self {
            report: Report {
                outside: Arc::clone(&outside),
                logger,
                metrics: metrics.then(|| Metrics::new(config.environment())),
                answers: config.logs_answers().then(|| Arc::clone(&secrets)),
            },
            secrets,
            ingest_sender,
            skips: skips.map(|place| SkipList::new(place, Arc::clone(&outside), logger)),
            gates: Gates::new(&config),
            outside,
            config,
            memory: Mutex::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.outside.now()
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
    ) -> Result<Response, BatchError> {
        self.forward_in(event, Invocation::begin(self.now(), deadline.into()), trace).await
    }

    async fn forward_in(
        &self,
        event: &str,
        invocation: Invocation,
        trace: Option<&str>,
    ) -> Result<Response, BatchError> {
        // An HTTP API begins no trace, so a message seldom has one of its own.
        let trace = trace.filter(|trace| trace.contains("Sampled=1"));
        let batch = event::parse(event, self.now(), self.ingest_sender.as_deref())?;
        let (repeated, messages): (Vec<_>, Vec<_>) =
            batch.messages.into_iter().partition(Message::is_repeat);
        let mut repeats = Vec::new();
        for message in &repeated {
            repeats.push(self.repeat(message, trace, invocation).await);
        }
        let mut groups = batch::groups(messages);
        let mut kept = Vec::new();
        for record in &batch.unreadable {
            kept.extend(self.save_unreadable(record, &mut groups, invocation).await?);
        }
        match groups.as_mut_slice() {
            // The common case needs no side by side.
            [group] => kept.extend(self.walk(group, trace, invocation).await),
            groups => {
                let walks = groups.iter_mut().map(|group| self.walk(group, trace, invocation));
                kept.extend(join_all(walks).await.into_iter().flatten());
            }
        }
        if !kept.is_empty() {
            self.change_visibility(&kept, invocation).await;
        }
        if let Some(metrics) = &self.report.metrics {
            self.outside.write(&metrics.take(self.now()));
        }
        let mut response = SqsBatchResponse::default();
        let failed = repeats.iter().filter(|repeat| !repeat.delivered);
        let failed = failed.map(|repeat| repeat.message_id.clone());
        response.set_failures(kept.into_iter().map(|kept| kept.message_id).chain(failed));
        Ok(Response { batch_item_failures: response.batch_item_failures, repeats })
    }

    /// Attempts what an operator wants to be sent once more, once, beside whatever waits.
    async fn repeat(
        &self,
        message: &Message,
        trace: Option<&str>,
        invocation: Invocation,
    ) -> Repeated {
        let route = self.config.route_of_message(message);
        let receive = self.receive(message, route.as_ref().ok().copied(), invocation);
        let ending = match &route {
            Ok(route) => self.deliver(message, route, receive, trace, invocation).await,
            Err(error) => Outcome::Unroutable { error: error.to_string() }.into(),
        };
        lock(&self.memory).forget(message);
        let route = route.ok();
        let repeated = Repeated::of(message, route, &ending.outcome, &ending.latencies);
        repeated.tell(&self.report, message, route);
        repeated
    }

    /// Attempts a group's messages in order and returns what stays in the queue. A fault of ours while
    /// it does costs this group a repeat, and no other anything.
    async fn walk(
        &self,
        group: &mut Group,
        trace: Option<&str>,
        invocation: Invocation,
    ) -> Vec<Kept> {
        let mut kept = Vec::new();
        for follower in group.followers() {
            lock(&self.memory).stands_behind(follower);
        }
        while let Some(message) = group.head() {
            let step = AssertUnwindSafe(self.attempt(message, group, trace, invocation));
            let step = step.catch_unwind().await;
            let step = step.unwrap_or_else(|_panic| {
                let (level, what) = (LogLevel::Error, What::Failed);
                self.report.line(Line { level, what, ..self.report.about(message) });
                self.after_trouble(message, invocation)
            });
            let step = match step {
                Step::Keep { .. } if deliberate::is_there("forget-what-stays") => Step::Done,
                Step::Keep { visible_in } if deliberate::is_there("overtake-failed") => {
                    let mut alone = batch::groups(vec![message.clone()]);
                    kept.extend(
                        alone.iter_mut().flat_map(|alone| alone.step(Step::Keep { visible_in })),
                    );
                    Step::Done
                }
                step => step,
            };
            if let Step::Keep { visible_in } = step {
                let reason = if visible_in.is_zero() { "deadline" } else { "behind_failed" };
                for follower in group.followers() {
                    self.report.behind(follower, reason);
                    lock(&self.memory).put_back(follower);
                }
            }
            kept.extend(group.step(step));
        }
        kept
    }

    /// Attempts `message`, the head of `group`.
    async fn attempt(
        &self,
        message: &Message,
        group: &Group,
        trace: Option<&str>,
        invocation: Invocation,
    ) -> Step {
        let route = self.config.route_of_message(message);
        let receive = self.receive(message, route.as_ref().ok().copied(), invocation);
        let ending = match &route {
            Ok(route) => self.deliver(message, route, receive, trace, invocation).await,
            Err(error) => Outcome::Unroutable { error: error.to_string() }.into(),
        };
        let receive = Receive { age: message.age(invocation.now()), ..receive };
        self.settle(message, group, route.ok(), &ending, receive, invocation).await
    }

    /// This receive of `message`, by what is remembered of it.
    fn receive<'m>(
        &self,
        message: &'m Message,
        route: Option<&Route>,
        invocation: Invocation,
    ) -> Receive<'m> {
        let memory = lock(&self.memory);
        let made = memory.attempts_made(message);
        Receive::of(message, route, memory.receives_for_attempts(message), made, invocation.now())
    }

    /// Calls the destinations of `message`, if everything that this takes is at hand.
    async fn deliver<'r>(
        &self,
        message: &Message,
        route: &'r Route,
        receive: Receive<'_>,
        trace: Option<&str>,
        invocation: Invocation,
    ) -> Ending<'r> {
        let has_time = || invocation.may_start(route.attempt_timeout());
        if !has_time() {
            return Outcome::NoTime.into();
        }
        let headers = match webhook::headers(message, route, receive.attempt, trace) {
            Ok(headers) => headers,
            Err(error) => return Outcome::Malformed { error: error.to_string() }.into(),
        };
        let headers = match self.authenticate(message, route, headers, invocation).await {
            Ok(headers) => headers,
            Err(failure) => return Outcome::from(failure).into(),
        };
        // Secrets may have taken their time.
        if !has_time() {
            return Outcome::NoTime.into();
        }
        let body = Bytes::copy_from_slice(message.body.as_bytes());
        let asked = if deliberate::is_there("miss-fellow") { 1 } else { usize::MAX };
        let calls = route.destinations().iter().zip(headers).take(asked).map(
            async |(destination, headers)| {
                self.call(message, route, destination, headers, body.clone(), invocation).await
            },
        );
        let ended = match route.destinations() {
            [_one] => {
                let mut ended = Vec::with_capacity(1);
                for call in calls {
                    ended.push(call.await);
                }
                ended
            }
            _ => join_all(calls).await,
        };
        let (attempts, latencies): (Vec<Attempt>, Vec<Option<Duration>>) =
            ended.into_iter().unzip();
        let outcome = Outcome::Asked(route.destinations().iter().zip(attempts).collect());
        Ending { outcome, latencies }
    }

    /// Verifies the provider's signature, has at hand what the destinations know us by, and makes of
    /// the common headers those of each.
    async fn authenticate(
        &self,
        message: &Message,
        route: &Route,
        headers: HeaderMap,
        invocation: Invocation,
    ) -> Result<Vec<HeaderMap>, Failure> {
        let time_left = || invocation.time_for_calls();
        let forgets = deliberate::is_there("no-verification");
        if let Some(verification) = route.verification_of(message).filter(|_| !forgets) {
            if deliberate::is_there("log-secret") {
                signatures::log_secrets(&self.secrets, verification, time_left()).await;
            }
            if deliberate::is_there("refuse-genuine") {
                return Err(Failure::Unverified(Unverified::Mismatch("refused".to_owned())));
            }
            signatures::verify(&self.secrets, message, verification, invocation).await?;
        }
        for destination in route.destinations() {
            signatures::identify(&*self.outside, &self.secrets, destination, time_left()).await?;
        }
        signatures::headers(&self.secrets, message, route, headers, self.now(), time_left()).await
    }

    /// Calls one destination, unless it need not be called, or not now.
    async fn call(
        &self,
        message: &Message,
        route: &Route,
        destination: &Destination,
        headers: HeaderMap,
        body: Bytes,
        invocation: Invocation,
    ) -> (Attempt, Option<Duration>) {
        let (before, standing) = {
            let memory = lock(&self.memory);
            (memory.attempt_before(message, destination.name()), memory.standing(message))
        };
        if let Some(attempt) = before {
            return (attempt, None);
        }
        let patience = invocation.time_to_wait(destination.timeout());
        let passage = match self.gates.enter(route, destination, standing, patience).await {
            Ok(passage) => passage,
            Err(refusal) => return (Attempt::NotMade(refusal), None),
        };
        let Exchange { answer, latency } = self.outside.post(destination, headers, body).await;
        let answer = answer.map(|answer| match answer.status {
            429 if deliberate::is_there("reject-429") => Answer { status: 422, ..answer },
            _ => answer,
        });
        let attempt = answer.map_or_else(Attempt::Failed, Attempt::Answered);
        passage.leave(route.signal(&attempt, self.now()));
        lock(&self.memory).remember(message, route, destination, &attempt);
        (attempt, Some(latency))
    }

    /// Does with a message what its receive led to: the one place where a message leaves or stays.
    async fn settle(
        &self,
        message: &Message,
        group: &Group,
        route: Option<&Route>,
        ending: &Ending<'_>,
        receive: Receive<'_>,
        invocation: Invocation,
    ) -> Step {
        let outcome = &ending.outcome;
        let mut next = outcome.next(route, receive, self.now());
        if let (Next::Keep { visible_in, .. }, Some(route)) = (&next, route)
            && !visible_in.is_zero()
            && self.is_skipped(message, invocation).await
        {
            next = outcome.skipped(route, receive);
            if deliberate::is_there("skip-silently") {
                next = Next::Delivered;
            }
        }
        next = with_deliberate_fault(next, route, message);
        let handles: Vec<&str> = match &next {
            Next::Keep { .. } => group.all().map(|it| it.receipt_handle.as_str()).collect(),
            Next::Delivered | Next::DeadLetter { .. } => Vec::new(),
        };
        let beside = Beside { latencies: &ending.latencies, handles: &handles };
        self.report.outcome(message, route, outcome, receive, &next, beside);
        if deliberate::is_there("log-body") {
            let about = Line { error: Some(&message.body), ..self.report.about(message) };
            self.report.line(about);
        }
        if let Next::DeadLetter { class, cause, attempts } = next {
            let delivered_to = lock(&self.memory).delivered_to(message, route);
            let letter = dead_letter::dead_letter(message, class, cause, attempts, delivered_to);
            let about = Line { route: route.map(Route::name), ..self.report.about(message) };
            next = if self.send_dead_letter(letter, class, about, invocation).await {
                Next::Delivered
            } else {
                Next::unsent(route, receive)
            };
        }
        let mut memory = lock(&self.memory);
        match next {
            Next::Delivered | Next::DeadLetter { .. } => {
                memory.forget(message);
                Step::Done
            }
            Next::Keep { visible_in, because } => {
                match because {
                    Because::NotAttempted => memory.put_back(message),
                    Because::Failed | Because::Blocked => memory.attempted(message),
                }
                Step::Keep { visible_in }
            }
        }
    }

    /// Whether an operator wants a message out of the way that would stay otherwise.
    async fn is_skipped(&self, message: &Message, invocation: Invocation) -> bool {
        let Some(skips) = &self.skips else { return false };
        skips.current(invocation.time_for_calls()).await.want(message)
    }

    /// Sends a dead letter, and says whether it is in the queue.
    async fn send_dead_letter(
        &self,
        letter: dead_letter::Outgoing,
        class: Class,
        about: Line<'_>,
        invocation: Invocation,
    ) -> bool {
        let is_dropped = match class {
            Class::GaveUp => deliberate::is_there("drop-on-give-up"),
            Class::Rejected => deliberate::is_there("drop-rejected"),
            Class::Unverified => deliberate::is_there("drop-unverified"),
            _ => false,
        };
        if is_dropped {
            return true;
        }
        let time_left = invocation.time_for_calls();
        let error = self.outside.send_dead_letter(letter, time_left).await.err();
        let error = error.map(|error| error.to_string());
        self.report.dead_letter(about, class, error.as_deref());
        error.is_none()
    }

    /// Saves a record that is no message. If it cannot be, it stays, and so does its group.
    async fn save_unreadable(
        &self,
        record: &Unreadable,
        groups: &mut Vec<Group>,
        invocation: Invocation,
    ) -> Result<Vec<Kept>, BatchError> {
        let letter = dead_letter::unreadable_dead_letter(record, self.now());
        let about = Line { event_id: record.message_id.as_deref(), ..Line::default() };
        if self.send_dead_letter(letter, Class::Malformed, about, invocation).await {
            return Ok(Vec::new());
        }
        let visible_in = Schedule::default().max_delay();
        let mut kept = vec![record.kept(visible_in).ok_or(BatchError::Unreadable)?];
        let its_group = record.group_id.as_deref().unwrap_or_default();
        for group in groups.iter_mut().filter(|group| group.is(its_group)) {
            group.all().for_each(|message| self.report.behind(message, "behind_failed"));
            kept.extend(group.step(Step::Keep { visible_in }));
        }
        groups.retain(|group| group.head().is_some());
        Ok(kept)
    }

    /// Where a message stays of which nobody knows what became.
    fn after_trouble(&self, message: &Message, invocation: Invocation) -> Step {
        let receive = self.receive(message, None, invocation);
        match Next::unsent(None, receive) {
            Next::Keep { visible_in, .. } => Step::Keep { visible_in },
            Next::Delivered | Next::DeadLetter { .. } => unreachable!("what is unsent stays"),
        }
    }

    /// Within what is left of the invocation: the response must still get out.
    async fn change_visibility(&self, kept: &[Kept], invocation: Invocation) {
        let left = invocation.time_for_visibility();
        if let Err(error) = self.outside.change_visibility(kept, left).await {
            self.report.error(&error.to_string());
        }
    }
}

/// What one of the deliberate faults makes of it.
fn with_deliberate_fault(next: Next, route: Option<&Route>, message: &Message) -> Next {
    let there = deliberate::is_there;
    match next {
        Next::Delivered if there("repeat-delivered") && message.receive_count == 1 => {
            Next::Keep { visible_in: Duration::from_secs(1), because: Because::Failed }
        }
        Next::Keep { because: Because::Failed, .. } if there("delete-on-failure") => {
            Next::Delivered
        }
        Next::Keep { because: Because::Failed, .. } if there("give-up-early") => {
            Next::DeadLetter { class: Class::GaveUp, cause: Cause::default(), attempts: 1 }
        }
        Next::Keep { because: Because::Failed, .. } if there("wait-too-long") => {
            Next::Keep { visible_in: Duration::from_secs(100), because: Because::Failed }
        }
        Next::Keep { because: Because::Blocked, .. } if there("overtake-blocked") => {
            let cause = Cause { status: Some(422), ..Cause::default() };
            Next::DeadLetter { class: Class::Rejected, cause, attempts: 1 }
        }
        Next::DeadLetter { class: Class::Rejected, cause, attempts }
            if there("untrue-reason") && route.is_some() =>
        {
            Next::DeadLetter { class: Class::GaveUp, cause, attempts }
        }
        next => next,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A service that answers whatever comes with `status`, and the requests that it has had.
    async fn service(status: &'static str) -> (String, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut bytes = [0; 4_096];
                    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                        lock(&kept).push_str(&String::from_utf8_lossy(&bytes[..read]));
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (url, requests)
    }

    /// A forwarder to the service at `url`, with AWS at `aws`.
    fn forwarder(url: &str, aws: &str) -> Forwarder {
        let destinations = json!([{ "name": "sss", "url": url }]);
        let broken = json!({ "path": "/broken", "ordering_key": "$request.header.x-key",
            "destinations": [{ "name": "sss", "url": url, "sign": { "secrets": ["env:NONE"] } }] });
        let well = json!({ "path": "/well", "ordering_key": "$request.header.x-key",
            "destinations": destinations });
        let routes = json!({ "broken": broken, "well": well });
        let config = json!({ "environment": "test", "routes": routes }).to_string();
        let variables = [
            ("WEBHOOK_QUEUE_CONFIG", config.as_str()),
            ("QUEUE_URL", &format!("{aws}1")),
            ("DEAD_LETTER_QUEUE_URL", &format!("{aws}2")),
            ("AWS_ENDPOINT_URL", aws),
            ("AWS_REGION", "ap-northeast-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let get = |name: &str| variables.iter().find(|(it, _)| *it == name);
        let settings = Settings::read(|name| get(name).map(|(_, value)| (*value).to_owned()));
        Forwarder::new(settings.unwrap()).unwrap()
    }

    fn record(number: u32, group: &str, route: &str) -> serde_json::Value {
        json!({
            "messageId": format!("m-{number}"), "receiptHandle": "r", "body": "{}",
            "attributes": { "MessageGroupId": group, "SequenceNumber": number.to_string() },
            "messageAttributes": {
                "route": { "dataType": "String", "stringValue": route },
            },
        })
    }

    fn failed(response: &Response) -> Vec<&str> {
        response.batch_item_failures.iter().map(|it| it.item_identifier.as_str()).collect()
    }

    /// A panic is a fault of ours, and the next receive may be luckier: it keeps what is behind it in its
    /// own group, and nothing of another.
    #[tokio::test]
    async fn a_panic_costs_its_group_a_repeat_and_no_other_anything() {
        let (url, _requests) = service("200 OK").await;
        // It has a fault: it knows no secret of its configuration, which the route `broken` needs.
        let mut forwarder = forwarder(&url, "http://127.0.0.1:9/");
        Arc::get_mut(&mut forwarder.secrets).unwrap().forget_all();
        let records = [
            record(1, "panics", "well"),
            record(2, "panics", "broken"),
            record(3, "panics", "well"),
            record(4, "other", "well"),
            record(5, "panics", "well"),
        ];
        let event = json!({ "Records": records }).to_string();
        let deadline = SystemTime::now() + Duration::from_mins(1);
        let response = forwarder.forward(&event, deadline, None).await.unwrap();
        assert_eq!(failed(&response), ["m-2", "m-3", "m-5"]);
    }

    /// It was set forward by more than an event is tried for, when the invocation had begun.
    #[tokio::test]
    async fn a_wall_clock_that_is_set_in_an_invocation_gives_nothing_up() {
        let (url, requests) = service("503 Service Unavailable").await;
        let (aws, calls) = service("200 OK").await;
        let forwarder = forwarder(&url, &aws);
        let wall = Timestamp::from(SystemTime::now()).minus(Duration::from_hours(80));
        let mut record = record(1, "k", "well");
        record["attributes"]["SentTimestamp"] = json!(wall.as_ms().to_string());
        let invocation = Invocation::begin(wall, wall.plus(Duration::from_mins(1)));
        let event = json!({ "Records": [record] }).to_string();
        let response = forwarder.forward_in(&event, invocation, None).await.unwrap();
        assert_eq!(failed(&response), ["m-1"]);
        assert!(lock(&requests).starts_with("POST / "), "there is time left for an attempt");
        let calls = lock(&calls);
        assert!(calls.contains("ChangeMessageVisibility"), "{calls}");
        assert!(!calls.contains("AmazonSQS.SendMessage"), "it is no dead letter: {calls}");
    }
}
