//! Signals at a question and in an editor: 130, nothing is changed, and the audit log tells of nothing.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;

use crate::support::{Event, Queues};

/// The program that was started by a program.
async fn child_of(pid: u32) -> Pid {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        if let Some(child) = children.split_whitespace().next() {
            return Pid::from_raw(child.parse().unwrap()).unwrap();
        }
        assert!(Instant::now() < limit, "no program was started");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn at_the_question_of_a_drop_a_signal_ends_it_and_nothing_is_changed() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let queues = Queues::start().await;
        queues.add_rejected(Event::new("a", "a-1", 1)).await;
        let drop = queues.command(&["drop", "test", "--all", "--why", "r"]);
        let drop = drop.as_std();
        let words = std::iter::once(drop.get_program()).chain(drop.get_args());
        let words =
            words.map(|word| shlex::try_quote(word.to_str().unwrap()).unwrap().into_owned());
        // Who runs the tests by `nohup` has made HUP ignored for all that they start.
        let words = words.collect::<Vec<_>>().join(" ");
        let command = format!("exec env --default-signal=HUP {words}");
        // It gives a terminal to ask at, and its exit code is the command's.
        let mut script = tokio::process::Command::new("script");
        script.args(["-qefc", &command, "/dev/null"]);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut script = script.kill_on_drop(true).spawn().unwrap();
        let (mut said, mut out) = (String::new(), script.stdout.take().unwrap());
        while !said.contains("[y/N]") {
            let mut piece = [0; 256];
            let read = out.read(&mut piece).await.unwrap();
            assert!(read > 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        kill_process(child_of(script.id().unwrap()).await, signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).await.unwrap();
        assert_eq!(script.wait().await.unwrap().code(), Some(130), "{signal:?}: {said}{rest}");
        assert_eq!(queues.audit_lines().await.len(), 0, "nothing was begun");
        assert_eq!(queues.take_dead_letters().await, 1, "and it is shown again at once");
    }
}

#[tokio::test]
async fn a_signal_in_the_editor_ends_an_edit_and_keeps_what_was_typed() {
    for signal in ["TERM", "HUP"] {
        let queues = Queues::start().await;
        queues.add_rejected(Event::new("a", "a-1", 1)).await;
        let editor = format!("echo '{{\"new\":1}}' > \"$1\"; kill -{signal} $PPID");
        let edit = ["edit", "test", "a-1", "--why", "r"];
        let done = queues.dlq_with_editor(&editor, &edit).await;
        // Who runs the tests by `nohup` has made HUP ignored for all that they start.
        if signal == "HUP" && done.code == Some(0) {
            continue;
        }
        assert_eq!(done.code, Some(130), "{signal}: {}", done.stderr);
        assert!(done.stderr.contains("what you typed is in"), "{}", done.stderr);
        assert_eq!(queues.audit_lines().await.len(), 0, "nothing was begun");
        assert_eq!(queues.take_dead_letters().await, 1);
    }
}
