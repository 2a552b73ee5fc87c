//! When a destination is down: after a few failures in a row, no attempt for a while, then one probe.

use std::num::NonZeroU32;
use std::time::Duration;

use contract_tests::event::{Record, message};
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, route};
use contract_tests::sss::Sss;
use domain::breaker::{FAILURES_TO_OPEN, OPEN_FOR};
use domain::dead_letter::Class;

use crate::{NONE, lines, status};

/// So many messages, each of a group of its own, that were attempted before.
fn batch(name: &str, count: u32) -> Vec<Record> {
    let tried = |n| message(&format!("{name}-{n}"), &format!("{name}-group-{n}")).received(4);
    (0..count).map(tried).collect()
}

/// Fails one message after another until the breaker must be open.
async fn open(forwarder: &Forwarder, sss: &Sss) {
    sss.answer_all(status(503));
    for n in 0..FAILURES_TO_OPEN {
        let id = format!("open-{n}");
        assert_eq!(forwarder.invoke([message(&id, "a")]).await, [id.as_str()]);
    }
    assert_eq!(sss.deliveries().len(), FAILURES_TO_OPEN as usize);
}

#[tokio::test]
async fn after_failures_in_a_row_nothing_is_attempted() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    open(&forwarder, &sss).await;
    sss.answer_all(status(200));
    assert_eq!(forwarder.invoke(batch("m", 3)).await, ["m-0", "m-1", "m-2"]);
    assert_eq!(sss.deliveries().len(), FAILURES_TO_OPEN as usize);
    for id in ["m-0", "m-1", "m-2"] {
        let seconds = forwarder.sqs().visibility(id).expect("it was set");
        assert!((1..=OPEN_FOR.as_secs()).contains(&seconds), "{id}: {seconds} s");
    }
    assert_eq!(forwarder.sqs().dead_letters(), []);
    let log = forwarder.kill().await;
    let refused = lines(&log, "not_attempted");
    assert_eq!(refused.len(), 3, "{log:?}");
    assert!(refused.iter().all(|line| line["reason"] == "circuit_open"), "{refused:?}");
}

/// Its group has done nothing wrong, and its answer is what tells that the service is there again.
#[tokio::test]
async fn a_new_event_is_let_through_and_its_answer_closes() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    open(&forwarder, &sss).await;
    sss.answer_all(status(200));
    assert_eq!(forwarder.invoke([message("m-1", "b")]).await, NONE);
    assert_eq!(forwarder.invoke(batch("m", 5)).await, NONE);
}

#[tokio::test]
async fn what_the_application_answers_opens_nothing() {
    let sss = Sss::start().await;
    sss.answer_all(status(500));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for round in 0..3 {
        assert_eq!(forwarder.invoke(batch(&format!("r{round}"), 10)).await.len(), 10);
    }
    assert_eq!(sss.deliveries().len(), 30);
}

/// Whoever waited for three days, and could not be attempted: it is still tried.
#[tokio::test]
async fn an_old_event_is_not_given_up_without_an_attempt() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    open(&forwarder, &sss).await;
    let old = || message("m-1", "b").received(3).aged(Duration::from_hours(73));
    assert_eq!(forwarder.invoke([old()]).await, ["m-1"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
    // Unless SQS would delete it first.
    let last = message("m-2", "c").received(3).aged(Duration::from_hours(14 * 24));
    assert_eq!(forwarder.invoke([last]).await, NONE);
    let failure = &forwarder.sqs().dead_letters()[0].failure;
    assert_eq!(failure.error.as_deref(), Some("circuit_open"));
    assert_eq!((failure.class, failure.attempts), (Class::GaveUp, 2));
}

#[tokio::test]
async fn a_destination_that_asks_for_a_rest_has_it() {
    let sss = Sss::start().await;
    sss.answer_all(status(429).insert_header("retry-after", "30"));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    let others = [message("m-2", "b"), message("m-3", "c").received(5)];
    assert_eq!(forwarder.invoke(others).await, ["m-2", "m-3"]);
    assert_eq!(sss.deliveries().len(), 1);
    for id in ["m-2", "m-3"] {
        let seconds = forwarder.sqs().visibility(id).unwrap();
        assert!((20..=30).contains(&seconds), "{id}: {seconds} s");
    }
    let log = forwarder.kill().await;
    let refused = lines(&log, "not_attempted");
    assert!(refused.iter().all(|line| line["reason"] == "retry_after"), "{refused:?}");
}

#[tokio::test]
async fn a_destination_s_pace_is_kept_and_nothing_is_lost_by_it() {
    let sss = Sss::start().await;
    let mut config = config(&sss.url());
    config.routes.get_mut("sss").unwrap().destinations[0].max_in_flight = NonZeroU32::new(1);
    let forwarder = Forwarder::start(config).await;
    sss.answer_all(status(200).set_delay(Duration::from_millis(100)));
    assert_eq!(forwarder.invoke(batch("m", 10)).await, NONE);
    let mut arrivals: Vec<_> = sss.deliveries().iter().map(|delivery| delivery.at).collect();
    arrivals.sort();
    assert_eq!(arrivals.len(), 10);
    for pair in arrivals.windows(2) {
        let apart = pair[1].duration_since(pair[0]);
        assert!(apart >= Duration::from_millis(90), "{apart:?}");
    }
}

#[tokio::test]
async fn a_probe_that_fails_is_the_only_attempt() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    open(&forwarder, &sss).await;
    let before = sss.deliveries().len();
    // What the forwarder waits for here is time itself.
    tokio::time::sleep(OPEN_FOR).await;
    assert_eq!(forwarder.invoke(batch("m", 5)).await.len(), 5);
    assert_eq!(sss.deliveries().len(), before + 1);
}

#[tokio::test]
async fn a_probe_that_is_answered_lets_the_others_go_on() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    open(&forwarder, &sss).await;
    sss.answer_all(status(200));
    tokio::time::sleep(OPEN_FOR).await;
    assert_eq!(forwarder.invoke([message("probe", "a").received(4)]).await, NONE);
    assert_eq!(forwarder.invoke(batch("m", 5)).await, NONE);
}

#[tokio::test]
async fn a_rejection_is_an_answer() {
    let sss = Sss::start().await;
    sss.answer_all(status(422));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for round in ["a", "b"] {
        assert_eq!(forwarder.invoke(batch(round, 10)).await, NONE);
    }
    assert_eq!(sss.deliveries().len(), 20);
}

#[tokio::test]
async fn one_destination_s_outage_is_not_another_s() {
    let (down, up) = (Sss::start().await, Sss::start().await);
    let mut config = config(&down.url());
    config.routes.insert("up".to_owned(), route("/up", &up.url()));
    let forwarder = Forwarder::start(config).await;
    open(&forwarder, &down).await;
    let batch = [message("m-1", "a").received(4), message("m-2", "b").route("up")];
    assert_eq!(forwarder.invoke(batch).await, ["m-1"]);
    assert_eq!(up.event_ids(), ["evt-m-2"]);
}
