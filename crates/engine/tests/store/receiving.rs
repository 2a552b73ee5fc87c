//! Order, locked groups, visibility, receipt handles.

use crate::support::{DEAD, Fixture, QUEUE, attributes, bodies};
use engine::store::{GroupLock, ReceiveRequest, StoreError};

#[tokio::test]
async fn a_receive_takes_one_group_in_order_then_the_next() {
    let queue = Fixture::new().await;
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("b", "b2")] {
        queue.send(group, body).await;
    }
    assert_eq!(bodies(&queue.receive(3).await), ["a1", "a2", "b1"]);
    assert_eq!(bodies(&queue.receive(3).await), ["c1"]);
}

#[tokio::test]
async fn a_group_is_locked_until_all_that_was_returned_is_deleted() {
    let queue = Fixture::new().await;
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    let batch = queue.receive(2).await;
    assert!(queue.receive(10).await.is_empty());
    queue.delete(&batch[0]).await;
    assert!(queue.receive(10).await.is_empty());
    queue.delete(&batch[1]).await;
    assert_eq!(bodies(&queue.receive(10).await), ["3"]);
}

#[tokio::test]
async fn what_is_not_deleted_comes_back_in_its_place() {
    let queue = Fixture::new().await;
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    let batch = queue.receive(2).await;
    queue.delete(&batch[1]).await;
    queue.advance_seconds(30);
    let again = queue.receive(10).await;
    assert_eq!(bodies(&again), ["1", "3"]);
    assert_eq!(again[0].receive_count, 2);
    assert_eq!(again[0].first_received_at, batch[0].first_received_at);
    assert_eq!(again[1].receive_count, 1);
}

/// Three messages of a group are received, and those named become visible again at once.
async fn all_received_then_visible(lock: GroupLock, visible: &[usize]) -> Vec<String> {
    let Fixture { store, clock } = Fixture::new().await;
    let queue = Fixture { store: store.with_group_lock(lock), clock };
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    let batch = queue.receive(10).await;
    for place in visible {
        let handle = &batch[*place].receipt_handle;
        queue.store.change_visibility(QUEUE, handle, 0).await.unwrap();
    }
    queue.receive(10).await.into_iter().map(|message| message.body).collect()
}

#[tokio::test]
async fn a_message_in_flight_holds_back_what_is_behind_it_and_nothing_before() {
    let behind = |visible| all_received_then_visible(GroupLock::Behind, visible);
    assert!(behind(&[]).await.is_empty());
    assert_eq!(behind(&[0]).await, ["1"]);
    assert_eq!(behind(&[1, 0]).await, ["1", "2"]);
    assert_eq!(behind(&[0, 2]).await, ["1"]);
    assert!(behind(&[1, 2]).await.is_empty());
    let group = |visible| all_received_then_visible(GroupLock::Group, visible);
    assert!(group(&[0, 1]).await.is_empty());
    assert_eq!(group(&[2, 1, 0]).await, ["1", "2", "3"]);
}

/// The head comes back first, is delivered alone, and fails or succeeds while what is behind it is
/// still in flight.
#[tokio::test]
async fn a_head_that_comes_back_alone_is_not_overtaken() {
    for succeeds in [true, false] {
        let queue = Fixture::new().await;
        for body in ["1", "2", "3"] {
            queue.send("a", body).await;
        }
        let batch = queue.receive(2).await;
        queue.store.change_visibility(QUEUE, &batch[0].receipt_handle, 1).await.unwrap();
        queue.store.change_visibility(QUEUE, &batch[1].receipt_handle, 20).await.unwrap();
        queue.advance_seconds(1);
        let head = queue.receive(10).await;
        assert_eq!(bodies(&head), ["1"]);
        if succeeds {
            queue.delete(&head[0]).await;
            assert!(queue.receive(10).await.is_empty(), "the new head is in flight");
            queue.advance_seconds(19);
            assert_eq!(bodies(&queue.receive(10).await), ["2", "3"]);
        } else {
            queue.advance_seconds(19);
            assert!(queue.receive(10).await.is_empty(), "2 is visible, behind what is not");
            queue.store.change_visibility(QUEUE, &head[0].receipt_handle, 5).await.unwrap();
            queue.advance_seconds(5);
            assert_eq!(bodies(&queue.receive(10).await), ["1", "2", "3"]);
        }
    }
}

#[tokio::test]
async fn what_comes_to_the_front_in_flight_is_not_received() {
    let queue = Fixture::with_dead_letters(1).await;
    queue.send("a", "1").await;
    queue.send("a", "2").await;
    let batch = queue.receive(2).await;
    queue.store.change_visibility(QUEUE, &batch[0].receipt_handle, 0).await.unwrap();
    assert!(queue.receive(10).await.is_empty(), "1 is a dead letter now, and 2 is in flight");
    queue.delete(&batch[1]).await;
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap().message_groups, 0);
    assert_eq!(bodies(&queue.receive_from(DEAD, 10).await), ["1"]);
}

#[tokio::test]
async fn an_expired_handle_neither_deletes_nor_changes() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let old = queue.receive(1).await.remove(0).receipt_handle;
    queue.advance_seconds(30);
    let error = queue.store.delete(QUEUE, &old).await.unwrap_err();
    assert!(error.to_string().ends_with("The receipt handle has expired."), "{error}");
    let error = queue.store.change_visibility(QUEUE, &old, 10).await.unwrap_err();
    assert!(matches!(error, StoreError::MessageNotInflight), "{error}");

    let new = queue.receive(1).await.remove(0);
    let error = queue.store.delete(QUEUE, &old).await.unwrap_err();
    assert!(error.to_string().ends_with("The receipt handle has expired."), "{error}");
    queue.store.change_visibility(QUEUE, &old, 10).await.unwrap_err();
    queue.delete(&new).await;
    queue.store.delete(QUEUE, &old).await.expect("deleting what is gone is no error");
    queue.store.delete(QUEUE, "no handle").await.unwrap_err();
}

#[tokio::test]
async fn visibility_ends_12_hours_after_the_receive() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let handle = queue.receive(1).await.remove(0).receipt_handle;
    queue.store.change_visibility(QUEUE, &handle, 43_200).await.unwrap();
    queue.advance_seconds(10);
    let error = queue.store.change_visibility(QUEUE, &handle, 43_191).await.unwrap_err();
    assert!(error.to_string().contains("beyond the limit [43200 seconds]"), "{error}");
    queue.store.change_visibility(QUEUE, &handle, 43_190).await.unwrap();
    let error = queue.store.change_visibility(QUEUE, &handle, 43_201).await.unwrap_err();
    assert!(error.to_string().contains("Must be between 0 and 43200"), "{error}");
}

#[tokio::test]
async fn a_receive_may_set_its_own_visibility_timeout() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let request =
        ReceiveRequest { visibility_timeout_seconds: Some(100), ..ReceiveRequest::default() };
    assert_eq!(queue.store.receive(QUEUE, request).await.unwrap().len(), 1);
    queue.advance_seconds(99);
    assert!(queue.receive(1).await.is_empty());
    queue.advance_seconds(1);
    assert_eq!(queue.receive(1).await.len(), 1);
}

#[tokio::test]
async fn expired_messages_disappear_in_flight_or_not() {
    let queue = Fixture::with(attributes([("MessageRetentionPeriod", "60")])).await;
    queue.send("a", "1").await;
    queue.send("b", "1b").await;
    let held = queue.receive(1).await.remove(0);
    queue.store.change_visibility(QUEUE, &held.receipt_handle, 1_000).await.unwrap();
    queue.advance_seconds(59);
    queue.send("a", "2").await;
    queue.advance_seconds(1);
    assert_eq!(bodies(&queue.receive(10).await), ["2"]);
    queue.delete(&held).await;
}

/// Nobody looks at a queue whose function is away.
#[tokio::test]
async fn each_send_removes_more_than_it_adds_of_what_expired() {
    let queue = Fixture::with(attributes([("MessageRetentionPeriod", "60")])).await;
    for number in 0..4 {
        queue.send("a", &format!("old-{number}")).await;
    }
    queue.advance_seconds(60);
    for (sent, left) in [(1, 3), (2, 2), (3, 3)] {
        queue.send("b", &format!("new-{sent}")).await;
        assert_eq!(queue.store.statistics(QUEUE).await.unwrap().visible, left, "{sent}");
    }
}

/// One look removes no more than a thousand of them.
#[tokio::test]
async fn many_that_expired_do_not_hide_what_is_there() {
    let queue = Fixture::with(attributes([("MessageRetentionPeriod", "60")])).await;
    for number in 0..1_010 {
        queue.send("a", &format!("old-{number}")).await;
    }
    queue.advance_seconds(60);
    queue.send("b", "new").await;
    assert_eq!(bodies(&queue.receive(10).await), ["new"]);
}

#[tokio::test]
async fn a_shorter_retention_counts_for_what_is_queued() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.advance_seconds(61);
    queue.send("a", "2").await;
    queue.set("MessageRetentionPeriod", "60").await;
    assert_eq!(bodies(&queue.receive(10).await), ["2"]);
}

#[tokio::test]
async fn a_delay_holds_back_what_was_sent_after_it_and_before() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.set("DelaySeconds", "10").await;
    queue.advance_seconds(5);
    queue.send("b", "2").await;
    assert!(queue.receive(10).await.is_empty());
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap().delayed, 2);
    queue.advance_seconds(5);
    assert_eq!(bodies(&queue.receive(10).await), ["1"]);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.delayed, statistics.in_flight, statistics.visible), (1, 1, 0));
    queue.advance_seconds(5);
    assert_eq!(bodies(&queue.receive(10).await), ["2"]);
}

#[tokio::test]
async fn a_repeated_receive_gets_the_same_batch_while_nothing_changed() {
    let queue = Fixture::new().await;
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    queue.send("b", "4").await;
    let request = ReceiveRequest {
        max_messages: 2,
        attempt_id: Some("attempt-1".to_owned()),
        ..ReceiveRequest::default()
    };
    let first = queue.store.receive(QUEUE, request.clone()).await.unwrap();
    queue.advance_seconds(20);
    assert_eq!(queue.store.receive(QUEUE, request.clone()).await.unwrap(), first);
    queue.advance_seconds(20);
    assert_eq!(bodies(&queue.receive(10).await), ["4"], "the repeat started the timeout again");
    queue.delete(&first[0]).await;
    assert!(queue.store.receive(QUEUE, request).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_receiver_that_starts_again_gets_back_what_it_held() {
    let queue = Fixture::new().await;
    for group in ["a", "b", "c"] {
        queue.send(group, group).await;
    }
    let mine = ReceiveRequest {
        max_messages: 2,
        receiver: Some("mapping".to_owned()),
        ..ReceiveRequest::default()
    };
    let held = queue.store.receive(QUEUE, mine).await.unwrap();
    queue.store.change_visibility(QUEUE, &held[1].receipt_handle, 300).await.unwrap();
    assert_eq!(bodies(&queue.receive(1).await), ["c"], "another's");
    assert_eq!(queue.store.release_in_flight(QUEUE, "mapping").await.unwrap(), 1);
    assert_eq!(bodies(&queue.receive(10).await), ["a"], "b has a time set, c is another's");
}
