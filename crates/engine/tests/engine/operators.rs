//! What operators ask the engine to keep: the list of skips and the audit log; and its own log.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use engine::Engine;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{api_client, config, options};

async fn ask(engine: &Engine, path: &str, body: Option<&Value>) -> (u16, String) {
    let url = format!("http://{}/_engine/{path}", engine.api_address());
    let client = api_client(engine.access_key_id());
    let request = match body {
        Some(body) => client.post(url).body(body.to_string()),
        None => client.get(url),
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn list(entries: &[(&str, &str)]) -> Value {
    let entries: serde_json::Map<String, Value> = entries
        .iter()
        .map(|(event_id, sequence)| ((*event_id).to_owned(), json!(sequence)))
        .collect();
    json!({ "skips": entries })
}

async fn start(dir: &std::path::Path) -> Engine {
    Engine::start(options(&config(json!({})), Some(dir))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_are_all_kept_for_the_engine_s_user_only() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(start(dir.path()).await);
    let ids: Vec<String> = (10..30).map(|n| format!("e-{n}")).collect();
    let mut changes = JoinSet::new();
    for id in ids.clone() {
        let engine = Arc::clone(&engine);
        let change = json!({ "add": list(&[(&id, "1")]) });
        changes.spawn(async move { ask(&engine, "skips", Some(&change)).await });
    }
    for (status, body) in changes.join_all().await {
        assert_eq!(status, 200, "{body}");
    }
    let all: Vec<_> = ids.iter().map(|id| (id.as_str(), "1")).collect();
    let kept = |(status, body): (u16, String)| {
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()
    };
    assert_eq!(kept(ask(&engine, "skips", None).await), list(&all));
    let file = dir.path().join("skips.json");
    assert_eq!(
        serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap(),
        list(&all)
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // What is taken back is what was seen: not what somebody else asked for since.
    let change = json!({ "remove": list(&[("e-10", "1"), ("e-11", "7")]) });
    assert_eq!(kept(ask(&engine, "skips", Some(&change)).await), list(&all[1..]));
}

#[tokio::test]
async fn a_list_that_cannot_be_kept_is_refused_and_the_one_before_stays() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path()).await;
    let change = json!({ "add": list(&[("e-1", "1")]) });
    assert_eq!(ask(&engine, "skips", Some(&change)).await.0, 200);
    let long = "x".repeat(5_000);
    let (status, body) =
        ask(&engine, "skips", Some(&json!({ "add": list(&[(&long, "1")]) }))).await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("2 skips take 50"), "{body}");
    for wrong in
        [json!([]), json!({ "add": {}, "more": 1 }), json!({ "add": { "skips": { "e": 1 } } })]
    {
        let (status, body) = ask(&engine, "skips", Some(&wrong)).await;
        assert_eq!(status, 400, "{body}");
    }
    assert_eq!(ask(&engine, "skips", None).await.1, list(&[("e-1", "1")]).to_string());

    let file = dir.path().join("skips.json");
    std::fs::write(&file, "[]").unwrap();
    let (status, body) = ask(&engine, "skips", Some(&change)).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("skips.json: the list of skips is not one"), "{body}");
    assert_eq!(std::fs::read(&file).unwrap(), b"[]", "other hands wrote it");
}

#[tokio::test]
async fn what_was_done_is_kept_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path()).await;
    assert_eq!(ask(&engine, "audit", None).await, (200, String::new()));
    for action in ["pause", "dlq drop"] {
        let line = json!({ "action": action, "reason": "two\nlines" });
        assert_eq!(ask(&engine, "audit", Some(&line)).await.0, 200);
    }
    assert_eq!(ask(&engine, "audit", Some(&json!("a line"))).await.0, 400);
    let lines = ask(&engine, "audit", None).await.1;
    let actions: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["action"].clone())
        .collect();
    assert_eq!(actions, ["pause", "dlq drop"]);
    let mode = std::fs::metadata(dir.path().join("audit.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_shown_from_the_oldest_and_of_an_event_what_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let line = |event_id: &str, n: u32| json!({ "event_id": event_id, "n": n }).to_string() + "\n";
    // More than is sent at a time.
    let old: String =
        (0..5_000).map(|n| line(if n % 2 == 0 { "e \"1\"" } else { "e-2" }, n)).collect();
    std::fs::write(dir.path().join("engine.1.log"), &old).unwrap();
    std::fs::write(dir.path().join("engine.log"), line("e-2", 5_000)).unwrap();
    let engine = start(dir.path()).await;
    let all = ask(&engine, "log", None).await.1;
    assert!(all.starts_with(&(old + &line("e-2", 5_000))), "{} bytes", all.len());
    let numbers = |text: &str| -> Vec<u64> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut lines: Vec<Value> = lines.collect();
        assert!(lines.pop().unwrap()["log_read"].is_array(), "it is read to its end");
        lines.iter().map(|line| line["n"].as_u64().unwrap()).collect()
    };
    let one = ask(&engine, "log/e%20%221%22", None).await.1;
    assert_eq!(numbers(&one), (0..5_000).step_by(2).collect::<Vec<_>>());
    assert_eq!(numbers(&ask(&engine, "log/nobody", None).await.1), [0; 0]);
}

#[tokio::test]
async fn it_tells_of_itself_what_its_file_tells() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(&config(json!({})), Some(dir.path()));
    options.start_command = Some("systemctl start q.service".to_owned());
    options.config_file = Some("/etc/q/config.json".into());
    let engine = Engine::start(options).await.unwrap();
    let about: Value = serde_json::from_str(&ask(&engine, "about", None).await.1).unwrap();
    let file = std::fs::read(dir.path().join("engine.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    for name in
        ["environment", "queue_url", "dead_letter_queue_url", "start_command", "config_file"]
    {
        assert!(file[name].is_string(), "{name} in {file}");
        assert_eq!(about[name], file[name], "{name}");
    }
    let inode = std::fs::metadata(dir.path()).unwrap().ino();
    assert_eq!((&about["data_dir_inode"], &file["data_dir_inode"]), (&json!(inode), &json!(inode)));
    assert_eq!(about.get("access_key_id"), None);
}
