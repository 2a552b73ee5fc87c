//! What was delivered and is kept: within its bounds, in no queue, in the transaction of the delivery.

use std::time::Duration;

use domain::config::KeepDelivered;
use domain::time::Timestamp;
use engine::store::{KeptTotal, MessageAttribute, NewMessage, Store, Ways};

use crate::support::{DEAD, Fixture, QUEUE, attributes, manual_clock, message, version_1};

fn bounds(count: u32, bytes: u32) -> KeepDelivered {
    KeepDelivered::new(count, bytes).unwrap()
}

/// Receives all that can be received, and is done with it.
async fn deliver(fixture: &Fixture) {
    for received in fixture.receive(10).await {
        let handles = vec![received.receipt_handle];
        fixture.store.finish_batch(QUEUE, handles).await.unwrap().remove(0).unwrap();
    }
}

async fn kept(store: &Store) -> Vec<String> {
    let (kept, is_more) = store.kept_before(QUEUE, i64::MAX).await.unwrap();
    assert!(!is_more);
    kept.into_iter().map(|it| it.body).collect()
}

async fn total(store: &Store) -> (u64, u64) {
    let KeptTotal { events, bytes } = store.kept_total().await.unwrap();
    (events, bytes)
}

#[tokio::test]
async fn nothing_is_kept_unless_it_is_asked_for() {
    let fixture = Fixture::new().await;
    fixture.send("a", "1").await;
    deliver(&fixture).await;
    assert_eq!(total(&fixture.store).await, (0, 0));
}

#[tokio::test]
async fn the_oldest_goes_at_either_bound_and_what_has_no_room_alone_is_not_kept() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.keep_delivered(Some(bounds(3, 1_000_000))).await.unwrap();
    for body in ["1", "2", "3", "4"] {
        fixture.send("a", body).await;
        deliver(&fixture).await;
    }
    assert_eq!(kept(store).await, ["4", "3", "2"]);
    let (_, three) = total(store).await;
    // Room for two of them, less a byte.
    let two = u32::try_from(three / 3 * 2).unwrap();
    store.keep_delivered(Some(bounds(3, two))).await.unwrap();
    assert_eq!(kept(store).await, ["4", "3"]);
    store.keep_delivered(Some(bounds(3, two - 1))).await.unwrap();
    assert_eq!(kept(store).await, ["4"]);
    store.send(QUEUE, message("a", &"x".repeat(two as usize))).await.unwrap();
    deliver(&fixture).await;
    assert_eq!(kept(store).await, ["4"]);
    // A large one takes the place of several.
    store.keep_delivered(Some(bounds(3, two))).await.unwrap();
    fixture.send("a", "5").await;
    deliver(&fixture).await;
    assert_eq!(kept(store).await, ["5", "4"]);
    let body = "x".repeat(usize::try_from(three / 6).unwrap());
    let large = NewMessage { body: body.clone(), ..message("a", "6") };
    store.send(QUEUE, large).await.unwrap();
    deliver(&fixture).await;
    assert_eq!(kept(store).await, [body]);
    store.keep_delivered(None).await.unwrap();
    store.keep_delivered(Some(bounds(3, two))).await.unwrap();
    fixture.send("a", "7").await;
    deliver(&fixture).await;
    assert_eq!(total(store).await, (1, three / 3));
    store.keep_delivered(None).await.unwrap();
    assert_eq!(total(store).await, (0, 0));
}

#[tokio::test]
async fn only_what_was_delivered_is_kept_and_nothing_counts_it_as_queued() {
    let fixture = Fixture::with_dead_letters(9).await;
    let store = &fixture.store;
    store.keep_delivered(Some(bounds(10, 1_000_000))).await.unwrap();
    for body in ["done", "dead", "deleted"] {
        store.accept(QUEUE, message(body, body)).await.unwrap();
    }
    fixture.advance_seconds(7);
    let mut received = fixture.receive(3).await.into_iter();
    let mut next = || received.next().unwrap();
    let (done, dead, deleted) = (next(), next(), next());
    let mut copy = message("copy", "copy");
    copy.deduplication_id = Some(dead.message_id.clone());
    store.send(DEAD, copy).await.unwrap();
    fixture.advance_seconds(2);
    store.finish_batch(QUEUE, vec![done.receipt_handle, dead.receipt_handle]).await.unwrap();
    store.delete(QUEUE, &deleted.receipt_handle).await.unwrap();
    assert_eq!(kept(store).await, ["done"]);
    let one = store.kept(QUEUE, &done.message_id).await.unwrap().unwrap();
    assert_eq!((one.group.as_str(), one.sequence_number), ("done", done.sequence_number));
    assert_eq!(one.delivered_at.since(one.sent_at), Duration::from_secs(9));
    assert_eq!(one.receive_count, 1);
    assert_eq!(store.kept_beginning(QUEUE, &done.message_id[..8], 5).await.unwrap().len(), 1);
    assert!(store.kept_beginning(QUEUE, "nothing", 5).await.unwrap().is_empty());
    let (queue, _) = store.ledgers(QUEUE, DEAD).await.unwrap();
    let left = Ways { ingested: 3, done: 1, dead_lettered: 1, deleted: 1, ..Ways::default() };
    assert_eq!(queue.routes.values().next(), Some(&left));
    let statistics = store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight, statistics.message_groups), (0, 0, 0));
}

#[tokio::test]
async fn the_token_of_a_provider_is_not_kept_in_clear() {
    let fixture = Fixture::new().await;
    fixture.store.keep_delivered(Some(bounds(10, 1_000_000))).await.unwrap();
    let mut new = message("a", "1");
    new.attributes.insert("token".to_owned(), MessageAttribute::string("planted"));
    fixture.store.accept(QUEUE, new).await.unwrap();
    deliver(&fixture).await;
    let (kept, _) = fixture.store.kept_before(QUEUE, i64::MAX).await.unwrap();
    let token = kept[0].attributes["token"].text().unwrap();
    assert!(token.starts_with("hmac-sha256:"), "{token}");
}

#[tokio::test]
async fn it_is_kept_by_the_transaction_that_deletes_it_and_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let open = || {
        let store = Store::open(dir.path(), clock.clone()).unwrap();
        Fixture { store, clock: clock.clone() }
    };
    let fixture = open();
    fixture.store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    fixture.store.keep_delivered(Some(bounds(10, 1_000_000))).await.unwrap();
    fixture.send("a", "1").await;
    let received = fixture.receive(1).await.remove(0);
    fixture.store.faults().set_commits_fail(true);
    let handles = vec![received.receipt_handle.clone()];
    fixture.store.finish_batch(QUEUE, handles.clone()).await.unwrap_err();
    fixture.store.faults().set_commits_fail(false);
    assert!(kept(&fixture.store).await.is_empty());
    fixture.store.finish_batch(QUEUE, handles).await.unwrap();
    fixture.store.close().await;
    let fixture = open();
    assert_eq!(kept(&fixture.store).await, ["1"]);
    assert_eq!(total(&fixture.store).await.0, 1);
}

/// Finishes twenty events on a disk that has just become full; tells how many were kept, as some found no room.
async fn finish_on_a_full_disk(fixture: &Fixture) -> u64 {
    let store = &fixture.store;
    let received = [fixture.receive(10).await, fixture.receive(10).await].concat();
    store.faults().fill_disk().await.unwrap();
    for handle in received.into_iter().map(|it| it.receipt_handle) {
        store.finish_batch(QUEUE, vec![handle]).await.unwrap().remove(0).unwrap();
    }
    let (events, _) = total(store).await;
    assert!(events < 20, "{events} found room");
    events
}

#[tokio::test]
async fn on_a_full_disk_keeping_gives_way_and_not_the_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    let fixture = Fixture { store, clock };
    let store = &fixture.store;
    store.keep_delivered(Some(bounds(1_000, 100_000_000))).await.unwrap();
    for n in 0..200 {
        let body = format!("{n:0300}");
        let new = NewMessage { body, ..message(&n.to_string(), &n.to_string()) };
        fixture.store.send(QUEUE, new).await.unwrap();
    }
    let events = finish_on_a_full_disk(&fixture).await;
    let statistics = store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (180, 0));
    store.faults().empty_disk().await.unwrap();
    deliver(&fixture).await;
    assert_eq!(total(store).await.0, events, "nothing is kept until the disk was looked at");
    // As long as there is no room nothing is kept, and what was makes room for others.
    store.shrink(true).await.unwrap();
    assert_eq!(total(store).await, (0, 0));
    fixture.send("a", "meanwhile").await;
    deliver(&fixture).await;
    assert_eq!(total(store).await, (0, 0));
    store.shrink(false).await.unwrap();
    deliver(&fixture).await;
    assert_eq!(total(store).await.0, 10);
}

/// In memory there is no room that is held for those who bring what is there to its end.
#[tokio::test]
async fn where_nothing_is_held_keeping_gives_way_and_what_has_no_room_still_is_refused() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.keep_delivered(Some(bounds(1_000, 100_000_000))).await.unwrap();
    for n in 0..100 {
        let new =
            NewMessage { body: format!("{n:0300}"), ..message(&n.to_string(), &n.to_string()) };
        store.send(QUEUE, new).await.unwrap();
    }
    finish_on_a_full_disk(&fixture).await;
    let large = NewMessage { body: "x".repeat(1_000_000), ..message("a", "large") };
    store.send(QUEUE, large).await.unwrap_err();
}

/// One look reads a MiB of bodies, or a thousand events.
#[tokio::test]
async fn kept_events_come_a_page_at_a_time() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.keep_delivered(Some(bounds(10, 100_000_000))).await.unwrap();
    for n in 0..5 {
        let body = format!("{n}{}", "x".repeat(400_000));
        let large = NewMessage { body, ..message("a", &n.to_string()) };
        store.send(QUEUE, large).await.unwrap();
        deliver(&fixture).await;
    }
    let page = async |before| {
        let (kept, is_more) = store.kept_before(QUEUE, before).await.unwrap();
        let bodies: String = kept.iter().map(|it| &it.body[..1]).collect();
        (bodies, is_more, kept.last().map_or(0, |it| it.number))
    };
    let (bodies, is_more, last) = page(i64::MAX).await;
    assert_eq!((bodies.as_str(), is_more), ("432", true));
    let (bodies, is_more, _) = page(last).await;
    assert_eq!((bodies.as_str(), is_more), ("10", false));
}

#[tokio::test]
async fn a_database_of_before_has_room_for_it() {
    let dir = tempfile::tempdir().unwrap();
    version_1(dir.path(), Timestamp::from_ms(1_800_000_000_000), "");
    let store = Store::open(dir.path(), manual_clock()).unwrap();
    store.keep_delivered(Some(bounds(1, 1))).await.unwrap();
    assert_eq!(total(&store).await, (0, 0));
}

#[tokio::test]
async fn of_events_with_one_id_the_last_is_meant() {
    let fixture = Fixture::new().await;
    fixture.store.keep_delivered(Some(bounds(10, 1_000_000))).await.unwrap();
    for body in ["1", "2"] {
        let mut new = message("a", body);
        new.attributes.insert("event_id".to_owned(), MessageAttribute::string("evt-1"));
        fixture.store.accept(QUEUE, new).await.unwrap();
        deliver(&fixture).await;
    }
    let one = fixture.store.kept(QUEUE, "evt-1").await.unwrap().unwrap();
    assert_eq!(one.body, "2");
    assert_eq!(fixture.store.kept_beginning(QUEUE, "evt", 5).await.unwrap(), ["evt-1"]);
}
