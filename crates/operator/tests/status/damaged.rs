//! `damaged`: what is set aside, and how its key goes on.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Service, Site};

/// Of key `order-7` the first of three events is not what was accepted, of `order-8` the only one, and
/// `order-9` is well; all are found, and what can be delivered is.
async fn site(service: &Service) -> (Site, Vec<String>) {
    let site = Site::start(&service.url()).await;
    site.set_delivery(false).await;
    let mut ids = Vec::new();
    for (key, body) in [("7", "1"), ("7", "2"), ("7", "3"), ("8", "4"), ("9", "5")] {
        ids.push(site.post("/sqs-hook", &format!("order-{key}"), body).await);
    }
    let site = site
        .with_changed_database(
            "UPDATE message SET body = 'changed' WHERE body = '1';
             UPDATE message SET body = CAST(X'61ff62' AS TEXT), attributes = CAST(X'ff' AS TEXT)
             WHERE body = '4'",
        )
        .await;
    site.set_delivery(true).await;
    site.wait_for(|status| {
        status["queue"]["damaged"] == 2 && status["loss_meter"]["routes"]["sss"]["delivered"] == 1
    })
    .await;
    (site, ids)
}

async fn damaged(site: &Site) -> Vec<Value> {
    let listed = site.json(&["damaged", "list", "local"]).await;
    assert_eq!(listed["environment"], "local");
    listed["damaged"].as_array().unwrap().clone()
}

fn number(damaged: &Value) -> &str {
    damaged["sequence"].as_str().unwrap()
}

#[tokio::test]
async fn a_damaged_event_is_listed_with_what_waits_behind_it_and_how_to_go_on() {
    let service = Service::anywhere().await;
    let (site, ids) = site(&service).await;
    let [first, other] = damaged(&site).await.try_into().unwrap();
    assert_eq!((&first["event_id"], &first["group"]), (&json!(ids[0]), &json!("order-7")));
    assert_eq!((&first["behind"], &other["behind"]), (&json!(2), &json!(0)));
    assert!(first["accepted_at"].is_string() && first["queue"].is_string(), "{first}");
    assert_ne!(other["event_id"], ids[3], "nothing of it can be read");

    let listed = site.operate(&["damaged", "list", "local"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    for said in [number(&first), number(&other), &ids[0], "order-8", "damaged drop local NUMBER"] {
        assert!(listed.stdout.contains(said), "{said}: {}", listed.stdout);
    }
    // Whatever else looks at the environment says which command that is.
    for (command, code) in [("status", 0), ("doctor", 1)] {
        let looked = site.operate(&[command, "local"]).await;
        assert_eq!(looked.code, Some(code), "{command}: {}", looked.stderr);
        assert!(looked.stdout.contains("damaged list local"), "{command}: {}", looked.stdout);
    }
    assert_eq!(service.delivered(), ["5"]);
}

#[tokio::test]
async fn what_is_left_of_it_is_written_and_it_stays() {
    let service = Service::anywhere().await;
    let (site, _ids) = site(&service).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged.jsonl");
    let export = ["damaged", "export", "local", file.to_str().unwrap()];
    let exported = site.operate(&export).await;
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    assert!(exported.stdout.starts_with("2 damaged events written to "), "{}", exported.stdout);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let lines = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let bodies: Vec<_> = lines.iter().map(|line| line["body_base64"].clone()).collect();
    assert_eq!(bodies, ["Y2hhbmdlZA==", "Yf9i"]);
    assert_eq!(lines[1]["attributes_base64"], "/w==");
    assert_eq!(damaged(&site).await.len(), 2);

    let again = site.operate(&export).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let on_stdout = site.operate(&["damaged", "export", "local", "-"]).await;
    assert_eq!(on_stdout.stdout.lines().count(), 2, "nothing but events: {}", on_stdout.stdout);
}

#[tokio::test]
async fn what_is_dropped_is_in_a_file_and_in_the_audit_log_and_its_key_goes_on() {
    let service = Service::anywhere().await;
    let (site, ids) = site(&service).await;
    let [first, other] = damaged(&site).await.try_into().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged.jsonl");
    let file = file.to_str().unwrap();
    let drop = ["damaged", "drop", "local", number(&first), "--export", file];

    // Nothing that was not meant, and nothing unasked.
    let not_done: [(&[&str], i32, &str); 5] = [
        (&["--why", "sda is broken"], 2, "--yes answers"),
        (&[], 2, "--why"),
        (&["1", "--why", "test", "--yes"], 2, "no damaged event has the number 1"),
        (&["--all", "--why", "test", "--yes"], 2, "cannot be used with"),
        (&["--dry-run"], 0, ""),
    ];
    for (more, code, said) in not_done {
        let refused = site.operate(&[&drop, more].concat()).await;
        assert_eq!(refused.code, Some(code), "{more:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{more:?}: {}", refused.stderr);
    }
    assert_eq!(damaged(&site).await.len(), 2);
    assert!(!std::fs::exists(file).unwrap());
    let log = site.operate(&["dlq", "log", "local", "--json"]).await;
    assert_eq!(log.stdout, "", "nothing was begun");

    let done = site.operate(&[&drop[..], &["--why", "sda is broken", "--yes"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.starts_with("dropped 1 damaged event, written to "), "{}", done.stdout);
    assert!(done.stderr.contains("of key order-7, 2 events behind"), "{}", done.stderr);
    let written = std::fs::read_to_string(file).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&written["sequence"], &written["event_id"]), (&first["sequence"], &json!(ids[0])));
    site.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 3).await;
    assert_eq!(service.delivered(), ["5", "2", "3"]);

    let log = site.operate(&["dlq", "log", "local", "--json"]).await.stdout;
    let log: Vec<Value> = log.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let told = |line: &Value| (line["action"].clone(), line["reason"].clone());
    let act = (json!("damaged drop"), json!("sda is broken"));
    assert_eq!(log.iter().map(told).collect::<Vec<_>>(), [act.clone(), act]);
    assert_eq!(log[0]["what"]["sequence_numbers"], json!([first["sequence"]]));
    assert_eq!(log[1]["what"]["dropped"], json!([first["sequence"]]));
    let [left] = damaged(&site).await.try_into().unwrap();
    assert_eq!(left["sequence"], other["sequence"]);
    // Who asks for the event finds that it was dropped.
    let trace = site.operate(&["trace", "local", &ids[0]]).await;
    assert!(trace.stdout.contains("damaged drop"), "{}", trace.stdout);

    let all = ["damaged", "drop", "local", "--all", "--why", "test", "--yes", "--export", "-"];
    let refused = site.operate(&[&all[..], &["--json"]].concat()).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    let done = site.operate(&all).await;
    assert_eq!((done.code, done.stdout.lines().count()), (Some(0), 1), "{}", done.stderr);
    assert_eq!(damaged(&site).await, [Value::Null; 0]);
    let none = site.operate(&["damaged", "list", "local"]).await;
    assert!(none.stdout.starts_with("no event was found damaged"), "{}", none.stdout);
    let nothing = site.operate(&all[..7]).await;
    assert_eq!(nothing.stdout, "would drop 0 damaged events; nothing was changed\n");
}

/// The audit log comes first.
#[tokio::test]
async fn nothing_is_dropped_that_is_not_noted() {
    let service = Service::anywhere().await;
    let (site, _ids) = site(&service).await;
    std::fs::create_dir(site.file("audit.jsonl")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (one, other) = (file("1"), file("2"));
    let drop = ["damaged", "drop", "local", "--all", "--why", "test", "--yes", "--export"];
    let refused = site.operate(&[&drop[..], &[one.as_str()]].concat()).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("nothing was dropped"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--without-audit"), "{}", refused.stderr);
    assert_eq!(damaged(&site).await.len(), 2);
    let done = site.operate(&[&drop[..], &[other.as_str(), "--without-audit"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("keep this line:"), "{}", done.stderr);
    assert_eq!(damaged(&site).await, [Value::Null; 0]);
}

/// Nothing goes through a file that its user would have to share with the engine's.
#[tokio::test]
async fn another_user_than_the_engine_s_drops_over_its_api() {
    let service = Service::anywhere().await;
    let (site, _ids) = site(&service).await;
    let drop = ["damaged", "drop", "local", "--all", "--why", "test", "--yes", "--export", "-"];
    let Some(done) = site.operate_as_nobody(&drop).await else { return };
    assert_eq!((done.code, done.stdout.lines().count()), (Some(0), 2), "{}", done.stderr);
    assert_eq!(damaged(&site).await, [Value::Null; 0]);
}
