//! What a message may be, how it is written, and waiting for one.

use std::time::{Duration, Instant};

use crate::queue::Check;
use crate::queue::client::{Queue, Queues, bodies, code, received, system};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
    MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    QueueAttributeName, SendMessageBatchRequestEntry,
};

fn entry(id: &str, group: Option<&str>) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(id)
        .set_message_group_id(group.map(str::to_owned))
        .message_deduplication_id(id)
        .build()
        .expect("an entry has an id and a body")
}

async fn send_batch(
    queue: &Queue<'_>,
    entries: Vec<SendMessageBatchRequestEntry>,
) -> Result<(Vec<String>, Vec<(String, String)>), String> {
    let request = queue.client.send_message_batch().queue_url(&queue.url);
    let answer = code(request.set_entries(Some(entries)).send().await)?;
    let successful = answer.successful().iter().map(|entry| entry.id().to_owned()).collect();
    Ok((successful, failed(answer.failed())))
}

fn failed(entries: &[BatchResultErrorEntry]) -> Vec<(String, String)> {
    entries.iter().map(|entry| (entry.id().to_owned(), entry.code().to_owned())).collect()
}

/// Batches, whole and in part.
pub async fn batches(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    let sent = send_batch(&queue, vec![entry("1", Some("a")), entry("2", Some("a"))]).await;
    check.that("sending", sent, Ok((vec!["1".to_owned(), "2".to_owned()], vec![])));
    let sent = send_batch(&queue, vec![entry("3", Some("b")), entry("4", Some("b b"))]).await;
    let refused = vec![("4".to_owned(), "InvalidParameterValue".to_owned())];
    check.that("one is refused", sent, Ok((vec!["3".to_owned()], refused)));

    let sent = send_batch(&queue, vec![entry("5", Some("b")), entry("6", None)]).await;
    let refused = Err("InvalidParameterValue".to_owned());
    check.that("one without a group refuses all", sent, refused);

    let error = |name: &str| Err(format!("AWS.SimpleQueueService.{name}"));
    check.that("no entry", send_batch(&queue, vec![]).await, error("EmptyBatchRequest"));
    let eleven = (0..11).map(|number| entry(&number.to_string(), Some("a"))).collect();
    let too_many = error("TooManyEntriesInBatchRequest");
    check.that("eleven entries", send_batch(&queue, eleven).await, too_many);
    let twice = vec![entry("1", Some("a")), entry("1", Some("a"))];
    check.that("one id twice", send_batch(&queue, twice).await, error("BatchEntryIdsNotDistinct"));

    let batch = queue.receive().await;
    check.that("what was accepted is there", bodies(&batch), vec!["1", "2", "3"]);
    let mut request = queue.client.delete_message_batch().queue_url(&queue.url);
    let handles = batch.iter().filter_map(|message| message.receipt_handle());
    for (number, handle) in handles.chain(["made up"]).enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
        let entry = entry.receipt_handle(handle).build();
        request = request.entries(entry.expect("an entry has an id and a handle"));
    }
    let answer = request.send().await.expect("a batch succeeds as such");
    check.that("deleting", answer.successful().len(), 3);
    let invalid = vec![("3".to_owned(), "ReceiptHandleIsInvalid".to_owned())];
    check.that("a handle that is none", failed(answer.failed()), invalid);
}

/// What is refused.
pub async fn limits(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[(QueueAttributeName::MaximumMessageSize, "1024")]).await;
    let send = async |group: Option<&str>, id: &str, body: &str| {
        let request = queue.client.send_message().queue_url(&queue.url);
        let request = request.set_message_group_id(group.map(str::to_owned));
        let request = request.message_deduplication_id(id).message_body(body);
        code(request.send().await).map(drop)
    };
    let invalid = || Err("InvalidParameterValue".to_owned());
    let missing = || Err("MissingParameter".to_owned());
    check.that("no group", send(None, "1", "b").await, missing());
    check.that("an empty body", send(Some("a"), "2", "").await, missing());
    let control = Err("InvalidMessageContents".to_owned());
    check.that("a control character", send(Some("a"), "3", "\u{1}").await, control);
    check.that("a group with a space", send(Some("a b"), "4", "b").await, invalid());
    check.that("an id that is not ASCII", send(Some("a"), "注文", "b").await, invalid());
    check.that("an id too long", send(Some("a"), &"x".repeat(129), "b").await, invalid());
    check.that("a body at the limit", send(Some("a"), "5", &"x".repeat(1_024)).await, Ok(()));
    check.that("a body over it", send(Some("a"), "6", &"x".repeat(1_025)).await, invalid());
    let japanese = send(Some("a"), "7", "注文が確定しました\t\r\n🦀").await;
    check.that("a body in Japanese", japanese, Ok(()));

    let receive = async |most: i32, wait: i32| {
        let request = queue.receiving().max_number_of_messages(most).wait_time_seconds(wait);
        code(request.send().await).map(drop)
    };
    check.that("receiving none", receive(0, 0).await, invalid());
    check.that("receiving eleven", receive(11, 0).await, invalid());
    check.that("waiting 21 seconds", receive(1, 21).await, invalid());
    let request = queue.message("a", "8").delay_seconds(5).send().await;
    check.that("a delay of one message", code(request).map(drop), invalid());
}

/// The queue's delay, which a message's own of 0 does not change.
pub async fn delay(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[(QueueAttributeName::DelaySeconds, "2")]).await;
    let sent = queue.message("a", "1").delay_seconds(0).send().await;
    check.that("a delay of none", code(sent).map(drop), Ok(()));
    check.that("is the queue's", bodies(&queue.receive().await), vec![]);
    let later = received(queue.receiving().wait_time_seconds(10)).await;
    check.that("it comes after that", bodies(&later), vec!["1"]);
}

fn text(data_type: &str, value: &str) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type(data_type).string_value(value);
    attribute.build().expect("an attribute has a type")
}

/// Message attributes, and their digests.
pub async fn attributes(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    let blob =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 1, 2]));
    let sent = queue
        .message("a", "abc")
        .message_attributes("route", text("String", "sss"))
        .message_attributes("blob", blob.build().expect("an attribute has a type"))
        .send()
        .await
        .expect("the message is accepted");
    let body_digest = Some("900150983cd24fb0d6963f7d28e17f72");
    let digest = Some("fdad275b3408f54b9f264742d90b6ae2");
    check.that("the body's digest", sent.md5_of_message_body(), body_digest);
    check.that("the attributes' digest", sent.md5_of_message_attributes(), digest);
    let all = queue.receive_one().await.expect("it was sent");
    check.that("the received body's digest", all.md5_of_body(), body_digest);
    check.that("the received attributes' digest", all.md5_of_message_attributes(), digest);
    let received_blob = all.message_attributes().and_then(|all| all.get("blob")?.binary_value());
    let received_blob = received_blob.map(|blob| blob.as_ref().to_vec());
    check.that("a binary value", received_blob, Some(vec![0, 1, 2]));

    queue.change_visibility(&all, 0).await.expect("it is in flight");
    let one = queue.client.receive_message().queue_url(&queue.url).message_attribute_names("ro.*");
    let one = received(one).await;
    let names = one.first().and_then(|message| message.message_attributes());
    let names = names.map(|names| names.keys().cloned().collect::<Vec<_>>());
    check.that("asked for by prefix", names, Some(vec!["route".to_owned()]));
    let digest = one.first().and_then(|message| message.md5_of_message_attributes());
    check.that(
        "the digest of what was asked for",
        digest,
        Some("35a70c91f6880612cbb33d9ba954faea"),
    );

    queue.change_visibility(&one[0], 0).await.expect("it is in flight");
    let every = queue.client.receive_message().queue_url(&queue.url).message_attribute_names("*");
    let every = received(every).await;
    let every = every.first().and_then(|message| message.message_attributes());
    let number = every.map(std::collections::HashMap::len);
    check.that("asked for by an asterisk", number, Some(2));

    let refused = async |name: &str, attribute: MessageAttributeValue| {
        let request = queue.message("a", "refused").message_attributes(name, attribute);
        code(request.send().await).map(drop)
    };
    let invalid = || Err("InvalidParameterValue".to_owned());
    let letters = refused("attr.1øßä", text("String", "v")).await;
    check.that("a name of other letters", letters, Ok(()));
    check.that("a reserved name", refused("AWS.x", text("String", "v")).await, invalid());
    check.that("an unknown type", refused("x", text("Text", "v")).await, invalid());
    check.that("an empty value", refused("x", text("String", "")).await, invalid());
    check.that("a control character", refused("x", text("String", "\u{1}")).await, invalid());
    check.that("no number", refused("x", text("Number", "NaN")).await, invalid());
    check.that("a number too large", refused("x", text("Number", "1e400")).await, invalid());
    let mut eleven = queue.message("a", "eleven");
    for number in 0..11 {
        eleven = eleven.message_attributes(format!("n{number}"), text("String", "v"));
    }
    check.that("eleven attributes", code(eleven.send().await).map(drop), invalid());
}

/// What SQS itself says of a message.
pub async fn system_attributes(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    let trace = MessageSystemAttributeValue::builder().data_type("String");
    let trace = trace.string_value("Root=1-5759e988-bd862e3fe1be46a994272793");
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let trace = trace.build().expect("an attribute has a type");
    let sent = queue.message("a", "1").message_system_attributes(name, trace).send().await;
    let sent = sent.expect("the message is accepted");
    let message = queue.receive_one().await.expect("it was sent");
    let of = |name| system(&message, &name);
    let number = of(MessageSystemAttributeName::SequenceNumber);
    check.that("sequence number", number, sent.sequence_number());
    check.that("group", of(MessageSystemAttributeName::MessageGroupId), Some("a"));
    let deduplication = of(MessageSystemAttributeName::MessageDeduplicationId);
    check.that("deduplication id", deduplication, Some("1"));
    let count = of(MessageSystemAttributeName::ApproximateReceiveCount);
    check.that("receive count", count, Some("1"));
    let trace = of(MessageSystemAttributeName::AwsTraceHeader);
    check.that("trace header", trace, Some("Root=1-5759e988-bd862e3fe1be46a994272793"));
    let digits =
        |name| of(name).is_some_and(|text| text.len() == 13 && text.parse::<u64>().is_ok());
    check.that("sent, in ms", digits(MessageSystemAttributeName::SentTimestamp), true);
    let first = MessageSystemAttributeName::ApproximateFirstReceiveTimestamp;
    check.that("first received, in ms", digits(first), true);
    check.that("sender", of(MessageSystemAttributeName::SenderId).is_some(), true);

    queue.change_visibility(&message, 0).await.expect("it is in flight");
    let plain = received(queue.client.receive_message().queue_url(&queue.url)).await;
    let attributes = plain.first().and_then(|message| message.attributes());
    check.that(
        "nothing that was not asked for",
        attributes.map(std::collections::HashMap::len),
        None,
    );
}

/// A receive that waits.
pub async fn waiting(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    let started = Instant::now();
    let nothing = received(queue.receiving().wait_time_seconds(1)).await;
    check.that("it waits for its time", started.elapsed() >= Duration::from_millis(950), true);
    check.that("and finds nothing", bodies(&nothing), vec![]);
    let started = Instant::now();
    let waiting = received(queue.receiving().wait_time_seconds(20));
    let (messages, _) = tokio::join!(waiting, queue.send("a", "1"));
    check.that("a send ends the wait", bodies(&messages), vec!["1"]);
    check.that("early", started.elapsed() < Duration::from_secs(10), true);

    // Two wait, one of them gets the message and keeps it; the other has it a second later.
    let queue = queues.create(&[(QueueAttributeName::VisibilityTimeout, "1")]).await;
    let started = Instant::now();
    let waiting = || received(queue.receiving().wait_time_seconds(20));
    let send = async {
        tokio::time::sleep(Duration::from_millis(200)).await; // Both are to wait by then.
        queue.send("a", "1").await
    };
    let (one, other, _) = tokio::join!(waiting(), waiting(), send);
    check.that("both get what is kept by neither", (bodies(&one), bodies(&other)), {
        (vec!["1"], vec!["1"])
    });
    check.that("as soon as it is visible", started.elapsed() < Duration::from_secs(10), true);
}
