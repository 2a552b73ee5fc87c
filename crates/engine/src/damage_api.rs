//! Messages that cannot be delivered as they were accepted: what they are, what is left of each, and
//! that one is dropped.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::error_text::in_full;
use crate::http::{answer, failed};
use crate::store::{SequenceNumber, Store};

/// The routes of this module.
pub(crate) fn router(store: Store) -> Router {
    Router::new()
        .route("/_engine/damaged", get(list))
        .route("/_engine/damaged/{sequence}", get(show).delete(drop_it))
        .with_state(store)
}

async fn list(State(store): State<Store>) -> Response {
    match store.damaged().await {
        Ok(damaged) => {
            let damaged: Vec<_> = damaged
                .iter()
                .map(|it| {
                    json!({
                        "queue": it.queue, "sequence": it.sequence_number.to_string(),
                        "group": it.group, "reason": it.reason, "behind": it.behind,
                        "event_id": it.event_id, "accepted_at": it.accepted_at.to_string(),
                        "found_at": it.found_at.to_string(),
                    })
                })
                .collect();
            answer(StatusCode::OK, &json!({ "damaged": damaged }))
        }
        Err(error) => failed(&in_full(&error)),
    }
}

async fn show(State(store): State<Store>, Path(sequence): Path<String>) -> Response {
    let Some(number) = SequenceNumber::parse(&sequence) else { return none(&sequence) };
    match store.damaged_message(number).await {
        Ok(Some(raw)) => {
            let body = json!({
                "sequence": sequence,
                "body_base64": STANDARD.encode(raw.body),
                "attributes_base64": STANDARD.encode(raw.attributes),
            });
            answer(StatusCode::OK, &body)
        }
        Ok(None) => none(&sequence),
        Err(error) => failed(&in_full(&error)),
    }
}

async fn drop_it(State(store): State<Store>, Path(sequence): Path<String>) -> Response {
    let Some(number) = SequenceNumber::parse(&sequence) else { return none(&sequence) };
    match store.delete_damaged(number).await {
        Ok(true) => answer(StatusCode::OK, &json!({ "sequence": sequence, "dropped": true })),
        Ok(false) => none(&sequence),
        Err(error) => failed(&in_full(&error)),
    }
}

fn none(sequence: &str) -> Response {
    let message = format!("no damaged message has the sequence number {sequence}");
    answer(StatusCode::NOT_FOUND, &json!({ "message": message }))
}
