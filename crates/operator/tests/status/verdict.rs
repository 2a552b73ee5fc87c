//! Whether a person must act: the first sentence of `status` and `doctor`, and the exit code of the latter.

use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::on_aws::{QUEUE, counts, line, series, this_minute};
use crate::support::{Behavior, Done, Service, Site};

/// The sentence of `status`, which is `doctor`'s as well, and that exit codes follow it.
async fn judged(site: &Site, doctor_ends_with: i32) -> (Value, String) {
    let done = site.operate(&["status", "local", "--json"]).await;
    assert_eq!(done.code, Some(0), "whatever it shows: {}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let sentence = report["verdict"]["sentence"].as_str().unwrap().to_owned();
    let doctor = site.operate(&["doctor", "local"]).await;
    assert_eq!(doctor.code, Some(doctor_ends_with), "{sentence}\n{}", doctor.stdout);
    let beginning = sentence.split(':').next().unwrap();
    assert!(doctor.stdout.starts_with(&format!("{beginning}: ")), "{}", doctor.stdout);
    let screen = site.operate(&["status", "local"]).await.stdout;
    assert!(screen.starts_with(&format!("{beginning}: ")), "{screen}");
    (report["verdict"].clone(), sentence)
}

fn of_doctor<'a>(doctor: &'a Done, verdict: &str, about: &str) -> &'a str {
    let beginning = format!("{verdict:<4}  {about} ");
    let line = doctor.stdout.lines().find(|line| line.starts_with(&beginning));
    line.unwrap_or_else(|| panic!("no {verdict} of {about}: {}", doctor.stdout))
}

#[tokio::test]
async fn while_the_service_is_down_nobody_is_needed() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let (verdict, sentence) = judged(&site, 0).await;
    assert_eq!(verdict["kind"], "nothing_to_do");
    assert_eq!(sentence, "Nothing to do: nothing waits, and nothing is lost");

    service.set(Behavior::Answer(503));
    for n in 0..3 {
        site.post("/sqs-hook", &format!("k{n}"), "{}").await;
    }
    site.wait_for(|status| status["waiting_groups"] == 3).await;
    let (verdict, sentence) = judged(&site, 0).await;
    let wait = &verdict["waits"][0];
    assert_eq!(
        (&wait["kind"], &wait["reason"], &wait["keys"], &wait["is_long"]),
        (&json!("destination_fails"), &json!("503"), &json!(3), &json!(false)),
        "{verdict:#}"
    );
    let beginning = "Nothing to do: sss/service answers 503 since ";
    assert!(sentence.starts_with(beginning), "{sentence}");
    let end = ", 3 events wait and go out by themselves; the first is given up in ";
    assert!(sentence.contains(end), "{sentence}");
    let doctor = site.operate(&["doctor", "local"]).await;
    of_doctor(&doctor, "warn", "deliveries sss/service");
}

#[tokio::test]
async fn a_key_that_is_blocked_waits_for_a_person_also_while_it_is_tried_again() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let event_id = site.post("/strict", "A-7", "{}").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    let (verdict, sentence) = judged(&site, 1).await;
    let finding = &verdict["findings"][0];
    assert_eq!(
        (&verdict["kind"], &finding["kind"], &finding["event_id"], &finding["reason"]),
        (&json!("act"), &json!("key_blocked"), &json!(event_id), &json!("422")),
    );
    assert!(sentence.starts_with("You: key A-7 waits for a decision (422 since "), "{sentence}");
    assert!(sentence.contains(" UTC): `webhook-operator show local A-7 --data-dir "), "{sentence}");
    let doctor = site.operate(&["doctor", "local"]).await;
    of_doctor(&doctor, "FAIL", "key A-7");

    // In the forwarder's hands no group waits, and the key does.
    let requests = service.requests();
    service.set(Behavior::Hang);
    service.requested(requests + 1).await;
    let (verdict, _sentence) = judged(&site, 1).await;
    assert_eq!(verdict["findings"][0]["kind"], "key_blocked", "{verdict:#}");
}

#[tokio::test]
async fn dead_letters_wait_for_a_person() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    site.post("/sqs-hook", "k", "{}").await;
    site.wait_for(|status| {
        status["dead_letter_queue"]["visible"] == 1 && status["queue"]["message_groups"] == 0
    })
    .await;
    let (_verdict, sentence) = judged(&site, 1).await;
    assert!(sentence.starts_with("You: 1 dead letter waits, the oldest for "), "{sentence}");
    assert!(sentence.contains(": `webhook-operator dlq list local --data-dir "), "{sentence}");
}

#[tokio::test]
async fn a_colleague_s_pause_is_waited_for() {
    let site = Site::start(&format!("http://{}", Service::nowhere().await)).await;
    let pause = ["pause", "local", "--why", "release 42", "--for", "30m", "--name", "release"];
    assert_eq!(site.operate(&pause).await.code, Some(0));
    site.post("/sqs-hook", "k", "{}").await;
    let (verdict, sentence) = judged(&site, 0).await;
    assert_eq!(verdict["waits"][0]["kind"], "paused", "{verdict:#}");
    assert!(sentence.starts_with("Nothing to do: delivery is paused by "), "{sentence}");
    assert!(sentence.contains(" (release) until "), "{sentence}");
    assert!(sentence.ends_with(", 1 event waits"), "{sentence}");
}

/// The forwarder says nothing of its attempts, and no log tells.
#[tokio::test]
async fn why_a_key_waits_is_unknown_where_nothing_tells() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(503));
    let site = Site::with(&service.url(), json!({ "log_level": "ERROR" })).await;
    site.post("/sqs-hook", "k", "{}").await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    let (verdict, sentence) = judged(&site, 1).await;
    assert_eq!(verdict["kind"], "unknown", "{verdict:#}");
    assert_eq!(
        sentence,
        "Unknown whether you must act: which keys wait (nothing tells why k waits)"
    );
}

/// What was deleted by hand is missing, and a key is blocked: the first sentence is of the worst.
#[tokio::test]
async fn of_several_things_the_worst_is_said_and_the_others_are_counted() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    site.set_delivery(false).await;
    site.post("/sqs-hook", "k", "{}").await;
    site.delete_one(site.queue_url()).await;
    site.send(site.dead_letter_queue_url()).await;
    let (verdict, sentence) = judged(&site, 1).await;
    let kinds: Vec<&Value> =
        verdict["findings"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["events_missing", "dead_letters_present"], "{verdict:#}");
    assert!(sentence.starts_with("You: 1 event is missing, "), "{sentence}");
    assert!(
        sentence.contains("; and 1 other matter (`webhook-operator doctor local "),
        "{sentence}"
    );
}

async fn on_aws(site: &Site, answers: Answers) -> (Value, Done) {
    let fake = FakeCloudWatch::start(answers).await;
    let status = site.operate_on_aws(&fake, &["status", "local", "--json"]).await;
    let report: Value = serde_json::from_str(&status.stdout).unwrap();
    (report["verdict"].clone(), site.operate_on_aws(&fake, &["doctor", "local", "--json"]).await)
}

#[tokio::test]
async fn on_aws_what_is_refused_or_not_told_is_unknown() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let alarms = || vec![vec![("local-webhook-function-errors", "OK", this_minute() * 60 - 300)]];
    let well = || Answers { series: counts(0), alarms: alarms(), ..Answers::default() };
    // The metrics tell of a dead letter; what is there now is what counts.
    let unknown = |verdict: &Value| -> Vec<String> {
        let unknown = verdict["unknown"].as_array().cloned().unwrap_or_default();
        unknown.iter().map(|it| it["what"].as_str().unwrap().to_owned()).collect()
    };
    for (answers, what) in [
        (Answers { trouble: Some("AccessDenied"), ..well() }, vec!["loss_meter", "alarms"]),
        (Answers { alarms: Vec::new(), ..well() }, vec!["alarms"]),
        (Answers { series: Vec::new(), ..well() }, vec!["loss_meter"]),
    ] {
        let (verdict, doctor) = on_aws(&site, answers).await;
        assert_ne!(verdict["kind"], "nothing_to_do", "{verdict:#}");
        assert_eq!(unknown(&verdict), what, "{verdict:#}");
        assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    }
}

#[tokio::test]
async fn on_aws_a_service_that_is_down_and_a_key_that_is_blocked_are_told_apart_by_the_log() {
    let site = Site::start(&format!("http://{}", Service::nowhere().await)).await;
    site.post("/sqs-hook", "e-1", "{}").await;
    let age = series(QUEUE, "ApproximateAgeOfOldestMessage", vec![(this_minute() - 1, 60.0)]);
    let answers = |message: &str, status: u16| {
        let failed = json!({
            "retry_in_ms": 60_000, "status": status, "attempt": 2, "age_ms": 30_000,
        });
        Answers {
            series: counts(0).into_iter().chain([age.clone()]).collect(),
            alarms: vec![vec![("local-webhook-function-errors", "OK", this_minute() * 60 - 300)]],
            log: vec![line(1, message, "e-1", &failed)],
            ..Answers::default()
        }
    };
    let (verdict, doctor) = on_aws(&site, answers("blocked", 422)).await;
    assert_eq!(verdict["findings"][0]["kind"], "key_blocked", "{verdict:#}");
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    let (verdict, doctor) = on_aws(&site, answers("retry", 503)).await;
    assert_eq!(verdict["kind"], "nothing_to_do", "{verdict:#}");
    assert_eq!(verdict["waits"][0]["kind"], "destination_fails", "{verdict:#}");
    let document: Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert_eq!(document["judged"]["waits"][0]["kind"], "destination_fails", "{document:#}");
}

#[tokio::test]
async fn an_engine_is_not_asked_since_when() {
    let site = Site::start("http://127.0.0.1:9").await;
    let done = site.operate(&["status", "local", "--since", "24h"]).await;
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("--since is for AWS"), "{}", done.stderr);
}
