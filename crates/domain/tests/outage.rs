//! What an outage of some events' making means for the others: the rules of refusal, by a simulated
//! clock. A few processes take batches from one queue, each with a gate and a memory of its own, and
//! one that waits for a slow attempt takes no other batch. Each failing group holds one event, and a
//! healthy group gets one every minute.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::breaker::Pass;
use domain::config::Config;
use domain::gate::{Entry, Gate};
use domain::memory::Memory;
use domain::message::{Message, Origin, Received};
use domain::outcome::{Answer, Attempt, Next, Outcome, Receive, TransportError};
use domain::pace::TURN_WAIT;
use domain::route::Route;
use domain::time::{Timestamp, Uptime};

const START_MS: u64 = 1_767_225_600_000;
const ANSWER: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Events that a process takes at a time.
const BATCH: usize = 10;

/// How the destination treats an event that fails.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Answers(u16),
    AsksForRest(&'static str),
    Hangs,
}

impl Trouble {
    fn attempt(self) -> (Attempt, Duration) {
        let answer = |status, retry_after: Option<&str>| {
            let retry_after = retry_after.map(str::to_owned);
            Attempt::Answered(Answer { status, retry_after, ..Answer::default() })
        };
        match self {
            Self::Answers(status) => (answer(status, None), ANSWER),
            Self::AsksForRest(text) => (answer(429, Some(text)), ANSWER),
            Self::Hangs => (Attempt::Failed(TransportError::Timeout), TIMEOUT),
        }
    }
}

/// What comes next in time.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// The queue may show the event.
    Visible(u32),
    /// Its attempt by this process, with this pass, has ended.
    Ended(u32, usize, Pass),
    /// It has waited for its turn for as long as it may.
    Tired(u32, usize),
}

/// A process with the batch that it has.
#[derive(Default)]
struct Process {
    gate: Gate,
    memory: Memory,
    /// How many events of its batch have not ended.
    under_way: usize,
    /// Those that wait for others' attempts to end, and until when where that may not last.
    waiting: Vec<(u32, u64)>,
    /// What stays in the queue, and for how long it is hidden.
    kept: Vec<(u32, Duration)>,
}

/// The processes and their queue.
struct World {
    route: Route,
    processes: Vec<Process>,
    trouble: Trouble,
    /// Those with a lower number than this fail.
    failing: u32,
    messages: BTreeMap<u32, Received>,
    visible: VecDeque<u32>,
    happenings: BTreeMap<(u64, u64), Happening>,
    order: u64,
    /// How long each healthy event was under way, in milliseconds.
    delays_ms: Vec<u64>,
    dead: Vec<u32>,
    /// When the destination was called, and by which event.
    calls: Vec<(u64, u32)>,
}

fn route() -> Route {
    let config = r#"{"environment":"test","routes":{"sss":{"path":"/sqs-hook","ordering_key":"g",
        "destinations":[{"name":"sss","url":"http://localhost/"}]}}}"#;
    Config::parse(config).unwrap().routes()["sss"].clone()
}

impl World {
    fn new(processes: usize, trouble: Trouble, failing: u32, healthy: u32) -> Self {
        let mut world = Self {
            route: route(),
            processes: std::iter::repeat_with(Process::default).take(processes).collect(),
            trouble,
            failing,
            messages: BTreeMap::new(),
            visible: VecDeque::new(),
            happenings: BTreeMap::new(),
            order: 0,
            delays_ms: Vec::new(),
            dead: Vec::new(),
            calls: Vec::new(),
        };
        for n in 0..failing {
            world.accept(n, u64::from(n) * 20);
        }
        for n in 0..healthy {
            world.accept(failing + n, 500 + u64::from(n) * 60_000);
        }
        world
    }

    fn accept(&mut self, n: u32, at_ms: u64) {
        let received = Received {
            message_id: format!("m-{n}"),
            body: "{}".to_owned(),
            group_id: format!("group-{n}"),
            sent_at: Timestamp::from_ms(START_MS + at_ms),
            ..Received::default()
        };
        self.messages.insert(n, received);
        self.at(at_ms, Happening::Visible(n));
    }

    fn at(&mut self, ms: u64, happening: Happening) {
        self.order += 1;
        self.happenings.insert((ms, self.order), happening);
    }

    fn run_until(&mut self, end_ms: u64) {
        while let Some(next) = self.happenings.first_entry().filter(|next| next.key().0 <= end_ms) {
            let ((now, _), happening) = next.remove_entry();
            match happening {
                Happening::Visible(n) => self.visible.push_back(n),
                Happening::Ended(n, process, pass) => self.ended(n, process, pass, now),
                Happening::Tired(n, process) => {
                    // Most have had their turn by now.
                    let waiting = &mut self.processes[process].waiting;
                    if let Some(place) = waiting.iter().position(|it| *it == (n, now)) {
                        waiting.remove(place);
                        self.try_to_call(n, process, now, now);
                    }
                }
            }
            self.hand_out(now);
        }
    }

    /// Gives each process that has nothing to do a batch.
    fn hand_out(&mut self, now: u64) {
        let turn_wait_ms = u64::try_from(TURN_WAIT.as_millis()).unwrap();
        while let Some(free) = self.processes.iter().position(|it| it.under_way == 0) {
            let batch: Vec<u32> = self.visible.drain(..self.visible.len().min(BATCH)).collect();
            if batch.is_empty() {
                return;
            }
            self.processes[free].under_way = batch.len();
            for n in batch {
                self.messages.get_mut(&n).unwrap().receive_count += 1;
                self.try_to_call(n, free, now, now + turn_wait_ms);
            }
        }
    }

    /// Who is to wait for a turn of new events waits until `tired`.
    fn try_to_call(&mut self, n: u32, process: usize, now: u64, tired: u64) {
        let message = self.message(n);
        let its = &mut self.processes[process];
        let standing = its.memory.standing(&message);
        match its.gate.enter(uptime(now), standing) {
            Entry::Open(pass) => {
                self.calls.push((now, n));
                let (_, takes) = self.attempt_of(n);
                let ends = now + u64::try_from(takes.as_millis()).unwrap();
                self.at(ends, Happening::Ended(n, process, pass));
            }
            Entry::Wait | Entry::Paced(_) => its.waiting.push((n, tired)),
            Entry::InTurn(_) if now < tired => {
                its.waiting.push((n, tired));
                self.at(tired, Happening::Tired(n, process));
            }
            Entry::InTurn(refusal) | Entry::Shut(refusal) => {
                self.settle(n, process, Attempt::NotMade(refusal), now);
            }
        }
    }

    fn ended(&mut self, n: u32, process: usize, pass: Pass, now: u64) {
        let (attempt, took) = self.attempt_of(n);
        let signal = self.route.signal(&attempt, wall(now));
        self.processes[process].gate.leave(pass, uptime(now), took, signal);
        self.settle(n, process, attempt, now);
        for (n, tired) in std::mem::take(&mut self.processes[process].waiting) {
            self.try_to_call(n, process, now, tired);
        }
    }

    fn settle(&mut self, n: u32, process: usize, attempt: Attempt, now: u64) {
        let message = self.message(n);
        let was_made = !matches!(attempt, Attempt::NotMade(_));
        let its = &mut self.processes[process];
        let receives = its.memory.receives_for_attempts(&message);
        let made = its.memory.attempts_made(&message);
        let receive = Receive::of(&message, Some(&self.route), receives, made, wall(now));
        let route = self.route.clone();
        let outcome = Outcome::Asked(vec![(&route.destinations()[0], attempt)]);
        match outcome.next(Some(&route), receive, wall(now)) {
            Next::Delivered => {
                let sent = self.messages.remove(&n).unwrap().sent_at.as_ms() - START_MS;
                self.delays_ms.push(now - sent);
            }
            Next::DeadLetter { .. } => {
                self.messages.remove(&n);
                self.dead.push(n);
            }
            Next::Keep { visible_in, .. } => {
                if was_made {
                    its.memory.attempted(&message);
                } else {
                    its.memory.put_back(&message);
                }
                its.kept.push((n, visible_in));
            }
        }
        its.under_way -= 1;
        if its.under_way == 0 {
            for (n, visible_in) in std::mem::take(&mut its.kept) {
                // SQS counts whole seconds.
                let seconds = u64::try_from(visible_in.as_millis().div_ceil(1_000)).unwrap();
                self.at(now + seconds * 1_000, Happening::Visible(n));
            }
        }
    }

    fn attempt_of(&self, n: u32) -> (Attempt, Duration) {
        if n < self.failing {
            return self.trouble.attempt();
        }
        (Attempt::Answered(Answer { status: 200, ..Answer::default() }), ANSWER)
    }

    fn message(&self, n: u32) -> Message {
        Message::parse(self.messages[&n].clone(), Origin::Ingest).unwrap()
    }

    fn most_receives(&self) -> u32 {
        self.messages.values().map(|received| received.receive_count).max().unwrap_or(0)
    }
}

fn wall(ms: u64) -> Timestamp {
    Timestamp::from_ms(START_MS + ms)
}

fn uptime(ms: u64) -> Uptime {
    Uptime::from_start(Duration::from_millis(ms))
}

const HOUR_MS: u64 = 3_600_000;

/// The least number of processes that may be configured, and the default.
#[test]
fn events_that_fail_do_not_hold_up_the_others() {
    let ten_hours = 10 * 60;
    for (trouble, most_ms) in [
        (Trouble::Answers(500), 5_000),
        (Trouble::Answers(429), 5_000),
        (Trouble::Answers(503), 5_000),
        (Trouble::Hangs, 15_000),
    ] {
        for (processes, failing) in [2, 10].into_iter().flat_map(|n| [(n, 30), (n, 100), (n, 300)])
        {
            let mut world = World::new(processes, trouble, failing, ten_hours);
            world.run_until(11 * HOUR_MS);
            let mut delays = world.delays_ms.clone();
            delays.sort_unstable();
            let what = format!("{trouble:?}, {failing} groups, {processes} processes");
            assert_eq!(delays.len(), usize::try_from(ten_hours).unwrap(), "{what}");
            let p99 = delays[delays.len() * 99 / 100];
            let max = delays[delays.len() - 1];
            assert!(p99 < most_ms, "{what}: p99 {p99} ms, max {max} ms");
            assert!(max < HOUR_MS, "{what}: max {max} ms");
        }
    }
}

/// Ten a second, five at a time as batches bring them, from the first minute on.
#[test]
fn healthy_events_that_come_together_do_not_hold_each_other_up() {
    for trouble in [Trouble::Answers(429), Trouble::Answers(503)] {
        let (failing, healthy) = (300, 600);
        let mut world = World::new(2, trouble, failing, 0);
        for n in 0..healthy {
            world.accept(failing + n, 500 + u64::from(n / 5) * 500);
        }
        world.run_until(HOUR_MS);
        let mut delays = world.delays_ms.clone();
        delays.sort_unstable();
        assert_eq!(delays.len(), usize::try_from(healthy).unwrap(), "{trouble:?}");
        let p99 = delays[delays.len() * 99 / 100];
        assert!(p99 < 5_000, "{trouble:?}: p99 {p99} ms, max {} ms", delays[delays.len() - 1]);
    }
}

/// 25 groups, each answered 429 with a time: nobody asks before it is over, and then one does.
#[test]
fn a_destination_that_asks_for_a_rest_is_left_alone() {
    let mut world = World::new(1, Trouble::AsksForRest("60"), 25, 0);
    world.run_until(2 * HOUR_MS);
    let answer_ms = u64::try_from(ANSWER.as_millis()).unwrap();
    let answers: Vec<u64> = world.calls.iter().map(|(at, _)| at + answer_ms).collect();
    for (at, n) in &world.calls {
        let early = answers.iter().find(|answer| (**answer + 1..**answer + 60_000).contains(at));
        assert_eq!(early, None, "event {n} was sent at {at} ms");
    }
    let hourly = world.calls.len() / 2;
    assert!((20..=180).contains(&hourly), "{hourly} an hour");
}

/// For as long as `give_up_after`, and a little more: SQS moves what was received a thousand times.
#[test]
fn sqs_moves_nothing_during_an_outage() {
    for trouble in [Trouble::Answers(503), Trouble::Hangs, Trouble::AsksForRest("9999")] {
        let mut world = World::new(2, trouble, 300, 0);
        for hour in 1..=71 {
            world.run_until(hour * HOUR_MS);
            let receives = world.most_receives();
            assert!(receives <= 1_000, "{trouble:?}: {receives} receives after {hour} h");
        }
        assert_eq!(world.dead, [0; 0], "{trouble:?}: given up too early");
    }
}

/// Nothing is given up without having been attempted at its age; all that fail are given up in time.
#[test]
fn everything_that_fails_for_three_days_is_given_up_and_nothing_sooner() {
    let mut world = World::new(2, Trouble::Answers(503), 300, 0);
    world.run_until(72 * HOUR_MS - 1);
    assert_eq!(world.dead, [0; 0]);
    world.run_until(14 * 24 * HOUR_MS);
    assert_eq!(world.dead.len(), 300, "{} wait for ever", world.messages.len());
}
