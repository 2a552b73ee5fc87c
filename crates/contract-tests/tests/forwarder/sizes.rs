//! Sizes at the limit.

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config;
use contract_tests::sss::Sss;
use domain::dead_letter::RESPONSE_BYTES_MAX;
use domain::quota::{DEAD_LETTER_BYTES_MAX, MESSAGE_ATTRIBUTES_MAX, MESSAGE_BYTES_MAX};

use crate::{NONE, status};

/// Attributes of [`message`] are well below this.
const ATTRIBUTES_BYTES: usize = 200;
const BODY_BYTES: usize = MESSAGE_BYTES_MAX as usize - ATTRIBUTES_BYTES;

#[tokio::test]
async fn bodies_at_the_limit_are_delivered_unchanged() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    // Three bytes a character: it must not be counted in characters anywhere.
    let body = "注".repeat(BODY_BYTES / 3);
    let batch = (0..10).map(|n| message(&format!("m-{n}"), "a").body(&body));
    assert_eq!(forwarder.invoke(batch).await, NONE);
    let deliveries = sss.deliveries();
    assert_eq!(deliveries.len(), 10);
    assert!(deliveries.iter().all(|delivery| delivery.request.body == body.as_bytes()));
}

#[tokio::test]
async fn one_byte_is_delivered() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a").body(" ")]).await, NONE);
    assert_eq!(sss.deliveries()[0].request.body, b" ");
}

#[tokio::test]
async fn a_dead_letter_at_the_limit_fits() {
    let sss = Sss::start().await;
    // Quotation marks and line breaks need two bytes each in the record.
    sss.answer_all(status(422).set_body_string("\"\n".repeat(100_000)));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let body = "x".repeat(BODY_BYTES);
    assert_eq!(forwarder.invoke([message("m-1", "a").body(&body)]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    let dead = &dead_letters[0];
    assert_eq!(dead.body, body);
    assert!(dead.bytes <= DEAD_LETTER_BYTES_MAX as usize, "{} bytes", dead.bytes);
    assert!(dead.failure.response.is_some());
}

#[tokio::test]
async fn a_long_answer_is_cut() {
    let sss = Sss::start().await;
    let answer = "no such workflow; ".repeat(300_000);
    sss.answer_all(status(422).set_body_string(answer.clone()));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    let response = dead_letters[0].failure.response.as_deref();
    assert_eq!(response, Some(&answer[..RESPONSE_BYTES_MAX]));
}

#[tokio::test]
async fn a_long_answer_to_a_delivery_does_no_harm() {
    let sss = Sss::start().await;
    sss.answer_all(status(200).set_body_bytes(vec![b'x'; 5_000_000]));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for id in ["m-1", "m-2", "m-3"] {
        assert_eq!(forwarder.invoke([message(id, "a")]).await, NONE);
    }
    assert_eq!(sss.deliveries().len(), 3);
}

/// SQS takes ten attributes; the record is one of them.
#[tokio::test]
async fn attributes_that_the_record_displaces_are_in_the_record() {
    let sss = Sss::start().await;
    sss.answer_all(status(422));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let own = (0..7).map(|n| (format!("own-{n}"), format!("value {n}")));
    let record = own
        .clone()
        .fold(message("m-1", "a"), |record, (name, value)| record.attribute(&name, &value));
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    let dead = &dead_letters[0];
    // The record itself is the tenth.
    assert_eq!(dead.attributes.len(), MESSAGE_ATTRIBUTES_MAX - 1);
    for name in ["route", "event_id", "accepted_at"] {
        assert!(dead.attributes.contains_key(name), "{name} is needed where it is");
    }
    for (name, value) in own {
        let kept = dead.attributes.get(&name).or(dead.failure.displaced.get(&name));
        assert_eq!(kept.map(|attribute| attribute.value.as_str()), Some(value.as_str()), "{name}");
    }
}
