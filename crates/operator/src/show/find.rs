//! Finding the event that was typed: by its id, by an ordering key, by the beginning of its id.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow};
use commands::Show;
use domain::dead_letter::{group_of, redrive_order};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use terminal::exit::Failure;

use super::{Lying, State};
use crate::blocked;
use crate::dlq::look::look;
use crate::engine_api::{EngineApi, segment};
use crate::environment::{Environment, Host};
use crate::history::{Pattern, pattern};
use crate::letter::{DeadLetter, Letter};
use crate::people::{self, printable};

/// Dead letters of a key that are shown one by one: as many as the engine shows of what waits.
const KEY_EVENTS_MAX: usize = 100;

/// The event that is meant, and what there is of it.
pub(super) struct Found {
    pub(super) event_id: String,
    /// The log's lines about it, in order of time.
    pub(super) lines: Vec<Value>,
    pub(super) messages: Vec<Lying>,
    pub(super) key: Option<Key>,
    pub(super) unknown: Vec<String>,
    /// What could have been told here, and was not; unlike what AWS never tells it is a failure.
    pub(super) is_in_part: bool,
    /// Whether it was delivered and can be sent once more.
    pub(super) is_kept: bool,
}

/// The ordering key that was typed.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    pub(super) group: String,
    /// How many messages of it are in the queue; `None` on AWS, which does not tell.
    pub(super) messages: Option<u64>,
    /// How many dead letters of it there are, where nothing of it is in the queue; else `None`.
    pub(super) dead_letters: Option<u64>,
    /// The first of them.
    pub(super) events: Vec<OfKey>,
}

/// An event of the key.
#[derive(Debug, Serialize)]
pub(super) struct OfKey {
    pub(super) event_id: String,
    pub(super) state: State,
    /// RFC 3339.
    pub(super) accepted_at: String,
    pub(super) receive_count: u32,
    pub(super) body_bytes: usize,
}

/// `/_engine/messages/ID`.
#[derive(Debug, Deserialize)]
struct Answer {
    id: String,
    messages: Vec<Value>,
    group: Option<Group>,
    #[serde(default)]
    alike: BTreeSet<String>,
    /// What is kept of it since it was delivered.
    #[serde(default)]
    kept: Option<Kept>,
}

#[derive(Debug, Deserialize)]
struct Kept {
    letter: Letter,
}

#[derive(Debug, Deserialize)]
struct Group {
    messages: u64,
    first: Vec<Value>,
}

/// A message as the engine tells of it.
#[derive(Debug, Deserialize)]
struct Told {
    state: State,
    visible_at: Option<String>,
    ahead: u64,
    behind: u64,
    head_event_id: Option<String>,
    letter: Letter,
}

pub(super) async fn find(
    environment: &Environment,
    given: &Show,
    since: Timestamp,
) -> anyhow::Result<Found> {
    match &environment.host {
        Host::Engine { api, .. } => in_engine(environment, api, given, since).await,
        Host::Aws { .. } => in_log(environment, given, since).await,
    }
}

async fn in_engine(
    environment: &Environment,
    api: &EngineApi,
    given: &Show,
    since: Timestamp,
) -> anyhow::Result<Found> {
    let typed = &given.of.id;
    let answer: Answer = api.get(&format!("/_engine/messages/{}", segment(typed))).await?;
    if answer.alike.len() > 1 {
        return Err(not_clear(typed, &answer.alike));
    }
    let mut messages = lying(answer.messages)?;
    let mut key = None;
    if let Some(group) = answer.group.filter(|_| messages.is_empty()) {
        let mut of_group = lying(group.first)?;
        let events = of_group.iter().map(OfKey::of).collect();
        let waiting = Some(group.messages);
        key = Some(Key { group: typed.clone(), messages: waiting, dead_letters: None, events });
        of_group.truncate(1);
        messages = of_group;
    }
    let kept = answer.kept.filter(|_| messages.is_empty());
    let is_kept = kept.is_some();
    if let Some(Kept { letter }) = kept {
        messages.push(Lying::delivered(letter.received_by(String::new())?));
    }
    // By a message's id the event has another.
    let event_id =
        messages.first().map_or(answer.id, |message| message.letter.event_id().to_owned());
    let mut unknown = Vec::new();
    let mut event_ids = [event_id].into_iter().collect::<BTreeSet<_>>();
    let mut lines = lines_of(environment, &event_ids, since, &mut unknown).await?;
    if lines.is_empty() && messages.is_empty() {
        // What has left the queues is found by the beginning of its id as well.
        let begins =
            |line: &Value| line["event_id"].as_str().is_some_and(|id| id.starts_with(typed));
        unknown.clear();
        lines = looked(environment, &pattern("message", &[]), since, begins, &mut unknown).await?;
        event_ids = ids_of(&lines);
        if event_ids.len() > 1 {
            return Err(not_clear(typed, &event_ids));
        }
    }
    if lines.is_empty() && messages.is_empty() {
        (key, messages) = dead_letters_of_key(environment, typed).await?;
        if let Some(first) = messages.first() {
            event_ids = [first.letter.event_id().to_owned()].into_iter().collect();
            unknown.clear();
            lines = lines_of(environment, &event_ids, since, &mut unknown).await?;
        }
    }
    let event_id = event_ids.pop_first().unwrap_or_else(|| typed.clone());
    let is_in_part = !unknown.is_empty();
    Ok(Found { event_id, lines, messages, key, unknown, is_in_part, is_kept })
}

/// What of a key has died, where nothing of it waits: the key, and of its first dead letter that itself.
async fn dead_letters_of_key(
    environment: &Environment,
    typed: &str,
) -> anyhow::Result<(Option<Key>, Vec<Lying>)> {
    let mut found: Vec<Lying> = Vec::new();
    let mut dead_letters = 0;
    look(environment, |letter| {
        if group_of(letter) == typed {
            dead_letters += 1;
            found.push(Lying::dead(letter.clone()));
            found.sort_by_key(|it| (it.letter.sent_at, redrive_order(&it.letter)));
            found.truncate(KEY_EVENTS_MAX);
        }
        Ok(())
    })
    .await?;
    if found.is_empty() {
        return Ok((None, found));
    }
    let events = found.iter().map(OfKey::of).collect();
    found.truncate(1);
    let dead_letters = Some(dead_letters);
    Ok((Some(Key { group: typed.to_owned(), messages: Some(0), dead_letters, events }), found))
}

async fn lines_of(
    environment: &Environment,
    event_ids: &BTreeSet<String>,
    since: Timestamp,
    unknown: &mut Vec<String>,
) -> anyhow::Result<Vec<Value>> {
    let ids: Vec<&str> = event_ids.iter().map(String::as_str).collect();
    let about = |line: &Value| line["event_id"].as_str().is_some_and(|id| event_ids.contains(id));
    looked(environment, &pattern("event_id", &ids), since, about, unknown).await
}

async fn looked(
    environment: &Environment,
    pattern: &Pattern<'_>,
    since: Timestamp,
    keep: impl Fn(&Value) -> bool,
    unknown: &mut Vec<String>,
) -> anyhow::Result<Vec<Value>> {
    let history = environment.history();
    let found = history.look(pattern, since, keep).await?;
    if let Some(cut) = history.cut(&found) {
        unknown.push(format!("what happened earlier ({cut})"));
    }
    Ok(found.lines)
}

/// On AWS the log alone knows of events and keys.
async fn in_log(
    environment: &Environment,
    given: &Show,
    since: Timestamp,
) -> anyhow::Result<Found> {
    let typed = given.of.id.as_str();
    let mut unknown = Vec::new();
    let begins = |id: &Value| id.as_str().is_some_and(|id| id.starts_with(typed));
    let about = |line: &Value| begins(&line["event_id"]) || line["group"] == *typed;
    let beginning = format!("{typed}*");
    let wanted = pattern("event_id", &[&beginning]).or("group", typed);
    let mut lines = looked(environment, &wanted, since, about, &mut unknown).await?;
    let is_in_part = !unknown.is_empty();
    let mut alike = ids_of(&lines);
    alike.retain(|id| id.starts_with(typed));
    let mut key = None;
    let event_id = if alike.contains(typed) {
        typed.to_owned()
    } else if lines.iter().any(|line| line["group"] == *typed) {
        let of_group: Vec<Value> =
            lines.iter().filter(|line| line["group"] == *typed).cloned().collect();
        let newest = of_group.last().and_then(|line| line["event_id"].as_str());
        let newest = newest.unwrap_or(typed).to_owned();
        let head = blocked::of_log(&of_group).into_iter().next().map(|head| head.event_id);
        if head.is_none() {
            unknown.push(format!(
                "what of key {typed:?} waits (nothing of it has failed since its last delivery, whose event \
                 is shown)"
            ));
        }
        let group = typed.to_owned();
        key = Some(Key { group, messages: None, dead_letters: None, events: Vec::new() });
        head.unwrap_or(newest)
    } else if alike.len() > 1 {
        return Err(not_clear(typed, &alike));
    } else {
        alike.pop_first().unwrap_or_else(|| typed.to_owned())
    };
    lines.retain(|line| line["event_id"] == *event_id);
    let messages = Vec::new();
    Ok(Found { event_id, lines, messages, key, unknown, is_in_part, is_kept: false })
}

/// The dead letters of an event on AWS, or those of a key, which are received to be looked at.
pub(super) async fn dead_letters(
    environment: &Environment,
    event_id: &str,
    unknown: &mut Vec<String>,
) -> anyhow::Result<Vec<Lying>> {
    let mut found = Vec::new();
    let looked = look(environment, |letter| {
        if letter.event_id() == event_id || group_of(letter) == event_id {
            found.push(Lying::dead(letter.clone()));
        }
        Ok(())
    })
    .await?;
    if found.is_empty() {
        let hidden = match looked.unseen() {
            0 => String::new(),
            unseen => format!("; {unseen} are hidden, as somebody else looks at them"),
        };
        unknown.push(format!("where it is (it is none of the dead letters{hidden})"));
    }
    Ok(found)
}

fn lying(told: Vec<Value>) -> anyhow::Result<Vec<Lying>> {
    let one = |told: Value| {
        let told: Told =
            serde_json::from_value(told).context("understanding the engine's messages")?;
        Ok(Lying {
            state: told.state,
            visible_at: told.visible_at.as_deref().and_then(people::time),
            ahead: Some(told.ahead),
            behind: Some(told.behind),
            head_event_id: told.head_event_id,
            letter: told.letter.received_by(String::new())?,
        })
    };
    told.into_iter().map(one).collect()
}

fn ids_of(lines: &[Value]) -> BTreeSet<String> {
    lines.iter().filter_map(|line| line["event_id"].as_str().map(str::to_owned)).collect()
}

/// Of several events that begin as what was typed, some are named.
fn not_clear(typed: &str, alike: &BTreeSet<String>) -> anyhow::Error {
    const NAMED: usize = 5;
    let ids: Vec<String> = alike.iter().take(NAMED).map(|id| printable(id)).collect();
    let more = if alike.len() > NAMED { ", …" } else { "" };
    Failure::Usage.of(anyhow!(
        "{typed:?} begins the ids of several events: {}{more}; type more of it",
        ids.join(", ")
    ))
}

impl Lying {
    fn delivered(letter: DeadLetter) -> Self {
        Self { state: State::Delivered, ..Self::dead(letter) }
    }

    fn dead(letter: DeadLetter) -> Self {
        Self {
            state: State::Dead,
            visible_at: None,
            ahead: None,
            behind: None,
            head_event_id: None,
            letter,
        }
    }
}

impl OfKey {
    fn of(lying: &Lying) -> Self {
        let message = &lying.letter.message;
        Self {
            event_id: message.event_id().to_owned(),
            state: lying.state,
            accepted_at: message.said_accepted_at().to_string(),
            receive_count: message.receive_count,
            body_bytes: message.body.len(),
        }
    }
}
