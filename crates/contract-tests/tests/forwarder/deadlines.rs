//! The function's deadline: what cannot end in time is not begun, and the answer is never late.

use std::collections::BTreeMap;
use std::time::Duration;

use contract_tests::event::message;
use contract_tests::fake_aws::FakeAws;
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config_with;
use contract_tests::sss::Sss;
use domain::config::HiddenText;

use crate::{config_with_timeout, lines, status};

#[tokio::test]
async fn nothing_is_begun_that_could_not_end_in_time() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config_with_timeout(&sss.url(), 20)).await;
    let batch = [message("m-1", "a"), message("m-2", "a"), message("m-3", "b")];
    let time_left = Duration::from_secs(15);
    let failed = forwarder.begin_with_time_left(time_left, batch).failed().await;
    assert_eq!(failed, ["m-1", "m-2", "m-3"]);
    assert_eq!(sss.deliveries().len(), 0);
    // They cost a receive, and no time.
    for id in ["m-1", "m-2", "m-3"] {
        assert_eq!(forwarder.sqs().visibility(id), Some(0), "{id}");
    }
    let log = forwarder.kill().await;
    let reasons: Vec<_> = lines(&log, "not_attempted").iter().map(|line| &line["reason"]).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == "deadline"), "{log:?}");
}

#[tokio::test]
async fn what_is_done_when_time_runs_out_is_done() {
    let sss = Sss::start().await;
    sss.answer_all(status(200).set_delay(Duration::from_secs(2)));
    let forwarder = Forwarder::start(config_with_timeout(&sss.url(), 3)).await;
    // The first has 1.5 s of room to begin in; the second has 0.5 s too little, however quick all is:
    // an attempt needs its timeout, 2 s for a dead letter and 0.5 s for the answer.
    let batch = [message("m-1", "a"), message("m-2", "a"), message("m-3", "b")];
    let time_left = Duration::from_secs(7);
    let failed = forwarder.begin_with_time_left(time_left, batch).failed().await;
    assert_eq!(failed, ["m-2"]);
    assert_eq!(forwarder.sqs().visibility("m-2"), Some(0));
    let mut delivered = sss.event_ids();
    delivered.sort();
    assert_eq!(delivered, ["evt-m-1", "evt-m-3"]);
}

/// The time that a secret has taken is gone: what is left may be too little for an attempt.
#[tokio::test]
async fn nothing_is_begun_after_a_secret_that_took_too_long() {
    let sss = Sss::start_with_passed_headers(&["x-key"]).await;
    let aws = FakeAws::start().await;
    aws.put_parameter("/key", "key");
    aws.delay(Duration::from_millis(1_600));
    let config = config_with(&sss.url(), |route| {
        let destination = &mut route.destinations[0];
        destination.timeout_seconds = 3;
        destination.headers =
            BTreeMap::from([("x-key".to_owned(), HiddenText("ssm:/key".to_owned()))]);
    });
    let forwarder = Forwarder::start_on_aws(config, &aws).await;
    // An attempt may begin until 5.5 s are left: at first, but not once the key is there.
    let time_left = Duration::from_secs(7);
    let failed = forwarder.begin_with_time_left(time_left, [message("m-1", "a")]).failed().await;
    assert_eq!((failed, sss.deliveries().len()), (vec!["m-1".to_owned()], 0));
    assert_eq!(aws.calls().len(), 1);
    assert_eq!(forwarder.sqs().visibility("m-1"), Some(0));
    // It is kept for the next invocation, which has the time.
    let failed = forwarder.begin_with_time_left(time_left, [message("m-1", "a")]).failed().await;
    assert_eq!((failed, sss.deliveries().len()), (vec![], 1));
}

#[tokio::test]
async fn the_answer_does_not_wait_for_a_visibility_change() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(503)]);
    let forwarder = Forwarder::start(config_with_timeout(&sss.url(), 1)).await;
    forwarder.sqs().fail("ChangeMessageVisibility", Fault::Hangs);
    let batch = [message("m-1", "a"), message("m-2", "b")];
    let time_left = Duration::from_secs(4);
    assert_eq!(forwarder.begin_with_time_left(time_left, batch).failed().await, ["m-1"]);
}

#[tokio::test]
async fn the_answer_does_not_wait_for_a_dead_letter() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(422)]);
    let forwarder = Forwarder::start(config_with_timeout(&sss.url(), 1)).await;
    forwarder.sqs().fail("SendMessage", Fault::Hangs);
    let batch = [message("m-1", "a"), message("m-2", "a"), message("m-3", "b")];
    let time_left = Duration::from_secs(4);
    // Nobody knows whether the copy arrived, so the original stays, and what follows it.
    assert_eq!(forwarder.begin_with_time_left(time_left, batch).failed().await, ["m-1", "m-2"]);
    let mut delivered = sss.event_ids();
    delivered.sort();
    assert_eq!(delivered, ["evt-m-1", "evt-m-3"]);
}
