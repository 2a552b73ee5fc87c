//! `skip`: an event out of the way of its group.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant, SystemTime};

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::on_aws::line;
use crate::support::{Behavior, Service, Site};

/// A group whose first event is rejected, with two behind it; its id.
async fn blocked(site: &Site) -> String {
    let first = site.post("/strict", "order-7", "1").await;
    site.post("/strict", "order-7", "2").await;
    site.post("/strict", "order-7", "3").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    first
}

#[tokio::test]
async fn the_group_waits_until_its_first_event_is_skipped_and_goes_on_in_order() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("1"));
    let site = Site::start(&service.url()).await;
    let first = blocked(&site).await;
    // It is attempted again, and nothing behind it is.
    service.requested(3).await;
    assert_eq!(service.delivered(), [""; 0]);

    let skip = ["skip", "local", &first, "--why", "cancelled by phone"];
    let skipped = site.operate(&skip).await;
    assert_eq!(skipped.code, Some(0), "{}", skipped.stderr);
    let said = format!("{first} is a dead letter now, and group order-7 goes on");
    assert!(skipped.stdout.contains(&said), "{}", skipped.stdout);
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    assert_eq!(service.delivered(), ["2", "3"], "in order");

    let dead = site.json(&["dlq", "list", "local"]).await;
    let [letter] = dead.as_array().unwrap().as_slice() else { panic!("{dead}") };
    assert_eq!((&letter["event_id"], &letter["reason"]), (&json!(first), &json!("skipped")));
    assert_eq!(letter["status"], 422, "what the service had answered");
    let log = site.operate(&["dlq", "log", "local", "--json"]).await.stdout;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |line: &Value| json!([line["action"], line["reason"], line["what"]["state"]]);
    let told: Vec<Value> = lines.iter().map(of).collect();
    let act = |state| json!(["skip", "cancelled by phone", state]);
    assert_eq!(told, [act("started"), act("ended")]);
    assert_eq!(lines[0]["what"]["event_id"], *first);
    let status = site.json(&["status", "local"]).await;
    assert_eq!(status["loss_meter"]["missing"], 0, "{status:#}");

    // Sent again it is attempted like any other: what was asked for is over.
    let redriven = site.operate(&["dlq", "redrive", "local", "--all"]).await;
    assert_eq!(redriven.code, Some(0), "{}", redriven.stderr);
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    service.set(Behavior::Answer(200));
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    assert_eq!(service.delivered(), ["2", "3", "1"]);
}

#[tokio::test]
async fn an_event_that_the_service_takes_after_all_is_delivered() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let first = blocked(&site).await;
    site.set_delivery(false).await;
    let skip = ["skip", "local", &first, "--why", "in vain", "--json"];
    let asked: Value = serde_json::from_str(&site.operate(&skip).await.stdout).unwrap();
    assert_eq!((&asked["outcome"], &asked["paused"]), (&json!("asked"), &json!(true)));
    assert_eq!((&asked["group"], &asked["behind"]), (&json!("order-7"), &json!(2)));

    service.set(Behavior::Answer(200));
    site.set_delivery(true).await;
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    assert_eq!(service.delivered(), ["1", "2", "3"]);
    assert_eq!(site.json(&["dlq", "list", "local"]).await, json!([]));
}

#[tokio::test]
async fn what_does_not_wait_is_not_skipped() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("1"));
    let site = Site::start(&service.url()).await;
    blocked(&site).await;
    let behind = site.post("/strict", "order-7", "4").await;
    for event_id in [behind.as_str(), "no such event"] {
        let refused = site.operate(&["skip", "local", event_id, "--why", "test"]).await;
        assert_eq!(refused.code, Some(1));
        let said = format!("event {event_id:?} is not the first of a group that waits");
        assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    }
    let log = site.operate(&["dlq", "log", "local", "--json"]).await;
    assert_eq!((log.code, log.stdout.as_str()), (Some(0), ""), "nothing was done");
}

/// Nothing that a command does goes through a file that its user would have to share with the engine's.
#[tokio::test]
async fn another_user_than_the_engine_s_skips_over_its_api() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("1"));
    let site = Site::start(&service.url()).await;
    let first = blocked(&site).await;
    let skip = ["skip", "local", &first, "--why", "cancelled by phone"];
    let Some(skipped) = site.operate_as_nobody(&skip).await else { return };
    assert_eq!(skipped.code, Some(0), "{}", skipped.stderr);
    let said = format!("{first} is a dead letter now, and group order-7 goes on");
    assert!(skipped.stdout.contains(&said), "{}", skipped.stdout);
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;

    for name in ["skips.json", "audit.jsonl"] {
        let metadata = std::fs::metadata(site.file(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600), "{name}");
    }
    for (command, expected) in [
        (&["dlq", "log", "local"][..], "cancelled by phone"),
        (&["trace", "local", &first], "a dead letter"),
        (&["dlq", "show", "local", &first], "skipped"),
        (&["blocked", "local"], "no group waits"),
        (&["status", "local"], "1 dead letter"),
        (&["skip", "local", "--list"], "no event is to be skipped"),
        (&["pause", "local", "--why", "test"], " resume local --api 127.0.0.1:"),
        (&["resume", "local"], "the queue is empty"),
        (&["dlq", "redrive", "local", "--all"], "sent 1"),
    ] {
        let done = site.operate_as_nobody(command).await.unwrap();
        assert_eq!(done.code, Some(0), "{command:?}: {}", done.stderr);
        assert!(done.stdout.contains(expected), "{command:?}: {}", done.stdout);
    }
}

/// While it is attempted it does not wait, and it waits again afterwards.
#[tokio::test]
async fn what_was_asked_for_stays_on_the_list_until_the_event_has_left_the_queue() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    // Who receives it has it for six times as long.
    let site = Site::with(&service.url(), json!({ "function_timeout_seconds": 20 })).await;
    let skip = async |event_id: &str| {
        let skip = ["skip", "local", event_id, "--why", "test", "--no-wait"];
        let asked = site.operate(&skip).await;
        assert_eq!(asked.code, Some(0), "{}", asked.stderr);
        site.json(&["skip", "local", "--list"]).await["skips"].clone()
    };
    let waiting = async |path: &str, key: &str| {
        let event_id = site.post(path, key, key).await;
        site.wait_for(|status| status["waiting_groups"] == 1).await;
        event_id
    };
    let delivered = waiting("/strict", "order-1").await;
    site.set_delivery(false).await;
    assert_eq!(skip(&delivered).await.as_array().unwrap().len(), 1);
    service.set(Behavior::Answer(200));
    site.set_delivery(true).await;
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;

    service.set(Behavior::Answer(422));
    let attempted = waiting("/strict", "order-2").await;
    site.set_delivery(false).await;
    let skips = skip(&attempted).await;
    assert_eq!(skips.as_array().unwrap().len(), 1, "{delivered} has left: {skips}");
    let about: Value = serde_json::from_str(&site.get("/_engine/about").await.body).unwrap();
    while !site.receives(about["queue_url"].as_str().unwrap()).await {}
    site.set_delivery(true).await;
    let other = waiting("/strict", "order-3").await;
    let skips = skip(&other).await;
    let ids: Vec<_> = skips.as_array().unwrap().iter().map(|skip| &skip["event_id"]).collect();
    assert_eq!(ids.len(), 2, "{attempted} is in flight: {skips}");
    assert!(ids.contains(&&json!(attempted)), "{skips}");
}

#[tokio::test]
async fn what_was_asked_for_is_listed_and_taken_back() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("1"));
    let site = Site::start(&service.url()).await;
    let first = blocked(&site).await;
    site.set_delivery(false).await;
    let skip = ["skip", "local", &first, "--why", "in haste", "--no-wait"];
    assert_eq!(site.operate(&skip).await.code, Some(0));
    let list = site.json(&["skip", "local", "--list"]).await;
    assert_eq!(list["skips"][0]["event_id"], *first, "{list}");

    let undone = site.operate(&["skip", "local", &first, "--undo"]).await;
    assert_eq!(undone.code, Some(0), "{}", undone.stderr);
    let again = site.operate(&["skip", "local", &first, "--undo"]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("nobody asked for event"), "{}", again.stderr);
    let requests = service.requests();
    site.set_delivery(true).await;
    service.requested(requests + 2).await;
    assert_eq!(site.json(&["dlq", "list", "local"]).await, json!([]), "it stays where it was");
    assert_eq!(service.delivered(), [""; 0]);
}

#[tokio::test]
async fn what_was_asked_for_is_said_with_when_it_happens() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("1"));
    let site = Site::start(&service.url()).await;
    let first = blocked(&site).await;
    let skip = ["skip", "local", &first, "--why", "test", "--no-wait"];
    site.set_delivery(false).await;
    let said = site.operate(&skip).await.stdout;
    assert!(said.contains("delivery is paused, so it happens after `"), "{said}");
    // What is behind it goes out, and no group waits but for a moment.
    service.set(Behavior::Answer(200));
    site.set_delivery(true).await;
    site.wait_for(|status| status["waiting_groups"] == 0).await;

    service.set(Behavior::Answer(422));
    let next = site.post("/strict", "order-8", "9").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    let said = site.operate(&["skip", "local", &next, "--why", "test", "--no-wait"]).await.stdout;
    assert!(said.contains("` tells when it has happened"), "{said}");
}

/// While it is attempted an event does not wait, and does again a moment later.
#[tokio::test]
async fn an_event_that_does_not_wait_is_looked_for_for_a_while() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("1"));
    let site = Site::start(&service.url()).await;
    blocked(&site).await;
    let begun = Instant::now();
    let refused = site.operate(&["skip", "local", "no such event", "--why", "test"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// What was asked for of an event that has left is over, and of one that was sent again it is not.
#[tokio::test]
async fn on_aws_the_log_tells_which_skips_are_over() {
    let site = Site::start("http://127.0.0.1:9").await;
    let retry = json!({ "retry_in_ms": 600_000, "status": 503, "attempt": 2, "sequence": "3" });
    let log = vec![
        line(30, "dead_lettered", "gone", &json!({ "reason": "skipped", "sequence": "1" })),
        line(20, "delivered", "again", &json!({ "status": 200, "attempt": 1, "sequence": "2" })),
        line(5, "retry", "e-1", &retry),
    ];
    let parameter = Some(json!({ "skips": { "gone": "1", "again": "1" } }).to_string());
    let fake = FakeCloudWatch::start(Answers { log, parameter, ..Answers::default() }).await;
    let skip = ["skip", "local", "e-1", "--why", "wrong", "--no-wait"];
    let done = site.operate_on_aws(&fake, &skip).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(fake.parameter(), json!({ "skips": { "again": "1", "e-1": "3" } }));
}

#[tokio::test]
async fn on_aws_the_log_tells_when_it_has_happened() {
    let site = Site::start("http://127.0.0.1:9").await;
    let retry = json!({ "retry_in_ms": 600_000, "status": 503, "attempt": 2, "sequence": "3" });
    let log = vec![line(5, "retry", "e-1", &retry)];
    let soon = Timestamp::from(SystemTime::now() + Duration::from_mins(1)).to_string();
    let mut dead =
        line(0, "dead_lettered", "e-1", &json!({ "reason": "skipped", "sequence": "3" }));
    dead["timestamp"] = json!(soon);
    let log_later = vec![dead];
    let fake = FakeCloudWatch::start(Answers { log, log_later, ..Answers::default() }).await;
    let skip = ["skip", "local", "e-1", "--why", "wrong", "--json"];
    let done = site.operate_on_aws(&fake, &skip).await;
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &report["outcome"]), (Some(0), &json!("skipped")), "{}", done.stderr);
    assert_eq!(fake.parameter(), json!({ "skips": {} }), "it is over");
}
