//! What is not seen is not taken for absent, what was asked for is not said to be done when something
//! stayed behind, and what was begun is told.

use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;

use crate::support::{Done, Event, Fault, Gate, Queues};

/// Six dead letters of six groups, four of which somebody else looks at.
async fn four_of_six_hidden() -> Queues {
    let queues = Queues::start().await;
    for (sequence, group) in (1..).zip(["a", "b", "c", "d", "e", "f"]) {
        queues.add_rejected(Event::new(group, &format!("{group}-1"), sequence)).await;
    }
    queues.hide(4).await;
    queues
}

#[tokio::test]
async fn whoever_looks_says_what_is_hidden_and_does_not_end_well() {
    let queues = four_of_six_hidden().await;
    let file = queues.file("export.jsonl");
    for command in [&["list", "test"][..], &["stats", "test"], &["export", "test", &file]] {
        let done = queues.dlq(command).await;
        assert_eq!(done.code, Some(1), "{command:?}: {}", done.stdout);
        let said = "looked at 2 of about 6 dead letters: 4 are hidden";
        assert!(done.stderr.contains(said), "{command:?}: {}", done.stderr);
    }
    let shown = queues.dlq(&["show", "test", "zzz"]).await;
    assert!(shown.stderr.contains("4 are hidden"), "it may be one of those: {}", shown.stderr);
    let dropped = queues.dlq(&["drop", "test", "--all", "--why", "r", "--dry-run"]).await;
    assert_eq!(dropped.code, Some(1), "{}", dropped.stdout);
}

#[tokio::test]
async fn nothing_is_said_to_be_absent_when_all_are_hidden() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    queues.hide(1).await;
    let done = queues.dlq(&["list", "test"]).await;
    assert_eq!(
        (done.code, done.stdout.trim()),
        (Some(1), "none of 1 dead letter could be looked at")
    );
    let done = queues.dlq(&["redrive", "test", "--all", "--wait", "1s"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
}

#[tokio::test]
async fn nothing_is_put_back_that_may_be_there_and_hidden() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    let file = queues.file("all.jsonl");
    assert_eq!(queues.dlq(&["export", "test", &file]).await.code, Some(0));
    queues.hide(1).await;
    let done = queues.dlq(&["import", "test", &file]).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stderr.contains("would be there twice"), "{}", done.stderr);
}

#[tokio::test]
async fn now_sends_what_is_shown_names_what_that_costs_and_does_not_end_well() {
    let queues = four_of_six_hidden().await;
    let done = queues.dlq(&["redrive", "test", "--all", "--now"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stdout.ends_with("sent 2 events\n"), "{}", done.stdout);
    assert!(done.stderr.contains("an earlier event of a key"), "{}", done.stderr);
}

/// No clock tells that it failed again: only that it was sent.
#[tokio::test]
async fn what_fails_again_at_once_is_not_sent_twice() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    queues.add_rejected(Event::new("b", "b-1", 2)).await;
    let gate = Arc::<Gate>::default();
    let ahead = "Fri, 31 Dec 2100 00:00:00 GMT";
    queues.set_fault(Fault::HoldAndDate("DeleteMessage", Arc::clone(&gate), ahead));
    let redrive = queues.start_dlq(&["redrive", "test", "--all"]);
    gate.reached.notified().await;
    queues.add_rejected(Event::new("a", "a-1", 3)).await;
    queues.set_fault(Fault::None);
    gate.open.notify_one();
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.ends_with("sent 2 events\n"), "{}", done.stdout);
    assert_eq!(queues.take_dead_letters().await, 1);
}

#[tokio::test]
async fn what_has_died_since_it_began_is_not_for_this_run() {
    let queues = Queues::start().await;
    for sequence in 1..=3 {
        queues.add_rejected(Event::new("a", &format!("a-{sequence}"), sequence)).await;
    }
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("DeleteMessage", Arc::clone(&gate)));
    let redrive = queues.start_dlq(&["redrive", "test", "--all"]);
    gate.reached.notified().await;
    // By the queue's clock: this machine's stays.
    queues.advance(std::time::Duration::from_secs(2));
    queues.add_rejected(Event::new("a", "a-9", 9)).await;
    queues.set_fault(Fault::None);
    gate.open.notify_one();
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert!(done.stdout.ends_with("sent 3 events\n"), "{}", done.stdout);
    assert_eq!(queues.take_dead_letters().await, 1, "{}", done.stderr);
}

#[tokio::test]
async fn of_a_closed_set_only_what_is_in_it_is_taken() {
    let queues = four_of_six_hidden().await;
    let done = queues.dlq(&["redrive", "test", "--class", "fixed in 4.3"]).await;
    assert_eq!(done.code, Some(2), "{}", done.stdout);
    assert!(done.stderr.contains("gave_up") && done.stderr.contains("receive_count"));
    let done = queues.dlq(&["redrive", "test", "--route", "nope", "--now"]).await;
    assert_eq!(done.code, Some(2), "{}", done.stdout);
    assert!(done.stderr.contains("no route \"nope\"; it has sss"), "{}", done.stderr);
}

#[tokio::test]
async fn an_event_is_named_by_the_beginning_of_its_id() {
    let queues = Queues::start().await;
    for (sequence, id) in [(1, "4f6f-1"), (2, "4f6f-2"), (3, "91ab")] {
        queues.add_rejected(Event::new("a", id, sequence)).await;
    }
    let both = queues.dlq(&["redrive", "test", "4f"]).await;
    assert_eq!(both.code, Some(2), "{}", both.stdout);
    assert!(both.stderr.contains("4f6f-1, 4f6f-2"), "{}", both.stderr);
    let shown = queues.dlq(&["show", "test", "91"]).await;
    assert!(shown.stdout.contains("91ab"), "{}", shown.stderr);
    let sent = queues.dlq(&["redrive", "test", "9", "4f6f-1"]).await;
    assert_eq!((sent.code, sent.stdout.lines().last()), (Some(0), Some("sent 2 events")));
}

#[tokio::test]
async fn a_selection_is_dropped_and_shown_before() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    queues.add_moved_by_sqs(Event::new("b", "b-1", 2)).await;
    let drop = ["drop", "test", "--class", "rejected", "--why", "forged"];
    let plan = queues.dlq(&[&drop[..], &["--dry-run"]].concat()).await;
    assert_eq!(plan.stdout, "  a-1\nwould drop 1 event; nothing was changed\n", "{}", plan.stderr);
    assert_eq!(queues.audit().await, []);
    let done = queues.dlq(&[&drop[..], &["--yes", "--export", "-"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("\"event_id\":\"a-1\""), "{}", done.stdout);
    assert_eq!(queues.take_dead_letters().await, 1);
}

#[tokio::test]
async fn a_file_can_come_and_go_by_a_pipe() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    let exported = queues.dlq(&["export", "test", "-"]).await;
    assert_eq!(exported.stdout.lines().count(), 1, "{}", exported.stderr);
    assert!(exported.stderr.contains("1 dead letter written to -"), "{}", exported.stderr);
    assert_eq!(queues.take_dead_letters().await, 1);
    let mut import =
        queues.command(&["import", "test", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = import.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, exported.stdout.as_bytes()).await.unwrap();
    drop(stdin);
    let done: Done = import.wait_with_output().await.unwrap().into();
    assert_eq!(done.stdout, "put back 1 dead letter; already there: 0\n", "{}", done.stderr);
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_nothing_hidden() {
    let queues = Queues::start().await;
    for sequence in 1..=200 {
        let group = format!("a-rather-long-group-{sequence}");
        queues.add_rejected(Event::new(&group, &format!("{group}-event"), sequence)).await;
    }
    let mut plan = queues.start_dlq(&["redrive", "test", "--all", "--dry-run"]);
    drop(plan.stdout.take());
    let done: Done = plan.wait_with_output().await.unwrap().into();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    assert_eq!(queues.take_dead_letters().await, 200);
}

#[tokio::test]
async fn each_signal_ends_it_in_order_and_a_second_one_at_once() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let queues = Queues::start().await;
        queues.add_rejected(Event::new("a", "a-1", 1)).await;
        let file = queues.file("all.jsonl");
        let exported = queues.dlq(&["export", "test", &file]).await;
        assert_eq!(exported.code, Some(0), "{}", exported.stderr);
        let lines = std::fs::read_to_string(&file).unwrap();
        let many: String = (0..50)
            .map(|n| {
                lines
                    .replace("a-1", &format!("b-{n}"))
                    .replace("message_id\":\"", &format!("message_id\":\"{n}"))
            })
            .collect();
        std::fs::write(&file, many).unwrap();
        let gate = Arc::<Gate>::default();
        queues.set_fault(Fault::Hold("SendMessage", Arc::clone(&gate)));
        // Who runs the tests by `nohup` has made HUP ignored for all that they start.
        let import = ["import", "test", &file];
        let mut import = queues.by(&["env", "--default-signal=HUP"], &import).spawn().unwrap();
        gate.reached.notified().await;
        let pid = import.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
        let mut stderr = import.stderr.take().unwrap();
        let mut said = String::new();
        while !said.contains("stopping") {
            let mut piece = [0; 256];
            let read = stderr.read(&mut piece).await.unwrap();
            assert!(read > 0, "{signal:?}: {said}");
            said.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        if signal == Signal::TERM {
            kill_process(pid.unwrap(), signal).unwrap();
            assert_eq!(import.wait().await.unwrap().code(), Some(130), "at once");
            continue;
        }
        queues.set_fault(Fault::None);
        gate.open.notify_one();
        assert_eq!(import.wait().await.unwrap().code(), Some(130), "{signal:?}");
        let audit = queues.audit_lines().await;
        let last = audit.last().unwrap();
        assert_eq!((&last["action"], &last["what"]["imported"]), (&"dlq import".into(), &1.into()));
    }
}

/// As `nohup` does.
#[tokio::test]
async fn who_is_not_to_hear_a_hangup_goes_on() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    queues.add_rejected(Event::new("b", "b-1", 2)).await;
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("DeleteMessage", Arc::clone(&gate)));
    let deaf = ["env", "--ignore-signal=HUP"];
    let mut redrive = queues.by(&deaf, &["redrive", "test", "--all"]).spawn().unwrap();
    gate.reached.notified().await;
    let pid = redrive.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::HUP).unwrap();
    queues.set_fault(Fault::None);
    gate.open.notify_one();
    assert_eq!(redrive.wait().await.unwrap().code(), Some(0));
    assert_eq!(queues.take_dead_letters().await, 0);
}

#[tokio::test]
async fn nothing_is_sent_before_what_somebody_has_begun_to_look_at_meanwhile() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("a", "a-1", 1)).await;
    queues.add_rejected(Event::new("a", "a-2", 2)).await;
    let gate = Arc::<Gate>::default();
    queues.set_fault(Fault::Hold("ReceiveMessage", Arc::clone(&gate)));
    let redrive = queues.start_dlq(&["redrive", "test", "--all", "--wait", "1s"]);
    gate.reached.notified().await;
    queues.set_fault(Fault::None);
    // The earlier one.
    queues.hide(1).await;
    gate.open.notify_one();
    let done: Done = redrive.wait_with_output().await.unwrap().into();
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{}", done.stderr);
    assert!(done.stderr.contains("nothing was sent"), "{}", done.stderr);
    assert_eq!(queues.take_webhooks().await, []);
}
