//! Order within a group, and what a message in flight holds back.

use crate::queue::Check;
use crate::queue::client::{Queues, bodies, received, system};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};

/// Order, and the lock on a group.
pub async fn of_groups(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    for (group, body) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")] {
        queue.send(group, body).await;
    }
    let first = received(queue.receiving().max_number_of_messages(2)).await;
    check.that("many of one group come first", bodies(&first), vec!["a1", "a2"]);
    let second = queue.receive().await;
    check.that("a locked group is passed over", bodies(&second), vec!["b1"]);
    for message in &first {
        check.that(
            if message.body() == Some("a1") { "the first is deleted" } else { "the second too" },
            queue.delete(message).await,
            Ok(()),
        );
        if message.body() == Some("a1") {
            let still = queue.receive().await;
            check.that("the group stays locked until all are gone", bodies(&still), vec![]);
        }
    }
    check.that("then it goes on", bodies(&queue.receive().await), vec!["a3"]);
}

/// What a message in flight holds back: what is behind it, and nothing before it.
pub async fn of_what_comes_back(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    for body in ["1", "2", "3", "4"] {
        queue.send("a", body).await;
    }
    let batch = received(queue.receiving().max_number_of_messages(3)).await;
    check.that("three of four are received", bodies(&batch), vec!["1", "2", "3"]);
    let [first, second, third] = batch.as_slice() else { return };
    check.that("the third is released", queue.change_visibility(third, 0).await, Ok(()));
    check.that("behind what is in flight", bodies(&queue.receive().await), vec![]);
    check.that("the first in a second", queue.change_visibility(first, 1).await, Ok(()));
    let alone = received(queue.receiving().wait_time_seconds(5)).await;
    check.that("it comes back alone", bodies(&alone), vec!["1"]);
    let Some(first) = alone.first() else { return };
    check.that("and is deleted", queue.delete(first).await, Ok(()));
    check.that("the second is in flight still", bodies(&queue.receive().await), vec![]);
    check.that("the second is released", queue.change_visibility(second, 0).await, Ok(()));
    check.that("the rest comes in order", bodies(&queue.receive().await), vec!["2", "3", "4"]);
}

/// A head that fails again and again while what was received with it is held.
pub async fn of_a_head_that_fails(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    let batch = received(queue.receiving().max_number_of_messages(2)).await;
    let Some(mut head) = batch.first().cloned() else { return };
    for (subject, again) in [("fails", "comes back alone"), ("fails again", "and once more")] {
        check.that(subject, queue.change_visibility(&head, 0).await, Ok(()));
        let alone = queue.receive().await;
        check.that(again, bodies(&alone), vec!["1"]);
        let Some(message) = alone.into_iter().next() else { return };
        head = message;
    }
    let Some(second) = batch.get(1) else { return };
    check.that("the second is released", queue.change_visibility(second, 0).await, Ok(()));
    check.that("behind its head", bodies(&queue.receive().await), vec![]);
    check.that("the head is released", queue.change_visibility(&head, 0).await, Ok(()));
    check.that("all in order", bodies(&queue.receive().await), vec!["1", "2", "3"]);
}

/// What was received is in flight until then, whatever is sent to its group meanwhile, and deleting a
/// part of it frees nothing behind the rest.
pub async fn of_a_part_that_is_deleted(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("a", "a3")] {
        queue.send(group, body).await;
    }
    let batch = received(queue.receiving().max_number_of_messages(2)).await;
    check.that("the other group is not between", bodies(&batch), vec!["a1", "a2"]);
    let [first, second] = batch.as_slice() else { return };
    check.that("the first is deleted", queue.delete(first).await, Ok(()));
    queue.send("a", "a4").await;
    check.that("behind the second", bodies(&queue.receive().await), vec!["b1", "b2"]);
    check.that("the second is deleted", queue.delete(second).await, Ok(()));
    check.that("the group goes on", bodies(&queue.receive().await), vec!["a3", "a4"]);
}

/// One of three that stays in flight for longer holds back what is behind it.
pub async fn of_what_is_held_for_longer(queues: &Queues, check: &mut Check<'_>) {
    let visible = async |position: usize| {
        let queue = queues.create(&[(QueueAttributeName::VisibilityTimeout, "1")]).await;
        for body in ["1", "2", "3"] {
            queue.send("a", body).await;
        }
        let batch = queue.receive().await;
        let held = batch.get(position).expect("three were received");
        queue.change_visibility(held, 20).await.expect("it is in flight");
        let again = received(queue.receiving().wait_time_seconds(3)).await;
        bodies(&again).join(" ")
    };
    check.that("the first", visible(0).await, String::new());
    check.that("the second", visible(1).await, "1".to_owned());
    check.that("the third", visible(2).await, "1 2".to_owned());
}

/// Sequence numbers of a batch that holds several groups.
pub async fn of_a_batch(queues: &Queues, check: &mut Check<'_>) {
    let queue = queues.create(&[]).await;
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2")] {
        queue.send(group, body).await;
    }
    let batch = queue.receive().await;
    let of_group = |group: &str| {
        let mut bodies = bodies(&batch);
        bodies.retain(|body| body.starts_with(group));
        bodies.join(" ")
    };
    check.that("one group's order", of_group("a"), "a1 a2".to_owned());
    check.that("the other group's order", of_group("b"), "b1 b2".to_owned());
    let numbers: Vec<u128> = ["a1", "b1", "a2", "b2"]
        .iter()
        .filter_map(|body| batch.iter().find(|message| message.body() == Some(body)))
        .filter_map(|message| system(message, &MessageSystemAttributeName::SequenceNumber))
        .filter_map(|number| number.parse().ok())
        .collect();
    check.that("sequence numbers are numbers", numbers.len(), 4);
    check.that("sequence numbers increase", numbers.is_sorted_by(|one, next| one < next), true);
}
