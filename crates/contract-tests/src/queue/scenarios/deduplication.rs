//! What counts as a repeat.

use crate::queue::Check;
use crate::queue::client::{Queues, bodies, code, system};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};

/// By the sender's id.
pub async fn by_id(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    let first = queue.send("a", "1").await;
    let again = queue.message("a", "other body").message_deduplication_id("1").send().await;
    let again = again.expect("a repeat succeeds");
    check.that("the first's message id", again.message_id(), first.message_id());
    check.that("the first's sequence number", again.sequence_number(), first.sequence_number());
    let messages = queue.receive().await;
    check.that("it is queued once", bodies(&messages), vec!["1"]);
    for message in &messages {
        check.that("it can be deleted", queue.delete(message).await, Ok(()));
    }
    queue.send("a", "1").await;
    check.that("the id counts after the delete", bodies(&queue.receive().await), vec![]);
}

/// By the body's digest.
pub async fn by_content(queues: &Queues, check: &mut Check<'_>) {
    let plain = queues.create(&[]).await;
    let request = plain.client.send_message().queue_url(&plain.url);
    let without = request.message_group_id("a").message_body("1").send().await;
    let refused = code(without).map(drop);
    check.that("without an id", refused, Err("InvalidParameterValue".to_owned()));

    let queue = queues.create(&[(QueueAttributeName::ContentBasedDeduplication, "true")]).await;
    for body in ["1", "1", "2"] {
        let request = queue.client.send_message().queue_url(&queue.url);
        let sent = request.message_group_id("a").message_body(body).send().await;
        sent.expect("the message is accepted");
    }
    let messages = queue.receive().await;
    check.that("equal bodies are one", bodies(&messages), vec!["1", "2"]);
    let id = messages
        .first()
        .and_then(|message| system(message, &MessageSystemAttributeName::MessageDeduplicationId));
    let digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    check.that("the id is the SHA-256", id, Some(digest));
}

/// In the queue, or in the group.
pub async fn scope(queues: &Queues, check: &mut Check<'_>) {
    let in_queue = queues.create(&[]).await;
    let scope = (QueueAttributeName::DeduplicationScope, "messageGroup");
    let in_group = queues.create(&[scope]).await;
    for queue in [&in_queue, &in_group] {
        queue.send("a", "1").await;
        queue.send("b", "1").await;
    }
    check.that("in the queue", in_queue.receive().await.len(), 1);
    check.that("in the group", in_group.receive().await.len(), 2);
}

/// What was purged can be sent again.
pub async fn after_a_purge(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    queue.send("a", "1").await;
    let purged = queue.client.purge_queue().queue_url(&queue.url).send().await;
    check.that("purging", code(purged).map(drop), Ok(()));
    queue.send("a", "1").await;
    check.that("the same id again", bodies(&queue.receive().await), vec!["1"]);
}
