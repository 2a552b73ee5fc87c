//! Queues as such: names, attributes, counts, purge, tags.

use crate::support::{Fixture, QUEUE, attributes, manual_clock, message};
use engine::store::{Store, StoreError, Tags};

async fn create(store: &Store, name: &str) -> Result<(), StoreError> {
    store.create_queue(name, &attributes([("FifoQueue", "true")]), &Tags::new()).await
}

#[tokio::test]
async fn a_queue_is_created_once_and_found_again() {
    let queue = Fixture::new().await;
    let same = attributes([("FifoQueue", "true"), ("VisibilityTimeout", "30")]);
    queue.store.create_queue(QUEUE, &same, &Tags::new()).await.unwrap();
    let other = attributes([("FifoQueue", "true"), ("VisibilityTimeout", "31")]);
    let error = queue.store.create_queue(QUEUE, &other, &Tags::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::QueueNameExists(..)), "{error}");
    queue.store.ensure_queue(QUEUE, &other).await.unwrap();
    assert_eq!(queue.store.settings(QUEUE).await.unwrap().visibility_timeout_seconds, 31);
}

#[tokio::test]
async fn names_end_in_fifo_and_so_do_queues() {
    let queue = Fixture::new().await;
    for bad in ["", "a", ".fifo", "a b.fifo", "a.b.fifo", &format!("{}.fifo", "a".repeat(76))] {
        create(&queue.store, bad).await.unwrap_err();
    }
    create(&queue.store, &format!("{}.fifo", "a".repeat(75))).await.unwrap();
    let standard = attributes([("VisibilityTimeout", "30")]);
    queue.store.create_queue("b.fifo", &standard, &Tags::new()).await.unwrap_err();
}

#[tokio::test]
async fn queues_are_listed_by_prefix() {
    let queue = Fixture::new().await;
    for name in ["b.fifo", "webhook-dlq.fifo"] {
        create(&queue.store, name).await.unwrap();
    }
    assert_eq!(queue.store.queue_names("web").await.unwrap(), ["webhook-dlq.fifo", QUEUE]);
}

#[tokio::test]
async fn a_deleted_queue_is_gone_with_its_messages() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.store.delete_queue(QUEUE).await.unwrap();
    let error = queue.store.send(QUEUE, message("a", "2")).await.unwrap_err();
    assert!(matches!(error, StoreError::QueueDoesNotExist(_)), "{error}");
    create(&queue.store, QUEUE).await.unwrap();
    assert!(queue.receive(10).await.is_empty());
    assert!(!queue.send("a", "1").await.duplicate, "a queue of the same name is another queue");
}

/// Its messages go a part at a time first; what comes in between goes with the queue.
#[tokio::test]
async fn what_comes_while_a_queue_is_deleted_is_gone_with_it() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    create(&store, QUEUE).await.unwrap();
    let (deleted, sent) =
        tokio::join!(store.delete_queue(QUEUE), store.send(QUEUE, message("a", "1")));
    deleted.unwrap();
    sent.expect("sent before the queue was gone");
    store.close().await;
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    for table in ["message", "message_group", "delivery", "queue_count"] {
        let count = format!("SELECT count(*) FROM {table}");
        let left: u32 = database.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn a_purge_empties_the_queue_once_a_minute() {
    let queue = Fixture::new().await;
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    queue.receive(1).await;
    queue.store.purge_queue(QUEUE).await.unwrap();
    let error = queue.store.purge_queue(QUEUE).await.unwrap_err();
    assert!(matches!(error, StoreError::PurgeQueueInProgress(_)), "{error}");
    queue.send("a", "4").await;
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (1, 0));
    assert_eq!(queue.receive(10).await.len(), 1);
    queue.advance_seconds(60);
    queue.store.purge_queue(QUEUE).await.unwrap();
}

/// However much there is to remove: a step of a purge is committed before the next one begins.
#[tokio::test]
async fn who_sends_while_a_queue_is_purged_is_answered_after_one_step() {
    let queue = Fixture::new().await;
    for first in (0..2_400).step_by(10) {
        let of = |number: usize| message("g", &number.to_string());
        queue.store.send_batch(QUEUE, (first..first + 10).map(of).collect()).await.unwrap();
    }
    // A send comes while each commit is held, and is in the next one.
    let mut held = queue.store.faults().hold_commits();
    let store = queue.store.clone();
    let purging = tokio::spawn(async move { store.purge_queue(QUEUE).await });
    let (mut commits, mut sending) = (0, None::<tokio::task::JoinHandle<_>>);
    let mut before = None::<tokio::task::JoinHandle<_>>;
    loop {
        held.held().await;
        settle().await;
        if purging.is_finished() {
            break;
        }
        commits += 1;
        assert!(before.is_none_or(|it| it.is_finished()), "commit {commits}");
        before = sending.take();
        let (store, body) = (queue.store.clone(), format!("new-{commits}"));
        sending = Some(tokio::spawn(async move { store.send(QUEUE, message("g", &body)).await }));
        settle().await;
        held = queue.store.faults().hold_commits();
    }
    drop(held);
    purging.await.unwrap().unwrap();
    // Its beginning, and 24 steps of a hundred messages at most.
    assert!(commits >= 25, "{commits} commits");
}

/// Lets what was spawned get as far as it can.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn counts_follow_the_messages() {
    let queue = Fixture::new().await;
    let empty = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((empty.visible, empty.message_groups, empty.oldest_age), (0, 0, None));
    for (group, body) in [("a", "1"), ("a", "2"), ("b", "3")] {
        queue.send(group, body).await;
    }
    queue.advance_seconds(5);
    let first = queue.receive(1).await.remove(0);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (2, 1));
    assert_eq!((statistics.message_groups, statistics.groups_in_flight), (2, 1));
    let five_seconds = Some(std::time::Duration::from_secs(5));
    assert_eq!(statistics.oldest_age, five_seconds, "what is in flight ages too");
    queue.delete(&first).await;
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight, statistics.message_groups), (2, 0, 2));
}

#[tokio::test]
async fn a_message_over_the_queues_limit_is_refused() {
    let queue = Fixture::with(attributes([("MaximumMessageSize", "1024")])).await;
    let of_bytes =
        |bytes: usize| engine::store::NewMessage { body: "x".repeat(bytes), ..message("a", "id") };
    let error = queue.store.send(QUEUE, of_bytes(1025)).await.unwrap_err();
    assert!(error.to_string().contains("must be shorter than 1024 bytes"), "{error}");
    queue.store.send(QUEUE, of_bytes(1024)).await.unwrap();
}

#[tokio::test]
async fn tags_are_added_and_removed() {
    let queue = Fixture::new().await;
    let tags: Tags = [("team".to_owned(), "a".to_owned()), ("x".to_owned(), "y".to_owned())].into();
    queue.store.change_tags(QUEUE, &tags, &[]).await.unwrap();
    queue.store.change_tags(QUEUE, &Tags::new(), &["x".to_owned()]).await.unwrap();
    let left: Tags = [("team".to_owned(), "a".to_owned())].into();
    assert_eq!(queue.store.tags(QUEUE).await.unwrap(), left);
    let of_number = |n: usize| (n.to_string(), String::new());
    queue.store.change_tags(QUEUE, &(1..50).map(of_number).collect(), &[]).await.unwrap();
    let error = queue.store.change_tags(QUEUE, &[of_number(50)].into(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("can have 50 tags, and these are 51"), "{error}");
}
