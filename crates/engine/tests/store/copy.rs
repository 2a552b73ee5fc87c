//! A copy of the queues, and back.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use engine::clock::Clock as _;
use engine::store::{Copied, CopyError, NewMessage, OpenError, Store, backup, compact, restore};

use crate::support::{Fixture, QUEUE, attributes, bodies, manual_clock, message, version_1};

async fn open(dir: &Path) -> Fixture {
    let clock = manual_clock();
    let store = Store::open(dir, clock.clone()).unwrap();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    Fixture { store, clock }
}

fn copy(dir: &Path, file: &Path) -> Result<Copied, CopyError> {
    backup(dir, file, manual_clock().wall(), |_, _| {})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_traffic_has_all_that_was_accepted_before_it() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let queue = open(dir.path()).await;
    for number in 0..200 {
        queue.send("a", &format!("before-{number:03}")).await;
    }
    let store = queue.store.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let traffic = tokio::spawn(async move {
        for number in 0.. {
            if stopped.try_recv().is_ok() {
                return number;
            }
            let body = format!("during-{number:05}");
            store.send(QUEUE, message("a", &body)).await.unwrap();
        }
        0
    });
    let file = copies.path().join("copy.db");
    let (data_dir, to) = (dir.path().to_owned(), file.clone());
    let made = tokio::task::spawn_blocking(move || copy(&data_dir, &to)).await.unwrap().unwrap();
    stop.send(()).unwrap();
    let sent_during = traffic.await.unwrap();
    assert_eq!(made.taken_at_ms, Some(manual_clock().wall().as_ms()));
    let last = queue.send("a", "after").await.sequence_number;
    queue.store.close().await;

    let new = tempfile::tempdir().unwrap();
    let restored = restore(&file, new.path(), false).unwrap();
    assert_eq!(restored, made);
    let queue = open(new.path()).await;
    let mut found = Vec::new();
    loop {
        let messages = queue.receive(10).await;
        if messages.is_empty() {
            break;
        }
        for message in &messages {
            queue.delete(message).await;
        }
        found.extend(bodies(&messages).into_iter().map(str::to_owned));
    }
    let (before, during) = found.split_at(200);
    assert!(before.iter().enumerate().all(|(n, body)| *body == format!("before-{n:03}")));
    assert!(during.iter().enumerate().all(|(n, body)| *body == format!("during-{n:05}")));
    assert!(during.len() <= sent_during);
    assert_eq!(restored.messages, [(QUEUE.to_owned(), found.len() as u64)]);
    assert!(queue.send("a", "new").await.sequence_number > last, "no number is given twice");
}

#[tokio::test]
async fn a_pause_and_the_skips_go_with_it_and_nothing_else_does() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(dir.path()).await.store.close().await;
    let names = ["pauses.json", "event-source-mapping.json", "access-key-id", "engine.log"];
    for name in names {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let file = copies.path().join("copy.db");
    copy(dir.path(), &file).unwrap();
    let new = tempfile::tempdir().unwrap();
    for name in ["skips.json", "schedule.json"] {
        fs::write(new.path().join(name), "of former queues").unwrap();
    }
    restore(&file, new.path(), false).unwrap();
    let there = |name: &str| fs::read_to_string(new.path().join(name)).ok();
    for name in ["pauses.json", "event-source-mapping.json"] {
        assert_eq!(there(name).as_deref(), Some(name));
    }
    for name in ["access-key-id", "engine.log", "skips.json", "schedule.json"] {
        assert_eq!(there(name), None, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_overwritten_unless_asked_and_then_put_aside() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = copies.path().join("copy.db");
    let empty = copy(dir.path(), &file).unwrap_err();
    assert!(matches!(empty, CopyError::NoQueues(_)), "{empty}");
    let queue = open(dir.path()).await;
    queue.send("a", "copied").await;
    copy(dir.path(), &file).unwrap();
    let again = copy(dir.path(), &file).unwrap_err();
    assert!(matches!(again, CopyError::Exists(_)), "{again}");
    assert_eq!(fs::read_dir(copies.path()).unwrap().count(), 1, "nothing half-made is left");

    queue.send("a", "later").await;
    let running = restore(&file, dir.path(), true).unwrap_err();
    assert!(matches!(running, CopyError::Open(OpenError::InUse { .. })), "{running}");
    queue.store.close().await;
    let there = restore(&file, dir.path(), false).unwrap_err();
    assert!(matches!(there, CopyError::HasQueues(_)), "{there}");
    let replaced = restore(&file, dir.path(), true).unwrap().replaced.unwrap();
    let queue = open(dir.path()).await;
    assert_eq!(bodies(&queue.receive(10).await), ["copied"]);
    queue.store.close().await;

    // What was put aside is whole.
    let other = tempfile::tempdir().unwrap();
    restore(&replaced, other.path(), false).unwrap();
    let queue = open(other.path()).await;
    assert_eq!(bodies(&queue.receive(10).await), ["copied", "later"]);
}

#[tokio::test]
async fn what_is_no_copy_or_a_damaged_one_changes_nothing() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let queue = open(dir.path()).await;
    for number in 0..100 {
        let body = "x".repeat(2_000);
        let message = NewMessage { body, ..message("a", &number.to_string()) };
        queue.store.send(QUEUE, message).await.unwrap();
    }
    queue.store.close().await;
    let file = copies.path().join("copy.db");
    copy(dir.path(), &file).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    let text = copies.path().join("text");
    fs::write(&text, "no database").unwrap();
    let before = fs::read(dir.path().join("queues.db")).unwrap();
    for file in [&file, &text, &copies.path().join("missing")] {
        restore(file, dir.path(), true).unwrap_err();
    }
    assert!(fs::read(dir.path().join("queues.db")).unwrap() == before);
    assert_eq!(open(dir.path()).await.store.statistics(QUEUE).await.unwrap().visible, 100);
}

#[tokio::test]
async fn a_copy_of_a_former_version_is_one_to_go_on_with() {
    let (former, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    version_1(former.path(), manual_clock().wall(), "");
    restore(&former.path().join("queues.db"), new.path(), false).unwrap();
    let store = Store::open(new.path(), manual_clock()).unwrap();
    assert_eq!(store.statistics(crate::support::FORMER_QUEUE).await.unwrap().visible, 3);
}

/// 40 MB in the queue, and then nothing.
async fn filled_and_emptied(queue: &Fixture) {
    for number in 0..40 {
        let body = "x".repeat(1_000_000);
        let message = NewMessage { body, ..message("a", &number.to_string()) };
        queue.store.send(QUEUE, message).await.unwrap();
    }
    queue.store.purge_queue(QUEUE).await.unwrap();
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap().visible, 0);
}

#[tokio::test]
async fn room_that_is_not_used_goes_back_to_the_disk() {
    const KEPT_BYTES: u64 = 4_096 * 4_096;
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    filled_and_emptied(&queue).await;
    while queue.store.shrink(false).await.unwrap() {}
    queue.send("a", "kept").await;
    queue.store.close().await;
    let bytes = fs::metadata(dir.path().join("queues.db")).unwrap().len();
    assert!((KEPT_BYTES..KEPT_BYTES + 2_000_000).contains(&bytes), "{bytes}");
    assert_eq!(bodies(&open(dir.path()).await.receive(1).await), ["kept"]);
}

#[tokio::test]
async fn a_former_versions_room_goes_back_by_a_command() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    version_1(dir.path(), clock.wall(), "");
    let queue = open(dir.path()).await;
    filled_and_emptied(&queue).await;
    queue.send("a", "kept").await;
    assert!(!queue.store.shrink(false).await.unwrap(), "it was not made for that");
    let running = compact(dir.path()).unwrap_err();
    assert!(matches!(running, CopyError::Open(OpenError::InUse { .. })), "{running}");
    queue.store.close().await;
    let (before, after) = compact(dir.path()).unwrap();
    assert!(before > 40_000_000 && after < 1_000_000, "{before} {after}");
    let queue = open(dir.path()).await;
    assert_eq!(bodies(&queue.receive(1).await), ["kept"]);
    queue.advance_seconds(300);
    filled_and_emptied(&queue).await;
    assert!(queue.store.shrink(false).await.unwrap(), "now it shrinks by itself");
}

/// Nothing is kept for later then: what there is, is needed now.
#[tokio::test]
async fn where_the_disk_is_short_all_room_goes_back_but_what_the_log_writes_in_place() {
    const LOG_BYTES: u64 = 4 * 1_024 * 1_024;
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    filled_and_emptied(&queue).await;
    while queue.store.shrink(true).await.unwrap() {}
    let bytes = |name| fs::metadata(dir.path().join(name)).unwrap().len();
    assert!(bytes("queues.db") < 400_000, "{}", bytes("queues.db"));
    assert_eq!(bytes("queues.db-wal"), LOG_BYTES);
    queue.send("a", "new").await;
    assert_eq!(bodies(&queue.receive(1).await), ["new"]);
}

#[tokio::test]
async fn a_copy_tells_how_many_messages_of_it_are_damaged() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let queue = open(dir.path()).await;
    for body in ["1", "2", "3"] {
        queue.send("a", body).await;
    }
    queue.store.close().await;
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    database.execute_batch("UPDATE message SET body = 'X' WHERE body <> '1'").unwrap();
    database.close().unwrap();
    let file = copies.path().join("copy.db");
    assert_eq!(copy(dir.path(), &file).unwrap().damaged, 2);
    assert_eq!(restore(&file, dir.path(), true).unwrap().damaged, 2);
}

#[tokio::test]
async fn what_a_former_version_stored_is_not_taken_for_damaged() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    version_1(dir.path(), manual_clock().wall(), "");
    open(dir.path()).await.store.close().await;
    assert_eq!(copy(dir.path(), &copies.path().join("copy.db")).unwrap().damaged, 0);
}

#[tokio::test]
async fn a_purge_takes_what_was_there_and_nothing_that_comes_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    for first in (0..1_200).step_by(10) {
        let of = |number: usize| message(&format!("group-{}", number % 7), &number.to_string());
        queue.store.send_batch(QUEUE, (first..first + 10).map(of).collect()).await.unwrap();
    }
    queue.receive(10).await;
    let mut commits = queue.store.faults().hold_commits();
    let store = queue.store.clone();
    let purging = tokio::spawn(async move { store.purge_queue(QUEUE).await });
    commits.held().await;
    // Both wait for the purge's first step, and come before its second.
    let (store, other) = (queue.store.clone(), queue.store.clone());
    let sending = tokio::spawn(async move { store.send(QUEUE, message("group-1", "new")).await });
    let again = tokio::spawn(async move { other.purge_queue(QUEUE).await });
    drop(commits);
    sending.await.unwrap().unwrap();
    again.await.unwrap().unwrap_err();
    purging.await.unwrap().unwrap();
    assert_eq!(bodies(&queue.receive(10).await), ["new"]);
    let statistics = queue.store.statistics(QUEUE).await.unwrap();
    assert_eq!((statistics.visible, statistics.in_flight, statistics.message_groups), (0, 1, 1));
}

#[tokio::test]
async fn what_cannot_be_read_or_moved_is_an_error_and_not_left_out() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = copies.path().join("copy.db");
    let names = |file: &str, result: Result<Copied, CopyError>| {
        let error = result.unwrap_err();
        let is_of_a_file =
            matches!(error, CopyError::File { .. } | CopyError::Open(OpenError::Untrusted(_)));
        assert!(is_of_a_file && error.to_string().contains(file), "{error}");
    };
    let no_dir = copies.path().join("no-directory");
    fs::write(&no_dir, "").unwrap();
    names("no-directory", copy(&no_dir, &file));

    open(dir.path()).await.store.close().await;
    let skips = dir.path().join("skips.json");
    fs::create_dir(&skips).unwrap();
    names("skips.json", copy(dir.path(), &file));
    assert!(!file.exists());
    fs::remove_dir(&skips).unwrap();
    copy(dir.path(), &file).unwrap();
    let new = tempfile::tempdir().unwrap();
    fs::create_dir(new.path().join("skips.json")).unwrap();
    names("skips.json", restore(&file, new.path(), false));

    fs::write(dir.path().join("queues.db-wal"), "").unwrap();
    fs::create_dir(dir.path().join("queues.db.replaced-1-wal")).unwrap();
    names("queues.db", restore(&file, dir.path(), true));
}

/// The directory's user may have root, who copies, read what is root's: it would be in what is restored.
#[tokio::test]
async fn what_becomes_a_link_while_it_is_copied_is_not_followed() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let queue = open(dir.path()).await;
    // More than is copied without a word.
    for number in 0..180 {
        let body = format!("{number} {}", "x".repeat(250_000));
        let deduplication_id = Some(number.to_string());
        let message = NewMessage { deduplication_id, ..message("a", &body) };
        queue.store.send(QUEUE, message).await.unwrap();
    }
    queue.store.close().await;
    let secret = copies.path().join("secret");
    fs::write(&secret, "root's").unwrap();
    let (skips, file) = (dir.path().join("skips.json"), copies.path().join("copy.db"));
    for (number, link) in [fs::hard_link, std::os::unix::fs::symlink].into_iter().enumerate() {
        let mut planted = false;
        let made = backup(dir.path(), &file, manual_clock().wall(), |_, _| {
            if !planted {
                link(&secret, &skips).unwrap();
                planted = true;
            }
        });
        assert!(planted, "nobody was told how far it is");
        let error = made.unwrap_err().to_string();
        assert!(error.contains("skips.json"), "{number}: {error}");
        assert!(!file.exists(), "{number}");
        fs::remove_file(&skips).unwrap();
    }
}

/// Messages are in it.
#[tokio::test]
async fn a_copy_is_for_its_owner_only_and_queues_are_for_whose_the_directory_is() {
    const ENGINE_S: u32 = 12_345;
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(dir.path()).await.store.close().await;
    let file = copies.path().join("copy.db");
    copy(dir.path(), &file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);

    let new = tempfile::tempdir().unwrap();
    // Root alone gives files away, and everybody else's are the owner's anyway.
    let given = chown(new.path(), Some(ENGINE_S), Some(ENGINE_S));
    let owner = fs::metadata(new.path()).unwrap().uid();
    assert!(given.is_err() || owner == ENGINE_S);
    restore(&file, new.path(), false).unwrap();
    for entry in fs::read_dir(new.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), owner, "{}", entry.path().display());
    }
}
