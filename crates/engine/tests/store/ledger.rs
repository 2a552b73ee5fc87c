//! The ledger: what came and went, by way, and that it neither forgets nor invents.

use engine::clock::Clock as _;
use engine::store::{Departure, MessageAttribute, NewMessage, ReceivedMessage, Store, Ways, Why};

use crate::support::{
    DEAD, FORMER_DEAD, FORMER_QUEUE, Fixture, QUEUE, attributes, manual_clock, message, version_1,
};

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
    let mut returned = of_route("back", "returned");
    returned.attributes.insert("event_id".to_owned(), MessageAttribute::string("evt-1"));
    store.send(DEAD, returned).await.unwrap();
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

    let (_, dead) = ways(store, "back").await;
    assert_eq!(dead, Ways { returned: 1, queued: 1, ..none });

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
    let mut departures = store.departures().unwrap();
    let gone = departures.recv().await.unwrap();
    assert_eq!(
        (gone.queue.as_str(), gone.why, gone.route.as_str(), gone.messages),
        (QUEUE, Why::Gone, "sss", 1)
    );
    let (queue, _) = ways(&store, "sss").await;
    assert_eq!(queue, Ways { ingested: 3, queued: 2, ..Ways::default() });
    assert_eq!(store.statistics(QUEUE).await.unwrap().visible, 2);
    assert_eq!(store.ledgers(QUEUE, DEAD).await.unwrap().0.since, since);
}

#[tokio::test]
async fn the_ledger_of_a_former_version_goes_on_unless_an_engine_without_one_worked_since() {
    let without = "DROP TABLE ledger; ALTER TABLE progress DROP COLUMN ledger_number;
                   ALTER TABLE progress DROP COLUMN ledger_since_ms;";
    let stale = "UPDATE progress SET next_number = next_number + 1;";
    let kept = Ways { ingested: 3, queued: 3, ..Ways::default() };
    let anew = Ways { opening: 3, queued: 3, ..Ways::default() };
    for (change, expected) in [("", kept), (without, anew), (stale, anew)] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
        version_1(dir.path(), clock.wall(), change);
        let store = Store::open(dir.path(), clock.clone()).unwrap();
        let ledgers = store.ledgers(FORMER_QUEUE, FORMER_DEAD).await.unwrap();
        assert_eq!(ledgers.0.routes["sss"], expected, "{change}");
        let day_ms = 24 * 60 * 60 * 1_000;
        assert!(ledgers.0.since.as_ms() > clock.wall().as_ms() - day_ms, "{change}");
    }
}

#[tokio::test]
async fn whatever_leaves_in_another_way_than_by_delivery_is_told_once_it_is_durable() {
    let queue = Fixture::with(attributes([("MessageRetentionPeriod", "60")])).await;
    let mut departures = queue.store.departures().unwrap();
    assert!(queue.store.departures().is_none(), "one listens");
    for body in ["done", "deleted", "expired"] {
        queue.store.accept(QUEUE, of_route("sss", body)).await.unwrap();
    }
    let received = queue.receive(10).await;
    let handles = |from: &ReceivedMessage| vec![from.receipt_handle.clone()];
    queue.store.faults().set_commits_fail(true);
    queue.store.delete(QUEUE, &received[1].receipt_handle).await.unwrap_err();
    queue.store.faults().set_commits_fail(false);
    queue.store.finish_batch(QUEUE, handles(&received[0])).await.unwrap();
    queue.delete(&received[1]).await;
    queue.advance_seconds(60);
    queue.store.expire().await.unwrap();
    queue.store.accept(QUEUE, of_route("sss", "purged")).await.unwrap();
    queue.store.purge_queue(QUEUE).await.unwrap();
    let told = |message: Option<&ReceivedMessage>, why| Departure {
        queue: QUEUE.to_owned(),
        why,
        route: "sss".to_owned(),
        messages: 1,
        event_id: message.map(|it| it.message_id.clone()),
    };
    for expected in [
        told(Some(&received[1]), Why::Deleted),
        told(Some(&received[2]), Why::Expired),
        told(None, Why::Purged),
    ] {
        assert_eq!(departures.try_recv().unwrap(), expected);
    }
    departures.try_recv().unwrap_err();
}

#[tokio::test]
async fn it_says_when_it_began_and_a_restart_is_no_beginning() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let since = async || {
        let store = Store::open(dir.path(), clock.clone()).unwrap();
        let fifo = attributes([("FifoQueue", "true")]);
        store.ensure_queue(QUEUE, &fifo).await.unwrap();
        let since = store.ledgers(QUEUE, QUEUE).await.unwrap().0.since;
        store.close().await;
        since
    };
    let began = clock.wall();
    assert_eq!(since().await, began);
    clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(since().await, began);
}

/// What is sent at the same moment is in one transaction.
#[tokio::test]
async fn queues_that_change_in_one_transaction_are_counted_apart() {
    let queue = Fixture::with_dead_letters(9).await;
    let mut departures = queue.store.departures().unwrap();
    let (store, of_route) = (&queue.store, |body| of_route("sss", body));
    let (first, second, third) = tokio::join!(
        store.accept(QUEUE, of_route("1")),
        store.accept(DEAD, of_route("2")),
        store.accept(DEAD, of_route("3")),
    );
    first.and(second).and(third).unwrap();
    let accepted = |messages| Ways { ingested: messages, queued: messages, ..Ways::default() };
    assert_eq!(ways(store, "sss").await, (accepted(1), accepted(2)));

    // What was accepted just before is purged, and what has just gone is not.
    let held = queue.receive(1).await.remove(0);
    let (deleted, sent, other, purged) = tokio::join!(
        store.finish_batch(QUEUE, vec![held.receipt_handle]),
        store.accept(DEAD, of_route("4")),
        store.accept(QUEUE, message("z", "no-route")),
        store.purge_queue(QUEUE),
    );
    deleted.unwrap();
    sent.and(other).unwrap();
    purged.unwrap();
    let told = departures.recv().await.unwrap();
    assert_eq!((told.why, told.route.as_str(), told.messages), (Why::Purged, "", 1));
    departures.try_recv().unwrap_err();
}
