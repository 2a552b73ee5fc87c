//! What all parts of a simulated day have in common: one time, one history, the queues, and what is out of
//! order just now.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use domain::dead_letter::{self, Class};
use domain::message::{Message, Origin, Received};
use domain::skip::Skips;
use domain::time::Timestamp;
use engine::clock::Clock as _;
use engine::store::INGEST_SENDER_ID;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Size;
use super::configuration::{Configuration, OUR_SECRET, PROVIDER_SECRETS, SKIPS};
use super::machine::{Machine, Undone};
use super::sqs::{Sending, Settings, Sqs, Stored};
use crate::history::{Answer, History, Micros, Name, Seen};
use crate::planted::{Planted, contains};
use crate::random::Random;
use crate::schedule::Fault;

/// Who sends what, by the ids that SQS passes on.
pub(super) const INGEST: &str = "AROAINGEST";
pub(super) const FORWARDER: &str = "AROAFORWARDER:function";
pub(super) const OPERATOR: &str = "AROAOPERATOR:person";

/// How often it is looked whether anything is left in the evening.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The wall clock at the beginning of a day: 2026-12-01T00:00:00Z, in milliseconds.
const DAY_BEGINS_MS: u64 = 1_796_083_200_000;

/// A day's world.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    began: Instant,
    history: RefCell<History>,
    pub(super) planted: Planted,
    /// Secrets that came later.
    rotated: RefCell<Vec<String>>,
    searched: Cell<u64>,
    pub(super) configuration: RefCell<Configuration>,
    /// What has the queues on one machine.
    pub(super) machine: Option<Rc<Machine>>,
    queue: RefCell<Sqs>,
    dead_letters: RefCell<Sqs>,
    /// Sent to whenever something may be received that could not be.
    changed: watch::Sender<()>,
    /// Values of the parameter store.
    parameters: RefCell<BTreeMap<String, Vec<u8>>>,
    /// How far the service's wall clock is off, in milliseconds.
    pub(super) service_is_off_ms: Cell<i64>,
    troubles: RefCell<BTreeMap<Fault, Trouble>>,
    /// Receipt handles of what waits for its next attempt, as the log tells, by the group.
    pub(super) kept: RefCell<BTreeMap<String, (u32, Vec<String>)>>,
    pub(super) is_well: Cell<bool>,
}

/// Something that is out of order.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// How often it is, at the same time.
    depth: u32,
    hits: u64,
}

impl World {
    pub(super) fn new(seed: u64, size: Size, configuration: Configuration) -> Rc<Self> {
        let micros = |time: Duration| Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX);
        let queue = configuration.config().queue();
        let settings = Settings {
            visibility_timeout: micros(configuration.visibility_timeout()),
            max_receive_count: queue.max_receive_count,
            deduplicates_per_group: queue.high_throughput,
        };
        let dead = Settings { max_receive_count: u32::MAX, ..settings };
        let planted = Planted::of(seed);
        let provider =
            PROVIDER_SECRETS.map(|name| (name.to_owned(), planted.provider(0).into_bytes()));
        let mut parameters = BTreeMap::from(provider);
        parameters.insert(OUR_SECRET.to_owned(), planted.ours.clone().into_bytes());
        let machine = (size == Size::OneMachine).then(|| Machine::new(&configuration.config()));
        let world = Self {
            seed,
            machine: machine.map(Rc::new),
            began: Instant::now(),
            history: RefCell::default(),
            planted,
            rotated: RefCell::default(),
            searched: Cell::default(),
            queue: RefCell::new(Sqs::new("message", settings, Random::of(seed, 11))),
            dead_letters: RefCell::new(Sqs::new("letter", dead, Random::of(seed, 12))),
            configuration: RefCell::new(configuration),
            changed: watch::Sender::new(()),
            parameters: RefCell::new(parameters),
            service_is_off_ms: Cell::default(),
            troubles: RefCell::default(),
            kept: RefCell::default(),
            is_well: Cell::default(),
        };
        Rc::new(world)
    }

    /// The simulated time.
    pub(super) fn now(&self) -> Micros {
        Micros::try_from(self.began.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    pub(super) fn instant(&self, at: Micros) -> Instant {
        self.began + Duration::from_micros(at)
    }

    /// What the wall clock says of whatever is not the service: on AWS it is right.
    pub(super) fn wall(&self) -> Timestamp {
        match &self.machine {
            Some(machine) => machine.clock.wall(),
            None => Self::wall_at(self.now()),
        }
    }

    /// Who the ingest is, for the forwarder.
    pub(super) fn ingest_sender(&self) -> &'static str {
        match &self.machine {
            Some(_) => INGEST_SENDER_ID.split(':').next().unwrap_or_default(),
            None => INGEST,
        }
    }

    pub(super) fn wall_at(at: Micros) -> Timestamp {
        Timestamp::from_ms(DAY_BEGINS_MS + at / 1_000)
    }

    pub(super) fn push(&self, seen: Seen) -> usize {
        let now = self.now();
        self.history.borrow_mut().push(now, seen)
    }

    pub(super) fn died(&self, process: &'static str) {
        self.push(Seen::Died { process });
    }

    pub(super) fn answered(&self, place: usize, answer: Answer) {
        self.history.borrow_mut().answered(place, answer);
    }

    pub(super) fn take_history(&self) -> History {
        self.push(Seen::Searched { bytes: self.searched.get() });
        std::mem::take(&mut *self.history.borrow_mut())
    }

    /// Numbers of its own for a purpose.
    pub(super) fn random(&self, purpose: u64) -> Random {
        Random::of(self.seed, purpose)
    }

    // What is out of order.

    pub(super) fn begin(&self, fault: Fault) {
        self.push(Seen::Began { fault });
        self.troubles.borrow_mut().entry(fault).or_default().depth += 1;
    }

    pub(super) fn end(&self, fault: Fault) {
        let mut troubles = self.troubles.borrow_mut();
        let trouble = troubles.entry(fault).or_default();
        trouble.depth -= 1;
        let hits = std::mem::take(&mut trouble.hits);
        drop(troubles);
        self.push(Seen::Ended { fault, hits });
    }

    pub(super) fn hit(&self, fault: Fault) {
        if let Some(trouble) = self.troubles.borrow_mut().get_mut(&fault) {
            trouble.hits += 1;
        }
    }

    /// Whether this is out of order now; who asks meets it.
    pub(super) fn meets(&self, fault: Fault) -> bool {
        let is_there = self.is_there(fault);
        if is_there {
            self.hit(fault);
        }
        is_there
    }

    pub(super) fn is_there(&self, fault: Fault) -> bool {
        self.troubles.borrow().get(&fault).is_some_and(|trouble| trouble.depth > 0)
    }

    // The queues.

    pub(super) async fn send(&self, sending: Sending) -> Result<(), Undone> {
        if let Some(machine) = &self.machine {
            return machine.send(sending).await;
        }
        self.queue.borrow_mut().send(self.now(), sending);
        self.changed.send_replace(());
        Ok(())
    }

    pub(super) async fn send_dead_letter(&self, sending: Sending) -> Result<(), Undone> {
        if let Some(machine) = &self.machine {
            let sent = machine.send_dead_letter(sending).await;
            self.note_letters(machine).await;
            return sent;
        }
        self.keep_letter(sending);
        Ok(())
    }

    /// Keeps a letter in the modelled queue.
    fn keep_letter(&self, sending: Sending) {
        let before = self.dead_letters.borrow().all().count();
        self.dead_letters.borrow_mut().send(self.now(), sending);
        let letter = self.dead_letters.borrow().all().last().cloned();
        if let Some(letter) = letter.filter(|_| self.dead_letters.borrow().all().count() > before) {
            self.note_letter(&message(&letter));
        }
    }

    /// Notes the letters that a machine has and that were not noted: what was told of one may have been lost
    /// with whoever made it.
    pub(super) async fn note_letters(&self, machine: &Machine) {
        for letter in machine.new_letters().await {
            self.note_letter(&letter);
        }
    }

    fn note_letter(&self, letter: &Message) {
        let (event_id, reason) = (letter.event_id().to_owned(), dead_letter::reason_of(letter));
        self.push(Seen::DeadLettered { event_id, reason, died_at: Some(self.now()) });
    }

    pub(super) fn receive(&self, most: usize) -> Vec<Stored> {
        let (received, buried) = self.queue.borrow_mut().receive(self.now(), most);
        for message in buried {
            // As SQS's redrive policy does it.
            let deduplication_id = message.message_id;
            let sending = Sending::clone(&message.sending);
            self.keep_letter(Sending { deduplication_id, ..sending });
        }
        received
    }

    pub(super) fn delete(&self, handle: &str) -> bool {
        let deleted = self.queue.borrow_mut().delete(self.now(), handle).is_ok();
        self.changed.send_replace(());
        deleted
    }

    /// Sets how many seconds messages stay in flight. Some may be refused.
    pub(super) async fn change_visibility(
        &self,
        timeouts: Vec<(String, u32)>,
    ) -> Result<(), String> {
        if let Some(machine) = &self.machine {
            let changed = machine.change_visibility(timeouts).await;
            let changed = changed.map_err(|undone| format!("{undone:?}"))?;
            let result: Result<Vec<()>, _> = changed.into_iter().collect();
            return result.map(drop).map_err(|refused| refused.to_string());
        }
        let mut result = Ok(());
        for (handle, seconds) in timeouts {
            let changed = self.queue.borrow_mut().change(self.now(), &handle, seconds);
            result = result.and(changed.map_err(|refused| refused.to_string()));
        }
        self.changed.send_replace(());
        result
    }

    pub(super) fn next_visible(&self) -> Option<Micros> {
        self.queue.borrow().next_visible(self.now())
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) async fn hidden_heads(&self) -> Vec<Message> {
        if let Some(machine) = &self.machine {
            return machine.hidden_heads().await;
        }
        self.queue.borrow().hidden_heads(self.now()).into_iter().map(message).collect()
    }

    /// Is ready once nothing waits any more.
    pub(super) async fn drained(&self) {
        let mut changes = self.changes();
        while !self.waiting().await.is_empty() {
            if self.machine.is_some() {
                sleep(LOOK_EVERY).await;
            } else if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What waits, or is in flight.
    pub(super) async fn waiting(&self) -> Vec<Message> {
        if let Some(machine) = &self.machine {
            return machine.waiting().await;
        }
        self.queue.borrow().all().map(message).collect()
    }

    /// All dead letters, in the order in which they go back.
    pub(super) async fn letters(&self) -> Vec<Message> {
        let letters = match &self.machine {
            Some(machine) => machine.letters().await,
            None => self.dead_letters.borrow().all().map(message).collect(),
        };
        in_order(letters)
    }

    /// The same, where nobody else has them: as long as nobody gives them back they are in the hands of
    /// whoever asks.
    pub(super) async fn take_letters(&self) -> Result<Vec<Message>, Undone> {
        match &self.machine {
            Some(machine) => machine.take_letters().await.map(in_order),
            None => Ok(self.letters().await),
        }
    }

    pub(super) async fn give_back(&self, letters: &[Message]) {
        if let Some(machine) = &self.machine {
            machine.give_back(letters).await;
        }
    }

    pub(super) async fn delete_letter(&self, letter: &Message) -> Result<(), Undone> {
        if let Some(machine) = &self.machine {
            return machine.delete_letter(letter).await;
        }
        let sequence = letter.sequence_number.parse().expect("a modelled queue has numbers");
        self.dead_letters.borrow_mut().remove(sequence);
        Ok(())
    }

    // The parameter store.

    pub(super) fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        self.parameters.borrow().get(name).cloned()
    }

    pub(super) fn set_parameter(&self, name: &str, value: Vec<u8>) {
        self.parameters.borrow_mut().insert(name.to_owned(), value);
    }

    /// What the provider signs with now.
    pub(super) fn provider_signs_with(&self) -> String {
        let [newest, ..] = PROVIDER_SECRETS;
        String::from_utf8_lossy(&self.parameter(newest).unwrap_or_default()).into_owned()
    }

    /// Has the provider sign with another secret, once a day: the one before stays known until nothing
    /// waits any more that it signed.
    pub(super) fn rotate(&self, choice: u64) {
        if !self.rotated.borrow().is_empty() {
            return;
        }
        self.hit(Fault::RotateSecret);
        let secret = format!("planted-{choice:016x}{choice:016x}");
        self.rotated.borrow_mut().push(secret.clone());
        let mut value = secret.into_bytes();
        for name in PROVIDER_SECRETS {
            let former = self.parameter(name).unwrap_or_default();
            self.set_parameter(name, value);
            value = former;
        }
    }

    /// Asks for an event to be skipped, as the command does it.
    pub(super) async fn skip(&self, message: &Message) {
        let waits = self.waiting().await;
        let waits: HashSet<&str> = waits.iter().map(Message::event_id).collect();
        let json = self.parameter(SKIPS).unwrap_or_default();
        let mut skips = Skips::parse(&json).unwrap_or_default();
        skips.retain(|event_id| waits.contains(event_id));
        skips.add(message.event_id(), &message.sequence_number);
        if let Ok(json) = skips.to_json() {
            self.set_parameter(SKIPS, json.into_bytes());
        }
    }

    // The log.

    /// Looks for what was planted in what must not hold it.
    pub(super) fn search(&self, place: &str, text: &[u8]) {
        self.searched.set(self.searched.get() + text.len() as u64);
        for planted in self.planted.find(text) {
            self.push(Seen::Leaked { planted, place: place.to_owned() });
        }
        for secret in &*self.rotated.borrow() {
            if contains(text, secret.as_bytes()) {
                self.push(Seen::Leaked { planted: "secret", place: place.to_owned() });
            }
        }
    }
}

fn in_order(mut letters: Vec<Message>) -> Vec<Message> {
    letters.sort_by_cached_key(dead_letter::redrive_order);
    letters
}

/// Whether a class made this letter.
pub(super) fn is_of(class: Class, letter: &Message) -> bool {
    dead_letter::failure_of(letter).is_some_and(|failure| failure.class == class)
}

/// What is in a queue, as whoever receives it gets it.
pub(super) fn message(stored: &Stored) -> Message {
    let received = Received {
        message_id: stored.message_id.clone(),
        receipt_handle: stored.receipt_handle(),
        body: stored.sending.body.clone(),
        group_id: stored.sending.group_id.clone(),
        sequence_number: stored.sequence.to_string(),
        receive_count: stored.receive_count,
        sent_at: World::wall_at(stored.sent_at),
        attributes: stored.sending.attributes.clone(),
        trace_header: None,
    };
    let origin = Origin::of(Some(stored.sending.sender), Some(INGEST));
    Message::parse(received, origin).expect("what was sent is a message")
}

/// The name of the event in a body.
pub(super) fn name_of(body: &str) -> Option<Name> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Name::parse(body["name"].as_str()?)
}
