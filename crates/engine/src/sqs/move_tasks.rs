//! Operations on message move tasks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::error::ApiError;
use crate::store::{MoveTask, StoreError, arn};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct StartRequest {
    source_arn: String,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartAnswer {
    task_handle: String,
}

pub(super) async fn start(cx: Context, request: StartRequest) -> Result<StartAnswer, ApiError> {
    let source = queue_name(&request.source_arn, "SourceArn")?;
    let destination = match &request.destination_arn {
        Some(arn) => Some(queue_name(arn, "DestinationArn")?),
        None => None,
    };
    let per_second = request.max_number_of_messages_per_second;
    let task_id = cx.store.start_move_task(source, destination, per_second).await?;
    Ok(StartAnswer { task_handle: task_handle(&task_id, &request.source_arn) })
}

fn queue_name<'a>(arn: &'a str, parameter: &'static str) -> Result<&'a str, StoreError> {
    if arn.is_empty() {
        return Err(StoreError::MissingParameter(parameter));
    }
    arn::queue_name(arn).ok_or_else(|| {
        StoreError::InvalidParameterValue(format!("{arn} is not a valid value for {parameter}"))
    })
}

/// SQS's handles are readable too; clients treat them as opaque.
fn task_handle(task_id: &str, source_arn: &str) -> String {
    STANDARD.encode(json!({ "taskId": task_id, "sourceArn": source_arn }).to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskHandle {
    task_id: String,
    source_arn: String,
}

fn read_handle(handle: &str) -> Result<TaskHandle, StoreError> {
    let bytes = STANDARD.decode(handle).ok();
    let parsed = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    parsed.ok_or_else(|| {
        StoreError::InvalidParameterValue("Value for parameter TaskHandle is invalid.".to_owned())
    })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ListRequest {
    source_arn: String,
    max_results: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAnswer {
    results: Vec<WireTask>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireTask {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: String,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<u32>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    started_timestamp: u64,
}

pub(super) async fn list(cx: Context, request: ListRequest) -> Result<ListAnswer, ApiError> {
    let source = queue_name(&request.source_arn, "SourceArn")?;
    let tasks = cx.store.move_tasks(source, request.max_results.unwrap_or(1)).await?;
    let write = |task| write_task(task, &request.source_arn);
    Ok(ListAnswer { results: tasks.into_iter().map(write).collect() })
}

fn write_task(task: MoveTask, source_arn: &str) -> WireTask {
    // SQS names the handle only while there is something to cancel.
    let handle = task.status.is_active().then(|| task_handle(&task.id, source_arn));
    WireTask {
        task_handle: handle,
        status: task.status.to_string(),
        source_arn: source_arn.to_owned(),
        destination_arn: task.destination.as_deref().map(arn::of_queue),
        max_number_of_messages_per_second: task.per_second,
        approximate_number_of_messages_moved: task.moved,
        approximate_number_of_messages_to_move: task.to_move,
        failure_reason: task.failure,
        started_timestamp: task.started_at.as_ms(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct CancelRequest {
    task_handle: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CancelAnswer {
    approximate_number_of_messages_moved: u64,
}

pub(super) async fn cancel(cx: Context, request: CancelRequest) -> Result<CancelAnswer, ApiError> {
    let handle = read_handle(&request.task_handle)?;
    // Says that the source is not there, if it is not.
    cx.store.move_tasks(queue_name(&handle.source_arn, "SourceArn")?, 1).await?;
    let moved = cx.store.cancel_move_task(&handle.task_id).await?;
    Ok(CancelAnswer { approximate_number_of_messages_moved: moved })
}
