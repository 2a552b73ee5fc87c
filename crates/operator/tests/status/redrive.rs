//! `dlq redrive` where deliveries go on: what it would go behind, and the pause that it makes.

use serde_json::json;

use crate::support::{Behavior, Service, Site};

/// A dead letter of `order-7`, one newer event of it that was delivered and two that wait, and a dead
/// letter of `order-8`, of which there is nothing newer.
async fn overtaken(site: &Site, service: &Service) -> [String; 2] {
    service.set(Behavior::Answer(422));
    let dead = [
        site.post("/sqs-hook", "order-7", "1").await,
        site.post("/sqs-hook", "order-8", "a").await,
    ];
    site.wait_for(|status| status["dead_letter_queue"]["visible"] == 2).await;
    service.set(Behavior::Answer(200));
    site.post("/sqs-hook", "order-7", "2").await;
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    site.set_delivery(false).await;
    for body in ["3", "4"] {
        site.post("/sqs-hook", "order-7", body).await;
    }
    dead
}

#[tokio::test]
async fn a_dry_run_tells_what_it_would_go_behind() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let [first, second] = overtaken(&site, &service).await;
    let plan = site.json(&["dlq", "redrive", "local", "--all", "--dry-run"]).await;
    let behind: Vec<_> = ["group", "events", "delivered_since", "waiting"]
        .map(|key| json!([plan["groups"][0][key], plan["groups"][1][key]]))
        .into();
    let expected = [json!(["order-7", "order-8"]), json!([1, 1]), json!([1, 0]), json!([2, 0])];
    assert_eq!((behind.as_slice(), &plan["waiting_before"]), (&expected[..], &json!(2)));
    let shown = site.operate(&["dlq", "redrive", "local", "--all", "--dry-run"]).await.stdout;
    let expected = format!(
        "would send 2 events of 2 groups; nothing was changed\n2 events in the queue now\n  \
         group order-7: 1 event, behind 2 events that wait and 1 delivered since\n  \
         group order-8: 1 event, nothing newer\n\
         \ngroup order-7:\n  {first}\n\ngroup order-8:\n  {second}\n"
    );
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn its_pause_is_noted_and_one_of_others_stays() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    overtaken(&site, &service).await;
    let redrive = ["dlq", "redrive", "local", "--all", "--pause-first", "--why", "SSS 4.2"];
    let done = site.operate(&redrive).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let said = "what is sent waits until `webhook-operator resume local --data-dir ";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    assert_eq!(site.json(&["status", "local"]).await["delivery"]["paused"], true);

    service.set(Behavior::Answer(422));
    site.set_delivery(true).await;
    site.wait_for(|status| status["dead_letter_queue"]["visible"] == 4).await;
    service.set(Behavior::Answer(200));
    assert_eq!(site.operate(&redrive).await.code, Some(0));
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    let log = site.operate(&["dlq", "log", "local", "--json"]).await.stdout;
    let noted: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = noted
        .iter()
        .map(|line| json!([line["action"], line["reason"], line["what"]["state"]]))
        .collect();
    let acts = [("pause", Some("SSS 4.2")), ("dlq redrive", Some("SSS 4.2")), ("resume", None)];
    let of = |(action, reason)| ["started", "ended"].map(|state| json!([action, reason, state]));
    let one: Vec<_> = acts.into_iter().flat_map(of).collect();
    assert_eq!(told, [one.clone(), one].concat());
    for line in noted.iter().filter(|line| line["action"] != "dlq redrive") {
        let by = (&line["what"]["by"], &line["what"]["name"]);
        assert_eq!(by, (&json!("dlq redrive"), &json!("dlq redrive")), "{line}");
    }
}
