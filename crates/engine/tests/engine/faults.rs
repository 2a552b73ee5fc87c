//! What may go wrong on one machine: nothing accepted is lost, a key's order holds, and what repeats
//! is what was in flight.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use domain::config::Config;
use domain::time::Timestamp;
use engine::clock::{ManualClock, SystemClock};
use engine::store::{ReceiveRequest, Store};
use engine::{Engine, EngineOptions, Failure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::function::Function;
use crate::support::program::Program;
use crate::support::{LogLines, config, get, options, post, post_to};

const QUEUE: &str = "test-webhook.fifo";
const DEAD_LETTER_QUEUE: &str = "test-webhook-dlq.fifo";

/// Checks that first deliveries are in order per key; bodies are `KEY-NUMBER`.
pub(crate) fn check_order(record: &[String]) {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    let mut seen = HashSet::new();
    for body in record.iter().filter(|body| seen.insert(body.as_str())) {
        let (key, number) = body.split_once('-').unwrap();
        let number: u32 = number.parse().unwrap();
        let earlier = last.insert(key, number);
        assert!(earlier < Some(number), "{body} after {earlier:?} in {record:?}");
    }
}

/// All messages of a queue in a data directory that no engine holds, oldest first.
async fn stored(data_dir: &Path, queue: &str) -> Vec<String> {
    let store = Store::open(data_dir, Arc::new(SystemClock::new())).unwrap();
    let request = ReceiveRequest { max_messages: 10, ..ReceiveRequest::default() };
    let mut bodies = Vec::new();
    loop {
        let messages = store.receive(queue, request.clone()).await.unwrap();
        if messages.is_empty() {
            store.close().await;
            return bodies;
        }
        let handles = messages.iter().map(|message| message.receipt_handle.clone()).collect();
        store.delete_batch(queue, handles).await.unwrap();
        bodies.extend(messages.into_iter().map(|message| message.body));
    }
}

/// Posts to `key` until the engine is gone; gives the bodies that were accepted.
async fn post_until_gone(ingest: String, key: String) -> Vec<String> {
    let client = crate::support::http_client();
    let mut accepted = Vec::new();
    for number in 0.. {
        let body = format!("{key}-{number}");
        match post_to(&client, &ingest, &key, body.clone()).await {
            Ok(200) => accepted.push(body),
            Ok(status) => panic!("{body} was answered {status}"),
            Err(_gone) => break,
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_killed_while_it_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let mut accepted = HashSet::new();
    for round in 0..3 {
        // No function: what was accepted stays, to be counted.
        let program = Program::start(&config, dir.path(), Path::new("/nowhere"));
        let mut posters = JoinSet::new();
        for key in 0..8 {
            posters.spawn(post_until_gone(program.ingest.clone(), format!("r{round}k{key}")));
        }
        let full = |status: Value| status["ingest"]["accepted"].as_u64().unwrap() >= 300;
        program.wait_for_status(full).await;
        program.kill();
        accepted.extend(posters.join_all().await.into_iter().flatten());
    }
    assert!(accepted.len() >= 900);
    let stored = stored(dir.path(), QUEUE).await;
    check_order(&stored);
    let found: HashSet<String> = stored.iter().cloned().collect();
    assert_eq!(found.len(), stored.len(), "nothing is there twice");
    let lost: Vec<&String> = accepted.difference(&found).collect();
    assert_eq!(lost, Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_killed_while_it_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({ "forwarder": { "max_concurrency": 3, "batch_size": 4 } }));
    let function = Function::new("");
    let keys = 6;
    let mut accepted = Vec::new();
    let mut kills = 0;
    for round in 0..4 {
        let program = Program::start(&config, dir.path(), &function.executable());
        let client = crate::support::http_client();
        for number in round * 20..(round + 1) * 20 {
            for key in 0..keys {
                let body = format!("k{key}-{number}");
                let status =
                    post_to(&client, &program.ingest, &format!("k{key}"), body.clone()).await;
                assert_eq!(status.unwrap(), 200);
                accepted.push(body);
            }
        }
        program.kill();
        kills += 1;
    }
    let program = Program::start(&config, dir.path(), &function.executable());
    let all = |record: &[String]| record.iter().collect::<HashSet<_>>().len() == accepted.len();
    let record = function.wait_for(all).await;
    program.wait_for_status(|status| status["queue"]["visible"] == 0).await;
    check_order(&record);
    let repeats = record.len() - accepted.len();
    let in_flight_most = kills * 3 * 4;
    assert!(repeats <= in_flight_most, "{repeats} repeats");
    assert!(program.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_killed_while_it_moves_dead_letters_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let program = Program::start(&config, dir.path(), Path::new("/nowhere"));
    let mut sent = Vec::new();
    for number in 0..600 {
        let (key, body) = (format!("k{}", number % 5), format!("k{}-{number}", number % 5));
        program.send_message(DEAD_LETTER_QUEUE, &key, &body).await;
        sent.push(body);
    }
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let task = json!({
        "SourceArn": arn(DEAD_LETTER_QUEUE), "DestinationArn": arn(QUEUE),
        "MaxNumberOfMessagesPerSecond": 500,
    });
    program.sqs("StartMessageMoveTask", &task).await;
    let half_way = |status: Value| status["queue"]["visible"].as_u64().unwrap() >= 20;
    program.wait_for_status(half_way).await;
    program.kill();

    let program = Program::start(&config, dir.path(), Path::new("/nowhere"));
    program.wait_for_status(|status| status["dead_letter_queue"]["visible"] == 0).await;
    program.kill();
    let mut moved = stored(dir.path(), QUEUE).await;
    check_order(&moved);
    moved.sort();
    sent.sort();
    assert_eq!(moved, sent, "everything, and once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_killed_while_messages_become_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    // Few receives, and a schedule that cannot come to more.
    let config = config(json!({
        "queue": { "max_receive_count": 5 },
        "routes": { "sss": {
            "give_up_after_seconds": 1, "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 1 },
        } },
        "forwarder": { "batch_size": 1 },
    }));
    let program = Program::start(&config, dir.path(), Path::new("/nowhere"));
    let mut sent = Vec::new();
    let client = crate::support::http_client();
    for number in 0..200 {
        let (key, body) = (format!("k{}", number % 40), format!("k{}-{number}", number % 40));
        assert_eq!(post_to(&client, &program.ingest, &key, body.clone()).await.unwrap(), 200);
        sent.push(body);
    }
    let receive = json!({
        "QueueUrl": program.queue_url(QUEUE), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0,
    });
    let dead = async |program: &Program| {
        program.status().await["dead_letter_queue"]["visible"].as_u64().unwrap()
    };
    while dead(&program).await < 40 {
        program.sqs("ReceiveMessage", &receive).await;
    }
    // Killed while requests are under way.
    let mut receivers = JoinSet::new();
    for _ in 0..4 {
        receivers.spawn(program.sqs_until_gone("ReceiveMessage", receive.clone()));
    }
    program
        .wait_for_status(|status| status["dead_letter_queue"]["visible"].as_u64() >= Some(80))
        .await;
    program.kill();
    receivers.join_all().await;
    // The queue first: to receive what was received five times already makes a dead letter of it.
    let waiting = stored(dir.path(), QUEUE).await;
    check_order(&waiting);
    let (dead, mut all) = (stored(dir.path(), DEAD_LETTER_QUEUE).await, Vec::new());
    check_order(&dead);
    assert!(dead.len() >= 80);
    all.extend(dead);
    all.extend(waiting);
    all.sort();
    sent.sort();
    assert_eq!(all, sent, "everything is in one of the queues, and once");
}

#[tokio::test]
async fn a_killed_function_costs_its_batch_a_visibility_timeout_and_nothing_else() {
    let (function, log) = (Function::new("k1-0 hang"), LogLines::default());
    let changes = json!({ "forwarder": { "batch_size": 1 } });
    let mut options = options(&config(changes), None);
    options.forwarder = Some(function.executable());
    options.log = Box::new(log.clone());
    let engine = Engine::start(options).await.unwrap();
    let client = crate::support::http_client();
    for body in ["k1-0", "k1-1"] {
        assert_eq!(post(&client, &engine, "k1", body.to_owned()).await, 200);
    }
    function.wait_for(|record| record.len() == 1).await;
    function.set_script("");
    let pids = log.all().into_iter().filter(|line| line["message"] == "forwarder_started");
    for pid in pids.map(|line| line["pid"].to_string()) {
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    }
    log.wait_for("invocation failed", |line| {
        line["error"] == "the process ended while it worked on the batch"
    })
    .await;
    assert_eq!(post(&client, &engine, "k2", "k2-0".to_owned()).await, 200);
    let record = function.wait_for(|record| record.len() >= 4).await;
    assert_eq!(record, ["k1-0", "k2-0", "k1-0", "k1-1"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (function, log) = (Function::new(""), LogLines::default());
    let mut options = options(&config(json!({})), Some(dir.path()));
    options.forwarder = Some(function.executable());
    options.log = Box::new(log.clone());
    let engine = Engine::start(options).await.unwrap();
    let client = crate::support::http_client();
    let mut accepted = Vec::new();
    for number in 0..3 {
        let body = format!("k-{number}");
        assert_eq!(post(&client, &engine, "k", body.clone()).await, 200);
        accepted.push(body);
    }
    let faults = engine.store().faults();
    faults.set_commits_fail(true);
    let url = format!("http://{}/sqs-hook", engine.ingest_address());
    let refused = client.post(&url).header("x-key", "k").body("k-3").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(get(&engine, "health").await["storage"], "failing");
    log.wait_for("storage failed", |_| true).await;
    assert_eq!(log.count("refused"), 0, "one line says it for all of them");
    // A load balancer sends nothing any more, and asks until it may again.
    let health = async || crate::support::healthz(&client, &engine).await;
    assert_eq!(health().await, (503, json!({ "storage": "failing" })));
    faults.set_commits_fail(false);
    assert_eq!(health().await, (200, json!({ "storage": "ok" })));
    assert_eq!(get(&engine, "health").await["storage"], "ok");
    assert_eq!(post(&client, &engine, "k", "k-4".to_owned()).await, 200);
    accepted.push("k-4".to_owned());
    log.wait_for("storage works again", |_| true).await;
    let last = |record: &[String]| record.last() == accepted.last();
    let record = function.wait_for(last).await;
    check_order(&record);
    let found: HashSet<&String> = record.iter().collect();
    assert!(accepted.iter().all(|body| found.contains(body)), "{record:?}");
    assert!(!found.contains(&"k-3".to_owned()), "what was refused is not delivered");
    drop(faults);
    engine.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let function = Function::new("");
    let client = crate::support::http_client();
    let day_ms = 24 * 60 * 60 * 1_000;
    for (round, time_ms) in [10 * day_ms, 9 * day_ms].into_iter().enumerate() {
        let mut options = options(&config(json!({})), Some(dir.path()));
        options.clock = Arc::new(ManualClock::at(Timestamp::from_ms(time_ms)));
        options.forwarder = (round == 1).then(|| function.executable());
        let engine = Engine::start(options).await.unwrap();
        for number in round * 5..(round + 1) * 5 {
            assert_eq!(post(&client, &engine, "k", format!("k-{number}")).await, 200);
        }
        if round == 1 {
            let record = function.wait_for(|record| record.len() >= 10).await;
            assert_eq!(record.len(), 10);
            check_order(&record);
        }
        engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_do_not_share_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let program = Program::start(&config, dir.path(), Path::new("/nowhere"));
    let refusal = Program::refused(&config, dir.path(), Path::new("/nowhere"));
    assert_eq!(refusal.code, Some(3), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("is in use by another engine"), "{}", refusal.stderr);
    assert!(program.terminate().success());
    assert!(Program::start(&config, dir.path(), Path::new("/nowhere")).terminate().success());
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let program = Program::start(&config, dir.path(), Path::new("/nowhere"));
    for number in 0..200 {
        program.send_message(QUEUE, "k", &format!("k-{number}")).await;
    }
    assert!(program.terminate().success());
    let file = dir.path().join("queues.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
    // Once it has found the damage it ends by itself; the next one looks first.
    for _ in 0..2 {
        let refusal = Program::refused(&config, dir.path(), Path::new("/nowhere"));
        assert_eq!(refusal.code, Some(3), "{}", refusal.stderr);
        assert!(refusal.stderr.contains("queues.db is damaged"), "{}", refusal.stderr);
    }
    assert!(std::fs::read(&file).unwrap() == bytes, "the file was changed");
}

#[tokio::test]
async fn a_terminal_whose_reader_has_stopped_neither_ends_the_log_nor_keeps_the_engine_from_ending()
{
    const EVENTS: usize = 600; // With lines of 200 bytes, more than a pipe holds.
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    let (program, unread) = Program::start_unread(&config, dir.path(), Path::new("/nowhere"));
    let client = crate::support::http_client();
    for number in 0..EVENTS {
        let body = format!("{number:0>120}");
        assert_eq!(post_to(&client, &program.ingest, &body, "e".to_owned()).await.unwrap(), 200);
    }
    assert!(program.terminate().success());
    let log = std::fs::read_to_string(dir.path().join("engine.log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("\"accepted\"")).count(), EVENTS);
    assert!(log.contains("\"stopped\""));
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_store_has_died_says_so() {
    let config = Config::parse(&config(json!({})).to_string()).unwrap();
    let engine = Engine::start(EngineOptions::in_memory(config)).await.unwrap();
    engine.store().faults().make_writer_panic();
    let client = crate::support::http_client();
    assert_eq!(post(&client, &engine, "k", "1".to_owned()).await, 503);
    assert_eq!(engine.failed().await, Failure::Panicked("store"));
}
