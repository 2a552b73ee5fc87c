//! Order of first deliveries, in random histories of processes that share a queue: batches are walked
//! as the domain says, visibility timeouts are changed one after another and may get lost as deletes
//! may, processes die, and meanwhile others receive what the queue's lock lets out, such as a head
//! whose followers another batch still holds.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::batch::{self, Group, Kept, Step};
use domain::message::{Message, Origin, Received};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

const BATCH_SIZE: usize = 10;
const FUNCTION_TIMEOUT_SECONDS: u32 = 10;
const VISIBILITY_TIMEOUT_SECONDS: u32 = 6 * FUNCTION_TIMEOUT_SECONDS;

/// What a message in flight holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// What is behind it in its group, as recorded on SQS.
    Behind,
    /// All of its group, the stricter reading of SQS's guide.
    Group,
    /// Nothing: no queue that this system is made for.
    Nothing,
}

/// One thing that happens; numbers choose among what is there.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Send { group: u8 },
    Receive { process: usize },
    Attempt { process: usize, group: usize, delay_seconds: Option<u32> },
    ChangeVisibility { process: usize, is_lost: bool },
    Delete { process: usize, is_lost: bool },
    Dies { process: usize },
    Wait { seconds: u32 },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{Attempt, ChangeVisibility, Delete, Dies, Receive, Send, Wait};
    let process = || 0..3_usize;
    let is_lost = || prop::bool::weighted(0.2);
    prop_oneof![
        4 => (0..2_u8).prop_map(|group| Send { group }),
        6 => process().prop_map(|process| Receive { process }),
        9 => (process(), 0..2_usize, prop::option::weighted(0.4, 0..6_u32)).prop_map(
            |(process, group, delay_seconds)| Attempt { process, group, delay_seconds }
        ),
        9 => (process(), is_lost()).prop_map(|(process, is_lost)| ChangeVisibility { process, is_lost }),
        9 => (process(), is_lost()).prop_map(|(process, is_lost)| Delete { process, is_lost }),
        1 => process().prop_map(|process| Dies { process }),
        4 => (1..8_u32).prop_map(|seconds| Wait { seconds }),
    ]
}

/// A message in the queue.
struct Queued {
    number: u32,
    visible_at: u32,
    /// The number of its latest receive.
    receive: u32,
}

/// What a process has in hands, in the order in which it goes on: attempts, then visibility timeouts,
/// then deletes.
struct Batch {
    started: u32,
    groups: Vec<Group>,
    kept: Vec<Kept>,
    done: Vec<Message>,
}

struct World {
    lock: Lock,
    now: u32,
    numbers: u32,
    queue: BTreeMap<String, Vec<Queued>>,
    processes: [Option<Batch>; 3],
    /// By group, in the order of the first deliveries.
    delivered: BTreeMap<String, Vec<u32>>,
}

impl World {
    fn new(lock: Lock) -> Self {
        Self {
            lock,
            now: 0,
            numbers: 0,
            queue: BTreeMap::new(),
            processes: [None, None, None],
            delivered: BTreeMap::new(),
        }
    }

    fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn happen(&mut self, happening: Happening) -> Result<(), TestCaseError> {
        match happening {
            Happening::Send { group } => {
                let number = self.next_number();
                let queued = Queued { number, visible_at: 0, receive: 0 };
                self.queue.entry(group.to_string()).or_default().push(queued);
            }
            Happening::Receive { process } if self.processes[process].is_none() => {
                self.receive(process);
            }
            Happening::Attempt { process, group, delay_seconds } => {
                return self.attempt(process, group, delay_seconds);
            }
            Happening::ChangeVisibility { process, is_lost } => {
                let batch = self.processes[process].as_mut();
                let kept = batch.filter(|it| it.groups.is_empty()).and_then(|it| it.kept.pop());
                if let Some(kept) = kept.filter(|_| !is_lost) {
                    let visible_at = self.now + kept.visibility_timeout_seconds;
                    if let Some(queued) = self.held(&kept.receipt_handle) {
                        queued.visible_at = visible_at;
                    }
                }
            }
            Happening::Delete { process, is_lost } => self.delete(process, is_lost),
            Happening::Dies { process } => self.processes[process] = None,
            Happening::Wait { seconds } => {
                self.now += seconds;
                for process in &mut self.processes {
                    process.take_if(|it| self.now >= it.started + FUNCTION_TIMEOUT_SECONDS);
                }
            }
            Happening::Receive { .. } => {}
        }
        Ok(())
    }

    fn receive(&mut self, process: usize) {
        let (receive, now) = (self.next_number(), self.now);
        let mut messages = Vec::new();
        for (group, queued) in &mut self.queue {
            let is_visible = |it: &Queued| it.visible_at <= now;
            let available = match self.lock {
                Lock::Behind => queued.iter().take_while(|it| is_visible(it)).count(),
                Lock::Group if !queued.iter().all(is_visible) => 0,
                Lock::Group | Lock::Nothing => queued.len(),
            };
            let room = BATCH_SIZE - messages.len();
            let available = queued[..available].iter_mut().filter(|it| is_visible(it));
            for message in available.take(room) {
                message.visible_at = now + VISIBILITY_TIMEOUT_SECONDS;
                message.receive = receive;
                messages.push(received(group, message));
            }
        }
        if !messages.is_empty() {
            let (groups, started) = (batch::groups(messages), now);
            let batch = Batch { started, groups, kept: Vec::new(), done: Vec::new() };
            self.processes[process] = Some(batch);
        }
    }

    /// Attempts the head of one of a batch's groups; it is delivered unless a delay is given.
    fn attempt(
        &mut self,
        process: usize,
        group: usize,
        delay_seconds: Option<u32>,
    ) -> Result<(), TestCaseError> {
        let Some(batch) = &mut self.processes[process] else { return Ok(()) };
        let place = group % batch.groups.len().max(1);
        let Some(group) = batch.groups.get_mut(place) else { return Ok(()) };
        let message = group.head().unwrap().clone();
        let step = delay_seconds.map_or(Step::Done, |seconds| Step::Keep {
            visible_in: Duration::from_secs(seconds.into()),
        });
        batch.kept.extend(group.step(step));
        if group.head().is_none() {
            batch.groups.remove(place);
        }
        if step == Step::Done {
            let number: u32 = message.sequence_number.parse().unwrap();
            let delivered = self.delivered.entry(message.group_id.clone()).or_default();
            if !delivered.contains(&number) {
                let ahead = self.queue[&message.group_id]
                    .iter()
                    .map(|it| it.number)
                    .find(|ahead| *ahead < number && !delivered.contains(ahead));
                prop_assert_eq!(ahead, None, "{} was overtaken by {}", ahead.unwrap_or(0), number);
                delivered.push(number);
            }
            batch.done.push(message);
        }
        Ok(())
    }

    /// Deletes what was delivered once nothing else is to be done.
    fn delete(&mut self, process: usize, is_lost: bool) {
        let Some(batch) = &mut self.processes[process] else { return };
        if !batch.groups.is_empty() || !batch.kept.is_empty() {
            return;
        }
        let Some(message) = batch.done.pop() else {
            self.processes[process] = None;
            return;
        };
        if !is_lost && self.held(&message.receipt_handle).is_some() {
            let number: u32 = message.sequence_number.parse().unwrap();
            let queued = self.queue.get_mut(&message.group_id).unwrap();
            queued.retain(|it| it.number != number);
        }
    }

    /// What a receipt handle stands for, while it is in flight by it.
    fn held(&mut self, handle: &str) -> Option<&mut Queued> {
        let now = self.now;
        let mut all = self.queue.values_mut().flatten();
        all.find(|it| self::handle(it) == handle && it.visible_at > now)
    }

    /// With a service that is well, all is delivered.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        self.processes = [None, None, None];
        while self.queue.values().any(|queued| !queued.is_empty()) {
            self.now += VISIBILITY_TIMEOUT_SECONDS;
            self.receive(0);
            while self.processes[0].is_some() {
                self.attempt(0, 0, None)?;
                self.delete(0, false);
            }
        }
        Ok(())
    }
}

fn handle(queued: &Queued) -> String {
    format!("{}-{}", queued.number, queued.receive)
}

fn received(group: &str, queued: &Queued) -> Message {
    let received = Received {
        message_id: format!("m-{}", queued.number),
        receipt_handle: handle(queued),
        body: "{}".to_owned(),
        group_id: group.to_owned(),
        sequence_number: queued.number.to_string(),
        ..Received::default()
    };
    Message::parse(received, Origin::Ingest).unwrap()
}

fn check(lock: Lock) -> Result<(), TestError<Vec<Happening>>> {
    let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&prop::collection::vec(happening(), 1..120), |history| {
        let mut world = World::new(lock);
        let sent = history.iter().filter(|it| matches!(it, Happening::Send { .. })).count();
        for happening in history {
            world.happen(happening)?;
        }
        world.drain()?;
        let delivered: BTreeSet<_> = world.delivered.values().flatten().collect();
        prop_assert_eq!(delivered.len(), sent);
        prop_assert!(world.delivered.values().all(|numbers| numbers.is_sorted()));
        Ok(())
    })
}

#[test]
fn first_deliveries_keep_their_order_whatever_a_message_in_flight_holds_back() {
    check(Lock::Behind).unwrap();
    check(Lock::Group).unwrap();
}

#[test]
fn without_a_lock_they_would_not() {
    check(Lock::Nothing).unwrap_err();
}
