//! `status`, `blocked`, `trace` and `pause` on AWS, where `CloudWatch` knows what the engine knows on
//! one machine. SQS and Lambda are an engine's.

use std::time::{Duration, Instant, SystemTime};

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch, Found};
use crate::support::{Service, Site};

pub(crate) const QUEUE: &str = "local-webhook.fifo";
const DEAD_LETTERS: &str = "local-webhook-dlq.fifo";

/// Minutes since the Unix epoch.
pub(crate) fn this_minute() -> u64 {
    Timestamp::from(SystemTime::now()).as_ms() / 60_000
}

fn ago(duration: Duration) -> String {
    Timestamp::from(SystemTime::now() - duration).to_string()
}

pub(crate) fn series(of: &'static str, name: &'static str, points: Vec<(u64, f64)>) -> Found {
    Found { of, name, label: name, points }
}

pub(crate) fn line(minutes_ago: u64, message: &str, event_id: &str, more: &Value) -> Value {
    let mut line = json!({
        "timestamp": ago(Duration::from_mins(minutes_ago)), "message": message,
        "event_id": event_id, "route": "sss", "group": event_id, "destination": "service",
    });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

/// Two hours in which a queue was told of every minute; `at` what was there then.
fn told(of: &'static str, at: impl Fn(u64) -> f64) -> Found {
    let now = this_minute();
    let points = (now - 120..now - 1).map(|minute| (minute, at(minute))).collect();
    series(of, "ApproximateNumberOfMessagesVisible", points)
}

/// Counts of two hours: 40 accepted and delivered, one a dead letter, and `lost` gone.
pub(crate) fn counts(lost: u32) -> Vec<Found> {
    let then = this_minute() - 60;
    vec![
        told(QUEUE, |_| 0.0),
        told(DEAD_LETTERS, |minute| f64::from(u8::from(minute >= then))),
        series(QUEUE, "NumberOfMessagesSent", vec![(then, 41.0 + f64::from(lost))]),
        series(QUEUE, "NumberOfMessagesDeleted", vec![(then, 41.0 + f64::from(lost))]),
        series(DEAD_LETTERS, "NumberOfMessagesSent", vec![(then, 1.0)]),
        // One route is configured, and one was until an hour ago.
        Found { label: "sss", ..series("sss", "Delivered", vec![(then, 30.0)]) },
        Found { label: "gone", ..series("*", "Delivered", vec![(then, 10.0)]) },
        Found { label: "sss", ..series("sss", "DeadLettered", vec![(then, 1.0)]) },
    ]
}

/// An environment whose queue is paused, with one event in it and `dead` dead letters.
async fn paused_site(dead: usize) -> Site {
    let site = Site::start(&format!("http://{}", Service::nowhere().await)).await;
    site.set_delivery(false).await;
    site.post("/sqs-hook", "k", "{}").await;
    for _ in 0..dead {
        site.send(site.dead_letter_queue_url()).await;
    }
    site
}

/// Every command looks for the queues first, and so sees whose they are before it does anything.
#[tokio::test]
async fn queues_of_another_account_are_left_alone() {
    let site = paused_site(1).await;
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(site.file("../config.json")).unwrap())
            .unwrap();
    let mut account = |id: &str| {
        config["aws"] = json!({ "region": "us-east-1", "account_id": id, "notifications": { "emails": ["a@example.com"] } });
        std::fs::write(site.file("../config.json"), config.to_string()).unwrap();
    };
    account("123456789012");
    for arguments in [
        ["status", "local"].as_slice(),
        &["doctor", "local"],
        &["blocked", "local"],
        &["trace", "local", "an-event"],
        &["show", "local", "an-event"],
        &["retry", "local", "a-key"],
        &["dlq", "list", "local"],
        &["dlq", "redrive", "local", "--all"],
        &["pause", "local", "--why", "a release"],
        &["resume", "local"],
        &["skip", "local", "an-event", "--why", "wrong"],
    ] {
        let done = site.operate_as_on_aws(arguments).await;
        assert_ne!(done.code, Some(0), "{arguments:?}");
        let said = [done.stdout, done.stderr].concat();
        assert!(said.contains("aws.account_id allows 123456789012 only"), "{arguments:?}: {said}");
    }
    account("000000000000");
    let done = site.operate_as_on_aws(&["dlq", "list", "local", "--json"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[tokio::test]
async fn an_environment_that_is_not_deployed_is_told_in_a_sentence() {
    let site = paused_site(0).await;
    let text = std::fs::read_to_string(site.file("../config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["environment"] = json!("other");
    std::fs::write(site.file("../config.json"), config.to_string()).unwrap();
    let done = site.operate_as_on_aws(&["dlq", "list", "other"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.starts_with("error: other is not deployed where these"), "{}", done.stderr);
    assert!(done.stderr.len() < 300, "{}", done.stderr);
}

async fn report(site: &Site, fake: &FakeCloudWatch, arguments: &[&str]) -> Value {
    let arguments = [&["status", "local", "--json"], arguments].concat();
    let done = site.operate_on_aws(fake, &arguments).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[tokio::test]
async fn alarms_that_ring_are_named_with_their_section_and_since_when() {
    let site = paused_site(0).await;
    let since = this_minute() * 60 - 300;
    let fake = FakeCloudWatch::start(Answers {
        alarms: vec![
            vec![("local-webhook-function-errors", "INSUFFICIENT_DATA", since)],
            vec![
                ("local-webhook-dead-letters-present", "ALARM", since),
                ("local-webhook-api-client-errors", "OK", since),
                ("local-2-webhook-dead-letters-present", "ALARM", since),
            ],
        ],
        ..Answers::default()
    })
    .await;
    let report = report(&site, &fake, &[]).await;
    let alarms = report["alarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 3, "another environment's is not this one's: {alarms:?}");
    assert_eq!(
        (&alarms[1]["section"], &alarms[1]["state"]),
        (&json!("dead-letters-present"), &json!("ALARM")),
        "by name"
    );
    assert_eq!(alarms[1]["since"], Timestamp::from_ms(since * 1_000).to_string());
    let screen = site.operate_on_aws(&fake, &["status", "local"]).await.stdout;
    let expected = "alarms     1 of 3 RING: dead-letters-present (for ";
    assert!(screen.contains(expected), "{screen}");
    assert!(screen.contains("; too little data for function-errors\n"), "{screen}");
    assert_eq!(fake.asked("DescribeAlarms")[0]["AlarmNamePrefix"], "local-webhook-");
    let doctor = site.operate_on_aws(&fake, &["doctor", "local"]).await.stdout;
    let line = doctor.lines().find(|line| line.contains("  alarms  ")).unwrap();
    let rings = "alarm dead-letters-present rings since ";
    assert!(line.starts_with("FAIL") && line.contains(rings), "nothing else says so: {line}");
}

#[tokio::test]
async fn the_runbook_has_a_section_for_each_alarm_that_status_names() {
    let runbook = include_str!("../../../../docs/runbook.md");
    let alarms = include_str!("../../../../modules/monitoring/alarms.tf");
    let named = alarms.lines().filter_map(|line| line.strip_suffix(" = {"));
    let sections = named.map(str::trim).filter(|name| name.contains('-'));
    let sections: Vec<&str> = sections.chain(["mapping-not-enabled"]).collect();
    assert!(sections.len() > 5, "{sections:?}");
    for section in sections {
        assert!(runbook.contains(&format!("\n## {section}\n")), "{section}");
    }
}

#[tokio::test]
async fn ages_are_the_newest_and_say_when_they_were() {
    let site = paused_site(1).await;
    let now = this_minute();
    let age = |of, points| series(of, "ApproximateAgeOfOldestMessage", points);
    let fake = FakeCloudWatch::start(Answers {
        series: vec![
            age(QUEUE, vec![(now - 4, 60.0), (now - 3, 120.0), (now - 2, 180.0)]),
            age(DEAD_LETTERS, vec![(now - 2, 7_200.0)]),
        ],
        ..Answers::default()
    })
    .await;
    let report = report(&site, &fake, &[]).await;
    assert_eq!(report["queue"]["oldest_age_ms"], 180_000, "{report:#}");
    let at = Timestamp::from_ms((now - 2) * 60_000).to_string();
    assert_eq!(report["queue"]["oldest_age_at"], at);
    assert_eq!(report["dead_letters"]["oldest_age_ms"], 7_200_000);
    let screen = site.operate_on_aws(&fake, &["status", "local"]).await.stdout;
    assert!(screen.contains(", oldest 3 min (2 min ago)"), "{screen}");

    // The same, as what the queue holds. It may have left since, so it is that old at most.
    let pause = ["pause", "local", "--why", "release 42", "--json"];
    let paused = site.operate_on_aws(&fake, &pause).await;
    let paused: Value = serde_json::from_str(&paused.stdout).unwrap();
    let holds = &paused["holds"];
    assert_eq!(holds["by"], "cloudwatch", "{paused}");
    let most = 1_209_600_000 - 300_000;
    assert!((most - 120_000..=most).contains(&holds["for_ms"].as_u64().unwrap()), "{holds}");
    let pause = ["pause", "local", "--why", "release 42", "--for", "30m"];
    let text = site.operate_on_aws(&fake, &pause).await.stdout;
    assert!(text.starts_with("paused: 1 event waits; new ones are accepted, and wait"), "{text}");
    assert!(text.contains("the queue holds for 13 d 23 h, until "), "{text}");
    assert!(text.contains("the oldest event is at most "), "{text}");

    // Who finds it paused sees by whom, why and until when.
    let screen = site.operate_on_aws(&fake, &["status", "local"]).await.stdout;
    assert!(screen.contains("paused     operator-1 "), "{screen}");
    assert!(screen.contains(": release 42; it ends by itself at "), "{screen}");
    let report = self::report(&site, &fake, &[]).await;
    let pause = &report["delivery"]["pauses"][0];
    assert_eq!((&pause["name"], &pause["reason"]), (&json!("operator-1"), &json!("release 42")));
    assert!(pause["until"].is_string(), "{pause}");
}

/// What the schedule is: the end of a pause to the second.
fn second(until: &Value) -> Option<String> {
    until.as_str().map(|until| until[..19].to_owned())
}

#[tokio::test]
async fn of_several_pauses_the_last_end_is_scheduled_and_none_while_one_has_no_end() {
    let site = Site::start("http://127.0.0.1:9").await;
    let fake = FakeCloudWatch::start(Answers::default()).await;
    let operate = async |arguments: &[&str]| {
        let done = site.operate_on_aws(&fake, &[arguments, &["--json"]].concat()).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_str::<Value>(&done.stdout).unwrap()
    };
    let pause = |name: &'static str, more: &[&'static str]| {
        [&["pause", "local", "--why", "r", "--name", name], more].concat()
    };
    let short = operate(&pause("short", &["--for", "30m"])).await;
    assert_eq!(fake.scheduled_at(), second(&short["resumes_at"]));
    let long = operate(&pause("long", &["--for", "2h"])).await;
    assert_eq!(fake.scheduled_at(), second(&long["resumes_at"]));
    assert_eq!(long["others"][0]["name"], "short");
    operate(&pause("open", &[])).await;
    assert_eq!(fake.scheduled_at(), None, "it would end what has no end");

    // Of the same name, it moves its end.
    let longer = operate(&pause("short", &["--for", "3h"])).await;
    assert_eq!(fake.scheduled_at(), None);
    let ended = operate(&["resume", "local", "--name", "open"]).await;
    assert_eq!((&ended["state"], &ended["ended"][0]["name"]), (&json!("paused"), &json!("open")));
    assert_eq!(fake.scheduled_at(), second(&longer["resumes_at"]));
    assert_eq!(operate(&["status", "local"]).await["delivery"]["paused"], true);

    // A redrive ends its own, and no other.
    operate(&["dlq", "redrive", "local", "--all", "--pause-first"]).await;
    let delivery = operate(&["status", "local"]).await["delivery"].clone();
    let pauses = delivery["pauses"].as_array().unwrap().iter();
    let names: Vec<&str> = pauses.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!((names, &delivery["paused"]), (vec!["short", "long"], &json!(true)));

    let done = site.operate_on_aws(&fake, &["resume", "local"]).await;
    assert_eq!(done.code, Some(1));
    for part in ["there are 2 pauses", "short, by operator-1", "--name short", "--all"] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    operate(&["resume", "local", "--name", "short"]).await;
    assert_eq!(fake.scheduled_at(), second(&long["resumes_at"]));
    let resumed = operate(&["resume", "local", "--no-wait"]).await;
    assert_eq!(
        (&resumed["state"], &resumed["ended"][0]["name"]),
        (&json!("resumed"), &json!("long"))
    );
    assert_eq!(fake.scheduled_at(), None);
    assert_eq!(operate(&["status", "local"]).await["delivery"]["paused"], false);
}

#[tokio::test]
async fn the_loss_meter_counts_by_cloudwatch_up_to_a_settled_minute() {
    let site = paused_site(1).await;
    let fake = FakeCloudWatch::start(Answers { series: counts(0), ..Answers::default() }).await;
    let report = report(&site, &fake, &[]).await;
    let meter = &report["loss_meter"];
    assert_eq!((&meter["missing"], &meter["difference"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(
        [
            &meter["total"]["accepted"],
            &meter["total"]["delivered"],
            &meter["total"]["dead_letters"]
        ],
        [41, 40, 1],
        "{meter}"
    );
    assert_eq!(meter["routes"]["gone"]["delivered"], 10, "a route of yesterday delivered too");
    assert_eq!(meter["routes"]["sss"]["accepted"], Value::Null);
    let until: Timestamp = meter["until"].as_str().unwrap().parse().unwrap();
    let settled = (this_minute() - until.as_ms() / 60_000, 15..=17);
    assert!(settled.1.contains(&settled.0), "{settled:?}");
    let screen = site.operate_on_aws(&fake, &["status", "local"]).await.stdout;
    assert!(screen.contains("loss       0 missing from "), "{screen}");
    assert!(
        screen.contains("(all)  41        40         1             0        0       0"),
        "{screen}"
    );
    assert!(
        screen.contains("gone   -         10         -             -        -       -"),
        "{screen}"
    );

    // What is asked: minutes, sums, and routes that nobody configures any more.
    let asked = fake.asked("GetMetricData");
    let meter = asked.iter().find(|it| it["MetricDataQueries"].as_array().unwrap().len() > 2);
    let queries = meter.unwrap()["MetricDataQueries"].as_array().unwrap();
    let sent = queries.iter().find(|it| it["Label"] == "NumberOfMessagesSent").unwrap();
    assert_eq!(
        sent["MetricStat"],
        json!({
            "Metric": {
                "Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesSent",
                "Dimensions": [{ "Name": "QueueName", "Value": QUEUE }],
            },
            "Period": 60, "Stat": "Sum",
        })
    );
    let search = queries.iter().find_map(|query| query["Expression"].as_str()).unwrap();
    assert_eq!(
        search,
        "SEARCH('{WebhookQueue,environment,route} environment=\"local\" MetricName=\"Delivered\"', \
         'Sum', 60)"
    );
    let span = |asked: &Value| {
        let at = |name: &str| asked[name]["$time"].as_u64().unwrap();
        at("EndTime") - at("StartTime")
    };
    assert_eq!(span(meter.unwrap()), 24 * 3_600);
    self::report(&site, &fake, &["--since", "7days"]).await;
    assert!(fake.asked("GetMetricData").iter().any(|asked| span(asked) == 7 * 24 * 3_600));
}

#[tokio::test]
async fn what_nobody_delivered_is_missing() {
    let site = paused_site(1).await;
    let fake = FakeCloudWatch::start(Answers { series: counts(3), ..Answers::default() }).await;
    let report = report(&site, &fake, &[]).await;
    assert_eq!(report["loss_meter"]["missing"], 3, "{report:#}");
    let screen = site.operate_on_aws(&fake, &["status", "local"]).await.stdout;
    assert!(screen.contains("loss       3 MISSING: 3 deleted by hand from "), "{screen}");
}

#[tokio::test]
async fn dead_letters_are_told_by_reason_without_receiving_them() {
    let site = paused_site(2).await;
    let log = vec![
        line(30, "dead_lettered", "e-1", &json!({ "reason": "gave_up" })),
        line(20, "dead_lettered", "e-2", &json!({ "reason": "rejected" })),
    ];
    let fake = FakeCloudWatch::start(Answers { log: log.clone(), ..Answers::default() }).await;
    let told = report(&site, &fake, &[]).await;
    assert_eq!(told["dead_letters"]["by_reason"], json!({ "gave_up": 1, "rejected": 1 }));
    assert!(site.receives(site.dead_letter_queue_url()).await, "nothing is hidden by looking");

    // One has left, so the log does not tell which are there.
    let site = paused_site(1).await;
    let told = report(&site, &fake, &[]).await;
    assert_eq!(told["dead_letters"]["by_reason"], Value::Null);
    let unknown = told["unknown"].to_string();
    assert!(unknown.contains("dead letters by reason (the log tells of 2 since"), "{unknown}");
    assert!(unknown.contains("`webhook-operator dlq stats local --config "), "{unknown}");
}

#[tokio::test]
async fn groups_that_wait_are_counted_by_the_log() {
    let site = paused_site(0).await;
    site.set_delivery(true).await;
    let log = vec![
        line(1, "retry", "e-1", &json!({ "retry_in_ms": 1_000, "status": 503, "attempt": 2 })),
        line(1, "retry", "e-2", &json!({ "retry_in_ms": 1_000, "status": 503, "attempt": 1 })),
        line(0, "delivered", "e-2", &json!({ "status": 200, "attempt": 2, "latency_ms": 7 })),
    ];
    let fake = FakeCloudWatch::start(Answers { log, ..Answers::default() }).await;
    let told = report(&site, &fake, &[]).await;
    assert_eq!(told["queue"]["waiting_groups"], 1, "{told:#}");
    assert_eq!(told["last_deliveries"][0]["latency_ms"], 7);
    let blocked = site.operate_on_aws(&fake, &["blocked", "local", "--json"]).await;
    let blocked: Value = serde_json::from_str(&blocked.stdout).unwrap();
    assert_eq!((&blocked["groups"][0]["group"], &blocked["unknown"]), (&json!("e-1"), &json!([])));

    // While nothing is tried, no line tells that a group waits.
    site.set_delivery(false).await;
    let told = report(&site, &fake, &[]).await;
    assert_eq!(told["queue"]["waiting_groups"], Value::Null);
    let unknown = told["unknown"].to_string();
    assert!(
        unknown.contains("waiting groups (nothing is tried while delivery is paused)"),
        "{unknown}"
    );
}

#[tokio::test]
async fn what_is_refused_or_not_answered_is_unknown_and_does_not_hang() {
    let site = paused_site(1).await;
    for (trouble, expected) in
        [("AccessDenied", "AccessDenied: on demand"), ("hang", "no answer within 10 s")]
    {
        let trouble = Some(trouble);
        let fake = FakeCloudWatch::start(Answers { trouble, ..Answers::default() }).await;
        let begun = Instant::now();
        let told = report(&site, &fake, &[]).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert_eq!(
            (&told["queue"]["events"], &told["dead_letters"]["count"]),
            (&json!(1), &json!(1))
        );
        let unknown: Vec<&str> =
            told["unknown"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        for what in ["oldest age (", "loss meter (", "alarms ("] {
            let why = unknown.iter().find(|unknown| unknown.starts_with(what));
            assert!(why.is_some_and(|why| why.contains(expected)), "{what} {unknown:?}");
        }
        assert_eq!(told["loss_meter"], Value::Null);
    }
}

#[tokio::test]
async fn a_trace_tells_what_operators_did_to_the_event() {
    let site = paused_site(0).await;
    let log = vec![
        line(30, "rejected", "e-1", &json!({ "status": 422, "age_ms": 1_000, "sequence": "1" })),
        line(30, "dead_lettered", "e-1", &json!({ "reason": "rejected", "sequence": "1" })),
        line(10, "delivered", "e-1", &json!({ "status": 200, "attempt": 1, "sequence": "2" })),
        line(30, "dead_lettered", "e-3", &json!({ "reason": "rejected", "sequence": "3" })),
        line(10, "delivered", "e-3", &json!({ "status": 200, "attempt": 1, "sequence": "4" })),
    ];
    let action = |minutes: u64, action: &str, reason: Option<&str>, what: Value| {
        let at = ago(Duration::from_mins(minutes));
        json!({ "at": at, "by": "sato", "action": action, "reason": reason, "what": what })
    };
    site.write_audit_log(&[
        action(25, "dlq edit", Some("wrong number"), json!({ "event_id": "e-1" })),
        action(24, "dlq drop", Some("another"), json!({ "dropped": ["e-2"] })),
        action(9, "dlq redrive", None, json!({ "event_ids": [], "all": true, "sent": 3 })),
    ]);
    let fake = FakeCloudWatch::start(Answers { log, ..Answers::default() }).await;
    let trace = site.operate_on_aws(&fake, &["trace", "local", "e-1", "--json"]).await;
    let trace: Value = serde_json::from_str(&trace.stdout).unwrap();
    let steps = trace["steps"].as_array().unwrap();
    let whats: Vec<&str> = steps.iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(
        whats,
        ["accepted", "rejected", "dead_lettered", "dlq edit", "redriven", "delivered"],
        "{trace:#}"
    );
    assert_eq!(steps[3]["text"], "by sato: wrong number");
    assert_eq!(steps[4]["text"], "sent again, as sequence 2", "that was the edit");
    let redriven = site.operate_on_aws(&fake, &["trace", "local", "e-3"]).await.stdout;
    let expected = "redriven       sent again, as sequence 4; sato ended a `dlq redrive` at 20";
    assert!(redriven.contains(expected), "{redriven}");
    let dropped = site.operate_on_aws(&fake, &["trace", "local", "e-2"]).await;
    assert!(dropped.stdout.contains("dlq drop       by sato: another\n"), "{}", dropped.stdout);
    assert!(dropped.stdout.contains("now: dropped by an operator"), "{}", dropped.stdout);
}

/// A log that is longer than is read: 50 pages, of which each has one line.
#[tokio::test]
async fn of_more_lines_than_are_read_the_newest_count_and_what_was_cut_is_said() {
    let site = paused_site(2).await;
    site.set_delivery(true).await;
    let retry = json!({ "retry_in_ms": 1_000, "status": 503, "attempt": 1, "sequence": "1" });
    let mut log = vec![
        line(4, "retry", "earlier", &retry),
        line(4, "retry", "delivered-since", &retry),
        line(4, "dead_lettered", "dead", &json!({ "reason": "rejected" })),
    ];
    log.extend((0..60).map(|_| line(3, "delivered", "another", &json!({ "status": 200 }))));
    log.push(line(1, "retry", "waits", &retry));
    log.push(line(0, "delivered", "delivered-since", &json!({ "status": 200, "latency_ms": 7 })));
    let fake = FakeCloudWatch::start(Answers { log, log_page: 1, ..Answers::default() }).await;
    let cut =
        "log group /aws/lambda/local-webhook-forwarder is longer than is read: it was read back to";

    let done = site.operate_on_aws(&fake, &["blocked", "local", "--json"]).await;
    let blocked: Value = serde_json::from_str(&done.stdout).unwrap();
    let groups = blocked["groups"].as_array().unwrap();
    let groups: Vec<&Value> = groups.iter().map(|group| &group["group"]).collect();
    assert_eq!(groups, ["waits"]);
    let unknown = blocked["unknown"][0].as_str().unwrap();
    assert!(unknown.starts_with(cut), "{unknown}");
    assert!(unknown.ends_with("a group that was not tried since is missing"), "{unknown}");

    let told = report(&site, &fake, &[]).await;
    assert_eq!(told["last_deliveries"][0]["latency_ms"], 7, "{told:#}");
    assert_eq!(told["queue"]["waiting_groups"], Value::Null);
    let unknown = told["unknown"].to_string();
    assert!(unknown.contains(&format!("waiting groups ({cut}")), "{unknown}");

    let skip = ["skip", "local", "earlier", "--why", "wrong", "--no-wait"];
    let skip = site.operate_on_aws(&fake, &skip).await;
    assert_eq!(skip.code, Some(1));
    assert!(skip.stderr.contains(&format!("; unknown: {cut}")), "{}", skip.stderr);
    let trace = site.operate_on_aws(&fake, &["trace", "local", "another"]).await;
    let earlier = format!("unknown: what happened to it earlier ({cut}");
    assert!(trace.stderr.contains(&earlier), "{}", trace.stderr);
}
