//! An event that was delivered, sent once more: given to a process of the function of its own, beside the
//! queue. Nothing of it is accepted, queued, kept or counted as delivered, and it is tried once.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use domain::json::JsonError;
use domain::message::Origin;
use domain::repeat::repeated;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admin::Admin;
use crate::error_text::in_full;
use crate::event_source_mapping::MappingHandle;
use crate::http::{answer, failed};
use crate::looking_api::{lain, parsed_of};
use crate::store::{Kept, MessageAttribute, ReceivedMessage, Result, Sender};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    event_id: String,
    /// Also where events of its group wait.
    #[serde(default)]
    anyway: bool,
    /// Whether not to wait for its end.
    #[serde(default)]
    no_wait: bool,
}

/// The route of this module.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new().route("/_engine/repeat", post(repeat)).with_state(admin)
}

async fn repeat(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            let message = format!("expected event_id: {}", JsonError::from(error));
            return answer(StatusCode::BAD_REQUEST, &json!({ "message": message }));
        }
    };
    match begin(&admin, &asked).await {
        Ok(done) => answer(StatusCode::OK, &done),
        Err(error) => failed(&in_full(&error)),
    }
}

async fn begin(admin: &Admin, asked: &Asked) -> Result<Value> {
    let Some(kept) = admin.store.kept(&admin.queue, &asked.event_id).await? else {
        return Ok(json!({ "result": "not_kept" }));
    };
    let Some(mapping) = admin.mapping.clone() else {
        return Ok(json!({ "result": "no_forwarder" }));
    };
    if !mapping.status().enabled {
        return Ok(json!({ "result": "paused" }));
    }
    let (_, waiting) = admin.store.peek_group(&admin.queue, &kept.group, 1).await?;
    if waiting > 0 && !asked.anyway {
        return Ok(json!({ "result": "waiting", "group": kept.group, "waiting": waiting }));
    }
    let at = admin.store.clock().wall();
    let about = json!({ "event_id": kept.event_id, "group": kept.group, "repeated_at": at });
    // Whoever asked and has gone has asked.
    let attempt = tokio::spawn(attempt(mapping, message(kept, at)));
    let mut done = if asked.no_wait {
        json!({ "result": "begun" })
    } else {
        attempt.await.unwrap_or_else(|_panicked| unknown("the engine could not see it through"))
    };
    for (name, value) in about.as_object().into_iter().flatten() {
        done[name] = value.clone();
    }
    Ok(done)
}

/// What is given to the function.
fn message(kept: Kept, at: Timestamp) -> ReceivedMessage {
    let origin = match kept.sender {
        Sender::Ingest => Origin::Ingest,
        Sender::Api => Origin::Sender,
    };
    let sequence_number = kept.sequence_number;
    let message = parsed_of(lain(kept), origin);
    let attributes = repeated(&message, at).into_iter();
    let received = message.into_received();
    ReceivedMessage {
        message_id: Uuid::new_v4().to_string(),
        receipt_handle: "none: it is in no queue".to_owned(),
        deduplication_id: received.message_id,
        body: received.body,
        group_id: received.group_id,
        // What is no base64 was none when it was sent either.
        attributes: attributes
            .filter_map(|(name, it)| Some((name, MessageAttribute::try_from(it).ok()?)))
            .collect(),
        trace_header: received.trace_header,
        sequence_number,
        sender: Sender::Api,
        sent_at: at,
        receive_count: 1,
        first_received_at: at,
        dead_letter_source: None,
    }
}

/// One attempt, and how it ended.
async fn attempt(mapping: MappingHandle, message: ReceivedMessage) -> Value {
    let answer = match mapping.once(message).await {
        Ok(answer) => answer,
        Err(error) => return unknown(&in_full(&error)),
    };
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let Some(ended) = answer.pointer("/repeats/0") else {
        return unknown("the forwarder does not know repeats: it is older than the engine");
    };
    let result = if ended["delivered"] == true { "delivered" } else { "failed" };
    json!({ "result": result, "attempts": ended["attempts"], "error": ended["error"] })
}

/// Nobody knows whether the service has it.
fn unknown(error: &str) -> Value {
    json!({ "result": "unknown", "error": error })
}
