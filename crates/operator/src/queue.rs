//! A queue's messages, held while an operator looks at them.
//!
//! SQS has no way to look without receiving: whoever looks hides the messages from others for a
//! while and raises their receive counts by one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message as SdkMessage, MessageAttributeValue,
    MessageSystemAttributeName,
};
use aws_smithy_types::Blob;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::attribute::{Attribute, Attributes};
use domain::dead_letter::Copy;
use domain::message::Message;
use domain::time::Timestamp;

/// How long messages are hidden while they are looked at, in seconds; renewed while it goes on.
pub(crate) const HOLD_SECONDS: i32 = 120;

/// Messages per call. Source: SQS API reference, `ReceiveMessage`.
const BATCH: usize = 10;

/// How long a receive waits for more, in seconds: long enough that SQS asks all its servers.
const WAIT_SECONDS: i32 = 1;

/// A queue and the messages that were received from it.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    client: &'a Client,
    queue_url: &'a str,
    messages: BTreeMap<String, (Message, Instant)>,
}

impl<'a> Held<'a> {
    /// Receives all that the queue shows.
    pub(crate) async fn receive(client: &'a Client, queue_url: &'a str) -> anyhow::Result<Self> {
        let mut held = Self { client, queue_url, messages: BTreeMap::new() };
        loop {
            let received = client
                .receive_message()
                .queue_url(queue_url)
                .max_number_of_messages(10)
                .visibility_timeout(HOLD_SECONDS)
                .wait_time_seconds(WAIT_SECONDS)
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .message_attribute_names("All")
                .send()
                .await
                .map_err(|error| failed("receiving from", queue_url, error))?;
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                return Ok(held);
            }
            for message in messages {
                let message = parse(message)?;
                held.messages.insert(message.message_id.clone(), (message, Instant::now()));
            }
        }
    }

    /// The messages, by SQS's id.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values().map(|(message, _)| message)
    }

    /// Makes sure that a message stays hidden while it is worked on: a delete after the visibility
    /// timeout fails on a FIFO queue.
    pub(crate) async fn keep(&mut self, message_id: &str) -> anyhow::Result<()> {
        let (message, since) =
            self.messages.get_mut(message_id).context("the message is not held")?;
        if since.elapsed() < Duration::from_secs(u64::from(HOLD_SECONDS.unsigned_abs()) / 2) {
            return Ok(());
        }
        self.client
            .change_message_visibility()
            .queue_url(self.queue_url)
            .receipt_handle(&message.receipt_handle)
            .visibility_timeout(HOLD_SECONDS)
            .send()
            .await
            .map_err(|error| failed("holding a message of", self.queue_url, error))?;
        *since = Instant::now();
        Ok(())
    }

    /// Deletes a message that is held.
    pub(crate) async fn delete(&mut self, message_id: &str) -> anyhow::Result<()> {
        let (message, _) = self.messages.get(message_id).context("the message is not held")?;
        self.client
            .delete_message()
            .queue_url(self.queue_url)
            .receipt_handle(&message.receipt_handle)
            .send()
            .await
            .map_err(|error| failed("deleting a message of", self.queue_url, error))?;
        self.messages.remove(message_id);
        Ok(())
    }

    /// Shows all that is still held to others again. What fails shows itself when the time is over.
    pub(crate) async fn release(self) -> anyhow::Result<()> {
        let handles: Vec<&str> =
            self.messages().map(|message| message.receipt_handle.as_str()).collect();
        for batch in handles.chunks(BATCH) {
            let entries: Result<Vec<_>, _> = batch
                .iter()
                .enumerate()
                .map(|(position, handle)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(position.to_string())
                        .receipt_handle(*handle)
                        .visibility_timeout(0)
                        .build()
                })
                .collect();
            self.client
                .change_message_visibility_batch()
                .queue_url(self.queue_url)
                .set_entries(Some(entries?))
                .send()
                .await
                .map_err(|error| failed("releasing messages of", self.queue_url, error))?;
        }
        Ok(())
    }
}

/// Sends `copy` to a queue.
pub(crate) async fn send(client: &Client, queue_url: &str, copy: Copy) -> anyhow::Result<()> {
    let mut request = client
        .send_message()
        .queue_url(queue_url)
        .message_body(copy.body)
        .message_group_id(copy.group_id)
        .message_deduplication_id(copy.deduplication_id);
    for (name, attribute) in copy.attributes {
        request = request.message_attributes(name, sdk_attribute(attribute)?);
    }
    request.send().await.map_err(|error| failed("sending to", queue_url, error))?;
    Ok(())
}

fn failed(
    what: &str,
    queue_url: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> anyhow::Error {
    anyhow::anyhow!("{what} {queue_url}: {}", DisplayErrorContext(error))
}

/// An SDK message as the domain knows it.
fn parse(message: SdkMessage) -> anyhow::Result<Message> {
    let (Some(message_id), Some(receipt_handle), Some(body)) =
        (message.message_id, message.receipt_handle, message.body)
    else {
        bail!("the queue handed out a message without id, receipt handle or body");
    };
    let mut system = message.attributes.unwrap_or_default();
    let mut number = |name: MessageSystemAttributeName| {
        system.remove(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
    };
    let receive_count = number(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = Timestamp::from_ms(number(MessageSystemAttributeName::SentTimestamp));
    let attributes: Attributes = message
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name, attribute(value)))
        .collect();
    Ok(Message {
        message_id,
        receipt_handle,
        body,
        group_id: system.remove(&MessageSystemAttributeName::MessageGroupId).unwrap_or_default(),
        sequence_number: system
            .remove(&MessageSystemAttributeName::SequenceNumber)
            .unwrap_or_default(),
        receive_count: u32::try_from(receive_count).unwrap_or(u32::MAX),
        sent_at,
        attributes,
        trace_header: system.remove(&MessageSystemAttributeName::AwsTraceHeader),
    })
}

fn attribute(value: MessageAttributeValue) -> Attribute {
    let text = match (value.string_value, value.binary_value) {
        (Some(text), _) => text,
        (None, Some(bytes)) => BASE64_STANDARD.encode(bytes),
        (None, None) => String::new(),
    };
    Attribute { data_type: value.data_type, value: text }
}

fn sdk_attribute(attribute: Attribute) -> anyhow::Result<MessageAttributeValue> {
    let builder = MessageAttributeValue::builder().data_type(&attribute.data_type);
    let builder = if attribute.is_binary() {
        builder.binary_value(Blob::new(BASE64_STANDARD.decode(&attribute.value)?))
    } else {
        builder.string_value(attribute.value)
    };
    Ok(builder.build()?)
}
