//! Each command that changes something, killed before each of its requests, and after each of them, and
//! then run again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::proxy::{Counted, Held, Moment};
use crate::site::{Done, Site, Taken, exported, files};

/// Longer than a command hides what it looks at, shorter than the queue recognises a repeat.
const UNTIL_SHOWN_AGAIN: Duration = Duration::from_secs(121);

/// More requests than any of these commands makes.
const STEPS_MAX: usize = 200;

/// What is dead before each run, in the order of each group.
const LETTERS: [(&str, &str, u64); 3] = [("a", "a-1", 1), ("a", "a-9", 9), ("b", "b-2", 2)];

async fn site() -> Site {
    let site = Site::start().await;
    // They did not die in their order.
    for (group, id, sequence) in [LETTERS[1], LETTERS[2], LETTERS[0]] {
        site.add(group, id, sequence).await;
    }
    site
}

fn ids(taken: &[Taken]) -> Vec<&str> {
    taken.iter().map(|it| it.event_id.as_str()).collect()
}

/// A command that is killed, and what has to be so once it has been run again.
struct Killed<'a, P, C> {
    command: &'a [&'a str],
    action: &'a str,
    prepare: P,
    check: C,
}

impl<P: AsyncFn(&Site), C: AsyncFn(&Site, &Done)> Killed<'_, P, C> {
    /// Kills it at each step, on a site of its own each time. Eight at once: most of the time they wait.
    async fn at_each_step(&self) {
        use Moment::{After, Before};
        for nth in (1..STEPS_MAX).step_by(4) {
            let at = |nth, moment| Box::pin(self.at(nth, moment));
            let killed = <[bool; 8]>::from(tokio::join!(
                at(nth, Before),
                at(nth, After),
                at(nth + 1, Before),
                at(nth + 1, After),
                at(nth + 2, Before),
                at(nth + 2, After),
                at(nth + 3, Before),
                at(nth + 3, After),
            ));
            if killed.contains(&false) {
                assert!(nth > 3, "{:?} asks less than four times", self.command);
                return;
            }
        }
        panic!("{:?} has no end", self.command);
    }

    /// Kills it at one step, and runs it again. Whatever the killed one has changed, the audit log tells
    /// of. Gives `false` if it has fewer steps.
    async fn at(&self, nth: usize, moment: Moment) -> bool {
        let Self { command, action, prepare, check } = self;
        let site = site().await;
        prepare(&site).await;
        let told = || {
            let of_pauses = site.audit("pause").len() + site.audit("resume").len();
            (of_pauses, site.audit(action).len())
        };
        let (before, told_before) = (site.state().await, told());
        let held = Held { counted: Counted::All, nth, moment };
        let place = format!("{command:?}, killed {moment:?} request {nth}");
        let killed = site.run_and_kill(command, held).await;
        let (after, told_after) = (site.state().await, told());
        let is_told = (before["pauses"] == after["pauses"] || told_before.0 < told_after.0)
            && (["queue", "dead", "skips", "in_flight"].iter().all(|it| before[*it] == after[*it])
                || told_before.1 < told_after.1);
        assert!(is_told, "{place}: the audit log does not tell how {before} became {after}");
        for pause in after["pauses"].as_array().unwrap() {
            let is_own = pause["name"] == "dlq redrive";
            assert!(!is_own || pause["until"] == true, "{place}: it has no end: {pause}");
        }
        let has_ended_its_pause = after["queue"] == 3 && after["pauses"] == json!([]);
        if has_ended_its_pause && !site.audit("pause").is_empty() {
            assert!(!site.audit("resume").is_empty(), "{place}: nobody knows why it delivers");
        }
        site.later(UNTIL_SHOWN_AGAIN).await;
        if killed {
            let done = site.run(command).await;
            println!("{place}: {:?} {}", done.code, done.stderr.trim());
            check(&site, &done).await;
            assert!(!site.audit(action).is_empty(), "{place}");
        }
        site.stop().await;
        killed
    }
}

async fn at_each_step(
    command: &[&str],
    action: &str,
    prepare: impl AsyncFn(&Site),
    check: impl AsyncFn(&Site, &Done),
) {
    Killed { command, action, prepare, check }.at_each_step().await;
}

async fn nothing(_site: &Site) {}

/// Each is in the queue once, in its order, and is no dead letter.
async fn all_are_sent_once(site: &Site, done: &Done) {
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(ids(&site.take_webhooks().await), ["a-1", "a-9", "b-2"]);
    assert_eq!(site.take_dead_letters().await, []);
    let last = site.audit("dlq redrive");
    let states: Vec<&Value> = last.iter().map(|line| &line["what"]["state"]).collect();
    assert!(states.contains(&&json!("started")), "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive() {
    at_each_step(&["dlq", "redrive", "test", "--all"], "dlq redrive", nothing, all_are_sent_once)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive_with_a_pause_of_its_own() {
    let command = ["dlq", "redrive", "test", "--all", "--pause-first"];
    at_each_step(&command, "dlq redrive", nothing, async |site: &Site, done: &Done| {
        all_are_sent_once(site, done).await;
        assert_eq!(site.state().await["pauses"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edit() {
    let write = async |site: &Site| {
        std::fs::write(site.files().join("body.json"), "{\"fixed\":true}").unwrap();
    };
    let command = ["dlq", "edit", "test", "a-1", "--why", "typo", "--body", "body.json"];
    at_each_step(&command, "dlq edit", write, async |site: &Site, done: &Done| {
        // The killed one may have come to its end.
        let is_gone = done.stderr.contains("no dead letter has event id \"a-1\"");
        assert!(done.code == Some(0) || is_gone, "{}", done.stderr);
        let sent = site.take_webhooks().await;
        assert_eq!(ids(&sent), ["a-1"]);
        assert_eq!(sent[0].body, "{\"fixed\":true}");
        let mut left = site.take_dead_letters().await;
        left.sort_by(|a, b| a.event_id.cmp(&b.event_id));
        assert_eq!(ids(&left), ["a-9", "b-2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drop() {
    let command = ["dlq", "drop", "test", "--class", "rejected", "--why", "forged", "--yes"];
    at_each_step(&command, "dlq drop", nothing, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(site.take_dead_letters().await, []);
        assert_eq!(site.take_webhooks().await, []);
        let kept: Vec<String> =
            files(&site.files(), ".jsonl").iter().flat_map(|file| exported(file)).collect();
        for (_, id, _) in LETTERS {
            assert!(kept.iter().any(|it| it == id), "{id} is in no file: {kept:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn export() {
    let command = ["dlq", "export", "test", "all.jsonl"];
    at_each_step(&command, "dlq export", nothing, async |site: &Site, done: &Done| {
        // What has its name is whole, and is not written over.
        let was_there = done.stderr.contains("all.jsonl");
        assert!(done.code == Some(0) || was_there, "{}", done.stderr);
        let mut kept = exported(&site.files().join("all.jsonl"));
        kept.sort();
        assert_eq!(kept, ["a-1", "a-9", "b-2"]);
        assert_eq!(site.take_dead_letters().await.len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import() {
    let take_out = async |site: &Site| {
        let done = site.run(&["dlq", "export", "test", "all.jsonl"]).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(site.take_dead_letters().await.len(), 3);
    };
    let command = ["dlq", "import", "test", "all.jsonl", "--why", "dropped by mistake"];
    at_each_step(&command, "dlq import", take_out, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let mut back = site.take_dead_letters().await;
        back.sort_by(|a, b| a.event_id.cmp(&b.event_id));
        assert_eq!(ids(&back), ["a-1", "a-9", "b-2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pause() {
    let command = ["pause", "test", "--why", "release 42"];
    at_each_step(&command, "pause", nothing, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let pauses = site.state().await["pauses"].take();
        assert_eq!(pauses.as_array().unwrap().len(), 1, "{pauses}");
        assert_eq!(
            (&pauses[0]["reason"], &pauses[0]["until"]),
            (&json!("release 42"), &json!(false))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_for_a_time() {
    let command = ["pause", "test", "--why", "release 42", "--for", "1h"];
    at_each_step(&command, "pause", nothing, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let pauses = site.state().await["pauses"].take();
        assert_eq!(pauses.as_array().unwrap().len(), 1, "{pauses}");
        assert_eq!(pauses[0]["until"], true, "it ends by itself");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume() {
    let pause = async |site: &Site| {
        let done = site.run(&["pause", "test", "--why", "release 42"]).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    };
    let command = ["resume", "test", "--no-wait"];
    at_each_step(&command, "resume", pause, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(site.state().await["pauses"], json!([]));
    })
    .await;
}

/// An event waits for its next attempt.
async fn fail(site: &Site) {
    site.post("order-7", "event-1").await;
    site.fail().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry() {
    let command = ["retry", "test", "--all", "--why", "the service is back"];
    at_each_step(&command, "retry", fail, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(ids(&site.take_webhooks().await), ["event-1"], "it can be received now");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skip() {
    let command = ["skip", "test", "event-1", "--why", "cancelled", "--no-wait"];
    at_each_step(&command, "skip", fail, async |site: &Site, done: &Done| {
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let skips = site.state().await["skips"].take();
        assert!(skips["event-1"].is_string(), "{skips}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skip_that_is_taken_back() {
    let skip = async |site: &Site| {
        fail(site).await;
        let done = site.run(&["skip", "test", "event-1", "--why", "cancelled", "--no-wait"]).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    };
    let command = ["skip", "test", "event-1", "--undo", "--why", "not cancelled"];
    at_each_step(&command, "skip --undo", skip, async |site: &Site, done: &Done| {
        // The killed one may have come to its end.
        let is_undone = done.stderr.contains("nobody asked for event \"event-1\"");
        assert!(done.code == Some(0) || is_undone, "{}", done.stderr);
        assert_eq!(site.state().await["skips"], json!({}));
    })
    .await;
}
