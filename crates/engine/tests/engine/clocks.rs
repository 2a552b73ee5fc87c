//! The wall clock is wrong, is set, or the machine was suspended: what leaves the engine is by the
//! wall clock, what takes its time takes it all the same.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::time::Timestamp;
use engine::clock::{Clock, ManualClock};
use engine::store::{ReceiveRequest, ReceivedMessage, Store};
use engine::{Engine, EngineOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::function::Function;
use crate::support::service::{Behavior, Service};
use crate::support::{LogLines, config, forwarder, get, options, post, set_enabled};

const QUEUE: &str = "test-webhook.fifo";
const DEAD: &str = "test-webhook-dlq.fifo";

/// By how much a clock is off, in minutes.
const OFF_MINUTES: [i64; 4] = [10, -10, 80 * 60, -80 * 60];

fn morning() -> Timestamp {
    "2027-01-15T08:00:00Z".parse().unwrap()
}

fn shifted(time: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::from_ms(time.as_ms().checked_add_signed(minutes * 60_000).unwrap())
}

async fn receive(store: &Store, queue: &str) -> Option<ReceivedMessage> {
    store.receive(queue, ReceiveRequest::default()).await.unwrap().pop()
}

fn manual(clock: &Arc<ManualClock>, log: &LogLines) -> EngineOptions {
    let mut options = options(&config(json!({})), None);
    options.clock = Arc::<ManualClock>::clone(clock);
    options.log = Box::new(log.clone());
    options
}

#[tokio::test]
async fn times_that_leave_the_engine_are_the_wall_clocks_as_it_is_then() {
    let client = crate::support::http_client();
    for minutes in OFF_MINUTES {
        let (clock, log) = (Arc::new(ManualClock::at(morning())), LogLines::default());
        let engine = Engine::start(manual(&clock, &log)).await.unwrap();
        clock.advance(Duration::from_secs(100));
        let wall = shifted(clock.wall(), minutes);
        clock.set_wall(wall);
        assert_eq!(post(&client, &engine, "k", "1".to_owned()).await, 200);
        log.wait_for("accepted", |line| line["timestamp"] == wall.to_string()).await;

        clock.advance(Duration::from_secs(20));
        let status = get(&engine, "status").await;
        let ago =
            |seconds: u64| Timestamp::from_ms(clock.wall().as_ms() - seconds * 1_000).to_string();
        assert_eq!(status["now"], ago(0), "{minutes}");
        assert_eq!(status["started_at"], ago(120), "{minutes}");
        assert_eq!(status["loss_meter"]["since"], ago(120), "{minutes}");
        assert_eq!(status["uptime_ms"], 120_000, "{minutes}");
        assert_eq!(status["queue"]["oldest_age_ms"], 20_000, "{minutes}");
        let message = receive(engine.store(), QUEUE).await.unwrap();
        assert_eq!(message.attributes["accepted_at"].text(), Some(&*wall.as_ms().to_string()));
        assert_eq!(message.sent_at, wall, "{minutes}");
        engine.stop().await;
    }
}

/// Pauses delivery for so many seconds.
async fn pause_for(engine: &Engine, name: &str, seconds: u64) {
    let url = format!("http://{}/_engine/pauses/{name}", engine.api_address());
    let client = crate::support::api_client(engine.access_key_id());
    let body = json!({ "seconds": seconds }).to_string();
    assert_eq!(client.put(url).body(body).send().await.unwrap().status(), 200);
}

async fn is_paused(engine: &Engine) -> bool {
    get(engine, "event-source-mapping").await["enabled"] == false
}

/// Starts an engine that is paused for half an hour, does something to its clock, and finds the pause
/// to be over.
async fn check_pause_ends(change: impl AsyncFnOnce(&ManualClock, &Engine)) {
    let (clock, log, function) =
        (Arc::new(ManualClock::at(morning())), LogLines::default(), Function::new(""));
    let mut options = manual(&clock, &log);
    options.forwarder = Some(function.executable());
    let engine = Engine::start(options).await.unwrap();
    pause_for(&engine, "release", 30 * 60).await;
    post(&crate::support::http_client(), &engine, "k", "waits".to_owned()).await;
    change(&clock, &engine).await;
    assert_eq!(function.wait_for(|record| !record.is_empty()).await, ["waits"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_pause_ends_at_its_time_by_the_wall_clock() {
    check_pause_ends(async |clock, engine| {
        clock.advance(Duration::from_mins(30) - Duration::from_millis(1));
        assert!(is_paused(engine).await);
        clock.advance(Duration::from_millis(1));
    })
    .await;
    // Set forward, and back before that.
    check_pause_ends(async |clock, engine| {
        clock.set_wall(shifted(morning(), -80 * 60));
        clock.advance(Duration::from_hours(1));
        assert!(is_paused(engine).await, "it is not yet that time of day");
        clock.set_wall(shifted(morning(), 31));
    })
    .await;
    // Suspended over its end.
    check_pause_ends(async |clock, _engine| clock.advance(Duration::from_hours(8))).await;
}

#[tokio::test]
async fn a_pause_ends_and_no_other_does_whatever_somebody_does_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, log, function) =
        (Arc::new(ManualClock::at(morning())), LogLines::default(), Function::new(""));
    let mut options = manual(&clock, &log);
    options.storage = engine::Storage::Directory(dir.path().to_owned());
    options.forwarder = Some(function.executable());
    let engine = Engine::start(options).await.unwrap();
    pause_for(&engine, "short", 30 * 60).await;
    pause_for(&engine, "long", 60 * 60).await;
    std::fs::remove_file(dir.path().join("pauses.json")).unwrap();
    clock.advance(Duration::from_mins(31));
    log.wait_for("pauses", |line| line["now"] == json!(["long"])).await;
    assert!(is_paused(&engine).await);
    clock.advance(Duration::from_mins(30));
    log.wait_for("event_source_mapping", |line| line["enabled"] == true).await;
    set_enabled(&engine, false).await;
    clock.advance(Duration::from_hours(2));
    assert!(is_paused(&engine).await, "one without an end that came later");
    engine.stop().await;
}

#[tokio::test]
async fn a_suspend_counts_for_the_functions_timeout() {
    let (clock, log, function) =
        (Arc::new(ManualClock::at(morning())), LogLines::default(), Function::new("slow hang"));
    let mut options = manual(&clock, &log);
    options.forwarder = Some(function.executable());
    let engine = Engine::start(options).await.unwrap();
    post(&crate::support::http_client(), &engine, "k", "slow".to_owned()).await;
    function.wait_for(|record| record.len() == 1).await;
    function.set_script("");
    clock.advance(Duration::from_hours(8));
    let failed = log.wait_for("invocation failed", |_| true).await;
    assert_eq!(failed["error"], "the function did not end within 4 s and was stopped");
    function.wait_for(|record| record == ["slow", "slow"]).await;
    engine.stop().await;
}

/// Makes a data directory whose queues' time is off from the wall clock.
async fn directory_off_by(minutes: i64, dir: &Path) {
    let true_time = Timestamp::from(SystemTime::now());
    let clock = Arc::new(ManualClock::at(shifted(true_time, minutes)));
    let store = Store::open(dir, clock.clone()).unwrap();
    clock.set_wall(true_time);
    let fifo = [("FifoQueue".to_owned(), "true".to_owned())].into();
    store.ensure_queue("other.fifo", &fifo).await.unwrap();
    store.close().await;
}

/// RFC 2104, in hexadecimal; `key` is shorter than a block.
fn hmac_sha256(key: &[u8], content: &[u8]) -> String {
    let padded = |with: u8| -> Vec<u8> {
        (0..64).map(|place| key.get(place).unwrap_or(&0) ^ with).collect()
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(content).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

const GIVE_UP_AFTER: Duration = Duration::from_secs(8);

fn signed_route(service: SocketAddr, secret: &Path) -> Value {
    json!({
        "verify": {
            "scheme": "hmac",
            "secrets": [format!("file:{}", secret.display())],
            "hmac": { "header": "x-signature", "signed_content": "{header.x-time}.{body}",
                      "timestamp_header": "x-time" },
        },
        "destinations": [{ "name": "sss", "url": format!("http://{service}/hook"),
                           "timeout_seconds": 1 }],
        "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 2 },
        "give_up_after_seconds": GIVE_UP_AFTER.as_secs(),
    })
}

async fn post_signed(engine: &Engine, key: &str) {
    let time = (Timestamp::from(SystemTime::now()).as_ms() / 1_000).to_string();
    let signature = hmac_sha256(b"s3cret", format!("{time}.{key}").as_bytes());
    let url = format!("http://{}/sqs-hook", engine.ingest_address());
    let request = crate::support::http_client().post(url).body(key.to_owned());
    let headers = [("x-key", key), ("x-time", &time), ("x-signature", &signature)];
    let request = headers.into_iter().fold(request, |it, (name, value)| it.header(name, value));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// A signed event is delivered; one whose delivery fails is tried again and again, and given up in
/// time.
async fn check_delivery_with_a_queue_off_by(minutes: i64) {
    let (dir, secrets, log) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), LogLines::default());
    directory_off_by(minutes, dir.path()).await;
    let secret = secrets.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let service = Service::start((Ipv4Addr::LOCALHOST, 0).into(), Behavior::Well).await;
    let route = json!({
        "routes": { "sss": signed_route(service.address, &secret) },
        "forwarder": { "function_timeout_seconds": 4 },
    });
    let mut options = options(&config(route), Some(dir.path()));
    options.forwarder = Some(forwarder::executable());
    options.log = Box::new(log.clone());
    let engine = Engine::start(options).await.unwrap();
    post_signed(&engine, "good").await;
    service.delivered(|bodies| bodies == ["good"]).await;

    service.set(Behavior::Unavailable);
    let begun = Instant::now();
    post_signed(&engine, "bad").await;
    let attempt = |line: &Value| line["attempt"].as_u64().unwrap_or_default();
    log.wait_for("retry", |line| attempt(line) >= 3).await;
    assert!(receive(engine.store(), DEAD).await.is_none(), "{minutes}: given up too early");
    let dead = loop {
        let request = ReceiveRequest { wait_seconds: Some(20), ..ReceiveRequest::default() };
        if let Some(dead) = engine.store().receive(DEAD, request).await.unwrap().pop() {
            break dead;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{minutes}: never given up");
    };
    assert!(begun.elapsed() >= GIVE_UP_AFTER, "{minutes}: {:?}", begun.elapsed());
    let failure: Value = serde_json::from_str(dead.attributes["failure"].text().unwrap()).unwrap();
    assert_eq!((&failure["class"], &dead.body), (&json!("gave_up"), &"bad".to_owned()));
    let now = Timestamp::from(SystemTime::now());
    assert!(now.since(dead.sent_at).max(dead.sent_at.since(now)) < Duration::from_mins(1));
    engine.stop().await;
}

#[tokio::test]
async fn events_are_verified_retried_and_given_up_though_the_queues_time_is_off() {
    let [a, b, c, d] = OFF_MINUTES.map(check_delivery_with_a_queue_off_by);
    tokio::join!(a, b, c, d);
}
