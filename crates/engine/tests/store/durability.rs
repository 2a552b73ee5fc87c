//! What is left after the store was closed or the process killed, and what is refused at the start.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::{
    FORMER_DEAD, FORMER_QUEUE, Fixture, QUEUE, attributes, bodies, manual_clock, message, version_1,
};
use engine::Failure;
use engine::clock::Clock as _;
use engine::store::{NewMessage, OpenError, Sender, Store, Tags};

async fn open(dir: &Path) -> Fixture {
    let clock = manual_clock();
    let store = Store::open(dir, clock.clone()).unwrap();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    Fixture { store, clock }
}

fn open_error(dir: &Path) -> OpenError {
    match Store::open(dir, manual_clock()) {
        Ok(_) => panic!("{} was opened", dir.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    let sent = queue.send("a", "1").await;
    queue.send("a", "2").await;
    queue.send("b", "3").await;
    let held = queue.receive(1).await.remove(0);
    let deleted = queue.receive(1).await.remove(0);
    queue.delete(&deleted).await;
    queue.store.close().await;

    let queue = open(dir.path()).await;
    assert!(queue.receive(10).await.is_empty(), "group a is still locked, b was deleted");
    assert!(queue.send("a", "1").await.duplicate, "deduplication goes on");
    queue.delete(&held).await;
    let rest = queue.receive(10).await;
    assert_eq!(bodies(&rest), ["2"]);
    assert!(rest[0].sequence_number > sent.sequence_number);
}

#[tokio::test]
async fn sequence_numbers_go_on_after_the_last_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    let last = queue.send("a", "1").await;
    queue.delete(&queue.receive(1).await[0]).await;
    queue.store.close().await;
    let queue = open(dir.path()).await;
    assert!(queue.send("a", "2").await.sequence_number > last.sequence_number);
}

#[tokio::test]
async fn a_second_engine_is_refused_while_the_first_runs() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    queue.store.close().await;
    open(dir.path()).await;
}

/// A directory whose database was filled, closed, and given to `damage`.
async fn damaged(damage: impl FnOnce(&Path)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    for number in 0..50 {
        let body = "x".repeat(2_000);
        let message = NewMessage { body, ..message("a", &number.to_string()) };
        queue.store.send(QUEUE, message).await.unwrap();
    }
    queue.store.close().await;
    damage(&dir.path().join("queues.db"));
    dir
}

/// What is left must be refused and left as it is.
async fn check_damage(damage: impl FnOnce(&Path), expected: &str) {
    let dir = damaged(damage).await;
    let file = dir.path().join("queues.db");
    let before = fs::read(&file).ok();
    let error = open_error(dir.path());
    assert!(error.to_string().contains(expected), "{error}");
    assert!(error.to_string().contains("queues.db"), "{error}");
    assert!(fs::read(&file).ok() == before, "the file was changed");
}

fn overwrite(file: &Path, offset: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(file).unwrap().write_all_at(bytes, offset).unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_alone() {
    check_damage(|file| overwrite(file, 0, b"no database at all"), "is damaged").await;
    check_damage(|file| fs::write(file, b"").unwrap(), "is damaged (it is empty)").await;
    let half = |file: &Path| {
        let length = fs::metadata(file).unwrap().len();
        fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    };
    check_damage(half, "is damaged").await;
}

#[tokio::test]
async fn damage_deep_in_a_database_is_found_beside_its_use_and_then_at_each_start() {
    let dir = damaged(|file| overwrite(file, 4_096 * 20, &[0xff; 4_096])).await;
    let file = dir.path().join("queues.db");
    let before = fs::read(&file).unwrap();
    let store = Store::open(dir.path(), manual_clock()).unwrap();
    let failure = store.failed().await;
    assert!(matches!(failure, Failure::Damaged { .. }), "{failure}");
    assert!(failure.to_string().contains("queues.db is damaged"), "{failure}");
    store.close().await;
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(fs::read(&file).unwrap() == before, "the file was changed");

    // Once it was mended, or a copy put into its place, it opens.
    fs::remove_file(&file).unwrap();
    open(dir.path()).await.store.close().await;
}

#[tokio::test]
async fn the_mark_of_damage_goes_once_there_is_none() {
    let dir = damaged(|_| ()).await;
    let mark = dir.path().join("queues.db.damaged");
    fs::write(&mark, "what was wrong").unwrap();
    open(dir.path()).await.store.close().await;
    assert!(!mark.exists(), "each start would look before it accepts anything");

    fs::create_dir(&mark).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::Untrusted(_)), "{error}");
}

#[tokio::test]
async fn a_database_that_is_gone_is_not_replaced_while_its_log_is_there() {
    let gone = |file: &Path| {
        fs::write(file.with_extension("db-wal"), b"left over").unwrap();
        fs::remove_file(file).unwrap();
    };
    check_damage(gone, "its write-ahead log is there, but it is not").await;
}

#[tokio::test]
async fn a_newer_database_or_another_applications_is_refused() {
    const USER_VERSION: u64 = 60;
    const APPLICATION_ID: u64 = 68;
    check_damage(|file| overwrite(file, USER_VERSION, &[0, 0, 0, 99]), "schema version 99").await;
    check_damage(|file| overwrite(file, APPLICATION_ID, &[1, 2, 3, 4]), "another application")
        .await;
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("queues.db.new"), b"half a database").unwrap();
    let queue = open(dir.path()).await;
    queue
        .store
        .create_queue("b.fifo", &attributes([("FifoQueue", "true")]), &Tags::new())
        .await
        .unwrap();
}

/// Of a group's two messages the second is in flight, which locked the whole group, and another group
/// has nothing else.
#[tokio::test]
async fn what_was_in_flight_in_a_former_version_holds_back_what_is_behind_it() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let in_flight = "
        INSERT INTO delivery
            SELECT m.sequence, m.queue_id, 1, first_received_ms, received_ms, 5, visible_at_ms, NULL
            FROM delivery, message m WHERE m.sequence IN (2, 3);
        UPDATE message_group SET in_flight = 1 WHERE queue_id = 2;
        UPDATE queue_count SET in_flight = 2 WHERE queue_id = 2;";
    version_1(dir.path(), clock.wall(), in_flight);
    for _ in 0..2 {
        Store::open(dir.path(), clock.clone()).unwrap().close().await;
    }
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    let queue = Fixture { store, clock };
    queue.store.send(FORMER_QUEUE, message("z", "new")).await.unwrap();
    assert_eq!(bodies(&queue.receive_from(FORMER_QUEUE, 10).await), [r#"{"n":1}"#, "new"]);
    assert!(queue.receive_from(FORMER_QUEUE, 10).await.is_empty());
    queue.advance_seconds(60);
    let all = queue.receive_from(FORMER_QUEUE, 10).await;
    assert_eq!(bodies(&all), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, "new"]);
}

/// It is written in place then, also where the disk has no room any more.
#[tokio::test]
async fn the_log_has_its_room_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    let log = std::fs::metadata(dir.path().join("queues.db-wal")).unwrap();
    assert!(log.len() >= 4 * 1_024 * 1_024, "{} bytes", log.len());
    queue.store.close().await;
}

#[tokio::test]
async fn the_data_directory_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let _fixture = open(&dir).await;
    let mode = std::fs::metadata(&dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn what_a_former_version_stored_is_there_and_who_sent_it_as_far_as_it_knew() {
    for change in ["", "ALTER TABLE message DROP COLUMN from_api;"] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
        version_1(dir.path(), clock.wall(), change);
        let store = Store::open(dir.path(), clock.clone()).unwrap();
        let queue = Fixture { store, clock };
        let messages = queue.receive_from(FORMER_QUEUE, 10).await;
        assert_eq!(bodies(&messages), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
        assert!(messages.iter().all(|it| it.sender == Sender::Ingest));
        let repeat = NewMessage {
            deduplication_id: Some("fed53678-12e2-48d0-bf27-fa429aa21497".to_owned()),
            ..message("a", "1")
        };
        assert!(queue.store.send(FORMER_QUEUE, repeat).await.unwrap().duplicate);
        queue.advance_seconds(30);
        let dead = queue.receive_from(FORMER_DEAD, 1).await.remove(0);
        let knew = if change.is_empty() { Sender::Api } else { Sender::Ingest };
        assert_eq!((dead.receive_count, dead.sender), (2, knew));
        let next = queue.store.send(FORMER_QUEUE, message("z", "new")).await.unwrap();
        assert!(next.sequence_number > dead.sequence_number);
    }
}
