//! `status`: what an operator sees in an outage and after it, and that the loss meter can fail.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{Behavior, Service, Site};

fn delivered(status: &Value, route: &str) -> u64 {
    status["loss_meter"]["routes"][route]["delivered"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn an_outage_is_seen_and_its_end_too() {
    let address = Service::nowhere().await;
    let site = Site::start(&format!("http://{address}")).await;
    for n in 0..6 {
        site.post("/sqs-hook", &format!("k{n}"), "{}").await;
    }
    let is_open = |status: &Value| {
        status["deliveries"]["destinations"]["sss"]["service"]["breaker_open_at"].is_string()
    };
    site.wait_for(is_open).await;

    let report = site.json(&["status", "local"]).await;
    assert_eq!(report["queue"]["events"], 6, "{report:#}");
    assert!(report["queue"]["oldest_age_ms"].is_u64());
    assert_eq!(report["loss_meter"]["missing"], 0);
    assert_eq!(report["loss_meter"]["routes"]["sss"]["queued"], 6);
    assert!(report["destinations"][0]["retried"].as_u64() >= Some(5));
    assert_eq!((&report["delivery"]["paused"], &report["alarms"]), (&json!(false), &Value::Null));
    let screen = site.operate(&["status", "local"]).await.stdout;
    assert!(screen.contains("queue      6 events, "), "{screen}");
    assert!(screen.contains(" waiting (`webhook-operator blocked local --data-dir "), "{screen}");
    assert!(screen.contains("breaker    sss to service: OPEN, last seen "), "{screen}");
    assert!(screen.contains("loss       0 missing since "), "{screen}");

    let service = Service::start(address).await;
    site.wait_for(|status| delivered(status, "sss") == 6).await;
    let report = site.json(&["status", "local"]).await;
    assert_eq!(
        (&report["queue"]["events"], &report["loss_meter"]["missing"]),
        (&json!(0), &json!(0))
    );
    let last = report["last_deliveries"].as_array().unwrap();
    assert_eq!(last.len(), service.delivered().len());
    assert!(last.iter().all(|it| it["status"] == 200 && it["latency_ms"].is_u64()), "{last:?}");
    let screen = site.operate(&["status", "local"]).await.stdout;
    assert!(screen.contains("breaker    sss to service: closed"), "{screen}");
    assert!(screen.contains("release    engine "), "{screen}");
}

#[tokio::test]
async fn nothing_is_missing_after_the_forwarder_was_killed() {
    let service = Service::anywhere().await;
    service.set(Behavior::Hang);
    let site = Site::start(&service.url()).await;
    for n in 0..8 {
        site.post("/sqs-hook", &format!("k{}", n % 3), &format!("{n}")).await;
    }
    service.requested(1).await;
    site.kill_forwarders();
    service.set(Behavior::Answer(200));
    site.wait_for(|status| delivered(status, "sss") == 8).await;
    let report = site.json(&["status", "local"]).await;
    assert_eq!(
        report["loss_meter"]["routes"]["sss"],
        json!({
            "accepted": 8, "delivered": 8, "dead_letters": 0, "dropped": 0, "queued": 0,
            "missing": 0, "copies": 0, "dead_lettered": 0, "redriven": 0,
            "left": { "expired": 0, "purged": 0, "deleted": 0 },
        })
    );
}

#[tokio::test]
async fn an_event_that_somebody_deleted_is_missing() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    site.set_delivery(false).await;
    for n in 0..3 {
        site.post("/sqs-hook", &format!("k{n}"), "{}").await;
    }
    site.delete_one(site.queue_url()).await;

    let report = site.json(&["status", "local"]).await;
    assert_eq!(report["loss_meter"]["missing"], 1, "{report:#}");
    assert_eq!(report["loss_meter"]["routes"]["sss"]["queued"], 2);
    let screen = site.operate(&["status", "local"]).await.stdout;
    assert!(screen.contains("loss       1 MISSING: 1 deleted by hand since "), "{screen}");
    assert!(
        screen.contains("delivery   PAUSED (Disabled): `webhook-operator resume local --data-dir "),
        "{screen}"
    );

    site.set_delivery(true).await;
    site.wait_for(|status| delivered(status, "sss") == 2).await;
    let report = site.json(&["status", "local"]).await;
    assert_eq!(report["loss_meter"]["missing"], 1, "a delivery does not hide it");
    let doctor = site.operate(&["doctor", "local"]).await;
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("FAIL  loss meter"), "{}", doctor.stdout);
}

#[tokio::test]
async fn dead_letters_are_told_by_reason_and_a_drop_is_no_loss() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    for n in 0..2 {
        site.post("/sqs-hook", &format!("k{n}"), "{}").await;
    }
    let both = |status: &Value| {
        status["dead_letter_queue"]["visible"] == 2 && status["queue"]["message_groups"] == 0
    };
    site.wait_for(both).await;
    let report = site.json(&["status", "local"]).await;
    assert_eq!(report["dead_letters"]["by_reason"], json!({ "rejected": 2 }));
    assert_eq!(report["loss_meter"]["missing"], 0, "{report:#}");
    let screen = site.operate(&["status", "local"]).await.stdout;
    assert!(screen.contains("dead       2 dead letters: 2 rejected; oldest "), "{screen}");

    site.delete_one(site.dead_letter_queue_url()).await;
    service.set(Behavior::Answer(200));
    let redriven = site.operate(&["dlq", "redrive", "local", "--all"]).await;
    // What was just looked at and not deleted is shown again.
    assert_eq!(redriven.code, Some(0), "{}", redriven.stderr);
    let status = site.wait_for(|status| delivered(status, "sss") == 1).await;
    let balance = &status["loss_meter"]["routes"]["sss"];
    assert_eq!(
        [&balance["dropped"], &balance["redriven"], &balance["dead_lettered"], &balance["missing"]],
        [&json!(1), &json!(1), &json!(2), &json!(0)],
        "{balance}"
    );
}

#[tokio::test]
async fn it_is_watched_until_ctrl_c() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let mut watching = site.start_command(&["status", "local", "--watch", "--json"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(delivered(&first, "sss"), 0, "what is configured is there from the start");
    site.post("/sqs-hook", "k", "{}").await;
    site.wait_for(|status| delivered(status, "sss") == 1).await;
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if delivered(&serde_json::from_str(&line).unwrap(), "sss") == 1 {
            break;
        }
    }
    let pid = Pid::from_raw(watching.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(watching.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn what_the_log_level_hides_is_unknown() {
    let service = Service::anywhere().await;
    let site = Site::with(&service.url(), json!({ "log_level": "WARN" })).await;
    site.post("/sqs-hook", "k", "{}").await;
    site.wait_for(|status| delivered(status, "sss") == 1).await;
    let report = site.json(&["status", "local"]).await;
    assert_eq!((&report["destinations"], &report["last_deliveries"]), (&json!([]), &json!([])));
    let unknown = report["unknown"][0].as_str().unwrap();
    assert!(unknown.starts_with("last deliveries and breaker"), "{unknown}");
}

#[tokio::test]
async fn what_aws_does_not_tell_is_unknown_and_never_0() {
    let address = Service::nowhere().await;
    let site = Site::start(&format!("http://{address}")).await;
    site.set_delivery(false).await;
    site.post("/sqs-hook", "k", "{}").await;
    let done = site.operate_as_on_aws(&["status", "local", "--json"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["host"], "aws");
    assert_eq!(
        (&report["queue"]["events"], &report["delivery"]["paused"]),
        (&json!(1), &json!(true))
    );
    for unknown in ["/loss_meter", "/alarms", "/queue/oldest_age_ms", "/queue/waiting_groups"] {
        assert_eq!(report.pointer(unknown), Some(&Value::Null), "{unknown}");
    }
    let screen = site.operate_as_on_aws(&["status", "local"]).await.stdout;
    assert!(screen.contains("unknown    loss meter ("), "{screen}");
    assert!(
        screen.contains("unknown    last deliveries, breaker and waiting groups ("),
        "{screen}"
    );
}

#[tokio::test]
async fn an_engine_that_has_crashed_is_said_to_have() {
    let dir = tempfile::tempdir().unwrap();
    let address = Service::nowhere().await.to_string();
    let left_over = json!({
        "environment": "local", "api": address, "queue_url": "http://q",
        "dead_letter_queue_url": "http://d",
    });
    std::fs::write(dir.path().join("engine.json"), left_over.to_string()).unwrap();
    let dir = dir.path().to_str().unwrap();
    let failed = crate::support::operator(&["status", "local", "--data-dir", dir]);
    let failed: crate::support::Done = { failed }.output().await.unwrap().into();
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(3), ""));
    assert!(failed.stderr.contains(&format!("nobody answers at {address}")), "{}", failed.stderr);
}
