//! The programs, attacked from outside: posted to, answered badly, killed, reconfigured and operated, by a
//! seed.
//!
//! The engine and its forwarders are started as anybody starts them, and operators type
//! `webhook-operator`; senders and the service are in this process, so that one clock tells their order.
//! Nothing waits for a time to pass where it can wait for what was seen, and every wait has a bound.

mod acts;
mod attack;
mod clock;
mod configuration;
mod engine;
mod http;
mod mounts;
mod operators;
mod page;
mod record;
mod senders;
mod service;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::history::History;
use crate::schedule::{Fault, Step, schedule};

/// What is attacked, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the programs: `webhook-engine`, `forwarder`, `webhook-operator`.
    pub programs: PathBuf,
    /// What repeats the run.
    pub seed: u64,
    /// How many events are sent.
    pub events: u64,
    /// After which no more faults begin.
    pub time: Duration,
    /// The folder of former programs, which the run begins with.
    pub upgrade_from: Option<PathBuf>,
    /// Whether what is mounted is for this process alone.
    pub own_mounts: bool,
    /// A fault that the programs are built with and that is to be there.
    pub deliberate: Option<&'static str>,
    /// Told once for each step.
    pub progress: fn(&str),
}

/// What a run gives.
#[derive(Debug)]
pub struct Run {
    /// What was seen.
    pub history: History,
    /// What was to be done.
    pub steps: Vec<Step>,
    /// What could not be done on this machine, and why.
    pub skipped: Vec<(Fault, String)>,
}

/// Attacks.
///
/// # Errors
///
/// When a program cannot be started, does not end, or what is needed to attack fails: not when a promise
/// is broken.
pub fn run(options: &Options) -> anyhow::Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting what attacks")?;
    runtime.block_on(attacked(options))
}

async fn attacked(options: &Options) -> anyhow::Result<Run> {
    let steps = schedule(options.seed, options.events);
    let record = Arc::new(record::Record::new(options.seed));
    let mut attack = attack::Attack::begin(options, Arc::clone(&record)).await?;
    attack.carry_out(&steps).await?;
    let skipped = attack.end().await?;
    Ok(Run { history: record.take(), steps, skipped })
}
