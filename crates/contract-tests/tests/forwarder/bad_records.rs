//! Records that cannot be delivered as they are: dead-lettered with the reason, never lost, and never
//! at the cost of their neighbours.

use contract_tests::event::{Record, message};
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::Forwarder;
use contract_tests::runtime_api::Answer;
use contract_tests::settings::config;
use contract_tests::sss::Sss;
use domain::dead_letter::Class;
use serde_json::{Value, json};

use crate::{NONE, lines, status};

#[tokio::test]
async fn an_unknown_route_is_a_dead_letter() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let lost = message("m-1", "a").route("gone");
    let sequence = lost.sequence();
    assert_eq!(forwarder.invoke([lost, message("m-2", "a")]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-2"]);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    let failure = &dead_letters[0].failure;
    assert_eq!(failure.class, Class::Unroutable);
    assert!(failure.error.as_deref().is_some_and(|error| error.contains("gone")), "{failure:?}");
    assert_eq!((failure.attempts, failure.destination.as_deref()), (0, None));
    assert_eq!((failure.group.as_str(), &failure.sequence), ("a", &sequence));
    let log = forwarder.kill().await;
    let told = lines(&log, "dead_lettered");
    assert_eq!(told.len(), 1, "{log:?}");
    assert_eq!(told[0]["reason"], "unroutable");
}

#[tokio::test]
async fn a_message_of_a_group_that_no_route_has_is_a_dead_letter() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let stray = message("m-1", "nobody-s").without_attributes().body("stray");
    assert_eq!(forwarder.invoke([stray]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].body, "stray");
    assert_eq!(dead_letters[0].failure.class, Class::Unroutable);
    assert_eq!(dead_letters[0].attributes["event_id"].value, "m-1", "the event keeps its id");
    assert_eq!(sss.deliveries().len(), 0);
}

#[tokio::test]
async fn an_unroutable_message_whose_copy_fails_stays() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    forwarder.sqs().fail("SendMessage", Fault::Refused);
    let lost = message("m-1", "a").route("gone");
    assert_eq!(forwarder.invoke([lost, message("m-2", "b")]).await, ["m-1"]);
    assert_eq!(sss.event_ids(), ["evt-m-2"]);
}

/// Records that are no messages, and what is wrong with them.
fn broken() -> Vec<(&'static str, Record)> {
    let broken = || message("m-broken", "a").body("broken");
    vec![
        ("no message id", broken().without("messageId")),
        ("a message id of null", broken().field("messageId", Value::Null)),
        ("no receipt handle", broken().without("receiptHandle")),
        ("a group that is no id", broken().system_attribute("MessageGroupId", "a b")),
        ("a sequence that is no number", broken().system_attribute("SequenceNumber", "x y")),
        ("a number as the body", broken().field("body", json!(5))),
        ("an object as the body", broken().field("body", json!({ "a": [1] }))),
    ]
}

#[tokio::test]
async fn a_broken_record_is_a_dead_letter_and_its_neighbours_are_delivered() {
    for (what, record) in broken() {
        let sss = Sss::start().await;
        let forwarder = Forwarder::start(config(&sss.url())).await;
        let failed = forwarder.invoke([message("m-1", "a"), record, message("m-2", "b")]).await;
        assert_eq!(failed, NONE, "{what}");
        let mut delivered = sss.event_ids();
        delivered.sort();
        assert_eq!(delivered, ["evt-m-1", "evt-m-2"], "{what}");
        let dead_letters = forwarder.sqs().dead_letters();
        assert_eq!(dead_letters.len(), 1, "{what}");
        let dead = &dead_letters[0];
        assert_eq!(dead.failure.class, Class::Malformed, "{what}");
        assert!(dead.failure.error.as_deref().is_some_and(|error| !error.is_empty()), "{what}");
        let log = forwarder.kill().await;
        let told = lines(&log, "dead_lettered");
        assert_eq!(told.len(), 1, "{what}: {log:?}");
        assert_eq!(told[0]["reason"], "malformed", "{what}");
        assert_eq!(told[0]["level"], "ERROR", "{what}");
        let id = (!what.contains("message id")).then_some("m-broken");
        assert_eq!(told[0].get("event_id").and_then(Value::as_str), id, "{what}");
    }
}

/// What a copy keeps of a broken record is what somebody needs to make a message of it by hand.
#[tokio::test]
async fn a_broken_record_s_body_and_attributes_are_kept() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let record = message("m-1", "order-7")
        .body("the provider's bytes")
        .attribute("header.x-workflow-id", "order-7")
        .system_attribute("SequenceNumber", "x y");
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].body, "the provider's bytes");
    assert_eq!(dead_letters[0].attributes["header.x-workflow-id"].value, "order-7");
    assert_eq!(dead_letters[0].attributes["event_id"].value, "evt-m-1");
    assert_eq!(dead_letters[0].failure.group, "order-7");
}

#[tokio::test]
async fn a_broken_record_whose_copy_fails_is_not_deleted() {
    for (what, record) in broken() {
        let sss = Sss::start().await;
        let forwarder = Forwarder::start(config(&sss.url())).await;
        forwarder.sqs().fail("SendMessage", Fault::Refused);
        match forwarder.begin([message("m-1", "b"), record]).answer().await {
            // Without an id to name it by, only an error keeps it: Lambda then deletes nothing.
            Some(Answer::Error(_)) => {}
            Some(Answer::Response(body)) => {
                let response: Value = serde_json::from_slice(&body).unwrap();
                let failure = json!({ "itemIdentifier": "m-broken" });
                let failures = response["batchItemFailures"].as_array().unwrap();
                assert!(failures.contains(&failure), "{what}: {response}");
            }
            None => panic!("{what}: no answer"),
        }
    }
}

/// Its own group waits with it, so that nothing overtakes; the others are delivered.
#[tokio::test]
async fn a_broken_record_whose_copy_fails_keeps_its_group_and_no_other() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    forwarder.sqs().fail("SendMessage", Fault::Refused);
    let broken = message("m-broken", "a").system_attribute("SequenceNumber", "x y");
    let batch = [message("m-1", "a"), broken, message("m-2", "b"), message("m-3", "a")];
    let mut kept = forwarder.invoke(batch).await;
    kept.sort();
    assert_eq!(kept, ["m-1", "m-3", "m-broken"]);
    assert_eq!(sss.event_ids(), ["evt-m-2"]);
    let visible = |id| forwarder.sqs().visibility(id);
    assert!(visible("m-broken").is_some());
    assert_eq!((visible("m-1"), visible("m-3")), (visible("m-broken"), visible("m-broken")));
}

/// Whatever is odd about a record, it is delivered, kept or dead-lettered, and exactly one of these.
#[tokio::test]
async fn an_odd_record_is_accounted_for() {
    let odd = || message("m-1", "a");
    for (what, record) in [
        ("no system attributes", odd().without("attributes")),
        ("system attributes of null", odd().field("attributes", Value::Null)),
        ("no group", odd().without_system_attribute("MessageGroupId")),
        ("no sequence number", odd().without_system_attribute("SequenceNumber")),
        ("no message attributes", odd().without("messageAttributes")),
        ("message attributes of null", odd().field("messageAttributes", Value::Null)),
        ("a list of message attributes", odd().field("messageAttributes", json!([]))),
        (
            "a receive count that is no number",
            odd().system_attribute("ApproximateReceiveCount", "?"),
        ),
        ("no receive count", odd().without_system_attribute("ApproximateReceiveCount")),
        ("no sent timestamp", odd().without_system_attribute("SentTimestamp")),
        (
            "a sent timestamp in the future",
            odd().system_attribute("SentTimestamp", "99999999999999"),
        ),
        ("an empty body", odd().body("")),
        ("a sequence number that is no number", odd().system_attribute("SequenceNumber", "x y")),
        ("a group that is no id", odd().system_attribute("MessageGroupId", "a\r\nb")),
        ("a binary route", odd().binary_attribute("route", "c3Nz")),
        (
            "no data type",
            odd().field("messageAttributes", json!({ "route": { "stringValue": "sss" } })),
        ),
        ("an event id with a line break", odd().attribute("event_id", "a\r\nx-forged: 1")),
        ("an acceptance that is no time", odd().attribute("accepted_at", "yesterday")),
        ("a trace with a line break", odd().system_attribute("AWSTraceHeader", "a\r\nb: c")),
        ("fields that nobody knows", odd().field("newField", json!({ "a": 1 }))),
    ] {
        let sss = Sss::start().await;
        let forwarder = Forwarder::start(config(&sss.url())).await;
        let failed = forwarder.invoke([record, message("m-2", "b")]).await.len();
        let delivered = sss.event_ids().iter().filter(|id| *id != "evt-m-2").count();
        let dead = forwarder.sqs().dead_letters().len();
        assert_eq!(failed + delivered + dead, 1, "{what}: {failed}, {delivered}, {dead}");
        assert!(sss.event_ids().contains(&"evt-m-2".to_owned()), "{what}");
    }
}

#[tokio::test]
async fn an_event_that_is_no_batch_is_an_error_and_the_next_one_works() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for event in
        ["{}", "[]", "null", "\"text\"", "{\"Records\": 5}", "{\"Records\": null}", "no JSON"]
    {
        let answer = forwarder.begin_event(event.to_owned()).answer().await;
        let Some(Answer::Error(error)) = answer else { panic!("{event}: {answer:?}") };
        assert!(!error.error_message.is_empty(), "{event}");
    }
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
}

#[tokio::test]
async fn a_record_that_is_no_object_is_a_dead_letter() {
    let sss = Sss::start().await;
    sss.answer_all(status(200));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let event = json!({ "Records": ["a text", 5, null] }).to_string();
    assert_eq!(forwarder.begin_event(event).failed().await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 3);
    assert!(dead_letters[0].body.contains("a text"), "{dead_letters:?}");
    assert!(dead_letters.iter().all(|dead| dead.failure.class == Class::Malformed));
}
