//! Operators, who use the rules of the domain as the commands do, and are killed while they do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use domain::dead_letter::{self, Class, Outgoing};
use domain::message::Message;
use domain::retry::may_be_early;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::delivery::Delivery;
use super::function::cut_off;
use super::machine::{Machine, Undone};
use super::sqs::Sending;
use super::world::{OPERATOR, World, is_of};
use crate::history::{Action, Seen};
use crate::random::Random;
use crate::schedule::Fault;

/// How often somebody looks whether there is something to do, and how often at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOKS: u32 = 200;

/// Those who operate.
pub(super) struct Operators {
    world: Rc<World>,
    delivery: Delivery,
    random: RefCell<Random>,
    /// One redrive, edit or drop at a time, as the lease has it.
    lease: Mutex<()>,
    /// One pause at a time.
    pause: Mutex<()>,
}

impl Operators {
    pub(super) fn new(world: &Rc<World>, delivery: &Delivery) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            delivery: delivery.clone(),
            random: RefCell::new(world.random(51)),
            lease: Mutex::default(),
            pause: Mutex::default(),
        })
    }

    /// A call of AWS's services takes its time.
    async fn call(&self) {
        let micros = 2_000 + self.random.borrow_mut().below(60_000);
        sleep(Duration::from_micros(micros)).await;
    }

    /// What is found once it is there: somebody acts because there is something to act on.
    async fn once<T>(&self, found: impl AsyncFn() -> Option<T>) -> Option<T> {
        for _ in 0..LOOKS {
            if let Some(found) = found().await {
                return Some(found);
            }
            sleep(LOOK_EVERY).await;
        }
        None
    }

    /// Does what an act of the plan says, for a time if it has one.
    pub(super) async fn act(&self, fault: Fault, lasts: Duration, choice: u64) {
        self.world.begin(fault);
        let at = 1 + choice % 12;
        match fault {
            Fault::Redrive if choice.is_multiple_of(3) && self.world.machine.is_some() => {
                self.move_back().await;
            }
            Fault::Redrive => self.redrive(None).await,
            Fault::KillRedrive => self.redrive(Some(at)).await,
            Fault::Edit => self.edit(choice, None).await,
            Fault::KillEdit => self.edit(choice, Some(1 + choice % 3)).await,
            Fault::Drop => self.drop_one(choice).await,
            Fault::Skip => self.skip(choice, None).await,
            Fault::KillSkip => self.skip(choice, Some(1 + choice % 2)).await,
            Fault::Retry => self.retry(None).await,
            Fault::KillRetry => self.retry(Some(at)).await,
            Fault::StoredDamage => self.damage(choice).await,
            _ => self.pause(fault, lasts, choice).await,
        }
        self.world.end(fault);
    }

    /// Runs a command, to its end or until it is killed; notes it.
    async fn command(
        &self,
        action: Action,
        event_ids: Vec<String>,
        killed_at: Option<u64>,
        command: impl Future<Output = bool>,
    ) {
        let began_at = self.world.now();
        let code = cut_off(command, killed_at).await.map(|done| i32::from(!done));
        let has_reason = true;
        self.world.push(Seen::Acted { action, event_ids, has_reason, began_at, code });
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(), Undone> {
        let Outgoing { body, group_id, deduplication_id, attributes } = outgoing;
        let sender = OPERATOR;
        self.world.send(Sending { body, group_id, deduplication_id, attributes, sender }).await
    }

    async fn redrive(&self, killed_at: Option<u64>) {
        let fault = if killed_at.is_some() { Fault::KillRedrive } else { Fault::Redrive };
        self.once(async || self.world.letters().await.pop()).await;
        let _lease = self.lease.lock().await;
        let redrive = async {
            self.call().await;
            for letter in self.world.take_letters().await? {
                self.world.hit(fault);
                self.call().await;
                self.send(dead_letter::redriven(&letter)).await?;
                self.call().await;
                self.world.delete_letter(&letter).await?;
            }
            Ok(())
        };
        self.command(Action::Redrive, Vec::new(), killed_at, done(redrive)).await;
    }

    /// The same, by the queues' own means, as AWS's console has a button for it.
    async fn move_back(&self) {
        let Some(machine) = &self.world.machine else { return };
        self.once(async || self.world.letters().await.pop()).await;
        let _lease = self.lease.lock().await;
        let redrive = async {
            self.call().await;
            for _ in 0..machine.move_letters().await? {
                self.world.hit(Fault::Redrive);
            }
            Ok(())
        };
        self.command(Action::Redrive, Vec::new(), None, done(redrive)).await;
    }

    /// One of the dead letters that the service rejected, and the others. What was edited is not verified any
    /// more, so no others.
    fn rejected(mut letters: Vec<Message>, choice: u64) -> Option<(Message, Vec<Message>)> {
        let rejected = |letters: &[Message]| {
            let places = letters.iter().enumerate().filter(|(_, it)| is_of(Class::Rejected, it));
            places.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let mut places = rejected(&letters);
        Random::new(choice).shuffle(&mut places);
        let letter = letters.remove(places.pop()?);
        Some((letter, letters))
    }

    /// Takes such a letter into somebody's hands, once there is one.
    async fn take_rejected(&self, choice: u64) -> Option<Message> {
        self.once(async || Self::rejected(self.world.letters().await, choice)).await;
        let letters = self.world.take_letters().await.unwrap_or_default();
        let Some((letter, others)) = Self::rejected(letters.clone(), choice) else {
            self.world.give_back(&letters).await;
            return None;
        };
        self.world.give_back(&others).await;
        Some(letter)
    }

    async fn edit(&self, choice: u64, killed_at: Option<u64>) {
        self.once(async || Self::rejected(self.world.letters().await, choice)).await;
        let _lease = self.lease.lock().await;
        let Some(letter) = self.take_rejected(choice).await else { return };
        let Ok(mut body) = serde_json::from_str::<Value>(&letter.body) else { return };
        body["edited"] = true.into();
        let fault = if killed_at.is_some() { Fault::KillEdit } else { Fault::Edit };
        self.world.hit(fault);
        let ids = vec![letter.event_id().to_owned()];
        let edit = async {
            self.call().await;
            let edited = dead_letter::edited(&letter, body.to_string(), self.world.wall());
            self.send(edited.ok_or(Undone::Refused)?).await?;
            self.call().await;
            self.world.delete_letter(&letter).await
        };
        self.command(Action::Edit, ids, killed_at, done(edit)).await;
    }

    async fn drop_one(&self, choice: u64) {
        self.once(async || Self::rejected(self.world.letters().await, choice)).await;
        let _lease = self.lease.lock().await;
        let Some(letter) = self.take_rejected(choice).await else { return };
        self.world.hit(Fault::Drop);
        let ids = vec![letter.event_id().to_owned()];
        let began_at = self.world.now();
        self.call().await;
        let dropped = self.world.delete_letter(&letter).await;
        self.world.push(Seen::Acted {
            action: Action::Drop,
            event_ids: ids,
            has_reason: true,
            began_at,
            // Whoever was not answered does not know whether it is done.
            code: match dropped {
                Ok(()) => Some(0),
                Err(Undone::Refused) => Some(1),
                Err(Undone::Unheard) => None,
            },
        });
    }

    async fn skip(&self, choice: u64, killed_at: Option<u64>) {
        let head = async || {
            let mut heads = self.world.hidden_heads().await;
            heads.retain(|head| head.receive_count > 1);
            Random::new(choice).shuffle(&mut heads);
            heads.pop()
        };
        let Some(head) = self.once(head).await else { return };
        let fault = if killed_at.is_some() { Fault::KillSkip } else { Fault::Skip };
        self.world.hit(fault);
        let ids = vec![head.event_id().to_owned()];
        let command = async {
            self.call().await;
            self.world.skip(&head).await;
            self.call().await;
            true
        };
        self.command(Action::Skip, ids, killed_at, command).await;
    }

    /// Shows again what waits.
    async fn retry(&self, killed_at: Option<u64>) {
        let waits = async || self.world.hidden_heads().await.pop();
        self.once(waits).await;
        // It has been told by then.
        sleep(Duration::from_millis(500)).await;
        let fault = if killed_at.is_some() { Fault::KillRetry } else { Fault::Retry };
        let retry = async {
            self.call().await;
            match &self.world.machine {
                Some(machine) => self.retry_on(machine, fault).await,
                None => self.retry_by_the_log(fault).await,
            }
        };
        self.command(Action::Retry, Vec::new(), killed_at, done(retry)).await;
    }

    async fn retry_on(&self, machine: &Machine, fault: Fault) -> Result<(), Undone> {
        for _ in 0..machine.retry().await? {
            self.world.hit(fault);
        }
        Ok(())
    }

    /// By the receipt handles that the log tells.
    async fn retry_by_the_log(&self, fault: Fault) -> Result<(), Undone> {
        let most = self.world.configuration.borrow().config().queue().max_receive_count;
        let kept = self.world.kept.borrow().clone();
        for (receive_count, handles) in kept.into_values() {
            if !may_be_early(receive_count, most) {
                continue;
            }
            self.call().await;
            for handle in handles {
                // What was received since is not theirs any more.
                if self.world.change_visibility(vec![(handle, 0)]).await.is_ok() {
                    self.world.hit(fault);
                }
            }
        }
        Ok(())
    }

    /// Has the disk damage something that waits, and drops it once the engine has set it aside: its group
    /// waits for that.
    async fn damage(&self, choice: u64) {
        let Some(machine) = &self.world.machine else { return };
        let waits = async || {
            let mut waits = self.world.waiting().await;
            Random::new(choice).shuffle(&mut waits);
            waits.pop()
        };
        let Some(message) = self.once(waits).await else { return };
        let sequence = message.sequence_number.as_str();
        if !machine.damage(sequence) {
            return;
        }
        let set_aside = async || match machine.is_set_aside(sequence).await {
            Ok(is_aside) => Some(()).filter(|()| is_aside),
            Err(_) => None,
        };
        if self.once(&set_aside).await.is_none() {
            // It was in somebody's hands, and was delivered from there; or nobody has looked at it.
            machine.damage(sequence);
            if set_aside().await.is_none() {
                return;
            }
        }
        self.world.hit(Fault::StoredDamage);
        let event_id = message.event_id().to_owned();
        while let Err(_undone) = machine.drop_damaged(sequence).await {
            sleep(LOOK_EVERY).await;
        }
        let (action, has_reason, began_at) = (Action::Drop, true, self.world.now());
        let reason = "damaged".to_owned();
        let died_at = Some(self.world.now());
        self.world.push(Seen::DeadLettered { event_id: event_id.clone(), reason, died_at });
        let event_ids = vec![event_id];
        self.world.push(Seen::Acted { action, event_ids, has_reason, began_at, code: Some(0) });
    }

    async fn pause(&self, fault: Fault, lasts: Duration, choice: u64) {
        let _turn = self.pause.lock().await;
        self.world.hit(fault);
        let killed_at = (fault == Fault::KillPause).then_some(1 + choice % 3);
        let pause = async {
            self.call().await;
            self.delivery.disable().await
        };
        self.command(Action::Pause, Vec::new(), killed_at, pause).await;
        sleep(lasts).await;
        if fault == Fault::PauseAcrossKill {
            self.delivery.kill_all().await;
            sleep(lasts).await;
        }
        for killed_at in [(fault == Fault::KillResume).then_some(1), None] {
            let resume = async {
                self.call().await;
                self.delivery.enable().await;
                true
            };
            self.command(Action::Resume, Vec::new(), killed_at, resume).await;
        }
    }
}

/// Whether a command did what it was to do.
async fn done(command: impl Future<Output = Result<(), Undone>>) -> bool {
    command.await.is_ok()
}
