//! What counts as a repeat, where, and for how long.

use crate::support::{Fixture, QUEUE, attributes, bodies, manual_clock, message};
use engine::store::{NewMessage, ReceiveRequest, Store, Tags};

#[tokio::test]
async fn a_repeat_is_answered_like_the_first_and_not_queued() {
    let queue = Fixture::new().await;
    let first = queue.send("a", "1").await;
    let again = queue.send("b", "1").await;
    assert!(again.duplicate && !first.duplicate);
    assert_eq!(
        (&first.message_id, first.sequence_number),
        (&again.message_id, again.sequence_number)
    );
    assert_eq!(queue.receive(10).await.len(), 1);
}

#[tokio::test]
async fn an_id_counts_for_five_minutes_even_when_its_message_is_gone() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.delete(&queue.receive(1).await[0]).await;
    queue.advance_seconds(299);
    assert!(queue.send("a", "1").await.duplicate);
    queue.advance_seconds(1);
    assert!(!queue.send("a", "1").await.duplicate, "the repeat did not start the time again");
}

#[tokio::test]
async fn what_was_purged_can_be_sent_again() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.advance_seconds(200);
    queue.store.purge_queue(QUEUE).await.unwrap();
    queue.advance_seconds(1);
    assert!(!queue.send("a", "1").await.duplicate);
    assert!(queue.send("a", "1").await.duplicate, "it counts from then on");
    assert_eq!(bodies(&queue.receive(10).await), ["1"]);
    queue.advance_seconds(299);
    assert!(queue.send("a", "1").await.duplicate);
    queue.advance_seconds(1);
    assert!(!queue.send("a", "1").await.duplicate);
}

#[tokio::test]
async fn in_group_scope_an_id_counts_in_its_group_only() {
    let queue = Fixture::with(attributes([("DeduplicationScope", "messageGroup")])).await;
    queue.send("a", "1").await;
    assert!(!queue.send("b", "1").await.duplicate);
    assert!(queue.send("a", "1").await.duplicate);
}

/// Ids that begin with their time are remembered in its order. That changes nothing of what a repeat is.
#[tokio::test]
async fn a_uuid_of_version_7_counts_as_any_other_id_and_is_kept_by_its_time() {
    let ids = |count: u64| (0..count).map(|n| format!("01970000-00{n:02x}-7abc-9def-0123456789ab"));
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    let grouped = attributes([("FifoQueue", "true"), ("DeduplicationScope", "messageGroup")]);
    store.create_queue(QUEUE, &grouped, &Tags::new()).await.unwrap();
    let other = "other.fifo";
    store.create_queue(other, &attributes([("FifoQueue", "true")]), &Tags::new()).await.unwrap();
    let is_repeat = async |queue: &str, group: &str, id: &str| {
        store.send(queue, message(group, id)).await.unwrap().duplicate
    };
    for id in ids(20) {
        for (queue, group) in [(QUEUE, "a"), (QUEUE, "b"), (other, "a")] {
            assert!(!is_repeat(queue, group, &id).await, "{queue} {group} {id}");
            assert!(is_repeat(queue, group, &id).await, "{queue} {group} {id}");
        }
        let written_otherwise = [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}")];
        for id in written_otherwise {
            assert!(!is_repeat(QUEUE, "a", &id).await, "{id}");
            assert!(is_repeat(QUEUE, "a", &id).await, "{id}");
        }
    }
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    let mut by_key = database
        .prepare(
            "SELECT d.sequence FROM deduplication d JOIN message m USING (sequence)
             WHERE deduplication_id GLOB '????????-????-7*' AND lower(deduplication_id) = deduplication_id
             AND group_id = (SELECT group_id FROM message ORDER BY sequence LIMIT 1) ORDER BY key",
        )
        .unwrap();
    let sequences = by_key.query_map([], |row| row.get(0)).unwrap();
    let sequences: Vec<i64> = sequences.map(Result::unwrap).collect();
    assert_eq!(sequences.len(), 20);
    assert!(sequences.is_sorted(), "{sequences:?}");
    store.close().await;
}

/// None of its bits is lost in its key: an event whose id differs in one is no repeat.
#[tokio::test]
async fn uuids_that_differ_in_one_bit_are_two() {
    let queue = Fixture::new().await;
    let id = 0x0197_0000_0000_7abc_9def_0123_4567_89ab_u128;
    let version = 76..80;
    for bit in (0..128).filter(|bit| !version.contains(bit)) {
        let hex = format!("{:032x}", id ^ (1 << bit));
        let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        assert!(!queue.send("a", &id).await.duplicate, "bit {bit}: {id}");
    }
}

#[tokio::test]
async fn the_body_stands_in_for_the_id_where_the_queue_says_so() {
    let without_id = |body| NewMessage { deduplication_id: None, ..message("a", body) };
    let queue = Fixture::new().await;
    let error = queue.store.send(QUEUE, without_id("1")).await.unwrap_err();
    assert!(error.to_string().contains("ContentBasedDeduplication"), "{error}");

    queue.set("ContentBasedDeduplication", "true").await;
    assert!(!queue.store.send(QUEUE, without_id("1")).await.unwrap().duplicate);
    assert!(queue.store.send(QUEUE, without_id("1")).await.unwrap().duplicate);
    assert!(!queue.store.send(QUEUE, without_id("2")).await.unwrap().duplicate);
    assert!(!queue.store.send(QUEUE, message("a", "1")).await.unwrap().duplicate, "own id");
    let received = queue.receive(10).await;
    assert_eq!(bodies(&received), ["1", "2", "1"]);
    assert_eq!(
        received[0].deduplication_id,
        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    );
}

/// What is remembered goes with what comes, so that neither table grows without bound.
#[tokio::test]
async fn what_outlived_its_time_is_forgotten() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    store.create_queue(QUEUE, &attributes([("FifoQueue", "true")]), &Tags::new()).await.unwrap();
    let queue = Fixture { store, clock };
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    let remembered = |table: &str| -> u32 {
        let count = format!("SELECT count(*) FROM {table}");
        database.query_row(&count, [], |row| row.get(0)).unwrap()
    };
    let receive = async |id: String| {
        let request = ReceiveRequest { attempt_id: Some(id), ..ReceiveRequest::default() };
        let message = queue.store.receive(QUEUE, request).await.unwrap().remove(0);
        queue.delete(&message).await;
    };
    for number in 0..10 {
        queue.send("a", &format!("old-{number}")).await;
        receive(format!("old-{number}")).await;
    }
    assert_eq!((remembered("deduplication"), remembered("receive_attempt")), (10, 10));
    queue.advance_seconds(300);
    for number in 0..10 {
        queue.send("a", &format!("new-{number}")).await;
        receive(format!("new-{number}")).await;
    }
    assert_eq!((remembered("deduplication"), remembered("receive_attempt")), (10, 10));
    queue.store.close().await;
}
