//! Operations on messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::wire::{self, BatchAnswer, DoneEntry, WireAttribute, WireAttributes};
use super::{Context, Done, md5};
use crate::store::{
    MessageAttribute, MessageAttributes, NewMessage, ReceiveRequest, ReceivedMessage, Sent,
    StoreError, limits,
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SendRequest {
    /// Of a batch's entry.
    id: String,
    queue_url: String,
    message_body: String,
    message_group_id: String,
    message_deduplication_id: Option<String>,
    message_attributes: Option<WireAttributes>,
    message_system_attributes: Option<WireAttributes>,
    delay_seconds: Option<i64>,
}

const TRACE_HEADER: &str = "AWSTraceHeader";

impl SendRequest {
    fn message(self) -> Result<NewMessage, StoreError> {
        if let Some(delay) = self.delay_seconds.filter(|delay| *delay != 0) {
            return Err(StoreError::InvalidParameterValue(format!(
                "Value {delay} for parameter DelaySeconds is invalid. Reason: The request include \
                 parameter that is not valid for this queue type."
            )));
        }
        let mut system = wire::read(self.message_system_attributes.unwrap_or_default())?;
        let trace_header = match system.remove(TRACE_HEADER) {
            Some(header) if header.data_type == "String" => header.text().map(str::to_owned),
            Some(_) => {
                return Err(StoreError::InvalidParameterValue(format!(
                    "Message system attribute '{TRACE_HEADER}' must be of type 'String'."
                )));
            }
            None => None,
        };
        if let Some(name) = system.keys().next() {
            return Err(StoreError::InvalidParameterValue(format!(
                "Message system attribute name '{name}' is invalid. Valid values: {TRACE_HEADER}."
            )));
        }
        Ok(NewMessage {
            body: self.message_body,
            group_id: self.message_group_id,
            deduplication_id: self.message_deduplication_id,
            attributes: wire::read(self.message_attributes.unwrap_or_default())?,
            trace_header,
        })
    }
}

/// The digests of what was sent: computed before the message is handed over.
struct Digests {
    body: String,
    attributes: Option<String>,
    system_attributes: Option<String>,
}

impl Digests {
    fn of(message: &NewMessage) -> Self {
        let trace_header = message.trace_header.as_ref();
        let system =
            trace_header.map(|text| (TRACE_HEADER.to_owned(), MessageAttribute::string(text)));
        let system: MessageAttributes = system.into_iter().collect();
        Self {
            body: md5::of_body(&message.body),
            attributes: md5::of_attributes(&message.attributes),
            system_attributes: md5::of_attributes(&system),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_message_body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_system_attributes: Option<String>,
    sequence_number: String,
}

impl SendAnswer {
    fn new(id: Option<String>, sent: Sent, digests: Digests) -> Self {
        Self {
            id,
            message_id: sent.message_id,
            md5_of_message_body: digests.body,
            md5_of_message_attributes: digests.attributes,
            md5_of_message_system_attributes: digests.system_attributes,
            sequence_number: sent.sequence_number.to_string(),
        }
    }
}

pub(super) async fn send(cx: Context, request: SendRequest) -> Result<SendAnswer, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?.to_owned();
    let message = request.message()?;
    let digests = Digests::of(&message);
    let message = traced(&cx, message);
    let sent = cx.store.send(&queue, message).await?;
    Ok(SendAnswer::new(None, sent, digests))
}

/// A batch request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchRequest<E> {
    #[serde(default)]
    queue_url: String,
    #[serde(default = "Vec::new")]
    entries: Vec<E>,
}

/// An entry of a batch: the same fields as the request for one, and an id.
pub(super) trait Entry {
    fn id(&self) -> &String;
}

impl Entry for SendRequest {
    fn id(&self) -> &String {
        &self.id
    }
}

impl Entry for HandleRequest {
    fn id(&self) -> &String {
        &self.id
    }
}

impl<E: Entry> BatchRequest<E> {
    fn check(&self) -> Result<&str, ApiError> {
        wire::check_entries(self.entries.iter().map(Entry::id))?;
        Ok(wire::queue_name(&self.queue_url)?)
    }
}

/// A message that says nothing of a trace belongs to the request's.
fn traced(cx: &Context, mut message: NewMessage) -> NewMessage {
    message.trace_header = message.trace_header.or_else(|| cx.trace_header.clone());
    message
}

/// What every entry needs: where one has no group or no deduplication id, none is sent.
async fn check_ids(cx: &Context, queue: &str, entries: &[SendRequest]) -> Result<(), StoreError> {
    if entries.iter().any(|entry| entry.message_group_id.is_empty()) {
        let message = "The request must contain the parameter MessageGroupId.";
        return Err(StoreError::InvalidParameterValue(message.to_owned()));
    }
    if entries.iter().any(|entry| entry.message_deduplication_id.is_none())
        && !cx.store.settings(queue).await?.content_based_deduplication
    {
        return Err(StoreError::no_deduplication_id());
    }
    Ok(())
}

pub(super) async fn send_batch(
    cx: Context,
    request: BatchRequest<SendRequest>,
) -> Result<BatchAnswer<SendAnswer>, ApiError> {
    let queue = request.check()?.to_owned();
    check_ids(&cx, &queue, &request.entries).await?;
    let mut answer = BatchAnswer::new();
    let (mut accepted, mut messages) = (Vec::new(), Vec::new());
    for entry in request.entries {
        let id = entry.id.clone();
        match entry.message() {
            Ok(message) => {
                accepted.push((id, Digests::of(&message)));
                messages.push(traced(&cx, message));
            }
            Err(error) => answer.add(id, Err(error)),
        }
    }
    let bytes = messages.iter().map(NewMessage::bytes).sum();
    if bytes > limits::BATCH_BYTES_MAX {
        return Err(ApiError::batch_too_long(bytes, limits::BATCH_BYTES_MAX));
    }
    let results = cx.store.send_batch(&queue, messages).await?;
    for ((id, digests), result) in accepted.into_iter().zip(results) {
        let sent = result.map(|sent| SendAnswer::new(Some(id.clone()), sent, digests));
        answer.add(id, sent);
    }
    Ok(answer)
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ReceiveMessageRequest {
    queue_url: String,
    attribute_names: Vec<String>,
    message_system_attribute_names: Vec<String>,
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    receive_request_attempt_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<WireMessage>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireMessage {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, WireAttribute>,
}

pub(super) async fn receive(
    cx: Context,
    request: ReceiveMessageRequest,
) -> Result<ReceiveAnswer, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    let store_request = ReceiveRequest {
        max_messages: number("MaxNumberOfMessages", request.max_number_of_messages)?.unwrap_or(1),
        visibility_timeout_seconds: number("VisibilityTimeout", request.visibility_timeout)?,
        wait_seconds: number("WaitTimeSeconds", request.wait_time_seconds)?,
        attempt_id: request.receive_request_attempt_id.filter(|id| !id.is_empty()),
        receiver: None,
    };
    let messages = cx.store.receive(queue, store_request).await?;
    let system_names = [request.attribute_names, request.message_system_attribute_names].concat();
    let write = |message| write_message(message, &system_names, &request.message_attribute_names);
    Ok(ReceiveAnswer { messages: messages.into_iter().map(write).collect() })
}

fn number<T: TryFrom<i64>>(name: &str, value: Option<i64>) -> Result<Option<T>, StoreError> {
    let convert =
        |value: i64| T::try_from(value).map_err(|_| StoreError::out_of_range(name, value));
    value.map(convert).transpose()
}

fn write_message(
    message: ReceivedMessage,
    system_names: &[String],
    attribute_names: &[String],
) -> WireMessage {
    let attributes = system_attributes(&message, system_names);
    let mut asked = message.attributes;
    asked.retain(|name, _| attribute_names.iter().any(|pattern| is_asked(pattern, name)));
    WireMessage {
        message_id: message.message_id,
        receipt_handle: message.receipt_handle,
        md5_of_body: md5::of_body(&message.body),
        body: message.body,
        attributes,
        md5_of_message_attributes: md5::of_attributes(&asked),
        message_attributes: asked.into_iter().map(|(k, v)| (k, wire::write(v))).collect(),
    }
}

/// `All` or `*`, a name, or a prefix followed by `.*`.
fn is_asked(pattern: &str, name: &str) -> bool {
    matches!(pattern, "All" | "*")
        || pattern == name
        || pattern.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
}

fn system_attributes(
    message: &ReceivedMessage,
    names: &[String],
) -> BTreeMap<&'static str, String> {
    let all = [
        ("SenderId", Some(message.sender.id().to_owned())),
        ("SentTimestamp", Some(message.sent_at.as_ms().to_string())),
        ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(message.first_received_at.as_ms().to_string())),
        ("SequenceNumber", Some(message.sequence_number.to_string())),
        ("MessageGroupId", Some(message.group_id.clone())),
        ("MessageDeduplicationId", Some(message.deduplication_id.clone())),
        (TRACE_HEADER, message.trace_header.clone()),
        ("DeadLetterQueueSourceArn", message.dead_letter_source.clone()),
    ];
    let asked = |name: &str| names.iter().any(|asked| asked == "All" || asked == name);
    all.into_iter()
        .filter(|(name, _)| asked(name))
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct HandleRequest {
    /// Of a batch's entry.
    id: String,
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

impl HandleRequest {
    fn handle(&self) -> Result<&str, StoreError> {
        if self.receipt_handle.is_empty() {
            return Err(StoreError::MissingParameter("ReceiptHandle"));
        }
        Ok(&self.receipt_handle)
    }

    fn timeout_seconds(&self) -> Result<u32, StoreError> {
        number("VisibilityTimeout", self.visibility_timeout)?
            .ok_or(StoreError::MissingParameter("VisibilityTimeout"))
    }
}

pub(super) async fn delete(cx: Context, request: HandleRequest) -> Result<Done, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    cx.store.delete(queue, request.handle()?).await?;
    Ok(Done {})
}

pub(super) async fn delete_batch(
    cx: Context,
    request: BatchRequest<HandleRequest>,
) -> Result<BatchAnswer<DoneEntry>, ApiError> {
    let queue = request.check()?;
    let handles = request.entries.iter().map(|entry| entry.receipt_handle.clone());
    let results = cx.store.delete_batch(queue, handles.collect()).await?;
    Ok(done(request.entries.into_iter().map(|entry| entry.id), results))
}

pub(super) async fn change_visibility(
    cx: Context,
    request: HandleRequest,
) -> Result<Done, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    let timeout_seconds = request.timeout_seconds()?;
    cx.store.change_visibility(queue, request.handle()?, timeout_seconds).await?;
    Ok(Done {})
}

pub(super) async fn change_visibility_batch(
    cx: Context,
    request: BatchRequest<HandleRequest>,
) -> Result<BatchAnswer<DoneEntry>, ApiError> {
    let queue = request.check()?;
    let timeout =
        |entry: &HandleRequest| Ok((entry.receipt_handle.clone(), entry.timeout_seconds()?));
    let timeouts: Result<Vec<_>, StoreError> = request.entries.iter().map(timeout).collect();
    let results = cx.store.change_visibility_batch(queue, timeouts?).await?;
    Ok(done(request.entries.into_iter().map(|entry| entry.id), results))
}

fn done(
    ids: impl Iterator<Item = String>,
    results: Vec<Result<(), StoreError>>,
) -> BatchAnswer<DoneEntry> {
    let mut answer = BatchAnswer::new();
    for (id, result) in ids.zip(results) {
        answer.add(id.clone(), result.map(|()| DoneEntry { id }));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_asked_for_by_name_prefix_or_all() {
        assert!(is_asked("All", "header.x-a"));
        assert!(is_asked(".*", "header.x-a"));
        assert!(is_asked("header.*", "header.x-a"));
        assert!(is_asked("header.x-a", "header.x-a"));
        assert!(!is_asked("header", "header.x-a"));
    }

    #[test]
    fn fuzz_sqs_wire() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let queue = std::str::from_utf8(bytes).map(wire::queue_name);
            assert!(!matches!(queue, Ok(Ok(name)) if name.contains('/')));
            let request = |bytes| serde_json::from_slice::<SendRequest>(bytes);
            let Ok(message) = request(bytes).map(SendRequest::message) else { return };
            let Ok(message) = message else { return };
            let digests = Digests::of(&message);
            assert_eq!(digests.body.len(), 32);
            // What is read is what is written.
            let again = wire::read(
                message
                    .attributes
                    .clone()
                    .into_iter()
                    .map(|(name, it)| (name, wire::write(it)))
                    .collect(),
            );
            assert_eq!(again.unwrap(), message.attributes);
        });
    }
}
