//! `dlq drop`: the one command that takes events away, into a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use domain::time::Timestamp;
use serde_json::json;

use super::ask;
use super::export::ExportFile;
use crate::environment::EnvironmentArgs;
use crate::people;
use crate::queue::Held;

/// Delete dead letters that nobody needs, after writing them into a file
///
/// They are written first, complete, so that `dlq import` can bring them back.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = crate::program::help("Examples:\n  {program} dlq drop prod 4f6f… --reason 'test event of the SaaS'\n  {program} dlq drop prod 4f6f… 91ab… --reason duplicates --export dropped.jsonl --yes")
)]
pub(crate) struct Drop {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Event ids, as `dlq list` shows them
    #[arg(value_name = "ID", required = true)]
    event_ids: Vec<String>,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// File that they are written into [default: dropped-TIME.jsonl]
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print JSON: what was dropped, and the file
    #[arg(long)]
    json: bool,
}

impl Drop {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        ask::can_confirm(self.yes)?;
        let environment = self.environment.connect().await?;
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let url = &environment.dead_letter_queue_url;
        let mut held = Held::receive(&environment.client, url, |message| {
            let chosen = self.event_ids.iter().any(|id| id == message.event_id());
            if chosen {
                let ids = found.entry(message.event_id().to_owned()).or_default();
                ids.push(message.message_id.clone());
            }
            chosen
        })
        .await?;
        if let Some(unknown) = self.event_ids.iter().find(|id| !found.contains_key(*id)) {
            held.release().await?;
            bail!(
                "no dead letter has event id {unknown:?}; `dlq list` shows those there are, and nothing was dropped"
            );
        }
        let question =
            format!("Drop {} of {}?", people::count(found.len() as u64, "event"), environment.name);
        if let Err(refused) = ask::confirm(&question, self.yes) {
            held.release().await?;
            return Err(refused);
        }
        let file = self.export.clone().unwrap_or_else(default_file);
        let written = write(&mut held, &file, &found);
        if let Err(error) = written {
            held.release().await?;
            return Err(error.context("nothing was dropped"));
        }
        let mut dropped = Vec::new();
        let ended = delete(&mut held, &found, &mut dropped).await;
        let what = json!({ "dropped": dropped, "file": file });
        // What is gone is noted, also when the next one would not go.
        if !dropped.is_empty() {
            environment.audit().add("dlq drop", Some(&self.reason), what.clone()).await?;
        }
        ended.with_context(|| {
            let (gone, of) = (dropped.len(), found.len());
            format!("only {gone} of {of} events dropped; all are in {}", file.display())
        })?;
        held.release().await?;
        if self.json {
            println!("{what}");
        } else {
            println!(
                "dropped {}, written to {}",
                people::count(dropped.len() as u64, "event"),
                file.display()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Deletes what was found, and says of which events nothing is left.
async fn delete(
    held: &mut Held<'_>,
    found: &BTreeMap<String, Vec<String>>,
    dropped: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (event_id, message_ids) in found {
        for message_id in message_ids {
            held.keep().await?;
            held.delete(message_id).await?;
        }
        dropped.push(event_id.clone());
    }
    Ok(())
}

fn default_file() -> PathBuf {
    let now = Timestamp::from(SystemTime::now()).to_string();
    format!("dropped-{}.jsonl", now.replace([':', '-'], "")).into()
}

fn write(
    held: &mut Held<'_>,
    file: &std::path::Path,
    found: &BTreeMap<String, Vec<String>>,
) -> anyhow::Result<()> {
    let mut out = ExportFile::create(file)?;
    for message_id in found.values().flatten() {
        out.write(&held.load(message_id)?)?;
    }
    out.finish().map(drop)
}
