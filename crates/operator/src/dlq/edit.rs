//! `dlq edit`: a dead letter sent again with another body.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use commands::{command, dlq::Edit, program::value};
use domain::dead_letter::edited;
use domain::quota;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use terminal::text::sha256;

use super::look::Typed;
use crate::environment::{self, Environment};
use crate::letter::DeadLetter;
use crate::queue::{self, Held};
use crate::{interrupt, people, progress};

pub(super) async fn run(given: Edit) -> anyhow::Result<ExitCode> {
    let editor = if given.body.is_some() { None } else { Some(editor()?) };
    let environment = environment::connect(&given.of.environment).await?;
    let original = find(&given, &environment).await?;
    let Some(editor) = editor else {
        let path = given.body.as_deref().unwrap_or(Path::new(""));
        send(&given, &environment, &original, path).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let file = file_with(&original.body)?;
    // What was typed must not be lost, whatever comes.
    let _guard = interrupt::guard();
    let done = match open(&editor, file.path()).await {
        Ok(()) => send(&given, &environment, &original, file.path()).await,
        Err(error) => Err(error),
    };
    if done.is_err() {
        keep(&given, &environment, file, &original)?;
    }
    done.map(|()| ExitCode::SUCCESS)
}

/// Looks for the dead letter. An editor may be open for hours: it is shown to others meanwhile.
async fn find(given: &Edit, environment: &Environment) -> anyhow::Result<DeadLetter> {
    let typed = std::slice::from_ref(&given.of.event_id);
    let mut ids = Typed::new(typed);
    let mut found = Vec::new();
    let looked = super::look::look(environment, |letter| {
        if ids.meet(letter.event_id()) {
            found.push(letter.clone());
        }
        Ok(())
    })
    .await?;
    let meant = ids.resolve_all(looked)?;
    found.retain(|letter| meant.contains(letter.event_id()));
    let count = found.len();
    match found.pop() {
        Some(letter) if count == 1 => Ok(letter),
        _ => bail!(
            "{count} dead letters have event id {:?}; `dlq list` shows those there are",
            given.of.event_id
        ),
    }
}

/// Sends the event with the body in a file, and deletes the dead letter.
async fn send(
    given: &Edit,
    environment: &Environment,
    original: &DeadLetter,
    file: &Path,
) -> anyhow::Result<()> {
    let event_id = original.event_id();
    let body = read(file, &original.body)?;
    check(&original.body, &body)?;
    let url = &environment.dead_letter_queue_url;
    let _guard = interrupt::guard();
    let mut now_there = false;
    let mut held = Held::receive(&environment.client, url, |letter| {
        let is_it = letter.message_id == original.message_id;
        now_there |= is_it;
        is_it
    })
    .await?;
    if !now_there {
        let unseen = held.looked().unseen();
        held.release().await?;
        ensure!(
            unseen == 0,
            "{event_id:?} is hidden, as somebody else looks at it; nothing was sent"
        );
        bail!("{event_id:?} is no dead letter any more: somebody else was quicker");
    }
    let what = json!({
        "event_id": event_id,
        "body_sha256":
            { "before": sha256(original.body.as_bytes()), "after": sha256(body.as_bytes()) },
    });
    let begun = environment.audit().begin("dlq edit", Some(&given.why), what.clone(), given.audit);
    let action = match begun.await {
        Ok(action) => action,
        Err(error) => {
            held.release().await?;
            return Err(error);
        }
    };
    let sent = match edited(original, body.clone(), people::now()) {
        Some(copy) => queue::send(&environment.client, &environment.queue_url, copy).await,
        None => Err(anyhow!("its attributes leave no room for the mark of an edit")),
    };
    let mut what = what;
    if let Err(error) = sent {
        let mut error = error.context("it stays a dead letter, as it was");
        if let Err(hidden) = held.release().await {
            error = error.context(format!("it is not shown again at once: {hidden:#}"));
        }
        what["sent"] = json!(false);
        return action.end(what, Err(error)).await;
    }
    let deleted = held.delete(&original.message_id).await;
    let released = held.release().await;
    (what["sent"], what["deleted"]) = (json!(true), json!(deleted.is_ok()));
    let deleted = deleted.with_context(|| {
        let (name, event_id) = (value(&environment.name), value(event_id));
        let drop = command!["dlq", "drop", name, event_id, "--why", "sent by edit"];
        format!(
            "it was sent with its new body, but is still a dead letter as well: start it again \
             with the same body within five minutes, as long as the queue recognises it, or later \
             `{drop}`; do not redrive it"
        )
    });
    action.end(what.clone(), deleted).await?;
    released?;
    if given.json {
        println!("{what}");
    } else {
        println!("sent {event_id} with its new body");
    }
    Ok(())
}

/// Keeps what was typed, and says where.
fn keep(
    given: &Edit,
    environment: &Environment,
    file: NamedTempFile,
    original: &DeadLetter,
) -> anyhow::Result<()> {
    if read(file.path(), &original.body).is_ok_and(|text| text == original.body) {
        return Ok(());
    }
    let (_file, path) = file.keep().context("keeping what was typed")?;
    let path = path.display().to_string();
    let (name, event_id) = (value(&environment.name), value(original.event_id()));
    let (body, why) = (value(&path), value(&given.why));
    let edit = command!["dlq", "edit", name, event_id, "--body", body, "--why", why];
    eprintln!("note: what you typed is in {path}; correct it, and go on with\n  {edit}");
    Ok(())
}

/// The editor and its arguments.
fn editor() -> anyhow::Result<Vec<String>> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR"));
    let editor = editor.context("no editor is set; EDITOR=vi chooses one")?;
    let words = shlex::split(&editor).filter(|words| !words.is_empty());
    words.with_context(|| format!("EDITOR has a quote that does not end: {editor}"))
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
async fn open(editor: &[String], file: &Path) -> anyhow::Result<()> {
    let (program, arguments) = editor.split_first().context("no editor is set")?;
    let _edited = progress::quiet();
    // To an editor Ctrl-C is a key as others.
    let _key = interrupt::leave_to_child();
    let status = tokio::process::Command::new(program).args(arguments).arg(file).status().await;
    let status = status.with_context(|| format!("starting the editor {program}"))?;
    // Whatever the editor made of a signal that came meanwhile.
    interrupt::check()?;
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

    #[test]
    fn a_line_break_that_the_editor_added_is_none_of_the_body() {
        let file = |body: &str| read(file_with(body).unwrap().path(), "{}").unwrap();
        assert_eq!([file("{1}\n"), file("{1}")], ["{1}", "{1}"]);
        let with_break = |body: &str| read(file_with(body).unwrap().path(), "{}\n").unwrap();
        assert_eq!([with_break("{1}\n"), with_break("{1}")], ["{1}\n", "{1}"]);
    }
}
