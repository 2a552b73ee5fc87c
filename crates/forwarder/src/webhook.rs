//! What one POST to a destination carries beside the body. No retry, no rule.

use domain::message::Message;
use domain::route::Route;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, InvalidHeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client::{ANYTHING, OURSELVES};
use crate::deliberate;

/// The header that tells the receiver a repeat. Source: Standard Webhooks, "Webhook headers".
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const WEBHOOK_GROUP: HeaderName = HeaderName::from_static("webhook-group");
const WEBHOOK_SEQUENCE: HeaderName = HeaderName::from_static("webhook-sequence");
const WEBHOOK_ACCEPTED_AT: HeaderName = HeaderName::from_static("webhook-accepted-at");
const WEBHOOK_REPEAT: HeaderName = HeaderName::from_static("webhook-repeat");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The headers that `message` goes out with, for all destinations. `trace` is this invocation's.
///
/// # Errors
///
/// When a passed-on value cannot stand in a header, such as one with a line break.
pub(crate) fn headers(
    message: &Message,
    route: &Route,
    attempt: u32,
    trace: Option<&str>,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::with_capacity(16);
    // What every client sends goes first; the client fills in what depends on the destination.
    headers.insert(HOST, HeaderValue::from_static(""));
    headers.insert(USER_AGENT, OURSELVES);
    headers.insert(ACCEPT, ANYTHING);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(message.body.len()));
    for (name, value) in route.passed_headers(message) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("checked with the configuration");
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes())?);
    }
    headers.insert(WEBHOOK_ID, HeaderValue::from_str(message.event_id())?);
    if deliberate::is_there("another-id-on-repeat") && attempt > 1 {
        headers.insert(WEBHOOK_ID, HeaderValue::from(attempt));
    }
    headers.insert(WEBHOOK_ATTEMPT, HeaderValue::from(attempt));
    // Some emulators do not pass these on; an empty header would say that they are empty.
    for (name, value) in
        [(WEBHOOK_GROUP, &message.group_id), (WEBHOOK_SEQUENCE, &message.sequence_number)]
    {
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_str(value)?);
        }
    }
    let accepted_at = message.accepted_at().to_string();
    headers.insert(WEBHOOK_ACCEPTED_AT, HeaderValue::from_str(&accepted_at)?);
    if let Some(at) = message.repeated_at() {
        headers.insert(WEBHOOK_REPEAT, HeaderValue::from_str(&at.to_string())?);
    }
    // A trace that cannot stand in a header is nothing that an event should fail for.
    let trace = message.trace_header.as_deref().or(trace);
    if let Some(Ok(trace)) = trace.map(HeaderValue::from_str) {
        headers.insert(TRACE_ID, trace);
    }
    Ok(headers)
}
