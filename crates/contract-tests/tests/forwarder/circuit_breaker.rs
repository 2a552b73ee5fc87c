//! When a destination is down: after a few failures in a row, no attempt for a while, then one probe.

use contract_tests::event::{Record, message};
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, route};
use contract_tests::sss::Sss;
use domain::breaker::{FAILURES_TO_OPEN, OPEN_FOR};

use crate::{NONE, lines, status};

/// So many messages, each of a group of its own.
fn batch(name: &str, count: u32) -> Vec<Record> {
    (0..count).map(|n| message(&format!("{name}-{n}"), &format!("{name}-group-{n}"))).collect()
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
    assert_eq!(forwarder.invoke([message("probe", "a")]).await, NONE);
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
    let batch = [message("m-1", "a"), message("m-2", "b").route("up")];
    assert_eq!(forwarder.invoke(batch).await, ["m-1"]);
    assert_eq!(up.event_ids(), ["evt-m-2"]);
}
