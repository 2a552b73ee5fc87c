//! Queues themselves.

use crate::queue::Check;
use crate::queue::client::{Queues, bodies, code};
use aws_sdk_sqs::types::QueueAttributeName;

/// Creating, finding, deleting.
pub async fn life(queues: &Queues, check: &mut Check<'_>) {
    let name = queues.new_name();
    let create = async |timeout: &str| {
        let request = queues.client.create_queue().queue_name(&name);
        let request = request.attributes(QueueAttributeName::FifoQueue, "true");
        let request = request.attributes(QueueAttributeName::VisibilityTimeout, timeout);
        code(request.send().await).map(|answer| answer.queue_url)
    };
    let first = create("30").await;
    check.that("creating again with the same attributes", create("30").await, first.clone());
    let differing = create("31").await;
    check.that("with others", differing, Err("QueueAlreadyExists".to_owned()));
    let url = first.expect("the queue is created").unwrap_or_default();
    check.that("the URL ends in the name", url.rsplit('/').next(), Some(name.as_str()));
    let found = queues.client.get_queue_url().queue_name(&name).send().await;
    let found = found.expect("the queue is there").queue_url;
    check.that("by its name", found.as_deref() == Some(&url), true);
    let listed = queues.client.list_queues().queue_name_prefix(&name).send().await;
    let listed = listed.expect("listing works").queue_urls.unwrap_or_default();
    check.that("in the list", listed == [url.clone()], true);

    let tagged = queues.client.tag_queue().queue_url(&url).tags("team", "a").tags("x", "y");
    tagged.send().await.expect("tags are accepted");
    let untagged = queues.client.untag_queue().queue_url(&url).tag_keys("x").send().await;
    untagged.expect("tags can be removed");
    let tags = queues.client.list_queue_tags().queue_url(&url).send().await;
    let tags = tags.expect("tags can be listed").tags.unwrap_or_default();
    check.that("tags", tags, [("team".to_owned(), "a".to_owned())].into());

    let none = queues.client.tag_queue().queue_url(&url);
    let none = none.set_tags(Some(std::collections::HashMap::new())).send().await;
    check.that("tagging with nothing", code(none).map(drop), Err("MissingParameter".to_owned()));

    let deleted = queues.client.delete_queue().queue_url(&url).send().await;
    check.that("deleting", code(deleted).map(drop), Ok(()));
    let missing = Err("AWS.SimpleQueueService.NonExistentQueue".to_owned());
    let send = queues.client.send_message().queue_url(&url).message_body("1");
    let send = send.message_group_id("a").message_deduplication_id("1").send().await;
    check.that("sending to what is gone", code(send).map(drop), missing.clone());
    let receive = queues.client.receive_message().queue_url(&url).send().await;
    check.that("receiving from what is gone", code(receive).map(drop), missing.clone());
    let found = queues.client.get_queue_url().queue_name(&name).send().await;
    check.that("finding what is gone", code(found).map(drop), missing);
    let without_suffix = queues.client.create_queue().queue_name("contract-no-suffix");
    let without_suffix = without_suffix.attributes(QueueAttributeName::FifoQueue, "true").send();
    let refused = Err("InvalidParameterValue".to_owned());
    check.that("a name without .fifo", code(without_suffix.await).map(drop), refused);
}

/// Attributes of a queue.
pub async fn settings(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    for (subject, name, expected) in [
        ("visibility timeout", QueueAttributeName::VisibilityTimeout, "30"),
        ("retention", QueueAttributeName::MessageRetentionPeriod, "345600"),
        ("size limit", QueueAttributeName::MaximumMessageSize, "1048576"),
        ("delay", QueueAttributeName::DelaySeconds, "0"),
        ("wait", QueueAttributeName::ReceiveMessageWaitTimeSeconds, "0"),
        ("kind", QueueAttributeName::FifoQueue, "true"),
        ("deduplication", QueueAttributeName::ContentBasedDeduplication, "false"),
        ("scope", QueueAttributeName::DeduplicationScope, "queue"),
        ("throughput", QueueAttributeName::FifoThroughputLimit, "perQueue"),
    ] {
        check.that(subject, queue.attribute(name).await.as_deref(), Some(expected));
    }
    let set = queue.set(QueueAttributeName::ContentBasedDeduplication, "True").await;
    check.that("a boolean as Python writes it", set, Ok(()));
    let shown = queue.attribute(QueueAttributeName::ContentBasedDeduplication).await;
    check.that("is one", shown.as_deref(), Some("true"));
    let set = queue.set(QueueAttributeName::VisibilityTimeout, "60").await;
    check.that("setting one", set, Ok(()));
    let shown = queue.attribute(QueueAttributeName::VisibilityTimeout).await;
    check.that("shows it", shown.as_deref(), Some("60"));
    let invalid = Err("InvalidAttributeValue".to_owned());
    let refused = queue.set(QueueAttributeName::VisibilityTimeout, "43201").await;
    check.that("a value out of range", refused, invalid);
    let unknown = queue.set(QueueAttributeName::from("NoSuchAttribute"), "1").await;
    check.that("an unknown one", unknown, Err("InvalidAttributeName".to_owned()));

    for body in ["1", "2", "3"] {
        queue.send(body, body).await;
    }
    let held = queue.receive_one().await;
    check.that("one is received", held.is_some(), true);
    let visible = queue.attribute(QueueAttributeName::ApproximateNumberOfMessages).await;
    check.that("visible", visible.as_deref(), Some("2"));
    let name = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    check.that("in flight", queue.attribute(name).await.as_deref(), Some("1"));
}

/// Emptying a queue.
pub async fn purge(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    queue.send("a", "1").await;
    let purge = async || {
        let request = queue.client.purge_queue().queue_url(&queue.url);
        code(request.send().await).map(drop)
    };
    check.that("purging", purge().await, Ok(()));
    check.that("empties", bodies(&queue.receive().await), vec![]);
    let too_soon = Err("AWS.SimpleQueueService.PurgeQueueInProgress".to_owned());
    check.that("again within 60 seconds", purge().await, too_soon);
}
