//! From the queue to the function and back, with real processes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::time::Timestamp;
use engine::clock::ManualClock;
use engine::store::ReceiveRequest;
use engine::{Engine, EngineError};
use serde_json::{Value, json};

use crate::support::function::Function;
use crate::support::{LogLines, config, get, options, post, post_to, set_enabled};

/// An engine in memory with a function that follows `script`.
async fn engine(script: &str, changes: serde_json::Value) -> (engine::Engine, Function, LogLines) {
    let (function, log) = (Function::new(script), LogLines::default());
    let mut options = options(&config(changes), None);
    options.forwarder = Some(function.executable());
    options.log = Box::new(log.clone());
    (engine::Engine::start(options).await.unwrap(), function, log)
}

/// An engine that keeps its data in `dir`.
async fn kept_engine(dir: &Path, function: &Function) -> Result<Engine, EngineError> {
    let mut options = options(&config(json!({})), Some(dir));
    options.forwarder = Some(function.executable());
    Engine::start(options).await
}

/// Waits for what the event source mapping says of itself.
async fn mapping(engine: &Engine, accepts: impl Fn(&Value) -> bool) -> Value {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let mapping = get(engine, "status").await["event_source_mapping"].take();
        if accepts(&mapping) {
            return mapping;
        }
        assert!(Instant::now() < limit, "{mapping}");
    }
}

/// An engine in `dir`, or in memory, whose clock stands still.
async fn on_a_clock(
    dir: Option<&Path>,
    function: Option<&Function>,
    clock: &Arc<ManualClock>,
) -> (Engine, LogLines) {
    let log = LogLines::default();
    let mut options = options(&config(json!({})), dir);
    options.forwarder = function.map(Function::executable);
    options.clock = Arc::<ManualClock>::clone(clock);
    options.log = Box::new(log.clone());
    (Engine::start(options).await.unwrap(), log)
}

/// Nothing becomes visible by itself here, as no time passes.
#[tokio::test]
async fn what_the_last_run_held_is_given_out_again_at_once_and_nothing_else() {
    let (dir, function) = (tempfile::tempdir().unwrap(), Function::new(""));
    let clock = Arc::new(ManualClock::at(Timestamp::from(SystemTime::now())));
    let (first, _log) = on_a_clock(Some(dir.path()), None, &clock).await;
    let client = crate::support::http_client();
    for (body, receiver) in [("held", Some("event-source-mapping")), ("another's", None)] {
        post(&client, &first, body, body.to_owned()).await;
        let receiver = receiver.map(str::to_owned);
        let request = ReceiveRequest { receiver, ..ReceiveRequest::default() };
        let messages = first.store().receive("test-webhook.fifo", request).await.unwrap();
        assert_eq!(messages[0].body, body);
    }
    first.stop().await;

    let (second, log) = on_a_clock(Some(dir.path()), Some(&function), &clock).await;
    log.wait_for("released what was in flight", |line| line["messages"] == 1).await;
    mapping(&second, |mapping| mapping["messages_deleted"] == 1).await;
    second.stop().await;
    assert_eq!(function.record(), ["held"]);
}

/// An engine whose function's two processes have ended after they asked for an event, and before one
/// took what there was. Processes after them follow `script`.
async fn not_taken(script: &str) -> (Engine, Function, LogLines, Arc<ManualClock>) {
    let function = Function::new("ask");
    let clock = Arc::new(ManualClock::at(Timestamp::from(SystemTime::now())));
    let (engine, log) = on_a_clock(None, Some(&function), &clock).await;
    log.wait_for_count("forwarder_started", 2).await;
    function.set_script("leave");
    function.wait_for(|record| record == ["left", "left"]).await;
    post(&crate::support::http_client(), &engine, "k", "x".to_owned()).await;
    mapping(&engine, |mapping| mapping["batches_in_flight"] == 1).await;
    function.set_script(script);
    log.wait_for_count("forwarder_exited", 2).await;
    (engine, function, log, clock)
}

#[tokio::test]
async fn a_batch_that_a_process_did_not_take_is_the_next_one_s() {
    let (engine, function, _log, _stands_still) = not_taken("").await;
    let mapping = mapping(&engine, |mapping| mapping["messages_deleted"] == 1).await;
    assert_eq!(mapping["invocations"], 1, "{mapping}");
    engine.stop().await;
    assert_eq!(function.record(), ["left", "left", "x"]);
}

/// Another process may have it by then.
#[tokio::test]
async fn a_batch_that_was_not_taken_in_time_is_received_again() {
    let (engine, function, log, clock) = not_taken("init not yet").await;
    log.wait_for("forwarder cannot start", |_| true).await;
    let visibility_timeout = Duration::from_secs(6 * 4);
    clock.advance(visibility_timeout);
    function.set_script("");
    log.wait_for_count("forwarder_started", 4).await;
    mapping(&engine, |mapping| mapping["messages_deleted"] == 1).await;
    engine.stop().await;
    assert_eq!(function.record(), ["left", "left", "x"], "{:#?}", log.all());
}

#[tokio::test]
async fn every_key_is_delivered_in_order() {
    let (engine, function, _log) = engine("", json!({})).await;
    let client = crate::support::http_client();
    for n in 0..40 {
        let status =
            post(&client, &engine, &format!("k{}", n % 4), format!("k{}-{n}", n % 4)).await;
        assert_eq!(status, 200);
    }
    let record = function.wait_for(|record| record.len() >= 40).await;
    for key in ["k0-", "k1-", "k2-", "k3-"] {
        let of_key: Vec<u32> =
            record.iter().filter_map(|body| body.strip_prefix(key)?.parse().ok()).collect();
        assert_eq!(of_key.len(), 10);
        assert!(of_key.is_sorted(), "{key}: {of_key:?}");
    }
    engine.stop().await;
    assert_eq!(function.record().len(), 40, "and once");
}

/// Ten of them are more than one invocation takes: they come in several, in order, and none is lost.
#[tokio::test]
async fn large_messages_are_delivered_in_order() {
    let (engine, function, _log) = engine("", json!({})).await;
    let client = crate::support::http_client();
    set_enabled(&engine, false).await;
    let body = |n: usize| format!("{n}{}", "x".repeat(1_000_000));
    for n in 0..10 {
        assert_eq!(post(&client, &engine, "k", body(n)).await, 200);
    }
    set_enabled(&engine, true).await;
    let record = function.wait_for(|record| record.len() >= 10).await;
    let order: Vec<&str> = record.iter().map(|body| &body[..1]).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let mapping = mapping(&engine, |mapping| mapping["messages_deleted"] == 10).await;
    assert!(mapping["invocations"].as_u64() > Some(1), "{mapping}");
    engine.stop().await;
    assert_eq!(function.record().len(), 10, "and once");
}

#[tokio::test]
async fn a_failed_message_comes_back_and_the_rest_does_not() {
    let changes = json!({ "forwarder": { "function_timeout_seconds": 4 } });
    let (engine, function, _log) = engine("bad keep", changes).await;
    let client = crate::support::http_client();
    set_enabled(&engine, false).await;
    for (key, body) in [("a", "good-1"), ("b", "bad"), ("c", "good-2")] {
        post(&client, &engine, key, body.to_owned()).await;
    }
    set_enabled(&engine, true).await;
    function.wait_for(|record| record.len() >= 3).await;
    function.set_script("");
    // Its visibility timeout, six function timeouts, is left alone.
    let record = function.wait_for(|record| record.len() >= 4).await;
    assert_eq!(record[3], "bad");
    engine.stop().await;
    assert_eq!(function.record().len(), 4);
}

#[tokio::test]
async fn errors_and_answers_that_make_no_sense_delete_nothing() {
    let changes = json!({ "forwarder": { "batch_size": 1 } });
    let (engine, function, log) = engine("e error\ng garbage", changes).await;
    let client = crate::support::http_client();
    post(&client, &engine, "k1", "e".to_owned()).await;
    post(&client, &engine, "k2", "g".to_owned()).await;
    log.wait_for("invocation failed", |line| line["error"] == "Test: as asked").await;
    log.wait_for("invocation failed", |line| line["error"] == "the response is not JSON").await;
    let status = get(&engine, "status").await;
    assert_eq!(status["queue"]["in_flight"], 2, "{status}");
    assert_eq!(status["event_source_mapping"]["messages_failed"], 2);
    engine.stop().await;
    assert_eq!(function.record().len(), 2);
}

#[tokio::test]
async fn a_function_that_ends_is_started_again_and_its_messages_come_back() {
    let (engine, function, log) = engine("x exit", json!({})).await;
    let client = crate::support::http_client();
    post(&client, &engine, "k", "x".to_owned()).await;
    let exited = log.wait_for("forwarder_exited", |_| true).await;
    assert_eq!(exited["status"], "exit status: 3");
    assert_eq!(exited["restart_in_ms"], 1_000);
    log.wait_for("forwarder_started", |line| line["pid"] == exited["pid"]).await;
    function.set_script("");
    function.wait_for(|record| record.len() == 2).await;
    log.wait_for("forwarder_started", |line| line["pid"] != exited["pid"]).await;
    engine.stop().await;
}

#[tokio::test]
async fn a_pause_ends_no_batch_and_begins_none_that_is_empty() {
    let (engine, function, log) = engine("", json!({})).await;
    log.wait_for_count("forwarder_started", 2).await;
    set_enabled(&engine, false).await;
    let url = format!("http://{}/_engine/pauses/another", engine.api_address());
    let api = crate::support::api_client(engine.access_key_id());
    let why = json!({ "by": "ops", "reason": "a test" }).to_string();
    assert!(api.put(&url).body(why).send().await.unwrap().status().is_success());
    assert!(api.delete(&url).send().await.unwrap().status().is_success());
    post(&crate::support::http_client(), &engine, "k", "x".to_owned()).await;
    set_enabled(&engine, true).await;
    let mapping = mapping(&engine, |mapping| mapping["messages_deleted"] == 1).await;
    assert_eq!(mapping["invocations"], 1, "{mapping}");
    assert_eq!(log.count("released what was in flight"), 0, "nothing was");
    // The second pause changed nothing.
    assert_eq!(log.count("event_source_mapping"), 2);
    engine.stop().await;
    assert_eq!(log.count("forwarder_exited"), 2, "whoever waits for the end waits for all of it");
    assert_eq!(function.record(), ["x"]);
}

#[tokio::test]
async fn what_waits_is_delivered_in_batches() {
    let (engine, function, _log) = engine("", json!({ "forwarder": { "batch_size": 10 } })).await;
    set_enabled(&engine, false).await;
    let client = crate::support::http_client();
    for n in 0..20 {
        post(&client, &engine, "k", n.to_string()).await;
    }
    set_enabled(&engine, true).await;
    let mapping = mapping(&engine, |mapping| mapping["messages_deleted"] == 20).await;
    let url = format!("http://{}/2015-03-31/event-source-mappings/", engine.api_address());
    let listed = crate::support::api_client(engine.access_key_id()).get(url).send().await.unwrap();
    let listed: Value = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    assert_eq!(listed["EventSourceMappings"][0]["BatchSize"], 10, "{listed}");
    // Two, unless one was under way when the pause began.
    assert!(mapping["invocations"].as_u64().unwrap() < 5, "{mapping}");
    assert_eq!(mapping["messages_failed"], 0, "{mapping}");
    engine.stop().await;
    assert_eq!(function.record().len(), 20);
}

/// An engine in memory on a clock that stands still, whose function was given `x` and whose storage takes
/// nothing from then on.
async fn delivered_while_storage_fails() -> (Engine, Function, LogLines, Arc<ManualClock>) {
    let function = Function::new("");
    let clock = Arc::new(ManualClock::at(Timestamp::from(SystemTime::now())));
    let (engine, log) = on_a_clock(None, Some(&function), &clock).await;
    set_enabled(&engine, false).await;
    post(&crate::support::http_client(), &engine, "k", "x".to_owned()).await;
    let faults = engine.store().faults();
    let mut receive = faults.hold_commits();
    set_enabled(&engine, true).await;
    receive.held().await;
    faults.set_commits_fail(true);
    drop(receive);
    function.wait_for(|record| record == ["x"]).await;
    log.wait_for("storage failed", |_| true).await;
    (engine, function, log, clock)
}

#[tokio::test]
async fn what_was_delivered_is_deleted_once_storage_works_again() {
    let (engine, function, log, _stands_still) = delivered_while_storage_fails().await;
    engine.store().faults().set_commits_fail(false);
    mapping(&engine, |mapping| mapping["messages_deleted"] == 1).await;
    engine.stop().await;
    assert_eq!((log.count("not deleted, comes again"), function.record().len()), (0, 1));
}

/// Another process may have it by then.
#[tokio::test]
async fn nobody_tries_to_delete_what_is_in_flight_no_more() {
    let (engine, _function, log, clock) = delivered_while_storage_fails().await;
    clock.advance(Duration::from_secs(6 * 4));
    let line = log.wait_for("not deleted, comes again", |_| true).await;
    assert_eq!(line["messages"], 1);
    engine.store().faults().set_commits_fail(false);
    engine.stop().await;
}

#[tokio::test]
async fn an_event_that_is_repeated_is_given_to_the_function_beside_the_queue() {
    let (engine, function, _log) = engine("", json!({ "keep_delivered": { "count": 10 } })).await;
    let client = crate::support::http_client();
    post(&client, &engine, "k", "x".to_owned()).await;
    mapping(&engine, |mapping| mapping["messages_deleted"] == 1).await;
    let (kept, _) = engine.store().kept_before("test-webhook.fifo", i64::MAX).await.unwrap();
    let url = format!("http://{}/_engine/repeat", engine.api_address());
    let client = crate::support::api_client(engine.access_key_id());
    let asked = json!({ "event_id": kept[0].event_id }).to_string();
    assert_eq!(client.post(url).body(asked).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(function.record(), ["x", "x"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_function_that_overruns_is_ended_and_its_messages_come_back() {
    let (engine, function, log) = engine("slow hang", json!({})).await;
    let client = crate::support::http_client();
    post(&client, &engine, "k", "slow".to_owned()).await;
    let failed = log.wait_for("invocation failed", |_| true).await;
    assert_eq!(failed["error"], "the function did not end within 4 s and was stopped");
    let exited = log.wait_for("forwarder_exited", |_| true).await;
    assert_eq!(exited["status"], "signal: 9 (SIGKILL)");
    function.set_script("");
    function.wait_for(|record| record == ["slow", "slow"]).await;
    engine.stop().await;
}

#[tokio::test]
async fn other_groups_go_on_while_one_hangs() {
    let changes = json!({ "forwarder": { "batch_size": 1 } });
    let (engine, function, _log) = engine("slow hang", changes).await;
    let client = crate::support::http_client();
    post(&client, &engine, "k1", "slow".to_owned()).await;
    function.wait_for(|record| record.len() == 1).await;
    post(&client, &engine, "k1", "behind".to_owned()).await;
    post(&client, &engine, "k2", "other".to_owned()).await;
    let record = function.wait_for(|record| record.len() >= 2).await;
    assert_eq!(record, ["slow", "other"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_function_that_cannot_start_says_so_once_and_is_tried_again() {
    let (engine, function, log) = engine("init QUEUE_URL is missing", json!({})).await;
    let line = log.wait_for("forwarder cannot start", |_| true).await;
    assert_eq!(line["error"], "QUEUE_URL is missing");
    assert_eq!(line["level"], "ERROR");
    let client = crate::support::http_client();
    assert_eq!(post(&client, &engine, "k", "kept".to_owned()).await, 200);
    assert_eq!(get(&engine, "health").await["forwarder"], "QUEUE_URL is missing");
    function.set_script("");
    function.wait_for(|record| record == ["kept"]).await;
    log.wait_for("forwarder works again", |_| true).await;
    assert_eq!(log.count("forwarder cannot start"), 1, "{:#?}", log.all());
    assert_eq!(get(&engine, "health").await["status"], "ok");
    engine.stop().await;
}

#[tokio::test]
async fn a_missing_executable_is_named() {
    let log = LogLines::default();
    let mut options = options(&config(json!({})), None);
    options.forwarder = Some("/nowhere/forwarder".into());
    options.log = Box::new(log.clone());
    let engine = engine::Engine::start(options).await.unwrap();
    let line = log.wait_for("forwarder cannot start", |_| true).await;
    let error = line["error"].as_str().unwrap();
    assert!(error.starts_with("there is no executable /nowhere/forwarder; --forwarder"), "{error}");
    engine.stop().await;
}

#[tokio::test]
async fn its_output_becomes_lines_of_the_log() {
    let (engine, _function, log) = engine("", json!({})).await;
    let line = log.wait_for("a line on stdout", |_| true).await;
    assert_eq!(line, json!({ "message": "a line on stdout", "level": "INFO" }));
    let line = log.wait_for("{ is no JSON", |_| true).await;
    assert_eq!((&line["level"], &line["from"]), (&json!("INFO"), &json!("forwarder")));
    let line = log.wait_for("a line on stderr", |_| true).await;
    assert_eq!((&line["level"], &line["from"]), (&json!("ERROR"), &json!("forwarder")));
    engine.stop().await;
}

#[tokio::test]
async fn a_pause_lets_messages_wait_and_outlives_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let function = Function::new("");
    let start = || kept_engine(dir.path(), &function);
    let first = start().await.unwrap();
    assert_eq!(get(&first, "event-source-mapping").await["state"], "Enabled");
    assert_eq!(set_enabled(&first, false).await, 200);
    let client = crate::support::http_client();
    for n in 0..5 {
        post(&client, &first, "k", format!("{n}")).await;
    }
    first.stop().await;

    let second = start().await.unwrap();
    assert_eq!(get(&second, "event-source-mapping").await["state"], "Disabled");
    post(&client, &second, "k", "5".to_owned()).await;
    let status = get(&second, "status").await;
    assert_eq!(
        (&status["queue"]["visible"], &status["queue"]["in_flight"]),
        (&json!(6), &json!(0))
    );
    assert_eq!(function.record(), Vec::<String>::new());
    assert_eq!(set_enabled(&second, true).await, 200);
    let record = function.wait_for(|record| record.len() == 6).await;
    assert_eq!(record, ["0", "1", "2", "3", "4", "5"]);
    second.stop().await;
}

/// Whoever hears that delivery is paused finds nothing delivered of what comes after that.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_answered_once_nothing_is_received_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let function = Function::new("");
    let engine = kept_engine(dir.path(), &function).await.unwrap();
    let client = crate::support::http_client();
    assert_eq!(set_enabled(&engine, false).await, 200);
    post(&client, &engine, "k", "1".to_owned()).await;
    let mut commits = engine.store().faults().hold_commits();
    assert_eq!(set_enabled(&engine, true).await, 200);
    commits.held().await;
    let mut pause = Box::pin(set_enabled(&engine, false));
    let looks = async {
        let now = mapping(&engine, |mapping| mapping["enabled"] == false).await;
        assert_eq!((&now["state"], &now["batches_in_flight"]), (&json!("Disabling"), &json!(0)));
        for _ in 0..10 {
            get(&engine, "status").await;
        }
    };
    tokio::select! {
        status = &mut pause => panic!("{status} while messages are received"),
        () = looks => drop(commits),
    }
    assert_eq!((&mut pause).await, 200);
    drop(pause);
    assert_eq!(function.wait_for(|record| record.len() == 1).await, ["1"], "it had been taken");
    mapping(&engine, |mapping| mapping["state"] == "Disabled").await;
    engine.stop().await;
}

/// What the engine says of its pauses after a request about them.
async fn pauses(engine: &Engine, method: reqwest::Method, path: &str, body: Value) -> Value {
    let url = format!("http://{}/_engine/pauses{path}", engine.api_address());
    let client = crate::support::api_client(engine.access_key_id());
    let request = client.request(method, url);
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let mut document: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    document["status"] = json!(status);
    document
}

#[tokio::test]
async fn a_pause_ends_by_itself_though_the_engine_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let function = Function::new("");
    let start = || kept_engine(dir.path(), &function);
    let client = crate::support::http_client();
    let first = start().await.unwrap();
    let body = json!({ "by": "owner", "reason": "リリース", "seconds": 3 });
    let begun = pauses(&first, reqwest::Method::PUT, "/release", body).await;
    let pause = begun["pauses"][0].clone();
    let of_pause = |name: &str| pause[name].as_str().unwrap().to_owned();
    assert_eq!([of_pause("name"), of_pause("by")], ["release", "owner"]);
    let time = |name: &str| of_pause(name).parse::<Timestamp>().unwrap();
    assert_eq!(time("until").since(time("since")), Duration::from_secs(3));
    post(&client, &first, "k", "waits".to_owned()).await;
    first.stop().await;

    let second = start().await.unwrap();
    assert_eq!(get(&second, "event-source-mapping").await["state"], "Disabled");
    assert_eq!(get(&second, "pauses").await["pauses"][0], pause);
    assert_eq!(function.wait_for(|record| !record.is_empty()).await, ["waits"]);
    assert_eq!(get(&second, "event-source-mapping").await["state"], "Enabled");
    assert_eq!(get(&second, "pauses").await["pauses"], json!([]));
    second.stop().await;
}

#[tokio::test]
async fn delivery_goes_on_when_the_last_pause_ends() {
    use reqwest::Method;
    let dir = tempfile::tempdir().unwrap();
    let function = Function::new("");
    let engine = kept_engine(dir.path(), &function).await.unwrap();
    let is_enabled = async || get(&engine, "event-source-mapping").await["enabled"] == true;
    let names = |document: &Value| -> Vec<String> {
        let pauses = document["pauses"].as_array().unwrap().iter();
        pauses.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    for name in ["a", "b%20c", "d"] {
        pauses(&engine, Method::PUT, &format!("/{name}"), json!({})).await;
    }
    let ended = pauses(&engine, Method::DELETE, "/b%20c", Value::Null).await;
    assert_eq!(
        (&ended["ended"][0]["name"], names(&ended)),
        (&json!("b c"), vec!["a".into(), "d".into()])
    );
    let renewed = pauses(&engine, Method::POST, "/b%20c", json!({ "seconds": 9 })).await;
    assert_eq!(renewed["renewed"], false, "it was ended");
    let renewed = pauses(&engine, Method::POST, "/a", json!({ "seconds": 3_600 })).await;
    assert_eq!(renewed["renewed"], true);
    assert!(renewed["pauses"][0]["until"].is_string() && !is_enabled().await);
    assert_eq!(pauses(&engine, Method::DELETE, "/d", Value::Null).await["pauses"][0]["name"], "a");
    assert!(!is_enabled().await);
    pauses(&engine, Method::DELETE, "/a", Value::Null).await;
    assert!(is_enabled().await);
    assert_eq!(pauses(&engine, Method::DELETE, "/a", Value::Null).await["ended"], json!([]));

    // Lambda's own switch begins one without a name, and ends all.
    pauses(&engine, Method::PUT, "/a", json!({})).await;
    set_enabled(&engine, false).await;
    assert_eq!(names(&get(&engine, "pauses").await), ["a", "unknown"]);
    set_enabled(&engine, true).await;
    assert!(is_enabled().await && names(&get(&engine, "pauses").await).is_empty());

    for (path, body) in [
        ("/a", json!({ "seconds": 0 })),
        ("/a", json!({ "seconds": 1_209_601 })),
        ("/a", json!({ "minutes": 3 })),
        ("/a%0Ab", json!({})),
        ("/%20", json!({})),
    ] {
        let refused = pauses(&engine, Method::PUT, path, body.clone()).await;
        assert_eq!(refused["status"], 400, "{path} {body}: {refused}");
    }
    assert!(is_enabled().await);
    engine.stop().await;
}

#[tokio::test]
async fn a_pause_of_a_former_version_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let function = Function::new("");
    std::fs::write(dir.path().join("event-source-mapping.json"), r#"{"enabled":false}"#).unwrap();
    let engine = kept_engine(dir.path(), &function).await.unwrap();
    assert_eq!(get(&engine, "event-source-mapping").await["state"], "Disabled");
    let pause = get(&engine, "pauses").await["pauses"][0].clone();
    assert_eq!((&pause["name"], &pause["by"]), (&json!("unknown"), &Value::Null));
    engine.stop().await;
}

#[tokio::test]
async fn a_stop_lets_the_running_batch_end() {
    let (engine, function, log) = engine("slow hang", json!({})).await;
    let client = crate::support::http_client();
    post(&client, &engine, "k", "slow".to_owned()).await;
    function.wait_for(|record| record.len() == 1).await;
    let ingest = engine.ingest_address().to_string();
    // Events are accepted until the batch has ended, and the listener goes then.
    let posting = async {
        let mut accepted = 0;
        while post_to(&client, &ingest, "k", "later".to_owned()).await.is_ok_and(|it| it == 200) {
            accepted += 1;
            if accepted == 1 {
                assert_eq!(log.count("invocation failed"), 0);
            }
        }
        accepted
    };
    let stopping = tokio::time::timeout(Duration::from_secs(20), engine.stop());
    let (stopped, accepted) = tokio::join!(stopping, posting);
    stopped.expect("it takes the function's timeout at most, and a moment");
    assert_eq!(log.count("invocation failed"), 1);
    assert!(accepted > 10, "{accepted}");
    // The last one may have been cut off between the queue and its answer.
    let logged = log.count("accepted");
    assert!(
        (accepted + 1..=accepted + 2).contains(&logged),
        "{accepted} answered, {logged} logged"
    );
    assert_eq!(log.all().last().unwrap()["message"], "stopped");
}
