//! `dlq redrive`

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::{Done, Event, Fault, Gate, Queues, Waiting};

/// Longer than the operator hides what it looks at, shorter than SQS recognises a repeat.
const UNTIL_SHOWN_AGAIN: Duration = Duration::from_secs(121);

/// Group and event id of each, in order.
fn order(webhooks: &[Waiting]) -> Vec<(&str, &str)> {
    webhooks.iter().map(|waiting| (waiting.group.as_str(), waiting.event_id.as_str())).collect()
}

/// Dead letters of two groups that did not die in their order.
async fn two_groups() -> Queues {
    let queues = Queues::start().await;
    for (group, id, sequence) in
        [("a", "a-9", 9), ("b", "b-2", 2), ("a", "a-10", 10), ("a", "a-1", 1), ("b", "b-3", 3)]
    {
        queues.add_rejected(Event::new(group, id, sequence)).await;
    }
    queues
}

const IN_ORDER: [(&str, &str); 5] =
    [("a", "a-1"), ("a", "a-9"), ("a", "a-10"), ("b", "b-2"), ("b", "b-3")];

#[tokio::test]
async fn each_group_goes_back_in_the_order_of_the_webhook_queue() {
    let queues = two_groups().await;
    let done = queues.dlq(&["redrive", "test", "--all"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.ends_with("sent 5 events\n"), "{}", done.stdout);
    assert_eq!(order(&queues.take_webhooks().await), IN_ORDER);
    assert_eq!(queues.take_dead_letters().await, 0);
}

#[tokio::test]
async fn an_event_comes_back_as_it_was() {
    let queues = Queues::start().await;
    let mut event = Event::new("a", "a-1", 1).with_body(" the provider's bytes ");
    // With these there are ten attributes: one has to make room for the failure record.
    for name in ["1", "2", "3", "4", "5", "6"] {
        event = event.with_attribute(name, "of the sender");
    }
    queues.add_rejected(event).await;
    assert_eq!(queues.dlq(&["redrive", "test", "a-1"]).await.code, Some(0));
    let attributes =
        ["1", "2", "3", "4", "5", "6", "accepted_at", "event_id", "header.x-workflow-id", "route"];
    let expected = Waiting {
        group: "a".to_owned(),
        event_id: "a-1".to_owned(),
        body: " the provider's bytes ".to_owned(),
        attributes: attributes.map(str::to_owned).into(),
        token: None,
    };
    assert_eq!(queues.take_webhooks().await, [expected]);
}

#[tokio::test]
async fn only_the_chosen_ones_go_back() {
    let queues = two_groups().await;
    let done = queues.dlq(&["redrive", "test", "b-3", "a-10", "a-1", "--json"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let passed_over = serde_json::json!([
        { "group": "a", "count": 1, "event_ids": ["a-9"] },
        { "group": "b", "count": 1, "event_ids": ["b-2"] },
    ]);
    let expected = serde_json::json!({
        "sent": ["a-1", "a-10", "b-3"], "failed": [], "passed_over": passed_over,
        "groups_passed_over": 2,
    });
    assert_eq!(report, expected);
    assert_eq!(
        done.stderr,
        "note: group a: 1 older dead letter stays behind what is sent (a-9)\n\
         note: group b: 1 older dead letter stays behind what is sent (b-2)\n"
    );
    assert_eq!(order(&queues.take_webhooks().await), [("a", "a-1"), ("a", "a-10"), ("b", "b-3")]);
    assert_eq!(queues.take_dead_letters().await, 2);
}

#[tokio::test]
async fn an_unknown_id_is_a_failure_and_the_others_are_sent() {
    let queues = two_groups().await;
    let done = queues.dlq(&["redrive", "test", "a-1", "a-2"]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("no dead letter has event id \"a-2\""), "{}", done.stderr);
    assert_eq!(order(&queues.take_webhooks().await), [("a", "a-1")]);
}

#[tokio::test]
async fn a_dry_run_shows_the_order_and_changes_nothing() {
    let queues = two_groups().await;
    let done = queues.dlq(&["redrive", "test", "--all", "--dry-run"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    insta::assert_snapshot!(done.stdout);
    assert_eq!(order(&queues.take_webhooks().await), []);
    assert_eq!(queues.take_dead_letters().await, 5);
}

#[tokio::test]
async fn of_what_sqs_moved_all_go_back_though_ten_are_seen_at_a_time() {
    let queues = Queues::start().await;
    let ids: Vec<String> = (10..35).map(|number| format!("a-{number}")).collect();
    for (sequence, id) in (1..).zip(&ids) {
        queues.add_moved_by_sqs(Event::new("a", id, sequence)).await;
    }
    let done = queues.dlq(&["redrive", "test", "--all"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let expected: Vec<(&str, &str)> = ids.iter().map(|id| ("a", id.as_str())).collect();
    assert_eq!(order(&queues.take_webhooks().await), expected);
    assert_eq!(queues.take_dead_letters().await, 0);
}

#[tokio::test]
async fn what_cannot_be_sent_holds_back_its_group_and_no_other() {
    let queues = two_groups().await;
    queues.set_fault(Fault::RefuseGroup("a"));
    let done = queues.dlq(&["redrive", "test", "--all"]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.starts_with("error: a-1 stays a dead letter"), "{}", done.stderr);
    assert_eq!(order(&queues.take_webhooks().await), [("b", "b-2"), ("b", "b-3")]);
    assert_eq!(queues.take_dead_letters().await, 3, "they are shown again at once");
}

/// Kills a redrive when it asks for `operation`, before the queue hears of it.
async fn killed_at(queues: &Queues, operation: &'static str) {
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold(operation, Arc::clone(&gate)));
    let mut redrive = queues.start_dlq(&["redrive", "test", "--all"]);
    gate.reached.notified().await;
    redrive.kill().await.unwrap();
    queues.set_fault(Fault::None);
}

#[tokio::test]
async fn killed_between_copy_and_delete_and_run_again_it_loses_and_doubles_nothing() {
    let queues = two_groups().await;
    killed_at(&queues, "DeleteMessage").await;
    let states = |audit: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
        audit.into_iter().map(|line| line["what"]["state"].clone()).collect()
    };
    assert_eq!(states(queues.audit_lines().await), ["started"], "whoever looks knows of it");
    queues.advance(UNTIL_SHOWN_AGAIN);
    let noted = queues.audit().await;
    assert_eq!(noted, [("dlq redrive".to_owned(), "-".to_owned())], "though it was killed");
    let done = queues.dlq(&["redrive", "test", "--all", "--why", "SSS 4.2"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let with_reason = ("dlq redrive".to_owned(), "SSS 4.2".to_owned());
    let begun_and_ended = [with_reason.clone(), with_reason];
    assert_eq!(queues.audit().await[1..], begun_and_ended);
    assert!(done.stdout.ends_with("sent 5 events\n"), "the first is sent again: {}", done.stdout);
    assert_eq!(states(queues.audit_lines().await), ["started", "started", "ended"]);
    assert_eq!(order(&queues.take_webhooks().await), IN_ORDER, "and recognised");
    assert_eq!(queues.take_dead_letters().await, 0);
}

/// Those that the killed one holds are not there to be received, and the later ones of their groups are.
#[tokio::test]
async fn started_again_at_once_it_sends_nothing_before_those_that_are_hidden() {
    let queues = two_groups().await;
    killed_at(&queues, "SendMessage").await;
    let refused = queues.dlq(&["redrive", "test", "--all", "--wait", "1s"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("the lease expires in "), "{}", refused.stderr);
    queues.end_lease().await;
    queues.add_rejected(Event::new("a", "a-11", 11)).await;
    let done = queues.dlq(&["redrive", "test", "--all", "--wait", "1s"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    let said = "error: 5 of 6 dead letters are hidden still, so nothing was sent";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    assert_eq!(order(&queues.take_webhooks().await), []);
    let plan = queues.dlq(&["redrive", "test", "--all", "--dry-run", "--json"]).await;
    let said = "note: looked at 1 of about 6 dead letters: 5 are hidden";
    assert!(plan.stderr.contains(said), "{}", plan.stderr);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!((&plan["hidden"], plan["would_send"].as_array().unwrap().len()), (&5.into(), 1));

    let mut redrive = queues.start_dlq(&["redrive", "test", "--all"]);
    let mut said = BufReader::new(redrive.stderr.take().unwrap()).lines();
    let waits = "waiting for 5 of 6 dead letters to be shown again: somebody looks at them";
    assert_eq!(said.next_line().await.unwrap().as_deref(), Some(waits));
    queues.advance(UNTIL_SHOWN_AGAIN);
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let sent = order(&queues.take_webhooks().await).len();
    assert_eq!(sent, 6, "{}", done.stdout);
    let a: Vec<&str> = done.stdout.lines().filter(|line| line.ends_with("to group a")).collect();
    assert_eq!(a.last(), Some(&"sent a-11 to group a"), "{}", done.stdout);
}

#[tokio::test]
async fn killed_before_the_copy_it_has_changed_nothing() {
    let queues = two_groups().await;
    killed_at(&queues, "SendMessage").await;
    assert_eq!(order(&queues.take_webhooks().await), []);
    queues.advance(UNTIL_SHOWN_AGAIN);
    assert_eq!(queues.take_dead_letters().await, 5);
}

/// What Ctrl-C is answered with.
const STOPPING: &str =
    "stopping, once what is under way has ended; a second signal ends it at once";

#[tokio::test]
async fn interrupted_it_ends_between_two_events() {
    let queues = two_groups().await;
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("DeleteMessage", Arc::clone(&gate)));
    let mut redrive = queues.start_dlq(&["redrive", "test", "--all"]);
    gate.reached.notified().await;
    let pid = redrive.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::INT).unwrap();
    // A signal is not there at once.
    let mut said = BufReader::new(redrive.stderr.take().unwrap()).lines();
    while said.next_line().await.unwrap().expect("stopping") != STOPPING {}
    queues.set_fault(Fault::None);
    gate.open.notify_one();
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert_eq!(done.stdout, "sent a-1 to group a\nsent 1 event\n");
    let noted = queues.audit_lines().await.pop().unwrap();
    assert_eq!(noted["what"]["result"], "interrupted");
    assert_eq!(order(&queues.take_webhooks().await), [("a", "a-1")]);
    assert_eq!(queues.take_dead_letters().await, 4, "they are shown again at once");
}

#[tokio::test]
async fn the_audit_log_says_why_and_what_was_chosen_and_sent() {
    let queues = two_groups().await;
    let redrive = ["redrive", "test", "--group", "a", "--why", "不具合を修正", "--rate", "1000"];
    let done = queues.dlq(&redrive).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let audit = queues.audit_lines().await;
    let [started, ended] = audit.as_slice() else { panic!("{audit:?}") };
    for line in [started, ended] {
        assert_eq!(line["reason"], "不具合を修正");
        assert_eq!(line["what"]["selection"]["group"], "a");
        assert_eq!(line["what"]["started_at"], started["what"]["started_at"]);
    }
    assert_eq!(
        (&started["what"]["state"], &started["what"]["chosen"]),
        (&"started".into(), &3.into())
    );
    assert_eq!((&ended["what"]["state"], &ended["what"]["sent"]), (&"ended".into(), &3.into()));
}

#[tokio::test]
async fn a_redrive_that_takes_longer_than_they_are_hidden_holds_them() {
    let queues = two_groups().await;
    for sequence in 11..14 {
        queues.add_rejected(Event::new("c", &format!("c-{sequence}"), sequence)).await;
    }
    // Eight take seven seconds.
    let redrive = ["redrive", "test", "--all", "--rate", "1", "--hold-seconds", "4", "--json"];
    let redrive = queues.start_dlq(&redrive);
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // On a busy machine it may say more than once that it waits, and nothing else.
    let mut said = done.stderr.lines();
    assert_eq!(said.next(), Some("waiting for 8 to be sent"));
    assert!(said.all(|line| line.starts_with("waiting for ")), "{}", done.stderr);
    let sent: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(sent["sent"].as_array().map(Vec::len), Some(8));
    assert_eq!(order(&queues.take_webhooks().await)[..5], IN_ORDER);
    assert_eq!(queues.take_dead_letters().await, 0);
}

#[tokio::test]
async fn what_sqs_shows_to_others_meanwhile_is_not_overtaken() {
    const IN_ORDER: [(&str, &str); 7] = [
        ("a", "a-1"),
        ("a", "a-2"),
        ("a", "a-3"),
        ("a", "a-4"),
        ("b", "b-5"),
        ("b", "b-6"),
        ("b", "b-7"),
    ];
    let queues = Queues::start().await;
    for (sequence, (group, id)) in (1..).zip(IN_ORDER) {
        queues.add_rejected(Event::new(group, id, sequence)).await;
    }
    // After three seconds, b-6.
    queues.set_fault(Fault::LoseLastButOne);
    let redrive = ["redrive", "test", "--all", "--rate", "1", "--hold-seconds", "6"];
    let mut redrive = queues.start_dlq(&redrive);
    let mut stderr = redrive.stderr.take().unwrap();
    let mut said = String::new();
    while !said.contains("looking again") {
        let mut piece = [0; 256];
        let read = stderr.read(&mut piece).await.unwrap();
        assert!(read > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    queues.set_fault(Fault::None);
    // Whatever it says until then; it is not to wait for its reader.
    tokio::spawn(async move { while stderr.read(&mut [0; 256]).await.is_ok_and(|it| it > 0) {} });
    assert_eq!(redrive.wait().await.unwrap().code(), Some(0));
    assert_eq!(order(&queues.take_webhooks().await), IN_ORDER);
}

#[tokio::test]
async fn a_redrive_that_takes_longer_than_sqs_holds_them_looks_again_and_goes_on() {
    let queues = two_groups().await;
    let hold = ["--hold-seconds", "2", "--hold-most-seconds", "5"];
    let redrive = [&["redrive", "test", "--all", "--rate", "1"], &hold[..]].concat();
    let done = queues.dlq(&redrive).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("12 hours at most; looking again"), "{}", done.stderr);
    assert!(done.stdout.ends_with("sent 5 events\n"), "{}", done.stdout);
    assert_eq!(order(&queues.take_webhooks().await), IN_ORDER);
    assert_eq!(queues.take_dead_letters().await, 0);
    let sent: Vec<_> =
        queues.audit_lines().await.iter().map(|line| line["what"]["sent"].clone()).collect();
    assert_eq!(sent, [serde_json::Value::Null, 5.into()], "it is one redrive");
}

#[tokio::test]
async fn who_is_named_whole_goes_back_without_those_whose_ids_begin_like_it() {
    let queues = Queues::start().await;
    for (sequence, id) in (1..).zip(["a-1", "a-10", "a-11"]) {
        queues.add_rejected(Event::new("a", id, sequence)).await;
    }
    let done = queues.dlq(&["redrive", "test", "a-1"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(order(&queues.take_webhooks().await), [("a", "a-1")]);
    assert_eq!(queues.take_dead_letters().await, 2);
}
