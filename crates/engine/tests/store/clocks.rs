//! The queues' time and the wall clock's are two: setting the wall clock changes what is shown, and
//! nothing that takes its time; a restart goes on from where the last write left off.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    FORMER_DEAD, FORMER_QUEUE, Fixture, QUEUE, WITHOUT_CLOCKS, attributes, bodies, manual_clock,
    message, version_1,
};
use domain::time::Timestamp;
use engine::clock::{Clock, ManualClock};
use engine::store::{ReceiveRequest, Store};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// By how much a wall clock is set, in minutes.
const STEPS_MINUTES: [i64; 4] = [10, -10, 80 * 60, -80 * 60];

fn shifted(time: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::from_ms(time.as_ms().checked_add_signed(minutes * 60_000).unwrap())
}

fn step(clock: &ManualClock, minutes: i64) {
    clock.set_wall(shifted(clock.wall(), minutes));
}

/// The time on the wall clock so long ago.
fn ago(clock: &ManualClock, ago: Duration) -> Timestamp {
    let ago_ms = u64::try_from(ago.as_millis()).unwrap();
    Timestamp::from_ms(clock.wall().as_ms() - ago_ms)
}

async fn open(dir: &Path, clock: &Arc<ManualClock>) -> Fixture {
    let store = Store::open(dir, clock.clone()).unwrap();
    let fourteen_days = (14 * DAY.as_secs()).to_string();
    let set = [("FifoQueue", "true"), ("MessageRetentionPeriod", &fourteen_days)];
    store.ensure_queue(QUEUE, &attributes(set)).await.unwrap();
    Fixture { store, clock: clock.clone() }
}

#[tokio::test]
async fn a_message_ages_by_the_time_that_passes_whatever_the_wall_clock_is_set_to() {
    for minutes in STEPS_MINUTES {
        let queue = Fixture::new().await;
        queue.send("a", "1").await;
        queue.advance_seconds(10);
        step(&queue.clock, minutes);
        let first = queue.receive(1).await.remove(0);
        assert_eq!(first.sent_at, ago(&queue.clock, 10 * SECOND), "{minutes}");
        assert_eq!(first.first_received_at, queue.clock.wall());
        step(&queue.clock, -minutes);
        queue.advance_seconds(29);
        assert!(queue.receive(1).await.is_empty(), "{minutes}: in flight for 30 s");
        queue.advance_seconds(1);
        let second = queue.receive(1).await.remove(0);
        assert_eq!(second.receive_count, 2);
        assert_eq!(second.sent_at, ago(&queue.clock, 40 * SECOND), "{minutes}");
        assert_eq!(second.first_received_at, ago(&queue.clock, 30 * SECOND), "{minutes}");
        let statistics = queue.store.statistics(QUEUE).await.unwrap();
        assert_eq!(statistics.oldest_age, Some(40 * SECOND), "{minutes}");
        assert_eq!(statistics.created_at, ago(&queue.clock, 40 * SECOND), "{minutes}");
    }
}

#[tokio::test]
async fn a_step_neither_forgets_a_deduplication_id_nor_expires_a_message() {
    for minutes in STEPS_MINUTES {
        let queue = Fixture::with(attributes([("MessageRetentionPeriod", "3600")])).await;
        queue.send("a", "1").await;
        step(&queue.clock, minutes);
        queue.advance_seconds(299);
        assert!(queue.send("a", "1").await.duplicate, "{minutes}");
        queue.advance_seconds(1);
        assert!(!queue.send("a", "1").await.duplicate, "{minutes}");
        queue.advance_seconds(3_299);
        assert_eq!(queue.receive(10).await.len(), 2, "{minutes}");
        queue.advance_seconds(1);
        queue.store.expire().await.unwrap();
        let left = queue.store.statistics(QUEUE).await.unwrap().in_flight;
        assert_eq!(left, 1, "{minutes}: the first is an hour old");
    }
}

#[tokio::test]
async fn a_step_does_not_end_a_long_poll_and_a_suspend_does() {
    let queue = Fixture::new().await;
    let (store, request) = (
        queue.store.clone(),
        ReceiveRequest { wait_seconds: Some(20), ..ReceiveRequest::default() },
    );
    let waiting = tokio::spawn(async move { store.receive(QUEUE, request).await.unwrap() });
    for minutes in STEPS_MINUTES {
        step(&queue.clock, minutes);
        for _ in 0..10 {
            queue.store.settings(QUEUE).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished(), "{minutes}");
    }
    queue.clock.advance(8 * HOUR);
    assert!(waiting.await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_in_flight_in_a_suspend_is_visible_after_it_and_has_aged() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    queue.receive(1).await;
    queue.clock.advance(8 * HOUR);
    let again = queue.receive(1).await.remove(0);
    assert_eq!(again.receive_count, 2);
    assert_eq!(again.sent_at, ago(&queue.clock, 8 * HOUR));
}

#[tokio::test]
async fn what_two_looks_at_the_clocks_take_is_no_step() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let sent_at = queue.clock.wall();
    let shown = async || {
        let message = queue.receive(1).await.remove(0);
        queue.store.change_visibility(QUEUE, &message.receipt_handle, 0).await.unwrap();
        message.sent_at
    };
    for ms in [1, 999, 5] {
        queue.clock.set_wall(sent_at.plus(Duration::from_millis(ms)));
        assert_eq!(shown().await, sent_at);
    }
    queue.clock.set_wall(sent_at.plus(SECOND));
    assert_eq!(shown().await, sent_at.plus(SECOND));
}

#[tokio::test]
async fn between_two_runs_time_passes_by_the_machines_uptime() {
    for minutes in STEPS_MINUTES {
        let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
        clock.advance(HOUR);
        let queue = open(dir.path(), &clock).await;
        queue.send("a", "1").await;
        queue.receive(1).await;
        queue.store.close().await;
        step(&clock, minutes);
        clock.advance(29 * SECOND);
        let queue = open(dir.path(), &clock).await;
        assert!(queue.receive(1).await.is_empty(), "{minutes}");
        queue.advance_seconds(1);
        let message = queue.receive(1).await.remove(0);
        assert_eq!(message.sent_at, ago(&clock, 30 * SECOND), "{minutes}");
    }
}

/// Sends a message, starts the machine anew with a wall clock that `changes`, and gives how old the
/// message is then.
async fn age_after_reboot(change: impl FnOnce(&ManualClock)) -> Duration {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    clock.advance(HOUR);
    let queue = open(dir.path(), &clock).await;
    queue.send("a", "1").await;
    queue.store.close().await;
    clock.reboot();
    change(&clock);
    let queue = open(dir.path(), &clock).await;
    let age = queue.store.statistics(QUEUE).await.unwrap().oldest_age.unwrap();
    // From then on time passes as it should, and what is shown is right.
    queue.clock.advance(HOUR);
    let message = queue.receive(1).await.remove(0);
    assert_eq!(message.sent_at, ago(&clock, age + HOUR));
    age
}

#[tokio::test]
async fn between_two_starts_of_the_machine_time_passes_by_the_wall_clock() {
    assert_eq!(age_after_reboot(|clock| clock.advance(80 * HOUR)).await, 80 * HOUR);
    assert_eq!(age_after_reboot(|clock| step(clock, -80 * 60)).await, Duration::ZERO);
    // More uptime than before tells nothing: it is another start's.
    let longer = age_after_reboot(|clock| {
        clock.advance(2 * HOUR);
        step(clock, -60);
    });
    assert_eq!(longer.await, HOUR);
}

#[tokio::test]
async fn a_start_with_a_wall_clock_years_ahead_expires_nothing_young() {
    let ten_years_minutes = 10 * 365 * 24 * 60;
    assert_eq!(age_after_reboot(|clock| step(clock, ten_years_minutes)).await, 7 * DAY);
}

#[tokio::test]
async fn a_directory_of_a_former_version_whose_clock_was_ahead_opens_and_heals() {
    for minutes in [10, 80 * 60, 10 * 365 * 24 * 60] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
        version_1(dir.path(), shifted(clock.wall(), minutes), WITHOUT_CLOCKS);
        let store = Store::open(dir.path(), clock.clone()).unwrap();
        let queue = Fixture { store, clock };
        let messages = queue.receive_from(FORMER_QUEUE, 10).await;
        assert_eq!(bodies(&messages), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#], "{minutes}");
        // They were sent in the last second before the last write; how long ago that is, nobody knows.
        let second_ago = ago(&queue.clock, SECOND);
        assert!(
            messages.iter().all(|it| second_ago < it.sent_at && it.sent_at <= queue.clock.wall())
        );
        assert!(queue.receive_from(FORMER_DEAD, 1).await.is_empty(), "in flight for 30 s");
        queue.advance_seconds(30);
        let again = queue.receive_from(FORMER_DEAD, 1).await.remove(0);
        assert_eq!((again.body.as_str(), again.receive_count), ("dead", 2));
    }
}

#[tokio::test]
async fn a_directory_of_a_former_version_ages_by_the_wall_clock() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    version_1(dir.path(), clock.wall(), WITHOUT_CLOCKS);
    clock.advance(HOUR);
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    let age = store.statistics(FORMER_QUEUE).await.unwrap().oldest_age.unwrap();
    assert!(HOUR < age && age < HOUR + SECOND, "{age:?}");
}

/// It moves `last_time_ms` and leaves the other columns as they are.
#[tokio::test]
async fn what_an_engine_that_knew_one_time_wrote_in_between_counts() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let later_ms = ago(&clock, HOUR).as_ms();
    let later = format!("UPDATE progress SET last_time_ms = {later_ms};");
    version_1(dir.path(), ago(&clock, 2 * HOUR), &later);
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    let age = store.statistics(FORMER_QUEUE).await.unwrap().oldest_age.unwrap();
    assert!(2 * HOUR < age && age < 2 * HOUR + SECOND, "{age:?}");
}

#[tokio::test]
async fn a_deduplication_id_counts_on_after_a_start_with_a_clock_behind() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), manual_clock());
    let queue = open(dir.path(), &clock).await;
    queue.store.send(QUEUE, message("a", "1")).await.unwrap();
    queue.store.close().await;
    clock.reboot();
    step(&clock, -80 * 60);
    let queue = open(dir.path(), &clock).await;
    assert!(queue.send("a", "1").await.duplicate, "its five minutes have not passed");
    clock.advance(300 * SECOND);
    assert!(!queue.send("a", "1").await.duplicate);
}
