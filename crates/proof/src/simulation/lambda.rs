//! Lambda and its event source mapping: batches, partial batch responses, functions that crash, time out and
//! are throttled.
//!
//! Sources: Lambda guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source".

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use engine::simulation::Watched;
use forwarder::{BatchError, Response};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{sleep, sleep_until, timeout};

use super::configuration::Kind;
use super::function::{Environment, cut_off};
use super::processes::Processes;
use super::service::Service;
use super::sqs::Stored;
use super::world::World;
use crate::random::Random;
use crate::schedule::Fault;

/// How often a throttled batch is given to the function again. Source: as above, "the event source mapping
/// retries until the visibility timeout ends".
const THROTTLED_FOR: Duration = Duration::from_secs(5);
/// How far a wall clock is set in an invocation.
const CLOCK_STEP_MS: i64 = 4 * 60 * 60 * 1_000;
/// How far it may be off where it is compared with the queue's: less than `domain::freshness` allows.
const SKEW_MS: i64 = 900;

/// The mapping, and the function's environments.
pub(super) struct Mapping {
    world: Rc<World>,
    service: Rc<Service>,
    random: RefCell<Random>,
    enabled: Watched<bool>,
    polling: Mutex<()>,
    /// Of the function.
    pub(super) running: Processes,
    idle: RefCell<Vec<Deployed>>,
    made: Cell<u64>,
    /// Environments of a former deployment take no more.
    deployment: Cell<u64>,
}

/// A process of the function, of a deployment.
struct Deployed {
    environment: Environment,
    deployment: u64,
}

/// How an invocation ended.
enum Ended {
    Answered(Result<Response, BatchError>),
    TimedOut,
    Crashed,
}

impl Mapping {
    pub(super) fn new(world: &Rc<World>, service: &Rc<Service>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            service: Rc::clone(service),
            random: RefCell::new(world.random(31)),
            enabled: Watched::new(true),
            polling: Mutex::default(),
            running: Processes::default(),
            idle: RefCell::default(),
            made: Cell::default(),
            deployment: Cell::default(),
        })
    }

    /// Has the function invoked, as often at a time as it may be.
    pub(super) fn start(self: &Rc<Self>) {
        for _ in 0..self.world.configuration.borrow().concurrency {
            tokio::task::spawn_local(Rc::clone(self).work());
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end)
    }

    async fn work(self: Rc<Self>) {
        loop {
            let batch = {
                // One after another: what one of them takes no other is woken for.
                let _turn = self.polling.lock().await;
                match self.next().await {
                    Some(batch) => {
                        self.running.begin();
                        batch
                    }
                    None => return,
                }
            };
            self.serve(&batch).await;
            self.running.end();
        }
    }

    /// The next batch, once there is one; `None` when the day is over.
    async fn next(&self) -> Option<Vec<Stored>> {
        let mut queue = self.world.changes();
        loop {
            self.enabled.once(|enabled| enabled).await;
            queue.mark_unchanged();
            let most = self.world.configuration.borrow().batch_size();
            let batch = self.world.receive(most);
            if !batch.is_empty() {
                return Some(batch);
            }
            let next = self.world.next_visible().map(|at| self.world.instant(at));
            let shown = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = queue.changed() => changed.ok()?,
                () = shown => {}
            }
            // Nobody polls at the very moment.
            sleep(Duration::from_micros(500 + self.below(40_000))).await;
        }
    }

    async fn serve(&self, batch: &[Stored]) {
        sleep(Duration::from_micros(500 + self.below(20_000))).await;
        if self.world.meets(Fault::Throttle) {
            // It was received for nothing.
            sleep(THROTTLED_FOR).await;
            return;
        }
        let environment = match self.idle_environment() {
            Some(environment) => environment,
            None => self.new_environment().await,
        };
        let response = match self.invoke(&environment.environment, batch).await {
            Ended::Answered(Ok(response)) => response,
            Ended::Answered(Err(_error)) => return self.idle.borrow_mut().push(environment),
            Ended::TimedOut | Ended::Crashed => {
                self.world.died("forwarder");
                return;
            }
        };
        // Lambda ends an environment whenever it likes.
        if self.below(40) != 0 {
            self.idle.borrow_mut().push(environment);
        }
        let response = serde_json::to_value(&response).unwrap_or_default();
        sleep(Duration::from_micros(500 + self.below(20_000))).await;
        if self.world.meets(Fault::DeleteFails) {
            self.world.died("event source mapping");
            return;
        }
        for message in done(batch, &response) {
            if !self.world.delete(&message.receipt_handle()) {
                self.world.died("event source mapping");
            }
        }
    }

    fn idle_environment(&self) -> Option<Deployed> {
        let mut idle = self.idle.borrow_mut();
        let deployment = self.deployment.get();
        idle.retain(|environment| environment.deployment == deployment);
        if idle.is_empty() {
            return None;
        }
        let place = usize::try_from(self.below(idle.len() as u64)).unwrap_or_default();
        Some(idle.remove(place))
    }

    async fn new_environment(&self) -> Deployed {
        let number = self.made.replace(self.made.get() + 1);
        let deployment = self.deployment.get();
        let takes = Duration::from_micros(100_000 + self.below(400_000));
        let environment = Environment::start(&self.world, &self.service, number, takes).await;
        Deployed { environment, deployment }
    }

    /// Runs the function once, unless it is cut off: after its time, at a poll, or with everything else.
    async fn invoke(&self, environment: &Environment, batch: &[Stored]) -> Ended {
        let event = event(batch);
        let most = self.world.configuration.borrow().function_timeout;
        let deadline = UNIX_EPOCH + Duration::from_millis(self.world.wall().plus(most).as_ms());
        let crash_at = self.running.crash(&self.world);
        let kills = self.running.kills();
        let _clock = self.clock_steps(&environment.is_off_ms);
        let call = cut_off(environment.forwarder.forward(&event, deadline, None), crash_at);
        tokio::select! {
            biased;
            () = self.running.once_killed_after(kills) => Ended::Crashed,
            ended = timeout(most, call) => match ended {
                Ok(Some(answered)) => Ended::Answered(answered),
                Ok(None) => Ended::Crashed,
                Err(_elapsed) => Ended::TimedOut,
            },
        }
    }

    /// Sets a wall clock for as long as an invocation takes, after it has begun.
    fn clock_steps(&self, clock: &Rc<Cell<i64>>) -> Option<ClockStep> {
        if !self.world.meets(Fault::ForwarderClock) {
            return None;
        }
        // Whoever compares it with the queue's clock relies on that.
        let is_compared = self.world.configuration.borrow().routes.contains(&Kind::Signed);
        let by = if is_compared { SKEW_MS } else { CLOCK_STEP_MS };
        let by = if self.below(2) == 0 { by } else { -by };
        let after = Duration::from_micros(1_000 + self.below(50_000));
        let clock = Rc::clone(clock);
        let set = Rc::clone(&clock);
        let task = tokio::task::spawn_local(async move {
            sleep(after).await;
            set.set(by);
        });
        Some(ClockStep { clock, task })
    }

    // What is done to it.

    /// Ends everything that runs, once something does, within this time.
    pub(super) async fn kill_when_busy(&self, within: Duration) {
        let some_time = || Duration::from_micros(self.below(200_000));
        self.running.while_busy(within, some_time).await;
        self.end_all();
    }

    /// Ends everything that runs, or is idle.
    pub(super) fn kill_all(&self) {
        self.end_all();
        self.world.died("forwarder");
    }

    fn end_all(&self) {
        self.running.kill_by_fault(&self.world);
        self.idle.borrow_mut().clear();
    }

    /// Replaces all environments by what is configured now, once they are idle.
    pub(super) fn deploy(&self) {
        self.deployment.set(self.deployment.get() + 1);
    }

    /// Takes no more batches; returns once those under way have ended.
    pub(super) async fn disable(&self) {
        self.enabled.set(false);
        // What was on its way when a function was killed has arrived by then.
        self.running.once_idle().await;
        sleep(Duration::from_secs(1)).await;
    }

    pub(super) fn enable(&self) {
        self.enabled.set(true);
    }
}

/// A wall clock that is set; it is right again when this is dropped.
struct ClockStep {
    clock: Rc<Cell<i64>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ClockStep {
    fn drop(&mut self) {
        self.task.abort();
        self.clock.set(0);
    }
}

/// Which messages of a batch are done with.
fn done<'a>(batch: &'a [Stored], response: &Value) -> Vec<&'a Stored> {
    let failures = response["batchItemFailures"].as_array().cloned().unwrap_or_default();
    let failed: BTreeSet<&str> =
        failures.iter().filter_map(|it| it["itemIdentifier"].as_str()).collect();
    let is_known = |id: &&str| batch.iter().any(|message| message.message_id == *id);
    if failed.len() < failures.len() || !failed.iter().all(is_known) {
        return Vec::new();
    }
    batch.iter().filter(|message| !failed.contains(message.message_id.as_str())).collect()
}

/// The event of a batch. Source: Lambda guide, example FIFO queue message event.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    receipt_handle: String,
    body: &'a str,
    attributes: SystemAttributes<'a>,
    message_attributes: BTreeMap<&'a str, MessageAttribute<'a>>,
    event_source: &'a str,
    aws_region: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SystemAttributes<'a> {
    approximate_receive_count: String,
    sent_timestamp: String,
    sequence_number: String,
    message_group_id: &'a str,
    sender_id: &'a str,
    message_deduplication_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageAttribute<'a> {
    data_type: &'a str,
    string_value: &'a str,
}

fn event(batch: &[Stored]) -> String {
    let records = batch.iter().map(|message| {
        let sending = &message.sending;
        let attributes = sending.attributes.iter().map(|(name, attribute)| {
            // Nothing that is simulated sends bytes.
            let (data_type, string_value) = (&*attribute.data_type, &*attribute.value);
            (name.as_str(), MessageAttribute { data_type, string_value })
        });
        Record {
            message_id: &message.message_id,
            receipt_handle: message.receipt_handle(),
            body: &sending.body,
            attributes: SystemAttributes {
                approximate_receive_count: message.receive_count.to_string(),
                sent_timestamp: World::wall_at(message.sent_at).as_ms().to_string(),
                sequence_number: message.sequence.to_string(),
                message_group_id: &sending.group_id,
                sender_id: sending.sender,
                message_deduplication_id: &sending.deduplication_id,
            },
            message_attributes: attributes.collect(),
            event_source: "aws:sqs",
            aws_region: "ap-northeast-1",
        }
    });
    serde_json::to_string(&Event { records: records.collect() }).expect("strings and lists")
}
