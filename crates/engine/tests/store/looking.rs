//! What an operator asks about, and no receive answers.

use std::time::Duration;

use crate::support::{DEAD, Fixture, QUEUE, message};
use domain::time::Timestamp;
use engine::store::{
    GroupCount, MessageAttribute, NewMessage, PeekFrom, Peeked, Place, ReceiveRequest,
    SequenceNumber, WaitingGroup,
};
use tokio::task::JoinSet;

fn of_event(group: &str, body: &str, event_id: &str) -> NewMessage {
    let named = |name: &str, value: &str| (name.to_owned(), MessageAttribute::string(value));
    NewMessage {
        attributes: [named("event_id", event_id), named("route", "sss")].into(),
        ..message(group, body)
    }
}

/// Receives as the function does, which gives back what it keeps.
async fn keep_for(queue: &Fixture, seconds: u32) -> usize {
    let request = ReceiveRequest {
        max_messages: 10,
        receiver: Some("function".to_owned()),
        ..ReceiveRequest::default()
    };
    let received = queue.store.receive(QUEUE, request).await.unwrap();
    for message in &received {
        queue.store.change_visibility(QUEUE, &message.receipt_handle, seconds).await.unwrap();
    }
    received.len()
}

#[tokio::test]
async fn groups_are_counted_in_the_order_of_their_names_a_page_at_a_time() {
    let queue = Fixture::with_dead_letters(3).await;
    for (group, body) in [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")] {
        queue.send(group, body).await;
    }
    queue.store.send(DEAD, message("d", "5")).await.unwrap();
    queue.receive(1).await;
    let count = |group: &str, messages| GroupCount { group: group.to_owned(), messages };
    let groups = async |after, most| queue.store.groups(QUEUE, after, most).await.unwrap();
    assert_eq!(groups("", 10).await, [count("a", 1), count("b", 2), count("c", 1)]);
    assert_eq!(groups("", 2).await, [count("a", 1), count("b", 2)]);
    assert_eq!(groups("b", 2).await, [count("c", 1)]);
}

#[tokio::test]
async fn a_group_waits_whose_head_was_given_back() {
    let queue = Fixture::new().await;
    let first = queue.clock_wall();
    let sent = queue.store.send(QUEUE, of_event("a", "1", "evt-1")).await.unwrap();
    queue.send("a", "2").await;
    queue.send("b", "3").await;
    let waiting = async || queue.store.waiting_groups(QUEUE, 10).await.unwrap();
    let count = async || queue.store.waiting_group_count(QUEUE).await.unwrap();
    assert_eq!((waiting().await.len(), count().await), (0, 0), "none was received");
    queue.advance_seconds(5);
    assert_eq!(keep_for(&queue, 60).await, 3);

    let groups = waiting().await;
    assert_eq!((groups.len(), count().await), (2, 2));
    let (a, b) = (&groups[0], &groups[1]);
    assert_eq!((a.group.as_str(), b.group.as_str()), ("a", "b"));
    assert_eq!((a.event_id.as_str(), a.route.as_str(), b.route.as_str()), ("evt-1", "sss", ""));
    assert_eq!(a.sequence_number, sent.sequence_number);
    assert_eq!((a.sent_at, a.first_received_at), (first, first.plus(Duration::from_secs(5))));
    assert_eq!((a.receive_count, a.behind, b.behind), (1, 1, 0));
    assert_eq!(a.visible_at, Some(first.plus(Duration::from_secs(65))));
    assert_eq!(queue.store.waiting_groups(QUEUE, 1).await.unwrap().len(), 1);

    queue.advance_seconds(60);
    assert_eq!(waiting().await[0].visible_at, None, "it can be received now");
    let request =
        ReceiveRequest { receiver: Some("function".to_owned()), ..ReceiveRequest::default() };
    assert_eq!(queue.store.receive(QUEUE, request).await.unwrap().len(), 1);
    assert_eq!((waiting().await.len(), count().await), (1, 1), "a is being worked on");

    // It failed before, and may again: what a key waits for is told of it all the same.
    queue.send("c", "4").await;
    let request =
        ReceiveRequest { receiver: Some("function".to_owned()), ..ReceiveRequest::default() };
    assert_eq!(queue.store.receive(QUEUE, request).await.unwrap()[0].body, "3");
    let failing = async |after| queue.store.failing_groups_after(QUEUE, after, 10).await.unwrap();
    let names = |groups: Vec<WaitingGroup>| -> Vec<String> {
        groups.into_iter().map(|group| group.group).collect()
    };
    let first = SequenceNumber::parse("10000000000000000000").unwrap();
    assert_eq!(names(failing(first).await), ["a", "b"], "c was received by nobody");
    assert_eq!(names(failing(sent.sequence_number).await), ["b"]);
}

#[tokio::test]
async fn what_is_received_for_the_first_time_has_not_failed() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let request =
        ReceiveRequest { receiver: Some("function".to_owned()), ..ReceiveRequest::default() };
    assert_eq!(queue.store.receive(QUEUE, request).await.unwrap().len(), 1);
    let first = SequenceNumber::parse("10000000000000000000").unwrap();
    assert_eq!(queue.store.failing_groups_after(QUEUE, first, 10).await.unwrap(), []);
}

/// In as few commits as can be.
async fn send_many(queue: &Fixture, name: &'static str, many: u32) {
    let mut sending = JoinSet::new();
    for n in 0..many {
        let (store, message) = (queue.store.clone(), message(&n.to_string(), &n.to_string()));
        sending.spawn(async move { store.send(name, message).await.unwrap() });
    }
    assert_eq!(sending.join_all().await.len(), usize::try_from(many).unwrap());
}

fn places(found: &[Place]) -> Vec<(&str, &str, u64)> {
    found.iter().map(|it| (it.queue.as_str(), it.group.as_str(), it.ahead)).collect()
}

#[tokio::test]
async fn an_event_is_found_wherever_it_is() {
    let queue = Fixture::with_dead_letters(3).await;
    let accepted = queue.clock_wall();
    queue.send("a", "1").await;
    let sent = queue.store.send(QUEUE, of_event("a", "2", "evt-1")).await.unwrap();
    queue.store.send(DEAD, of_event("d", "3", "evt-1")).await.unwrap();
    queue.send("b", "4").await;
    let found = queue.store.find_event("evt-1").await.unwrap();
    assert_eq!(places(&found), [(QUEUE, "a", 1), (DEAD, "d", 0)]);
    let Place { message_id, sequence_number, sent_at, receive_count, visible_at, .. } = &found[0];
    assert_eq!((message_id, *sequence_number), (&sent.message_id, sent.sequence_number));
    assert_eq!((*sent_at, *receive_count, *visible_at), (accepted, 0, None));
    let by_message = queue.store.find_event(&sent.message_id).await.unwrap();
    assert_eq!(places(&by_message), [(QUEUE, "a", 1)]);
    assert_eq!(queue.store.find_event("evt-2").await.unwrap(), []);
    queue.receive(10).await;
    let held = &queue.store.find_event("evt-1").await.unwrap()[0];
    assert_eq!(held.receive_count, 1);
    assert_eq!(held.visible_at, Some(accepted.plus(Duration::from_secs(30))));
    queue.advance_seconds(30);
    assert_eq!(queue.store.find_event("evt-1").await.unwrap()[0].visible_at, None);
}

/// 5,000 messages are looked at in one transaction.
#[tokio::test]
async fn an_event_is_found_behind_many_others() {
    let queue = Fixture::new().await;
    queue.store.send(QUEUE, of_event("first", "first", "evt-1")).await.unwrap();
    send_many(&queue, QUEUE, 5_000).await;
    queue.store.send(QUEUE, of_event("last", "last", "evt-1")).await.unwrap();
    let found = queue.store.find_event("evt-1").await.unwrap();
    assert_eq!(places(&found), [(QUEUE, "first", 0), (QUEUE, "last", 0)]);
}

#[tokio::test]
async fn dead_letters_are_counted_by_why_they_are_dead() {
    let queue = Fixture::with_dead_letters(3).await;
    let dead = |body: &str, failure: &str| {
        let failure = ("failure".to_owned(), MessageAttribute::string(failure));
        NewMessage { attributes: [failure].into(), ..message(body, body) }
    };
    for (body, failure) in [
        ("1", r#"{"class":"rejected"}"#),
        ("2", r#"{"class":"gave_up"}"#),
        ("3", r#"{"class":"rejected"}"#),
        ("4", "{}"),
        ("5", "no json"),
    ] {
        queue.store.send(DEAD, dead(body, failure)).await.unwrap();
    }
    queue.store.send(DEAD, message("6", "6")).await.unwrap();
    queue.send("a", "7").await;
    let reasons = queue.store.dead_letter_reasons(DEAD).await.unwrap();
    let expected = [("", 3), ("gave_up", 1), ("rejected", 2)].map(|(why, n)| (why.to_owned(), n));
    assert_eq!(reasons, Some(expected.to_vec()));
}

#[tokio::test]
async fn more_dead_letters_than_two_thousand_are_not_counted_at_once() {
    let queue = Fixture::with_dead_letters(3).await;
    send_many(&queue, DEAD, 2_000).await;
    let reasons = async || queue.store.dead_letter_reasons(DEAD).await.unwrap();
    assert_eq!(reasons().await, Some(vec![(String::new(), 2_000)]));
    queue.store.send(DEAD, message("one", "more")).await.unwrap();
    assert_eq!(reasons().await, None);
}

#[tokio::test]
async fn the_queues_before_a_dead_letter_queue_are_named() {
    let queue = Fixture::with_dead_letters(3).await;
    assert_eq!(queue.store.dead_letter_source_queues(DEAD).await.unwrap(), [QUEUE]);
    assert_eq!(queue.store.dead_letter_source_queues(QUEUE).await.unwrap(), [""; 0]);
}

impl Fixture {
    fn clock_wall(&self) -> Timestamp {
        engine::clock::Clock::wall(&*self.clock)
    }
}

/// All messages of a queue as they lie there.
async fn peek(queue: &Fixture, name: &str) -> (Vec<Peeked>, usize) {
    let (mut messages, mut pages, mut from) = (Vec::new(), 0, Some(PeekFrom::default()));
    while let Some(after) = from {
        let page = queue.store.peek(name, after).await.unwrap();
        assert_eq!(page.damaged, 0);
        messages.extend(page.messages);
        from = page.next;
        pages += 1;
    }
    (messages, pages)
}

#[tokio::test]
async fn what_is_hidden_is_seen_as_well_and_looking_changes_nothing() {
    let queue = Fixture::with_dead_letters(3).await;
    let first = queue.clock_wall();
    let traced = NewMessage { trace_header: Some("Root=1".to_owned()), ..message("b", "1") };
    let sent = queue.store.send(QUEUE, traced).await.unwrap();
    for (group, body) in [("a", "2"), ("b", "3")] {
        queue.send(group, body).await;
    }
    queue.advance_seconds(5);
    let held = queue.store.receive(
        QUEUE,
        ReceiveRequest { receiver: Some("function".to_owned()), ..ReceiveRequest::default() },
    );
    let held = held.await.unwrap();
    let before = queue.store.statistics(QUEUE).await.unwrap();
    for _ in 0..3 {
        let (messages, _) = peek(&queue, QUEUE).await;
        let seen: Vec<_> = messages.iter().map(|it| (&*it.group, &*it.body)).collect();
        assert_eq!(seen, [("a", "2"), ("b", "1"), ("b", "3")]);
        let b = &messages[1];
        assert_eq!((b.receive_count, b.is_held, b.sent_at), (1, true, first));
        assert_eq!((&b.message_id, &*b.deduplication_id), (&sent.message_id, "1"));
        assert_eq!(b.trace_header.as_deref(), Some("Root=1"));
        assert_eq!(b.first_received_at, Some(first.plus(Duration::from_secs(5))));
        assert_eq!(b.visible_at, Some(first.plus(Duration::from_secs(35))));
        assert_eq!((messages[2].receive_count, messages[2].visible_at), (0, None));
    }
    assert_eq!(queue.store.statistics(QUEUE).await.unwrap(), before);
    let until = first.plus(Duration::from_secs(35));
    assert_eq!(queue.store.hidden_until(QUEUE).await.unwrap(), Some((until, until)));
    assert_eq!(held[0].receive_count, 1);
    queue.delete(&held[0]).await;
    assert_eq!(queue.store.hidden_until(QUEUE).await.unwrap(), None);

    let (of_group, all) = queue.store.peek_group(QUEUE, "b", 1).await.unwrap();
    assert_eq!((&*of_group[0].body, all), ("3", 1));
    let one = queue.store.peek_at(QUEUE, of_group[0].sequence_number).await.unwrap().unwrap();
    assert_eq!(one.body, "3");
    assert!(queue.store.peek_at(QUEUE, held[0].sequence_number).await.unwrap().is_none());
}

#[tokio::test]
async fn a_page_ends_and_the_next_goes_on_behind_it() {
    let queue = Fixture::with_dead_letters(3).await;
    let large = "x".repeat(300_000);
    for number in 0..9 {
        let group = if number < 5 { "a" } else { "b" };
        let message =
            NewMessage { body: format!("{number}{large}"), ..message(group, &number.to_string()) };
        queue.store.send(QUEUE, message).await.unwrap();
    }
    let (messages, pages) = peek(&queue, QUEUE).await;
    let numbers: String = messages.iter().map(|it| &it.body[..1]).collect();
    assert_eq!(numbers, "012345678");
    // Four of them are more than a MiB.
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn what_can_be_received_now_is_not_hidden() {
    let queue = Fixture::new().await;
    queue.send("a", "1").await;
    let request =
        ReceiveRequest { receiver: Some("function".to_owned()), ..ReceiveRequest::default() };
    assert_eq!(queue.store.receive(QUEUE, request).await.unwrap().len(), 1);
    queue.advance_seconds(30);
    let (messages, _) = peek(&queue, QUEUE).await;
    assert_eq!((messages[0].visible_at, messages[0].is_held), (None, false));
}

#[tokio::test]
async fn a_page_has_a_thousand_messages_at_most() {
    let queue = Fixture::new().await;
    send_many(&queue, QUEUE, 1_001).await;
    let (messages, pages) = peek(&queue, QUEUE).await;
    assert_eq!((messages.len(), pages), (1_001, 2));
}

#[tokio::test]
async fn of_ids_that_begin_alike_no_more_are_given_than_asked_for() {
    let queue = Fixture::new().await;
    for id in ["evt-2", "evt-1", "other", "evt-3"] {
        queue.store.send(QUEUE, of_event("a", id, id)).await.unwrap();
    }
    let ids = async |most| queue.store.event_ids_beginning("evt-", most).await.unwrap();
    assert!(ids(3).await.iter().eq(["evt-1", "evt-2", "evt-3"]));
    assert!(ids(2).await.iter().eq(["evt-1", "evt-2"]));
}
