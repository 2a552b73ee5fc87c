//! The dead-letter queue, and the way back.

use std::time::Duration;

use crate::queue::Check;
use crate::queue::client::{Queue, Queues, bodies, code, received, system};
use aws_sdk_sqs::types::{
    ListMessageMoveTasksResultEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};

fn policy(arn: &str, max_receive_count: u32) -> String {
    format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receive_count}}}"#)
}

async fn pair(queues: &Queues, max_receive_count: u32) -> (Queue<'_>, Queue<'_>) {
    let dead = queues.create(&[]).await;
    let policy = policy(&dead.arn().await, max_receive_count);
    let queue = queues.create(&[(QueueAttributeName::RedrivePolicy, &policy)]).await;
    (queue, dead)
}

/// Receives the first message and gives it back at once.
async fn fail(queue: &Queue<'_>) -> Option<Message> {
    let message = received(queue.receiving().max_number_of_messages(1)).await.pop()?;
    queue.change_visibility(&message, 0).await.expect("it is in flight");
    Some(message)
}

/// When a message goes to the dead-letter queue, and as what.
pub async fn redrive_policy(queues: &Queues, check: &mut Check<'_>) {
    let (queue, dead) = pair(queues, 2).await;
    let sent = queue.send("a", "1").await;
    queue.send("a", "2").await;
    let first = fail(&queue).await;
    check.that("the first delivery", first.as_ref().and_then(Message::body), Some("1"));
    let second = fail(&queue).await;
    check.that("the second delivery", second.as_ref().and_then(Message::body), Some("1"));
    let next = received(queue.receiving().max_number_of_messages(1)).await;
    check.that("then the next of its group", bodies(&next), vec!["2"]);
    let letter = dead.receive_one().await;
    check.that("it is a dead letter", letter.as_ref().and_then(Message::body), Some("1"));
    let id = letter.as_ref().and_then(Message::message_id);
    check.that("with the same message id", id == sent.message_id(), true);
    let of = |name| letter.as_ref().and_then(|letter| system(letter, &name));
    let deduplication = of(MessageSystemAttributeName::MessageDeduplicationId);
    check.that("which is its deduplication id", deduplication == sent.message_id(), true);
    let group = of(MessageSystemAttributeName::MessageGroupId);
    check.that("in the same group", group, Some("a"));
    let count = of(MessageSystemAttributeName::ApproximateReceiveCount);
    check.that("its receives are counted on", count, Some("3"));
    let source = of(MessageSystemAttributeName::DeadLetterQueueSourceArn);
    check.that("it says where from", source == Some(queue.arn().await.as_str()), true);

    let sources = queues.client.list_dead_letter_source_queues().queue_url(&dead.url).send().await;
    let sources = code(sources).map(|answer| answer.queue_urls == [queue.url.clone()]);
    check.that("sources of the dead-letter queue", sources, Ok(true));
}

/// Whose dead-letter queue a queue wants to be.
pub async fn redrive_allow_policy(queues: &Queues, check: &mut Check<'_>) {
    let (queue, dead) = pair(queues, 2).await;
    let policy = policy(&dead.arn().await, 3);
    let allow = async |policy: &str| {
        let set = dead.set(QueueAttributeName::RedriveAllowPolicy, policy).await;
        set.expect("the policy is accepted");
    };
    let refused = Err("InvalidParameterValue".to_owned());
    let gone = policy.replace(".fifo", "-gone.fifo");
    let set = queue.set(QueueAttributeName::RedrivePolicy, &gone).await;
    check.that("a dead-letter queue that is not there", set, refused.clone());
    allow(r#"{"redrivePermission":"denyAll"}"#).await;
    let set = queue.set(QueueAttributeName::RedrivePolicy, &policy).await;
    check.that("none", set, refused.clone());
    let source = queue.arn().await;
    allow(&format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{source}"]}}"#)).await;
    let set = queue.set(QueueAttributeName::RedrivePolicy, &policy).await;
    check.that("this one", set, Ok(()));
    let other = queues.create(&[]).await;
    let set = other.set(QueueAttributeName::RedrivePolicy, &policy).await;
    check.that("another one", set, refused);
}

/// Moving dead letters back.
pub async fn move_task(queues: &Queues, check: &mut Check<'_>) {
    let (queue, dead) = pair(queues, 1).await;
    let not_dead = queues.client.start_message_move_task().source_arn(queue.arn().await);
    let refused = code(not_dead.send().await).map(drop);
    check.that("from what is none", refused, Err("InvalidParameterValue".to_owned()));

    let sent = queue.send("a", "1").await;
    fail(&queue).await;
    // Two, so that the receive that moves the first one finds nothing else.
    queue.send("b", "2").await;
    fail(&queue).await;
    check.that("both are dead letters", bodies(&queue.receive().await), vec![]);
    let source = dead.arn().await;
    let started = queues.client.start_message_move_task().source_arn(&source).send().await;
    let started = code(started).map(|answer| answer.task_handle.is_some());
    check.that("starting", started.clone(), Ok(true));
    if started.is_err() {
        return;
    }
    let task = ended(queues, &source).await;
    check.that("its end", task.status(), Some("COMPLETED"));
    check.that("how many", task.approximate_number_of_messages_moved(), 2);
    let back = queue.receive().await;
    check.that("they are back, the oldest first", bodies(&back), vec!["1", "2"]);
    let id = back.first().and_then(Message::message_id);
    check.that("with a new message id", id != sent.message_id(), true);
    let count = back
        .first()
        .and_then(|message| system(message, &MessageSystemAttributeName::ApproximateReceiveCount));
    check.that("counted from the start", count, Some("1"));
}

/// A move task says nothing at its end, so it is asked for again and again.
async fn ended(queues: &Queues, source: &str) -> ListMessageMoveTasksResultEntry {
    let ask = async || {
        let tasks = queues.client.list_message_move_tasks().source_arn(source).send().await;
        let tasks = tasks.expect("tasks are listed").results.unwrap_or_default();
        tasks.into_iter().next().expect("a task was started")
    };
    let mut task = ask().await;
    while task.status() == Some("RUNNING") {
        tokio::time::sleep(Duration::from_millis(20)).await;
        task = ask().await;
    }
    task
}
