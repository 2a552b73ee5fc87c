//! Pauses: which there are, beginning one, renewing it, ending it, and that each ends at its time. All
//! times are this machine's, so that who asks compares no clock of theirs with it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::config::LogLevel;
use domain::json::JsonError;
use domain::pause::{self, Pause, Pauses};
use domain::quota::RETENTION_SECONDS_MAX;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::event_source_mapping::MappingHandle;
use crate::http::{answer, failed};
use crate::log::Log;

/// Until the next attempt, when that a pause has ended cannot be kept.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the API works with.
pub(crate) struct PausesApi {
    /// `None` in an engine without a function.
    pub(crate) mapping: Option<MappingHandle>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A pause to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    by: Option<String>,
    reason: Option<String>,
    /// After how many seconds it ends by itself.
    seconds: Option<u64>,
}

/// A pause to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    /// After how many seconds from now it ends by itself.
    seconds: u64,
}

/// The routes below `/_engine/pauses`.
pub(crate) fn router(api: PausesApi) -> Router {
    Router::new()
        .route("/_engine/pauses", get(list).delete(end_all))
        .route("/_engine/pauses/{name}", axum::routing::put(begin).post(renew).delete(end))
        .with_state(Arc::new(api))
}

/// Ends each pause at its time.
pub(crate) async fn end_in_time(mapping: MappingHandle, clock: Arc<dyn Clock>, log: Log) {
    let mut ends = mapping.ends();
    loop {
        let next = *ends.borrow_and_update();
        let due = async {
            match next {
                Some(at) => clock.wait_until_wall(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = ends.changed() => if changed.is_err() { return },
            () = due => {
                let now = clock.wall();
                if let Err(error) = mapping.change_pauses(|pauses| pauses.end_over(now)).await {
                    let fields = json!({ "error": error.to_string() });
                    log.line(LogLevel::Error, "a pause is over, and could not be ended", fields);
                    clock.wait_until(clock.uptime().plus(RETRY_AFTER)).await;
                }
            }
        }
    }
}

async fn list(State(api): State<Arc<PausesApi>>) -> Response {
    api.shown(json!({})).await
}

async fn begin(
    State(api): State<Arc<PausesApi>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let begin: Begin = match serde_json::from_slice(&body) {
        Ok(begin) => begin,
        Err(error) => return refused(&format!("the pause is none: {}", JsonError::from(error))),
    };
    if !pause::is_name(&name) {
        let most = pause::NAME_CHARS_MAX;
        return refused(&format!("a pause's name is a line of {most} characters at most"));
    }
    let now = api.clock.wall();
    let until = match begin.seconds.map(time).transpose() {
        Ok(time) => time.map(|time| now.plus(time)),
        Err(reason) => return refused(&reason),
    };
    let Begin { by, reason, .. } = begin;
    let pause = Pause { name, by, reason, since: Some(now), until };
    api.change(|pauses| pauses.begin(pause), |()| json!({})).await
}

async fn renew(
    State(api): State<Arc<PausesApi>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let renew: Renew = match serde_json::from_slice(&body) {
        Ok(renew) => renew,
        Err(error) => return refused(&format!("the renewal is none: {}", JsonError::from(error))),
    };
    let until = match time(renew.seconds) {
        Ok(time) => api.clock.wall().plus(time),
        Err(reason) => return refused(&reason),
    };
    let renewed = |renewed| json!({ "renewed": renewed });
    api.change(|pauses| pauses.renew(&name, until), renewed).await
}

async fn end(State(api): State<Arc<PausesApi>>, Path(name): Path<String>) -> Response {
    api.change(|pauses| Vec::from_iter(pauses.end(&name)), |it| json!({ "ended": it })).await
}

async fn end_all(State(api): State<Arc<PausesApi>>) -> Response {
    api.change(|pauses| std::mem::take(pauses).all().to_vec(), |it| json!({ "ended": it })).await
}

impl PausesApi {
    /// Changes the pauses and answers with what came of it, and with those that there are then.
    async fn change<T>(
        &self,
        change: impl FnOnce(&mut Pauses) -> T,
        said: impl FnOnce(T) -> Value,
    ) -> Response {
        let Some(mapping) = &self.mapping else {
            let message = "this engine runs no function, so there is nothing to pause";
            return answer(StatusCode::CONFLICT, &json!({ "message": message }));
        };
        match mapping.change_pauses(change).await {
            Ok(changed) => self.shown(said(changed)).await,
            Err(error) => failed(&format!("the change cannot be kept: {error}")),
        }
    }

    async fn shown(&self, mut document: Value) -> Response {
        let pauses = match &self.mapping {
            Some(mapping) => mapping.pauses().await,
            None => Pauses::default(),
        };
        document["pauses"] = json!(pauses.all());
        document["now"] = json!(self.clock.wall());
        answer(StatusCode::OK, &document)
    }
}

fn time(seconds: u64) -> Result<Duration, String> {
    if (1..=RETENTION_SECONDS_MAX.into()).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(format!("seconds are a number from 1 to {RETENTION_SECONDS_MAX}"))
}

fn refused(message: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}
