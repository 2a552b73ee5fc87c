//! The next attempt now: what waits for a time can be received at once, in its order.

use crate::support::{DEAD, Fixture, QUEUE, bodies};
use engine::store::{ReceiveRequest, ReceivedMessage, Retried};

/// Receives as the function does.
async fn receive(queue: &Fixture) -> Vec<ReceivedMessage> {
    let request = ReceiveRequest {
        max_messages: 10,
        receiver: Some("function".to_owned()),
        ..ReceiveRequest::default()
    };
    queue.store.receive(QUEUE, request).await.unwrap()
}

/// Receives, and gives back for ten minutes what was received.
async fn fail(queue: &Fixture) {
    for message in receive(queue).await {
        queue.store.change_visibility(QUEUE, &message.receipt_handle, 600).await.unwrap();
    }
}

async fn retry(queue: &Fixture, group: &str) -> Retried {
    queue.store.retry_group(QUEUE, group).await.unwrap()
}

#[tokio::test]
async fn a_group_goes_on_at_once_in_its_order_and_no_other_does() {
    let queue = Fixture::with_dead_letters(100).await;
    for (group, body) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")] {
        queue.send(group, body).await;
    }
    fail(&queue).await;
    assert!(receive(&queue).await.is_empty());
    assert_eq!(retry(&queue, "a").await, Retried::Now(3));
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (3, 1));
    let received = receive(&queue).await;
    assert_eq!(bodies(&received), ["1", "2", "4"]);
    assert!(received.iter().all(|it| it.receive_count == 2), "this receive, and no other");
    assert_eq!(retry(&queue, "a").await, Retried::NotWaiting, "it is being attempted");
    assert_eq!(retry(&queue, "nobody").await, Retried::NoGroup);
    // The counts of what is in flight are right in the end.
    for message in received {
        queue.delete(&message).await;
    }
    assert_eq!(retry(&queue, "b").await, Retried::Now(1));
    assert_eq!(bodies(&receive(&queue).await), ["3"]);
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap().in_flight, 1);
}

#[tokio::test]
async fn what_follows_an_event_that_is_attempted_stays_behind_it() {
    let queue = Fixture::with_dead_letters(100).await;
    queue.send("a", "1").await;
    queue.send("a", "2").await;
    let received = receive(&queue).await;
    queue.store.change_visibility(QUEUE, &received[1].receipt_handle, 600).await.unwrap();
    assert_eq!(retry(&queue, "a").await, Retried::NotWaiting);
    assert!(receive(&queue).await.is_empty());
}

#[tokio::test]
async fn who_waits_for_a_message_hears_of_it() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    fail(&queue).await;
    let store = queue.store.clone();
    let request = ReceiveRequest { wait_seconds: Some(20), ..ReceiveRequest::default() };
    let waiting = tokio::spawn(async move { store.receive(QUEUE, request).await.unwrap() });
    tokio::task::yield_now().await;
    assert_eq!(retry(&queue, "a").await, Retried::Now(1));
    assert_eq!(bodies(&waiting.await.unwrap()), ["1"]);
}

#[tokio::test]
async fn what_the_redrive_policy_would_soon_move_is_left_alone() {
    let queue = Fixture::with_dead_letters(10).await;
    queue.send("a", "1").await;
    for _ in 0..8 {
        fail(&queue).await;
        assert_eq!(retry(&queue, "a").await, Retried::Now(1));
    }
    fail(&queue).await;
    let too_often = Retried::TooOften { receive_count: 9, max_receive_count: 10 };
    assert_eq!(retry(&queue, "a").await, too_often);
    assert_eq!(queue.store.statistics(DEAD).await.unwrap().visible, 0);
    queue.advance_seconds(600);
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}
