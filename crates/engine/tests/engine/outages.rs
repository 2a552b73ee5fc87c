//! The service fails; the real forwarder delivers all the same, each key in order, once it is back,
//! whatever a message in flight holds back.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use engine::Engine;
use engine::store::GroupLock;
use serde_json::json;

use crate::faults::check_order;
use crate::sqs::Api;
use crate::support::service::{Behavior, Service};
use crate::support::{LogLines, config, forwarder, get, options, post, set_enabled};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const KEYS: usize = 3;
const EVENTS: usize = 12;
const TIMEOUT: Duration = Duration::from_secs(1);
const LOCKS: [GroupLock; 2] = [GroupLock::Behind, GroupLock::Group];

async fn start(service: SocketAddr, lock: GroupLock) -> (Engine, LogLines) {
    let log = LogLines::default();
    let config = config(json!({
        "routes": { "sss": {
            "destinations": [{ "name": "sss", "url": format!("http://{service}/hook"),
                               "timeout_seconds": TIMEOUT.as_secs() }],
            "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 2 },
            "give_up_after_seconds": 600,
        } },
        "forwarder": { "function_timeout_seconds": 4 },
    }));
    let mut options = options(&config, None);
    options.forwarder = Some(forwarder::executable());
    options.log = Box::new(log.clone());
    options.group_lock = lock;
    (Engine::start(options).await.unwrap(), log)
}

async fn post_events(engine: &Engine) {
    let client = crate::support::http_client();
    for number in 0..EVENTS {
        let key = format!("k{}", number % KEYS);
        assert_eq!(post(&client, engine, &key, format!("{key}-{number}")).await, 200);
    }
}

/// Everything has arrived, in order, and nothing is left anywhere.
async fn check_delivered(engine: Engine, service: &Service) -> Vec<String> {
    let all = |delivered: &[String]| delivered.iter().collect::<HashSet<_>>().len() == EVENTS;
    let delivered = service.delivered(all).await;
    check_order(&delivered);
    loop {
        let status = get(&engine, "status").await;
        assert_eq!(status["dead_letter_queue"]["visible"], 0, "{status}");
        if status["queue"]["visible"] == 0 && status["queue"]["in_flight"] == 0 {
            break;
        }
    }
    engine.stop().await;
    delivered
}

/// The service behaves badly for at least `requests` requests, then well; nothing comes twice.
async fn check(behavior: Behavior, requests: usize) {
    for lock in LOCKS {
        let service = Service::start(ANY_PORT, behavior).await;
        let (engine, log) = start(service.address, lock).await;
        post_events(&engine).await;
        service.requested(requests).await;
        log.wait_for("retry", |line| line["error"].is_string()).await;
        service.set(Behavior::Well);
        let delivered = check_delivered(engine, &service).await;
        assert_eq!(delivered.len(), EVENTS, "{lock:?}");
    }
}

#[tokio::test]
async fn the_service_refuses_connections() {
    // Nobody listens at a port that was somebody's just now.
    let address = Service::start(ANY_PORT, Behavior::Well).await.address;
    let (engine, log) = start(address, GroupLock::default()).await;
    post_events(&engine).await;
    log.wait_for("retry", |line| line["error"].is_string()).await;
    let service = Service::start(address, Behavior::Well).await;
    let delivered = check_delivered(engine, &service).await;
    assert_eq!(delivered.len(), EVENTS, "and once");
}

#[tokio::test]
async fn the_service_hangs() {
    check(Behavior::Hang, 2).await;
}

#[tokio::test]
async fn the_service_resets_connections() {
    check(Behavior::Reset, 2).await;
}

#[tokio::test]
async fn the_service_answers_garbage() {
    check(Behavior::Garbage, 2).await;
}

#[tokio::test]
async fn the_service_closes_half_way() {
    check(Behavior::HalfAnswer, 2).await;
}

#[tokio::test]
async fn the_service_takes_exactly_the_timeout() {
    // Either outcome is right for an attempt; what is not is an event that is lost or overtaken.
    let service = Service::start(ANY_PORT, Behavior::Slow(TIMEOUT)).await;
    let (engine, _log) = start(service.address, GroupLock::default()).await;
    post_events(&engine).await;
    service.requested(3).await;
    service.set(Behavior::Well);
    check_delivered(engine, &service).await;
}

/// Somebody holds the first two events of a key, and the first one comes back alone: the forwarder gets
/// it at once, and what is behind it only after the second.
#[tokio::test]
async fn a_head_comes_back_while_its_followers_are_held() {
    for lock in LOCKS {
        let service = Service::start(ANY_PORT, Behavior::Well).await;
        let (engine, _log) = start(service.address, lock).await;
        set_enabled(&engine, false).await;
        for number in 1..=3 {
            let event = format!("k-{number}");
            assert_eq!(post(&crate::support::http_client(), &engine, "k", event).await, 200);
        }
        let queues = Api::of(engine);
        let url = json!("test-webhook.fifo");
        let two = json!({ "QueueUrl": url, "MaxNumberOfMessages": 2, "VisibilityTimeout": 600 });
        let held = queues.done("ReceiveMessage", &two).await["Messages"].clone();
        let release = async |place: usize| {
            let request = json!({ "QueueUrl": url, "VisibilityTimeout": 0,
                                  "ReceiptHandle": held[place]["ReceiptHandle"] });
            queues.done("ChangeMessageVisibility", &request).await;
        };
        release(0).await;
        set_enabled(&queues.engine, true).await;
        if lock == GroupLock::Behind {
            // Delivered, and deleted.
            while get(&queues.engine, "status").await["event_source_mapping"]["messages_deleted"]
                == 0
            {
                tokio::task::yield_now().await;
            }
            let all = service.delivered(|events| !events.is_empty()).await;
            assert_eq!(all, ["k-1"], "the second is held, and the third behind it");
        }
        release(1).await;
        let all = service.delivered(|events| events.len() == 3).await;
        assert_eq!(all, ["k-1", "k-2", "k-3"], "{lock:?}");
        queues.engine.stop().await;
    }
}

#[tokio::test]
async fn the_forwarder_is_killed_while_the_service_hangs() {
    let [one, other] = LOCKS.map(check_killed);
    tokio::join!(one, other);
}

async fn check_killed(lock: GroupLock) {
    let service = Service::start(ANY_PORT, Behavior::Hang).await;
    let (engine, log) = start(service.address, lock).await;
    post_events(&engine).await;
    service.requested(1).await;
    let started = log.all().into_iter().filter(|line| line["message"] == "forwarder_started");
    for pid in started.map(|line| line["pid"].to_string()) {
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    }
    log.wait_for("forwarder_exited", |line| line["status"] == "signal: 9 (SIGKILL)").await;
    service.set(Behavior::Well);
    let delivered = check_delivered(engine, &service).await;
    assert_eq!(delivered.len(), EVENTS, "and once, as none was answered before");
}
