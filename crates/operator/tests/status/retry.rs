//! `retry`. On AWS: what the log says of a group's last receive is what reaches it; SQS is an engine's there.

use std::time::{Duration, SystemTime};

use domain::time::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::support::{Behavior, Service, Site};

/// The line about the event `event_id`, the first of `group`, that failed `seconds_ago` and is shown again
/// ten minutes later.
fn failed(seconds_ago: u64, group: &str, handles: &[String]) -> Value {
    let at = Timestamp::from(SystemTime::now() - Duration::from_secs(seconds_ago));
    json!({
        "timestamp": at.to_string(), "message": "retry", "event_id": format!("first-of-{group}"),
        "route": "sss", "group": group, "destination": "service", "sequence": "1", "attempt": 2,
        "status": 503, "retry_in_ms": 600_000, "receipt_handles": handles, "receive_count": 2,
    })
}

async fn retry(site: &Site, log: Vec<Value>, which: &[&str]) -> (Option<i32>, Value) {
    let fake = FakeCloudWatch::start(Answers { log, ..Answers::default() }).await;
    let words = [&["retry", "local", "--json"], which].concat();
    let done = site.operate_on_aws(&fake, &words).await;
    let report = serde_json::from_str(&done.stdout);
    (done.code, report.unwrap_or_else(|_| panic!("{}", done.stderr)))
}

/// An engine that delivers nothing, with these bodies in each of the groups.
async fn site(groups: &[&str], bodies: &[&str]) -> Site {
    let site = Site::start("http://127.0.0.1:9").await;
    site.set_delivery(false).await;
    for group in groups {
        for body in bodies {
            site.post("/sqs-hook", group, body).await;
        }
    }
    site
}

fn of(received: &[(String, String)]) -> (Vec<&str>, Vec<String>) {
    let bodies = received.iter().map(|(body, _)| body.as_str()).collect();
    (bodies, received.iter().map(|(_, handle)| handle.clone()).collect())
}

#[tokio::test]
async fn a_group_is_shown_again_in_order_and_handles_of_an_earlier_receive_are_named() {
    let site = site(&["order-7"], &["1", "2", "3"]).await;
    let received = site.fail_all().await;
    let (bodies, handles) = of(&received);
    assert_eq!(bodies, ["1", "2", "3"]);
    assert!(site.fail_all().await.is_empty(), "they are hidden");

    let log = vec![failed(20, "order-7", &handles)];
    let (code, report) = retry(&site, log.clone(), &["order-7"]).await;
    assert_eq!(code, Some(0), "{report:#}");
    let group = &report["groups"][0];
    assert_eq!((&group["result"], &group["messages"]), (&json!("now"), &json!(3)));
    assert_eq!(report["unknown"], json!([]));
    let again = site.fail_all().await;
    assert_eq!(of(&again).0, ["1", "2", "3"], "in order");

    // They were received since, so these handles reach nothing any more.
    let (code, report) = retry(&site, log, &["order-7"]).await;
    assert_eq!(code, Some(1));
    let group = &report["groups"][0];
    assert_eq!(group["result"], "not_reached", "{report:#}");
    let reason = group["reason"].as_str().unwrap();
    assert!(reason.starts_with("SQS takes its receipt handles no more"), "{reason}");
    assert!(group["next_attempt_at"].is_string());
    assert!(site.fail_all().await.is_empty());
}

#[tokio::test]
async fn all_that_waits_is_reached_and_what_is_not_is_named() {
    let site = site(&["a", "b", "c", "d", "e", "f"], &["x", "y"]).await;
    let received = site.fail_all().await;
    let (_, handles) = of(&received);
    assert_eq!(handles.len(), 10, "a receive gives ten at most");
    let pair = |n: usize| handles[2 * n..2 * n + 2].to_vec();
    let mut often = failed(19, "b", &pair(1));
    often["receive_count"] = json!(900);
    let mut without = failed(21, "c", &[]);
    without.as_object_mut().unwrap().remove("receipt_handles");
    let due = failed(601, "d", &pair(3));
    // Of a follower that is not reached the head stays: it would come alone.
    let in_part = failed(22, "e", &[handles[8].clone(), "nobody's".to_owned()]);
    let log = vec![due, in_part, without, failed(20, "a", &pair(0)), often];
    let (code, report) = retry(&site, log, &["--all", "--rate", "1000"]).await;
    assert_eq!(code, Some(1));
    let groups = report["groups"].as_array().unwrap();
    let results: Vec<(&str, &str)> = groups
        .iter()
        .map(|it| (it["group"].as_str().unwrap(), it["result"].as_str().unwrap()))
        .collect();
    assert_eq!(
        results,
        [
            ("d", "not_waiting"),
            ("e", "not_reached"),
            ("c", "not_reached"),
            ("a", "now"),
            ("b", "too_often"),
        ]
    );
    assert_eq!(
        (&groups[4]["receive_count"], &groups[4]["max_receive_count"]),
        (&json!(900), &json!(1_000))
    );
    let why = groups[2]["reason"].as_str().unwrap();
    assert!(why.starts_with("the log does not have the receipt handles"), "{why}");
    let shown = site.fail_all().await;
    assert_eq!(of(&shown).0, ["x", "y", "x", "y"], "of group a, and of f, which was not received");
}

#[tokio::test]
async fn what_the_service_wants_to_be_left_alone_with_is_and_until_when_is_said() {
    let site = site(&["order-7"], &["1"]).await;
    let (_, handles) = of(&site.fail_all().await);
    let mut line = failed(20, "order-7", &handles);
    line["retry_after_ms"] = json!(300_000);
    let (code, report) = retry(&site, vec![line], &["order-7"]).await;
    assert_eq!((code, &report["groups"][0]["result"]), (Some(1), &json!("resting")));
    assert!(site.fail_all().await.is_empty(), "it waits as before");
    let rest = &report["rests"][0];
    assert_eq!(report["groups"][0]["next_attempt_at"], rest["until"]);
    assert_eq!((&rest["route"], &rest["destination"]), (&json!("sss"), &json!("service")));
    let until: Timestamp = rest["until"].as_str().unwrap().parse().unwrap();
    assert!(until > SystemTime::now().into());
}

#[tokio::test]
async fn a_key_that_the_log_does_not_know_is_a_failure() {
    let site = site(&[], &[]).await;
    let (code, report) = retry(&site, Vec::new(), &["order-7"]).await;
    assert_eq!((code, &report["groups"][0]["result"]), (Some(1), &json!("no_group")));
    let why = report["groups"][0]["reason"].as_str().unwrap();
    assert!(why.starts_with("no line of the last "), "{why}");
    let (code, report) = retry(&site, Vec::new(), &["--all"]).await;
    assert_eq!((code, &report["groups"]), (Some(0), &json!([])));
}

#[tokio::test]
async fn on_an_engine_what_the_service_wants_to_be_left_alone_with_is_left_alone() {
    let service = Service::anywhere().await;
    service.set(Behavior::Rest);
    let site = Site::start(&service.url()).await;
    site.post("/sqs-hook", "order-7", "1").await;
    // It waits before its first attempt as well.
    service.requested(1).await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    let requests = service.requests();
    for which in ["order-7", "--all"] {
        let done = site.operate(&["retry", "local", which, "--json"]).await;
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((done.code, &report["groups"][0]["result"]), (Some(1), &json!("resting")));
        let until = report["rests"][0]["until"].as_str().unwrap();
        assert_eq!(report["groups"][0]["next_attempt_at"], until);
        assert!(until.parse::<Timestamp>().unwrap() > SystemTime::now().into(), "{until}");
        let said = site.operate(&["retry", "local", which]).await.stdout;
        let until = until[..19].replace('T', " ");
        let expected = format!(
            "order-7: is left alone: its destination asked by Retry-After not to be called until {until} UTC"
        );
        assert!(said.contains(&expected), "{said}");
    }
    assert_eq!(service.requests(), requests, "nobody has called it");
}

#[tokio::test]
async fn while_delivery_is_paused_it_is_said_that_the_attempt_comes_after_that() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(500));
    let site = Site::start(&service.url()).await;
    site.post("/sqs-hook", "order-7", "1").await;
    service.requested(1).await;
    let paused = site.operate(&["pause", "local", "--why", "release 42"]).await;
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    let requests = service.requests();
    let retry = ["retry", "local", "order-7"];
    let done = site.operate(&retry).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("attempted once delivery goes on\n"), "{}", done.stdout);
    assert!(done.stdout.contains("delivery is paused: "), "{}", done.stdout);
    assert!(done.stdout.contains("(release 42)"), "{}", done.stdout);
    let report: Value =
        serde_json::from_str(&site.operate(&[&retry[..], &["--json"]].concat()).await.stdout)
            .unwrap();
    assert_eq!(report["paused"], true);
    assert_eq!(service.requests(), requests, "a pause holds");
    service.set(Behavior::Answer(200));
    assert_eq!(site.operate(&["resume", "local"]).await.code, Some(0));
    assert_eq!(service.delivered(), ["1"]);
}

#[tokio::test]
async fn what_is_interrupted_says_what_it_did_not_reach() {
    // Nobody listens there.
    let site = site(&["a", "b", "c"], &["x"]).await;
    site.fail_all().await;
    let retry = ["retry", "local", "--all", "--rate", "1", "--json"];
    let retry = site.start_command(&retry);
    let audit = || std::fs::read_to_string(site.file("audit.jsonl")).unwrap_or_default();
    while !audit().contains("started") {
        tokio::task::yield_now().await;
    }
    let pid = retry.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    let done = retry.wait_with_output().await.unwrap();
    assert_eq!(done.status.code(), Some(130), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(report["not_reached"].as_u64().unwrap() > 0, "{report:#}");
    let log = audit();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["action"], &last["what"]["result"]),
        (&json!("retry"), &json!("interrupted"))
    );
}

/// A log that is longer than is read: a group that waits may be missing.
#[tokio::test]
async fn of_a_log_that_was_not_read_as_a_whole_all_is_not_said_to_be_attempted() {
    let site = site(&[], &[]).await;
    let log = (0..60).map(|n| failed(700, &format!("group-{n}"), &[])).collect();
    let fake = FakeCloudWatch::start(Answers { log, log_page: 1, ..Answers::default() }).await;
    let done = site.operate_on_aws(&fake, &["retry", "local", "--all", "--json", "--rate", "1000"]);
    let done = done.await;
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let unknown = report["unknown"][0].as_str().unwrap();
    assert!(unknown.ends_with("a group that was not tried since is missing"), "{unknown}");
    assert_eq!(done.code, Some(1));
}

#[tokio::test]
async fn what_came_of_it_is_in_the_audit_log() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(500));
    let site = Site::start(&service.url()).await;
    site.post("/sqs-hook", "order-7", "1").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    for (key, result) in [("order-7", "done"), ("nobody", "failed")] {
        site.operate(&["retry", "local", key]).await;
        let log = std::fs::read_to_string(site.file("audit.jsonl")).unwrap();
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!((&last["action"], &last["what"]["result"]), (&json!("retry"), &json!(result)));
    }
}
