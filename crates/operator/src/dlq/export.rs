//! `dlq export`: dead letters into a file, complete.

use std::process::ExitCode;

use commands::dlq::Export;
use serde_json::json;

use super::choice::Choice;
use super::look::look;
use super::note_none_chosen;
use crate::export_file::ExportFile;
use crate::letter::{DeadLetter, Letter};
use crate::queue::Looked;
use crate::{environment, people};

pub(super) async fn run(given: Export) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let select = given.select.select();
    let now = environment.queue_time().await?;
    let mut choice = Choice::of(&select, now)?;
    let mut out = ExportFile::create(&given.of.file)?;
    let file = given.of.file.display().to_string();
    let what = json!({ "file": file, "selection": select.audited(now) });
    let action = environment.audit().begin("dlq export", None, what, given.audit).await?;
    let is_stdout = out.is_stdout();
    let written = async {
        let write = |letter: &DeadLetter| {
            if choice.includes(letter) { out.write(&Letter::from(letter)) } else { Ok(()) }
        };
        let looked = look(&environment, write).await?;
        choice.check(looked)?;
        Ok((looked, out.finish()?))
    };
    let written = written.await;
    let (looked, count) = match &written {
        Ok((looked, count)) => (Some(*looked), Some(*count)),
        Err(_) => (None, None),
    };
    let unseen = looked.map(Looked::unseen);
    let what = json!({ "file": file, "count": count, "unseen": unseen });
    let (looked, count) = action.end(what, written).await?;
    if count == 0 {
        note_none_chosen(&environment, looked, &select).await?;
    }
    let said = if given.json {
        json!({ "file": file, "count": count, "unseen": looked.unseen() }).to_string()
    } else {
        let written = people::count(count, "dead letter");
        format!("{written} written to {file}, and still in the queue")
    };
    // The letters themselves are there.
    if is_stdout {
        eprintln!("{said}");
    } else {
        println!("{said}");
    }
    Ok(looked.exit_code())
}
