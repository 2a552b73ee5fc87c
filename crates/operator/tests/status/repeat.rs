//! `repeat`, of what was delivered and is kept, and `find`.

use serde_json::{Value, json};

use crate::support::{Behavior, Service, Site};

/// An engine that keeps what it delivers, and an event that was delivered.
async fn delivered(service: &Service, body: &str) -> (Site, String) {
    let site = Site::keeping(&service.url(), json!({})).await;
    let event_id = site.post("/sqs-hook", "order-7", body).await;
    let is_gone = |status: &Value| {
        status["queue"]["visible"] == 0
            && status["queue"]["in_flight"] == 0
            && status["mapping"]["messages_deleted"] != 0
    };
    site.wait_for(is_gone).await;
    (site, event_id)
}

/// What a command says that may fail.
async fn said(site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    let done = site.operate(&[words, &["--json"]].concat()).await;
    let report = serde_json::from_str(&done.stdout);
    (done.code, report.unwrap_or_else(|_| json!(done.stderr)))
}

/// The lines of the audit log about repeats: what came of each.
async fn audited(site: &Site) -> Vec<(Value, Value)> {
    let log = site.operate(&["dlq", "log", "local", "--json"]).await.stdout;
    let lines = serde_json::Deserializer::from_str(&log).into_iter::<Value>().map(Result::unwrap);
    let lines = lines.filter(|line| line["action"] == "repeat");
    lines.map(|line| (line["what"]["state"].clone(), line["what"]["outcome"].clone())).collect()
}

#[tokio::test]
async fn a_kept_event_is_shown_and_sent_once_more_and_disturbs_nothing() {
    let service = Service::anywhere().await;
    let (site, event_id) = delivered(&service, "{\"by\":\"Tanaka\"}").await;
    let site = site.restarted().await;
    let shown = site.json(&["show", "local", &event_id]).await;
    assert_eq!((&shown["state"], &shown["group"]), (&json!("delivered"), &json!("order-7")));
    assert_eq!(shown["messages"][0]["body"], "{\"by\":\"Tanaka\"}");
    let command = shown["can_do"][0]["command"].as_str().unwrap();
    assert!(command.contains("repeat"), "{command}");
    let before = site.json(&["status", "local"]).await;

    let repeat = ["repeat", "local", &event_id[..18], "--why", "restored"];
    let (code, report) = said(&site, &repeat).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((&report["outcome"], &report["event_id"]), (&json!("delivered"), &json!(event_id)));
    assert_eq!(report["attempts"][0]["status"], 200);
    assert_eq!(service.delivered(), ["{\"by\":\"Tanaka\"}"; 2]);
    assert_eq!(
        audited(&site).await,
        [(json!("started"), Value::Null), (json!("ended"), json!("delivered"))]
    );
    let after = site.json(&["status", "local"]).await;
    for what in ["/loss_meter/missing", "/loss_meter/total", "/queue/events"] {
        assert!(before.pointer(what).is_some(), "{before:#}");
        assert_eq!(after.pointer(what), before.pointer(what), "{what}");
    }
    assert_eq!(after["loss_meter"]["missing"], 0);
    let shown = site.json(&["show", "local", &event_id]).await;
    assert_eq!(shown["state"], "delivered");
    let whats: Vec<&str> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert!(whats.contains(&"repeat") && whats.contains(&"repeated"), "{whats:?}");
    let text = site.operate(&repeat).await.stdout;
    assert!(text.contains("was sent once more, and taken\nservice answered 200 in "), "{text}");
}

#[tokio::test]
async fn a_repeat_that_fails_is_said_and_not_tried_again() {
    let service = Service::anywhere().await;
    let (site, event_id) = delivered(&service, "1").await;
    for status in [503, 422] {
        service.set(Behavior::Answer(status));
        let (code, report) = said(&site, &["repeat", "local", &event_id, "--why", "w"]).await;
        assert_eq!((code, &report["outcome"]), (Some(1), &json!("failed")), "{report:#}");
        assert_eq!(report["attempts"][0]["status"], status);
    }
    assert_eq!(service.requests(), 3);
    let status = site.json(&["status", "local"]).await;
    assert_eq!(
        (&status["queue"]["events"], &status["dead_letters"]["count"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(audited(&site).await[1], (json!("ended"), json!("failed")));
}

#[tokio::test]
async fn nothing_is_repeated_between_what_waits_or_in_a_pause_unless_it_is_wanted() {
    let service = Service::anywhere().await;
    let (site, event_id) = delivered(&service, "1").await;
    let repeat = ["repeat", "local", event_id.as_str(), "--why", "w"];
    service.set(Behavior::Answer(503));
    site.post("/sqs-hook", "order-7", "2").await;
    let done = site.operate(&repeat).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("1 event of its key is waiting"), "{}", done.stderr);
    assert!(done.stderr.contains("--anyway"), "{}", done.stderr);
    let (_, report) = said(&site, &[&repeat[..], &["--anyway"]].concat()).await;
    assert_eq!(report["outcome"], "failed");
    site.set_delivery(false).await;
    let done = site.operate(&[&repeat[..], &["--anyway"]].concat()).await;
    assert!(done.code == Some(1) && done.stderr.contains("delivery is paused"), "{}", done.stderr);
    site.set_delivery(true).await;
    let (code, report) = said(&site, &[&repeat[..], &["--anyway", "--no-wait"]].concat()).await;
    assert_eq!((code, &report["outcome"]), (Some(0), &json!("begun")), "{report:#}");
}

#[tokio::test]
async fn what_is_not_kept_cannot_be_repeated_and_the_way_out_is_said() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let event_id = site.post("/sqs-hook", "order-7", "1").await;
    site.wait_for(|status| status["queue"]["visible"] == 0 && status["queue"]["in_flight"] == 0)
        .await;
    for id in [event_id.as_str(), "nobody-s"] {
        let done = site.operate(&["repeat", "local", id, "--why", "w"]).await;
        assert_eq!(done.code, Some(1));
        assert!(done.stderr.contains("keep_delivered"), "{}", done.stderr);
    }
    assert!(audited(&site).await.is_empty(), "nothing was begun");
    for words in [["repeat", "local", &event_id, "--why", "w"].as_slice(), &["find", "local", "x"]]
    {
        let done = site.operate_as_on_aws(words).await;
        let says = done.stderr.contains("SQS keeps nothing") || done.stderr.contains("dlq list");
        assert!(done.code == Some(1) && says, "{}", done.stderr);
    }
}

#[tokio::test]
async fn a_text_is_found_wherever_events_are_kept() {
    let service = Service::anywhere().await;
    let (site, kept) = delivered(&service, "{\"by\":\"Tanaka\"}").await;
    service.set(Behavior::Answer(422));
    let dead = site.post("/sqs-hook", "order-8", "{\"by\":\"tanaka 2\"}").await;
    site.wait_for(|status| status["dead_letter_queue"]["visible"] == 1).await;
    let blocked = site.post("/strict", "order-9", "{\"by\":\"TANAKA\"}").await;
    let behind = site.post("/strict", "tanaka", "{}").await;
    let found = site.json(&["find", "local", "tanaka"]).await;
    let events = found["events"].as_array().unwrap();
    let state_of = |id: &str| {
        let event = events.iter().find(|it| it["event_id"] == id).unwrap_or(&Value::Null);
        (event["state"].as_str().unwrap_or("missing"), event["place"].as_str().unwrap_or_default())
    };
    assert_eq!(state_of(&kept), ("delivered", "body"));
    assert_eq!(state_of(&dead), ("dead", "body"));
    assert_eq!(state_of(&behind).1, "key");
    assert_eq!(state_of(&blocked).1, "body");
    assert_eq!((events.len(), &found["whole"]), (4, &json!(true)));
    let one = site.json(&["find", "local", "tanaka", "--limit", "1"]).await;
    assert_eq!((one["events"].as_array().unwrap().len(), &one["whole"]), (1, &json!(false)));
    let text = site.operate(&["find", "local", "order-7"]).await.stdout;
    assert!(text.contains(&kept[..8]) && text.contains("1 event of "), "{text}");
    let none = site.operate(&["find", "local", "nothing like it"]).await;
    assert!(none.code == Some(0) && none.stdout.starts_with("0 events of "), "{}", none.stdout);
}
