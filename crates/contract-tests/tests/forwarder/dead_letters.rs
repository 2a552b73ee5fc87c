//! Dead letters: what is sent, when, and that nothing is deleted before.

use std::time::Duration;

use contract_tests::event::message;
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, config_with};
use contract_tests::sss::Sss;
use contract_tests::wire::nobody;
use domain::attribute::{Attribute, Attributes};
use domain::dead_letter::{Class, Failure, VERSION};
use domain::route::OnReject;

use crate::{NONE, config_with_timeout, lines, status};

const GIVE_UP_AFTER: Duration = Duration::from_hours(72);

#[tokio::test]
async fn a_rejected_event_is_sent_as_it_was_with_the_reason() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(422).set_body_string("{\"error\":\"unknown workflow\"}")]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let record = message("m-1", "order-7")
        .body("{ \"id\" : 7 }\n")
        .system_attribute("SentTimestamp", "1767225600123")
        .attribute("header.x-workflow-id", "order-7")
        .binary_attribute("thumbnail", "AAEC/w==");
    let sequence = record.sequence();
    assert_eq!(forwarder.invoke([record]).await, NONE);

    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    let dead = &dead_letters[0];
    assert_eq!(dead.body, "{ \"id\" : 7 }\n");
    // A repeat of the copy is recognised by SQS.
    assert_eq!((dead.group_id.as_str(), dead.deduplication_id.as_str()), ("m-1", "m-1"));
    let thumbnail = Attribute { data_type: "Binary".to_owned(), value: "AAEC/w==".to_owned() };
    let expected = Attributes::from([
        ("route".to_owned(), Attribute::string("sss")),
        ("event_id".to_owned(), Attribute::string("evt-m-1")),
        ("accepted_at".to_owned(), Attribute::string("1767225600123")),
        ("header.x-workflow-id".to_owned(), Attribute::string("order-7")),
        ("thumbnail".to_owned(), thumbnail),
    ]);
    assert_eq!(dead.attributes, expected);
    let expected = Failure {
        v: VERSION,
        class: Class::Rejected,
        destination: Some("sss".to_owned()),
        status: Some(422),
        error: None,
        response: Some("{\"error\":\"unknown workflow\"}".to_owned()),
        location: None,
        delivered_to: Vec::new(),
        attempts: 1,
        accepted_at: 1_767_225_600_123,
        group: "order-7".to_owned(),
        sequence,
        displaced: Attributes::new(),
    };
    assert_eq!(dead.failure, expected);
    assert_eq!(forwarder.sqs().visibility("m-1"), None);
}

#[tokio::test]
async fn a_copy_that_fails_keeps_the_original_and_what_follows_it() {
    for fault in [Fault::Refused, Fault::Broken] {
        let sss = Sss::start().await;
        sss.answer("m-1", [status(422)]);
        let forwarder = Forwarder::start(config(&sss.url())).await;
        forwarder.sqs().fail("SendMessage", fault);
        let batch = || [message("m-1", "a"), message("m-2", "a"), message("m-3", "b")];
        assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"], "{fault:?}");
        assert!(!sss.event_ids().contains(&"evt-m-2".to_owned()), "m-2 overtook m-1");
        for id in ["m-1", "m-2"] {
            assert!(forwarder.sqs().visibility(id).is_some(), "{id} after {fault:?}");
        }
        forwarder.sqs().recover();
        assert_eq!(forwarder.invoke(batch()).await, NONE);
        assert_eq!(forwarder.sqs().dead_letters().len(), 1);
        assert!(sss.event_ids().contains(&"evt-m-2".to_owned()));
    }
}

/// Also where only its group says which route it takes.
#[tokio::test]
async fn the_line_of_a_dead_letter_names_its_route() {
    let sss = Sss::start().await;
    sss.answer_all(status(422));
    let fixed = config_with(&sss.url(), |route| route.ordering_key = "all".to_owned());
    let forwarder = Forwarder::start(fixed).await;
    forwarder.sqs().fail("SendMessage", Fault::Refused);
    let record = || message("m-1", "all").without_attributes();
    assert_eq!(forwarder.invoke([record()]).await, ["m-1"]);
    forwarder.sqs().recover();
    assert_eq!(forwarder.invoke([record()]).await, NONE);
    let log = forwarder.kill().await;
    for what in ["not_dead_lettered", "dead_lettered"] {
        let told = lines(&log, what);
        assert_eq!((told.len(), &told[0]["route"]), (1, &"sss".into()), "{what}: {log:?}");
        assert_eq!(told[0]["level"], "ERROR");
    }
}

#[tokio::test]
async fn an_event_that_fails_too_old_is_given_up_and_its_group_goes_on() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(503).set_body_string("down for maintenance")]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let old = message("m-1", "a").received(870).aged(GIVE_UP_AFTER);
    assert_eq!(forwarder.invoke([old, message("m-2", "a")]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2"], "it got its last chance");
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    let failure = &dead_letters[0].failure;
    assert_eq!(failure.class, Class::GaveUp);
    assert_eq!(failure.status, Some(503));
    assert_eq!(failure.response.as_deref(), Some("down for maintenance"));
    assert_eq!(failure.attempts, 870);
    let log = forwarder.kill().await;
    assert_eq!(lines(&log, "gave_up").len(), 1, "{log:?}");
    assert_eq!(lines(&log, "dead_lettered").len(), 1, "{log:?}");
}

#[tokio::test]
async fn an_event_that_nobody_answered_is_given_up_with_the_error() {
    let forwarder = Forwarder::start(config_with_timeout(&nobody(), 1)).await;
    assert_eq!(forwarder.invoke([message("m-1", "a").aged(GIVE_UP_AFTER)]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].failure.class, Class::GaveUp);
    assert_eq!(dead_letters[0].failure.status, None);
    assert_eq!(dead_letters[0].failure.error.as_deref(), Some("refused"));
}

#[tokio::test]
async fn an_old_event_that_is_accepted_is_delivered() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a").aged(GIVE_UP_AFTER * 2)]).await, NONE);
    assert_eq!(forwarder.sqs().dead_letters(), []);
}

#[tokio::test]
async fn a_younger_event_is_not_given_up() {
    let sss = Sss::start().await;
    sss.answer_all(status(503));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let younger = GIVE_UP_AFTER.saturating_sub(Duration::from_mins(10));
    assert_eq!(forwarder.invoke([message("m-1", "a").aged(younger)]).await, ["m-1"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
}

/// An old event that is sent again by an operator has its age anew.
#[tokio::test]
async fn a_redriven_event_gets_its_attempts_again() {
    let sss = Sss::start().await;
    sss.answer_all(status(503));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let redriven = message("m-1", "a").attribute("accepted_at", "1767225600123");
    assert_eq!(forwarder.invoke([redriven]).await, ["m-1"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
}

#[tokio::test]
async fn a_group_that_blocks_waits_behind_the_rejected_event() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(422)]);
    let config = config_with(&sss.url(), |route| route.on_reject = OnReject::Block);
    let forwarder = Forwarder::start(config).await;
    let batch = [message("m-1", "a"), message("m-2", "a"), message("m-3", "b")];
    assert_eq!(forwarder.invoke(batch).await, ["m-1", "m-2"]);
    assert_eq!(forwarder.sqs().dead_letters(), []);
    for id in ["m-1", "m-2"] {
        assert_eq!(forwarder.sqs().visibility(id), Some(2), "{id}");
    }
    let log = forwarder.kill().await;
    let blocked = lines(&log, "blocked");
    assert_eq!(blocked.len(), 1, "{log:?}");
    assert_eq!(blocked[0]["status"], 422);
    assert_eq!(blocked[0]["retry_in_ms"], 2_000);
}

#[tokio::test]
async fn a_blocked_event_is_not_kept_until_the_queue_deletes_it() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(422)]);
    let config = config_with(&sss.url(), |route| route.on_reject = OnReject::Block);
    let forwarder = Forwarder::start(config).await;
    assert_eq!(forwarder.invoke([message("m-1", "a").aged(GIVE_UP_AFTER)]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].failure.class, Class::Rejected);
}

/// One that came back by SQS's own redrive still has the record of its former failure.
#[tokio::test]
async fn a_former_record_is_replaced() {
    let sss = Sss::start().await;
    sss.answer("m-1", [status(422)]);
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let record = message("m-1", "a").attribute("failure", "{\"v\":1,\"class\":\"gave_up\"}");
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    assert_eq!(dead_letters[0].failure.class, Class::Rejected);
    assert_eq!(dead_letters[0].failure.status, Some(422));
}

#[tokio::test]
async fn several_dead_letters_of_one_batch_are_each_sent_once() {
    let sss = Sss::start().await;
    sss.answer_all(status(410));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    let batch = (0..10).map(|n| message(&format!("m-{n}"), if n % 2 == 0 { "a" } else { "b" }));
    assert_eq!(forwarder.invoke(batch).await, NONE);
    let dead_letters = forwarder.sqs().dead_letters();
    let mut ids: Vec<_> = dead_letters.iter().map(|dead| dead.deduplication_id.clone()).collect();
    ids.sort();
    assert_eq!(ids, (0..10).map(|n| format!("m-{n}")).collect::<Vec<_>>());
}
