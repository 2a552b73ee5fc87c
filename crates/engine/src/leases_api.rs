//! The lease of a redrive: one at a time works on an environment, and who comes second is told whose it
//! is, since when, and how far that one is.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use domain::json::JsonError;
use domain::lease::Lease;
use serde::Deserialize;
use serde_json::json;

use crate::error_text::in_full;
use crate::http::{answer, failed};
use crate::store::{LeaseProgress, LeaseRequest, Result, Store};

/// The one that there is.
const NAME: &str = "redrive";

/// For how long it can be taken, in seconds: who is killed keeps others out for no longer.
const SECONDS_MAX: u64 = 3_600;

/// What a lease is taken with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acquire {
    by: String,
    reason: Option<String>,
    seconds: u64,
}

/// What a lease is renewed with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    seconds: u64,
    of: Option<u64>,
    done: u64,
}

/// The routes below `/_engine/redrive-lease`; its holder's token is the last part of the path.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/_engine/redrive-lease", get(look))
        .route("/_engine/redrive-lease/{token}", put(acquire).post(renew).delete(release))
        .with_state(store)
}

async fn look(State(store): State<Store>) -> Response {
    let lease = store.lease(NAME).await;
    shown(&store, lease, None)
}

async fn acquire(State(store): State<Store>, Path(token): Path<String>, body: Bytes) -> Response {
    let Acquire { by, reason, seconds } = match parsed(&body) {
        Ok(acquire) => acquire,
        Err(reason) => return refused(&reason),
    };
    let time = match time(seconds) {
        Ok(time) => time,
        Err(reason) => return refused(&reason),
    };
    let request = LeaseRequest { token: token.clone(), by, reason, time };
    let lease = store.acquire_lease(NAME, request).await;
    shown(&store, lease, Some(&token))
}

async fn renew(State(store): State<Store>, Path(token): Path<String>, body: Bytes) -> Response {
    let Renew { seconds, of, done } = match parsed(&body) {
        Ok(renew) => renew,
        Err(reason) => return refused(&reason),
    };
    let time = match time(seconds) {
        Ok(time) => time,
        Err(reason) => return refused(&reason),
    };
    let lease = store.renew_lease(NAME, &token, time, LeaseProgress { of, done }).await;
    shown(&store, lease, Some(&token))
}

async fn release(State(store): State<Store>, Path(token): Path<String>) -> Response {
    let released = store.release_lease(NAME, &token).await;
    let lease = match released {
        Ok(()) => store.lease(NAME).await,
        Err(error) => Err(error),
    };
    shown(&store, lease, Some(&token))
}

/// Whose the lease is, and whether that is who asks.
fn shown(store: &Store, lease: Result<Option<Lease>>, token: Option<&str>) -> Response {
    match lease {
        Ok(lease) => {
            let is_yours = lease.as_ref().is_some_and(|lease| Some(&*lease.token) == token);
            let now = store.clock().wall();
            answer(StatusCode::OK, &json!({ "lease": lease, "is_yours": is_yours, "now": now }))
        }
        Err(error) => failed(&in_full(&error)),
    }
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("the lease is none: {}", JsonError::from(error)))
}

fn time(seconds: u64) -> Result<Duration, String> {
    if (1..=SECONDS_MAX).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(format!("seconds are a number from 1 to {SECONDS_MAX}"))
}

fn refused(message: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}
