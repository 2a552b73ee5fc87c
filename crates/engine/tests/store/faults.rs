//! A disk that fails: nothing is acknowledged that is not there, and nothing that was is lost.

use crate::support::{Fixture, QUEUE, attributes, bodies, manual_clock, message};
use engine::Failure;
use engine::store::{NewMessage, StorageError, Store, StoreError, Tags};

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
    for result in [one, other] {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Storage(StorageError::Injected)), "{error}");
    }
    queue.store.faults().set_commits_fail(false);
    let second = queue.send("a", "2").await;
    assert!(!second.duplicate && second.sequence_number > first.sequence_number);
    assert_eq!(bodies(&queue.receive(10).await), ["1", "2"]);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight), (0, 2));
}

/// What the system could not write it forgets: the same commit would succeed at once, and not be there.
#[tokio::test]
async fn after_an_fsync_that_failed_nothing_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(&dir).await;
    queue.send("a", "1").await;
    queue.store.faults().make_syncs_fail();
    let error = queue.store.send(QUEUE, message("a", "2")).await.unwrap_err();
    assert!(matches!(error, StoreError::Storage(StorageError::Closed)), "{error}");
    let failure = queue.store.failed().await;
    assert!(matches!(failure, Failure::NotKept(_)), "{failure}");
    assert!(failure.to_string().contains("disk I/O error"), "{failure}");
    queue.store.send(QUEUE, message("a", "3")).await.unwrap_err();
    queue.store.close().await;
    let again = Store::open(dir.path(), manual_clock()).unwrap();
    let received = Fixture { store: again, clock: manual_clock() }.receive(10).await;
    assert_eq!(bodies(&received), ["1"]);
}

#[tokio::test]
async fn a_thread_that_dies_is_told_and_lets_go_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(&dir).await;
    queue.send("a", "1").await;
    queue.store.faults().make_writer_panic();
    queue.store.send(QUEUE, message("a", "2")).await.unwrap_err();
    assert_eq!(queue.store.failed().await, Failure::Panicked("store"));
    queue.store.close().await;
    Store::open(dir.path(), manual_clock()).unwrap();
}

#[tokio::test]
async fn whoever_looks_waits_for_no_commit_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = on_disk(&dir).await;
    queue.send("a", "1").await;
    let mut commits = queue.store.faults().hold_commits();
    let store = queue.store.clone();
    let sending = tokio::spawn(async move { store.send(QUEUE, message("b", "2")).await });
    commits.held().await;
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap().visible, 1);
    assert_eq!(queue.store.queue_names("").await.unwrap(), [QUEUE]);
    queue.store.settings(QUEUE).await.unwrap();
    queue.store.tags(QUEUE).await.unwrap();
    queue.store.groups(QUEUE, "", 10).await.unwrap();
    queue.store.waiting_groups(QUEUE, 10).await.unwrap();
    queue.store.waiting_group_count(QUEUE).await.unwrap();
    queue.store.find_event("1").await.unwrap();
    queue.store.dead_letter_reasons(QUEUE).await.unwrap();
    queue.store.ledgers(QUEUE, QUEUE).await.unwrap();
    assert!(!sending.is_finished());
    drop(commits);
    sending.await.unwrap().unwrap();
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap().visible, 2);
}
