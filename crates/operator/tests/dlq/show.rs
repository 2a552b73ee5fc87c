//! `dlq show`

use serde_json::Value;

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
async fn it_shows_the_attempts_that_the_log_knows() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;
    let line = |at: &str, message: &str, status: u16, attempt: u32| {
        let more = if message == "retry" { ",\"retry_in_ms\":2000" } else { "" };
        format!(
            "{{\"timestamp\":\"2026-11-23T10:00:{at}Z\",\"message\":\"{message}\",\"event_id\":\
             \"event-1\",\"destination\":\"sss\",\"status\":{status},\"latency_ms\":7,\"attempt\":\
             {attempt}{more}}}"
        )
    };
    let of_another = line("01.000", "retry", 503, 1).replace("event-1", "event-2");
    queues.write_log(&[
        line("00.000", "retry", 503, 1),
        of_another,
        line("02.000", "rejected", 422, 2),
    ]);
    let shown = queues.dlq(&["show", "test", "event-1"]).await.stdout;
    let (_, history) = shown.split_once("\nhistory\n").unwrap();
    let lines: Vec<&str> = history.lines().take_while(|line| !line.is_empty()).collect();
    let expected = [
        "2026-11-23 10:00:00.000  retry          sss answered 503 in 7 ms, attempt 1; again in 2 s",
        "2026-11-23 10:00:02.000  rejected       sss answered 422 in 7 ms, attempt 2",
    ];
    assert_eq!(lines, expected);
    let json = queues.dlq(&["show", "test", "event-1", "--json"]).await.stdout;
    let letter: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(letter["history"][1]["line"]["status"], 422);
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
