//! Dead letters: looking at them, and sending them again.

mod ask;
mod drop;
mod edit;
mod export;
mod import;
mod list;
mod log;
mod newer;
mod redrive;
mod report;
mod select;
mod show;
mod stats;

use std::process::ExitCode;

use domain::dead_letter::{self, Failure};
use domain::message::Message;
use domain::selection::reason_of;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::letter::DeadLetter;
use crate::queue::Held;

/// Look at dead letters and send them again
///
/// A dead letter is an event that could not be delivered: a destination rejected it, it failed until
/// it was too old, or nobody could make sense of it. It waits in the dead-letter queue with the reason.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Dlq {
    List(list::List),
    Stats(stats::Stats),
    Show(show::Show),
    Redrive(redrive::Redrive),
    Edit(edit::Edit),
    Export(export::Export),
    Import(import::Import),
    Drop(drop::Drop),
    Log(log::Log),
}

impl Dlq {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run().await,
            Self::Stats(stats) => stats.run().await,
            Self::Show(show) => show.run().await,
            Self::Redrive(redrive) => Box::pin(redrive.run()).await,
            Self::Edit(edit) => Box::pin(edit.run()).await,
            Self::Export(export) => Box::pin(export.run()).await,
            Self::Import(import) => Box::pin(import.run()).await,
            Self::Drop(drop) => Box::pin(drop.run()).await,
            Self::Log(log) => log.run().await,
        }
    }
}

/// What is known of a dead letter without its body.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    event_id: String,
    message_id: String,
    route: Option<String>,
    group: String,
    /// The class of the failure record; `receive_count` if SQS's redrive policy moved the message.
    reason: String,
    destination: Option<String>,
    status: Option<u16>,
    error: Option<String>,
    attempts: u32,
    /// RFC 3339.
    accepted_at: String,
    /// RFC 3339.
    dead_since: String,
    body_bytes: usize,
}

impl Summary {
    fn of(message: &Message) -> Self {
        let failure = dead_letter::failure_of(message);
        let from = |f: fn(&Failure) -> Option<String>| failure.as_ref().and_then(f);
        Self {
            event_id: message.event_id().to_owned(),
            message_id: message.message_id.clone(),
            route: message.route_name().map(str::to_owned),
            group: dead_letter::group_of(message),
            reason: reason_of(message),
            destination: from(|failure| failure.destination.clone()),
            status: failure.as_ref().and_then(|failure| failure.status),
            error: from(|failure| failure.error.clone()),
            attempts: failure.as_ref().map_or(message.receive_count, |failure| failure.attempts),
            accepted_at: message.said_accepted_at().to_string(),
            dead_since: message.sent_at.to_string(),
            body_bytes: message.body.len(),
        }
    }
}

/// Receives every dead letter, shows it to `see`, and lets all be received by others again.
/// What could not be looked at is said on standard error.
async fn look(environment: &Environment, mut see: impl FnMut(&DeadLetter)) -> anyhow::Result<()> {
    let url = &environment.dead_letter_queue_url;
    let held = Held::receive(&environment.client, url, |letter| {
        see(letter);
        false
    });
    let held = held.await?;
    if let Some(unseen) = held.unseen() {
        eprintln!("note: {unseen}");
    }
    held.release().await
}

/// A time for people: to the second, without the `T`.
fn short_time(rfc_3339: &str) -> String {
    rfc_3339.get(..19).unwrap_or(rfc_3339).replace('T', " ")
}

/// A text on one line, without control characters: dead letters come from outside.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
