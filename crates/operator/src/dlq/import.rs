//! `dlq import`: dead letters from a file back into the dead-letter queue.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use commands::dlq::Import;
use domain::dead_letter;
use domain::quota::is_id;
use serde_json::json;

use super::look::look;
use crate::environment::{self, Environment};
use crate::interrupt;
use crate::letter::{DeadLetter, Letter};
use crate::scratch::Scratch;
use crate::{people, progress, queue};

/// What is in the file, and which dead letters are there, by [`DeadLetter::identity`].
const TABLES: &str = "
    CREATE TABLE letters (number INTEGER PRIMARY KEY, letter TEXT NOT NULL);
    CREATE TABLE there (identity TEXT PRIMARY KEY) WITHOUT ROWID;";

/// How far it came.
#[derive(Debug, Default)]
struct Done {
    imported: u64,
    there_before: u64,
}

pub(super) async fn run(given: Import) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let scratch = Scratch::with(TABLES)?;
    // Before anything is sent: a file that breaks off half-way is refused as a whole.
    let count = read(&given.of.file, &scratch)?;
    let looked = look(&environment, |letter| note(&scratch, letter).map(drop)).await?;
    ensure!(
        looked.unseen() == 0,
        "what is hidden may be what is in the file, and would be there twice: nothing was put back; \
         start it again when all dead letters are shown"
    );
    let _guard = interrupt::guard();
    let file = given.of.file.display().to_string();
    let what = json!({ "file": file, "letters": count });
    let audit = environment.audit();
    let action = audit.begin("dlq import", given.why.as_deref(), what, given.audit).await?;
    let mut done = Done::default();
    let ended = put_back(&environment, &scratch, count, &mut done).await;
    let Done { imported, there_before } = done;
    let what = json!({ "file": file, "imported": imported, "there": there_before });
    // What was put back is noted, also when the next one would not go.
    let ended = ended.with_context(|| {
        let put_back = people::count(imported, "dead letter");
        format!("put back {put_back} of {count} before it ended; start it again for the others")
    });
    action.end(what.clone(), ended).await?;
    if given.json {
        println!("{what}");
    } else {
        let put_back = people::count(imported, "dead letter");
        println!("put back {put_back}; already there: {there_before}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes the letters of a file, `-` for standard input, which can be read once only.
fn read(file: &Path, scratch: &Scratch) -> anyhow::Result<u64> {
    let input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file_of = File::open(file).with_context(|| format!("opening {}", file.display()))?;
        Box::new(BufReader::new(file_of))
    };
    let mut count = 0;
    for (number, line) in (1_u64..).zip(input.lines()) {
        let place = || format!("line {number} of {}", file.display());
        let line = line.with_context(place)?;
        parse(&line).with_context(|| format!("{} is no dead letter", place()))?;
        scratch.change("INSERT INTO letters (letter) VALUES (?1)", [&line])?;
        count += 1;
    }
    ensure!(count > 0, "{} holds no dead letter", file.display());
    Ok(count)
}

fn parse(line: &str) -> anyhow::Result<DeadLetter> {
    let letter: Letter = serde_json::from_str(line)?;
    letter.received_by(String::new())
}

/// Notes that a dead letter is there, and says whether that is new.
fn note(scratch: &Scratch, letter: &DeadLetter) -> anyhow::Result<bool> {
    let insert = "INSERT INTO there VALUES (?1) ON CONFLICT DO NOTHING";
    Ok(scratch.change(insert, [letter.identity()])? > 0)
}

async fn put_back(
    environment: &Environment,
    scratch: &Scratch,
    count: u64,
    done: &mut Done,
) -> anyhow::Result<()> {
    let progress = progress::bar(count, "put back");
    let next = "SELECT number, letter FROM letters WHERE number > ?1 ORDER BY number LIMIT 1";
    let mut last = 0;
    loop {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let Some((number, line)) = scratch.first(next, [last], read)? else { break };
        last = number;
        interrupt::check()?;
        progress.inc(1);
        let letter = parse(&line)?;
        if !note(scratch, &letter)? {
            done.there_before += 1;
            continue;
        }
        let mut copy = dead_letter::imported(&letter);
        let import_id = letter.import_id();
        if is_id(&import_id) {
            copy.deduplication_id = import_id;
        }
        let url = &environment.dead_letter_queue_url;
        let message_id = queue::send(&environment.client, url, copy).await?;
        if message_id == letter.message_id {
            bail!(
                "event {} was put back a short while ago, and the queue takes it for a repeat; wait \
                 five minutes",
                letter.event_id()
            );
        }
        done.imported += 1;
    }
    progress.finish_and_clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_exported_letter() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(line) = std::str::from_utf8(bytes) else { return };
            let Ok(letter) = parse(line) else { return };
            let copy = dead_letter::imported(&letter);
            assert_eq!(copy.body, letter.body);
            assert!(!letter.identity().is_empty());
        });
    }
}
