//! The ledger: what came and went, by way, and that it neither forgets nor invents.

use domain::time::Timestamp;
use engine::store::{MessageAttribute, NewMessage, Store, Ways};

use crate::support::{DEAD, Fixture, QUEUE, attributes, manual_clock, message};

fn of_route(route: &str, body: &str) -> NewMessage {
    let mut message = message(body, body);
    message.attributes.insert("route".to_owned(), MessageAttribute::string(route));
    message
}

async fn ways(store: &Store, route: &str) -> (Ways, Ways) {
    let (queue, dead) = store.ledgers(QUEUE, DEAD).await.unwrap();
    let of = |routes: &std::collections::BTreeMap<String, Ways>| {
        routes.get(route).copied().unwrap_or_default()
    };
    (of(&queue.routes), of(&dead.routes))
}

#[tokio::test]
async fn every_way_in_and_out_is_counted_by_route() {
    let fixture = Fixture::with_dead_letters(2).await;
    let store = &fixture.store;
    for body in ["done", "dead", "deleted", "moved"] {
        store.accept(QUEUE, of_route("sss", body)).await.unwrap();
        store.accept(QUEUE, of_route("sss", body)).await.unwrap(); // A repeat is no message.
    }
    store.send(QUEUE, of_route("other", "sent")).await.unwrap();
    let mut received = fixture.receive(5).await.into_iter();
    let mut next = || received.next().unwrap();
    let (done, dead, deleted) = (next(), next(), next());
    // The forwarder's copy bears the message's id.
    let mut copy = of_route("sss", "copy");
    copy.group_id.clone_from(&dead.message_id);
    copy.deduplication_id = Some(dead.message_id.clone());
    store.send(DEAD, copy).await.unwrap();
    store.finish_batch(QUEUE, vec![done.receipt_handle, dead.receipt_handle]).await.unwrap();
    store.delete(QUEUE, &deleted.receipt_handle).await.unwrap();
    fixture.advance_seconds(31);
    assert_eq!(fixture.receive(5).await.len(), 2);
    fixture.advance_seconds(31);
    assert_eq!(fixture.receive(5).await.len(), 0, "received twice: both are moved");

    let none = Ways::default();
    let (queue, dead) = ways(store, "sss").await;
    let left = Ways { done: 1, dead_lettered: 1, deleted: 1, moved_out: 1, ..none };
    assert_eq!(queue, Ways { ingested: 4, ..left });
    assert_eq!(dead, Ways { sent: 1, moved_in: 1, queued: 2, ..none });
    let (queue, dead) = ways(store, "other").await;
    assert_eq!(queue, Ways { sent: 1, moved_out: 1, ..none });
    assert_eq!(dead, Ways { moved_in: 1, queued: 1, ..none });

    store.purge_queue(DEAD).await.unwrap();
    let (_, dead) = ways(store, "sss").await;
    assert_eq!((dead.purged, dead.queued), (2, 0));
}

#[tokio::test]
async fn what_expires_is_counted() {
    let fixture = Fixture::with_dead_letters(9).await;
    fixture.set("MessageRetentionPeriod", "60").await;
    fixture.store.accept(QUEUE, of_route("sss", "old")).await.unwrap();
    fixture.advance_seconds(61);
    assert!(fixture.receive(1).await.is_empty());
    let (queue, _) = ways(&fixture.store, "sss").await;
    assert_eq!(queue, Ways { ingested: 1, expired: 1, ..Ways::default() });
}

#[tokio::test]
async fn what_was_not_committed_is_not_counted() {
    let fixture = Fixture::with_dead_letters(9).await;
    let faults = fixture.store.faults();
    faults.set_commits_fail(true);
    fixture.store.accept(QUEUE, of_route("sss", "lost")).await.unwrap_err();
    faults.set_commits_fail(false);
    fixture.store.accept(QUEUE, of_route("sss", "kept")).await.unwrap();
    let (queue, _) = ways(&fixture.store, "sss").await;
    assert_eq!(queue, Ways { ingested: 1, queued: 1, ..Ways::default() });
}

/// A store in a directory with the two queues.
async fn open(dir: &std::path::Path) -> Store {
    let store = Store::open(dir, manual_clock()).unwrap();
    for queue in [QUEUE, DEAD] {
        store.ensure_queue(queue, &attributes([("FifoQueue", "true")])).await.unwrap();
    }
    store
}

fn sqlite(dir: &std::path::Path, sql: &str) {
    rusqlite::Connection::open(dir.join("queues.db")).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn it_outlives_the_engine_and_shows_a_row_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for body in ["a", "b", "c"] {
        store.accept(QUEUE, of_route("sss", body)).await.unwrap();
    }
    let since = store.ledgers(QUEUE, DEAD).await.unwrap().0.since;
    store.close().await;
    sqlite(dir.path(), "DELETE FROM message WHERE sequence = (SELECT max(sequence) FROM message)");
    let store = open(dir.path()).await;
    let (queue, _) = ways(&store, "sss").await;
    assert_eq!(queue, Ways { ingested: 3, queued: 2, ..Ways::default() });
    assert_eq!(store.ledgers(QUEUE, DEAD).await.unwrap().0.since, since);
}

#[tokio::test]
async fn after_an_engine_without_a_ledger_it_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for body in ["a", "b"] {
        store.accept(QUEUE, of_route("sss", body)).await.unwrap();
    }
    store.close().await;
    // What such an engine leaves behind: another number, and, had it made the database, no tables.
    sqlite(
        dir.path(),
        "DROP TABLE ledger; ALTER TABLE progress DROP COLUMN ledger_number;
         ALTER TABLE progress DROP COLUMN ledger_since_ms;
         UPDATE progress SET next_number = next_number + 1",
    );
    let store = open(dir.path()).await;
    let (queue, _) = ways(&store, "sss").await;
    assert_eq!(queue, Ways { opening: 2, queued: 2, ..Ways::default() });
    assert!(store.ledgers(QUEUE, DEAD).await.unwrap().0.since > Timestamp::default());
}
