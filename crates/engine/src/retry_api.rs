//! The next attempt now: for groups that wait for the next step of their schedule.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use domain::json::JsonError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::error_text::in_full;
use crate::http::{answer, failed};
use crate::store::{Result, Retried};

/// Groups that are asked for at a time.
const GROUPS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    groups: Vec<String>,
}

/// The route of this module.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new().route("/_engine/retry", post(retry)).with_state(admin)
}

async fn retry(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let refused = |message: String| answer(StatusCode::BAD_REQUEST, &json!({ "message": message }));
    let Retry { groups } = match serde_json::from_slice(&body) {
        Ok(retry) => retry,
        Err(error) => return refused(format!("expected groups: {}", JsonError::from(error))),
    };
    if groups.len() > GROUPS_MAX {
        return refused(format!("{} groups are too many: {GROUPS_MAX} at most", groups.len()));
    }
    let mut results = Vec::new();
    for group in &groups {
        match one(&admin, group).await {
            Ok(result) => results.push(result),
            Err(error) => return failed(&in_full(&error)),
        }
    }
    answer(StatusCode::OK, &json!({ "groups": results }))
}

async fn one(admin: &Admin, group: &str) -> Result<Value> {
    Ok(match admin.store.retry_group(&admin.queue, group).await? {
        Retried::Now(messages) => json!({ "group": group, "result": "now", "messages": messages }),
        Retried::NoGroup => json!({ "group": group, "result": "no_group" }),
        Retried::NotWaiting => json!({ "group": group, "result": "not_waiting" }),
        Retried::TooOften { receive_count, max_receive_count } => json!({
            "group": group, "result": "too_often", "receive_count": receive_count,
            "max_receive_count": max_receive_count,
        }),
    })
}
