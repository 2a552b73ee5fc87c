//! Which of the dead letters that are looked at are meant, and whether the issue that was typed is one.

use anyhow::anyhow;
use commands::dlq::SelectArgs;
use domain::issue::{self, Issue};
use domain::selection::Selection;
use domain::time::Timestamp;
use terminal::exit::Failure;

use crate::letter::DeadLetter;
use crate::people::{self, printable};
use crate::queue::Looked;
use crate::scratch::Scratch;

/// As many issues are named when none of them was typed.
const NAMED: u32 = 20;

const TABLES: &str = "
    CREATE TABLE met (name TEXT PRIMARY KEY, said TEXT, letters INTEGER) WITHOUT ROWID;";

/// A selection, and the issues that were met.
pub(super) struct Choice {
    selection: Selection,
    /// Where an issue was typed.
    met: Option<Scratch>,
    noted: anyhow::Result<()>,
}

impl Choice {
    /// What was typed, when the queue's clock shows `now`.
    pub(super) fn of(select: &SelectArgs, now: Timestamp) -> anyhow::Result<Self> {
        let met = select.issue.as_ref().map(|_typed| Scratch::with(TABLES)).transpose()?;
        Ok(Self { selection: select.selection(now), met, noted: Ok(()) })
    }

    /// Whether `letter` is meant. What goes wrong in here is said by [`Self::check`].
    pub(super) fn includes(&mut self, letter: &DeadLetter) -> bool {
        if let (Some(met), Ok(())) = (&self.met, &self.noted) {
            self.noted = note(met, &Issue::of(letter));
        }
        self.selection.includes(letter)
    }

    /// Whether it is clear which issue was meant, once all dead letters have been looked at.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or more than one.
    pub(super) fn check(&mut self, looked: Looked) -> anyhow::Result<()> {
        std::mem::replace(&mut self.noted, Ok(()))?;
        let (Some(met), Some(typed)) = (&self.met, self.selection.issue) else { return Ok(()) };
        let all = met.all(
            "SELECT name FROM met WHERE name GLOB ?1 || '*' LIMIT 6",
            [typed.to_string()],
            |row| row.get::<_, String>(0),
        )?;
        match all.as_slice() {
            [_one] => Ok(()),
            [] => Err(unknown(met, typed, looked)?),
            several => Err(Failure::Usage.of(anyhow!(
                "{typed} begins the names of {} issues: {}; type more of it",
                if several.len() > 5 { "many".to_owned() } else { several.len().to_string() },
                several.join(", "),
            ))),
        }
    }
}

fn note(met: &Scratch, issue: &Issue) -> anyhow::Result<()> {
    let said = [issue.route().unwrap_or("-"), issue.status(), issue.answer()].join(" ");
    let insert =
        "INSERT INTO met VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET letters = letters + 1";
    met.change(insert, (issue.name(), said)).map(drop)
}

/// What is said of an issue that was typed and is not there. What was not seen may be of it.
fn unknown(met: &Scratch, typed: issue::Typed, looked: Looked) -> anyhow::Result<anyhow::Error> {
    let there = met.all(
        "SELECT name, said, letters FROM met ORDER BY letters DESC, name LIMIT ?1",
        [NAMED],
        |row| {
            let (name, said) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            Ok(format!(
                "\n  {name}  {}: {}",
                people::count(row.get::<_, i64>(2)?.unsigned_abs(), "dead letter"),
                printable(said.trim_end()),
            ))
        },
    )?;
    let there = if there.is_empty() {
        "there is no issue".to_owned()
    } else {
        format!("the issues are:{}", there.concat())
    };
    Ok(match looked.unseen() {
        0 => Failure::Usage.of(anyhow!("no dead letter is of issue {typed}; {there}")),
        unseen => anyhow!(
            "no dead letter that could be looked at is of issue {typed}, and {unseen} are hidden; {there}"
        ),
    })
}
