//! For a simulation, and nothing else: an engine's store and event source mapping within one thread and one
//! simulated time, with a function that the simulation brings. No program uses it.
//!
//! What is another than in a program: the store's database is in memory, its writer is a task instead of a
//! thread, and a process of the function is within this one. Everything else is the engine's own.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::config::{Config, LogLevel};
use domain::pause::Pauses;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::deliveries::Deliveries;
use crate::engine::mapping_options;
use crate::event_source_mapping::{EventSourceMapping, MappingError, MappingHandle};
use crate::function::{Function, FunctionIdentity, FunctionOptions, INIT_TIMEOUT, Program};
use crate::log::Log;
use crate::queues;
use crate::storage_health::StorageHealth;
use crate::store::{OpenError, SequenceNumber, Store, StoreError};

pub use crate::function::{Event, FunctionProcess, FunctionWithin};
pub use crate::looking_api::parsed;
pub use crate::store::{Pace, Step};
pub use crate::watched::Watched;

/// A database in memory that outlives engines, as a file does.
pub struct Database {
    name: String,
    keeper: rusqlite::Connection,
}

impl Database {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn new() -> Result<Self, OpenError> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("simulated-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let keeper = Store::database_in_memory(&name)?;
        Ok(Self { name, keeper })
    }

    /// Damages a message as a disk does: the first character of its body is another from now on; of a damaged
    /// one it is right again, if it was a brace. Tells whether it is there.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn damage(&self, sequence: SequenceNumber) -> rusqlite::Result<bool> {
        let damage =
            "UPDATE message SET body = iif(substr(body, 1, 1) = 'X', '{', 'X') || substr(body, 2)
                      WHERE sequence = ?1";
        Ok(self.keeper.execute(damage, [sequence.stored()])? > 0)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a simulated engine is made of.
pub struct Options<'a> {
    /// Where its queues are.
    pub database: &'a Database,
    /// Where its pauses are.
    pub data_dir: &'a Path,
    /// Its configuration.
    pub config: &'a Config,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// How long the steps of its writer wait.
    pub pace: Pace,
    /// Its function.
    pub function: Arc<dyn FunctionWithin>,
}

/// Why one does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pauses cannot be read.
    #[error("the pauses cannot be read")]
    Pauses(#[from] io::Error),
}

impl From<MappingError> for StartError {
    fn from(error: MappingError) -> Self {
        match error {
            MappingError::Store(error) => error.into(),
            MappingError::Pauses(error) => error.into(),
        }
    }
}

/// A simulated engine.
pub struct Simulated {
    store: Store,
    mapping: EventSourceMapping,
    writer: Writer,
}

/// The store's writer; it ends when this is dropped.
struct Writer(AbortHandle);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Simulated {
    /// Starts one, within a runtime whose time is the clock's. Dropped before it has, it is killed.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(options: Options<'_>) -> Result<Self, StartError> {
        let Options { database, data_dir, config, clock, pace, function } = options;
        let (store, writer) = Store::simulated(&database.name, Arc::clone(&clock), pace)?;
        let writer = Writer(writer);
        let mapping = Self::over(&store, config, clock, function, data_dir).await?;
        Ok(Self { store, mapping, writer })
    }

    async fn over(
        store: &Store,
        config: &Config,
        clock: Arc<dyn Clock>,
        function: Arc<dyn FunctionWithin>,
        data_dir: &Path,
    ) -> Result<EventSourceMapping, StartError> {
        // It has no place, and no thread then.
        let log = Log::new(Arc::clone(&clock), LogLevel::Error, Vec::new(), store.failures())?;
        queues::ensure(store, config).await?;
        store.keep_delivered(config.keep_delivered()).await?;
        let options = FunctionOptions {
            program: Program::Within(function),
            environment: [].into(),
            arn: FunctionIdentity::of(config).arn(),
            init_timeout: INIT_TIMEOUT,
            timeout: config.forwarder().function_timeout,
        };
        let function = Function::new(options, clock, log.clone(), Arc::<Deliveries>::default());
        let health = StorageHealth::new(log.clone());
        let options = mapping_options(config, function, store, &log, &health);
        Ok(EventSourceMapping::start(options, Some(data_dir)).await?)
    }

    /// Its queues.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What pauses it.
    #[must_use]
    pub fn switch(&self) -> Switch {
        Switch(self.mapping.handle())
    }

    /// Kills it: nothing of it runs any more, and nothing more is committed. What uses its store hears that it
    /// is closed.
    pub fn kill(self) {
        // Its workers end with it.
        drop(self);
    }

    /// Lets the function finish what it works on, and ends.
    pub async fn stop(self) {
        self.mapping.stop().await;
        drop(self.writer);
    }
}

/// What pauses an engine, and outlives it.
#[derive(Clone)]
pub struct Switch(MappingHandle);

impl Switch {
    /// Changes the pauses, as the engine's own API does.
    ///
    /// # Errors
    ///
    /// When they cannot be kept.
    pub async fn change_pauses<T>(&self, change: impl FnOnce(&mut Pauses) -> T) -> io::Result<T> {
        self.0.change_pauses(change).await
    }

    /// Whether it takes no messages, and none is under way.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.0.status().state == "Disabled"
    }
}
