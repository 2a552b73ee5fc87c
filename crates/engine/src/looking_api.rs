//! Looking is reading: dead letters, and one event wherever it is, from the reader beside the writer.
//! Nothing is received by it, so it hides nothing from anybody and raises no receive count.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::attribute::{Attribute, Attributes};
use domain::dead_letter::without_token;
use domain::message::{Message, Origin, Received};
use domain::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::admin::Admin;
use crate::error_text::in_full;
use crate::http::{answer, failed, streamed};
use crate::store::{Kept, MessageAttribute, PeekFrom, Peeked, Result, StoreError};

/// Pages that wait for their reader.
const PAGES: usize = 2;

/// Messages of a group that are shown.
const OF_GROUP_MAX: u32 = 100;

/// Of events whose ids begin alike, so many are named.
const ALIKE_MAX: usize = 6;

/// The routes of this module.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/_engine/dead-letters", get(dead_letters))
        .route("/_engine/messages/{id}", get(messages))
        .with_state(admin)
}

/// A line with the counts of what is visible and hidden, and when hidden ones come back; then a line for
/// each dead letter.
async fn dead_letters(State(admin): State<Arc<Admin>>) -> Response {
    let counts = match counts(&admin).await {
        Ok(counts) => counts,
        Err(error) => return failed(&in_full(&error)),
    };
    let (pieces, body) = mpsc::channel(PAGES);
    tokio::spawn(async move {
        let mut piece = format!("{counts}\n").into_bytes();
        let mut from = Some(PeekFrom::default());
        while let Some(after) = from {
            let page = match admin.store.peek(&admin.dead_letter_queue, after).await {
                Ok(page) => page,
                Err(error) => {
                    // Its reader sees that something is missing.
                    let _gone = pieces.send(Err(io::Error::other(in_full(&error)))).await;
                    return;
                }
            };
            for letter in page.messages {
                let line = Line { visible_at: letter.visible_at, letter: Letter::of(letter) };
                serde_json::to_writer(&mut piece, &line).expect("texts, numbers and field names");
                piece.push(b'\n');
            }
            if pieces.send(Ok(Bytes::from(std::mem::take(&mut piece)))).await.is_err() {
                return;
            }
            from = page.next;
        }
    });
    streamed(body)
}

async fn counts(admin: &Admin) -> Result<Value> {
    let queue = &admin.dead_letter_queue;
    let counts = admin.store.statistics(queue).await?;
    let hidden = admin.store.hidden_until(queue).await?;
    Ok(json!({
        "visible": counts.visible,
        // Damaged messages are in flight for good, and come back never.
        "hidden": counts.in_flight.saturating_sub(counts.damaged),
        "damaged": counts.damaged,
        "next_visible_at": hidden.map(|(first, _)| first),
        "last_visible_at": hidden.map(|(_, last)| last),
        "now": admin.store.clock().wall(),
    }))
}

/// The event of this id, or the message; else the first messages of the group of this name; else the
/// event whose id is the only one that begins so, or the ids that do.
async fn messages(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    match found(&admin, &id).await {
        Ok(found) => answer(StatusCode::OK, &found),
        Err(error) => failed(&in_full(&error)),
    }
}

async fn found(admin: &Admin, id: &str) -> Result<Value> {
    let mut id = id.to_owned();
    let mut messages = of_event(admin, &id).await?;
    let (of_group, all) = match admin.store.peek_group(&admin.queue, &id, OF_GROUP_MAX).await {
        Err(StoreError::QueueDoesNotExist(_)) => (Vec::new(), 0),
        other => other?,
    };
    let mut alike = BTreeSet::new();
    if messages.is_empty() && all == 0 {
        alike = admin.store.event_ids_beginning(&id, ALIKE_MAX).await?;
        alike.extend(admin.store.kept_beginning(&admin.queue, &id, ALIKE_MAX).await?);
        while alike.len() > ALIKE_MAX {
            alike.pop_last();
        }
        if alike.contains(&id) {
            alike.retain(|it| *it == id);
        }
        if let (1, Some(only)) = (alike.len(), alike.first()) {
            only.clone_into(&mut id);
            messages = of_event(admin, &id).await?;
        }
    }
    let kept = admin.store.kept(&admin.queue, &id).await?.map(kept_json);
    let head = of_group.first().map(event_id_of);
    let of_group: Vec<Value> = (0..)
        .zip(of_group)
        .map(|(ahead, message)| {
            let behind = all.saturating_sub(ahead + 1);
            message_json(admin, message, ahead, behind, head.as_deref())
        })
        .collect();
    let group = (all > 0).then(|| json!({ "messages": all, "first": of_group }));
    Ok(json!({
        "id": id, "messages": messages, "group": group, "alike": alike, "kept": kept,
        "now": admin.store.clock().wall(),
    }))
}

/// The messages of an event, wherever they are.
async fn of_event(admin: &Admin, id: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for place in admin.store.find_event(id).await? {
        let message = admin.store.peek_at(&place.queue, place.sequence_number).await?;
        // It may just have left.
        let Some(message) = message else { continue };
        let (first, all) = admin.store.peek_group(&place.queue, &place.group, 1).await?;
        let behind = all.saturating_sub(place.ahead + 1);
        let head = first.first().map(event_id_of);
        found.push(message_json(admin, message, place.ahead, behind, head.as_deref()));
    }
    Ok(found)
}

/// `head` is the event that its group waits for.
fn message_json(
    admin: &Admin,
    message: Peeked,
    ahead: u64,
    behind: u64,
    head: Option<&str>,
) -> Value {
    let is_dead = message.queue == admin.dead_letter_queue;
    let state = match &message {
        _ if is_dead => "dead",
        it if it.is_held => "in_flight",
        it if ahead == 0 && it.receive_count > 0 => "retrying",
        _ => "waiting",
    };
    json!({
        "queue": message.queue,
        "state": state,
        "visible_at": message.visible_at,
        "first_received_at": message.first_received_at,
        "ahead": ahead,
        "behind": behind,
        "head_event_id": head,
        "letter": Letter::of(message),
    })
}

/// An event that was delivered and is kept.
pub(crate) fn kept_json(kept: Kept) -> Value {
    let delivered_at = kept.delivered_at;
    json!({ "delivered_at": delivered_at, "letter": Letter::of(lain(kept)) })
}

/// What is kept, as the message that it was.
pub(crate) fn lain(kept: Kept) -> Peeked {
    Peeked {
        queue: String::new(),
        group: kept.group,
        message_id: kept.message_id,
        deduplication_id: kept.deduplication_id,
        sequence_number: kept.sequence_number,
        sent_at: kept.sent_at,
        first_received_at: None,
        receive_count: kept.receive_count,
        visible_at: None,
        is_held: false,
        attributes: kept.attributes,
        trace_header: kept.trace_header,
        body: kept.body,
    }
}

/// A dead letter, in a line of its own.
#[derive(Serialize)]
struct Line {
    visible_at: Option<Timestamp>,
    letter: Letter,
}

/// A message in the form that `dlq export` writes.
#[derive(Serialize)]
struct Letter {
    event_id: String,
    message_id: String,
    group_id: String,
    sequence_number: String,
    deduplication_id: String,
    receive_count: u32,
    sent_at_ms: u64,
    attributes: Attributes,
    trace_header: Option<String>,
    body: String,
}

/// The message as the domain has it.
#[must_use]
pub fn parsed(peeked: Peeked) -> Message {
    parsed_of(peeked, Origin::Sender)
}

/// The same, of what was sent so.
pub(crate) fn parsed_of(peeked: Peeked, origin: Origin) -> Message {
    let attribute = |(name, it): (&String, &MessageAttribute)| (name.clone(), Attribute::from(it));
    let received = Received {
        message_id: peeked.message_id,
        receipt_handle: String::new(),
        body: peeked.body,
        group_id: peeked.group,
        sequence_number: peeked.sequence_number.to_string(),
        receive_count: peeked.receive_count,
        sent_at: peeked.sent_at,
        attributes: peeked.attributes.iter().map(attribute).collect(),
        trace_header: peeked.trace_header,
    };
    Message::parse(received, origin)
        .expect("the store takes only what the domain takes for a message")
}

pub(crate) fn event_id_of(peeked: &Peeked) -> String {
    parsed(peeked.clone()).event_id().to_owned()
}

impl Letter {
    /// The token of a provider who does not sign stays away.
    fn of(peeked: Peeked) -> Self {
        let deduplication_id = peeked.deduplication_id.clone();
        let message = parsed(peeked);
        let event_id = message.event_id().to_owned();
        let attributes = without_token(&message);
        let Received { message_id, group_id, sequence_number, receive_count, sent_at, .. } =
            &*message;
        Self {
            event_id,
            message_id: message_id.clone(),
            group_id: group_id.clone(),
            sequence_number: sequence_number.clone(),
            deduplication_id,
            receive_count: *receive_count,
            sent_at_ms: sent_at.as_ms(),
            attributes,
            trace_header: message.trace_header.clone(),
            body: message.into_received().body,
        }
    }
}
