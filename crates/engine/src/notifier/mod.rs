//! Looks at the engine, for who asks, and tells a person of what needs one, where nobody scrapes: posts
//! what the domain says is to be told. Nothing else waits for it, and whatever becomes of it, deliveries
//! go on.

mod kept;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::config::{Config, LogLevel};
use domain::notification::kind::Place;
use domain::notification::teller::Teller;
use domain::notification::watch::{Readings, Start, Watch};
use serde_json::json;
use tokio::task::JoinSet;

use self::kept::{Keeper, Kept};
use self::state::Looker;
use crate::admin::Admin;
use crate::clock::{Clock, Uptime};
use crate::error_text::in_full;
use crate::log::Log;
use crate::receiver::Receiver;

/// How often the engine is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Looks at the engine again and again.
struct Watcher {
    admin: Arc<Admin>,
    looker: Looker,
    watch: Watch,
}

/// Tells one receiver.
struct Notifier {
    receiver: Arc<Receiver>,
    watcher: Watcher,
    teller: Teller,
    started: Uptime,
    kept: Kept,
    keeper: Keeper,
    /// Whether what was posted could be kept so far.
    is_kept: bool,
    clock: Arc<dyn Clock>,
    log: Log,
}

/// Looks at an engine that starts now, whose last run may not have been stopped, for as long as it is
/// polled, and tells whoever is to be told. A fault in it is told, and ends nothing else.
pub(crate) fn run(
    config: &Config,
    data_dir: Option<&Path>,
    was_killed: bool,
    admin: &Arc<Admin>,
) -> impl Future<Output = ()> + Send + use<> {
    let log = admin.log.clone();
    let mut running = JoinSet::new();
    if let Some(receiver) = &admin.receiver {
        let receiver = Arc::clone(receiver);
        let notifier = Notifier::new(config, data_dir, was_killed, admin, receiver);
        running.spawn(notifier.tell());
    } else {
        let start = Start { was_killed, ..Start::default() };
        running.spawn(Watcher::new(config, admin, start).watch());
    }
    async move {
        if let Some(Err(error)) = running.join_next().await
            && error.is_panic()
        {
            let message = "notifications have ended until the next start: what looks at the engine has \
                           panicked";
            log.line(LogLevel::Error, message, json!({}));
        }
    }
}

impl Watcher {
    fn new(config: &Config, admin: &Arc<Admin>, start: Start) -> Self {
        let looker = Looker::new(Arc::clone(admin), config.queue().dead_letter_retention);
        let watch = Watch::new(admin.store.clock().uptime(), start);
        Self { admin: Arc::clone(admin), looker, watch }
    }

    async fn look(&mut self) -> Readings {
        let state = self.looker.state().await;
        let clock = self.admin.store.clock();
        let readings = self.watch.look(clock.uptime(), &state);
        self.admin.conditions.saw(clock.wall(), &readings);
        readings
    }

    async fn watch(mut self) {
        let clock = Arc::clone(self.admin.store.clock());
        loop {
            self.look().await;
            clock.wait_until(clock.uptime().plus(LOOK_EVERY)).await;
        }
    }
}

impl Notifier {
    fn new(
        config: &Config,
        data_dir: Option<&Path>,
        was_killed: bool,
        admin: &Arc<Admin>,
        receiver: Arc<Receiver>,
    ) -> Self {
        let (clock, log) = (Arc::clone(admin.store.clock()), admin.log.clone());
        let keeper = Keeper::new(data_dir);
        let mut kept = keeper.read().unwrap_or_else(|error| {
            let message = "what was notified before is not known, and may be told again";
            log.line(LogLevel::Warn, message, json!({ "error": error.to_string() }));
            Kept::default()
        });
        let (now, wall) = (clock.uptime(), clock.wall());
        let watcher = Watcher::new(config, admin, kept.start(wall, was_killed));
        let teller = Teller::new(place(config, data_dir), kept.teller.clone(), now, wall);
        let (started, is_kept) = (now, true);
        Self { receiver, watcher, teller, started, kept, keeper, is_kept, clock, log }
    }

    async fn tell(mut self) {
        if let Err(error) = self.receiver.is_ready() {
            let fields = json!({ "error": in_full(&error) });
            self.log.line(LogLevel::Error, "notifications cannot be sent", fields);
        }
        self.keep().await;
        loop {
            let readings = self.watcher.look().await;
            self.teller.observe(self.clock.uptime(), self.clock.wall(), &readings);
            if self.teller.has_changed() || self.watcher.watch.counters() != self.kept.counters() {
                self.keep().await;
            }
            self.post().await;
            self.clock.wait_until(self.clock.uptime().plus(LOOK_EVERY)).await;
        }
    }

    async fn post(&mut self) {
        let Some(post) = self.teller.post(self.clock.uptime(), self.clock.wall()) else { return };
        // That it was tried counts also for an engine that ends meanwhile. Where that cannot be kept, it
        // waits for its turn.
        let was_kept = self.is_kept;
        self.keep().await;
        if was_kept && !self.is_kept {
            return;
        }
        match self.receiver.post(&post.text).await {
            Ok(()) => {
                self.teller.arrived(&post, self.clock.uptime());
                self.keep().await;
                self.log.line(LogLevel::Info, "notified", json!({ "conditions": post.conditions }));
            }
            Err(error) => {
                self.teller.failed(self.clock.uptime(), error.retry_after());
                let fields = json!({ "conditions": post.conditions, "error": in_full(&error) });
                self.log.line(LogLevel::Warn, "notification failed", fields);
            }
        }
    }

    async fn keep(&mut self) {
        self.kept.set_counters(&self.watcher.watch.counters());
        self.kept.teller = self.teller.kept(self.clock.uptime(), self.clock.wall());
        if let Err(error) = self.keeper.write(&self.kept).await {
            let message = "what was notified cannot be kept, and may be told again after a restart";
            self.log.line(LogLevel::Warn, message, json!({ "error": error.to_string() }));
            if self.is_kept {
                self.is_kept = false;
                let now = self.clock.uptime();
                self.teller.forget_posts(now, now.since(self.started));
            }
        }
    }
}

/// As an operator types it. Where the directory's own name is not known, as it was given.
fn place(config: &Config, data_dir: Option<&Path>) -> Place {
    let data_dir = data_dir.map(|dir| {
        let dir = std::path::absolute(dir).unwrap_or_else(|_unknown| dir.to_owned());
        let dir = dir.to_string_lossy().into_owned();
        shlex::try_quote(&dir).map(std::borrow::Cow::into_owned).unwrap_or(dir)
    });
    Place { environment: config.environment().to_owned(), data_dir }
}
