//! Choosing dead letters: `list`, `stats` and `redrive` by route, group, reason, time and text.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Event, Queues, Waiting};

async fn three() -> Queues {
    let queues = Queues::start().await;
    let event = Event::new("order-7", "event-1", 1).with_body("{\"顧客\":\"株式会社\"}");
    queues.add_rejected(event).await;
    queues.add_rejected(Event::new("order-8", "event-2", 2)).await;
    queues.add_moved_by_sqs(Event::new("order-9", "event-3", 3)).await;
    queues
}

async fn listed(queues: &Queues, selection: &[&str]) -> Vec<String> {
    let arguments = [&["list", "test", "--json"], selection].concat();
    let done = queues.dlq(&arguments).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let letters: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
    letters.iter().map(|letter| letter["event_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_condition_narrows_the_list() {
    let queues = three().await;
    assert_eq!(listed(&queues, &["--group", "order-8"]).await, ["event-2"]);
    assert_eq!(listed(&queues, &["--class", "receive_count"]).await, ["event-3"]);
    assert_eq!(listed(&queues, &["--grep", "株式会社"]).await, ["event-1"]);
    assert_eq!(listed(&queues, &["--grep", "unknown workflow"]).await, ["event-1", "event-2"]);
    assert_eq!(listed(&queues, &["--route", "sss", "--since", "1h"]).await.len(), 3);
    assert_eq!(listed(&queues, &["--until", "1h"]).await, [""; 0]);
    assert_eq!(listed(&queues, &["--limit", "2"]).await, ["event-1", "event-2"]);
    let table = queues.dlq(&["list", "test", "--limit", "1"]).await.stdout;
    assert!(table.ends_with("1 of 3 dead letters\n"), "{table}");
}

#[tokio::test]
async fn a_time_that_is_none_is_refused() {
    let queues = Queues::start().await;
    let done = queues.dlq(&["list", "test", "--since", "yesterday"]).await;
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("2h for two hours ago"), "{}", done.stderr);
}

#[tokio::test]
async fn they_are_counted_by_route_reason_and_hour() {
    let queues = three().await;
    let done = queues.dlq(&["stats", "test", "--json"]).await;
    let mut stats: Value = serde_json::from_str(&done.stdout).unwrap();
    for count in stats["counts"].as_array_mut().unwrap() {
        let hour = count["hour"].take();
        assert!(hour.as_str().is_some_and(|hour| hour.ends_with(":00:00Z")), "{hour}");
    }
    let counts = json!([
        { "route": "sss", "reason": "receive_count", "hour": null, "count": 1 },
        { "route": "sss", "reason": "rejected", "hour": null, "count": 2 },
    ]);
    assert_eq!(stats, json!({ "total": 3, "unseen": 0, "counts": counts }));
    assert!(queues.dlq(&["stats", "test"]).await.stdout.ends_with("3 dead letters\n"));
}

#[tokio::test]
async fn only_the_selected_go_back() {
    let queues = three().await;
    let done = queues.dlq(&["redrive", "test", "--class", "rejected"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let sent: Vec<Waiting> = queues.take_webhooks().await;
    let ids: Vec<&str> = sent.iter().map(|waiting| waiting.event_id.as_str()).collect();
    assert_eq!(ids, ["event-1", "event-2"]);
    assert_eq!(listed(&queues, &[]).await, ["event-3"]);
    let begun_and_ended = ["dlq redrive"; 2].map(|it| (it.to_owned(), "-".to_owned()));
    assert_eq!(queues.audit().await, begun_and_ended);
}

#[tokio::test]
async fn what_is_searched_for_is_not_in_the_audit_log() {
    let queues = three().await;
    assert_eq!(queues.dlq(&["redrive", "test", "--grep", "株式会社"]).await.code, Some(0));
    let log = queues.dlq(&["log", "test", "--json"]).await.stdout;
    assert!(log.contains("\"grep\":true") && !log.contains("株式会社"), "{log}");
}

#[tokio::test]
async fn they_go_back_no_faster_than_is_said() {
    let queues = three().await;
    let start = Instant::now();
    let done = queues.dlq(&["redrive", "test", "--all", "--rate", "2"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(start.elapsed() >= Duration::from_secs(1), "the third comes a second after the first");
    assert_eq!(queues.take_webhooks().await.len(), 3);
}

/// How much memory it takes to send `letters` dead letters of 200 kB again, in kilobytes.
async fn peak_kilobytes(letters: usize) -> u64 {
    let queues = Queues::start().await;
    let body = format!("\"{}\"", "x".repeat(200_000));
    for n in 0..letters {
        let event = Event::new(&format!("g-{}", n % 7), &format!("e-{n}"), n as u64);
        queues.add_rejected(event.with_body(&body)).await;
    }
    let redrive = queues.start_dlq(&["redrive", "test", "--all", "--json"]);
    let peak = queues.peak_kilobytes(redrive, "SendMessage", letters).await;
    assert_eq!(queues.take_webhooks().await.len(), letters);
    peak
}

/// Bodies are not kept in memory, so many large ones can be looked at and sent again.
#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_bodies() {
    let (few, many) = (peak_kilobytes(20).await, peak_kilobytes(140).await);
    assert!(many < few + 8_000, "24 MB of bodies more took {few} and then {many} kB");
}
