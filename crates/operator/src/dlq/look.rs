//! Looking at all dead letters, and what was not seen of them. An engine reads them, which hides nothing
//! from anybody; SQS has no way to look without receiving.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;
use terminal::exit::Failure;

use crate::engine_api::{EngineApi, OlderEngine};
use crate::environment::{Environment, Host};
use crate::letter::{DeadLetter, Letter};
use crate::people::printable;
use crate::queue::{Counts, Held, Looked};

/// As many of the events that one beginning could mean are named.
const NAMED: usize = 5;

/// Shows every dead letter to `see`, and leaves all of them for others. What could not be looked at is
/// said on standard error.
pub(crate) async fn look(
    environment: &Environment,
    mut see: impl FnMut(&DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<Looked> {
    let read = match &environment.host {
        Host::Engine { api, .. } => match read(api, &mut see).await {
            Err(error) if error.is::<OlderEngine>() => None,
            read => Some(read?),
        },
        Host::Aws { .. } => None,
    };
    let looked = match read {
        Some(looked) => looked,
        None => receive(environment, see).await?,
    };
    if let Some(text) = looked.text() {
        eprintln!("note: {text}");
    }
    Ok(looked)
}

/// Reads them, hidden ones as well.
async fn read(
    api: &EngineApi,
    see: &mut impl FnMut(&DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<Looked> {
    let (mut counts, mut seen) = (None, 0);
    let mut read = Ok(());
    api.lines("/_engine/dead-letters", |line| {
        if counts.is_none() {
            counts = serde_json::from_value::<ReadCounts>(line).ok();
        } else if read.is_ok() {
            seen += 1;
            read = letter_of(line).and_then(|letter| see(&letter));
        }
    })
    .await?;
    read?;
    let counts = counts.context("the engine does not say how many dead letters there are")?;
    Ok(Looked { seen, all: seen.max(counts.visible + counts.hidden) })
}

/// How many there are, as the engine says before it tells of each.
#[derive(Debug, Deserialize)]
struct ReadCounts {
    visible: u64,
    hidden: u64,
}

fn letter_of(mut line: Value) -> anyhow::Result<DeadLetter> {
    let letter: Letter = serde_json::from_value(line["letter"].take())
        .context("understanding the engine's dead letters")?;
    letter.received_by(String::new())
}

/// Receives them, and shows them to others again.
async fn receive(
    environment: &Environment,
    mut see: impl FnMut(&DeadLetter) -> anyhow::Result<()>,
) -> anyhow::Result<Looked> {
    let url = &environment.dead_letter_queue_url;
    let mut seen = Ok(());
    let held = Held::receive(&environment.client, url, |letter| {
        if seen.is_ok() {
            seen = see(letter);
        }
        false
    });
    let held = held.await?;
    let mut looked = held.looked();
    held.release().await?;
    seen?;
    if looked.unseen() > 0 {
        // SQS counts approximately, and somebody may have taken one away meanwhile.
        let now = Counts::of(&environment.client, url).await?.all();
        looked.all = looked.all.min(now).max(looked.seen);
    }
    Ok(looked)
}

impl Looked {
    /// 0 only if everything was seen.
    pub(super) fn exit_code(self) -> ExitCode {
        if self.unseen() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Event ids as they were typed: the beginning is enough of one that no other event's id has.
#[derive(Debug)]
pub(crate) struct Typed<'a> {
    typed: &'a [String],
    met: Vec<BTreeSet<String>>,
}

impl<'a> Typed<'a> {
    pub(crate) fn new(typed: &'a [String]) -> Self {
        Self { typed, met: vec![BTreeSet::new(); typed.len()] }
    }

    /// Whether this may be one of those that are meant.
    pub(crate) fn meet(&mut self, event_id: &str) -> bool {
        let mut may_be = false;
        for (typed, met) in self.typed.iter().zip(&mut self.met) {
            if event_id.starts_with(typed.as_str()) {
                met.insert(event_id.to_owned());
                may_be = true;
            }
        }
        may_be
    }

    /// The events that are meant, and what was typed of which there is none.
    ///
    /// # Errors
    ///
    /// When it is not clear which event is meant.
    pub(crate) fn resolve(&self) -> anyhow::Result<(BTreeSet<String>, Vec<&'a str>)> {
        let (mut meant, mut unknown) = (BTreeSet::new(), Vec::new());
        for (typed, met) in self.typed.iter().zip(&self.met) {
            if met.contains(typed) {
                meant.insert(typed.clone());
                continue;
            }
            match met.len() {
                0 => unknown.push(typed.as_str()),
                1 => meant.extend(met.iter().cloned()),
                count => {
                    let ids: Vec<String> = met.iter().take(NAMED).map(|id| printable(id)).collect();
                    let more = if count > NAMED { ", …" } else { "" };
                    let error = anyhow::anyhow!(
                        "{typed:?} begins the ids of {count} events: {}{more}; type more of it",
                        ids.join(", ")
                    );
                    return Err(Failure::Usage.of(error));
                }
            }
        }
        Ok((meant, unknown))
    }

    /// The same, when each has to be there.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not clear which.
    pub(super) fn resolve_all(&self, looked: Looked) -> anyhow::Result<BTreeSet<String>> {
        let (meant, unknown) = self.resolve()?;
        if let Some(unknown) = unknown.first() {
            bail!("{}", no_such(unknown, looked));
        }
        Ok(meant)
    }
}

/// What is said of an event that was typed and is not there.
pub(super) fn no_such(typed: &str, looked: Looked) -> String {
    let hidden = match looked.unseen() {
        0 => String::new(),
        unseen => format!(
            "; {unseen} are hidden, as somebody else looks at them, and it may be one of those"
        ),
    };
    format!("no dead letter has event id {typed:?}; `dlq list` shows those there are{hidden}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(typed: &[&str], ids: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
        let typed: Vec<String> = typed.iter().map(|it| (*it).to_owned()).collect();
        let mut all = Typed::new(&typed);
        for id in ids {
            all.meet(id);
        }
        let (meant, unknown) = all.resolve().map_err(|error| format!("{error:#}"))?;
        let unknown = unknown.into_iter().map(str::to_owned).collect();
        Ok((meant.into_iter().collect(), unknown))
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_no_other_has_it() {
        let ids = ["4f6f-1", "4f6f-2", "91ab"];
        let (meant, unknown) = resolved(&["91", "4f6f-2", "77"], &ids).unwrap();
        assert_eq!(meant, ["4f6f-2", "91ab"]);
        assert_eq!(unknown, ["77"]);
        let error = resolved(&["4f"], &ids).unwrap_err();
        assert!(error.contains("2 events: 4f6f-1, 4f6f-2; type more"), "{error}");
    }

    #[test]
    fn a_whole_id_is_meant_even_if_another_begins_with_it() {
        let (meant, _) = resolved(&["e-1"], &["e-1", "e-10"]).unwrap();
        assert_eq!(meant, ["e-1"]);
        // One event that died twice is no two events.
        assert_eq!(resolved(&["e"], &["e-1", "e-1"]).unwrap().0, ["e-1"]);
    }

    #[test]
    fn what_could_not_be_seen_may_be_what_was_typed() {
        let looked = Looked { seen: 2, all: 6 };
        assert!(no_such("e-1", looked).contains("4 are hidden"));
        assert!(!no_such("e-1", Looked { seen: 2, all: 2 }).contains("hidden"));
    }

    #[test]
    fn of_many_ids_that_begin_like_it_the_first_are_named() {
        let ids = ["e-1", "e-2", "e-3", "e-4", "e-5", "e-6"];
        let error = resolved(&["e"], &ids).unwrap_err();
        assert!(error.contains("6 events: e-1, e-2, e-3, e-4, e-5, …; type more"), "{error}");
        let error = resolved(&["e"], &ids[..5]).unwrap_err();
        assert!(error.contains("5 events: e-1, e-2, e-3, e-4, e-5; type more"), "{error}");
    }
}
