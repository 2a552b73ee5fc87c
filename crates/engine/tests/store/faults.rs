//! A disk that fails: nothing is acknowledged that is not there, and nothing that was is lost.

use crate::support::{Fixture, QUEUE, attributes, bodies, manual_clock, message};
use engine::store::{NewMessage, Store, StoreError, Tags};

async fn on_disk(dir: &tempfile::TempDir) -> Fixture {
    let clock = manual_clock();
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    store.create_queue(QUEUE, &attributes([("FifoQueue", "true")]), &Tags::new()).await.unwrap();
    Fixture { store, clock }
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(&dir).await;
    queue.send("a", "1").await;
    queue.store.faults().fill_disk().await.unwrap();
    let large = NewMessage { body: "x".repeat(100_000), ..message("a", "large") };
    let error = queue.store.send(QUEUE, large.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Storage(_)), "{error}");
    assert_eq!(bodies(&queue.receive(10).await), ["1"], "what is there is served");

    queue.store.faults().empty_disk().await.unwrap();
    assert!(!queue.store.send(QUEUE, large).await.unwrap().duplicate, "the first one was not kept");
    queue.advance_seconds(30);
    assert_eq!(queue.receive(10).await.len(), 2);
}

#[tokio::test]
async fn a_full_disk_fails_the_message_that_does_not_fit_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(&dir).await;
    // Leaves free pages behind, so that small messages still fit.
    let filler = NewMessage { body: "x".repeat(60_000), ..message("filler", "filler") };
    queue.store.send(QUEUE, filler).await.unwrap();
    queue.delete(&queue.receive(1).await[0]).await;
    queue.store.faults().fill_disk().await.unwrap();
    let large = NewMessage { body: "y".repeat(1_000_000), ..message("b", "large") };
    let (small, large, other) = tokio::join!(
        queue.store.send(QUEUE, message("a", "1")),
        queue.store.send(QUEUE, large),
        queue.store.send(QUEUE, message("c", "2")),
    );
    large.unwrap_err();
    small.unwrap();
    other.unwrap();
    assert_eq!(bodies(&queue.receive(10).await), ["1", "2"]);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(&dir).await;
    let first = queue.send("a", "1").await;
    queue.store.faults().set_commits_fail(true);
    let (one, other) = tokio::join!(
        queue.store.send(QUEUE, message("a", "2")),
        queue.store.send(QUEUE, message("b", "3")),
    );
    one.unwrap_err();
    other.unwrap_err();
    queue.store.faults().set_commits_fail(false);
    let second = queue.send("a", "2").await;
    assert!(!second.duplicate && second.sequence_number > first.sequence_number);
    assert_eq!(bodies(&queue.receive(10).await), ["1", "2"]);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (0, 2));
}
