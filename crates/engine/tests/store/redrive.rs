//! Dead letters, and bringing them back.

use crate::support::{DEAD, Fixture, QUEUE, attributes, bodies, manual_clock, message};
use engine::store::{
    API_SENDER_ID, INGEST_SENDER_ID, MessageAttribute, MoveTask, MoveTaskStatus, NewMessage,
    ReceiveRequest, ReceivedMessage, Store, StoreError, Tags, arn,
};

/// Receives everything until each message was received `times`, and lets it all time out.
async fn exhaust(queue: &Fixture, times: u32) {
    for _ in 0..times {
        while !queue.receive(10).await.is_empty() {}
        queue.advance_seconds(30);
    }
}

async fn finished(queue: &Fixture, id: &str) -> MoveTask {
    loop {
        let task = queue.store.move_tasks(DEAD, 1).await.unwrap().remove(0);
        assert_eq!(task.id, id);
        if !task.status.is_active() {
            return task;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_is_delivered_exactly_max_receive_count_times() {
    let queue = Fixture::with_dead_letters(3).await;
    queue.send("a", "1").await;
    queue.send("a", "2").await;
    for count in 1..=3 {
        let batch = queue.receive(1).await;
        assert_eq!((bodies(&batch), batch[0].receive_count), (vec!["1"], count));
        queue.advance_seconds(30);
    }
    assert!(queue.receive_from(DEAD, 10).await.is_empty());
    assert_eq!(bodies(&queue.receive(1).await), ["2"], "the next of the group follows at once");
    assert_eq!(bodies(&queue.receive_from(DEAD, 10).await), ["1"]);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_id_group_and_attributes() {
    let queue = Fixture::with_dead_letters(1).await;
    let sent = NewMessage {
        attributes: [("route".to_owned(), MessageAttribute::string("sss"))].into(),
        trace_header: Some("Root=1".to_owned()),
        ..message("a", "1")
    };
    let id = queue.store.send(QUEUE, sent.clone()).await.unwrap().message_id;
    let original = queue.receive(1).await.remove(0);
    queue.advance_seconds(30);
    assert!(queue.receive(1).await.is_empty());
    let dead = queue.receive_from(DEAD, 1).await.remove(0);
    assert_eq!(dead.message_id, id);
    assert_eq!(dead.deduplication_id, id);
    assert_eq!(dead.dead_letter_source, Some(arn::of_queue(QUEUE)));
    assert_eq!((&dead.group_id, dead.receive_count), (&original.group_id, 2), "counted on");
    assert_eq!(dead.first_received_at, original.first_received_at);
    assert_eq!((&dead.attributes, dead.trace_header), (&sent.attributes, sent.trace_header));
    assert!(dead.sent_at > original.sent_at, "its retention starts again");
    assert!(dead.sequence_number > original.sequence_number);
}

/// Else it would be moved on before anybody has seen it.
#[tokio::test]
async fn a_dead_letter_that_can_become_one_again_is_counted_from_the_start() {
    const LAST: &str = "webhook-last.fifo";
    let queue = Fixture::with_dead_letters(1).await;
    queue
        .store
        .create_queue(LAST, &attributes([("FifoQueue", "true")]), &Tags::new())
        .await
        .unwrap();
    let policy =
        format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, arn::of_queue(LAST));
    let policy = attributes([("RedrivePolicy", &*policy)]);
    queue.store.set_attributes(DEAD, &policy).await.unwrap();
    queue.send("a", "1").await;
    for (from, count) in [(QUEUE, 1), (DEAD, 1), (LAST, 2)] {
        assert_eq!(queue.receive_from(from, 1).await.remove(0).receive_count, count, "{from}");
        queue.advance_seconds(30);
        assert!(from == LAST || queue.receive_from(from, 1).await.is_empty());
    }
}

#[tokio::test]
async fn a_redrive_policy_needs_a_queue_that_allows_it() {
    let queue = Fixture::with_dead_letters(3).await;
    let policy = |target: &str| {
        format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":3}}"#, arn::of_queue(target))
    };
    let set = async |policy: &str| {
        queue.store.set_attributes(QUEUE, &attributes([("RedrivePolicy", policy)])).await
    };
    set(&policy("missing.fifo")).await.unwrap_err();
    let allow = async |policy: &str| {
        let attributes = attributes([("RedriveAllowPolicy", policy)]);
        queue.store.set_attributes(DEAD, &attributes).await.unwrap();
    };
    allow(r#"{"redrivePermission":"denyAll"}"#).await;
    let error = set(&policy(DEAD)).await.unwrap_err();
    assert!(matches!(error, StoreError::InvalidParameterValue(_)), "{error}");
    let by_queue = |name: &str| {
        let source = arn::of_queue(name);
        format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{source}"]}}"#)
    };
    allow(&by_queue("other.fifo")).await;
    set(&policy(DEAD)).await.unwrap_err();
    allow(&by_queue(QUEUE)).await;
    set(&policy(DEAD)).await.unwrap();
    allow(r#"{"redrivePermission":"allowAll"}"#).await;
    set(&policy(DEAD)).await.unwrap();
    set("").await.unwrap();
    assert_eq!(queue.store.settings(QUEUE).await.unwrap().redrive_policy, None);
}

#[tokio::test]
async fn a_move_task_brings_dead_letters_back_in_order() {
    let queue = Fixture::with_dead_letters(1).await;
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2")] {
        queue.send(group, body).await;
    }
    let before: Vec<ReceivedMessage> = queue.receive(10).await;
    queue.advance_seconds(30);
    queue.send("a", "a3").await;
    assert_eq!(bodies(&queue.receive(10).await), ["a3"]);
    queue.advance_seconds(30);

    let id = queue.store.start_move_task(DEAD, None, None).await.unwrap();
    let task = finished(&queue, &id).await;
    assert_eq!((task.status, task.moved, task.to_move), (MoveTaskStatus::Completed, 3, 3));
    assert!(queue.receive_from(DEAD, 10).await.is_empty());
    let after = queue.receive(10).await;
    assert_eq!(bodies(&after), ["a1", "a2", "b1"], "a3 was received once too often");
    assert_eq!(bodies(&queue.receive_from(DEAD, 10).await), ["a3"]);
    for message in &after {
        assert_eq!((message.receive_count, &message.dead_letter_source), (1, &None));
        assert!(before.iter().all(|before| before.message_id != message.message_id));
    }
}

#[tokio::test]
async fn a_letter_sent_straight_to_the_dead_letter_queue_needs_a_destination() {
    let queue = Fixture::with_dead_letters(1).await;
    queue.store.send(DEAD, message("a", "1")).await.unwrap();
    let id = queue.store.start_move_task(DEAD, None, None).await.unwrap();
    let task = finished(&queue, &id).await;
    assert_eq!(task.status, MoveTaskStatus::Failed);
    assert_eq!(task.failure.as_deref(), Some("CouldNotDetermineMessageSource"));

    queue.advance_seconds(1);
    let id = queue.store.start_move_task(DEAD, Some(QUEUE), None).await.unwrap();
    assert_eq!(finished(&queue, &id).await.status, MoveTaskStatus::Completed);
    assert_eq!(bodies(&queue.receive(10).await), ["1"]);
}

#[tokio::test]
async fn a_move_task_keeps_its_rate_and_can_be_cancelled() {
    let queue = Fixture::with_dead_letters(1).await;
    for body in 0..30 {
        queue.store.send(DEAD, message("a", &body.to_string())).await.unwrap();
    }
    let id = queue.store.start_move_task(DEAD, Some(QUEUE), Some(100)).await.unwrap();
    let moved = async || queue.store.move_tasks(DEAD, 1).await.unwrap()[0].moved;
    while moved().await < 10 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(moved().await, 10, "a tenth of a second's worth");
    let error = queue.store.start_move_task(DEAD, Some(QUEUE), None).await.unwrap_err();
    assert!(error.to_string().contains("already a task running"), "{error}");
    assert_eq!(queue.store.cancel_move_task(&id).await.unwrap(), 10);
    while queue.store.move_tasks(DEAD, 1).await.unwrap()[0].status != MoveTaskStatus::Cancelled {
        queue.clock.advance(std::time::Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    assert_eq!(moved().await, 10);
    queue.store.cancel_move_task(&id).await.unwrap_err();
    queue.store.cancel_move_task("no such task").await.unwrap_err();
}

#[tokio::test]
async fn a_move_task_leaves_what_came_after_its_start() {
    let queue = Fixture::with_dead_letters(1).await;
    for body in ["1", "2", "3"] {
        queue.store.send(DEAD, message("a", body)).await.unwrap();
    }
    // One a second, and the clock stands still: it cannot have moved all when the next ones come.
    let id = queue.store.start_move_task(DEAD, Some(QUEUE), Some(1)).await.unwrap();
    for (group, body) in [("a", "4"), ("b", "5")] {
        queue.store.send(DEAD, message(group, body)).await.unwrap();
    }
    let task = ended_task(&queue).await;
    assert_eq!((task.id, task.status, task.moved), (id, MoveTaskStatus::Completed, 3));
    assert_eq!(bodies(&queue.receive(10).await), ["1", "2", "3"]);
    assert_eq!(bodies(&queue.receive_from(DEAD, 10).await), ["4", "5"]);
}

/// The latest move task, once it has ended; time passes meanwhile.
async fn ended_task(queue: &Fixture) -> MoveTask {
    loop {
        queue.advance_seconds(1);
        tokio::task::yield_now().await;
        let task = queue.store.move_tasks(DEAD, 1).await.unwrap().remove(0);
        if !task.status.is_active() {
            return task;
        }
    }
}

#[tokio::test]
async fn a_move_task_needs_a_dead_letter_queue_and_a_sensible_rate() {
    let queue = Fixture::with_dead_letters(1).await;
    let start = async |source: &str, destination, rate| {
        queue.store.start_move_task(source, destination, rate).await.unwrap_err()
    };
    assert!(matches!(start("no.fifo", None, None).await, StoreError::ResourceNotFound(_)));
    assert!(matches!(start(DEAD, Some("no.fifo"), None).await, StoreError::ResourceNotFound(_)));
    for (source, destination, rate) in [
        (QUEUE, None, None),
        (DEAD, Some(DEAD), None),
        (DEAD, None, Some(0)),
        (DEAD, None, Some(501)),
    ] {
        let error = start(source, destination, rate).await;
        assert!(matches!(error, StoreError::InvalidParameterValue(_)), "{error}");
    }
}

#[tokio::test]
async fn a_move_task_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    let fifo = attributes([("FifoQueue", "true")]);
    store.create_queue(DEAD, &fifo, &Tags::new()).await.unwrap();
    let policy =
        format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, arn::of_queue(DEAD));
    let with_policy = attributes([("FifoQueue", "true"), ("RedrivePolicy", &policy)]);
    store.create_queue(QUEUE, &with_policy, &Tags::new()).await.unwrap();
    for body in 0..10 {
        store.send(DEAD, message("a", &body.to_string())).await.unwrap();
    }
    // One a second, and the clock stands still: it cannot get far before the restart.
    let id = store.start_move_task(DEAD, Some(QUEUE), Some(1)).await.unwrap();
    store.close().await;

    let store = Store::open(dir.path(), clock.clone()).unwrap();
    let queue = Fixture { store, clock };
    let unfinished = queue.store.move_tasks(DEAD, 1).await.unwrap().remove(0);
    assert!(unfinished.status.is_active() && unfinished.moved < 10);
    let task = ended_task(&queue).await;
    assert_eq!((task.id, task.status, task.moved), (id, MoveTaskStatus::Completed, 10));
    let expected: Vec<String> = (0..10).map(|body| body.to_string()).collect();
    assert_eq!(bodies(&queue.receive(10).await), expected);
}

#[tokio::test]
async fn without_its_dead_letter_queue_a_message_stays() {
    let queue = Fixture::with_dead_letters(1).await;
    queue.send("a", "1").await;
    exhaust(&queue, 1).await;
    queue.store.delete_queue(DEAD).await.unwrap();
    assert_eq!(bodies(&queue.receive(1).await), ["1"]);
}

#[tokio::test]
async fn who_sent_a_message_goes_with_it_to_the_dead_letter_queue_and_not_back() {
    let queue = Fixture::with_dead_letters(1).await;
    queue.store.accept(QUEUE, message("a", "1")).await.unwrap();
    queue.send("b", "2").await;
    let senders = |messages: &[ReceivedMessage]| -> Vec<&str> {
        messages.iter().map(|message| message.sender.id()).collect()
    };
    let received = queue.receive(10).await;
    assert_eq!(senders(&received), [INGEST_SENDER_ID, API_SENDER_ID]);
    queue.advance_seconds(30);
    assert!(queue.receive(10).await.is_empty(), "both are moved");
    let dead = queue.receive_from(DEAD, 10).await;
    assert_eq!(senders(&dead), [INGEST_SENDER_ID, API_SENDER_ID]);
    queue.advance_seconds(30);
    queue.store.start_move_task(DEAD, None, None).await.unwrap();
    let back = loop {
        let request = ReceiveRequest { wait_seconds: Some(20), ..ReceiveRequest::default() };
        let mut back = queue.store.receive(QUEUE, request.clone()).await.unwrap();
        back.extend(queue.store.receive(QUEUE, request).await.unwrap());
        if back.len() == 2 {
            break back;
        }
    };
    assert_eq!(senders(&back), [API_SENDER_ID; 2], "somebody sent them back");
}
