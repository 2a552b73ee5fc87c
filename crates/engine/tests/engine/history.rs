//! What happened in each minute of the last day: over restarts and kills, with gaps where no engine ran,
//! and whatever the wall clock says.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::time::Timestamp;
use engine::clock::{Clock, ManualClock};
use engine::{Engine, EngineOptions};
use serde_json::{Value, json};

use crate::support::{LogLines, config, get, options, post};

fn noon() -> Timestamp {
    "2027-01-15T12:00:10Z".parse().unwrap()
}

async fn start(dir: &Path, clock: &Arc<ManualClock>) -> Engine {
    Engine::start(at(dir, clock)).await.unwrap()
}

fn at(dir: &Path, clock: &Arc<ManualClock>) -> EngineOptions {
    let mut options = options(&config(json!({})), Some(dir));
    options.clock = Arc::<ManualClock>::clone(clock);
    options
}

async fn accept(engine: &Engine, events: usize) {
    let client = crate::support::http_client();
    for n in 0..events {
        assert_eq!(post(&client, engine, &format!("k{n}"), n.to_string()).await, 200);
    }
}

/// The minutes, by what their times say of the hour, and what was accepted.
async fn told(engine: &Engine) -> Vec<(String, u64)> {
    let history = get(engine, "history").await;
    let minutes = history["minutes"].as_array().unwrap().iter();
    let of = |minute: &Value| {
        (minute["at"].as_str().unwrap()[11..16].to_owned(), minute["accepted"].as_u64().unwrap())
    };
    minutes.map(of).collect()
}

fn minutes(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(at, accepted)| ((*at).to_owned(), *accepted)).collect()
}

/// Waits until the file has a minute.
async fn written(dir: &Path, at: Timestamp) {
    let minute = format!("\"{}\"", at.as_ms() / 60_000);
    let began = Instant::now();
    loop {
        let file = std::fs::read_to_string(dir.join("history.json")).unwrap_or_default();
        if file.contains(&minute) {
            return;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "no {minute} in {file}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_restart_keeps_the_minutes_and_a_minute_without_an_engine_is_a_gap() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(noon())));
    let engine = start(dir.path(), &clock).await;
    accept(&engine, 3).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 3)]));
    engine.stop().await;
    // Within the same minute: both are of it.
    let engine = start(dir.path(), &clock).await;
    accept(&engine, 2).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 5)]));
    engine.stop().await;
    clock.advance(Duration::from_mins(3));
    let engine = start(dir.path(), &clock).await;
    accept(&engine, 1).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 5), ("12:03", 1)]));
    let minute = &get(&engine, "history").await["minutes"][1];
    assert_eq!((&minute["failed"], &minute["p50_ms"]), (&json!(0), &Value::Null), "{minute}");
    engine.stop().await;
}

#[tokio::test]
async fn a_kill_loses_the_minute_under_way_and_no_other() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(noon())));
    let engine = start(dir.path(), &clock).await;
    accept(&engine, 3).await;
    clock.advance(Duration::from_mins(1));
    written(dir.path(), clock.wall()).await;
    accept(&engine, 2).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 3), ("12:01", 2)]));
    // As a kill: nothing of it is told that it ends.
    drop(engine);
    let copy = tempfile::tempdir().unwrap();
    for name in ["history.json", "queues.db", "queues.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let engine = start(copy.path(), &clock).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 3), ("12:01", 0)]));
    engine.stop().await;
}

#[tokio::test]
async fn a_wrong_clock_takes_nothing_along() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(noon())));
    let engine = start(dir.path(), &clock).await;
    accept(&engine, 1).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 1)]));
    let ahead = noon().plus(Duration::from_hours(80));
    for wrong in [ahead, noon().minus(Duration::from_hours(1)), ahead] {
        clock.set_wall(wrong);
        let (at, before) = told(&engine).await.last().unwrap().clone();
        accept(&engine, 1).await;
        assert_eq!(told(&engine).await.last().unwrap(), &(at, before + 1));
        clock.set_wall(noon());
        let day = told(&engine).await;
        assert_eq!(day.last().unwrap(), &("12:00".to_owned(), 1), "{day:?}");
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_day_does_not_grow() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(noon())));
    let now = noon().as_ms() / 60_000;
    let day = (1..=1_440).map(|ago| ((now - ago).to_string(), json!([1, 1, 0, 0, {}])));
    let day: serde_json::Map<String, Value> = day.collect();
    std::fs::write(dir.path().join("history.json"), json!({ "minutes": day }).to_string()).unwrap();
    let engine = start(dir.path(), &clock).await;
    for _ in 0..3 {
        let day = told(&engine).await;
        assert_eq!((day.len(), &day[0].1, &day[1_439].1), (1_440, &1, &0));
        clock.advance(Duration::from_mins(1));
    }
    engine.stop().await;
    let file = std::fs::read_to_string(dir.path().join("history.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["minutes"].as_object().unwrap().len(), 1_440);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_and_begins_anew() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(noon())));
    std::fs::write(dir.path().join("history.json"), "{\"minutes\":{\"1").unwrap();
    let log = LogLines::default();
    let mut options = at(dir.path(), &clock);
    options.log = Box::new(log.clone());
    let engine = Engine::start(options).await.unwrap();
    log.wait_for("the history of the last day cannot be read: it begins anew", |_| true).await;
    assert_eq!(told(&engine).await, minutes(&[("12:00", 0)]));
    engine.stop().await;
    let engine = start(dir.path(), &clock).await;
    assert_eq!(told(&engine).await.len(), 1);
    engine.stop().await;
}
