//! One simulated day, from its plan to its history.

use std::rc::Rc;
use std::time::Duration;

use domain::dead_letter;
use domain::message::Message;
use serde_json::Value;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until};

use super::lambda::Mapping;
use super::operators::Operators;
use super::plan::{EVENING, Plan, Planned};
use super::senders::Senders;
use super::service::Service;
use super::world::World;
use crate::history::{DeadLetter, History, Micros, Seen};
use crate::schedule::Fault;

/// How long everything that waits may take at most: longer than is promised, so that what comes too late
/// is seen to come.
const DRAINED_WITHIN: Duration = Duration::from_hours(2);

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
    let Plan { configuration, events, faults } = plan;
    let world = World::new(seed, configuration);
    world.push(world.configuration.borrow().seen());
    let service = Service::new(&world);
    let mapping = Mapping::new(&world, &service);
    let operators = Operators::new(&world, &mapping);
    let senders = Senders::new(&world);
    mapping.start();
    let mut tasks = JoinSet::new();
    for event in events {
        tasks.spawn_local(Rc::clone(&senders).send(event));
    }
    for planned in faults {
        let scene = Scene {
            world: Rc::clone(&world),
            service: Rc::clone(&service),
            mapping: Rc::clone(&mapping),
            operators: Rc::clone(&operators),
        };
        tasks.spawn_local(scene.carry_out(planned));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("what is simulated does not panic");
    }
    sleep_until(world.instant(EVENING)).await;
    world.is_well.set(true);
    world.push(Seen::Healthy);
    let drained = async {
        let mut changes = world.changes();
        while !world.is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    let _stuck = tokio::time::timeout(DRAINED_WITHIN, drained).await;
    // What is under way still ends.
    sleep(Duration::from_secs(1)).await;
    let dead = world.letters().into_iter().map(|(letter, _, since)| dead(&letter, since)).collect();
    let (waiting, status, metrics) = (world.waiting(), Value::Null, String::new());
    world.push(Seen::Left { dead, waiting, status, metrics });
    world.take_history()
}

fn dead(letter: &Message, since: Micros) -> DeadLetter {
    let failure = dead_letter::failure_of(letter);
    DeadLetter {
        event_id: letter.event_id().to_owned(),
        reason: dead_letter::reason_of(letter),
        destination: failure.as_ref().and_then(|failure| failure.destination.clone()),
        status: failure.as_ref().and_then(|failure| failure.status),
        age_seconds: World::wall_at(since).since(letter.accepted_at()).as_secs(),
    }
}

/// What a fault is done with.
struct Scene {
    world: Rc<World>,
    service: Rc<Service>,
    mapping: Rc<Mapping>,
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
                self.mapping.crash_next((1..=6).map(|it| 1 + (choice + it * 3) % 24));
                sleep(lasts).await;
                self.mapping.crash_no_more();
                self.world.end(fault);
            }
            Fault::KillForwarders => {
                self.world.begin(fault);
                self.mapping.kill_when_busy(lasts).await;
                self.world.end(fault);
            }
            Fault::Reconfigure => {
                self.world.begin(fault);
                let edited = self.world.configuration.borrow().edited(choice);
                *self.world.configuration.borrow_mut() = edited;
                self.mapping.deploy();
                self.world.hit(fault);
                sleep(lasts).await;
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

    /// The destination that a number chooses, of those of the day.
    fn destination(&self, choice: u64) -> String {
        let routes = self.world.configuration.borrow().routes.clone();
        let all: Vec<&str> = routes.iter().flat_map(|kind| kind.destinations()).copied().collect();
        let place = usize::try_from(choice % all.len() as u64).unwrap_or_default();
        all.get(place).copied().unwrap_or_default().to_owned()
    }
}
