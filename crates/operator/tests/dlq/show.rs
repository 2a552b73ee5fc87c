//! `dlq show`

use serde_json::{Value, json};

use crate::support::{Event, Queues};

#[tokio::test]
async fn it_shows_the_reason_the_headers_and_the_body() {
    let queues = Queues::start().await;
    let event =
        Event::new("order-7", "event-1", 10).with_body("{\"state\":\"承認\",\"lines\":[1]}");
    queues.add_rejected(event).await;

    let shown = queues.dlq(&["show", "test", "event-1"]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    let known = |line: &&str| !line.starts_with("message id") && !line.starts_with("dead since");
    insta::assert_snapshot!(shown.stdout.lines().filter(known).collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn it_tells_every_attempt_that_the_log_knows_of() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;
    let line = |at: &str, message: &str, event_id: &str, more: Value| {
        let mut line = json!({
            "timestamp": format!("2026-11-23T10:0{at}Z"), "message": message,
            "event_id": event_id, "destination": "sss",
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{line}\n")
    };
    let log = [
        line("0:00.000", "accepted", "event-1", json!({})),
        line(
            "0:01.000",
            "retry",
            "event-1",
            json!({ "attempt": 1, "error": "timeout", "latency_ms": 2_000, "retry_in_ms": 1_900 }),
        ),
        line("0:01.500", "rejected", "event-2", json!({ "attempt": 1, "status": 410 })),
        line(
            "0:04.000",
            "rejected",
            "event-1",
            json!({ "attempt": 2, "status": 422, "latency_ms": 7 }),
        ),
        line("0:04.001", "dead_lettered", "event-1", json!({ "reason": "rejected" })),
    ];
    std::fs::write(queues.file("engine.log"), log.concat()).unwrap();

    let shown = queues.dlq(&["show", "test", "event-1"]).await.stdout;
    let start = shown.find("ATTEMPT").unwrap();
    insta::assert_snapshot!(shown[start..].split("\n\n").next().unwrap());
    let shown = queues.dlq(&["show", "test", "event-1", "--json"]).await.stdout;
    let letter: Value = serde_json::from_str(&shown).unwrap();
    insta::assert_json_snapshot!(letter["history"]);
}

#[tokio::test]
async fn its_json_holds_the_body_as_it_is() {
    let queues = Queues::start().await;
    let body = "not json,\n\tbut \"text\"  ";
    queues.add_rejected(Event::new("order-7", "event-1", 10).with_body(body)).await;

    let shown = queues.dlq(&["show", "test", "event-1", "--json"]).await;
    let letter: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(letter["body"], body);
    assert_eq!(letter["headers"]["x-workflow-id"], "order-7");
    assert_eq!(letter["response"], "{\"error\":\"unknown workflow\"}");
}

#[tokio::test]
async fn what_comes_from_outside_does_not_reach_the_terminal() {
    let queues = Queues::start().await;
    // C1 controls: U+009B begins a command, as ESC [ does. SQS takes it, and no ESC.
    let event = Event::new("order-7", "event-1", 10).with_body("red: \u{9b}31m");
    queues.add_rejected(event.with_attribute("header.x-note", "\u{9b}2J")).await;

    let shown = queues.dlq(&["show", "test", "event-1"]).await;
    assert!(shown.stdout.contains("red: \u{fffd}31m"), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\u{9b}'), "{}", shown.stdout);
}

#[tokio::test]
async fn an_unknown_id_is_a_failure() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;

    let shown = queues.dlq(&["show", "test", "event-2"]).await;
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        shown.stderr,
        "error: no dead letter has event id \"event-2\"; `dlq list` shows those there are\n"
    );
    assert_eq!(queues.take_dead_letters().await, 1, "it was released");
}
