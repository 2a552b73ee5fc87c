//! Answers in JSON, of one form for all APIs of the engine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::response::Builder;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

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

/// Lines of JSON, as they are made.
pub(crate) fn streamed(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Response {
    Response::builder()
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(Body::new(Pieces(pieces)))
        .expect("a fixed header")
}

/// A body that is sent as it is made.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
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
