//! Looking for a text: in what waits, in the dead letters, in what was delivered and is kept. Nothing is
//! received by it, and so much is looked at and no more.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use domain::dead_letter::group_of;
use domain::json::JsonError;
use domain::message::{Message, Origin};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::error_text::in_full;
use crate::http::{answer, failed};
use crate::looking_api::{lain, parsed_of};
use crate::store::{PeekFrom, Peeked, Result};

/// Bytes of bodies that one search looks at, at most.
const SEARCHED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Events that one search gives, at most.
const FOUND_MAX: usize = 1_000;

/// Characters before and behind what was found that are shown.
const AROUND: usize = 40;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    text: String,
    limit: usize,
}

/// A search under way.
struct Search {
    /// In lower case.
    text: String,
    limit: usize,
    events: Vec<Value>,
    searched: u64,
    bytes: usize,
    whole: bool,
}

/// The route of this module.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new().route("/_engine/search", post(search)).with_state(admin)
}

async fn search(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let refused = |message: String| answer(StatusCode::BAD_REQUEST, &json!({ "message": message }));
    let Asked { text, limit } = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            return refused(format!("expected text and limit: {}", JsonError::from(error)));
        }
    };
    if text.trim().is_empty() || !(1..=FOUND_MAX).contains(&limit) {
        return refused(format!("expected a text, and a limit of 1 to {FOUND_MAX}"));
    }
    let text = text.to_lowercase();
    let mut search = Search { text, limit, events: Vec::new(), searched: 0, bytes: 0, whole: true };
    match everywhere(&admin, &mut search).await {
        Ok(()) => answer(
            StatusCode::OK,
            &json!({ "events": search.events, "searched": search.searched, "whole": search.whole }),
        ),
        Err(error) => failed(&in_full(&error)),
    }
}

async fn everywhere(admin: &Admin, search: &mut Search) -> Result<()> {
    for queue in [&admin.queue, &admin.dead_letter_queue] {
        let is_dead = *queue == admin.dead_letter_queue;
        let mut from = Some(PeekFrom::default());
        while let Some(after) = from {
            let page = admin.store.peek(queue, after).await?;
            for message in page.messages {
                let state = match &message {
                    _ if is_dead => "dead",
                    it if it.is_held => "in_flight",
                    it if it.receive_count > 0 => "retrying",
                    _ => "waiting",
                };
                if !search.goes_on(message, state) {
                    return Ok(());
                }
            }
            from = page.next;
        }
    }
    let (mut before, mut is_more) = (i64::MAX, true);
    while is_more {
        let (kept, more) = admin.store.kept_before(&admin.queue, before).await?;
        is_more = more;
        for kept in kept {
            before = kept.number;
            if !search.goes_on(lain(kept), "delivered") {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Search {
    /// Looks at a message; tells whether to look at more.
    fn goes_on(&mut self, message: Peeked, state: &str) -> bool {
        if self.events.len() == self.limit || self.bytes >= SEARCHED_BYTES_MAX {
            self.whole = false;
            return false;
        }
        self.bytes += message.body.len();
        self.searched += 1;
        // By that the sender knows it, where the request's id is what tells it from others.
        let deduplication_id = message.deduplication_id.clone();
        let message = parsed_of(message, Origin::Sender);
        if let Some((place, excerpt)) = self.found_in(&message, &deduplication_id) {
            self.events.push(json!({
                "event_id": message.event_id(), "state": state, "route": message.route_name(),
                "group": group_of(&message), "accepted_at": message.said_accepted_at(),
                "place": place, "excerpt": excerpt,
            }));
        }
        true
    }

    /// In which part of it the text is, and what stands around it.
    fn found_in(&self, message: &Message, deduplication_id: &str) -> Option<(String, String)> {
        let group = group_of(message);
        let parts = [
            ("event id", message.event_id()),
            ("message id", message.message_id.as_str()),
            ("deduplication id", deduplication_id),
            ("key", group.as_str()),
        ];
        for (place, text) in parts {
            if self.around(text).is_some() {
                return Some((place.to_owned(), text.to_owned()));
            }
        }
        for (name, value) in message.headers() {
            if self.around(value).is_some() {
                // Its value may say who somebody is.
                return Some((format!("header {name}"), String::new()));
            }
        }
        Some(("body".to_owned(), self.around(&message.body)?))
    }

    /// What stands around the text.
    fn around(&self, text: &str) -> Option<String> {
        let lower = text.to_lowercase();
        let at = lower.find(&self.text)?;
        // By characters, as bytes of the two may differ; where even these do, it is a little beside.
        let place = lower[..at].chars().count();
        let length = self.text.chars().count();
        let from = place.saturating_sub(AROUND);
        Some(text.chars().skip(from).take(place - from + length + AROUND).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_and_lower_case_are_one_and_what_is_around_is_shown() {
        let search = |text: &str| Search {
            text: text.to_lowercase(),
            limit: 1,
            events: Vec::new(),
            searched: 0,
            bytes: 0,
            whole: true,
        };
        assert_eq!(
            search("TANAKA").around("{\"by\":\"Tanaka\"}").as_deref(),
            Some("{\"by\":\"Tanaka\"}")
        );
        assert_eq!(search("注文").around("{\"注文\":7}").as_deref(), Some("{\"注文\":7}"));
        assert_eq!(search("x").around("abc"), None);
        let long = format!("{}NEEDLE{}", "a".repeat(100), "b".repeat(100));
        let around = search("needle").around(&long).unwrap();
        assert_eq!(around, format!("{}NEEDLE{}", "a".repeat(AROUND), "b".repeat(AROUND)));
    }
}
