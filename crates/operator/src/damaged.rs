//! `damaged`: events that are not what was accepted. The engine has set them aside, and their keys wait
//! until an operator has taken them away, into a file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use commands::damaged::{Damaged, Drop, Export, List};
use commands::{command, program::value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use terminal::exit::Failure;
use terminal::table;

use crate::engine_api::{EngineApi, OlderEngine, segment};
use crate::environment::{self, Environment, Host};
use crate::export_file::{ExportFile, default_file};
use crate::people::{self, count, printable};
use crate::{ask, interrupt, zone};

/// Where an engine tells of them.
const PATH: &str = "/_engine/damaged";

/// As many are named before a question.
const NAMED: usize = 20;

/// `/_engine/damaged`
#[derive(Debug, Deserialize)]
struct Answer {
    damaged: Vec<DamagedEvent>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct DamagedEvent {
    /// What names it: of the rest nobody knows whether it is what was accepted.
    sequence: String,
    /// As far as it can be read; an engine of before does not tell.
    event_id: Option<String>,
    queue: String,
    group: String,
    reason: String,
    /// Events of its key that wait for it.
    behind: u64,
    /// RFC 3339; an engine of before does not tell.
    accepted_at: Option<String>,
    /// RFC 3339.
    found_at: String,
}

/// `/_engine/damaged/SEQUENCE`: the bytes that are there.
#[derive(Debug, Deserialize)]
struct Left {
    body_base64: String,
    attributes_base64: String,
}

pub(crate) async fn run(given: Damaged) -> anyhow::Result<ExitCode> {
    match given {
        Damaged::List(it) => list(&it).await,
        Damaged::Export(it) => export(&it).await,
        Damaged::Drop(it) => drop_chosen(&it).await,
    }
}

/// An environment whose queues can say what is damaged.
fn engine(environment: &Environment) -> anyhow::Result<&EngineApi> {
    match &environment.host {
        Host::Engine { api, .. } => Ok(api),
        Host::Aws { .. } => bail!("SQS has no damaged events that it shows to anybody"),
    }
}

async fn all(api: &EngineApi) -> anyhow::Result<Vec<DamagedEvent>> {
    Ok(api.get::<Answer>(PATH).await?.damaged)
}

async fn list(given: &List) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let damaged = all(engine(&environment)?).await?;
    if given.output.json() {
        println!("{:#}", json!({ "environment": environment.name, "damaged": damaged }));
        return Ok(ExitCode::SUCCESS);
    }
    if damaged.is_empty() {
        println!("no event was found damaged; each is looked at when its turn comes");
        return Ok(ExitCode::SUCCESS);
    }
    let row = |it: &DamagedEvent| {
        let is_dead = environment.dead_letter_queue_url.ends_with(&format!("/{}", it.queue));
        [
            it.sequence.clone(),
            printable(it.event_id.as_deref().unwrap_or("-")),
            printable(&it.group),
            if is_dead { "dead letters" } else { "queue" }.to_owned(),
            it.accepted_at.as_deref().map_or_else(|| "-".to_owned(), zone::kept_to_the_second),
            zone::kept_to_the_second(&it.found_at),
            it.behind.to_string(),
            printable(&it.reason),
        ]
    };
    let rows: Vec<_> = damaged.iter().map(row).collect();
    let (accepted, found) = (zone::heading("ACCEPTED"), zone::heading("FOUND"));
    let heading = ["NUMBER", "EVENT ID", "KEY", "IN", &accepted, &found, "BEHIND", "WHAT IS WRONG"];
    print!("{}", table::render(heading, &rows, people::width(given.output)));
    let name = || value(&environment.name);
    println!(
        "`{}` writes what is left of them into a file; `{}` does that, and lets their keys go on",
        command!["damaged", "export", name(), "damaged.jsonl"],
        command!["damaged", "drop", name(), "NUMBER", "--why", "TEXT"]
    );
    Ok(ExitCode::SUCCESS)
}

async fn export(given: &Export) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let api = engine(&environment)?;
    let out = ExportFile::create(&given.of.file)?;
    let is_stdout = out.is_stdout();
    let file = given.of.file.display().to_string();
    let what = json!({ "file": file });
    let action = environment.audit().begin("damaged export", None, what, given.audit).await?;
    let written = async { write(api, &all(api).await?, out).await };
    let written = written.await;
    let what = json!({ "file": file, "count": written.as_ref().ok() });
    let written = action.end(what, written).await?;
    let said = if given.json {
        json!({ "file": file, "count": written }).to_string()
    } else {
        let events = count(written, "damaged event");
        format!("{events} written to {file}, and still in the way of what is behind")
    };
    say(is_stdout, &said);
    Ok(ExitCode::SUCCESS)
}

/// What was written to standard output stands there alone.
fn say(is_stdout: bool, said: &str) {
    if is_stdout {
        eprintln!("{said}");
    } else {
        println!("{said}");
    }
}

/// Writes what is left of each. One that has left meanwhile, as it was too old or somebody else dropped
/// it, has nothing left.
async fn write(
    api: &EngineApi,
    damaged: &[DamagedEvent],
    mut out: ExportFile,
) -> anyhow::Result<u64> {
    for it in damaged {
        let left = api.get::<Left>(&format!("{PATH}/{}", segment(&it.sequence))).await;
        let Left { body_base64, attributes_base64 } = match left {
            Err(error) if error.is::<OlderEngine>() => continue,
            left => left?,
        };
        let mut line = serde_json::to_value(it)?;
        line["body_base64"] = body_base64.into();
        line["attributes_base64"] = attributes_base64.into();
        out.write(&line)?;
    }
    out.finish()
}

async fn drop_chosen(given: &Drop) -> anyhow::Result<ExitCode> {
    if !given.dry_run {
        ask::can_confirm(given.yes)?;
    }
    let environment = environment::connect(&given.environment).await?;
    let api = engine(&environment)?;
    let chosen = chosen(all(api).await?, given)?;
    let numbers: Vec<&str> = chosen.iter().map(|it| it.sequence.as_str()).collect();
    let events = count(chosen.len() as u64, "damaged event");
    if given.dry_run || chosen.is_empty() {
        if given.json {
            println!("{}", json!({ "would_drop": numbers }));
        } else {
            for it in &chosen {
                println!("{}", told(it));
            }
            println!("would drop {events}; nothing was changed");
        }
        return Ok(ExitCode::SUCCESS);
    }
    for it in chosen.iter().take(NAMED) {
        eprintln!("{}", told(it));
    }
    if chosen.len() > NAMED {
        eprintln!("  … and {} more; --dry-run shows all", chosen.len() - NAMED);
    }
    let file = given.export.clone().unwrap_or_else(|| default_file("damaged"));
    let is_stdout = file == Path::new("-");
    ensure!(!(is_stdout && given.json), "--json and --export - are both for standard output");
    ask::confirm(&format!("Drop {events} of {}?", environment.name), given.yes).await?;
    // What was begun is noted, however it ends.
    let _guard = interrupt::guard();
    let shown = file.display().to_string();
    let written = async { write(api, &chosen, ExportFile::create(&file)?).await };
    written.await.context("nothing was dropped")?;
    let what =
        json!({ "sequence_numbers": numbers, "event_ids": event_ids(&chosen), "file": shown });
    let audit = environment.audit();
    let action = audit.begin("damaged drop", given.why.as_deref(), what, given.audit).await;
    let action = action.with_context(|| format!("nothing was dropped; the copy is in {shown}"))?;
    let mut dropped = Vec::new();
    let ended = delete(api, &numbers, &mut dropped).await.with_context(|| {
        format!("only {} of {} were dropped; all are in {shown}", dropped.len(), numbers.len())
    });
    let what = json!({ "dropped": dropped, "event_ids": event_ids(&chosen), "file": shown });
    action.end(what, ended).await?;
    let said = if given.json {
        json!({ "dropped": dropped, "file": shown }).to_string()
    } else {
        let dropped = count(dropped.len() as u64, "damaged event");
        format!("dropped {dropped}, written to {shown}; what was behind goes on")
    };
    say(is_stdout, &said);
    Ok(ExitCode::SUCCESS)
}

fn event_ids(events: &[DamagedEvent]) -> Vec<&str> {
    events.iter().filter_map(|it| it.event_id.as_deref()).collect()
}

fn told(it: &DamagedEvent) -> String {
    let behind = count(it.behind, "event");
    format!("  {} of key {}, {behind} behind", it.sequence, printable(&it.group))
}

/// Those that are meant.
///
/// # Errors
///
/// When a number is none of theirs: nothing is done then.
fn chosen(all: Vec<DamagedEvent>, given: &Drop) -> anyhow::Result<Vec<DamagedEvent>> {
    if given.all {
        return Ok(all);
    }
    let numbers: BTreeSet<&str> = all.iter().map(|it| it.sequence.as_str()).collect();
    let unknown = given.numbers.iter().find(|it| !numbers.contains(it.as_str()));
    if let Some(unknown) = unknown {
        let unknown = printable(unknown);
        let so = anyhow!("no damaged event has the number {unknown}; nothing was dropped");
        return Err(Failure::Usage.of(so));
    }
    Ok(all.into_iter().filter(|it| given.numbers.contains(&it.sequence)).collect())
}

/// Deletes them one by one, and notes which it was that did so.
async fn delete(
    api: &EngineApi,
    numbers: &[&str],
    dropped: &mut Vec<String>,
) -> anyhow::Result<()> {
    for number in numbers {
        interrupt::check()?;
        let path = format!("{PATH}/{}", segment(number));
        match api.delete::<serde_json::Value>(&path).await {
            // Somebody else was quicker.
            Err(error) if error.is::<OlderEngine>() => {}
            Err(error) => return Err(error),
            Ok(_dropped) => dropped.push((*number).to_owned()),
        }
    }
    Ok(())
}
