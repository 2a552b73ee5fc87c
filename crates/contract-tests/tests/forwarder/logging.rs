//! The log: a JSON line per attempt, with what an operator asks for and nothing that is secret.

use contract_tests::event::{message, receipt_handle};
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::{Forwarder, SECRET};
use contract_tests::settings::{config, config_with, destination};
use contract_tests::sss::Sss;
use contract_tests::wire::nobody;
use domain::config::{HiddenText, LogLevel};
use regex::Regex;
use serde_json::{Value, json};

use crate::{NONE, config_with_timeout, lines, status};

/// The fields that every line about a message has.
fn check_line(line: &Value, expected: &Value) {
    let timestamp = line["timestamp"].as_str().unwrap_or_default();
    let rfc_3339 = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$").unwrap();
    assert!(rfc_3339.is_match(timestamp), "{line}");
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} in {line}");
    }
}

#[tokio::test]
async fn a_delivery_is_one_line() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let record = message("m-1", "order-7").aged(std::time::Duration::from_secs(90));
    let sequence = record.sequence();
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let log = forwarder.kill().await;
    let about: Vec<_> = log.iter().filter(|line| line["event_id"] == "evt-m-1").collect();
    assert_eq!(about.len(), 1, "{log:?}");
    let expected = json!({
        "level": "INFO", "message": "delivered", "event_id": "evt-m-1", "route": "sss",
        "group": "order-7", "sequence": sequence, "destination": "sss", "attempt": 1, "status": 200,
    });
    check_line(about[0], &expected);
    // Who took it, without what a path or a query may hold.
    let url = sss.url();
    assert_eq!(about[0]["host"].as_str(), url.split('/').nth(2));
    let age = about[0]["age_ms"].as_u64().expect("a number");
    assert!((90_000..150_000).contains(&age), "{age}");
    assert!(about[0]["latency_ms"].is_number(), "{}", about[0]);
}

fn metrics() -> [(&'static str, String); 1] {
    [("WEBHOOK_QUEUE_METRICS", "emf".to_owned())]
}

/// The metrics of a line: what it says is one to `CloudWatch`.
fn metrics_of(line: &Value) -> Vec<(&str, &Value)> {
    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    let names = metrics.iter().map(|metric| metric["Name"].as_str().unwrap());
    names.map(|name| (name, &line[name])).collect()
}

#[tokio::test]
async fn metrics_travel_in_the_lines_where_they_are_wanted() {
    let sss = Sss::start().await;
    sss.answer("m-2", [status(503)]);
    sss.answer("m-3", [status(422)]);
    let batch = || [message("m-1", "a"), message("m-2", "b"), message("m-3", "c")];
    let forwarder = Forwarder::start_with_more(config(&sss.url()), metrics()).await;
    assert_eq!(forwarder.invoke(batch()).await, ["m-2"]);
    let log = forwarder.kill().await;
    let (zero, one) = (json!(0), json!(1));
    let [delivered] = lines(&log, "delivered").try_into().expect("one line");
    let expected = [
        ("Delivered", &one),
        ("Latency", &delivered["latency_ms"]),
        ("AgeAtDelivery", &delivered["age_ms"]),
    ];
    assert_eq!(metrics_of(delivered), expected, "{delivered}");
    let others = [("retry", "Failed"), ("rejected", "Failed"), ("dead_lettered", "DeadLettered")];
    for (message, name) in others {
        let [line] = lines(&log, message).try_into().expect("one line");
        assert_eq!(metrics_of(line), [("Delivered", &zero), (name, &one)], "{line}");
        assert_eq!((&line["environment"], &line["route"]), (&json!("test"), &json!("sss")));
    }
    let counted = log.iter().filter(|line| !line["_aws"].is_null());
    assert_eq!(counted.count(), 4, "no line is only for metrics: {log:?}");

    let forwarder = Forwarder::start(config(&sss.url())).await;
    forwarder.invoke([message("m-4", "a")]).await;
    let log = forwarder.kill().await;
    assert!(log.iter().all(|line| line["_aws"].is_null()), "nobody asked for them: {log:?}");
}

/// What the level leaves out is counted in a line for the batch, which has no level of its own: for
/// Lambda's filter that is INFO.
#[tokio::test]
async fn what_the_level_leaves_out_is_counted_all_the_same() {
    let sss = Sss::start().await;
    sss.answer("m-3", [status(503)]);
    let mut config = config(&sss.url());
    config.forwarder.log_level = LogLevel::Warn;
    let forwarder = Forwarder::start_with_more(config, metrics()).await;
    let batch = [message("m-1", "a"), message("m-2", "b"), message("m-3", "c")];
    assert_eq!(forwarder.invoke(batch).await, ["m-3"]);
    let log = forwarder.kill().await;
    assert_eq!(lines(&log, "delivered"), [&Value::Null; 0]);
    let (delivered, others): (Vec<&Value>, Vec<&Value>) =
        log.iter().filter(|line| !line["_aws"].is_null()).partition(|line| line["Delivered"] != 0);
    let [delivered] = delivered.try_into().expect("one line for the batch");
    assert_eq!(delivered["Delivered"], 2, "{delivered}");
    assert_eq!(delivered["Latency"].as_array().unwrap().len(), 2, "{delivered}");
    assert_eq!((delivered.get("level"), &delivered["route"]), (None, &json!("sss")));
    let [retry] = others.try_into().expect("one line");
    assert_eq!((&retry["message"], &retry["Failed"]), (&json!("retry"), &json!(1)));
}

#[tokio::test]
async fn a_retry_says_when() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(503)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let batch = [message("m-1", "a"), message("m-2", "a")];
    assert_eq!(forwarder.invoke(batch).await, ["m-1", "m-2"]);
    let log = forwarder.kill().await;
    let retries = lines(&log, "retry");
    assert_eq!(retries.len(), 1, "{log:?}");
    let expected = json!({
        "level": "WARN", "event_id": "evt-m-1", "route": "sss", "group": "a", "destination": "sss",
        "attempt": 1, "status": 503, "retry_in_ms": 2_000,
    });
    check_line(retries[0], &expected);
    let behind = lines(&log, "not_attempted");
    assert_eq!(behind.len(), 1, "{log:?}");
    let expected = json!({ "event_id": "evt-m-2", "group": "a", "reason": "behind_failed" });
    check_line(behind[0], &expected);
}

#[tokio::test]
async fn a_rejection_says_what_and_where_to() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(422)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let log = forwarder.kill().await;
    let (rejected, dead) = (lines(&log, "rejected"), lines(&log, "dead_lettered"));
    assert_eq!((rejected.len(), dead.len()), (1, 1), "{log:?}");
    check_line(rejected[0], &json!({ "event_id": "evt-m-1", "status": 422, "destination": "sss" }));
    check_line(dead[0], &json!({ "event_id": "evt-m-1", "reason": "rejected" }));
}

#[tokio::test]
async fn no_answer_is_an_error_class() {
    let forwarder = Forwarder::start(config_with_timeout(&nobody(), 1)).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    let log = forwarder.kill().await;
    let retries = lines(&log, "retry");
    assert_eq!(retries.len(), 1, "{log:?}");
    check_line(retries[0], &json!({ "event_id": "evt-m-1", "error": "refused" }));
    assert_eq!(retries[0].get("status"), None, "{}", retries[0]);
}

#[tokio::test]
async fn the_configured_level_is_kept() {
    let sss = Sss::start().await;
    sss.answer("m-2", [status(503)]);
    let mut config = config(&sss.url());
    config.forwarder.log_level = LogLevel::Warn;
    let forwarder = Forwarder::start(config).await;
    assert_eq!(forwarder.invoke([message("m-1", "a"), message("m-2", "b")]).await, ["m-2"]);
    let log = forwarder.kill().await;
    assert_eq!(lines(&log, "delivered").len(), 0, "{log:?}");
    assert_eq!(lines(&log, "retry").len(), 1, "{log:?}");
}

/// Off unless the configuration says so, which `nothing_secret_is_ever_logged` sees.
#[tokio::test]
async fn where_the_configuration_says_so_a_failure_has_the_beginning_of_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "an-api-key-of-ours\n").unwrap();
    let sss = Sss::start_with_passed_headers(&["x-api-key"]).await;
    let answer =
        format!("no such order; you sent x-api-key: an-api-key-of-ours {}", "x".repeat(4_096));
    sss.answer("m-1", [status(503).set_body_string(&answer)]);
    sss.answer("m-2", [status(422).set_body_string("the token tok-1 is wrong\u{9b}2J")]);
    let mut config = config_with(&sss.url(), |route| {
        let reference = HiddenText(format!("file:{}", key.display()));
        route.destinations[0].headers.insert("x-api-key".to_owned(), reference);
    });
    config.logs.answers = true;
    let forwarder = Forwarder::start(config).await;
    let batch =
        [message("m-1", "a"), message("m-2", "b").attribute("token", "tok-1"), message("m-3", "c")];
    assert_eq!(forwarder.invoke(batch).await, ["m-1"]);
    assert_eq!(sss.deliveries()[0].header("x-api-key"), "an-api-key-of-ours");
    let log = forwarder.kill().await;
    let response = lines(&log, "retry")[0]["response"].as_str().unwrap();
    assert!(response.starts_with("no such order; you sent x-api-key: … xxx"), "{response}");
    assert!(response.len() <= 1_024, "{}", response.len());
    assert_eq!(lines(&log, "rejected")[0]["response"], "the token … is wrong\u{9b}2J");
    assert_eq!(lines(&log, "delivered")[0].get("response"), None);
}

/// What `retry` needs on AWS, where a message's time is changed with the handle of its last receive only.
#[tokio::test]
async fn on_aws_what_stays_tells_its_group_s_receipt_handles_once() {
    let sss = Sss::start().await;
    sss.answer("m-2", [status(503)]);
    sss.answer("m-5", [status(422)]);
    let batch = || {
        [
            message("m-1", "a"),
            message("m-2", "a").received(7),
            message("m-3", "a"),
            message("m-4", "b"),
            message("m-5", "c"),
        ]
    };
    let on_aws = Forwarder::start_with_more(config(&sss.url()), metrics()).await;
    assert_eq!(on_aws.invoke(batch()).await, ["m-2", "m-3"]);
    let log = on_aws.kill().await;
    let having = log.iter().filter(|line| line.get("receipt_handles").is_some());
    let [retry] = having.collect::<Vec<_>>().try_into().expect("one line");
    assert_eq!(retry["message"], "retry");
    assert_eq!(retry["receipt_handles"], json!([receipt_handle("m-2"), receipt_handle("m-3")]));
    assert_eq!(retry["receive_count"], 7);

    // An engine is asked itself, and its log has no room for them.
    let on_one_machine = Forwarder::start(config(&sss.url())).await;
    assert_eq!(on_one_machine.invoke(batch()).await, ["m-2", "m-3"]);
    let log = on_one_machine.kill().await;
    assert!(log.iter().all(|line| line.get("receipt_handles").is_none()), "{log:?}");
}

/// Also what the breaker puts off, which is what a service that is back leaves waiting.
#[tokio::test]
async fn what_is_put_off_tells_its_receipt_handles_and_several_destinations_tell_them_once() {
    let sss = Sss::start().await;
    sss.answer_all(status(503));
    let mut config = config(&sss.url());
    let route = config.routes.get_mut("sss").unwrap();
    route.destinations.push(destination("other", &sss.url()));
    let forwarder = Forwarder::start_with_more(config, metrics()).await;
    for n in 0..=domain::breaker::FAILURES_TO_OPEN {
        let id = format!("m-{n}");
        // Tried before: what is new would be let through.
        assert_eq!(forwarder.invoke([message(&id, &id).received(4)]).await, [id.as_str()]);
    }
    let log = forwarder.kill().await;
    let last = format!("evt-m-{}", domain::breaker::FAILURES_TO_OPEN);
    for id in ["evt-m-0", &last] {
        let about: Vec<&Value> = log.iter().filter(|line| line["event_id"] == *id).collect();
        assert_eq!(about.len(), 2, "a line for each destination: {log:?}");
        let having = about.iter().filter(|line| line.get("receipt_handles").is_some()).count();
        assert_eq!(having, 1, "{about:?}");
    }
    assert!(log.iter().any(|line| line["event_id"] == *last && line["reason"] == "circuit_open"));
}

/// Bodies, headers, answers, query strings and credentials, each marked by the same text, on every
/// path that writes a line.
#[tokio::test]
async fn nothing_secret_is_ever_logged() {
    let sss = Sss::start_with_passed_headers(&["x-signature"]).await;
    sss.answer("m-2", [status(422).set_body_string(SECRET)]);
    sss.answer("m-3", [status(503).set_body_string(SECRET).insert_header("set-cookie", SECRET)]);
    let url = |base: &str| format!("{base}?token={SECRET}");
    let mut config = config_with(&url(&sss.url()), |route| {
        route.pass_headers = vec!["x-signature".to_owned()];
    });
    let nobody = url(&nobody());
    config.routes.insert("down".to_owned(), contract_tests::settings::route("/down", &nobody));
    config.forwarder.log_level = LogLevel::Debug;
    let forwarder = Forwarder::start(config).await;
    forwarder.sqs().fail("ChangeMessageVisibility", Fault::Refused);
    let secret = |id: &str, group: &str| {
        message(id, group).body(SECRET).attribute("header.x-signature", SECRET)
    };
    let batch = [
        secret("m-1", "a"),
        secret("m-2", "b"),
        secret("m-3", "c"),
        secret("m-4", "d").route("down"),
        secret("m-5", "e").route("gone"),
        secret("m-6", "f").system_attribute("SequenceNumber", "x y"),
    ];
    assert_eq!(forwarder.invoke(batch).await, ["m-3", "m-4"]);
    let broken = format!("{{\"Records\": \"{SECRET}\"}}");
    assert!(forwarder.begin_event(broken).answer().await.is_some());
    let log = forwarder.kill().await;
    for message in ["delivered", "rejected", "retry", "dead_lettered"] {
        assert!(!lines(&log, message).is_empty(), "{message}: {log:?}");
    }
    let leaks: Vec<_> = log.iter().filter(|line| line.to_string().contains(SECRET)).collect();
    assert_eq!(leaks, [&Value::Null; 0]);
    let stderr = forwarder.exit().await.stderr;
    assert_eq!(stderr, [""; 0]);
}
