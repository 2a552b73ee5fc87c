//! Carries out a schedule.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Options;
use super::clock::{self, Clock};
use super::configuration::{self, Configuration, PROVIDER_SECRETS};
use super::engine::{Engine, Places};
use super::mounts::{Disk, Hosts, own_shared_memory};
use super::operators::Operators;
use super::record::Record;
use super::senders::Senders;
use super::service::Service;
use crate::history::Seen;
use crate::kind::Kind;
use crate::schedule::{Fault, Step};

/// How many requests a fault of the service meets before it ends, and how long it lasts at most.
const HITS: u64 = 30;
const LASTS: Duration = Duration::from_secs(3);
/// Longest wait for something that has to come: a busy machine's.
const COMES_WITHIN: Duration = Duration::from_mins(2);
/// How many events are sent while delivery is paused.
pub(super) const WHILE_PAUSED: u64 = 100;
/// How many events are sent while the engine is killed.
const UNDER_LOAD: u64 = 200;
/// How long a full disk lasts at most: the engine looks for room every second.
const FULL_FOR: Duration = Duration::from_secs(15);
/// How many events are sent into a full disk at a time.
const INTO_FULL: u64 = 20;
/// How many events are sent before it is asked how many wait.
const SENT_AT_A_TIME: u64 = 1_000;
/// From how many events that wait no more are sent for a while: senders are faster than what they send to.
const WAITING_MAX: u64 = 20_000;
/// How long no more are sent at most, of a whole run: some may wait for ever, which is to be seen at its end.
const HELD_BACK_FOR: Duration = Duration::from_mins(10);
/// How long everything that waits may take, beside what each event takes: longer than is promised, so that
/// what comes too late is seen to come.
const DRAINED_WITHIN: Duration = Duration::from_mins(3);

/// An attack that is under way.
pub(super) struct Attack {
    pub(super) events: u64,
    ends_at: Instant,
    /// For how long no more were sent.
    held_back: Duration,
    progress: fn(&str),
    pub(super) record: Arc<Record>,
    pub(super) places: Arc<Places>,
    disk: Option<Disk>,
    /// Where it can be set.
    clock: Option<Clock>,
    /// The programs that are upgraded to, where former ones were started.
    newer: Option<PathBuf>,
    service: Service,
    engine: Option<Engine>,
    ingest: watch::Sender<Option<SocketAddr>>,
    senders: Senders,
    pub(super) released: u64,
    pub(super) operators: Operators,
    edition: u64,
    deliberate: Option<&'static str>,
    /// Faults of the service that are under way.
    failing: JoinSet<anyhow::Result<u64>>,
    used: HashMap<&'static str, (u64, u64)>,
    files: u64,
    skipped: Vec<(Fault, String)>,
    /// Removed with everything in it at the end.
    _folder: tempfile::TempDir,
}

impl Attack {
    pub(super) async fn begin(options: &Options, record: Arc<Record>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("making a folder")?;
        let path = |name: &str| folder.path().join(name);
        for name in ["disk", "desk", "secrets"] {
            std::fs::create_dir(path(name)).context("making a folder")?;
        }
        for (name, rotations) in PROVIDER_SECRETS.into_iter().zip([0, 1]) {
            let secret = record.planted.provider(rotations);
            std::fs::write(path("secrets").join(name), secret)?;
        }
        std::fs::write(path("secrets").join("ours"), &record.planted.ours)?;
        let mut skipped = Vec::new();
        let disk = match Disk::mount(&path("disk"), options.events) {
            Ok(disk) => Some(disk),
            Err(why) => {
                let why = format!("no disk of its own: {why}");
                let faults = [Fault::FullDisk, Fault::ReadOnlyDisk];
                skipped.extend(faults.map(|fault| (fault, why.clone())));
                None
            }
        };
        let (first, newer) = match &options.upgrade_from {
            Some(former) => (former, Some(options.programs.clone())),
            None => (&options.programs, None),
        };
        if newer.is_none() {
            skipped.push((Fault::Upgrade, "no former programs were named".to_owned()));
        }
        std::os::unix::fs::symlink(first, path("programs")).context("linking the programs")?;
        // A fault that is there on purpose is looked for with others beside it, on the same machine.
        let is_alone = options.own_mounts && options.deliberate.is_none();
        let apart = "mounts of its own are needed: only root can have them, and one run at a time";
        let mut hosts = None;
        let mut clock = None;
        if is_alone {
            let names = Kind::ALL.into_iter().flat_map(Kind::destinations).copied();
            hosts = Some(Arc::new(Hosts::mount(&path("hosts"), names)?));
            let found = Clock::new(path("forwarder"), &options.programs);
            match found.and_then(|found| own_shared_memory().map(|()| found)) {
                Ok(found) => clock = Some(found),
                Err(why) => skipped.push((Fault::StepClock, why)),
            }
        } else {
            let faults = [Fault::MoveName, Fault::StepClock];
            skipped.extend(faults.map(|fault| (fault, apart.to_owned())));
        }
        let places = Arc::new(Places {
            programs: path("programs"),
            data_dir: path("disk").join("data"),
            config: path("config.json"),
            desk: path("desk"),
            secrets: path("secrets"),
        });
        let ingest = watch::Sender::new(None);
        let mut attack = Self {
            events: options.events,
            ends_at: Instant::now() + options.time,
            held_back: Duration::ZERO,
            progress: options.progress,
            service: Service::start(options.seed, &record, hosts.as_ref()).await?,
            engine: None,
            senders: Senders::start(options.seed, &record, &ingest),
            released: 0,
            operators: Operators::new(Arc::clone(&places), Arc::clone(&record)),
            edition: options.seed,
            deliberate: options.deliberate,
            failing: JoinSet::new(),
            used: HashMap::new(),
            files: 0,
            skipped,
            _folder: folder,
            ingest,
            disk,
            clock,
            newer,
            places,
            record,
        };
        attack.record.push(configuration::seen());
        attack.start_engine().await?;
        Ok(attack)
    }

    async fn start_engine(&mut self) -> anyhow::Result<()> {
        let configuration = Configuration {
            destinations: &self.service.authorities(),
            secrets: &self.places.secrets,
        };
        std::fs::write(&self.places.config, configuration.json(self.edition).to_string())?;
        let clock = self.clock.as_ref();
        let started = Engine::start(&self.places, self.deliberate, clock, &self.record).await;
        let (engine, ingest) = started?;
        self.engine = Some(engine);
        self.ingest.send_replace(Some(ingest));
        Ok(())
    }

    pub(super) fn engine(&self) -> anyhow::Result<&Engine> {
        self.engine.as_ref().context("no engine runs")
    }

    pub(super) async fn kill_engine(&mut self) -> anyhow::Result<()> {
        let engine = self.engine.take().context("no engine runs")?;
        self.ingest.send_replace(None);
        engine.kill().await?;
        self.start_engine().await
    }

    /// Kills it while it accepts.
    async fn kill_engine_under_load(&mut self) -> anyhow::Result<()> {
        let mut sent = self.record.counts.sent.subscribe();
        let some = self.released + UNDER_LOAD / 5;
        self.senders.release(UNDER_LOAD);
        self.released += UNDER_LOAD;
        let some = tokio::time::timeout(COMES_WITHIN, sent.wait_for(|sent| *sent >= some));
        some.await.context("the senders do not send")?.context("the senders are gone")?;
        self.kill_engine().await
    }

    /// Does every step, and sends every event.
    pub(super) async fn carry_out(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        for (number, step) in steps.iter().enumerate() {
            self.send_steadily(step.after).await?;
            self.look();
            if Instant::now() > self.ends_at {
                let skipped = (step.fault, "the time was over".to_owned());
                if !self.skipped.contains(&skipped) {
                    self.skipped.push(skipped);
                }
                continue;
            }
            let said = format!("{}/{} {:?}", number + 1, steps.len(), step.fault);
            (self.progress)(&format!("{said}, {} events", step.after));
            self.carry_out_one(*step).await.with_context(|| format!("step {said}"))?;
        }
        self.send_steadily(self.events).await?;
        self.wait_for_service().await
    }

    /// Has events sent, until this many were, and not faster than they are delivered.
    async fn send_steadily(&mut self, events: u64) -> anyhow::Result<()> {
        while self.released < events {
            self.send_until((self.released + SENT_AT_A_TIME).min(events)).await?;
            let began = Instant::now();
            while self.count_waiting().await? > WAITING_MAX
                && self.held_back + began.elapsed() < HELD_BACK_FOR
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.held_back += began.elapsed();
        }
        Ok(())
    }

    /// Has events sent, until this many were.
    pub(super) async fn send_until(&mut self, events: u64) -> anyhow::Result<()> {
        self.senders.release(events.saturating_sub(self.released));
        self.released = self.released.max(events);
        let mut sent = self.record.counts.sent.subscribe();
        let all = tokio::time::timeout(COMES_WITHIN, sent.wait_for(|sent| *sent >= events));
        let came = all.await.is_ok();
        self.senders.check()?;
        ensure!(came, "only {} of {events} events were sent", *sent.borrow());
        Ok(())
    }

    async fn wait_for_service(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.failing.join_next().await {
            ended.context("the service")??;
        }
        Ok(())
    }

    async fn carry_out_one(&mut self, step: Step) -> anyhow::Result<()> {
        let fault = step.fault;
        if fault.is_of_service() {
            // Two at a time: more of them, and nothing would be delivered any more.
            while self.failing.len() > 1 {
                if let Some(ended) = self.failing.join_next().await {
                    ended.context("the service")??;
                }
            }
            let destination = self.service.chosen(step.choice);
            self.failing.spawn(async move { destination.fail(fault, HITS, LASTS).await });
            return Ok(());
        }
        self.record.push(Seen::Began { fault });
        let hits = match fault {
            Fault::KillEngine => self.kill_engine_under_load().await.map(|()| 1),
            Fault::KillForwarder | Fault::KillForwarders => self.kill_forwarders(step).await,
            Fault::Reconfigure => self.reconfigure(step).await.map(|()| 1),
            Fault::FullDisk => self.full_disk().await,
            Fault::ReadOnlyDisk => self.read_only_disk().await,
            Fault::StepClock => self.step_clock(step).await,
            Fault::Upgrade => self.upgrade().await,
            Fault::Redrive | Fault::KillRedrive => {
                self.drop_oldest().await?;
                self.redrive(step).await
            }
            Fault::Skip | Fault::KillSkip => self.skip(step).await,
            Fault::Retry | Fault::KillRetry => self.retry(step).await,
            Fault::Pause | Fault::PauseAcrossKill | Fault::KillPause | Fault::KillResume => {
                self.pause(step).await.map(|()| 1)
            }
            Fault::Edit | Fault::KillEdit => self.edit(step).await,
            Fault::Drop | Fault::KillDrop => self.drop_one(step).await,
            Fault::Import | Fault::KillImport => self.import(step).await,
            Fault::Repeat => self.repeat(step).await,
            Fault::TogetherAct => self.act_together(step).await,
            Fault::PageAct | Fault::KillPage => self.act_by_the_page(step).await,
            Fault::RotateSecret => self.rotate_secret().map(|()| 1),
            _ => bail!("{fault:?} is the service's"),
        }?;
        self.record.push(Seen::Ended { fault, hits });
        Ok(())
    }

    async fn kill_forwarders(&mut self, step: Step) -> anyhow::Result<u64> {
        let mut forwarders = self.forwarders().await?;
        if step.fault == Fault::KillForwarder {
            let place = usize::try_from(step.choice % forwarders.len() as u64).unwrap_or_default();
            forwarders = vec![forwarders[place]];
        }
        for forwarder in &forwarders {
            self.engine()?.kill_forwarder(*forwarder).await?;
        }
        Ok(forwarders.len() as u64)
    }

    /// The engine's forwarders, once there are some.
    async fn forwarders(&self) -> anyhow::Result<Vec<u32>> {
        let started = Instant::now();
        loop {
            let forwarders = self.engine()?.forwarders();
            if !forwarders.is_empty() {
                return Ok(forwarders);
            }
            ensure!(started.elapsed() < COMES_WITHIN, "the engine starts no forwarder");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn reconfigure(&mut self, step: Step) -> anyhow::Result<()> {
        let engine = self.engine.take().context("no engine runs")?;
        self.ingest.send_replace(None);
        engine.stop().await?;
        self.edition = step.choice;
        self.start_engine().await
    }

    async fn full_disk(&mut self) -> anyhow::Result<u64> {
        let Some(disk) = &self.disk else { return Ok(0) };
        let mut refused = self.record.counts.refused.subscribe();
        let before = *refused.borrow();
        let filler = disk.fill()?;
        let began = Instant::now();
        while *refused.borrow() < before + 6 && began.elapsed() < FULL_FOR {
            self.senders.release(INTO_FULL);
            self.released += INTO_FULL;
            let met = async { refused.changed().await.is_ok() };
            let _met = tokio::time::timeout(Duration::from_millis(200), met).await;
        }
        std::fs::remove_file(filler).context("making room again")?;
        let met = *self.record.counts.refused.borrow() - before;
        // Everything goes on.
        self.send_until(self.released).await?;
        Ok(met)
    }

    /// A disk that takes no more writes: an engine does not start on it, and goes on once it does.
    async fn read_only_disk(&mut self) -> anyhow::Result<u64> {
        if self.disk.is_none() {
            return Ok(0);
        }
        let engine = self.engine.take().context("no engine runs")?;
        self.ingest.send_replace(None);
        engine.kill().await?;
        if let Some(disk) = &self.disk {
            disk.set_read_only(true)?;
            let refused = Engine::refuse(&self.places, self.clock.as_ref(), &self.record).await;
            disk.set_read_only(false)?;
            refused?;
        }
        self.start_engine().await?;
        Ok(1)
    }

    /// The engine is away for a moment, as where the machine is: its wall clock is another then.
    async fn step_clock(&mut self, step: Step) -> anyhow::Result<u64> {
        let Some(clock) = &mut self.clock else { return Ok(0) };
        // Former programs are as they were released.
        if !clock::is_for(&self.places.programs) {
            return Ok(0);
        }
        clock.step(step.choice / 2);
        let engine = self.engine.take().context("no engine runs")?;
        self.ingest.send_replace(None);
        if step.choice.is_multiple_of(2) {
            engine.kill().await?;
        } else {
            engine.stop().await?;
        }
        self.start_engine().await?;
        Ok(1)
    }

    /// As somebody installs newer programs: the data directory stays.
    async fn upgrade(&mut self) -> anyhow::Result<u64> {
        let Some(newer) = self.newer.take() else { return Ok(0) };
        let engine = self.engine.take().context("no engine runs")?;
        self.ingest.send_replace(None);
        engine.stop().await?;
        let link = &self.places.programs;
        let new = link.with_extension("new");
        std::os::unix::fs::symlink(newer, &new).context("linking the newer programs")?;
        std::fs::rename(new, link).context("linking the newer programs")?;
        self.start_engine().await?;
        Ok(1)
    }

    /// Notes what processes use, where it is more than before.
    fn look(&mut self) {
        for (process, memory, descriptors) in self.engine.iter().flat_map(Engine::usage) {
            let used = self.used.entry(process).or_default();
            *used = (used.0.max(memory), used.1.max(descriptors));
        }
        let files = std::fs::read_dir(&self.places.data_dir).map_or(0, Iterator::count) as u64;
        self.files = self.files.max(files);
    }

    /// Ends every fault, waits until everything went out, and notes what is left.
    pub(super) async fn end(mut self) -> anyhow::Result<Vec<(Fault, String)>> {
        (self.progress)("everything is well from here on; what waits goes out");
        self.service.be_well();
        self.operators.run(&["resume", "--all", "--no-wait"]).await?;
        self.record.push(Seen::Healthy);
        let waiting = self.drain().await?;
        self.look();
        let dead = self.operators.dead_letters().await?;
        let status = self.operators.json(&["status"]).await?;
        let metrics = self.engine()?.get("/metrics").await?;
        self.record.push(Seen::Left { dead, waiting, status, metrics });
        if let Some(engine) = self.engine.take() {
            engine.stop().await?;
        }
        self.search()?;
        for (process, (memory_kib, descriptors)) in self.used.drain() {
            self.record.push(Seen::Used { process, memory_kib, descriptors });
        }
        self.record.push(Seen::Files { count: self.files });
        Ok(self.skipped)
    }

    /// Waits until nothing waits; gives the ids of what still does.
    async fn drain(&self) -> anyhow::Result<Vec<String>> {
        let ends_at = Instant::now() + DRAINED_WITHIN + Duration::from_millis(self.events / 10);
        loop {
            if self.count_waiting().await? == 0 {
                return Ok(Vec::new());
            }
            if Instant::now() > ends_at {
                return self.waiting().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many events are in the queue.
    async fn count_waiting(&self) -> anyhow::Result<u64> {
        let status = self.engine()?.json("/_engine/status").await?;
        let queue = &status["queue"];
        let counts = ["visible", "in_flight", "delayed"].map(|name| queue[name].as_u64());
        Ok(counts.into_iter().flatten().sum())
    }

    async fn waiting(&self) -> anyhow::Result<Vec<String>> {
        let engine = self.engine()?;
        let mut waiting = Vec::new();
        for (_, event_id) in self.record.accepted() {
            let found = engine.json(&format!("/_engine/messages/{event_id}")).await?;
            let messages = found["messages"].as_array().cloned().unwrap_or_default();
            if messages.iter().any(|message| message["state"] != "dead") {
                waiting.push(event_id);
            }
        }
        Ok(waiting)
    }

    /// Looks for what was planted in every file of the data directory but the database and the room that
    /// is held in reserve.
    fn search(&self) -> anyhow::Result<()> {
        let mut bytes = 0;
        for file in std::fs::read_dir(&self.places.data_dir).context("looking at the files")? {
            let file = file.context("looking at the files")?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("queues.db") || name.starts_with("reserve") || name == "filler" {
                continue;
            }
            let text = std::fs::read(&file).with_context(|| format!("reading {name}"))?;
            bytes += text.len() as u64;
            self.record.search(&name, &text);
        }
        self.record.push(Seen::Searched { bytes });
        Ok(())
    }
}
