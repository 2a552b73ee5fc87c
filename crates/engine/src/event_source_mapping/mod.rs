//! The event source mapping: from the queue to the function, as Lambda's pollers do it.
//!
//! There is a worker per process of the function. It receives a batch when its process is free, so
//! that nothing is received that would have to wait; the store gives it groups that nobody else
//! works on. What the function is done with is deleted. What failed is left alone: its visibility
//! timeout, the queue's or the one that the function set, says when it comes back.
//!
//! Source: Lambda guide, "Using Lambda with Amazon SQS".

mod event;
mod pauses_file;
mod response;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::config::LogLevel;
use domain::pause::{Pause, Pauses, UNKNOWN};
use domain::quota::INVOCATION_BYTES_MAX;
use domain::time::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use event::EventSource;

use crate::clock::Uptime;
use crate::deliberate;
use crate::function::{Function, INIT_TIMEOUT, InvocationError, Process, ms};
use crate::log::Log;
use crate::storage_health::StorageHealth;
use crate::store::{ReceiveRequest, ReceivedMessage, Store, StoreError};
use crate::watched::Watched;
use pauses_file::PausesFile;
use response::BatchResult;

/// Who received a message, for the store.
const RECEIVER: &str = "event-source-mapping";

/// Longest wait of one look at the queue; a new message ends it. Source: Lambda guide, long polling.
const WAIT_SECONDS: u32 = 20;

/// Pause before storage that failed is tried again.
const STORAGE_PAUSE: Duration = Duration::from_millis(500);

/// What the mapping is made of.
pub(crate) struct MappingOptions {
    pub(crate) store: Store,
    pub(crate) queue: String,
    pub(crate) source: EventSource,
    pub(crate) function: Arc<Function>,
    pub(crate) workers: u32,
    pub(crate) batch_size: u32,
    pub(crate) visibility_timeout: Duration,
    pub(crate) log: Log,
    pub(crate) health: StorageHealth,
}

/// A mapping at work.
pub(crate) struct EventSourceMapping {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

/// How long a pause is not answered while messages are received, which takes as long as a commit.
const RECEIVES_END_WITHIN: Duration = Duration::from_secs(5);

/// What to ask of a mapping, or change about it.
#[derive(Clone)]
pub(crate) struct MappingHandle(Arc<Shared>);

struct Shared {
    options: MappingOptions,
    pauses: tokio::sync::Mutex<Kept>,
    wanted: Watched<Wanted>,
    /// When the next pause ends by itself.
    next_end: watch::Sender<Option<Timestamp>>,
    counts: Counts,
    /// Workers that may take messages from the queue.
    receiving: watch::Sender<usize>,
    /// Held while a message is given to the function beside all batches.
    once: tokio::sync::Mutex<()>,
}

/// The pauses, and where they are kept.
struct Kept {
    file: PausesFile,
    pauses: Pauses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Enabled,
    Disabled,
    Stopped,
}

#[derive(Default)]
struct Counts {
    batches_in_flight: Arc<AtomicU64>,
    invocations: AtomicU64,
    invocation_errors: AtomicU64,
    messages_deleted: AtomicU64,
    messages_failed: AtomicU64,
}

/// How a mapping is, in Lambda's words where it has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct MappingStatus {
    /// Whether it is to poll.
    pub(crate) enabled: bool,
    /// `Enabled`, `Disabling` while messages are received or batches under way, `Disabled`.
    pub(crate) state: &'static str,
    /// Batches that the function works on.
    pub(crate) batches_in_flight: u64,
    /// Invocations since the engine started.
    pub(crate) invocations: u64,
    /// Invocations that failed as a whole.
    pub(crate) invocation_errors: u64,
    /// Messages that the function was done with, since the engine started.
    pub(crate) messages_deleted: u64,
    /// Messages that came back, each time counted.
    pub(crate) messages_failed: u64,
}

/// Messages that were received together.
struct Batch {
    messages: Vec<ReceivedMessage>,
    event: Bytes,
    received: Uptime,
    _in_flight: InFlight,
}

/// Counts a batch for as long as it is in flight.
struct InFlight(Arc<AtomicU64>);

impl InFlight {
    fn begin(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a worker for as long as it may take messages from the queue.
struct Receiving<'a>(&'a watch::Sender<usize>);

impl<'a> Receiving<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl EventSourceMapping {
    /// Releases what this engine's last run still held, and starts to work. The pauses are kept in
    /// `data_dir`.
    pub(crate) async fn start(
        options: MappingOptions,
        data_dir: Option<&Path>,
    ) -> Result<Self, MappingError> {
        // Safe, because the processes that these messages were given to are gone with the last run
        // (its lock on the data directory is), and because what stays in flight holds back all that
        // is behind it: order holds, and a repeat of what was in flight is all that can happen.
        // Waiting for the visibility timeout would give the same, minutes later. A delay that the
        // function asked for is no longer the receiver's and stays.
        let released = options.store.release_in_flight(&options.queue, RECEIVER).await?;
        if released > 0 {
            let fields = json!({ "messages": released });
            options.log.line(LogLevel::Info, "released what was in flight", fields);
        }
        let file = PausesFile::new(data_dir);
        let pauses = file.open()?;
        let wanted = Wanted::with(&pauses);
        let workers = options.workers;
        let shared = Arc::new(Shared {
            options,
            wanted: Watched::new(wanted),
            next_end: watch::Sender::new(pauses.next_end()),
            pauses: tokio::sync::Mutex::new(Kept { file, pauses }),
            counts: Counts::default(),
            receiving: watch::Sender::new(0),
            once: tokio::sync::Mutex::default(),
        });
        let failures = shared.options.store.failures();
        let work = || failures.clone().task("the event source mapping", Arc::clone(&shared).work());
        let workers = (0..workers).map(|_| work()).collect();
        Ok(Self { shared, workers })
    }

    pub(crate) fn handle(&self) -> MappingHandle {
        MappingHandle(Arc::clone(&self.shared))
    }

    /// Takes no more batches, and returns once those under way have ended and their processes too.
    pub(crate) async fn stop(self) {
        self.shared.wanted.set(Wanted::Stopped);
        self.workers.join_all().await;
    }
}

/// Why a mapping cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MappingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("whether delivery is paused cannot be read")]
    Pauses(#[from] io::Error),
}

/// Why one message has no answer of the function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OnceError {
    #[error("no process of the forwarder could be started{}", .0.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
    NoProcess(Option<String>),
    #[error(transparent)]
    Invocation(#[from] InvocationError),
}

impl Wanted {
    fn with(pauses: &Pauses) -> Self {
        if pauses.is_empty() { Self::Enabled } else { Self::Disabled }
    }
}

impl MappingHandle {
    /// Switches it on or off, for good, as Lambda's API has it: off is a pause of an unknown name, on
    /// ends all.
    pub(crate) async fn set_enabled(&self, enabled: bool) -> io::Result<()> {
        let now = self.0.options.store.clock().wall();
        self.change_pauses(|pauses| {
            if enabled {
                *pauses = Pauses::default();
            } else {
                let name = UNKNOWN.to_owned();
                let since = Some(now);
                pauses.begin(Pause { name, by: None, reason: None, since, until: None });
            }
        })
        .await
    }

    /// Changes the pauses, durably, and begins or ceases to deliver by them: once it has ceased, no message
    /// that comes is given to the function, and batches under way go on.
    pub(crate) async fn change_pauses<T>(
        &self,
        change: impl FnOnce(&mut Pauses) -> T,
    ) -> io::Result<T> {
        let mut kept = self.0.pauses.lock().await;
        let mut pauses = kept.pauses.clone();
        let changed = change(&mut pauses);
        if pauses == kept.pauses {
            return Ok(changed);
        }
        kept.file.write(&pauses)?;
        let names = |pauses: &Pauses| -> Vec<String> {
            pauses.all().iter().map(|it| it.name.clone()).collect()
        };
        let fields = json!({ "before": names(&kept.pauses), "now": names(&pauses) });
        self.0.options.log.line(LogLevel::Info, "pauses", fields);
        self.0.next_end.send_replace(pauses.next_end());
        let wanted = Wanted::with(&pauses);
        kept.pauses = pauses;
        let switched = self.0.wanted.change(|now| {
            let change = *now != Wanted::Stopped && *now != wanted;
            if change {
                *now = wanted;
            }
            change
        });
        if switched {
            let fields = json!({ "enabled": wanted == Wanted::Enabled });
            self.0.options.log.line(LogLevel::Info, "event_source_mapping", fields);
        }
        drop(kept);
        if wanted == Wanted::Disabled {
            let mut receiving = self.0.receiving.subscribe();
            let none = receiving.wait_for(|workers| *workers == 0);
            // Where the storage hangs, the state says so.
            let _hangs = tokio::time::timeout(RECEIVES_END_WITHIN, none).await;
        }
        if deliberate::is_there("deliver-while-paused") {
            let shared = Arc::clone(&self.0);
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                shared.wanted.set(Wanted::Enabled);
            });
        }
        Ok(changed)
    }

    /// The pauses that there are.
    pub(crate) async fn pauses(&self) -> Pauses {
        self.0.pauses.lock().await.pauses.clone()
    }

    /// When the next pause ends by itself, and that this has changed.
    pub(crate) fn ends(&self) -> watch::Receiver<Option<Timestamp>> {
        self.0.next_end.subscribe()
    }

    pub(crate) fn status(&self) -> MappingStatus {
        let counts = &self.0.counts;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let enabled = self.0.wanted.get() == Wanted::Enabled;
        // In this order, as a batch is counted before its worker no longer receives.
        let receives = *self.0.receiving.borrow() > 0;
        let batches_in_flight = count(&counts.batches_in_flight);
        let is_idle = !receives && batches_in_flight == 0;
        MappingStatus {
            enabled,
            state: match (enabled, is_idle) {
                (true, _) => "Enabled",
                (false, true) => "Disabled",
                (false, false) => "Disabling",
            },
            batches_in_flight,
            invocations: count(&counts.invocations),
            invocation_errors: count(&counts.invocation_errors),
            messages_deleted: count(&counts.messages_deleted),
            messages_failed: count(&counts.messages_failed),
        }
    }

    /// Gives the function one message that is in no queue, beside all batches, and returns its answer. Those
    /// who ask take turns, as each has a process of its own.
    pub(crate) async fn once(&self, message: ReceivedMessage) -> Result<Bytes, OnceError> {
        let Shared { options, once, .. } = &*self.0;
        let _turn = once.lock().await;
        let process = tokio::time::timeout(INIT_TIMEOUT, options.function.process()).await;
        let mut process =
            process.map_err(|_elapsed| OnceError::NoProcess(self.function_trouble()))?;
        let answer = process.invoke(event::event(&[message], &options.source)).await;
        process.end().await;
        Ok(answer?)
    }

    /// Messages in a batch, at most.
    pub(crate) fn batch_size(&self) -> u32 {
        self.0.options.batch_size
    }

    /// Why no process of the function can be started, if that is so.
    pub(crate) fn function_trouble(&self) -> Option<String> {
        self.0.options.function.trouble()
    }
}

impl Shared {
    /// One worker: a process at a time, a batch at a time.
    async fn work(self: Arc<Self>) {
        let mut untaken = None;
        loop {
            let mut process = tokio::select! {
                biased;
                process = self.options.function.process() => process,
                () = self.wanted.once(|now| now == Wanted::Stopped) => return,
            };
            untaken = self.serve(&mut process, untaken).await;
            let stopping = self.wanted.get() == Wanted::Stopped;
            let pid = process.pid();
            let status = process.end().await.to_string();
            if stopping {
                let fields = json!({ "pid": pid, "status": status });
                return self.options.log.line(LogLevel::Info, "forwarder_exited", fields);
            }
            self.options.function.crashed();
            let pause = self.options.function.pause();
            let fields = json!({ "pid": pid, "status": status, "restart_in_ms": ms(pause) });
            self.options.log.line(LogLevel::Warn, "forwarder_exited", fields);
        }
    }

    /// Gives batches to a process until it has ended or the mapping stops. Returns a batch that the
    /// process did not take any more.
    async fn serve(&self, process: &mut Process, mut untaken: Option<Batch>) -> Option<Batch> {
        loop {
            let batch = match untaken.take().filter(|batch| self.is_in_time(batch)) {
                Some(batch) => batch,
                None => self.next(process).await?,
            };
            let result = process.invoke(batch.event.clone()).await;
            let outcome = self.settle(&batch, result).await;
            match outcome {
                Outcome::GoOn => {}
                Outcome::ProcessGone => return None,
                Outcome::NotTaken => return Some(batch),
            }
        }
    }

    /// The next batch; `None` once the process has ended or the mapping stops.
    async fn next(&self, process: &mut Process) -> Option<Batch> {
        let request = ReceiveRequest {
            max_messages: self.options.batch_size as usize,
            wait_seconds: Some(WAIT_SECONDS),
            receiver: Some(RECEIVER.to_owned()),
            ..ReceiveRequest::default()
        };
        loop {
            tokio::select! {
                biased;
                _status = process.ended() => return None,
                () = self.wanted.once(|now| now != Wanted::Disabled) => {}
            }
            // Before it looks whether it may, so that whoever forbids it sees that it does.
            let receiving = Receiving::begin(&self.receiving);
            match self.wanted.get() {
                Wanted::Enabled => {}
                Wanted::Disabled => continue,
                Wanted::Stopped => return None,
            }
            let stop = async {
                tokio::select! {
                    _status = process.ended() => {}
                    () = self.wanted.once(|now| now != Wanted::Enabled) => {}
                }
            };
            let store = &self.options.store;
            let result = store.receive_unless(&self.options.queue, request.clone(), stop).await;
            let health = &self.options.health;
            match health.read(result) {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    let received = store.clock().uptime();
                    let (messages, event) = self.fitting(messages).await;
                    let in_flight = InFlight::begin(&self.counts.batches_in_flight);
                    return Some(Batch { messages, event, received, _in_flight: in_flight });
                }
                Err(_noted) => {
                    drop(receiving);
                    tokio::time::sleep(STORAGE_PAUSE).await;
                }
            }
        }
    }

    /// As much of a batch as fits into one invocation, and its event; the rest is shown again at once.
    async fn fitting(&self, mut messages: Vec<ReceivedMessage>) -> (Vec<ReceivedMessage>, Bytes) {
        let (count, event) = event::within(&messages, &self.options.source, INVOCATION_BYTES_MAX);
        let surplus: Vec<_> =
            messages.split_off(count).into_iter().map(|it| (it.receipt_handle, 0)).collect();
        if !surplus.is_empty() {
            let result =
                self.options.store.change_visibility_batch(&self.options.queue, surplus).await;
            // Else they are shown again when their visibility timeout ends: later, and in order.
            let _noted = self.options.health.wrote(result);
        }
        (messages, event)
    }

    /// How long ago a batch was received.
    fn held(&self, batch: &Batch) -> Duration {
        self.options.store.clock().uptime().since(batch.received)
    }

    /// Whether a batch that waited for a process can still be worked on before it is visible again.
    fn is_in_time(&self, batch: &Batch) -> bool {
        self.held(batch) + self.options.function.options.timeout < self.options.visibility_timeout
    }

    /// Deletes what the function is done with.
    async fn settle(&self, batch: &Batch, result: Result<Bytes, InvocationError>) -> Outcome {
        if !matches!(result, Err(InvocationError::NotTaken)) {
            self.counts.invocations.fetch_add(1, Ordering::Relaxed);
        }
        let outcome = match &result {
            Ok(_) | Err(InvocationError::Function(_)) => Outcome::GoOn,
            Err(InvocationError::Timeout(_) | InvocationError::Ended) => Outcome::ProcessGone,
            Err(InvocationError::NotTaken) => return Outcome::NotTaken,
        };
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                self.failed(batch, &error.to_string());
                return outcome;
            }
        };
        self.options.function.succeeded();
        let ids: Vec<&str> = batch.messages.iter().map(|m| m.message_id.as_str()).collect();
        match response::read(&response, &ids) {
            BatchResult::Done(places) => {
                let failed = batch.messages.len() - places.len();
                self.counts.messages_failed.fetch_add(failed as u64, Ordering::Relaxed);
                self.delete(batch, &places).await;
            }
            BatchResult::Nothing(reason) => self.failed(batch, reason),
        }
        outcome
    }

    fn failed(&self, batch: &Batch, error: &str) {
        let messages = batch.messages.len();
        self.counts.invocation_errors.fetch_add(1, Ordering::Relaxed);
        self.counts.messages_failed.fetch_add(messages as u64, Ordering::Relaxed);
        let fields = json!({ "error": error, "messages": messages });
        self.options.log.line(LogLevel::Error, "invocation failed", fields);
    }

    /// Deletes messages, however long storage takes to work again: as long as they are in flight, a
    /// delete that succeeds saves a repeat.
    async fn delete(&self, batch: &Batch, places: &[usize]) {
        if places.is_empty() {
            return;
        }
        let handles: Vec<String> =
            places.iter().map(|place| batch.messages[*place].receipt_handle.clone()).collect();
        let MappingOptions { store, queue, health, visibility_timeout, .. } = &self.options;
        loop {
            match health.wrote(store.finish_batch(queue, handles.clone()).await) {
                Ok(results) => return self.deleted(batch, places, results),
                Err(StoreError::Storage(_))
                    if self.held(batch) < *visibility_timeout
                        && self.wanted.get() != Wanted::Stopped =>
                {
                    tokio::time::sleep(STORAGE_PAUSE).await;
                }
                Err(error) => return self.not_deleted(handles.len(), &error),
            }
        }
    }

    fn deleted(&self, batch: &Batch, places: &[usize], results: Vec<Result<(), StoreError>>) {
        let mut deleted = 0;
        for (place, result) in places.iter().zip(results) {
            match result {
                Ok(()) => deleted += 1,
                Err(error) => {
                    let message_id = &batch.messages[*place].message_id;
                    let fields = json!({ "message_id": message_id, "error": error.to_string() });
                    self.options.log.line(LogLevel::Warn, "not deleted, comes again", fields);
                }
            }
        }
        self.counts.messages_deleted.fetch_add(deleted, Ordering::Relaxed);
    }

    fn not_deleted(&self, messages: usize, error: &StoreError) {
        let error = crate::error_text::in_full(error);
        let fields = json!({ "messages": messages, "error": error });
        self.options.log.line(LogLevel::Error, "not deleted, comes again", fields);
    }
}

/// What an invocation means for its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    GoOn,
    ProcessGone,
    NotTaken,
}
