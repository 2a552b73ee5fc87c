//! Rows that are not what was stored: their groups wait, the others go on.

use std::path::Path;

use engine::clock::Clock as _;
use engine::store::{PeekFrom, SequenceNumber, Store, Why};

use crate::support::{Fixture, QUEUE, attributes, bodies, manual_clock, version_1};

async fn open(dir: &Path) -> Fixture {
    let clock = manual_clock();
    let store = Store::open(dir, clock.clone()).unwrap();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    Fixture { store, clock }
}

/// A directory with messages of two groups, changed by `sql`.
async fn changed(sql: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    for (group, body) in [("a", "a-1"), ("a", "a-2"), ("a", "a-3"), ("b", "b-1")] {
        queue.send(group, body).await;
    }
    queue.store.close().await;
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    database.execute_batch(sql).unwrap();
    database.close().unwrap();
    dir
}

async fn take(queue: &Fixture) -> Vec<String> {
    let messages = queue.receive(10).await;
    for message in &messages {
        queue.delete(message).await;
    }
    bodies(&messages).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_damaged_message_holds_back_what_is_behind_it_and_nothing_else() {
    for sql in [
        "UPDATE message SET body = 'a-X' WHERE body = 'a-2'",
        "UPDATE message SET attributes = '{}' WHERE body = 'a-2'",
        "UPDATE message SET body = CAST(X'61ff62' AS TEXT) WHERE body = 'a-2'",
        "UPDATE message SET attributes = CAST(X'ff' AS TEXT) WHERE body = 'a-2'",
        "UPDATE message SET digest = X'00' WHERE body = 'a-2'",
        "UPDATE message SET attributes = 'no JSON', digest = NULL WHERE body = 'a-2'",
        "UPDATE message SET message_id = CAST(X'ff' AS TEXT) WHERE body = 'a-2'",
    ] {
        let dir = changed(sql).await;
        let queue = open(dir.path()).await;
        let mut departures = queue.store.departures().unwrap();
        assert_eq!(take(&queue).await, ["a-1", "b-1"], "{sql}");
        assert_eq!(departures.recv().await.unwrap().why, Why::Damaged, "{sql}");
        assert_eq!(take(&queue).await, [""; 0], "{sql}");
        let page = queue.store.peek(QUEUE, PeekFrom::default()).await.unwrap();
        assert_eq!((page.messages.len(), page.damaged), (1, 1), "{sql}");
        let damaged = queue.store.damaged().await.unwrap();
        let [damaged] = &damaged[..] else { panic!("{damaged:?}") };
        assert_eq!(
            (damaged.queue.as_str(), damaged.group.as_str(), damaged.behind),
            (QUEUE, "a", 1)
        );
        let statistics = queue.store.statistics(QUEUE).await.unwrap();
        assert_eq!((statistics.damaged, statistics.in_flight, statistics.visible), (1, 1, 1));

        // It waits for an operator, over a restart as well.
        let sequence = damaged.sequence_number;
        queue.store.close().await;
        let queue = open(dir.path()).await;
        queue.clock.advance(std::time::Duration::from_hours(24));
        assert_eq!(take(&queue).await, [""; 0], "{sql}");
        assert_eq!(SequenceNumber::parse(&sequence.to_string()), Some(sequence));
        assert!(queue.store.damaged_message(sequence).await.unwrap().is_some());
        assert!(queue.store.delete_damaged(sequence).await.unwrap());
        assert!(!queue.store.delete_damaged(sequence).await.unwrap());
        assert_eq!(take(&queue).await, ["a-3"], "{sql}");
        let statistics = queue.store.statistics(QUEUE).await.unwrap();
        assert_eq!(
            (statistics.damaged, statistics.in_flight, statistics.message_groups),
            (0, 0, 0)
        );
    }
}

#[tokio::test]
async fn what_is_left_of_it_is_there_byte_by_byte() {
    let dir = changed("UPDATE message SET body = CAST(X'61ff62' AS TEXT) WHERE body = 'a-1'").await;
    let queue = open(dir.path()).await;
    assert_eq!(take(&queue).await, ["b-1"]);
    let sequence = queue.store.damaged().await.unwrap()[0].sequence_number;
    let raw = queue.store.damaged_message(sequence).await.unwrap().unwrap();
    assert_eq!(raw.body, b"a\xffb");
}

#[tokio::test]
async fn a_group_whose_first_message_is_gone_goes_on_with_the_next() {
    let dir = changed("DELETE FROM message WHERE body IN ('a-1', 'b-1')").await;
    let queue = open(dir.path()).await;
    let mut departures = queue.store.departures().unwrap();
    let gone = departures.recv().await.unwrap();
    assert_eq!((gone.why, gone.messages), (Why::Gone, 2));
    assert_eq!(take(&queue).await, ["a-2", "a-3"]);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.message_groups), (0, 0));
}

#[tokio::test]
async fn a_first_message_that_is_gone_is_not_in_flight_any_more() {
    let dir = changed("").await;
    let queue = open(dir.path()).await;
    assert_eq!(bodies(&queue.receive(1).await), ["a-1"]);
    queue.store.close().await;
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    database.execute_batch("DELETE FROM message WHERE body = 'a-1'").unwrap();
    database.close().unwrap();

    let queue = open(dir.path()).await;
    let mut departures = queue.store.departures().unwrap();
    assert_eq!(departures.recv().await.unwrap().why, Why::Gone);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (3, 0));
    assert_eq!(take(&queue).await, ["a-2", "a-3", "b-1"]);
}

#[tokio::test]
async fn a_group_that_took_another_message_for_its_first_finds_it_again() {
    let dir = changed("UPDATE message_group SET head_sequence = head_sequence + 1").await;
    let queue = open(dir.path()).await;
    let mut found = Vec::new();
    while found.len() < 4 {
        found.extend(take(&queue).await);
        tokio::task::yield_now().await;
    }
    found.sort_unstable();
    assert_eq!(found, ["a-1", "a-2", "a-3", "b-1"]);
}

/// Nobody would ever find them, and nothing would be missing.
#[tokio::test]
async fn messages_whose_queue_or_group_is_gone_are_damage() {
    for sql in ["DELETE FROM queue", "DELETE FROM message_group WHERE name = 'b'"] {
        let dir = changed(sql).await;
        let store = Store::open(dir.path(), manual_clock()).unwrap();
        let failure = store.failed().await.to_string();
        assert!(failure.contains("belong to no queue or to no group"), "{failure}");
        store.close().await;
        assert!(Store::open(dir.path(), manual_clock()).is_err(), "it looks first now");
    }
}

#[tokio::test]
async fn a_message_that_moves_is_known_there() {
    let queue = Fixture::with_dead_letters(1).await;
    queue.send("a", "1").await;
    queue.receive(1).await;
    queue.advance_seconds(30);
    assert!(queue.receive(1).await.is_empty());
    assert_eq!(bodies(&queue.receive_from(crate::support::DEAD, 1).await), ["1"]);
}

#[tokio::test]
async fn what_a_former_version_stored_is_taken_as_it_is() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    version_1(dir.path(), clock.wall(), "UPDATE message SET body = 'changed' WHERE sequence = 1;");
    let queue = open(dir.path()).await;
    assert_eq!(queue.receive_from(crate::support::FORMER_QUEUE, 10).await[0].body, "changed");
}

/// A look at many messages asks now and then whether its store is closed.
#[tokio::test]
async fn damage_is_found_among_many_messages() {
    let many = "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
                INSERT INTO message (sequence, queue_id, group_id, sent_ms, message_id,
                                     deduplication_id, body)
                SELECT n, queue_id, group_id, sent_ms, n, n, n FROM n, message WHERE sequence = 1;
                DELETE FROM message_group WHERE name = 'b';";
    let dir = changed(many).await;
    let store = Store::open(dir.path(), manual_clock()).unwrap();
    let failure = tokio::time::timeout(std::time::Duration::from_mins(1), store.failed());
    let failure = failure.await.expect("the damage was not found").to_string();
    assert!(failure.contains("1 messages belong to no queue or to no group"), "{failure}");
    store.close().await;
}
