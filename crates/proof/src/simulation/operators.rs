//! Operators, who use the rules of the domain as the commands do, and are killed while they do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use domain::dead_letter::{self, Class, Outgoing};
use domain::message::Message;
use domain::retry::may_be_early;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::lambda::{Mapping, cut_off};
use super::sqs::Sending;
use super::world::{OPERATOR, World};
use crate::history::{Action, Seen};
use crate::random::Random;
use crate::schedule::Fault;

/// How often somebody looks whether there is something to do, and how often at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOKS: u32 = 200;

/// Those who operate.
pub(super) struct Operators {
    world: Rc<World>,
    mapping: Rc<Mapping>,
    random: RefCell<Random>,
    /// One redrive, edit or drop at a time, as the lease has it.
    lease: Mutex<()>,
    /// One pause at a time.
    pause: Mutex<()>,
}

impl Operators {
    pub(super) fn new(world: &Rc<World>, mapping: &Rc<Mapping>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            mapping: Rc::clone(mapping),
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
    async fn once<T>(&self, found: impl Fn() -> Option<T>) -> Option<T> {
        for _ in 0..LOOKS {
            if let Some(found) = found() {
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
            Fault::Redrive => self.redrive(None).await,
            Fault::KillRedrive => self.redrive(Some(at)).await,
            Fault::Edit => self.edit(choice, None).await,
            Fault::KillEdit => self.edit(choice, Some(1 + choice % 3)).await,
            Fault::Drop => self.drop_one(choice).await,
            Fault::Skip => self.skip(choice, None).await,
            Fault::KillSkip => self.skip(choice, Some(1 + choice % 2)).await,
            Fault::Retry => self.retry(None).await,
            Fault::KillRetry => self.retry(Some(at)).await,
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

    fn send(&self, outgoing: Outgoing) {
        let Outgoing { body, group_id, deduplication_id, attributes } = outgoing;
        let sender = OPERATOR;
        self.world.send(Sending { body, group_id, deduplication_id, attributes, sender });
    }

    async fn redrive(&self, killed_at: Option<u64>) {
        let fault = if killed_at.is_some() { Fault::KillRedrive } else { Fault::Redrive };
        self.once(|| Some(()).filter(|()| !self.world.letters().is_empty())).await;
        let _lease = self.lease.lock().await;
        let command = async {
            self.call().await;
            for (letter, sequence, _) in self.world.letters() {
                self.world.hit(fault);
                self.call().await;
                self.send(dead_letter::redriven(&letter));
                self.call().await;
                self.world.delete_letter(sequence);
            }
            true
        };
        self.command(Action::Redrive, Vec::new(), killed_at, command).await;
    }

    /// One of the dead letters that the service rejected. What was edited is not verified any more, so no
    /// others.
    fn rejected(&self, choice: u64) -> Option<(Message, u64)> {
        let mut letters = self.world.letters_of(Class::Rejected);
        Random::new(choice).shuffle(&mut letters);
        letters.pop()
    }

    async fn edit(&self, choice: u64, killed_at: Option<u64>) {
        self.once(|| self.rejected(choice)).await;
        let _lease = self.lease.lock().await;
        let Some((letter, sequence)) = self.rejected(choice) else { return };
        let Ok(mut body) = serde_json::from_str::<Value>(&letter.body) else { return };
        body["edited"] = true.into();
        let fault = if killed_at.is_some() { Fault::KillEdit } else { Fault::Edit };
        self.world.hit(fault);
        let ids = vec![letter.event_id().to_owned()];
        let command = async {
            self.call().await;
            let edited = dead_letter::edited(&letter, body.to_string(), self.world.wall());
            let Some(edited) = edited else { return false };
            self.send(edited);
            self.call().await;
            self.world.delete_letter(sequence);
            true
        };
        self.command(Action::Edit, ids, killed_at, command).await;
    }

    async fn drop_one(&self, choice: u64) {
        self.once(|| self.rejected(choice)).await;
        let _lease = self.lease.lock().await;
        let Some((letter, sequence)) = self.rejected(choice) else { return };
        self.world.hit(Fault::Drop);
        let ids = vec![letter.event_id().to_owned()];
        let command = async {
            self.call().await;
            self.world.delete_letter(sequence);
            true
        };
        self.command(Action::Drop, ids, None, command).await;
    }

    async fn skip(&self, choice: u64, killed_at: Option<u64>) {
        let head = || {
            let mut heads = self.world.hidden_heads();
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
            self.world.skip(&head);
            self.call().await;
            true
        };
        self.command(Action::Skip, ids, killed_at, command).await;
    }

    /// Shows again what waits, by the receipt handles that the log tells.
    async fn retry(&self, killed_at: Option<u64>) {
        let most = self.world.configuration.borrow().config().queue().max_receive_count;
        let waits = || Some(()).filter(|()| !self.world.hidden_heads().is_empty());
        self.once(waits).await;
        // It has been told by then.
        sleep(Duration::from_millis(500)).await;
        let kept = self.world.kept.borrow().clone();
        let fault = if killed_at.is_some() { Fault::KillRetry } else { Fault::Retry };
        let (world, shown) = (&self.world, Cell::new(0));
        let command = async {
            self.call().await;
            for (receive_count, handles) in kept.into_values() {
                if !may_be_early(receive_count, most) {
                    continue;
                }
                self.call().await;
                for handle in handles {
                    // What was received since is not theirs any more.
                    if world.change_visibility(&handle, 0).is_ok() {
                        shown.set(shown.get() + 1);
                        world.hit(fault);
                    }
                }
            }
            true
        };
        self.command(Action::Retry, Vec::new(), killed_at, command).await;
    }

    async fn pause(&self, fault: Fault, lasts: Duration, choice: u64) {
        let _turn = self.pause.lock().await;
        self.world.hit(fault);
        let killed_at = (fault == Fault::KillPause).then_some(1 + choice % 3);
        let pause = async {
            self.call().await;
            self.mapping.disable().await;
            true
        };
        self.command(Action::Pause, Vec::new(), killed_at, pause).await;
        sleep(lasts).await;
        if fault == Fault::PauseAcrossKill {
            self.mapping.kill_all();
            self.world.push(Seen::Died { process: "forwarder" });
            sleep(lasts).await;
        }
        for killed_at in [(fault == Fault::KillResume).then_some(1), None] {
            let resume = async {
                self.call().await;
                self.mapping.enable();
                true
            };
            self.command(Action::Resume, Vec::new(), killed_at, resume).await;
        }
    }
}
