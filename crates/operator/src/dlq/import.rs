//! `dlq import`: dead letters from a file back into the dead-letter queue.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use domain::dead_letter::{failure_of, imported};
use domain::message::Message;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::look;
use crate::environment::EnvironmentArgs;
use crate::letter::Letter;
use crate::queue;

/// Put dead letters from a file back into the dead-letter queue
///
/// The file is one that `dlq export` or `dlq drop` has written. What is there already, the same failure
/// of the same event with the same body, is not put in a second time, so it can be started again after
/// one. They are as old as when they first became dead letters only in their records: SQS counts anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask dlq import prod dead-letters.jsonl")]
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

/// What tells a dead letter from others, however often it is put back: its event, its body, and the
/// sequence number under which it failed. SQS itself records none when it moves a message, so two may
/// have the same identity, and are counted.
type Identity = (String, [u8; 32], Option<String>);

fn identity(message: &Message) -> Identity {
    let sequence = failure_of(message).map(|failure| failure.sequence);
    (message.event_id().to_owned(), Sha256::digest(&message.body).into(), sequence)
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        // Before anything is sent: a file that breaks off half-way is refused as a whole.
        let count = self.letters()?.try_fold(0_u64, |count, letter| letter.map(|_| count + 1))?;
        let mut there: BTreeMap<Identity, u64> = BTreeMap::new();
        look(&environment, |message| *there.entry(identity(message)).or_default() += 1).await?;
        let url = &environment.dead_letter_queue_url;
        let progress = crate::progress::bar(count, "put back");
        let (mut imported_count, mut there_count) = (0_u64, 0_u64);
        for letter in self.letters()? {
            let message = letter?;
            progress.inc(1);
            if let Some(more @ 1..) = there.get_mut(&identity(&message)) {
                *more -= 1;
                there_count += 1;
                continue;
            }
            queue::send(&environment.client, url, imported(&message)).await.with_context(|| {
                format!(
                    "{imported_count} dead letters were put back; start it again for the others"
                )
            })?;
            imported_count += 1;
        }
        progress.finish_and_clear();
        let what = json!({ "file": self.file, "imported": imported_count, "there": there_count });
        environment.audit().add("dlq import", None, what.clone()).await?;
        if self.json {
            println!("{what}");
        } else {
            println!("put back {imported_count} dead letters; {there_count} were there already");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn letters(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Message>> + '_> {
        let file = File::open(&self.file);
        let file = file.with_context(|| format!("opening {}", self.file.display()))?;
        let lines = BufReader::new(file).lines().enumerate();
        Ok(lines.map(|(index, line)| {
            let place = || format!("line {} of {}", index + 1, self.file.display());
            let letter: Letter = serde_json::from_str(&line.with_context(place)?)
                .with_context(|| format!("{} is no dead letter", place()))?;
            Ok(letter.into())
        }))
    }
}
