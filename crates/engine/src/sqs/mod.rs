//! The SQS protocol (AWS JSON 1.0) in front of the [`store`](crate::store), for the AWS SDKs, boto3
//! and the AWS CLI.
//!
//! Signatures are not checked: whoever reaches the listener may do everything, which is why it is
//! bound to the loopback interface unless told otherwise. Not here: standard queues, permissions,
//! and the older query protocol.

mod error;
pub(crate) mod md5;
mod messages;
mod move_tasks;
mod queues;
mod wire;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
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
    let limit = DefaultBodyLimit::max(REQUEST_BYTES_MAX);
    Router::new().fallback_service(post(serve).layer(limit).with_state(store))
}

/// What an operation works with.
#[derive(Clone)]
struct Context {
    store: Store,
    host: String,
}

impl Context {
    fn queue_url(&self, name: &str) -> String {
        format!("http://{}/{}/{name}", self.host, arn::ACCOUNT_ID)
    }
}

async fn serve(State(store): State<Store>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").unwrap_or("localhost").to_owned();
    let target = text("x-amz-target").unwrap_or_default();
    let result = match target.strip_prefix("AmazonSQS.") {
        Some(operation) => dispatch(Context { store, host }, operation, &body).await,
        None => Err(ApiError::unknown_operation(target)),
    };
    let response = match result {
        Ok(body) => body.into_response(),
        Err(error) => {
            let query_error = [(QUERY_ERROR, error.query_error())];
            (error.status, query_error, error.body()).into_response()
        }
    };
    let common = [
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
    let request = serde_json::from_slice(body).map_err(|error| ApiError::unreadable(&error))?;
    let answer = operation(cx, request).await?;
    Ok(serde_json::to_vec(&answer).expect("answers have string keys only"))
}

/// The answer of an operation that has nothing to say.
#[derive(Serialize)]
struct Done {}
