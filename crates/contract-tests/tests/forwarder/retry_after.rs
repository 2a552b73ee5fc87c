//! `Retry-After`: respected in both its forms, within the schedule's longest delay.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config;
use contract_tests::sss::Sss;

use crate::{NONE, lines, status};

/// The first delay is 2 s, the longest 300 s.
async fn check(code: u16, retry_after: &str, seconds: RangeInclusive<u64>) {
    let sss = Sss::start().await;
    sss.answer_all(status(code).insert_header("retry-after", retry_after));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a"), message("m-2", "a")]).await, ["m-1", "m-2"]);
    for id in ["m-1", "m-2"] {
        let set = forwarder.sqs().visibility(id).expect("it was set");
        assert!(seconds.contains(&set), "{code} with retry-after {retry_after}: {id} in {set} s");
    }
}

fn date_in(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

#[tokio::test]
async fn seconds_are_respected() {
    check(503, "60", 60..=60).await;
    check(429, "7", 7..=7).await;
}

#[tokio::test]
async fn a_date_is_respected() {
    check(503, &date_in(90), 60..=90).await;
}

#[tokio::test]
async fn more_than_the_longest_delay_is_not_waited() {
    check(503, "86400", 300..=300).await;
    check(503, &date_in(86_400), 300..=300).await;
    check(503, "99999999999999999999", 2..=300).await;
}

#[tokio::test]
async fn the_schedule_is_the_least() {
    check(503, "0", 2..=2).await;
    check(503, "Sun, 06 Nov 1994 08:49:37 GMT", 2..=2).await;
}

#[tokio::test]
async fn what_is_neither_is_ignored() {
    check(503, "soon", 2..=2).await;
    check(503, "-5", 2..=2).await;
}

/// So that who wants an event attempted now can be told until when it is not.
#[tokio::test]
async fn how_long_it_is_respected_is_in_the_log() {
    let sss = Sss::start().await;
    sss.answer_all(status(503).insert_header("retry-after", "60"));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    assert_eq!(forwarder.invoke([message("m-2", "b").received(2)]).await, ["m-2"]);
    let log = forwarder.kill().await;
    assert_eq!(lines(&log, "retry")[0]["retry_after_ms"], 60_000);
    let refused = lines(&log, "not_attempted")[0];
    assert_eq!(refused["reason"], "retry_after");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 60_000), "{refused}");
}

#[tokio::test]
async fn a_rejection_is_final_whatever_it_says() {
    let sss = Sss::start().await;
    sss.answer_all(status(422).insert_header("retry-after", "60"));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    assert_eq!(forwarder.sqs().dead_letters().len(), 1);
}
