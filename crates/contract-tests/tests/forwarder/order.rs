//! Order within a group, independence between groups, and when the queue shows a message again.

use std::time::Duration;

use contract_tests::event::{Record, message};
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config;
use contract_tests::sss::Sss;

use crate::{NONE, lines, status};

fn batch(groups: &[(&str, &str)]) -> Vec<Record> {
    groups.iter().map(|(id, group)| message(id, group)).collect()
}

#[tokio::test]
async fn a_group_s_messages_arrive_one_after_another() {
    let sss = Sss::start().await;
    let delay = Duration::from_millis(20);
    sss.answer_all(status(200).set_delay(delay));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let records = (0..10).map(|n| message(&format!("m-{n}"), "order-7"));
    assert_eq!(forwarder.invoke(records).await, NONE);
    let deliveries = sss.deliveries();
    let expected: Vec<_> = (0..10).map(|n| format!("evt-m-{n}")).collect();
    assert_eq!(sss.event_ids(), expected);
    for pair in deliveries.windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause >= delay, "the next one arrived {pause:?} later, before the answer");
    }
}

#[tokio::test]
async fn sequence_numbers_decide_the_order() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let mut records = batch(&[("m-1", "a"), ("m-2", "a"), ("m-3", "a")]);
    records.reverse();
    assert_eq!(forwarder.invoke(records).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2", "evt-m-3"]);
}

#[tokio::test]
async fn groups_are_delivered_side_by_side() {
    let sss = Sss::start().await;
    // None of them is answered before all have arrived, or the test does not end in time.
    let delay = Duration::from_secs(2);
    sss.answer_all(status(200).set_delay(delay));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let records = (0..10).map(|n| message(&format!("m-{n}"), &format!("order-{n}")));
    assert_eq!(forwarder.invoke(records).await, NONE);
    let deliveries = sss.deliveries();
    assert_eq!(deliveries.len(), 10);
    let spread = deliveries[9].at - deliveries[0].at;
    assert!(spread < delay, "the last one arrived {spread:?} after the first");
}

#[tokio::test]
async fn a_slow_group_holds_up_no_other() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(200).set_delay(Duration::from_secs(1))]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let records = batch(&[
        ("m-1", "slow"),
        ("m-2", "quick"),
        ("m-3", "slow"),
        ("m-4", "quick"),
        ("m-5", "quick"),
    ]);
    assert_eq!(forwarder.invoke(records).await, NONE);
    let order = sss.event_ids();
    assert_eq!(order.last().map(String::as_str), Some("evt-m-3"), "{order:?}");
}

#[tokio::test]
async fn a_503_keeps_the_message_and_the_rest_of_its_group() {
    let sss = Sss::start().await;
    sss.answer("m-2", [status(503)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let records = batch(&[
        ("m-1", "order-7"),
        ("m-2", "order-7"),
        ("m-3", "order-8"),
        ("m-4", "order-7"),
        ("m-5", "order-8"),
        ("m-6", "order-7"),
    ]);
    assert_eq!(forwarder.invoke(records).await, ["m-2", "m-4", "m-6"]);
    let mut delivered = sss.event_ids();
    delivered.sort();
    assert_eq!(delivered, ["evt-m-1", "evt-m-2", "evt-m-3", "evt-m-5"]);
    // Its whole group is shown again at the same time: what came later would hold it up.
    for id in ["m-2", "m-4", "m-6"] {
        assert_eq!(forwarder.sqs().visibility(id), Some(2), "{id}");
    }
    for id in ["m-1", "m-3", "m-5"] {
        assert_eq!(forwarder.sqs().visibility(id), None, "{id}");
    }
    let log = forwarder.kill().await;
    let behind: Vec<_> = lines(&log, "not_attempted");
    assert_eq!(behind.len(), 2, "{log:?}");
    assert!(behind.iter().all(|line| line["reason"] == "behind_failed"), "{behind:?}");
}

#[tokio::test]
async fn a_rejected_message_lets_its_group_go_on() {
    let sss = Sss::start().await;
    sss.answer("m-2", [status(422)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let records = batch(&[("m-1", "a"), ("m-2", "a"), ("m-3", "a")]);
    assert_eq!(forwarder.invoke(records).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2", "evt-m-3"]);
    assert_eq!(forwarder.sqs().dead_letters().len(), 1);
}

#[tokio::test]
async fn delays_double_to_the_longest() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    // An hour holds all of these attempts, so that receives count as attempts.
    let hour = Duration::from_hours(1);
    for (attempt, full) in (1..).zip([2_u64, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
        let id = format!("m-{attempt}");
        sss.answer(&id, [status(503)]);
        assert_eq!(forwarder.invoke([message("between", "b")]).await, NONE);
        let record = message(&id, "a").received(attempt).aged(hour);
        assert_eq!(forwarder.invoke([record]).await, [id.as_str()]);
        let seconds = forwarder.sqs().visibility(&id).expect("it was set");
        let shortest = (full * 9).div_ceil(10);
        assert!((shortest..=full).contains(&seconds), "attempt {attempt}: {seconds} s");
    }
}

#[tokio::test]
async fn every_kept_message_gets_its_time_once() {
    let sss = Sss::start().await;
    sss.answer_all(status(500));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    // Ten of one group, then ten groups: as many as one batch can have.
    let one_group = (0..10).map(|n| message(&format!("m-{n}"), "a"));
    let ten_groups = (10..20).map(|n| message(&format!("m-{n}"), &format!("order-{n}")));
    assert_eq!(forwarder.invoke(one_group).await.len(), 10);
    assert_eq!(forwarder.invoke(ten_groups).await.len(), 10);
    let calls = forwarder.sqs().calls();
    assert_eq!(calls.len(), 20, "{calls:?}");
    for n in 0..20 {
        assert_eq!(forwarder.sqs().visibility(&format!("m-{n}")), Some(2), "m-{n}");
    }
}

#[tokio::test]
async fn a_visibility_that_cannot_be_set_keeps_the_messages_all_the_same() {
    for fault in [Fault::Refused, Fault::Broken, Fault::EntriesFailed] {
        let sss = Sss::start().await;
        sss.answer("m-1", [status(503)]);
        let forwarder = Forwarder::start(config(&sss.url())).await;
        forwarder.sqs().fail("ChangeMessageVisibility", fault);
        let records = batch(&[("m-1", "a"), ("m-2", "a"), ("m-3", "b")]);
        assert_eq!(forwarder.invoke(records).await, ["m-1", "m-2"], "{fault:?}");
        let log = forwarder.kill().await;
        let told = log.iter().filter(|line| line["level"] == "ERROR").any(|line| {
            line["message"].as_str().is_some_and(|text| text.contains("visibility timeouts: "))
        });
        assert!(told, "nobody is told that SQS failed ({fault:?}): {log:?}");
    }
}

#[tokio::test]
async fn an_empty_batch_is_done_at_once() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([]).await, NONE);
    assert_eq!(sss.deliveries().len(), 0);
}
