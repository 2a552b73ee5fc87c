//! Random histories against a model so simple that it can be checked by reading it: a list of
//! messages per group, and which of them are in flight.
//!
//! Checked after every step: nothing is lost, nothing appears twice, a group is delivered in order
//! from its first message, and nothing behind a message in flight (under the stricter lock: nothing
//! of a group of which anything is), and what is counted is what was committed. Closing and opening the file may happen anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::config::KeepDelivered;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Fixture, QUEUE, attributes, manual_clock, message};
use engine::store::{GroupLock, ReceiveRequest, ReceivedMessage, Store, Ways};

#[derive(Debug, Clone)]
enum Step {
    Send {
        group: u8,
        by_ingest: bool,
    },
    Receive {
        max_messages: usize,
        visibility_timeout_seconds: u32,
    },
    /// Of what is in flight, the one at this place, modulo their number.
    Delete {
        which: usize,
    },
    /// The same, as the function is done with it.
    Finish {
        which: usize,
    },
    ChangeVisibility {
        which: usize,
        timeout_seconds: u32,
    },
    /// The first message of a group comes back alone, while what is behind it stays in flight.
    ReleaseHead {
        group: u8,
    },
    Wait {
        seconds: u32,
    },
    FailingCommit {
        group: u8,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, any::<bool>())
            .prop_map(|(group, by_ingest)| Step::Send { group, by_ingest }),
        5 => (1..=10_usize, 1..20_u32).prop_map(|(max_messages, visibility_timeout_seconds)| {
            Step::Receive { max_messages, visibility_timeout_seconds }
        }),
        5 => any::<usize>().prop_map(|which| Step::Delete { which }),
        5 => any::<usize>().prop_map(|which| Step::Finish { which }),
        2 => (any::<usize>(), 0..20_u32).prop_map(|(which, timeout_seconds)| {
            Step::ChangeVisibility { which, timeout_seconds }
        }),
        2 => (0..4_u8).prop_map(|group| Step::ReleaseHead { group }),
        3 => (1..15_u32).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..4_u8).prop_map(|group| Step::FailingCommit { group }),
        1 => Just(Step::Reopen),
    ]
}

/// What should be in the queue.
struct Model {
    lock: GroupLock,
    now_seconds: u32,
    sent: u32,
    /// Bodies by group, in order, and until when each is in flight.
    groups: BTreeMap<String, Vec<(String, u32)>>,
    /// The latest receipt of each message that was received and not deleted.
    receipts: Vec<ReceivedMessage>,
    /// What should be counted.
    ways: Ways,
    /// Bodies of what was delivered, in that order.
    finished: Vec<String>,
}

/// How much of what was delivered is kept.
const KEPT: usize = 3;

impl Model {
    fn new(lock: GroupLock) -> Self {
        let (groups, receipts) = (BTreeMap::new(), Vec::new());
        let (ways, finished) = (Ways::default(), Vec::new());
        Self { lock, now_seconds: 0, sent: 0, groups, receipts, ways, finished }
    }

    /// How many messages at the front of a group can be received.
    fn available(&self, queued: &[(String, u32)]) -> usize {
        let visible = |(_, until): &&(String, u32)| *until <= self.now_seconds;
        match (self.lock, queued.iter().take_while(visible).count()) {
            (GroupLock::Group, count) if count < queued.len() => 0,
            (_, count) => count,
        }
    }

    fn in_flight(&self) -> Vec<ReceivedMessage> {
        let is_in_flight = |receipt: &&ReceivedMessage| {
            let mut of_group = self.groups[&receipt.group_id].iter();
            of_group.any(|(body, until)| *body == receipt.body && *until > self.now_seconds)
        };
        self.receipts.iter().filter(is_in_flight).cloned().collect()
    }

    fn next_body(&mut self) -> String {
        self.sent += 1;
        self.sent.to_string()
    }

    fn delivered(&mut self, messages: &[ReceivedMessage], max: usize, timeout_seconds: u32) {
        assert!(messages.len() <= max);
        let mut by_group = BTreeMap::<&str, Vec<&str>>::new();
        for message in messages {
            by_group.entry(&message.group_id).or_default().push(&message.body);
        }
        for (group, bodies) in &by_group {
            let queued = &self.groups[*group];
            let available = self.available(queued);
            assert!(bodies.len() <= available, "{group}: {bodies:?} of {available}, {queued:?}");
            let first: Vec<&str> =
                queued.iter().take(bodies.len()).map(|(body, _)| body.as_str()).collect();
            assert_eq!(*bodies, first, "{group} is not in order");
        }
        let available: usize = self.groups.values().map(|queued| self.available(queued)).sum();
        assert_eq!(messages.len(), available.min(max), "something could have been delivered");
        for message in messages {
            self.set_until(message, self.now_seconds + timeout_seconds);
            self.receipts.retain(|receipt| receipt.message_id != message.message_id);
            self.receipts.push(message.clone());
        }
    }

    fn set_until(&mut self, message: &ReceivedMessage, seconds: u32) {
        let queued = self.groups.get_mut(&message.group_id).unwrap();
        queued.iter_mut().find(|(body, _)| *body == message.body).unwrap().1 = seconds;
    }

    fn deleted(&mut self, message: &ReceivedMessage) {
        self.ways.deleted += 1;
        self.left(message);
    }

    fn finished(&mut self, message: &ReceivedMessage) {
        self.ways.done += 1;
        self.finished.push(message.body.clone());
        self.left(message);
    }

    fn left(&mut self, message: &ReceivedMessage) {
        let queued = self.groups.get_mut(&message.group_id).unwrap();
        queued.retain(|(body, _)| *body != message.body);
        self.receipts.retain(|receipt| receipt.message_id != message.message_id);
    }

    /// What is counted: whatever was committed, once, and nothing else.
    fn ways(&self) -> Ways {
        let queued: usize = self.groups.values().map(Vec::len).sum();
        Ways { queued: queued as u64, ..self.ways }
    }

    /// Messages visible and in flight, groups, and groups with messages in flight.
    fn counts(&self) -> [usize; 4] {
        let is_in_flight = |(_, until): &&(String, u32)| *until > self.now_seconds;
        let of_group = |queued: &Vec<_>| queued.iter().filter(is_in_flight).count();
        let all: usize = self.groups.values().map(Vec::len).sum();
        let in_flight: usize = self.groups.values().map(of_group).sum();
        let groups = self.groups.values().filter(|queued| !queued.is_empty()).count();
        let groups_in_flight = self.groups.values().filter(|queued| of_group(queued) > 0).count();
        [all - in_flight, in_flight, groups, groups_in_flight]
    }
}

async fn open(
    dir: &std::path::Path,
    clock: std::sync::Arc<engine::clock::ManualClock>,
    lock: GroupLock,
) -> Fixture {
    let store = Store::open(dir, clock.clone()).unwrap().with_group_lock(lock);
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    let keep = KeepDelivered::new(u32::try_from(KEPT).unwrap(), 1_000_000).unwrap();
    store.keep_delivered(Some(keep)).await.unwrap();
    Fixture { store, clock }
}

async fn receive(queue: &Fixture, max_messages: usize, timeout: u32) -> Vec<ReceivedMessage> {
    let request = ReceiveRequest {
        max_messages,
        visibility_timeout_seconds: Some(timeout),
        ..ReceiveRequest::default()
    };
    queue.store.receive(QUEUE, request).await.unwrap()
}

async fn ways(queue: &Fixture) -> Ways {
    let (ledger, _) = queue.store.ledgers(QUEUE, QUEUE).await.unwrap();
    ledger.routes.values().next().copied().unwrap_or_default()
}

async fn take(queue: Fixture, model: &mut Model, step: Step, dir: &std::path::Path) -> Fixture {
    let group_name = |group: u8| format!("group-{group}");
    match step {
        Step::Send { group, by_ingest } => {
            let body = model.next_body();
            let new = message(&group_name(group), &body);
            if by_ingest {
                queue.store.accept(QUEUE, new).await.unwrap();
                model.ways.ingested += 1;
            } else {
                queue.store.send(QUEUE, new).await.unwrap();
                model.ways.sent += 1;
            }
            model.groups.entry(group_name(group)).or_default().push((body, 0));
        }
        Step::Receive { max_messages, visibility_timeout_seconds: timeout } => {
            let messages = receive(&queue, max_messages, timeout).await;
            model.delivered(&messages, max_messages, timeout);
        }
        Step::Delete { which } => {
            let held = model.in_flight();
            if let Some(message) = held.get(which % held.len().max(1)) {
                queue.delete(message).await;
                model.deleted(message);
            }
        }
        Step::Finish { which } => {
            let held = model.in_flight();
            if let Some(message) = held.get(which % held.len().max(1)) {
                let handles = vec![message.receipt_handle.clone()];
                queue.store.finish_batch(QUEUE, handles).await.unwrap().remove(0).unwrap();
                model.finished(message);
            }
        }
        Step::ChangeVisibility { which, timeout_seconds } => {
            let held = model.in_flight();
            if let Some(message) = held.get(which % held.len().max(1)) {
                let handle = &message.receipt_handle;
                queue.store.change_visibility(QUEUE, handle, timeout_seconds).await.unwrap();
                model.set_until(message, model.now_seconds + timeout_seconds);
            }
        }
        Step::ReleaseHead { group } => {
            let first = model.groups.get(&group_name(group)).and_then(|queued| queued.first());
            let held = model.in_flight();
            let first = first.and_then(|(body, _)| held.iter().find(|it| it.body == *body));
            if let Some(message) = first {
                queue.store.change_visibility(QUEUE, &message.receipt_handle, 0).await.unwrap();
                model.set_until(message, model.now_seconds);
            }
        }
        Step::Wait { seconds } => {
            queue.clock.advance(Duration::from_secs(seconds.into()));
            model.now_seconds += seconds;
        }
        Step::FailingCommit { group } => {
            queue.store.faults().set_commits_fail(true);
            let body = model.next_body();
            queue.store.send(QUEUE, message(&group_name(group), &body)).await.unwrap_err();
            if let Some(message) = model.in_flight().first() {
                let handles = vec![message.receipt_handle.clone()];
                queue.store.finish_batch(QUEUE, handles).await.unwrap_err();
            }
            queue.store.faults().set_commits_fail(false);
        }
        Step::Reopen => {
            let clock = queue.clock.clone();
            queue.store.close().await;
            return open(dir, clock, model.lock).await;
        }
    }
    queue
}

async fn check_history(lock: GroupLock, steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut queue = open(dir.path(), manual_clock(), lock).await;
    let mut model = Model::new(lock);
    for step in steps {
        queue = take(queue, &mut model, step, dir.path()).await;
        let statistics = queue.store.statistics(QUEUE).await.unwrap();
        let counts = [
            statistics.visible,
            statistics.in_flight,
            statistics.message_groups,
            statistics.groups_in_flight,
        ];
        assert_eq!(counts, model.counts().map(|count| u64::try_from(count).unwrap()));
        assert_eq!(ways(&queue).await, model.ways());
        let (kept, _) = queue.store.kept_before(QUEUE, i64::MAX).await.unwrap();
        let kept: Vec<&str> = kept.iter().map(|kept| kept.body.as_str()).collect();
        let newest: Vec<&str> =
            model.finished.iter().rev().take(KEPT).map(String::as_str).collect();
        assert_eq!(kept, newest, "what was delivered is kept, the newest of it");
    }
    queue.advance_seconds(1_000);
    model.now_seconds += 1_000;
    while model.groups.values().any(|queued| !queued.is_empty()) {
        let messages = receive(&queue, 10, 1_000).await;
        model.delivered(&messages, 10, 1_000);
        for message in &messages {
            queue.delete(message).await;
            model.deleted(message);
        }
    }
    assert!(receive(&queue, 10, 1_000).await.is_empty(), "something was delivered twice");
    assert_eq!(ways(&queue).await, model.ways());
}

#[test]
fn no_history_loses_doubles_or_reorders_anything() {
    check(GroupLock::Behind);
}

#[test]
fn no_history_does_so_under_the_stricter_lock() {
    check(GroupLock::Group);
}

fn check(lock: GroupLock) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(step(), 1..80);
    TestRunner::new(config)
        .run(&steps, |steps| {
            runtime.block_on(check_history(lock, steps));
            Ok(())
        })
        .unwrap();
}
