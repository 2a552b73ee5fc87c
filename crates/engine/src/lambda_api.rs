//! The part of Lambda's API that pauses and resumes: the event source mapping, looked at and
//! switched. Beside the queues on the API listener, so that one code path does it here and on AWS.
//!
//! Source: Lambda API reference, `ListEventSourceMappings`, `GetEventSourceMapping`,
//! `UpdateEventSourceMapping`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::json::JsonError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::event_source_mapping::MappingHandle;
use crate::http::{answer, aws_error};

/// The mapping's id; an engine has one mapping.
pub(crate) const UUID: &str = "00000000-0000-4000-8000-000000000001";

/// The mapping, and what it leads from and to.
pub(crate) struct LambdaApi {
    /// `None` in an engine without a function.
    pub(crate) mapping: Option<MappingHandle>,
    pub(crate) queue_arn: String,
    pub(crate) function_arn: String,
}

/// What can be changed; AWS has more.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Change {
    enabled: bool,
}

/// The routes below `/2015-03-31/`, the API's version.
pub(crate) fn router(api: LambdaApi) -> Router {
    const LIST: &str = "/2015-03-31/event-source-mappings";
    Router::new()
        .route(LIST, get(list))
        .route("/2015-03-31/event-source-mappings/", get(list))
        .route("/2015-03-31/event-source-mappings/{uuid}", get(show).put(update))
        .with_state(Arc::new(api))
}

async fn list(State(api): State<Arc<LambdaApi>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let matches =
        url::form_urlencoded::parse(query.as_bytes()).all(|(name, value)| match name.as_ref() {
            "EventSourceArn" => value == api.queue_arn,
            "FunctionName" => api.function_arn.ends_with(value.as_ref()),
            _ => true,
        });
    let mapping = api.mapping.as_ref().filter(|_| matches);
    let mappings: Vec<Value> = mapping.map(|mapping| api.shown(mapping)).into_iter().collect();
    answer(StatusCode::OK, &json!({ "EventSourceMappings": mappings }))
}

async fn show(State(api): State<Arc<LambdaApi>>, Path(uuid): Path<String>) -> Response {
    match api.mapping(&uuid) {
        Some(mapping) => answer(StatusCode::OK, &api.shown(mapping)),
        None => not_found(),
    }
}

async fn update(
    State(api): State<Arc<LambdaApi>>,
    Path(uuid): Path<String>,
    body: Bytes,
) -> Response {
    let Some(mapping) = api.mapping(&uuid) else { return not_found() };
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => {
            let message = format!(
                "an engine's mapping can be enabled and disabled only: {}",
                JsonError::from(error)
            );
            let body = json!({ "Type": "User", "Message": message });
            return answer(StatusCode::BAD_REQUEST, &body);
        }
    };
    match mapping.set_enabled(change.enabled).await {
        Ok(()) => answer(StatusCode::ACCEPTED, &api.shown(mapping)),
        Err(error) => {
            let message = format!("the change cannot be kept: {error}");
            let body = json!({ "Type": "Service", "Message": message });
            answer(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

impl LambdaApi {
    fn mapping(&self, uuid: &str) -> Option<&MappingHandle> {
        self.mapping.as_ref().filter(|_| uuid == UUID)
    }

    fn shown(&self, mapping: &MappingHandle) -> Value {
        json!({
            "UUID": UUID,
            "EventSourceArn": self.queue_arn,
            "FunctionArn": self.function_arn,
            "State": mapping.status().state,
            "BatchSize": mapping.batch_size(),
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        })
    }
}

fn not_found() -> Response {
    let body = json!({ "Type": "User", "Message": "The resource you requested does not exist." });
    aws_error(StatusCode::NOT_FOUND, "ResourceNotFoundException", &body)
}
