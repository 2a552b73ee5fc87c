//! `dlq edit`: a dead letter sent again with another body.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail, ensure};
use domain::dead_letter::edited;
use domain::message::Message;
use domain::quota;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::environment::{Environment, EnvironmentArgs};
use crate::queue::{self, Held};

/// Change the body of a dead letter in an editor, and send it again as the same event
///
/// The editor is the one that VISUAL or EDITOR names; --body takes the body from a file instead.
/// Nothing is sent if the body is left as it is, or was JSON and is none any more; what was written is
/// kept in a file then. The event carries the attribute `edited_at`, and the audit log says
/// who changed it; the service sees the same webhook-id.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask dlq edit prod 4f6f… --reason 'wrong customer id'\n  EDITOR='code --wait' cargo xtask dlq edit dev 4f6f… --reason typo\n  cargo xtask dlq edit dev 4f6f… --reason typo --body corrected.json --json"
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

    /// Take the body from this file, and ask no editor
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,

    /// Print JSON: the event, and the digests of both bodies
    #[arg(long)]
    json: bool,
}

/// Where the new body comes from.
enum Source {
    /// An editor and its arguments.
    Editor(Vec<String>),
    /// A file, as it is.
    File(PathBuf),
}

impl Edit {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let source = match &self.body {
            Some(file) => Source::File(file.clone()),
            None => Source::Editor(editor()?),
        };
        let environment = self.environment.connect().await?;
        let mut message_ids = Vec::new();
        let url = &environment.dead_letter_queue_url;
        let mut held = Held::receive(&environment.client, url, |message| {
            let chosen = message.event_id() == self.event_id;
            if chosen {
                message_ids.push(message.message_id.clone());
            }
            chosen
        })
        .await?;
        let [message_id] = message_ids.as_slice() else {
            held.release().await?;
            let (count, id) = (message_ids.len(), &self.event_id);
            bail!("{count} dead letters have event id {id:?}; `dlq list` shows those there are");
        };
        let original = held.load(message_id)?;
        // An editor may be open for hours: the others are shown meanwhile, and this one again if the
        // machine goes down.
        held.release().await?;
        let written = source.body(&original.body)?;
        let sent = self.send(&environment, &original, &written.text).await;
        let what = sent.map_err(|error| written.keep(&error))?;
        if self.json {
            println!("{what}");
        } else {
            println!("sent {} with its new body", self.event_id);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Sends `body` in the place of the original's, and notes it.
    async fn send(
        &self,
        environment: &Environment,
        original: &Message,
        body: &str,
    ) -> anyhow::Result<Value> {
        check(&original.body, body)?;
        let mut now_there = false;
        let url = &environment.dead_letter_queue_url;
        let mut held = Held::receive(&environment.client, url, |message| {
            let is_it = message.message_id == original.message_id;
            now_there |= is_it;
            is_it
        })
        .await?;
        if !now_there {
            held.release().await?;
            bail!("{:?} is no dead letter any more: somebody else was quicker", self.event_id);
        }
        let at = Timestamp::from(SystemTime::now());
        let sent = match edited(original, body.to_owned(), at) {
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
            "body_sha256": { "before": sha256(&original.body), "after": sha256(body) },
        });
        // It is on its way, whatever became of the dead letter.
        environment.audit().add("dlq edit", Some(&self.reason), what.clone()).await?;
        deleted.with_context(|| {
            format!(
                "it was sent with its new body, but the old one is still a dead letter; once more \
                 within five minutes is no second event, and `cargo xtask dlq drop {} {}` removes it",
                environment.name, self.event_id
            )
        })?;
        released?;
        Ok(what)
    }
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A new body, and the file that it is in.
struct Written {
    text: String,
    file: Option<NamedTempFile>,
}

impl Written {
    /// Keeps what a person has written when it could not be sent.
    fn keep(self, error: &anyhow::Error) -> anyhow::Error {
        match self.file.map(NamedTempFile::keep) {
            Some(Ok((_file, path))) => {
                anyhow!(
                    "{error:#}; what you wrote is in {0}, and --body {0} takes it",
                    path.display()
                )
            }
            Some(Err(kept)) => anyhow!("{error:#}; what you wrote is lost: {kept}"),
            None => anyhow!("{error:#}"),
        }
    }
}

impl Source {
    fn body(&self, original: &str) -> anyhow::Result<Written> {
        match self {
            Self::Editor(editor) => edit(editor, original),
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("reading {}", path.display()))?;
                Ok(Written { text: as_before(original, text), file: None })
            }
        }
    }
}

/// The editor and its arguments.
fn editor() -> anyhow::Result<Vec<String>> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR"));
    let editor = editor.context("no editor is set; EDITOR=vi chooses one")?;
    Ok(editor.split_whitespace().map(str::to_owned).collect())
}

/// Lets a person edit `body`, in a file that only they can read.
fn edit(editor: &[String], body: &str) -> anyhow::Result<Written> {
    let mut file = tempfile::Builder::new()
        .prefix("dead-letter-")
        .suffix(".json")
        .tempfile()
        .context("making a temporary file")?;
    file.write_all(body.as_bytes()).context("writing a temporary file")?;
    let path: &Path = file.path();
    let (program, arguments) = editor.split_first().context("no editor is set")?;
    let status = Command::new(program).args(arguments).arg(path).status();
    let status = status.with_context(|| format!("starting the editor {program}"))?;
    ensure!(status.success(), "the editor {program} ended with {status}; nothing was sent");
    let edited = std::fs::read_to_string(path).context("reading what was edited")?;
    let text = as_before(body, edited);
    // What is as it was is not worth keeping.
    let file = (text != body && !text.is_empty()).then_some(file);
    Ok(Written { text, file })
}

/// Editors end a file with a line break, whether it had one or not.
fn as_before(before: &str, text: String) -> String {
    let added = text.ends_with('\n') && !before.ends_with('\n');
    if added { text.trim_end_matches('\n').to_owned() } else { text }
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
        assert!(refused(&"x".repeat(300_000)).contains("300000 bytes"));
    }
}
