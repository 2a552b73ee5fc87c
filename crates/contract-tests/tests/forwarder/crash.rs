//! The forwarder's sudden end: whatever it was at, nothing is said to be done that is not.

use std::time::Duration;

use contract_tests::event::message;
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::config;
use contract_tests::sss::Sss;

use crate::{NONE, status};

#[tokio::test]
async fn killed_in_mid_delivery_it_says_nothing_and_the_next_one_repeats_in_order() {
    let sss = Sss::start().await;
    let forever = status(200).set_delay(Duration::from_mins(10));
    sss.answer("m-2", [forever, status(200)]);
    let batch = [message("m-1", "a"), message("m-2", "a"), message("m-3", "a")];

    let forwarder = Forwarder::start(config(&sss.url())).await;
    let invocation = forwarder.begin(batch.clone());
    sss.arrivals(2).await;
    forwarder.kill().await;
    assert_eq!(invocation.answer().await, None);
    assert_eq!(forwarder.sqs().calls(), []);

    // Lambda deletes nothing, and starts another one.
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke(batch.map(|record| record.received(2))).await, NONE);
    let expected = ["evt-m-1", "evt-m-2", "evt-m-1", "evt-m-2", "evt-m-3"];
    assert_eq!(sss.event_ids(), expected);
}

#[tokio::test]
async fn killed_while_it_dead_letters_the_next_one_sends_the_same_copy() {
    let sss = Sss::start().await;
    sss.answer_all(status(422).set_body_string("no"));
    let record = message("m-1", "a");

    let first = Forwarder::start(config(&sss.url())).await;
    first.sqs().fail("SendMessage", Fault::Hangs);
    let invocation = first.begin([record.clone()]);
    first.sqs().called("SendMessage").await;
    first.kill().await;
    assert_eq!(invocation.answer().await, None);

    let second = Forwarder::start(config(&sss.url())).await;
    assert_eq!(second.invoke([record.received(2)]).await, NONE);
    let copies: Vec<_> = [&first, &second]
        .map(|forwarder| forwarder.sqs().calls()[0].parameters.clone())
        .iter()
        .map(|copy| (copy["MessageDeduplicationId"].clone(), copy["MessageBody"].clone()))
        .collect();
    assert_eq!(copies[0], copies[1], "SQS would not recognise the repeat");
}

#[tokio::test]
async fn killed_between_events_it_loses_nothing() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    forwarder.kill().await;
    assert_eq!(forwarder.begin([message("m-2", "a")]).answer().await, None);
    assert_eq!(sss.event_ids(), ["evt-m-1"]);
}
