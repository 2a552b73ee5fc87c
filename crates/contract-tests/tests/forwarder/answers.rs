//! What each answer of SSS leads to, and what no answer leads to.

use std::time::{Duration, Instant};

use contract_tests::contract::{Outcome, contract};
use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config;
use contract_tests::sss::Sss;
use contract_tests::wire::{Behaviour, Wire, nobody};
use serde_json::Value;

use crate::{NONE, config_with_timeout, lines, status};

const STATUSES: [u16; 43] = [
    200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 305, 307, 308, 400,
    401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 421, 422, 425, 426, 429, 451,
    499, 500, 503, 599, 600,
];

#[tokio::test]
async fn every_status_leads_to_what_the_contract_says() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for code in STATUSES {
        let id = format!("m-{code}");
        sss.answer(&id, [status(code)]);
        // The message between keeps failures from following each other: this is not about that.
        assert_eq!(forwarder.invoke([message("between", "b")]).await, NONE);
        let failed = forwarder.invoke([message(&id, "a")]).await;
        let visibility = forwarder.sqs().visibility(&id);
        let dead_letters = forwarder.sqs().dead_letters();
        let dead = dead_letters.iter().find(|dead| dead.deduplication_id == id);
        let seen = match (failed.len(), visibility, dead) {
            (0, None, None) => Outcome::Delivered,
            (1, Some(2), None) => Outcome::Retried,
            (0, None, Some(dead)) if dead.failure.status == Some(code) => Outcome::Rejected,
            _ => panic!("{code}: failed {failed:?}, visible in {visibility:?} s, dead {dead:?}"),
        };
        assert_eq!(seen, contract().outcome(code), "{code}");
        assert_eq!(sss.event_ids().iter().filter(|id| **id == format!("evt-m-{code}")).count(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (sss, elsewhere) = (Sss::start().await, Sss::start().await);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for code in [301, 302, 303, 307, 308] {
        let location = format!("{}?token=x", elsewhere.url());
        sss.answer_all(status(code).insert_header("location", location));
        assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    }
    assert_eq!(sss.deliveries().len(), 5);
    assert_eq!(elsewhere.deliveries().len(), 0);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 5);
    // The operator sees where to, without what may be secret.
    for dead in dead_letters {
        assert_eq!(dead.failure.location, Some(elsewhere.url()));
    }
}

#[tokio::test]
async fn what_failed_is_delivered_later_as_the_same_event() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(503), status(200)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let record = message("m-1", "a").aged(Duration::from_secs(10));
    assert_eq!(forwarder.invoke([record.clone()]).await, ["m-1"]);
    assert_eq!(forwarder.invoke([record.received(2)]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-1"]);
    let attempts: Vec<_> =
        sss.deliveries().iter().map(|d| d.header("webhook-attempt").to_owned()).collect();
    assert_eq!(attempts, ["1", "2"]);
}

/// Delivers one message to `url`, which gives no answer, and expects it to be kept for a retry.
/// Returns the log's line about it.
async fn failure(url: &str, timeout_seconds: u32) -> Value {
    let forwarder = Forwarder::start(config_with_timeout(url, timeout_seconds)).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    assert_eq!(forwarder.sqs().visibility("m-1"), Some(2));
    assert_eq!(forwarder.sqs().dead_letters(), []);
    let log = forwarder.kill().await;
    let retries = lines(&log, "retry");
    assert_eq!(retries.len(), 1, "{log:?}");
    retries[0].clone()
}

async fn check_behaviour(behaviour: Behaviour, error: &str) {
    let wire = Wire::start(behaviour.clone()).await;
    let line = failure(wire.url(), 1).await;
    assert_eq!(line["error"], error, "{behaviour:?}: {line}");
}

#[tokio::test]
async fn nobody_there_is_retried() {
    assert_eq!(failure(&nobody(), 1).await["error"], "refused");
}

#[tokio::test]
async fn a_reset_is_retried() {
    check_behaviour(Behaviour::Resets, "closed").await;
}

#[tokio::test]
async fn a_reset_at_once_is_retried() {
    check_behaviour(Behaviour::RefusesToTalk, "closed").await;
}

#[tokio::test]
async fn a_close_without_an_answer_is_retried() {
    check_behaviour(Behaviour::Closes, "closed").await;
}

#[tokio::test]
async fn an_answer_that_ends_in_its_status_line_is_retried() {
    check_behaviour(Behaviour::WritesAndCloses(b"HTTP/1.1 200 O"), "closed").await;
}

/// What follows a whole status line, however it is written and wherever it ends.
const FOLLOWS: [&[u8]; 9] = [
    b"x-old : 1\r\ncontent-length: 2\r\n\r\nok",
    b"set-cookie: a=b; domain=\x7fx\r\ncontent-length: 2\r\n\r\nok",
    b"x-a: one\r\n two\r\ncontent-length: 2\r\n\r\nok",
    b"warning without colon\r\ncontent-length: 2\r\n\r\nok",
    b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
    b"transfer-encoding: chunked\r\n\r\nzz",
    b"content-le",
    b"content-length: 100\r\n\r\nhalf",
    b"content-length: 0\r\n\r\nHTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
];

fn answer(status_line: &[u8], rest: &[u8]) -> &'static [u8] {
    [status_line, rest].concat().leak()
}

#[tokio::test]
async fn a_success_is_a_delivery_whatever_follows_its_status_line() {
    for rest in FOLLOWS {
        let answer = answer(b"HTTP/1.1 200 OK\r\n", rest);
        for behaviour in [Behaviour::WritesAndCloses(answer), Behaviour::WritesAndHangs(answer)] {
            let wire = Wire::start(behaviour).await;
            let forwarder = Forwarder::start(config_with_timeout(wire.url(), 1)).await;
            // On a connection of its own each: what is left of one answer is not the next.
            for id in ["m-1", "m-2"] {
                assert_eq!(forwarder.invoke([message(id, "a")]).await, NONE);
            }
            let log = forwarder.kill().await;
            assert_eq!(lines(&log, "delivered").len(), 2, "{:?}: {log:?}", answer.escape_ascii());
            wire.connections(2).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_is_one_whatever_follows_its_status_line() {
    for rest in FOLLOWS {
        let busy = answer(b"HTTP/1.1 503 Service Unavailable\r\n", rest);
        let wire = Wire::start(Behaviour::WritesAndCloses(busy)).await;
        assert_eq!(failure(wire.url(), 5).await["status"], 503, "{:?}", busy.escape_ascii());
        let invalid = answer(b"HTTP/1.1 422 Unprocessable\r\n", rest);
        let wire = Wire::start(Behaviour::WritesAndCloses(invalid)).await;
        let forwarder = Forwarder::start(config(wire.url())).await;
        assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
        let dead_letters = forwarder.sqs().dead_letters();
        let statuses: Vec<_> = dead_letters.iter().map(|dead| dead.failure.status).collect();
        assert_eq!(statuses, [Some(422)], "{:?}", invalid.escape_ascii());
    }
}

#[tokio::test]
async fn garbage_is_retried() {
    check_behaviour(Behaviour::WritesAndCloses(b"SSH-2.0-OpenSSH_9.9\r\n"), "invalid_answer").await;
}

#[tokio::test]
async fn garbage_instead_of_tls_is_retried() {
    let wire = Wire::start(Behaviour::Interrupts(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let url = wire.url().replace("http://", "https://");
    assert_eq!(failure(&url, 1).await["error"], "tls");
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let sss = Sss::start().await;
    sss.answer_all(status(200).set_delay(Duration::from_secs(20)));
    let start = Instant::now();
    let line = failure(&sss.url(), 1).await;
    assert_eq!(line["error"], "timeout");
    let latency = line["latency_ms"].as_u64().unwrap();
    assert!((1_000..5_000).contains(&latency), "{latency}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Nobody waits for the end of a body that has none.
#[tokio::test]
async fn an_answer_whose_body_never_ends_is_one() {
    let endless = b"HTTP/1.1 200 OK\r\n\r\n";
    let wire = Wire::start(Behaviour::NeverEnds(endless)).await;
    let forwarder = Forwarder::start(config_with_timeout(wire.url(), 50)).await;
    let start = Instant::now();
    for id in ["m-1", "m-2"] {
        assert_eq!(forwarder.invoke([message(id, "a")]).await, NONE);
    }
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    wire.connections(2).await;
}

/// Each byte comes in time, the status line does not: the timeout is the whole exchange's.
#[tokio::test]
async fn an_answer_that_trickles_is_timed_out() {
    let trickle = Behaviour::Trickles(b"HTTP/1.1 200 OK\r\n", Duration::from_millis(200));
    check_behaviour(trickle, "timeout").await;
}

#[tokio::test]
async fn a_slow_answer_within_the_timeout_is_an_answer() {
    let sss = Sss::start().await;
    sss.answer_all(status(200).set_delay(Duration::from_millis(600)));
    let forwarder = Forwarder::start(config_with_timeout(&sss.url(), 5)).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
}

/// Whoever wins the race, all sides must agree on who it was.
#[tokio::test]
async fn an_answer_exactly_at_the_timeout_is_one_or_the_other() {
    let sss = Sss::start().await;
    sss.answer_all(status(200).set_delay(Duration::from_secs(1)));
    let forwarder = Forwarder::start(config_with_timeout(&sss.url(), 1)).await;
    let batch = (0..10).map(|n| message(&format!("m-{n}"), &format!("group-{n}")));
    let failed = forwarder.invoke(batch).await;
    let log = forwarder.kill().await;
    assert_eq!(lines(&log, "delivered").len() + lines(&log, "retry").len(), 10);
    for n in 0..10 {
        let id = format!("m-{n}");
        let retried = failed.contains(&id);
        assert_eq!(forwarder.sqs().visibility(&id).is_some(), retried, "{id}");
        let logged = if retried { "retry" } else { "delivered" };
        let event_id = format!("evt-{id}");
        assert!(lines(&log, logged).iter().any(|line| line["event_id"] == event_id), "{log:?}");
    }
}

/// A server may close an idle connection at any time; that alone must not cost a delivery.
#[tokio::test]
async fn a_connection_that_was_closed_between_events_is_opened_anew() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let wire = Wire::start(Behaviour::WritesAndCloses(answer)).await;
    let forwarder = Forwarder::start(config(wire.url())).await;
    for n in 0..20 {
        assert_eq!(forwarder.invoke([message(&format!("m-{n}"), "a")]).await, NONE);
    }
    wire.connections(20).await;
}

/// It may close it as the next request leaves, too: that is one attempt, made on a new connection.
#[tokio::test]
async fn a_connection_that_is_closed_as_the_request_leaves_costs_no_attempt() {
    let wire = Wire::start(Behaviour::AnswersAndCloses(1)).await;
    let forwarder = Forwarder::start(config(wire.url())).await;
    for n in 0..5 {
        assert_eq!(forwarder.invoke([message(&format!("m-{n}"), "a")]).await, NONE);
    }
    let log = forwarder.kill().await;
    let delivered = lines(&log, "delivered");
    assert_eq!(delivered.len(), 5, "{log:?}");
    assert!(delivered.iter().all(|line| line["attempt"] == 1), "{log:?}");
    assert_eq!(lines(&log, "retry").len(), 0, "{log:?}");
    wire.connections(5).await;
}

#[tokio::test]
async fn a_name_that_is_not_there_is_retried() {
    assert_eq!(failure("https://sss.nope.invalid/hook", 5).await["error"], "name_not_found");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_retried() {
    let wire = Wire::start(Behaviour::Interrupts(b"")).await;
    let url = wire.url().replace("http://", "https://");
    let line = failure(&url, 20).await;
    assert_eq!(line["error"], "connect_timeout");
    let latency = line["latency_ms"].as_u64().unwrap();
    assert!((2_000..15_000).contains(&latency), "{latency}");
}

#[tokio::test]
async fn an_outage_never_costs_a_dead_letter() {
    let url = nobody();
    let forwarder = Forwarder::start(config_with_timeout(&url, 1)).await;
    for receive in [1, 10, 100, 900] {
        let record = message("m-1", "a").received(receive).aged(Duration::from_hours(71));
        assert_eq!(forwarder.invoke([record]).await, ["m-1"]);
    }
    assert_eq!(forwarder.sqs().dead_letters(), []);
}
