//! A function within this process, for a simulation: what starts it is the simulation's, and everything
//! about it is the engine's own, from its time limits to what becomes of an event that it did not take.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use domain::time::Timestamp;
use tokio::sync::watch;

use super::wanted::Wanted;
use crate::runtime_api::{FunctionError, Invocation, Within};

/// Starts the function.
pub trait FunctionWithin: fmt::Debug + Send + Sync {
    /// A process of it is to be there from now on.
    fn start(&self, process: FunctionProcess);
}

/// A process, as the function has it. It ends when this is dropped.
pub struct FunctionProcess {
    api: Within,
    wanted: watch::Receiver<Wanted>,
    exited: watch::Sender<Option<ExitStatus>>,
}

/// An event that a process works on.
#[derive(Debug, Clone)]
pub struct Event {
    request_id: String,
    /// The event, JSON.
    pub event: Bytes,
    /// Until when it has to be done, by the wall clock.
    pub deadline: Duration,
}

impl FunctionProcess {
    pub(super) fn new(
        api: Within,
        wanted: watch::Receiver<Wanted>,
        exited: watch::Sender<Option<ExitStatus>>,
    ) -> Self {
        Self { api, wanted, exited }
    }

    /// The next event, as soon as there is one.
    pub async fn next(&self) -> Event {
        let Invocation { request_id, deadline, event } = self.api.next().await;
        Event { request_id, event, deadline: deadline.since(Timestamp::from_ms(0)) }
    }

    /// Answers an event: with a response, or with why there is none.
    pub fn answer(&self, event: &Event, response: Result<Bytes, String>) {
        let error = |message| FunctionError { error_type: "Function".to_owned(), message };
        self.api.answer(&event.request_id, response.map_err(error));
    }

    /// Is ready once the process has to end: it is asked to, it took too long, or its engine is gone.
    pub async fn has_to_end(&self) {
        let mut wanted = self.wanted.clone();
        // Whoever wanted it to run is gone otherwise.
        let _ended = wanted.wait_for(|wanted| *wanted != Wanted::Run).await;
    }
}

impl Drop for FunctionProcess {
    fn drop(&mut self) {
        /// As if it had been killed.
        const SIGKILL: i32 = 9;
        self.exited.send_replace(Some(ExitStatus::from_raw(SIGKILL)));
    }
}
