//! Routes with several destinations: all of them must accept.

use std::time::Duration;

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config_with, destination};
use contract_tests::sss::Sss;
use domain::dead_letter::Class;

use crate::{NONE, lines, status};

/// A forwarder whose route has the destinations `first` and `second`.
async fn start(first: &Sss, second: &Sss) -> Forwarder {
    let config = config_with(&first.url(), |route| {
        route.destinations =
            vec![destination("first", &first.url()), destination("second", &second.url())];
    });
    Forwarder::start(config).await
}

#[tokio::test]
async fn all_destinations_get_the_same_event() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    let forwarder = start(&first, &second).await;
    assert_eq!(forwarder.invoke([message("m-1", "a"), message("m-2", "a")]).await, NONE);
    for sss in [&first, &second] {
        assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2"]);
    }
    let log = forwarder.kill().await;
    let delivered = lines(&log, "delivered");
    assert_eq!(delivered.len(), 4, "one line an attempt: {log:?}");
    assert!(delivered.iter().any(|line| line["destination"] == "second"));
}

#[tokio::test]
async fn destinations_are_called_side_by_side() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    let delay = Duration::from_secs(1);
    for sss in [&first, &second] {
        sss.answer_all(status(200).set_delay(delay));
    }
    let forwarder = start(&first, &second).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let (first, second) = (first.deliveries()[0].at, second.deliveries()[0].at);
    let apart = first.max(second) - first.min(second);
    assert!(apart < delay, "{apart:?}");
}

#[tokio::test]
async fn one_that_accepted_is_not_called_again_while_the_other_fails() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    second.answer("m-1", [status(503), status(503), status(200)]);
    let forwarder = start(&first, &second).await;
    let batch = || [message("m-1", "a"), message("m-2", "a")];
    assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"]);
    assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"]);
    assert_eq!(forwarder.invoke(batch()).await, NONE);
    assert_eq!(first.event_ids(), ["evt-m-1", "evt-m-2"]);
    assert_eq!(second.event_ids(), ["evt-m-1", "evt-m-1", "evt-m-1", "evt-m-2"]);
}

#[tokio::test]
async fn a_rejection_by_one_is_a_dead_letter_that_names_it() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    second.answer("m-1", [status(422)]);
    let forwarder = start(&first, &second).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].failure.class, Class::Rejected);
    assert_eq!(dead_letters[0].failure.destination.as_deref(), Some("second"));
    assert_eq!(dead_letters[0].failure.status, Some(422));
}

#[tokio::test]
async fn a_rejection_waits_for_what_may_still_work() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    first.answer("m-1", [status(422)]);
    second.answer("m-1", [status(503), status(200)]);
    let forwarder = start(&first, &second).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].failure.destination.as_deref(), Some("first"));
    assert_eq!(dead_letters[0].failure.status, Some(422));
}
