//! `find`: events by a text, wherever they are and can be read.

use std::process::ExitCode;

use anyhow::bail;
use commands::{Find, command, program::value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use terminal::table;

use crate::environment::{self, Host};
use crate::people::{self, count, printable};
use crate::zone;

/// `/_engine/search`
#[derive(Debug, Deserialize)]
struct Answer {
    events: Vec<Found>,
    /// Events that were looked at.
    searched: u64,
    /// Whether these are all that there are.
    whole: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Found {
    event_id: String,
    state: String,
    route: Option<String>,
    group: String,
    /// RFC 3339.
    accepted_at: String,
    /// In what the text was found.
    place: String,
    /// What stands around it.
    excerpt: String,
}

pub(crate) async fn run(given: Find) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let Host::Engine { api, .. } = &environment.host else {
        bail!(
            "on AWS a message is read by who receives it; `{}` looks through the dead letters",
            command!["dlq", "list", value(&environment.name), "--grep", value(&given.of.text)]
        );
    };
    let asked = json!({ "text": given.of.text, "limit": given.limit });
    let answer: Answer = api.post("/_engine/search", &asked).await?;
    if given.output.json() {
        let report = json!({
            "environment": environment.name, "text": given.of.text, "events": answer.events,
            "searched": answer.searched, "whole": answer.whole,
        });
        println!("{report:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let row = |it: &Found| {
        [
            printable(&it.event_id),
            it.state.replace('_', " "),
            zone::kept_to_the_second(&it.accepted_at),
            printable(&it.group),
            printable(&format!("{}: {}", it.place, it.excerpt)),
        ]
    };
    let rows: Vec<_> = answer.events.iter().map(row).collect();
    if !rows.is_empty() {
        let accepted = zone::heading("ACCEPTED");
        let heading = ["EVENT", "STATE", &accepted, "KEY", "FOUND"];
        print!("{}", table::render(heading, &rows, people::width(given.output)));
    }
    let found = count(rows.len() as u64, "event");
    println!("{found} of {} that were looked at", answer.searched);
    if !answer.whole {
        println!("there may be more: not all was looked at, or more than --limit were found");
    }
    Ok(ExitCode::SUCCESS)
}
