//! How a redrive ends, and what is noted of it: not better than it was.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Done, Event, Fault, Gate, Queues};

/// Dead letters of three keys.
async fn three() -> Queues {
    let queues = Queues::start().await;
    for (sequence, group) in (1..).zip(["a", "b", "c"]) {
        queues.add_rejected(Event::new(group, &format!("{group}-1"), sequence)).await;
    }
    queues
}

fn report(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout))
}

/// What the audit log has of the end of the only redrive.
async fn ended(queues: &Queues) -> Value {
    let lines = queues.audit_lines().await;
    let [_started, ended] = lines.as_slice() else { panic!("{lines:?}") };
    ended["what"].clone()
}

async fn events_waiting(queues: &Queues) -> Vec<String> {
    queues.take_webhooks().await.into_iter().map(|waiting| waiting.event_id).collect()
}

#[tokio::test]
async fn what_was_sent_and_what_failed_is_noted_once() {
    let queues = three().await;
    queues.set_fault(Fault::RefuseGroup("b"));
    let done = queues.dlq(&["redrive", "test", "--all", "--json"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(report(&done)["failed"].as_array().unwrap().len(), 1);
    let what = ended(&queues).await;
    assert_eq!((&what["result"], &what["interrupted"]), (&json!("failed"), &json!(false)));
    assert_eq!((&what["sent"], &what["failed"]), (&json!(2), &json!(1)));
    assert_eq!(what["sent_ids"], json!(["a-1", "c-1"]));

    let queues = three().await;
    let done = queues.dlq(&["redrive", "test", "--all", "--json"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let what = ended(&queues).await;
    assert_eq!((&what["result"], &what["sent"]), (&json!("done"), &json!(3)));
    assert_eq!((&what["failed"], &what["unseen"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn what_was_sent_is_told_also_when_the_next_look_fails() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("DeleteMessage", Arc::clone(&gate)));
    let redrive = queues.start_dlq(&["redrive", "test", "--all", "--json"]);
    gate.reached.notified().await;
    queues.set_fault(Fault::Refuse("ReceiveMessage"));
    gate.open.notify_one();
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(report(&done)["sent"], json!(["a-1"]));
    queues.set_fault(Fault::None);
    let what = ended(&queues).await;
    assert_eq!((&what["result"], &what["sent"]), (&json!("failed"), &json!(1)));
}

#[tokio::test]
async fn where_nothing_is_chosen_nothing_is_noted() {
    let queues = three().await;
    let done = queues.dlq(&["redrive", "test", "--group", "nobody"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "sent 0 events\n"));
    assert_eq!(queues.audit_lines().await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_route_that_is_gone_is_one_as_long_as_it_has_dead_letters() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1).with_attribute("route", "gone")).await;
    let plan = queues.dlq(&["redrive", "test", "--route", "gone", "--dry-run"]).await;
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let none = queues.dlq(&["redrive", "test", "--route", "typo", "--dry-run"]).await;
    assert_eq!(none.code, Some(2), "{}", none.stdout);
    let done = queues.dlq(&["redrive", "test", "--route", "gone"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(events_waiting(&queues).await, ["a-1"]);
}

#[tokio::test]
async fn a_plan_that_is_not_complete_does_not_end_well() {
    let queues = three().await;
    let plan = ["redrive", "test", "--dry-run"];
    assert_eq!(queues.dlq(&[&plan[..], &["a-1", "zzz"]].concat()).await.code, Some(1));
    queues.hide(2).await;
    assert_eq!(queues.dlq(&[&plan[..], &["--all"]].concat()).await.code, Some(1));
}

/// What is typed by its id is not kept waiting by what others look at, and says nothing of it.
#[tokio::test]
async fn an_event_that_is_there_waits_for_none_of_the_others() {
    let queues = three().await;
    queues.hide(2).await;
    let done = queues.dlq(&["redrive", "test", "c-1", "--wait", "1h"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert_eq!(events_waiting(&queues).await, ["c-1"]);
}

/// Somebody looks at a dead letter just when the redrive has seen that nobody does.
#[tokio::test]
async fn nothing_is_sent_before_what_is_hidden_at_the_last_moment() {
    let queues = three().await;
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("ReceiveMessage", Arc::clone(&gate)));
    let redrive = queues.start_dlq(&["redrive", "test", "--all", "--wait", "1s"]);
    gate.reached.notified().await;
    queues.set_fault(Fault::None);
    queues.hide(1).await;
    gate.open.notify_one();
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stderr.contains("1 of 3 dead letters are hidden still"), "{}", done.stderr);
    assert_eq!(events_waiting(&queues).await, [""; 0]);
}

#[tokio::test]
async fn a_group_is_said_to_be_passed_over_once_however_often_is_looked() {
    let queues = Queues::start().await;
    // SQS shows ten of a group at a time.
    for sequence in 10..35 {
        let body = if sequence % 2 == 0 { "{\"no\": 1}" } else { "{\"yes\": 1}" };
        let event = Event::new("a", &format!("a-{sequence}"), sequence).with_body(body);
        queues.add_moved_by_sqs(event).await;
    }
    // Those of the ten that are not chosen are not held, and what is behind them is hidden by nobody.
    let redrive = ["redrive", "test", "--grep", "yes", "--wait", "1s", "--json"];
    let done = queues.dlq(&redrive).await;
    let report = report(&done);
    assert_eq!(report["groups_passed_over"], 1, "{report:#}");
    assert!(report["sent"].as_array().unwrap().len() > 5, "it has looked again: {report:#}");
}

#[tokio::test]
async fn an_event_is_said_to_be_dropped_once_when_nothing_is_left_of_it() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    queues.add_rejected(Event::new("a", "a-1", 2).dead_as("again")).await;
    queues.add_rejected(Event::new("b", "b-1", 3)).await;
    let file = queues.file("dropped.jsonl");
    let drop = ["drop", "test", "--all", "--why", "r", "--yes", "--export", &file, "--json"];
    let done = queues.dlq(&drop).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(report(&done)["dropped"], json!(["a-1", "b-1"]));
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn an_export_of_a_route_that_there_is_not_is_refused() {
    let queues = three().await;
    let [none, all] = ["none.jsonl", "all.jsonl"].map(|name| queues.file(name));
    let done = queues.dlq(&["export", "test", &none, "--route", "typo"]).await;
    assert_eq!(done.code, Some(2), "{}", done.stdout);
    let done = queues.dlq(&["export", "test", &all, "--route", "sss"]).await;
    assert!(done.stdout.starts_with("3 dead letters written to "), "{}", done.stdout);
    let done = queues.dlq(&["export", "test", "-"]).await;
    assert_eq!(done.stdout.lines().count(), 3, "nothing but dead letters");
    assert!(done.stderr.contains("3 dead letters written to "), "{}", done.stderr);
}

/// The count is of before the look, and may be of what is gone.
#[tokio::test]
async fn dead_letters_that_were_taken_away_meanwhile_are_not_said_to_be_hidden() {
    let queues = three().await;
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("ReceiveMessage", Arc::clone(&gate)));
    let list = queues.start_dlq(&["list", "test"]);
    gate.reached.notified().await;
    queues.set_fault(Fault::None);
    assert_eq!(queues.take_dead_letters().await, 3);
    gate.open.notify_one();
    let done: Done = list.wait_with_output().await.unwrap().into();
    assert_eq!((done.code, done.stdout.trim()), (Some(0), "no dead letters"), "{}", done.stderr);
}

#[tokio::test]
async fn where_deliveries_are_not_logged_none_is_not_said_to_have_been_since() {
    let queues = three().await;
    let plan = ["redrive", "test", "--all", "--dry-run", "--json"];
    let logged = report(&queues.dlq(&plan).await);
    assert_eq!(logged["groups"][0]["delivered_since"], 0, "{logged:#}");
    queues.set_fault(Fault::LogsErrorsOnly);
    let not_logged = report(&queues.dlq(&plan).await);
    assert_eq!(not_logged["groups"][0]["delivered_since"], Value::Null, "{not_logged:#}");
}

#[tokio::test]
async fn where_the_log_is_not_there_a_letter_is_shown_and_what_happened_is_said_to_be_unknown() {
    let queues = three().await;
    std::fs::remove_file(queues.file("engine.log")).unwrap();
    let shown = queues.dlq(&["show", "test", "a-1"]).await;
    assert_eq!(shown.code, Some(1), "{}", shown.stdout);
    assert!(shown.stdout.contains("a-1"), "{}", shown.stdout);
    assert!(shown.stderr.contains("unknown: what "), "{}", shown.stderr);
    let shown = queues.dlq(&["show", "test", "a-1", "--json"]).await;
    assert!(!shown.stderr.contains("unknown: "), "{}", shown.stderr);
}
