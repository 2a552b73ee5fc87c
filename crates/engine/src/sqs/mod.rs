//! The SQS protocol (AWS JSON 1.0) in front of the [`store`](crate::store), for the AWS SDKs, boto3
//! and the AWS CLI.
//!
//! What it takes, what it does not, and where it differs, is in `docs/sqs.md`, which tests read. Who
//! may call it at all is `access`'s business.

mod error;
pub(crate) mod md5;
mod messages;
mod move_tasks;
mod queues;
mod wire;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use self::error::ApiError;
use crate::store::{Store, arn};

/// Largest request, in bytes: a batch of 1 MiB whose every byte JSON writes as six.
const REQUEST_BYTES_MAX: usize = 8 * 1_024 * 1_024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// Serves a store's queues. Clients post to any path: to the endpoint's root or to a queue's URL.
/// Queue URLs in answers begin with the host that the request was sent to.
pub fn router(store: Store) -> Router {
    router_keeping(store, [])
}

/// The same, but the queues of these names cannot be deleted.
pub(crate) fn router_keeping<const N: usize>(store: Store, kept: [String; N]) -> Router {
    let limit = DefaultBodyLimit::max(REQUEST_BYTES_MAX);
    let served = Served { store, kept: Arc::new(kept) };
    Router::new().fallback_service(post(serve).layer(limit).with_state(served))
}

#[derive(Clone)]
struct Served {
    store: Store,
    kept: Arc<[String]>,
}

/// What an operation works with.
struct Context {
    store: Store,
    kept: Arc<[String]>,
    host: String,
    /// What the request is traced as; so is a message that it sends and that says nothing else.
    trace_header: Option<String>,
}

impl Context {
    fn queue_url(&self, name: &str) -> String {
        format!("http://{}/{}/{name}", self.host, arn::ACCOUNT_ID)
    }
}

async fn serve(
    State(Served { store, kept }): State<Served>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").unwrap_or("localhost").to_owned();
    let target = text("x-amz-target").unwrap_or_default();
    let result = match target.strip_prefix("AmazonSQS.") {
        Some(operation) => {
            let store = store.clone();
            let trace_header = text("x-amzn-trace-id").filter(|it| !it.is_empty());
            let trace_header = trace_header.map(str::to_owned);
            dispatch(Context { store, kept, host, trace_header }, operation, &body).await
        }
        None => Err(ApiError::unknown_operation(target)),
    };
    let response = match result {
        Ok(body) => body.into_response(),
        Err(error) => {
            let query_error = [(QUERY_ERROR, error.query_error())];
            (error.status, query_error, error.body()).into_response()
        }
    };
    // By the clock that dates the messages: who compares times with theirs asks no other.
    let date = UNIX_EPOCH + Duration::from_millis(store.clock().wall().as_ms());
    let common = [
        (header::DATE, httpdate::fmt_http_date(date)),
        (header::CONTENT_TYPE, "application/x-amz-json-1.0".to_owned()),
        (REQUEST_ID, Uuid::new_v4().to_string()),
    ];
    (common, response).into_response()
}

async fn dispatch(cx: Context, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    match operation {
        "SendMessage" => run(cx, body, messages::send).await,
        "SendMessageBatch" => run(cx, body, messages::send_batch).await,
        "ReceiveMessage" => run(cx, body, messages::receive).await,
        "DeleteMessage" => run(cx, body, messages::delete).await,
        "DeleteMessageBatch" => run(cx, body, messages::delete_batch).await,
        "ChangeMessageVisibility" => run(cx, body, messages::change_visibility).await,
        "ChangeMessageVisibilityBatch" => run(cx, body, messages::change_visibility_batch).await,
        "CreateQueue" => run(cx, body, queues::create).await,
        "DeleteQueue" => run(cx, body, queues::delete).await,
        "PurgeQueue" => run(cx, body, queues::purge).await,
        "GetQueueUrl" => run(cx, body, queues::url).await,
        "ListQueues" => run(cx, body, queues::list).await,
        "ListDeadLetterSourceQueues" => run(cx, body, queues::dead_letter_sources).await,
        "GetQueueAttributes" => run(cx, body, queues::attributes).await,
        "SetQueueAttributes" => run(cx, body, queues::set_attributes).await,
        "ListQueueTags" => run(cx, body, queues::tags).await,
        "TagQueue" => run(cx, body, queues::tag).await,
        "UntagQueue" => run(cx, body, queues::untag).await,
        "StartMessageMoveTask" => run(cx, body, move_tasks::start).await,
        "ListMessageMoveTasks" => run(cx, body, move_tasks::list).await,
        "CancelMessageMoveTask" => run(cx, body, move_tasks::cancel).await,
        _ => Err(ApiError::unknown_operation(operation)),
    }
}

async fn run<Q, A, F>(
    cx: Context,
    body: &[u8],
    operation: impl FnOnce(Context, Q) -> F,
) -> Result<Vec<u8>, ApiError>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Future<Output = Result<A, ApiError>>,
{
    let answer = operation(cx, read(body)?).await?;
    Ok(serde_json::to_vec(&answer).expect("answers have string keys only"))
}

/// Reads a request. A member that is `null` is absent, which few clients write, so it is looked for
/// only in what cannot be read otherwise.
fn read<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, ApiError> {
    serde_json::from_slice(body).or_else(|error| {
        let without_nulls = serde_json::from_slice(body).ok().and_then(|mut value| {
            remove_nulls(&mut value);
            serde_json::from_value(value).ok()
        });
        without_nulls.ok_or_else(|| ApiError::unreadable(&error))
    })
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// The answer of an operation that has nothing to say.
#[derive(Serialize)]
struct Done {}
