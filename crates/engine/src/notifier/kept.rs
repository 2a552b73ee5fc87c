//! What a notifier knows after a restart: what it has told, so that nobody is told twice; how often it
//! posted of late, so that an engine that starts again and again posts no more than one that stays up;
//! and what was in the ledger, so that what expires during a start is noticed.
//!
//! A file of its own and not a table: it is wanted most when the database fails, and nothing but a
//! repeated post depends on it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::notification::kind::Kind;
use domain::notification::teller::KeptTeller;
use domain::notification::watch::{Counters, Start};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::files::{read_if_there, replace};

/// Name of the file in the data directory.
const FILE: &str = "notifications.json";

/// Starts that are remembered.
const STARTS_MAX: usize = 10;

/// How long writing may take before it is left to itself.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is kept. Fields that a newer engine adds are passed over by an older one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// When the engine started, the last times, in milliseconds since the Unix epoch.
    starts_ms: Vec<u64>,
    counters: Vec<KeptCounter>,
    pub(super) teller: KeptTeller,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptCounter {
    kind: String,
    of: String,
    count: u64,
}

/// The file.
pub(super) struct Keeper {
    file: Option<PathBuf>,
    /// At most one, that a disk may keep waiting.
    writing: JoinSet<io::Result<()>>,
}

impl Kept {
    /// How the engine that starts now, at `wall`, came to run; this start is one of those kept from here on.
    pub(super) fn start(&mut self, wall: Timestamp, was_killed: bool) -> Start {
        self.starts_ms.push(wall.as_ms());
        let too_many = self.starts_ms.len().saturating_sub(STARTS_MAX);
        self.starts_ms.drain(..too_many);
        let starts = self.starts_ms.iter().map(|ms| wall.since(Timestamp::from_ms(*ms)));
        Start { starts_ago: starts.collect(), was_killed, counters: self.counters() }
    }

    pub(super) fn counters(&self) -> Counters {
        let known = self
            .counters
            .iter()
            .filter_map(|kept| Some(((Kind::named(&kept.kind)?, kept.of.clone()), kept.count)));
        known.collect()
    }

    pub(super) fn set_counters(&mut self, counters: &Counters) {
        let kept = counters.iter().map(|((kind, of), count)| KeptCounter {
            kind: kind.name().to_owned(),
            of: of.clone(),
            count: *count,
        });
        self.counters = kept.collect();
    }
}

impl Keeper {
    pub(super) fn new(data_dir: Option<&Path>) -> Self {
        Self { file: data_dir.map(|dir| dir.join(FILE)), writing: JoinSet::new() }
    }

    /// What is there; nothing, if nothing is.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or understood. Nothing is lost by going on without.
    pub(super) fn read(&self) -> io::Result<Kept> {
        match self.file.as_deref().map(read_if_there).transpose()?.flatten() {
            None => Ok(Kept::default()),
            Some(text) => Ok(serde_json::from_slice(&text)?),
        }
    }

    /// Writes it, in a thread: a disk that hangs is no reason to tell nobody.
    pub(super) async fn write(&mut self, kept: &Kept) -> io::Result<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        if self.writing.is_empty() {
            let text = serde_json::to_vec(kept)?;
            self.writing.spawn_blocking(move || replace(&file, &text));
        }
        match tokio::time::timeout(WRITE_TIMEOUT, self.writing.join_next()).await {
            Ok(Some(Ok(written))) => written,
            Ok(Some(Err(panicked))) => Err(io::Error::other(panicked)),
            Ok(None) | Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
