//! Dead letters: looking at them, and sending them again.

mod choice;
mod drop;
mod edit;
mod export;
mod import;
mod issues;
mod list;
mod log;
pub(crate) mod look;
mod newer;
mod redrive;
mod report;
pub(crate) mod show;
mod stats;

use std::process::ExitCode;

use commands::dlq::{Dlq, SelectArgs};
use domain::dead_letter::{self, Failure, reason_of};
use domain::issue::Issue;
use domain::message::Message;
use serde::{Deserialize, Serialize};
use terminal::exit;

use crate::environment::{Environment, Host};
use crate::people::{count, printable};
use crate::queue::Looked;

/// Carries one out.
pub(crate) async fn run(given: Dlq) -> anyhow::Result<ExitCode> {
    match given {
        Dlq::List(it) => list::run(it).await,
        Dlq::Stats(it) => stats::run(it).await,
        Dlq::Issues(it) => issues::run(it).await,
        Dlq::Show(it) => show::run(it).await,
        Dlq::Redrive(it) => Box::pin(redrive::run(it)).await,
        Dlq::Edit(it) => Box::pin(edit::run(it)).await,
        Dlq::Export(it) => Box::pin(export::run(it)).await,
        Dlq::Import(it) => Box::pin(import::run(it)).await,
        Dlq::Drop(it) => Box::pin(drop::run(it)).await,
        Dlq::Log(it) => log::run(it).await,
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
    /// The name of the issue.
    issue: String,
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
            issue: Issue::of(message).name().to_owned(),
            attempts: failure.as_ref().map_or(message.receive_count, |failure| failure.attempts),
            accepted_at: message.said_accepted_at().to_string(),
            dead_since: message.sent_at.to_string(),
            body_bytes: message.body.len(),
        }
    }
}

/// What is said when nothing was found of what was asked for.
fn none(looked: Looked, select: &SelectArgs) -> String {
    let typed = printable(&select.typed());
    match (looked.seen, looked.unseen()) {
        (0, 0) => "no dead letters".to_owned(),
        (0, unseen) => format!("none of {} could be looked at", count(unseen, "dead letter")),
        (1, 0) => format!("the one dead letter does not match {typed}"),
        (seen, 0) => format!("none of the {seen} dead letters match {typed}"),
        (seen, unseen) => {
            format!(
                "none of the {seen} dead letters that could be seen match {typed}; {unseen} could not"
            )
        }
    }
}

/// Says why nothing was done, where letters are chosen and none was.
///
/// # Errors
///
/// As [`check_route`].
async fn note_none_chosen(
    environment: &Environment,
    looked: Looked,
    select: &SelectArgs,
) -> anyhow::Result<()> {
    check_route(environment, select).await?;
    if !select.typed().is_empty() {
        eprintln!("note: {}", none(looked, select));
    }
    Ok(())
}

/// Whether the environment has the route that dead letters are chosen by.
///
/// # Errors
///
/// When it has none of that name: a typing error would choose nothing, and say that it was done.
async fn check_route(environment: &Environment, select: &SelectArgs) -> anyhow::Result<()> {
    let Some(route) = &select.route else { return Ok(()) };
    let routes: Vec<String> = match &environment.host {
        Host::Engine { api, .. } => api.status().await?.loss_meter.routes.into_keys().collect(),
        Host::Aws { deployment, .. } => deployment.config.routes().keys().cloned().collect(),
    };
    if routes.contains(route) {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "{} has no route {route:?}; it has {}",
        environment.name,
        routes.iter().map(|it| printable(it)).collect::<Vec<_>>().join(", ")
    );
    Err(exit::Failure::Usage.of(error))
}
