//! Answers in JSON, of one form for all APIs of the engine.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::response::Builder;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

/// Where AWS's JSON protocols say what kind of error an answer is.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// An answer.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    finish(Response::builder().status(status), body)
}

/// An error as AWS's services answer it: `kind` is the name that their clients know.
pub(crate) fn aws_error(status: StatusCode, kind: &'static str, body: &impl Serialize) -> Response {
    finish(Response::builder().status(status).header(ERROR_TYPE, kind), body)
}

/// Trying again may work.
pub(crate) fn failed(message: &str) -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "message": message }))
}

fn finish(head: Builder, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("numbers, texts and field names");
    head.header(CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("a status and fixed headers")
}
