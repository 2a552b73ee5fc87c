//! What the log cannot tell is not taken for what never was.

use serde_json::{Value, json};

use crate::support::{Behavior, Service, Site};

/// What is said as JSON, where that is not all.
async fn in_part(site: &Site, arguments: &[&str]) -> Value {
    let done = site.operate(&[arguments, &["--json"]].concat()).await;
    assert_eq!(done.code, Some(1), "{arguments:?}: {}{}", done.stdout, done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

fn says(told: &Value, what: &str) {
    assert!(told["unknown"].to_string().contains(what), "{told:#}");
}

/// The engine goes on in a file that has its place, which tells of what came before it.
#[tokio::test]
async fn a_log_that_is_moved_away_while_the_engine_runs_is_missed_by_whoever_reads_it() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let id = site.post("/strict", "order-7", "1").await;
    let dead = site.post("/sqs-hook", "order-8", "1").await;
    site.refused("GET", "/nowhere", "", "").await;
    site.wait_for(|status| status["dead_letter_queue"]["visible"] == 1).await;
    site.wait_for(|status| status["waiting_groups"] == 1).await;
    site.set_delivery(false).await;
    site.wait_for(|status| status["queue"]["in_flight"] == 0).await;
    let log = site.file("engine.log");
    std::fs::rename(&log, site.file("engine.log.away")).unwrap();

    let missing = "engine.log";
    let refused = in_part(&site, &["refused", "local"]).await;
    says(&refused, missing);
    let text = site.operate(&["refused", "local"]).await;
    assert!(text.stdout.contains("as far as it could be read"), "{}", text.stdout);
    assert!(text.stderr.contains("unknown: what else was refused (engine.log"), "{}", text.stderr);

    let blocked = in_part(&site, &["blocked", "local", "--rejected"]).await;
    says(&blocked, missing);
    assert_eq!(blocked["groups"][0]["event_id"], id, "it may wait for a decision: {blocked:#}");
    says(&in_part(&site, &["show", "local", &id]).await, missing);
    says(&in_part(&site, &["trace", "local", &id]).await, missing);
    says(&in_part(&site, &["dlq", "show", "local", &dead]).await, missing);
    let nothing = site.operate(&["show", "local", "order-9"]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("unknown: "), "{}", nothing.stderr);
    let checks = in_part(&site, &["doctor", "local"]).await;
    let of_log =
        checks["checks"].as_array().unwrap().iter().find(|it| it["name"] == "log").unwrap();
    assert_eq!(of_log["verdict"], "warn", "{of_log:#}");

    // What is written from now on is there again, and the log says what is not.
    site.refused("GET", "/other", "", "").await;
    let refused = loop {
        let refused = in_part(&site, &["refused", "local"]).await;
        if refused["requests"] != json!([]) {
            break refused;
        }
    };
    assert_eq!(refused["requests"][0]["place"], "GET /other");
    says(&refused, "engine.log: what came before it has been moved away or removed (before 20");
    // Of a time behind it nothing is missing.
    let later = site.json(&["refused", "local", "--since", "2199-01-01T00:00:00Z"]).await;
    assert_eq!(later["unknown"], json!([]));
}

#[tokio::test]
async fn a_log_that_is_emptied_or_cannot_be_read_is_missed_as_well() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let id = site.post("/sqs-hook", "order-7", "1").await;
    site.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 1).await;
    // A folder in the place of a file is read by nobody, not even by root.
    std::fs::create_dir(site.file("engine.3.log")).unwrap();
    says(&in_part(&site, &["trace", "local", &id]).await, "engine.3.log cannot be read");
    std::fs::remove_dir(site.file("engine.3.log")).unwrap();
    assert_eq!(site.json(&["trace", "local", &id]).await["unknown"], json!([]));
    std::fs::write(site.file("engine.log"), "").unwrap();
    says(&in_part(&site, &["refused", "local"]).await, "engine.log has been emptied");
}

#[tokio::test]
async fn a_key_that_has_dead_letters_only_is_known_by_them() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(422));
    let site = Site::start(&service.url()).await;
    let first = site.post("/sqs-hook", "order-7", "1").await;
    let second = site.post("/sqs-hook", "order-7", "2").await;
    site.wait_for(|status| status["dead_letter_queue"]["visible"] == 2).await;
    let shown = site.json(&["show", "local", "order-7"]).await;
    assert_eq!((&shown["event_id"], &shown["state"]), (&json!(first), &json!("dead")));
    assert_eq!(shown["key"]["dead_letters"], 2, "{shown:#}");
    assert_eq!(shown["key"]["events"][1]["event_id"], second);
    let text = site.operate(&["show", "local", "order-7"]).await.stdout;
    assert!(text.contains("key order-7: nothing waits, 2 dead letters are there\n"), "{text}");
    for part in ["the first of them\nevent id", "class        rejected", "dlq redrive local "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A full disk or a crash leaves a part of a line.
#[tokio::test]
async fn what_the_audit_log_told_in_lines_that_are_torn_is_not_taken_for_nothing() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let log = async || site.operate(&["dlq", "log", "local"]).await;
    assert_eq!(site.operate(&["pause", "local", "--why", "test"]).await.code, Some(0));
    let (file, whole) = (site.file("audit.jsonl"), log().await);
    assert_eq!((whole.code, whole.stderr.as_str()), (Some(0), ""), "{}", whole.stdout);
    let lines = std::fs::read_to_string(&file).unwrap();
    for (torn, said) in [
        (format!("{{\"at\":\"2026\n{lines}"), "unknown: what 1 line of the audit log told"),
        (format!("{lines}{{\"at\":\"2026"), "unknown: what 1 line of the audit log told"),
        (format!("x\n{lines}{{}}\n"), "unknown: what 2 lines of the audit log told"),
    ] {
        std::fs::write(&file, torn).unwrap();
        let told = log().await;
        assert_eq!((told.code, &told.stdout), (Some(1), &whole.stdout), "{}", told.stderr);
        assert!(told.stderr.contains(said), "{}", told.stderr);
    }
    // None is left that can be read: nobody says that nothing was done.
    std::fs::write(&file, "x\n").unwrap();
    let told = log().await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{}", told.stderr);
}
