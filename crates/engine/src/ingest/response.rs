//! Answers: SQS's XML, which API Gateway passes on as it is, and API Gateway's own JSON.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{StatusCode, response};
use axum::response::Response;
use domain::mapping::Unresolvable;
use domain::refusal::Rule;
use serde_json::json;

use super::Accepted;
use crate::storage_health::StorageState;

/// Seconds after which a client may try again when storage failed.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Why a request is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No route has this path, or not for this method.
    NotFound,
    /// Request line and headers are larger than API Gateway takes.
    HeadersTooLarge,
    /// The body is larger than API Gateway takes.
    BodyTooLarge,
    /// The body is not UTF-8.
    NotText,
    /// The body took too long.
    Timeout,
    /// The connection broke before the body's end.
    Aborted,
    /// A parameter has no value.
    Unresolvable(Unresolvable),
    /// SQS would refuse the message, for this reason, which names no value.
    Sqs(String),
    /// Nothing is wrong with the request: the disk is full, or broken.
    StorageFailed,
    /// Nothing is wrong with the request: the emulator does not answer as it should.
    Emulator(String),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotText | Self::Aborted | Self::Unresolvable(_) | Self::Sqs(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::StorageFailed | Self::Emulator(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// By which rule, for the log.
    pub(super) fn rule(&self) -> Rule {
        match self {
            Self::NotFound => Rule::NotFound,
            Self::HeadersTooLarge => Rule::HeadersTooLarge,
            Self::BodyTooLarge => Rule::BodyTooLarge,
            Self::NotText => Rule::NotText,
            Self::Timeout | Self::Aborted => Rule::Incomplete,
            Self::Unresolvable(_) => Rule::Unresolvable,
            Self::Sqs(_) => Rule::Message,
            Self::StorageFailed | Self::Emulator(_) => Rule::Queue,
        }
    }

    /// What the log says: which name is wrong, and never a value of a request.
    pub(super) fn logged_reason(&self) -> Cow<'_, str> {
        let Self::Unresolvable(error) = self else { return self.reason() };
        Cow::Owned(match error.missing() {
            Some(missing) => format!("{missing} has no value, and {} needs it", error.property()),
            None => format!("{} does not come out as JSON", error.property()),
        })
    }

    /// What the client is told.
    pub(super) fn reason(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            // In API Gateway's words, but for what it says of a template: the whole of ours is nobody's
            // business who may only send.
            Self::Unresolvable(error) => {
                let source = error.missing().unwrap_or("the attributes");
                let property = error.property();
                let told = format!("Unable to resolve property {property} from source {source}");
                return Cow::Owned(told);
            }
            Self::NotFound => "Not Found",
            Self::HeadersTooLarge => "Request Header Fields Too Large",
            Self::BodyTooLarge => "Request Entity Too Large",
            Self::Timeout => "Request Timeout",
            Self::NotText => "The body is not UTF-8 text",
            Self::Aborted => "The body ended early",
            Self::Sqs(reason) | Self::Emulator(reason) => reason,
            Self::StorageFailed => "Service Unavailable",
        })
    }
}

/// The answer to a message that is in the queue.
pub(super) fn accepted(request_id: &str, accepted: &Accepted) -> Response {
    // Nothing here needs escaping: ids and digests are letters, digits and "-".
    let of_attributes = accepted.md5_of_attributes.as_ref().map_or_else(String::new, |md5| {
        format!("<MD5OfMessageAttributes>{md5}</MD5OfMessageAttributes>")
    });
    let body = format!(
        "<?xml version=\"1.0\"?><SendMessageResponse \
         xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><SendMessageResult>\
         <MessageId>{}</MessageId><MD5OfMessageBody>{}</MD5OfMessageBody>{of_attributes}\
         <SequenceNumber>{}</SequenceNumber></SendMessageResult><ResponseMetadata>\
         <RequestId>{request_id}</RequestId></ResponseMetadata></SendMessageResponse>",
        accepted.message_id, accepted.md5_of_body, accepted.sequence_number
    );
    finish(head(StatusCode::OK, request_id).header(CONTENT_TYPE, "text/xml"), body)
}

/// The answer to who asks whether events can be accepted.
pub(super) fn health(storage: StorageState) -> Response {
    let status = match storage {
        StorageState::Ok => StatusCode::OK,
        StorageState::Full | StorageState::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    let head = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    finish(head, json!({ "storage": storage }).to_string())
}

/// The answer to a request that is not accepted.
pub(super) fn refused(request_id: &str, refusal: &Refusal) -> Response {
    let mut head = head(refusal.status(), request_id).header(CONTENT_TYPE, "application/json");
    match refusal {
        Refusal::StorageFailed | Refusal::Emulator(_) => {
            head = head.header(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        // What is left of the body on the connection is not a request.
        Refusal::BodyTooLarge | Refusal::Timeout | Refusal::Aborted => {
            head = head.header(CONNECTION, "close");
        }
        _ => {}
    }
    finish(head, json!({ "message": refusal.reason() }).to_string())
}

fn head(status: StatusCode, request_id: &str) -> response::Builder {
    Response::builder().status(status).header("apigw-requestid", request_id)
}

fn finish(head: response::Builder, body: String) -> Response {
    head.body(Body::from(body)).expect("header values are digits and fixed texts")
}
