//! `dlq drop`: the one command that takes events away, into a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use commands::dlq::Drop;
use domain::time::Timestamp;
use serde_json::json;

use super::choice::Choice;
use super::look::Typed;
use super::note_none_chosen;
use crate::ask;
use crate::environment::{self, Environment};
use crate::export_file::{ExportFile, default_file};
use crate::interrupt;
use crate::letter::Letter;
use crate::people::{self, printable};
use crate::progress;
use crate::queue::{Chosen, Held, Kept};

/// As many events are named on a screen.
const NAMED: usize = 20;

pub(super) async fn run(given: Drop) -> anyhow::Result<ExitCode> {
    if !given.dry_run {
        ask::can_confirm(given.yes)?;
    }
    let environment = environment::connect(&given.environment).await?;
    // Held from here on, and shown again however it ends.
    let _guard = interrupt::guard();
    let now = environment.queue_time().await?;
    let (mut held, found) = hold(&given, &environment, now).await?;
    let done = drop_held(&given, &environment, now, &mut held, &found).await;
    let released = held.release().await;
    let code = done?;
    released?;
    Ok(code)
}

/// Holds what is meant, and gives how many letters each event has.
async fn hold<'a>(
    given: &Drop,
    environment: &'a Environment,
    now: Timestamp,
) -> anyhow::Result<(Held<'a>, BTreeMap<String, u64>)> {
    let mut choice = Choice::of(&given.which.select, now)?;
    let mut ids = Typed::new(&given.which.event_ids);
    let mut found = BTreeMap::new();
    let url = &environment.dead_letter_queue_url;
    let held = Held::receive(&environment.client, url, |letter| {
        let by_id = given.which.event_ids.is_empty() || ids.meet(letter.event_id());
        let chosen = choice.includes(letter) && by_id;
        if chosen {
            *found.entry(letter.event_id().to_owned()).or_default() += 1;
        }
        chosen
    });
    let held = held.await?;
    let checked = async {
        choice.check(held.looked()).context("nothing was dropped")?;
        if !given.which.event_ids.is_empty() {
            let meant = ids.resolve_all(held.looked()).context("nothing was dropped")?;
            held.keep_only(&meant)?;
            found.retain(|event_id, _letters| meant.contains(event_id));
        }
        if found.is_empty() {
            note_none_chosen(environment, held.looked(), &given.which.select).await?;
        }
        anyhow::Ok(())
    };
    match checked.await {
        Ok(()) => Ok((held, found)),
        Err(error) => {
            held.release().await?;
            Err(error)
        }
    }
}

async fn drop_held(
    given: &Drop,
    environment: &Environment,
    now: Timestamp,
    held: &mut Held<'_>,
    found: &BTreeMap<String, u64>,
) -> anyhow::Result<ExitCode> {
    let looked = held.looked();
    if let Some(text) = looked.text() {
        eprintln!("note: {text}");
    }
    // What is not known to be there cannot be said to be dropped.
    let complete = looked.unseen() == 0 || !given.which.event_ids.is_empty();
    let code = if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let events = people::count(found.len() as u64, "event");
    if given.dry_run || found.is_empty() {
        if given.json {
            let ids: Vec<&String> = found.keys().collect();
            println!("{}", json!({ "would_drop": ids, "unseen": looked.unseen() }));
        } else {
            for event_id in found.keys() {
                println!("  {}", printable(event_id));
            }
            println!("would drop {events}; nothing was changed");
        }
        return Ok(code);
    }
    for event_id in found.keys().take(NAMED) {
        eprintln!("  {}", printable(event_id));
    }
    if found.len() > NAMED {
        eprintln!("  … and {} more; --dry-run shows all", found.len() - NAMED);
    }
    ask::confirm(&format!("Drop {events} of {}?", environment.name), given.yes).await?;
    let file = given.export.clone().unwrap_or_else(|| default_file("dropped"));
    let is_stdout = file == Path::new("-");
    ensure!(!(is_stdout && given.json), "--json and --export - are both for standard output");
    write(held, &file).context("nothing was dropped")?;
    let shown = file.display().to_string();
    let mut what = given.which.audited(now);
    (what["event_ids"], what["file"]) = (json!(found.keys().collect::<Vec<_>>()), json!(shown));
    let audit = environment.audit();
    let action = audit.begin("dlq drop", given.why.as_deref(), what, given.audit).await;
    let action = action.with_context(|| format!("nothing was dropped; the copy is in {shown}"))?;
    let mut dropped = Vec::new();
    let ended = delete(held, found, &mut dropped).await;
    let what = json!({ "dropped": dropped, "file": shown });
    // What is gone is noted, also when the next one would not go.
    let ended = ended.with_context(|| {
        format!("only {} of {} events dropped; all are in {shown}", dropped.len(), found.len())
    });
    action.end(what.clone(), ended).await?;
    let said = if given.json {
        what.to_string()
    } else {
        let dropped = people::count(dropped.len() as u64, "event");
        format!("dropped {dropped}, written to {shown}")
    };
    if is_stdout {
        eprintln!("{said}");
    } else {
        println!("{said}");
    }
    Ok(code)
}

/// Deletes what is held, and says of which events nothing is left.
async fn delete(
    held: &mut Held<'_>,
    found: &BTreeMap<String, u64>,
    dropped: &mut Vec<String>,
) -> anyhow::Result<()> {
    let progress = progress::bar(found.values().sum(), "deleted");
    let mut left = found.clone();
    let mut next = held.after(None)?;
    while let Some(it) = next {
        interrupt::check()?;
        let kept = held.keep().await?;
        ensure!(kept == Kept::All, "{} is held by somebody else now", printable(&it.event_id));
        held.delete(&it.message_id).await?;
        progress.inc(1);
        if let Some(letters) = left.get_mut(&it.event_id) {
            *letters -= 1;
            if *letters == 0 {
                dropped.push(it.event_id.clone());
            }
        }
        next = held.after(Some(&it))?;
    }
    progress.finish_and_clear();
    Ok(())
}

fn write(held: &Held<'_>, file: &Path) -> anyhow::Result<()> {
    let mut out = ExportFile::create(file)?;
    let mut last: Option<Chosen> = None;
    while let Some(it) = held.after(last.as_ref())? {
        out.write(&Letter::from(&held.load(&it.message_id)?))?;
        last = Some(it);
    }
    out.finish().map(drop)
}
