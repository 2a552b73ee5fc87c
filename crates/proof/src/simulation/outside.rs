//! What is outside of a simulated forwarder.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::batch::Kept;
use domain::dead_letter::Outgoing;
use domain::outcome::TransportError;
use domain::route::Destination;
use domain::secret::{Secret, SecretReference};
use domain::time::Timestamp;
use forwarder::{AwsError, Exchange, IdentityError, Outside, QueueError};
use http::HeaderMap;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::service::{Request, Service};
use super::sqs::Sending;
use super::world::{FORWARDER, World};
use crate::history::Seen;
use crate::random::Random;
use crate::schedule::Fault;

/// Longest time of a call of AWS's services, with what the SDK repeats.
const CALL: Duration = Duration::from_secs(4);

/// The world, as a forwarder sees it.
pub(super) struct Simulated {
    world: Rc<World>,
    service: Rc<Service>,
    /// How far the wall clock is off, in milliseconds.
    is_off_ms: Rc<Cell<i64>>,
    random: RefCell<Random>,
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl Simulated {
    pub(super) fn new(
        world: &Rc<World>,
        service: &Rc<Service>,
        number: u64,
        is_off_ms: &Rc<Cell<i64>>,
    ) -> Self {
        Self {
            world: Rc::clone(world),
            service: Rc::clone(service),
            is_off_ms: Rc::clone(is_off_ms),
            random: RefCell::new(world.random(1_000_000 + number)),
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end)
    }

    /// A call of one of AWS's services: how long it takes, and whether it is done at all.
    async fn call(&self, fault: Fault, time_left: Duration) -> Result<Done, String> {
        let hangs = self.world.meets(fault);
        let takes = Duration::from_micros(1_000 + self.below(20_000));
        if !hangs {
            return match timeout(time_left, sleep(takes)).await {
                Ok(()) => Ok(Done::Yes),
                Err(_elapsed) => Err("the invocation ends before it is done".to_owned()),
            };
        }
        match self.below(3) {
            0 => {
                sleep(takes.min(time_left)).await;
                Err("throttled".to_owned())
            }
            // It is done, and the answer is lost.
            1 => {
                sleep(takes.min(time_left)).await;
                Ok(Done::Unheard)
            }
            _ => {
                sleep(time_left.min(CALL)).await;
                Err("no answer in time".to_owned())
            }
        }
    }
}

/// Whether a call is done, and whoever asked knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Yes,
    Unheard,
}

impl Done {
    fn told(self) -> Result<(), QueueError> {
        match self {
            Self::Yes => Ok(()),
            Self::Unheard => Err(QueueError("the answer was lost".to_owned())),
        }
    }
}

impl Outside for Simulated {
    fn now(&self) -> Timestamp {
        let wall = self.world.wall().as_ms();
        Timestamp::from_ms(wall.saturating_add_signed(self.is_off_ms.get()))
    }

    fn write(&self, lines: &[u8]) {
        self.world.search("the forwarder's log", lines);
        for line in lines.split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice(line) {
                note(&self.world, &line);
            }
        }
    }

    async fn post(&self, destination: &Destination, headers: HeaderMap, body: Bytes) -> Exchange {
        let began = Instant::now();
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
        let request = Request {
            destination: destination.name().to_owned(),
            event_id: id.unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let most = destination.timeout();
        let answer = timeout(most, self.service.post(request, most)).await;
        let answer = answer.unwrap_or(Err(TransportError::Timeout));
        Exchange { answer, latency: began.elapsed() }
    }

    /// No destination of a simulation asks who calls.
    fn identify(&self, _: &SecretReference, _: &Arc<Secret>) -> Result<(), IdentityError> {
        Ok(())
    }

    async fn change_visibility(
        &self,
        kept: &[Kept],
        time_left: Duration,
    ) -> Result<(), QueueError> {
        let done = self.call(Fault::VisibilityFails, time_left).await.map_err(QueueError)?;
        let timeouts = kept.iter();
        let timeouts =
            timeouts.map(|kept| (kept.receipt_handle.clone(), kept.visibility_timeout_seconds));
        let changed = self.world.change_visibility(timeouts.collect()).await;
        changed.map_err(QueueError).and(done.told())
    }

    async fn send_dead_letter(
        &self,
        letter: Outgoing,
        time_left: Duration,
    ) -> Result<(), QueueError> {
        let done = self.call(Fault::DeadLetterFails, time_left).await.map_err(QueueError)?;
        let Outgoing { body, group_id, deduplication_id, attributes } = letter;
        let sender = FORWARDER;
        let letter = Sending { body, group_id, deduplication_id, attributes, sender };
        let sent = self.world.send_dead_letter(letter).await;
        sent.map_err(|undone| QueueError(format!("{undone:?}"))).and(done.told())
    }

    async fn parameter(&self, name: &str, time_left: Duration) -> Result<Vec<u8>, AwsError> {
        match self.call(Fault::SecretFails, time_left).await {
            Ok(Done::Yes) => self.world.parameter(name).ok_or_else(|| AwsError::Refused {
                service: "ssm",
                status: 400,
                kind: "ParameterNotFound".to_owned(),
            }),
            Ok(Done::Unheard) => Err(AwsError::Timeout),
            Err(error) => Err(AwsError::Failed(error)),
        }
    }

    async fn secret(&self, _: &str, _: Duration) -> Result<Vec<u8>, AwsError> {
        Err(AwsError::Failed("no secret of a simulation is there".to_owned()))
    }
}

/// What is asked of a line of the log.
#[derive(Deserialize)]
struct Line<'a> {
    event_id: Option<&'a str>,
    error: Option<Cow<'a, str>>,
    group: Option<&'a str>,
    receive_count: Option<u32>,
    #[serde(borrow, default)]
    receipt_handles: Vec<&'a str>,
}

/// Notes what a line of the log tells.
fn note(world: &World, line: &Line<'_>) {
    if line.error.as_deref() == Some("timeout") {
        world.push(Seen::TimedOut { event_id: line.event_id.unwrap_or_default().to_owned() });
    }
    if let Some(group) = line.group.filter(|_| !line.receipt_handles.is_empty()) {
        let handles = line.receipt_handles.iter().map(|handle| (*handle).to_owned()).collect();
        let count = line.receive_count.unwrap_or_default();
        world.kept.borrow_mut().insert(group.to_owned(), (count, handles));
    }
}
