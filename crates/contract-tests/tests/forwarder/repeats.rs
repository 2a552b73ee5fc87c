//! What an operator sends once more: one attempt, marked, as the same event, and nothing after it.

use contract_tests::event::{Record, message};
use contract_tests::forwarder::Forwarder;
use contract_tests::runtime_api::Answer;
use contract_tests::settings::{config, config_with};
use contract_tests::sss::Sss;
use domain::route::OnReject;
use serde_json::{Value, json};

use crate::{NONE, lines, status};

/// An event that was accepted long ago, as the engine hands it to the function once more.
fn repeat(id: &str, group: &str) -> Record {
    message(id, group)
        .sent_by_operator()
        .attribute("accepted_at", "1767225600123")
        .attribute("repeated_at", "1769860800000")
}

async fn response(forwarder: &Forwarder, batch: impl IntoIterator<Item = Record>) -> Value {
    match forwarder.begin(batch).answer().await {
        Some(Answer::Response(body)) => serde_json::from_slice(&body).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_repeat_is_the_same_event_with_a_mark() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let record = repeat("m-1", "order-7").body("{ \"a\" : 1 }");
    let sequence = record.sequence();
    let answer = response(&forwarder, [record]).await;
    let delivery = &sss.deliveries()[0];
    for (name, value) in [
        ("webhook-id", "evt-m-1"),
        ("webhook-repeat", "2026-01-31T12:00:00.000Z"),
        ("webhook-attempt", "1"),
        ("webhook-group", "order-7"),
        ("webhook-sequence", sequence.as_str()),
        ("webhook-accepted-at", "2026-01-01T00:00:00.123Z"),
    ] {
        assert_eq!(delivery.header(name), value, "{name}");
    }
    assert_eq!(delivery.request.body, b"{ \"a\" : 1 }");
    assert_eq!(answer["batchItemFailures"], json!([]));
    let repeat = &answer["repeats"][0];
    assert_eq!((&repeat["message_id"], &repeat["delivered"]), (&json!("m-1"), &json!(true)));
    let asked = &repeat["attempts"][0];
    assert_eq!((&asked["destination"], &asked["status"]), (&json!("sss"), &json!(200)));
    assert!(asked["latency_ms"].is_u64(), "{asked}");
    let log = forwarder.log();
    assert_eq!(lines(&log, "repeated")[0]["event_id"], "evt-m-1");
    assert!(lines(&log, "delivered").is_empty(), "it counts as no delivery: {log:?}");
}

#[tokio::test]
async fn a_repeat_that_fails_is_tried_once_and_is_no_dead_letter() {
    for (code, on_reject) in [
        (503, OnReject::DeadLetter),
        (422, OnReject::DeadLetter),
        (422, OnReject::Block),
        (302, OnReject::Block),
    ] {
        let sss = Sss::start().await;
        sss.answer_all(status(code));
        let config = config_with(&sss.url(), |route| route.on_reject = on_reject);
        let forwarder = Forwarder::start(config).await;
        let answer = response(&forwarder, [repeat("m-1", "a")]).await;
        // Were it a message of a queue, by somebody who marks what they send, it would stay there.
        assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "m-1" }]));
        let repeat = &answer["repeats"][0];
        assert_eq!(repeat["delivered"], false);
        assert_eq!(repeat["attempts"][0]["status"], code);
        assert_eq!(sss.deliveries().len(), 1);
        assert_eq!(forwarder.sqs().calls(), [], "neither dead-lettered nor shown again");
        let log = forwarder.log();
        let [line] = lines(&log, "repeat_failed")[..] else { panic!("{log:?}") };
        assert_eq!((&line["status"], &line["level"]), (&json!(code), &json!("WARN")));
    }
}

#[tokio::test]
async fn a_repeat_that_cannot_be_sent_says_why() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let answer = response(&forwarder, [repeat("m-1", "a").route("gone")]).await;
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "m-1" }]));
    let repeat = &answer["repeats"][0];
    assert_eq!((&repeat["delivered"], &repeat["attempts"]), (&json!(false), &json!([])));
    assert!(repeat["error"].as_str().unwrap().contains("gone"), "{repeat}");
    assert_eq!(forwarder.sqs().calls(), []);
}

#[tokio::test]
async fn a_repeat_holds_up_nothing_and_a_request_cannot_ask_for_one() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(503)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let answer = response(&forwarder, [repeat("m-1", "a"), message("m-2", "a")]).await;
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "m-1" }]));
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2"]);
    // As a request could make it if the gateway did not escape headers.
    let forged = message("m-3", "a").attribute("repeated_at", "1769860800000");
    assert_eq!(forwarder.invoke([forged]).await, NONE);
    let delivery = sss.deliveries().pop().unwrap();
    assert_eq!(delivery.request.headers.get("webhook-repeat"), None);
}
