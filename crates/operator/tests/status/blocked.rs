//! `blocked`: which groups wait, and for what.

use serde_json::{Value, json};

use crate::support::{Behavior, Service, Site};

#[tokio::test]
async fn a_rejected_event_blocks_its_group_and_no_other() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let first = site.post("/strict", "order-7", "1").await;
    site.post("/strict", "order-7", "2").await;
    site.post("/strict", "order-7", "3").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;

    let blocked = site.json(&["blocked", "local"]).await;
    let group = &blocked["groups"][0];
    assert_eq!((&group["group"], &group["event_id"]), (&json!("order-7"), &json!(first)));
    assert_eq!((&group["why"], &group["reason"]), (&json!("rejected"), &json!("422")));
    assert_eq!((&group["behind"], &group["route"]), (&json!(2), &json!("strict")));
    let table = site.operate(&["blocked", "local", "--rejected"]).await.stdout;
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["order-7", "rejected", "422", "service"], "{table}");
    assert!(table.contains(&first), "{table}");
    assert!(service.delivered().is_empty());

    service.set(Behavior::Answer(200));
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    assert_eq!(service.delivered(), ["1", "2", "3"], "in order");
    assert_eq!(site.operate(&["blocked", "local"]).await.stdout, "no group waits\n");
}

#[tokio::test]
async fn a_group_that_waits_for_a_service_is_no_rejected_one() {
    let address = Service::nowhere().await;
    let site = Site::start(&format!("http://{address}")).await;
    site.post("/sqs-hook", "order-7", "1").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    let blocked = site.json(&["blocked", "local"]).await;
    let group = &blocked["groups"][0];
    assert_eq!((&group["why"], &group["reason"]), (&json!("retry"), &json!("refused")), "{group}");
    let rejected = site.json(&["blocked", "local", "--rejected"]).await;
    assert_eq!(rejected["groups"], json!([]));
}

#[tokio::test]
async fn resume_does_not_wait_for_what_stands_behind_rejected_events() {
    let service = Service::anywhere().await;
    service.set(Behavior::Refuse("poison"));
    let site = Site::start(&service.url()).await;
    site.operate(&["pause", "local", "--why", "release 42"]).await;
    site.post("/strict", "order-7", "poison").await;
    site.post("/strict", "order-7", "behind").await;
    site.post("/strict", "order-8", "free").await;
    let resumed = site.operate(&["resume", "local", "--json"]).await;
    assert_eq!(resumed.code, Some(1), "{}", resumed.stderr);
    let report: Value = serde_json::from_str(&resumed.stdout).unwrap();
    assert_eq!((&report["state"], &report["blocked"]), (&json!("resumed"), &json!("order-7")));
    assert_eq!((&report["waiting"], &report["waiting_before"]), (&json!(2), &json!(3)));
    assert_eq!(service.delivered(), ["free"]);
    let again = site.operate(&["resume", "local"]).await;
    assert_eq!(again.code, Some(1), "{}", again.stderr);
    let said = "2 events wait behind what is rejected, and does not go out by itself: key order-7";
    assert!(again.stdout.contains(said), "{}", again.stdout);
    assert!(again.stdout.contains(" show local order-7"), "{}", again.stdout);
}
