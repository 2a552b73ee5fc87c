//! How long a message is in flight, and what its receipt handle is good for.

use crate::queue::Check;
use crate::queue::client::{Queues, bodies, received, system};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};

const ONE_SECOND: (QueueAttributeName, &str) = (QueueAttributeName::VisibilityTimeout, "1");

/// Coming back by itself.
pub async fn timeout(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[ONE_SECOND]).await;
    queue.send("a", "1").await;
    queue.send("a", "2").await;
    let batch = queue.receive().await;
    check.that("both are delivered", bodies(&batch), vec!["1", "2"]);
    check.that("and in flight", bodies(&queue.receive().await), vec![]);
    let again = received(queue.receiving().wait_time_seconds(5)).await;
    check.that("both come back, in order", bodies(&again), vec!["1", "2"]);
    let count = again
        .first()
        .and_then(|message| system(message, &MessageSystemAttributeName::ApproximateReceiveCount));
    check.that("the receive is counted", count, Some("2"));
}

/// Changing when a message comes back.
pub async fn change(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    queue.send("a", "1").await;
    let message = queue.receive_one().await.expect("it was sent");
    check.that("to 0", queue.change_visibility(&message, 0).await, Ok(()));
    let again = queue.receive().await;
    check.that("makes it visible", bodies(&again), vec!["1"]);
    let Some(message) = again.first() else { return };
    let refused = Err("InvalidParameterValue".to_owned());
    let beyond = queue.change_visibility(message, 43_201).await;
    check.that("beyond 12 hours", beyond, refused.clone());
    check.that("to 1 second", queue.change_visibility(message, 1).await, Ok(()));
    let later = received(queue.receiving().wait_time_seconds(5)).await;
    check.that("it comes back after it", bodies(&later), vec!["1"]);
    if let Some(message) = later.first() {
        check.that("it is deleted", queue.delete(message).await, Ok(()));
        check.that("what is gone", queue.change_visibility(message, 5).await, refused);
        check.that("deleting it again", queue.delete(message).await, Ok(()));
    }
}

/// What a handle is good for once the message is visible again, or was received again.
pub async fn expired_handle(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    queue.send("a", "1").await;
    let old = queue.receive_one().await.expect("it was sent");
    queue.change_visibility(&old, 0).await.expect("it is in flight");
    let expired = Err("InvalidParameterValue".to_owned());
    check.that("deleting what is visible again", queue.delete(&old).await, expired.clone());
    let not_in_flight = Err("AWS.SimpleQueueService.MessageNotInflight".to_owned());
    let change = queue.change_visibility(&old, 5).await;
    check.that("changing what is visible again", change, not_in_flight);
    let again = queue.receive().await;
    check.that("it was not deleted", bodies(&again), vec!["1"]);
    check.that("deleting by the old handle", queue.delete(&old).await, expired);
    let made_up = old.clone();
    let made_up = aws_sdk_sqs::types::Message::builder()
        .set_body(made_up.body)
        .receipt_handle("made up")
        .build();
    let invalid = Err("ReceiptHandleIsInvalid".to_owned());
    check.that("a handle that is none", queue.delete(&made_up).await, invalid);
}

/// A receive whose answer was lost.
pub async fn receive_attempt(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    queue.send("a", "1").await;
    queue.send("a", "2").await;
    let attempt = || {
        let request = queue.receiving().max_number_of_messages(1);
        received(request.receive_request_attempt_id("attempt-1"))
    };
    let first = attempt().await;
    let again = attempt().await;
    check.that("the same batch again", bodies(&again), bodies(&first));
    if let Some(message) = again.first() {
        check.that("it can be deleted", queue.delete(message).await, Ok(()));
    }
    check.that("no longer once it was changed", bodies(&attempt().await), vec!["2"]);
}
