//! `dlq list`

use serde_json::Value;

use crate::support::{Event, Queues};

#[tokio::test]
async fn it_shows_what_is_known_of_each() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;
    queues.add_moved_by_sqs(Event::new("order-8", "event-2", 11)).await;

    let list = queues.dlq(&["list", "test"]).await;
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let rows: Vec<Vec<&str>> =
        list.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..5], ["EVENT", "ID", "ROUTE", "GROUP", "CLASS"]);
    let accepted = ["2026-11-23", "10:00:00"];
    assert_eq!(rows[1][..6], ["event-1", "sss", "order-7", "rejected", "422", "3"]);
    assert_eq!(rows[1][6..8], accepted);
    assert_eq!(rows[2][..5], ["event-2", "sss", "order-8", "receive_count", "-"]);
    assert_eq!(rows[2][6..8], accepted);
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn its_json_is_for_programs() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;

    let list = queues.dlq(&["list", "test", "--json"]).await;
    let mut letters: Value = serde_json::from_str(&list.stdout).unwrap();
    // The queue gives these.
    for name in ["message_id", "dead_since"] {
        assert!(letters[0][name].take().is_string(), "{name}");
    }
    insta::assert_json_snapshot!(letters);
}

#[tokio::test]
async fn it_shows_all_and_hides_none_from_others_afterwards() {
    let queues = Queues::start().await;
    let ids: Vec<String> = (10..35).map(|number| format!("event-{number}")).collect();
    for (sequence, id) in (1..).zip(&ids) {
        queues.add_rejected(Event::new("order-7", id, sequence)).await;
    }
    for _ in 0..2 {
        let list = queues.dlq(&["list", "test", "--json"]).await;
        let letters: Vec<Value> = serde_json::from_str(&list.stdout).unwrap();
        let listed: Vec<&str> =
            letters.iter().map(|letter| letter["event_id"].as_str().unwrap()).collect();
        assert_eq!(listed, ids);
    }
    assert_eq!(queues.take_dead_letters().await, ids.len());
}

#[tokio::test]
async fn no_dead_letters_are_no_failure() {
    let queues = Queues::start().await;
    let list = queues.dlq(&["list", "test"]).await;
    assert_eq!((list.code, list.stdout.as_str()), (Some(0), "no dead letters\n"));
    let list = queues.dlq(&["list", "test", "--json"]).await;
    assert_eq!((list.code, list.stdout.as_str()), (Some(0), "[]\n"));
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_said() {
    let queues = Queues::start().await;
    for number in 10..25 {
        let id = format!("event-{number}");
        queues.add_moved_by_sqs(Event::new("order-7", &id, number)).await;
    }
    let list = queues.dlq(&["list", "test", "--json"]).await;
    let letters: Vec<Value> = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(letters.len(), 10);
    assert!(list.stderr.contains("looked at 10 of about 15 dead letters"), "{}", list.stderr);
}
