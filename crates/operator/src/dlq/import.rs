//! `dlq import`: dead letters from a file back into the dead-letter queue.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use domain::dead_letter;
use domain::quota::is_id;
use serde_json::json;

use super::look;
use crate::environment::{Environment, EnvironmentArgs};
use crate::letter::{DeadLetter, Letter};
use crate::scratch::Scratch;
use crate::{people, queue};

/// Put dead letters from a file back into the dead-letter queue
///
/// The file is one that `dlq export` or `dlq drop` has written. What is there already is not put in a
/// second time, so it can be started again after a failure; a dead letter is known by the id of the
/// message that died, so that an event that died twice is two. They are as old as when they first
/// became dead letters only in their records: SQS counts anew.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = crate::program::help("Examples:\n  {program} dlq import prod dead-letters.jsonl"))]
pub(crate) struct Import {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// File with a JSON object a line
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print JSON: how many were put back, and how many were there
    #[arg(long)]
    json: bool,
}

/// Which dead letters are there, by [`DeadLetter::identity`].
const TABLES: &str = "CREATE TABLE there (identity TEXT PRIMARY KEY) WITHOUT ROWID;";

/// Notes that a dead letter is there, and says whether that is new.
fn note(there: &Scratch, letter: &DeadLetter) -> anyhow::Result<bool> {
    let insert = "INSERT INTO there VALUES (?1) ON CONFLICT DO NOTHING";
    Ok(there.change(insert, [letter.identity()])? > 0)
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        // Before anything is sent: a file that breaks off half-way is refused as a whole.
        let count = self.letters()?.try_fold(0_u64, |count, letter| letter.map(|_| count + 1))?;
        let there = Scratch::with(TABLES)?;
        let mut noted = Ok(true);
        look(&environment, |letter| {
            if noted.is_ok() {
                noted = note(&there, letter);
            }
        })
        .await?;
        noted?;
        let (mut imported, mut there_before) = (0_u64, 0_u64);
        let ended = self
            .put_back(&environment, &there, count, &mut imported, &mut there_before)
            .await
            .with_context(|| {
                format!(
                    "put back {} before it failed; start it again for the others",
                    people::count(imported, "dead letter")
                )
            });
        let what = json!({ "file": self.file, "imported": imported, "there": there_before });
        // What was put back is noted, also when the next one would not go.
        if ended.is_ok() || imported > 0 {
            environment.audit().add("dlq import", None, what.clone()).await?;
        }
        ended?;
        if self.json {
            println!("{what}");
        } else {
            println!(
                "put back {}; already there: {there_before}",
                people::count(imported, "dead letter")
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn put_back(
        &self,
        environment: &Environment,
        there: &Scratch,
        count: u64,
        imported: &mut u64,
        there_before: &mut u64,
    ) -> anyhow::Result<()> {
        let progress = crate::progress::bar(count, "put back");
        for letter in self.letters()? {
            let letter = letter?;
            progress.inc(1);
            if !note(there, &letter)? {
                *there_before += 1;
                continue;
            }
            let mut copy = dead_letter::imported(&letter);
            let import_id = letter.import_id();
            if is_id(&import_id) {
                copy.deduplication_id = import_id;
            }
            let url = &environment.dead_letter_queue_url;
            let message_id = queue::send(&environment.client, url, copy).await?;
            ensure!(
                message_id != letter.message_id,
                "event {} was put back a short while ago, and the queue takes it for a repeat; wait \
                 five minutes",
                letter.event_id()
            );
            *imported += 1;
        }
        progress.finish_and_clear();
        Ok(())
    }

    fn letters(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<DeadLetter>> + '_> {
        let file = File::open(&self.file);
        let file = file.with_context(|| format!("opening {}", self.file.display()))?;
        let lines = BufReader::new(file).lines().enumerate();
        Ok(lines.map(|(index, line)| {
            let place = || format!("line {} of {}", index + 1, self.file.display());
            let letter: Letter = serde_json::from_str(&line.with_context(place)?)
                .with_context(|| format!("{} is no dead letter", place()))?;
            letter.received_by(String::new()).with_context(place)
        }))
    }
}
