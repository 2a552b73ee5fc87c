//! The commands on a data directory, and what the API shows of damaged messages.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::program::Program;
use crate::support::{api_client, config, http_client, options, post, post_to};

fn webhook_engine(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-engine"));
    command.args(arguments).args(paths).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_copy_is_made_while_it_runs_and_put_back_while_it_does_not() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data_dir, file) = (dir.path().join("data"), copies.path().join("copy.db"));
    let config = config(json!({}));
    let empty = webhook_engine(&["backup", "--data-dir"], &[&data_dir, &file]);
    assert_eq!(empty.status.code(), Some(3), "{}", stderr(&empty));

    let program = Program::start(&config, &data_dir, Path::new("/nowhere"));
    let client = http_client();
    assert_eq!(post_to(&client, &program.ingest, "k", "1".to_owned()).await.unwrap(), 200);
    let made = webhook_engine(&["backup", "--json", "--data-dir"], &[&data_dir, &file]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["messages"], json!({ "test-webhook.fifo": 1, "test-webhook-dlq.fifo": 0 }));
    let again = webhook_engine(&["backup", "--data-dir"], &[&data_dir, &file]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("nothing is overwritten"), "{}", stderr(&again));

    assert_eq!(post_to(&client, &program.ingest, "k", "2".to_owned()).await.unwrap(), 200);
    let running = webhook_engine(&["restore", "--replace", "--data-dir"], &[&data_dir, &file]);
    assert_eq!(running.status.code(), Some(3));
    assert!(stderr(&running).contains("in use by another engine"), "{}", stderr(&running));
    assert!(program.terminate().success());
    let there = webhook_engine(&["restore", "--data-dir"], &[&data_dir, &file]);
    assert_eq!(there.status.code(), Some(1));
    assert!(stderr(&there).contains("--replace"), "{}", stderr(&there));
    let restored = webhook_engine(&["restore", "--replace", "--data-dir"], &[&data_dir, &file]);
    let said = String::from_utf8(restored.stdout.clone()).unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert!(said.contains("test-webhook.fifo  1") && said.contains("delivered again"), "{said}");
    let compacted = webhook_engine(&["compact", "--data-dir"], &[&data_dir]);
    assert!(compacted.status.success(), "{}", stderr(&compacted));

    let program = Program::start(&config, &data_dir, Path::new("/nowhere"));
    assert_eq!(program.status().await["queue"]["visible"], 1);
    assert!(program.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_messages_are_shown_and_dropped_over_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let engine = engine::Engine::start(options(&config, Some(dir.path()))).await.unwrap();
    let client = http_client();
    for body in ["first", "second"] {
        assert_eq!(post(&client, &engine, "k", body.to_owned()).await, 200);
    }
    engine.stop().await;
    let database = rusqlite::Connection::open(dir.path().join("queues.db")).unwrap();
    database.execute_batch("UPDATE message SET body = 'changed' WHERE body = 'first'").unwrap();
    database.close().unwrap();

    let engine = engine::Engine::start(options(&config, Some(dir.path()))).await.unwrap();
    let request = engine::store::ReceiveRequest::default();
    assert_eq!(engine.store().receive("test-webhook.fifo", request).await.unwrap(), []);
    let api = api_client(engine.access_key_id());
    let url = format!("http://{}/_engine/damaged", engine.api_address());
    let get = async |url: &str| -> Value {
        serde_json::from_slice(&api.get(url).send().await.unwrap().bytes().await.unwrap()).unwrap()
    };
    let list = get(&url).await;
    let damaged = &list["damaged"][0];
    assert_eq!((&damaged["group"], &damaged["behind"]), (&json!("k"), &json!(1)), "{list}");
    let one = format!("{url}/{}", damaged["sequence"].as_str().unwrap());
    assert_eq!(get(&one).await["body_base64"], "Y2hhbmdlZA==");
    assert_eq!(http_client().delete(&one).send().await.unwrap().status(), 403, "it wants the key");
    assert_eq!(api.delete(&one).send().await.unwrap().status(), 200);
    assert_eq!(api.delete(&one).send().await.unwrap().status(), 404);
    assert_eq!(api.get(format!("{url}/none")).send().await.unwrap().status(), 404);
    let request = engine::store::ReceiveRequest::default();
    let next = engine.store().receive("test-webhook.fifo", request).await.unwrap();
    assert_eq!(next[0].body, "second");
    engine.stop().await;
}
