//! Long polling: a receive that waits hears of what it waits for.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Fixture, QUEUE, attributes, bodies, manual_clock, message};
use domain::time::Timestamp;
use engine::clock::{Clock, ManualClock, Uptime, Wait};
use engine::store::{ReceiveRequest, ReceivedMessage, Store};
use tokio::task::JoinHandle;

fn wait_for(queue: &Fixture, seconds: u32) -> JoinHandle<Vec<ReceivedMessage>> {
    let store = queue.store.clone();
    let request = ReceiveRequest {
        max_messages: 10,
        wait_seconds: Some(seconds),
        ..ReceiveRequest::default()
    };
    tokio::spawn(async move { store.receive(QUEUE, request).await.unwrap() })
}

/// Lets the receives that were spawned get as far as they can.
async fn settle(queue: &Fixture) {
    for _ in 0..10 {
        queue.store.settings(QUEUE).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_send_wakes_a_receive_that_waits() {
    let queue = Fixture::new().await;
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.send("a", "1").await;
    assert_eq!(bodies(&waiting.await.unwrap()), ["1"]);
}

/// A clock that counts how often it is asked: once by each transaction, so by each look at the queue.
struct Asked {
    clock: Arc<ManualClock>,
    times: Arc<AtomicUsize>,
}

impl Clock for Asked {
    fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    fn uptime(&self) -> Uptime {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.clock.uptime()
    }

    fn boot(&self) -> Option<String> {
        self.clock.boot()
    }

    fn wait_until(&self, time: Uptime) -> Wait<'_> {
        self.clock.wait_until(time)
    }

    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_> {
        self.clock.wait_until_wall(time)
    }
}

/// How often the clock is asked until `act` is done and whoever waits is as far as possible.
async fn asked(queue: &Fixture, times: &AtomicUsize, act: impl Future<Output = ()>) -> usize {
    let before = times.load(Ordering::Relaxed);
    act.await;
    settle(queue).await;
    times.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn who_waits_looks_at_the_queue_when_something_can_be_received_and_not_before() {
    let (clock, times) = (manual_clock(), Arc::new(AtomicUsize::default()));
    let asking = Asked { clock: clock.clone(), times: Arc::clone(&times) };
    let store = Store::in_memory(Arc::new(asking)).unwrap();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    let queue = Fixture { store, clock };
    let send = async |group: &str, body: &str| drop(queue.send(group, body).await);
    for body in ["1", "2", "3", "4"] {
        queue.send("a", body).await;
    }
    let batch = queue.receive(10).await;
    let nothing = asked(&queue, &times, async {}).await;
    let behind = asked(&queue, &times, send("a", "5")).await;
    let deleted = asked(&queue, &times, queue.delete(&batch[3])).await;

    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    assert_eq!(asked(&queue, &times, async {}).await, nothing);
    assert_eq!(asked(&queue, &times, send("a", "6")).await, behind, "1 is in flight");
    assert_eq!(asked(&queue, &times, queue.delete(&batch[2])).await, deleted, "1 still is");
    queue.send("b", "7").await;
    assert_eq!(bodies(&waiting.await.unwrap()), ["7"]);
}

/// One write to the disk serves all that wait for one, up to 256.
#[tokio::test]
async fn what_waits_for_a_commit_shares_the_next_one() {
    let (clock, times) = (manual_clock(), Arc::new(AtomicUsize::default()));
    let asking = Asked { clock: clock.clone(), times: Arc::clone(&times) };
    let store = Store::in_memory(Arc::new(asking)).unwrap();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    let before = times.load(Ordering::Relaxed);
    let mut held = store.faults().hold_commits();
    let send = |number: usize| {
        let store = store.clone();
        let message = message("a", &number.to_string());
        tokio::spawn(async move { store.send(QUEUE, message).await.unwrap() })
    };
    let mut sending = vec![send(0)];
    held.held().await;
    sending.extend((1..=257).map(send));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    drop(held);
    for send in sending {
        send.await.unwrap();
    }
    assert_eq!(times.load(Ordering::Relaxed) - before, 3, "1, 256 and 1 in a transaction");
}

#[tokio::test]
async fn each_of_two_receives_gets_one_of_two_groups() {
    let queue = Fixture::new().await;
    let waiting = [wait_for(&queue, 20), wait_for(&queue, 20)];
    settle(&queue).await;
    queue.send("a", "1").await;
    settle(&queue).await;
    queue.send("b", "2").await;
    for receive in waiting {
        assert_eq!(receive.await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over() {
    let queue = Fixture::new().await;
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    queue.clock.advance(Duration::from_millis(19_999));
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.clock.advance(Duration::from_millis(1));
    assert!(waiting.await.unwrap().is_empty());
}

#[tokio::test]
async fn the_queue_says_how_long_a_receive_waits() {
    let queue = Fixture::with(attributes([("ReceiveMessageWaitTimeSeconds", "5")])).await;
    let store = queue.store.clone();
    let waiting =
        tokio::spawn(async move { store.receive(QUEUE, ReceiveRequest::default()).await.unwrap() });
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.advance_seconds(5);
    assert!(waiting.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_becomes_visible_ends_the_wait() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.receive(1).await;
    queue.advance_seconds(20);
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    queue.advance_seconds(9);
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.advance_seconds(1);
    assert_eq!(bodies(&waiting.await.unwrap()), ["1"]);
}

#[tokio::test]
async fn a_shorter_visibility_timeout_is_heard_of() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let handle = queue.receive(1).await.remove(0).receipt_handle;
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    queue.store.change_visibility(QUEUE, &handle, 2).await.unwrap();
    settle(&queue).await;
    queue.advance_seconds(2);
    assert_eq!(bodies(&waiting.await.unwrap()), ["1"]);
}

/// One receive takes what was sent and another stays: it does not know of the message, which comes
/// back long before the end of its wait.
#[tokio::test]
async fn what_another_receive_took_ends_the_wait_once_it_is_visible_again() {
    let queue = Fixture::new().await;
    queue.set("VisibilityTimeout", "2").await;
    let mut waiting = vec![wait_for(&queue, 20), wait_for(&queue, 20)];
    settle(&queue).await;
    queue.send("a", "1").await;
    settle(&queue).await;
    waiting.retain(|receive| !receive.is_finished());
    assert_eq!(waiting.len(), 1);
    queue.advance_seconds(2);
    let messages = within_a_minute(waiting.remove(0)).await.unwrap();
    assert_eq!(bodies(&messages), ["1"]);
}

/// The one that was woken for it finds nothing and gives up; the other was never woken.
#[tokio::test]
async fn what_somebody_took_who_did_not_wait_is_heard_of_as_well() {
    let queue = Fixture::new().await;
    let wait = |wait_seconds: u32| {
        let request = ReceiveRequest {
            visibility_timeout_seconds: Some(1_000),
            wait_seconds: Some(wait_seconds),
            ..ReceiveRequest::default()
        };
        let store = queue.store.clone();
        tokio::spawn(async move { store.receive(QUEUE, request).await.unwrap() })
    };
    let short = wait(1);
    settle(&queue).await;
    let long = wait(20);
    settle(&queue).await;
    let quick = ReceiveRequest { visibility_timeout_seconds: Some(2), ..ReceiveRequest::default() };
    let (_, taken) = tokio::join!(queue.send("a", "1"), queue.store.receive(QUEUE, quick));
    assert_eq!(bodies(&taken.unwrap()), ["1"]);
    settle(&queue).await;
    queue.advance_seconds(1);
    assert!(within_a_minute(short).await.unwrap().is_empty());
    queue.advance_seconds(1);
    assert_eq!(bodies(&within_a_minute(long).await.unwrap()), ["1"]);
}

/// A time that was told of, and is of nothing any more, is not waited for in place of another.
#[tokio::test]
async fn a_wait_that_begins_late_knows_what_the_others_wait_for() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let gone = queue.receive(1).await.remove(0);
    queue.store.change_visibility(QUEUE, &gone.receipt_handle, 5).await.unwrap();
    queue.delete(&gone).await;
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    queue.send("b", "2").await;
    settle(&queue).await;
    let taken = waiting.await.unwrap().remove(0);
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    queue.store.change_visibility(QUEUE, &taken.receipt_handle, 10).await.unwrap();
    settle(&queue).await;
    queue.advance_seconds(5);
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.advance_seconds(5);
    assert_eq!(bodies(&within_a_minute(waiting).await.unwrap()), ["2"]);
}

#[tokio::test]
async fn a_delayed_message_is_heard_of_by_who_waits_for_longer_than_the_others() {
    let queue = Fixture::with(attributes([("DelaySeconds", "10")])).await;
    let waiting = [wait_for(&queue, 5), wait_for(&queue, 20)];
    settle(&queue).await;
    queue.send("a", "1").await;
    settle(&queue).await;
    queue.advance_seconds(5);
    let [short, long] = waiting;
    assert!(short.await.unwrap().is_empty());
    queue.advance_seconds(5);
    assert_eq!(bodies(&within_a_minute(long).await.unwrap()), ["1"]);
}

/// The others of the 120,000 are only counted: nothing looks for their rows.
#[tokio::test]
async fn at_the_limit_of_messages_in_flight_a_receive_waits_for_room() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let open = || Store::open(dir.path(), clock.clone()).unwrap();
    let store = open();
    store.ensure_queue(QUEUE, &attributes([("FifoQueue", "true")])).await.unwrap();
    store.close().await;
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    database.execute("UPDATE queue_count SET in_flight = 119_999", []).unwrap();
    database.close().unwrap();

    let queue = Fixture { store: open(), clock: clock.clone() };
    for group in ["a", "b", "c"] {
        queue.send(group, group).await;
    }
    let last = queue.receive(10).await;
    assert_eq!(bodies(&last), ["a"]);
    assert!(queue.receive(10).await.is_empty());
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.delete(&last[0]).await;
    assert_eq!(bodies(&within_a_minute(waiting).await.unwrap()), ["b"]);
}

#[tokio::test]
async fn a_group_that_is_unlocked_ends_the_wait() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let first = queue.receive(1).await.remove(0);
    queue.send("a", "2").await;
    let waiting = wait_for(&queue, 20);
    settle(&queue).await;
    assert!(!waiting.is_finished());
    queue.delete(&first).await;
    assert_eq!(bodies(&waiting.await.unwrap()), ["2"]);
}

#[tokio::test]
async fn a_wait_can_be_stopped() {
    let queue = Fixture::new().await;
    let request = ReceiveRequest { wait_seconds: Some(20), ..ReceiveRequest::default() };
    let stopped = queue.store.receive_unless(QUEUE, request.clone(), std::future::ready(()));
    assert!(within_a_minute(stopped).await.unwrap().is_empty());
    queue.send("a", "1").await;
    let stopped = queue.store.receive_unless(QUEUE, request, std::future::ready(()));
    assert_eq!(within_a_minute(stopped).await.unwrap().len(), 1, "a look is never stopped");
}

async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("stopped")
}
