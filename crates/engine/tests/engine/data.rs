//! The commands on a data directory, and what the API shows of damaged messages.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::function::Function;
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

/// Something to write to that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// What it tells of is done, whoever listens: nobody is to think that a restore has failed.
#[test]
fn a_command_that_nobody_listens_to_has_done_its_work() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let function = Function::new("all ok");
    let executable = function.executable();
    let config_file = copies.path().join("config.json");
    std::fs::write(&config_file, config(json!({})).to_string()).unwrap();
    let program = Program::start(&config(json!({})), dir.path(), &executable);
    let api = program.api.clone();
    let run = |command: &mut Command, stdout: Stdio, stderr: Stdio| {
        let command = command.stdout(stdout).stderr(stderr).env_remove("CREDENTIALS_DIRECTORY");
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let check = |name: &str, command: &dyn Fn(usize) -> Command| {
        let heard = run(&mut command(0), closed(), Stdio::piped());
        assert_eq!(heard, (Some(0), String::new()), "{name}");
        assert_eq!(run(&mut command(1), closed(), closed()).0, Some(0), "{name}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (code, said) = run(&mut command(2), full.into(), Stdio::piped());
        let is_told = said.contains("it is done, but standard output takes nothing");
        assert!(code == Some(1) && is_told, "{name}: {code:?} {said}");
    };
    let engine = |arguments: &[&str], paths: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-engine"));
        command.args(arguments).args(paths);
        command
    };
    check("check-config", &|_| {
        let mut command = engine(&["check-config", "--config"], &[&config_file]);
        command.arg("--forwarder").arg(&executable);
        command
    });
    check("health", &|_| engine(&["health", "--api", &api], &[]));
    let copy = |name: &str, number: usize| copies.path().join(format!("{name}-{number}.db"));
    check("backup", &|number| {
        engine(&["backup", "--data-dir"], &[dir.path(), &copy("text", number)])
    });
    check("backup --json", &|number| {
        engine(&["backup", "--json", "--data-dir"], &[dir.path(), &copy("json", number)])
    });
    assert!(program.terminate().success());
    check("restore", &|number| {
        engine(&["restore", "--replace", "--data-dir"], &[dir.path(), &copy("text", number)])
    });
    check("compact", &|_| engine(&["compact", "--data-dir"], &[dir.path()]));
    // A reason that nobody hears.
    let mut command = engine(&["compact", "--data-dir", "/nowhere"], &[]);
    assert_eq!(run(&mut command, closed(), closed()).0, Some(3));
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
