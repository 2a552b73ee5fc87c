//! The machine's programs: an engine, which is killed, stopped and started again on what it has kept, and
//! the processes of its function.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use domain::pause::{Pause, Pauses};
use engine::simulation::{
    Event, FunctionProcess, FunctionWithin, Options, Pace, Simulated, Step, Switch,
};
use forwarder::{BatchError, Response};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::function::{Environment, cut_off};
use super::machine::Machine;
use super::processes::Processes;
use super::service::Service;
use super::world::World;
use crate::random::Random;
use crate::schedule::Fault;

/// How long a forwarder outlives its engine at most.
const OUTLIVES_MICROS: u64 = 90_000;
/// How often it is looked whether nothing is under way any more.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Whose pause it is.
const PAUSE: &str = "release";

/// An engine and its function.
pub(super) struct Host {
    world: Rc<World>,
    service: Rc<Service>,
    machine: Rc<Machine>,
    random: RefCell<Random>,
    engine: RefCell<Option<Simulated>>,
    switch: RefCell<Option<Switch>>,
    /// How often one was started.
    starts: Cell<u64>,
    /// Held while one is killed, stopped or started.
    power: Mutex<()>,
    /// Of the engine that runs.
    writer: RefCell<Arc<Writer>>,
    processes: mpsc::UnboundedSender<FunctionProcess>,
    made: Cell<u64>,
    /// Of the function.
    pub(super) running: Processes,
}

/// Where the engine starts processes.
#[derive(Debug)]
struct Starts(mpsc::UnboundedSender<FunctionProcess>);

impl FunctionWithin for Starts {
    fn start(&self, process: FunctionProcess) {
        // Whoever hears it lives as long as the day.
        let _over = self.0.send(process);
    }
}

/// How an engine's writer is stopped before one of its steps.
#[derive(Debug, Default)]
struct Writer {
    /// Steps until then; 0 if it is not.
    left: AtomicU64,
    stopped: Notify,
}

impl Writer {
    /// Whether this step is the one.
    fn stops(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            self.stopped.notify_one();
        }
        left == 1
    }
}

/// How an invocation ended.
enum Ended {
    Answered(Result<Response, BatchError>),
    Died,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    /// Starts the first engine of a day.
    pub(super) async fn start(
        world: &Rc<World>,
        service: &Rc<Service>,
        machine: &Rc<Machine>,
    ) -> Rc<Self> {
        let (processes, mut started) = mpsc::unbounded_channel();
        let host = Rc::new(Self {
            world: Rc::clone(world),
            service: Rc::clone(service),
            machine: Rc::clone(machine),
            random: RefCell::new(world.random(61)),
            engine: RefCell::default(),
            switch: RefCell::default(),
            starts: Cell::default(),
            power: Mutex::default(),
            writer: RefCell::default(),
            processes,
            made: Cell::default(),
            running: Processes::default(),
        });
        let runs = Rc::clone(&host);
        tokio::task::spawn_local(async move {
            while let Some(process) = started.recv().await {
                tokio::task::spawn_local(Rc::clone(&runs).process(process));
            }
        });
        host.start_engine(None).await;
        host
    }

    fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end)
    }

    /// Starts an engine; the first may be killed before this step of its writer, while it starts.
    async fn start_engine(&self, killed_at: Option<u64>) {
        let mut killed_at = killed_at.unwrap_or_default();
        let engine = loop {
            let number = self.starts.replace(self.starts.get() + 1);
            let writer = Arc::new(Writer::default());
            writer.left.store(std::mem::take(&mut killed_at), Ordering::Relaxed);
            *self.writer.borrow_mut() = Arc::clone(&writer);
            let config = self.world.configuration.borrow().config();
            let starting = Simulated::start(Options {
                database: &self.machine.database,
                data_dir: self.machine.data_dir.path(),
                config: &config,
                clock: Arc::clone(&self.machine.clock) as _,
                pace: self.pace(number, &writer),
                function: Arc::new(Starts(self.processes.clone())),
            });
            tokio::select! {
                biased;
                engine = starting => break engine.expect("it starts on what it has kept"),
                () = writer.stopped.notified() => self.world.died("engine"),
            }
        };
        self.writer.borrow().left.store(0, Ordering::Relaxed);
        self.machine.opened(engine.store().clone());
        *self.switch.borrow_mut() = Some(engine.switch());
        *self.engine.borrow_mut() = Some(engine);
        self.world.note_letters(&self.machine).await;
    }

    /// A commit takes its time, and so does its answer.
    fn pace(&self, number: u64, writer: &Arc<Writer>) -> Pace {
        let (mut random, writer) = (self.world.random(3_000_000 + number), Arc::clone(writer));
        Box::new(move |step| {
            if writer.stops() {
                // It is killed before it goes on.
                return Duration::from_hours(24);
            }
            match step {
                Step::Commit => Duration::from_millis(random.below(3)),
                Step::Answer => Duration::from_millis(random.below(2)),
            }
        })
    }

    // The function.

    async fn process(self: Rc<Self>, process: FunctionProcess) {
        let kills = self.running.kills();
        let number = self.made.replace(self.made.get() + 1);
        let takes = Duration::from_micros(20_000 + self.below(100_000));
        let environment = Environment::start(&self.world, &self.service, number, takes).await;
        loop {
            let event = tokio::select! {
                biased;
                () = process.has_to_end() => return,
                () = self.running.once_killed_after(kills) => return self.world.died("forwarder"),
                event = process.next() => event,
            };
            self.running.begin();
            let ended = self.invoke(&environment, &process, &event, kills).await;
            self.running.end();
            match ended {
                Ended::Answered(Ok(response)) => {
                    let response = serde_json::to_vec(&response).unwrap_or_default();
                    process.answer(&event, Ok(response.into()));
                }
                Ended::Answered(Err(error)) => process.answer(&event, Err(error.to_string())),
                Ended::Died => return self.world.died("forwarder"),
            }
        }
    }

    /// Runs the function once, unless it is cut off: at a poll, with everything else, or by its engine.
    async fn invoke(
        &self,
        environment: &Environment,
        process: &FunctionProcess,
        event: &Event,
        kills: u64,
    ) -> Ended {
        let deadline = UNIX_EPOCH + event.deadline;
        let crash_at = self.running.crash(&self.world);
        let text = std::str::from_utf8(&event.event).expect("an event is JSON");
        let call = cut_off(environment.forwarder.forward(text, deadline, None), crash_at);
        let ends = async {
            process.has_to_end().await;
            // It does not hear of it at once.
            if !self.machine.is_open() {
                sleep(Duration::from_micros(self.below(OUTLIVES_MICROS))).await;
            }
        };
        tokio::select! {
            biased;
            () = self.running.once_killed_after(kills) => Ended::Died,
            ended = call => ended.map_or(Ended::Died, Ended::Answered),
            () = ends => Ended::Died,
        }
    }

    // What is done to it.

    /// Ends every process of the function, once one is at work, within this time.
    pub(super) async fn kill_when_busy(&self, within: Duration) {
        let some_time = || Duration::from_micros(self.below(200_000));
        self.running.while_busy(within, some_time).await;
        self.running.kill_by_fault(&self.world);
    }

    /// Kills the engine before this step of its writer, or when the time is over; and starts another.
    pub(super) async fn kill_at_step(&self, step: u64, within: Duration) {
        let writer = Arc::clone(&self.writer.borrow());
        writer.left.store(step, Ordering::Relaxed);
        if timeout(within, writer.stopped.notified()).await.is_ok() {
            self.world.hit(Fault::KillEngine);
        }
        writer.left.store(0, Ordering::Relaxed);
        self.kill_and_start().await;
    }

    /// Kills the engine while its function is at work, or when the time is over; and starts another.
    pub(super) async fn kill_at_work(&self, within: Duration) {
        let at_work = async {
            self.running.once_busy().await;
            sleep(Duration::from_micros(self.below(100_000))).await;
        };
        if timeout(within, at_work).await.is_ok() {
            self.world.hit(Fault::KillEngine);
        }
        self.kill_and_start().await;
    }

    /// Kills the engine, be it with its machine, and starts another.
    pub(super) async fn kill_and_start(&self) {
        let _turn = self.power.lock().await;
        self.machine.closed();
        let engine = self.engine.borrow_mut().take();
        engine.expect("there is one unless the power is taken").kill();
        self.world.died("engine");
        // Where nobody has set the wall clock: a machine that starts has nothing else to know the time by.
        if self.below(3) == 0 && !self.machine.clock.was_set() {
            self.running.kill();
            self.machine.clock.reboot();
        }
        sleep(Duration::from_millis(200 + self.below(3_000))).await;
        let killed_at = (self.below(3) == 0).then(|| 1 + self.below(12));
        self.start_engine(killed_at).await;
    }

    /// Stops the engine, and starts another with what is configured now.
    pub(super) async fn stop_and_start(&self) {
        let _turn = self.power.lock().await;
        let engine = self.engine.borrow_mut().take();
        engine.expect("there is one unless the power is taken").stop().await;
        self.machine.closed();
        sleep(Duration::from_millis(100 + self.below(1_000))).await;
        self.start_engine(None).await;
    }

    async fn change_pauses(&self, change: impl FnOnce(&mut Pauses)) -> bool {
        let Some(switch) = self.switch.borrow().clone() else { return false };
        self.machine.is_open() && switch.change_pauses(change).await.is_ok()
    }

    /// Pauses, and waits until nothing is under way; tells whether that is so for certain.
    pub(super) async fn disable(&self) -> bool {
        let of = self.starts.get();
        let since = Some(self.world.wall());
        let (by, reason, until) = (None, Some("a release".to_owned()), None);
        let pause = Pause { name: PAUSE.to_owned(), by, reason, since, until };
        if !self.change_pauses(|pauses| pauses.begin(pause)).await {
            return false;
        }
        loop {
            if self.starts.get() != of || !self.machine.is_open() {
                return false;
            }
            if self.switch.borrow().as_ref().is_some_and(Switch::is_at_rest) {
                // What was on its way when a forwarder was killed has arrived by then.
                sleep(Duration::from_secs(1)).await;
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the pause, however often it takes.
    pub(super) async fn enable(&self) {
        loop {
            let of = self.starts.get();
            let done = self.change_pauses(|pauses| drop(pauses.end(PAUSE))).await;
            if done && self.starts.get() == of && self.machine.is_open() {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
