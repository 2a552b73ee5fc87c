//! Routes with several destinations: all of them must accept.

use std::time::Duration;

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config_with, destination};
use contract_tests::sss::Sss;
use domain::config::HiddenText;
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
    let failure = &dead_letters[0].failure;
    assert_eq!(failure.destination.as_deref(), Some("first"));
    assert_eq!(
        (failure.status, failure.delivered_to.as_slice()),
        (Some(422), &["second".to_owned()][..])
    );
    assert_eq!(first.deliveries().len(), 1, "a rejection is final, and not repeated");
}

/// As an edited event comes, or one that its provider sent once more.
#[tokio::test]
async fn another_message_of_the_same_event_reaches_every_destination() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    second.answer("m-1", [status(503)]);
    let forwarder = start(&first, &second).await;
    let of_event = |id| message(id, "a").attribute("event_id", "evt-m-1");
    assert_eq!(forwarder.invoke([of_event("m-1")]).await, ["m-1"]);
    second.answer("m-1", [status(200)]);
    assert_eq!(forwarder.invoke([of_event("m-9")]).await, NONE);
    assert_eq!(first.deliveries().len(), 2);
}

/// What is remembered is for as long as the message is in the queue. Where its deletion fails, it comes
/// again like any other: that is a repeat, which may be, and not a loss.
#[tokio::test]
async fn a_message_that_has_left_the_queue_is_forgotten() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    second.answer("m-1", [status(503), status(200)]);
    first.answer("m-2", [status(422)]);
    second.answer("m-2", [status(503), status(200)]);
    let forwarder = start(&first, &second).await;
    let batch = || [message("m-1", "a"), message("m-2", "b")];
    assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"]);
    assert_eq!(forwarder.invoke(batch()).await, NONE);
    let count = |sss: &Sss| sss.deliveries().len();
    assert_eq!((count(&first), count(&second)), (2, 4));
    assert_eq!(forwarder.invoke(batch()).await, NONE);
    assert_eq!((count(&first), count(&second)), (4, 6));
    assert_eq!(forwarder.sqs().dead_letters().len(), 2);
}

#[tokio::test]
async fn a_redriven_event_is_not_sent_to_who_has_it_and_nobody_else_can_say_who_has() {
    let (first, second) = (Sss::start().await, Sss::start().await);
    let forwarder = start(&first, &second).await;
    let marked = |id| message(id, "a").attribute("delivered_to", "first");
    assert_eq!(forwarder.invoke([marked("m-1").sent_by_operator()]).await, NONE);
    assert_eq!((first.deliveries().len(), second.deliveries().len()), (0, 1));
    assert_eq!(forwarder.invoke([marked("m-2")]).await, NONE);
    assert_eq!((first.deliveries().len(), second.deliveries().len()), (1, 2));
}

#[tokio::test]
async fn what_stands_before_a_service_may_answer_404_for_it() {
    let (sss, other) = (Sss::start().await, Sss::start().await);
    sss.answer("m-1", [status(404), status(200)]);
    let config = config_with(&sss.url(), |route| {
        route.retry_statuses = vec!["404".to_owned()];
        route.reject_statuses = vec!["501".to_owned()];
    });
    let forwarder = Forwarder::start(config).await;
    let batch = || [message("m-1", "a"), message("m-2", "a")];
    assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"]);
    assert_eq!(forwarder.invoke(batch()).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-1", "evt-m-2"]);
    sss.answer("m-3", [status(501)]);
    assert_eq!(forwarder.invoke([message("m-3", "b")]).await, NONE);
    assert_eq!(forwarder.sqs().dead_letters()[0].failure.status, Some(501));
    assert_eq!(other.deliveries().len(), 0);
}

#[tokio::test]
async fn a_destination_gets_the_headers_that_it_asks_for_and_no_other_does() {
    let asked_for = ["x-api-key", "authorization", "x-team"];
    let (first, second) = (Sss::start_with_passed_headers(&asked_for).await, Sss::start().await);
    let config = config_with(&first.url(), |route| {
        let mut with_key = destination("first", &first.url());
        let header = |text: &str| HiddenText(text.to_owned());
        with_key.headers.insert("X-Api-Key".to_owned(), header("env:API_KEY"));
        with_key.headers.insert("authorization".to_owned(), header("env:AUTHORIZATION"));
        with_key.headers.insert("x-team".to_owned(), header("sales"));
        route.destinations = vec![with_key, destination("second", &second.url())];
    });
    let more = [
        ("API_KEY", "planted key\n".to_owned()),
        ("AUTHORIZATION", "Bearer planted token".to_owned()),
    ];
    let forwarder = Forwarder::start_with_more(config, more).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let delivery = &first.deliveries()[0];
    assert_eq!(delivery.header("x-api-key"), "planted key");
    assert_eq!(delivery.header("authorization"), "Bearer planted token");
    assert_eq!(delivery.header("x-team"), "sales");
    let plain = &second.deliveries()[0].request.headers;
    assert!(!plain.contains_key("x-api-key") && !plain.contains_key("authorization"));
    let log = forwarder.kill().await;
    assert!(!format!("{log:?}").contains("planted"), "{log:?}");
}

#[tokio::test]
async fn without_the_secret_of_its_header_an_event_waits() {
    for key in ["", "line\nbreak"] {
        let sss = Sss::start().await;
        let config = config_with(&sss.url(), |route| {
            let header = HiddenText("env:API_KEY".to_owned());
            route.destinations[0].headers.insert("x-api-key".to_owned(), header);
        });
        let forwarder = Forwarder::start_with_more(config, [("API_KEY", key.to_owned())]).await;
        assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"], "{key:?}");
        assert_eq!((sss.deliveries().len(), forwarder.sqs().dead_letters().len()), (0, 0));
        let log = forwarder.kill().await;
        assert_eq!(lines(&log, "secret_unavailable").len(), 1, "{log:?}");
    }
}
