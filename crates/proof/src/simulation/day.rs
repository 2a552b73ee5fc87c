//! One simulated day, from its plan to its history.

use std::rc::Rc;
use std::time::Duration;

use domain::dead_letter;
use domain::message::Message;
use serde_json::Value;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until};

use super::configuration::Kind;
use super::delivery::Delivery;
use super::operators::Operators;
use super::plan::{Plan, Planned};
use super::senders::Senders;
use super::service::Service;
use super::world::World;
use crate::history::{DeadLetter, History, Seen};
use crate::schedule::Fault;

/// How long everything that waits may take at most: longer than is promised, so that what comes too late
/// is seen to come.
const DRAINED_WITHIN: Duration = Duration::from_hours(2);

/// How often an engine is killed while it is.
const KILLS: u32 = 4;

/// How far a machine's wall clock is set at most, in milliseconds; and where events are compared with it: less
/// than `domain::freshness` allows.
const CLOCK_STEP_MS: u64 = 4 * 60 * 60 * 1_000;
const SKEW_MS: u64 = 900;

/// Lets a day pass, and gives what was seen in it.
pub(super) fn pass(seed: u64, plan: Plan) -> History {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads or sockets can be made");
    LocalSet::new().block_on(&runtime, passed(seed, plan))
}

async fn passed(seed: u64, plan: Plan) -> History {
    let Plan { size, configuration, events, faults, evening } = plan;
    let world = World::new(seed, size, configuration);
    world.push(Seen::Day { on: size.name() });
    world.push(world.configuration.borrow().seen());
    let service = Service::new(&world);
    let delivery = Delivery::start(&world, &service).await;
    let operators = Operators::new(&world, &delivery);
    let senders = Senders::new(&world);
    let mut tasks = JoinSet::new();
    for event in events {
        tasks.spawn_local(Rc::clone(&senders).send(event));
    }
    for planned in faults {
        let scene = Scene {
            world: Rc::clone(&world),
            service: Rc::clone(&service),
            delivery: delivery.clone(),
            operators: Rc::clone(&operators),
        };
        tasks.spawn_local(scene.carry_out(planned));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("what is simulated does not panic");
    }
    sleep_until(world.instant(evening)).await;
    world.is_well.set(true);
    world.push(Seen::Healthy);
    let _stuck = tokio::time::timeout(DRAINED_WITHIN, world.drained()).await;
    // What is under way still ends.
    sleep(Duration::from_secs(1)).await;
    let was_set = world.machine.as_ref().is_some_and(|machine| machine.clock.was_set());
    let dead = world.letters().await.iter().map(|letter| dead(letter, was_set)).collect();
    let waiting = world.waiting().await.iter().map(|it| it.event_id().to_owned()).collect();
    let (status, metrics) = (Value::Null, String::new());
    world.push(Seen::Left { dead, waiting, status, metrics });
    world.take_history()
}

/// A letter; where a clock was set nobody knows how old it was, and it counts as old.
fn dead(letter: &Message, was_set: bool) -> DeadLetter {
    let failure = dead_letter::failure_of(letter);
    let age_seconds = letter.sent_at.since(letter.accepted_at()).as_secs();
    DeadLetter {
        event_id: letter.event_id().to_owned(),
        reason: dead_letter::reason_of(letter),
        destination: failure.as_ref().and_then(|failure| failure.destination.clone()),
        status: failure.as_ref().and_then(|failure| failure.status),
        age_seconds: if was_set { u64::MAX } else { age_seconds },
    }
}

/// What a fault is done with.
struct Scene {
    world: Rc<World>,
    service: Rc<Service>,
    delivery: Delivery,
    operators: Rc<Operators>,
}

impl Scene {
    async fn carry_out(self, planned: Planned) {
        let Planned { at, lasts, fault, choice, .. } = planned;
        sleep_until(self.world.instant(at)).await;
        match fault {
            _ if fault.is_of_service() => {
                self.service.fail(&self.destination(choice), fault, lasts).await;
            }
            Fault::ServiceClock => {
                let off = i64::try_from(choice % 7_200_000).unwrap_or_default() - 3_600_000;
                self.world.service_is_off_ms.set(off);
                self.service.fail(&self.destination(choice), fault, lasts).await;
                self.world.service_is_off_ms.set(0);
            }
            Fault::KillForwarder => {
                self.world.begin(fault);
                // At each await in turn.
                self.delivery.running().crash_next((1..=6).map(|it| 1 + (choice + it * 3) % 24));
                sleep(lasts).await;
                self.delivery.running().crash_no_more();
                self.world.end(fault);
            }
            Fault::KillForwarders => {
                self.world.begin(fault);
                self.delivery.kill_when_busy(lasts).await;
                self.world.end(fault);
            }
            Fault::Reconfigure => {
                self.world.begin(fault);
                let edited = self.world.configuration.borrow().edited(choice);
                *self.world.configuration.borrow_mut() = edited;
                self.delivery.deploy().await;
                self.world.hit(fault);
                sleep(lasts).await;
                self.world.end(fault);
            }
            Fault::KillEngine => {
                self.world.begin(fault);
                if let Delivery::Engine(host) = &self.delivery {
                    for kill in 0..KILLS {
                        let within = lasts / KILLS;
                        if kill.is_multiple_of(2) {
                            host.kill_at_work(within).await;
                        } else {
                            // Between two steps of its writer, of those of some batches.
                            host.kill_at_step(1 + (choice >> (kill * 8)) % 60, within).await;
                        }
                        sleep(lasts / KILLS / 2).await;
                    }
                }
                self.world.end(fault);
            }
            Fault::FullDisk => {
                self.world.begin(fault);
                if let Some(machine) = &self.world.machine {
                    machine.fill_for(lasts).await;
                }
                self.world.end(fault);
            }
            Fault::EngineClock => {
                self.world.begin(fault);
                self.set_clock(lasts, choice).await;
                self.world.end(fault);
            }
            Fault::RotateSecret => {
                self.world.begin(fault);
                self.world.rotate(choice);
                sleep(lasts).await;
                self.world.end(fault);
            }
            Fault::Throttle
            | Fault::DeleteFails
            | Fault::VisibilityFails
            | Fault::DeadLetterFails
            | Fault::SecretFails
            | Fault::ForwarderClock => {
                self.world.begin(fault);
                sleep(lasts).await;
                self.world.end(fault);
            }
            _ => self.operators.act(fault, lasts, choice).await,
        }
    }

    /// Sets the machine's wall clock, and some time later right again.
    async fn set_clock(&self, lasts: Duration, choice: u64) {
        let Some(machine) = &self.world.machine else { return };
        // Whoever compares it with the time of a secret relies on it.
        let is_compared = self.world.configuration.borrow().routes.contains(&Kind::Signed);
        let by = if is_compared { SKEW_MS } else { CLOCK_STEP_MS };
        let by = i64::try_from(choice % by).unwrap_or_default();
        self.world.hit(Fault::EngineClock);
        machine.clock.set(if choice.is_multiple_of(2) { by } else { -by });
        sleep(lasts).await;
        machine.clock.set(0);
    }

    /// The destination that a number chooses, of those of the day.
    fn destination(&self, choice: u64) -> String {
        let routes = self.world.configuration.borrow().routes.clone();
        let all: Vec<&str> = routes.iter().flat_map(|kind| kind.destinations()).copied().collect();
        let place = usize::try_from(choice % all.len() as u64).unwrap_or_default();
        all.get(place).copied().unwrap_or_default().to_owned()
    }
}
