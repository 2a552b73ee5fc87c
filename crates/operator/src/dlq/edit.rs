//! `dlq edit`: a dead letter sent again with another body.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail, ensure};
use domain::dead_letter::edited;
use domain::quota;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::environment::{Environment, EnvironmentArgs};
use crate::letter::DeadLetter;
use crate::queue::{self, Held};
use crate::{program, progress};

/// Change the body of a dead letter in an editor, and send it again as the same event
///
/// The editor is the one that VISUAL or EDITOR names. Nothing is sent if the body is left as it is, or
/// was JSON and is none any more; what was typed is kept in a file then, and --body goes on with it.
/// The event carries the attribute `edited_at`, and the audit log says who changed it; the service
/// sees the same webhook-id. The copy is sent before the dead letter is deleted, under a
/// deduplication id that belongs to both the dead letter and its new body.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = crate::program::help("Examples:\n  {program} dlq edit prod 4f6f… --reason 'wrong customer id'\n  EDITOR='code --wait' {program} dlq edit dev 4f6f… --reason typo\n  {program} dlq edit dev 4f6f… --reason typo --body corrected.json --json")
)]
pub(crate) struct Edit {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Event id, as `dlq list` shows it
    #[arg(value_name = "ID")]
    event_id: String,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Take the new body from this file, and open no editor
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,

    /// Print JSON: the event, and the digests of both bodies
    #[arg(long)]
    json: bool,
}

impl Edit {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let editor = if self.body.is_some() { None } else { Some(editor()?) };
        let environment = self.environment.connect().await?;
        let (held, message_id) = self.find(&environment).await?;
        let original = held.load(&message_id)?;
        // An editor may be open for hours: the others are shown meanwhile, and this one again if the
        // machine goes down.
        held.release().await?;
        let Some(editor) = editor else {
            let path = self.body.as_deref().unwrap_or(Path::new(""));
            self.send(&environment, &original, path).await?;
            return Ok(ExitCode::SUCCESS);
        };
        let file = file_with(&original.body)?;
        let done = match open(&editor, file.path()) {
            Ok(()) => self.send(&environment, &original, file.path()).await,
            Err(error) => Err(error),
        };
        if done.is_err() {
            self.keep(&environment, file, &original.body)?;
        }
        done.map(|()| ExitCode::SUCCESS)
    }

    /// Looks for the dead letter, and holds it.
    async fn find<'a>(&self, environment: &'a Environment) -> anyhow::Result<(Held<'a>, String)> {
        let mut message_ids = Vec::new();
        let url = &environment.dead_letter_queue_url;
        let held = Held::receive(&environment.client, url, |letter| {
            let chosen = letter.event_id() == self.event_id;
            if chosen {
                message_ids.push(letter.message_id.clone());
            }
            chosen
        })
        .await?;
        let (count, id) = (message_ids.len(), &self.event_id);
        match message_ids.pop() {
            Some(message_id) if count == 1 => Ok((held, message_id)),
            _ => {
                held.release().await?;
                bail!(
                    "{count} dead letters have event id {id:?}; `dlq list` shows those there are"
                );
            }
        }
    }

    /// Sends the event with the body in a file, and deletes the dead letter.
    async fn send(
        &self,
        environment: &Environment,
        original: &DeadLetter,
        file: &Path,
    ) -> anyhow::Result<()> {
        let body = read(file, &original.body)?;
        check(&original.body, &body)?;
        let url = &environment.dead_letter_queue_url;
        let mut now_there = false;
        let mut held = Held::receive(&environment.client, url, |letter| {
            let is_it = letter.message_id == original.message_id;
            now_there |= is_it;
            is_it
        })
        .await?;
        if !now_there {
            held.release().await?;
            bail!("{:?} is no dead letter any more: somebody else was quicker", self.event_id);
        }
        let at = Timestamp::from(SystemTime::now());
        let sent = match edited(original, body.clone(), at) {
            Some(copy) => queue::send(&environment.client, &environment.queue_url, copy).await,
            None => Err(anyhow!("its attributes leave no room for the mark of an edit")),
        };
        if let Err(error) = sent {
            held.release().await?;
            return Err(error.context("it stays a dead letter, as it was"));
        }
        let deleted = held.delete(&original.message_id).await;
        let released = held.release().await;
        let what = json!({
            "event_id": self.event_id,
            "body_sha256": { "before": sha256(&original.body), "after": sha256(&body) },
            "deleted": deleted.is_ok(),
        });
        environment.audit().add("dlq edit", Some(&self.reason), what.clone()).await?;
        if let Err(error) = deleted {
            let words =
                ["dlq", "drop", &environment.name, &self.event_id, "--reason", "sent by edit"];
            let drop = program::command(words);
            return Err(error.context(format!(
                "it was sent with its new body, but is still a dead letter as well: start it again \
                 with the same body within five minutes, as long as the queue recognises it, or later \
                 `{drop}`; do not redrive it"
            )));
        }
        released?;
        if self.json {
            println!("{what}");
        } else {
            println!("sent {} with its new body", self.event_id);
        }
        Ok(())
    }

    /// Keeps what was typed, and says where.
    fn keep(
        &self,
        environment: &Environment,
        file: NamedTempFile,
        original: &str,
    ) -> anyhow::Result<()> {
        if read(file.path(), original).is_ok_and(|text| text == original) {
            return Ok(());
        }
        let (_file, path) = file.keep().context("keeping what was typed")?;
        let path = path.display().to_string();
        let edit = ["dlq", "edit", &environment.name, &self.event_id, "--body", &path];
        eprintln!(
            "note: what you typed is in {path}; correct it, and go on with\n  {}",
            program::command(edit.into_iter().chain(["--reason", &self.reason]))
        );
        Ok(())
    }
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The editor and its arguments.
fn editor() -> anyhow::Result<Vec<String>> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR"));
    let editor = editor.context("no editor is set; EDITOR=vi chooses one")?;
    Ok(editor.split_whitespace().map(str::to_owned).collect())
}

/// A file with `body` that only the person can read.
fn file_with(body: &str) -> anyhow::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("dead-letter-")
        .suffix(".json")
        .tempfile()
        .context("making a temporary file")?;
    file.write_all(body.as_bytes()).context("writing a temporary file")?;
    Ok(file)
}

/// Lets a person edit a file.
fn open(editor: &[String], file: &Path) -> anyhow::Result<()> {
    let (program, arguments) = editor.split_first().context("no editor is set")?;
    let _edited = progress::quiet();
    let status = Command::new(program).args(arguments).arg(file).status();
    let status = status.with_context(|| format!("starting the editor {program}"))?;
    ensure!(status.success(), "the editor {program} ended with {status}; nothing was sent");
    Ok(())
}

/// What a file has, as the new body in place of `original`.
fn read(file: &Path, original: &str) -> anyhow::Result<String> {
    let edited = std::fs::read_to_string(file);
    let edited = edited.with_context(|| format!("reading the new body, {}", file.display()))?;
    // Editors end a file with a line break, whether it had one or not.
    let added = edited.ends_with('\n') && !original.ends_with('\n');
    Ok(if added { edited.trim_end_matches('\n').to_owned() } else { edited })
}

/// Whether the new body can be sent.
fn check(before: &str, after: &str) -> anyhow::Result<()> {
    ensure!(after != before, "the body is as it was; nothing was sent");
    ensure!(!after.is_empty(), "the body is empty; nothing was sent");
    if let Some(character) = after.chars().find(|&c| !quota::is_body_char(c)) {
        bail!("SQS does not take the character {character:?}; nothing was sent");
    }
    ensure!(
        after.len() <= quota::MESSAGE_BYTES_MAX as usize,
        "the body has {} bytes, and at most {} can be sent; nothing was",
        after.len(),
        quota::MESSAGE_BYTES_MAX
    );
    if serde_json::from_str::<Value>(before).is_ok() {
        serde_json::from_str::<Value>(after)
            .context("the body was JSON and is none any more; nothing was sent")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_cannot_be_sent_is_refused_with_its_reason() {
        let refused = |after: &str| format!("{:#}", check("{\"a\":1}", after).unwrap_err());
        assert!(check("{\"a\":1}", "{\"a\":2}").is_ok());
        assert!(check("plain", "other").is_ok());
        assert!(refused("{\"a\":1}").contains("as it was"));
        assert!(refused("").contains("empty"));
        assert!(refused("{\"a\":").contains("was JSON"));
        assert!(refused("\"\u{1}\"").contains("character"));
        let large = "x".repeat(quota::MESSAGE_BYTES_MAX as usize + 1);
        assert!(refused(&large).contains("1044481 bytes"));
    }
}
