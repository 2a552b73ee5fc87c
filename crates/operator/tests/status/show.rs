//! `show`: an event wherever it is, and what can be done about it.

use std::time::{Duration, Instant, SystemTime};

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::support::{Behavior, Service, Site};

/// Longest wait for something that is to happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// What `show` says of an event once it is in this state.
async fn once(site: &Site, typed: &str, state: &str) -> Value {
    let limit = Instant::now() + PATIENCE;
    loop {
        let shown = site.json(&["show", "local", typed]).await;
        if shown["state"] == state {
            return shown;
        }
        assert!(Instant::now() < limit, "{shown:#}");
    }
}

/// The commands that it names, without the program's name and its options.
fn commands(shown: &Value) -> Vec<String> {
    let can_do = shown["can_do"].as_array().unwrap().iter();
    let commands = can_do.filter_map(|it| it["command"].as_str());
    let words = |command: &str| {
        let (_program, words) = command.split_once(' ').unwrap();
        words.split(" --").next().unwrap().to_owned()
    };
    commands.map(words).collect()
}

fn whats(shown: &Value) -> Vec<&str> {
    let history = shown["history"].as_array().unwrap().iter();
    let mut whats: Vec<&str> = history.map(|step| step["what"].as_str().unwrap()).collect();
    whats.dedup();
    whats
}

#[tokio::test]
async fn what_blocks_its_group_is_shown_with_its_body_and_so_is_what_stands_behind_it() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let first = site.post("/strict", "order-7", "{\"state\":\"承認\"}").await;
    let second = site.post("/strict", "order-7", "2").await;
    let shown = once(&site, &first, "blocked").await;
    assert_eq!(shown["event_id"], first);
    assert_eq!((&shown["route"], &shown["group"]), (&json!("strict"), &json!("order-7")));
    assert_eq!(shown["last_answer"]["status"], 422);
    assert_eq!(shown["last_answer"]["class"], "blocked");
    assert!(shown["last_answer"]["attempt"].as_u64() >= Some(1), "{shown:#}");
    assert_eq!(shown["last_answer"]["response"], Value::Null, "answers are in no log by default");
    let message = &shown["messages"][0];
    assert_eq!(message["body"], "{\"state\":\"承認\"}");
    assert_eq!(message["headers"]["content-type"], Value::Null);
    assert_eq!((&message["ahead"], &message["behind"]), (&json!(0), &json!(1)));
    assert_eq!(commands(&shown), ["retry local order-7", &format!("skip local {first}")]);
    assert_eq!(whats(&shown), ["accepted", "blocked"]);
    assert_eq!((&shown["unknown"], &shown["key"]), (&json!([]), &Value::Null));

    // What it names can be typed as it stands.
    let retry = shown["can_do"][1]["command"].as_str().unwrap();
    let words = shlex::split(retry).unwrap();
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let data_dir = words.iter().position(|word| *word == "--data-dir").unwrap();
    assert_eq!(site.operate(&words[..data_dir]).await.code, Some(0), "{retry}");

    let behind = once(&site, &second, "waiting").await;
    assert_eq!(behind["messages"][0]["body"], "2");
    assert_eq!(behind["messages"][0]["head_event_id"], first);
    assert_eq!(commands(&behind), [format!("show local {first}")]);

    // By the key, and by the beginning of an id.
    let of_key = once(&site, "order-7", "blocked").await;
    assert_eq!((&of_key["event_id"], &of_key["key"]["messages"]), (&json!(first), &json!(2)));
    assert_eq!(of_key["key"]["events"][1]["event_id"], second);
    let begins = once(&site, &first[..18], "blocked").await;
    assert_eq!(begins["event_id"], first);
    let text = site.operate(&["show", "local", "order-7"]).await.stdout;
    for part in [
        "key order-7: 2 events wait\n",
        "group        order-7\n",
        "last answer  422 from service (127.0.0.1:",
        "behind it    1 event of its group\n",
        "\nbody (18 bytes)\n{\n  \"state\": \"承認\"\n}\n",
        "- attempt it now: `webhook-operator retry local order-7 --data-dir ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn what_died_and_what_was_delivered_is_shown_as_such() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let id = site.post("/sqs-hook", "order-7", "{\"n\":1}").await;
    let dead = once(&site, &id, "dead").await;
    let message = &dead["messages"][0];
    assert_eq!((&message["reason"], &message["body"]), (&json!("rejected"), &json!("{\"n\":1}")));
    assert_eq!(dead["group"], "order-7", "that which it goes back to");
    let dlq = |command: &str| format!("dlq {command} local {id}");
    assert_eq!(commands(&dead), [dlq("redrive"), dlq("edit"), dlq("drop")]);
    assert!(site.receives(site.dead_letter_queue_url()).await, "nothing is hidden by looking");
    let text = site.operate(&["show", "local", &id]).await.stdout;
    for part in ["state        dead: rejected\n", "class        rejected\n", "\nbody (7 bytes)\n"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    service.set(Behavior::Answer(200));
    let other = site.post("/sqs-hook", "order-8", "{\"n\":2}").await;
    let delivered = once(&site, &other, "delivered").await;
    assert_eq!(delivered["messages"], json!([]));
    assert_eq!(delivered["last_answer"]["status"], 200);
    assert_eq!(commands(&delivered), [""; 0]);
    assert_eq!(once(&site, &other[..18], "delivered").await["event_id"], other);
    let text = site.operate(&["show", "local", &other]).await.stdout;
    assert!(text.contains("body         gone with it"), "{text}");
}

#[tokio::test]
async fn what_waits_in_a_pause_needs_its_end_and_what_is_attempted_is_in_flight() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let paused = site.operate(&["pause", "local", "--why", "release 42"]).await;
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    let id = site.post("/sqs-hook", "order-7", "1").await;
    let waiting = site.json(&["show", "local", &id]).await;
    assert_eq!((&waiting["state"], &waiting["paused"]), (&json!("waiting"), &json!(true)));
    assert_eq!(commands(&waiting), ["resume local"]);
    let text = site.operate(&["show", "local", &id]).await.stdout;
    assert!(text.contains("(release 42)"), "{text}");

    service.set(Behavior::Hang);
    let resumed = site.operate(&["resume", "local", "--no-wait"]).await;
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    let flying = once(&site, &id, "in_flight").await;
    assert_eq!(flying["messages"][0]["body"], "1");
}

#[tokio::test]
async fn what_nobody_knows_is_a_failure() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let failed = site.operate(&["show", "local", "evt/1"]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    let said = "nothing is known of \"evt/1\": it is in no line of the last 4 d of engine.log, and no \
                queue has it or a group of this name";
    assert!(failed.stderr.contains(said), "{}", failed.stderr);
}

fn line(seconds_ago: u64, message: &str, event_id: &str, more: &Value) -> Value {
    let at = Timestamp::from(SystemTime::now() - Duration::from_secs(seconds_ago));
    let mut line = json!({
        "timestamp": at.to_string(), "message": message, "event_id": event_id, "route": "sss",
        "group": "order-7", "destination": "service", "sequence": event_id,
    });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

/// On AWS the log tells, and a look at the dead letters where it says that the event is one.
#[tokio::test]
async fn on_aws_the_log_tells_and_what_cannot_be_had_is_said() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let dead = site.post("/sqs-hook", "order-9", "{\"n\":9}").await;
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    let retry = json!({ "retry_in_ms": 60_000, "status": 503, "attempt": 2, "latency_ms": 7 });
    let blocked = json!({
        "retry_in_ms": 60_000, "status": 422, "attempt": 3, "response": "no such order",
    });
    let behind = json!({ "reason": "behind_failed" });
    let log = vec![
        line(200, "delivered", "e-0", &json!({ "status": 200, "attempt": 1 })),
        line(90, "dead_lettered", &dead, &json!({ "reason": "rejected", "group": "order-9" })),
        line(80, "retry", "e-1", &retry),
        line(80, "not_attempted", "e-2", &behind),
        line(20, "blocked", "e-1", &blocked),
        line(20, "not_attempted", "e-2", &behind),
    ];
    let fake = FakeCloudWatch::start(Answers { log, ..Answers::default() }).await;
    let show = async |typed: &str| -> Value {
        let done = site.operate_on_aws(&fake, &["show", "local", typed, "--json"]).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_str(&done.stdout).unwrap()
    };
    let no_body = |shown: &Value| shown["unknown"].to_string().contains("its headers and body");
    for typed in ["e-1", "order-7"] {
        let first = show(typed).await;
        assert_eq!((&first["event_id"], &first["state"]), (&json!("e-1"), &json!("blocked")));
        assert_eq!(first["last_answer"]["response"], "no such order");
        assert_eq!(first["messages"], json!([]));
        assert!(no_body(&first), "{first:#}");
        let next: Timestamp = first["next_attempt_at"].as_str().unwrap().parse().unwrap();
        assert!(next > SystemTime::now().into());
        assert_eq!(commands(&first), ["retry local order-7", "skip local e-1"]);
    }
    let text = site.operate_on_aws(&fake, &["show", "local", "e-1"]).await.stdout;
    assert!(text.contains("\nresponse\nno such order\n"), "{text}");
    let second = show("e-2").await;
    assert_eq!(second["state"], "waiting");
    assert_eq!(second["history"].as_array().unwrap().len(), 1, "{second:#}");
    assert_eq!(second["history"][0]["count"], 2);
    let delivered = show("e-0").await;
    assert_eq!((&delivered["state"], no_body(&delivered)), (&json!("delivered"), false));
    assert!(site.receives(site.dead_letter_queue_url()).await, "nobody has looked at dead letters");

    let site = Site::start(&service.url()).await;
    let dead = site.post("/sqs-hook", "order-9", "{\"n\":9}").await;
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    let log = vec![
        line(90, "dead_lettered", &dead, &json!({ "reason": "rejected", "group": "order-9" })),
        line(80, "retry", "e-1", &retry),
    ];
    let fake = FakeCloudWatch::start(Answers { log, ..Answers::default() }).await;
    let on_aws = async |words: &[&str]| site.operate_on_aws(&fake, words).await;
    let shown = on_aws(&["show", "local", &dead[..18], "--json"]).await;
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown["state"], &shown["event_id"]), (&json!("dead"), &json!(dead)));
    assert_eq!(shown["messages"][0]["body"], "{\"n\":9}");
    let nothing = on_aws(&["show", "local", "e-7"]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(
        nothing.stderr.contains("`webhook-operator show local e-7 --look "),
        "{}",
        nothing.stderr
    );
    let looked = on_aws(&["show", "local", "e-1", "--look", "--json"]).await;
    assert!(looked.stdout.contains("it is none of the dead letters"), "{}", looked.stdout);
}

#[tokio::test]
async fn a_beginning_that_several_ids_have_is_a_mistake_of_typing() {
    let site = Site::start("http://127.0.0.1:9").await;
    let retry = json!({ "retry_in_ms": 60_000, "status": 503, "attempt": 2 });
    let log = vec![line(80, "retry", "e-1", &retry), line(80, "retry", "e-10", &retry)];
    let fake = FakeCloudWatch::start(Answers { log, ..Answers::default() }).await;
    let unclear = site.operate_on_aws(&fake, &["show", "local", "e-"]).await;
    assert_eq!(unclear.code, Some(2), "{}", unclear.stderr);
    assert!(unclear.stderr.contains("several events: e-1, e-10; type more"), "{}", unclear.stderr);
    let whole = site.operate_on_aws(&fake, &["show", "local", "e-1"]).await;
    assert!(whole.stdout.starts_with("event id     e-1\n"), "{}", whole.stdout);
}
