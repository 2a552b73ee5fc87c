//! Reading a request's body without ever holding more of it than a message may have.

use axum::body::Bytes;
use domain::quota;
use hyper::body::{Body, Frame, Incoming};

use super::response::Refusal;

/// The body, if it is text of at most `message_bytes_max` bytes.
///
/// A larger one is read to its end all the same, up to API Gateway's limit, as the answer depends on
/// which limit it breaks, and a client that is still sending does not read an answer.
pub(super) async fn read(body: Incoming, message_bytes_max: usize) -> Result<String, Refusal> {
    if body.size_hint().lower() > quota::REQUEST_BODY_BYTES_MAX as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let mut body = std::pin::pin!(body);
    let mut kept = Vec::new();
    let mut bytes = 0;
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let data = frame.map(Frame::into_data).map_err(|_broken| Refusal::Aborted)?;
        let data: Bytes = data.unwrap_or_default(); // Trailers say nothing of interest.
        bytes += data.len();
        if bytes > quota::REQUEST_BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        if bytes <= message_bytes_max {
            kept.extend_from_slice(&data);
        }
    }
    if bytes > message_bytes_max {
        return Err(Refusal::Sqs(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than \
             {message_bytes_max} bytes, and is {bytes}."
        )));
    }
    String::from_utf8(kept).map_err(|_not_text| Refusal::NotText)
}
