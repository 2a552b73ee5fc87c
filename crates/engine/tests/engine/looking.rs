//! What operators see without receiving it, the lease of a redrive, and the next attempt now.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::Engine;
use engine::store::{MessageAttribute, NewMessage, ReceiveRequest};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{api_client, config, http_client, options};

const QUEUE: &str = "test-webhook.fifo";
const DEAD: &str = "test-webhook-dlq.fifo";

async fn ask(engine: &Engine, method: Method, path: &str, body: &Value) -> (u16, Vec<Value>) {
    let url = format!("http://{}/_engine/{path}", engine.api_address());
    let request = api_client(engine.access_key_id()).request(method, url);
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

async fn get(engine: &Engine, path: &str) -> Vec<Value> {
    let (status, lines) = ask(engine, Method::GET, path, &Value::Null).await;
    assert_eq!(status, 200, "{lines:?}");
    lines
}

fn message(group: &str, event_id: &str, body: &str) -> NewMessage {
    let named = |name: &str, value: &str| (name.to_owned(), MessageAttribute::string(value));
    NewMessage {
        body: body.to_owned(),
        group_id: group.to_owned(),
        deduplication_id: Some(event_id.to_owned()),
        attributes: [
            named("event_id", event_id),
            named("route", "sss"),
            named("headers", "x-key: a"),
            named("token", "s3cret"),
        ]
        .into(),
        trace_header: None,
    }
}

/// Receives as the function does.
async fn receive(engine: &Engine, queue: &str) -> String {
    let receiver = Some("event-source-mapping".to_owned());
    let request = ReceiveRequest { receiver, ..ReceiveRequest::default() };
    let mut messages = engine.store().receive(queue, request).await.unwrap();
    messages.pop().unwrap().receipt_handle
}

#[tokio::test]
async fn dead_letters_are_seen_hidden_or_not_and_seeing_them_changes_nothing() {
    let engine = Engine::start(options(&config(json!({})), None)).await.unwrap();
    for event_id in ["e-1", "e-2", "e-3"] {
        engine.store().send(DEAD, message(event_id, event_id, "body")).await.unwrap();
    }
    receive(&engine, DEAD).await;
    let first = get(&engine, "dead-letters").await;
    let counts = &first[0];
    assert_eq!((&counts["visible"], &counts["hidden"]), (&json!(2), &json!(1)));
    assert_eq!(counts["next_visible_at"], counts["last_visible_at"]);
    assert!(counts["now"].as_str().unwrap() < counts["next_visible_at"].as_str().unwrap());
    let hidden: Vec<bool> = first[1..].iter().map(|it| it["visible_at"].is_string()).collect();
    assert_eq!(hidden, [true, false, false]);
    let letter = &first[1]["letter"];
    assert_eq!((&letter["event_id"], &letter["body"]), (&json!("e-1"), &json!("body")));
    assert_eq!(letter["attributes"]["route"], json!({ "t": "String", "v": "sss" }));
    assert_eq!(
        (&letter["receive_count"], &first[2]["letter"]["receive_count"]),
        (&json!(1), &json!(0))
    );
    assert!(!letter.to_string().contains("s3cret"), "{letter}");

    let second = get(&engine, "dead-letters").await;
    assert_eq!(second[1..], first[1..]);
    assert_eq!((&second[0]["visible"], &second[0]["hidden"]), (&json!(2), &json!(1)));
    engine.stop().await;
}

#[tokio::test]
async fn an_event_is_found_wherever_it_is_by_each_of_its_names() {
    let engine = Engine::start(options(&config(json!({})), None)).await.unwrap();
    let store = engine.store();
    for (group, event_id) in [("a", "e-1"), ("a", "e-2"), ("a", "e-3"), ("b", "e-4")] {
        store.send(QUEUE, message(group, event_id, event_id)).await.unwrap();
    }
    let dead = store.send(DEAD, message("dead", "e-5", "dead")).await.unwrap();
    let one = async |id: &str| {
        let found = get(&engine, &format!("messages/{id}")).await;
        assert_eq!(found[0]["messages"].as_array().unwrap().len(), 1, "{found:?}");
        found[0]["messages"][0].clone()
    };
    let state = async |id: &str| one(id).await["state"].clone();
    assert_eq!(state("e-1").await, "waiting");
    let handle = receive(&engine, QUEUE).await;
    let held = one("e-1").await;
    assert_eq!(
        (&held["state"], &held["ahead"], &held["behind"]),
        (&json!("in_flight"), &json!(0), &json!(2))
    );
    assert_eq!(
        (&held["letter"]["body"], &held["letter"]["receive_count"]),
        (&json!("e-1"), &json!(1))
    );
    assert_eq!(held["letter"]["attributes"]["headers"]["v"], "x-key: a");
    store.change_visibility(QUEUE, &handle, 600).await.unwrap();
    assert_eq!(state("e-1").await, "retrying");
    let second = one("e-2").await;
    assert_eq!(
        (&second["state"], &second["ahead"], &second["behind"]),
        (&json!("waiting"), &json!(1), &json!(1))
    );
    assert_eq!(state(&dead.message_id).await, "dead");
    assert_eq!(state("e-5").await, "dead");

    let group = &get(&engine, "messages/a").await[0]["group"];
    assert_eq!(group["messages"], 3);
    let bodies: Vec<&Value> =
        group["first"].as_array().unwrap().iter().map(|it| &it["letter"]["body"]).collect();
    assert_eq!(bodies, ["e-1", "e-2", "e-3"]);
    assert_eq!(group["first"][2]["head_event_id"], "e-1");
    let nothing = &get(&engine, "messages/nobody").await[0];
    assert_eq!((&nothing["messages"], &nothing["group"]), (&json!([]), &Value::Null));
    assert!(!get(&engine, "messages/a").await[0].to_string().contains("s3cret"));

    // The beginning of an id is enough of one that no other has.
    engine.store().send(QUEUE, message("b", "other-1", "x")).await.unwrap();
    let begins = &get(&engine, "messages/oth").await[0];
    assert_eq!(
        (&begins["id"], &begins["messages"][0]["letter"]["body"]),
        (&json!("other-1"), &json!("x"))
    );
    assert_eq!(begins["messages"][0]["head_event_id"], "e-4");
    let several = &get(&engine, "messages/e-").await[0];
    assert_eq!(several["messages"], json!([]));
    assert!(several["alike"].as_array().unwrap().contains(&json!("e-1")), "{several}");
    engine.stop().await;
}

/// What an engine is built as, with optimizations; without, it takes its time.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 3 });

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_dead_letters_are_seen_in_three_seconds() {
    const LETTERS: usize = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::start(options(&config(json!({})), Some(dir.path()))).await.unwrap();
    let mut sends = JoinSet::new();
    for part in 0..100 {
        let store = engine.store().clone();
        sends.spawn(async move {
            for batch in 0..LETTERS / 1_000 {
                let letters = (0..10).map(|number| {
                    let id = format!("{part}-{batch}-{number}");
                    let mut letter = message(&id, &id, "{\"state\":\"approved\"}");
                    letter.attributes.remove("token");
                    letter
                });
                store.send_batch(DEAD, letters.collect()).await.unwrap();
            }
        });
    }
    sends.join_all().await;
    let url = format!("http://{}/_engine/dead-letters", engine.api_address());
    let request = api_client(engine.access_key_id()).get(url);
    let began = Instant::now();
    let seen = request.send().await.unwrap().bytes().await.unwrap();
    let took = began.elapsed();
    let lines = std::str::from_utf8(&seen).unwrap().lines().count();
    assert_eq!(lines, LETTERS + 1);
    println!("{LETTERS} dead letters in {took:?}");
    assert!(took < LIMIT, "it took {took:?}");
    engine.stop().await;
}

#[tokio::test]
async fn one_redrive_has_the_lease_and_who_comes_second_is_told_whose_it_is() {
    let engine = Engine::start(options(&config(json!({})), None)).await.unwrap();
    let lease = async |method, token: &str, body: Value| {
        let (status, lines) = ask(&engine, method, &format!("redrive-lease{token}"), &body).await;
        (status, lines[0].clone())
    };
    let take = |by: &str| json!({ "by": by, "reason": null, "seconds": 60 });
    assert_eq!(lease(Method::GET, "", Value::Null).await.1["lease"], Value::Null);
    assert_eq!(lease(Method::PUT, "/a", take("alice")).await.1["is_yours"], true);
    let renewal = json!({ "seconds": 60, "of": 9, "done": 4 });
    assert_eq!(lease(Method::POST, "/a", renewal.clone()).await.1["is_yours"], true);
    let (_, second) = lease(Method::PUT, "/b", take("bob")).await;
    assert_eq!((&second["is_yours"], &second["lease"]["by"]), (&json!(false), &json!("alice")));
    assert_eq!((&second["lease"]["of"], &second["lease"]["done"]), (&json!(9), &json!(4)));
    assert_eq!(lease(Method::DELETE, "/b", Value::Null).await.1["lease"]["by"], "alice");
    assert_eq!(lease(Method::DELETE, "/a", Value::Null).await.1["lease"], Value::Null);
    assert_eq!(lease(Method::POST, "/a", renewal).await.1["is_yours"], false);
    assert_eq!(lease(Method::PUT, "/b", take("bob")).await.1["is_yours"], true);
    for body in
        [json!({}), json!({ "by": "x", "seconds": 0 }), json!({ "by": "x", "seconds": 3_601 })]
    {
        assert_eq!(lease(Method::PUT, "/c", body).await.0, 400);
    }
    engine.stop().await;
}

#[tokio::test]
async fn groups_are_retried_by_name_and_each_says_what_came_of_it() {
    let engine = Engine::start(options(&config(json!({})), None)).await.unwrap();
    engine.store().send(QUEUE, message("a", "e-1", "1")).await.unwrap();
    let handle = receive(&engine, QUEUE).await;
    let retry = async |groups: Value| {
        let body = json!({ "groups": groups });
        let (status, lines) = ask(&engine, Method::POST, "retry", &body).await;
        (status, lines[0].clone())
    };
    assert_eq!(retry(json!(["a"])).await.1["groups"][0]["result"], "not_waiting");
    engine.store().change_visibility(QUEUE, &handle, 600).await.unwrap();
    let (_, retried) = retry(json!(["nobody", "a"])).await;
    assert_eq!(retried["groups"][0]["result"], "no_group");
    assert_eq!(retried["groups"][1], json!({ "group": "a", "result": "now", "messages": 1 }));
    receive(&engine, QUEUE).await;
    assert_eq!(retry(json!(vec!["a"; 1_001])).await.0, 400);
    assert_eq!(ask(&engine, Method::POST, "retry", &json!({ "all": true })).await.0, 400);
    engine.stop().await;
}

/// Groups that wait for their next attempt: as many as messages may be in flight.
const WAITING: u32 = 120_000;

/// Has that many groups wait in an engine's database.
fn let_groups_wait(dir: &Path) {
    let database = rusqlite::Connection::open(dir.join("queues.db")).unwrap();
    let groups = format!(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM n
             WHERE n < 999 + {WAITING}) SELECT n FROM n;
         CREATE TEMP TABLE q AS SELECT id, created_ms FROM queue WHERE name = '{QUEUE}';
         INSERT INTO message_group (id, queue_id, name, head_sequence)
             SELECT n, id, n, n FROM n, q;
         INSERT INTO message (sequence, queue_id, group_id, sent_ms, message_id, deduplication_id, body)
             SELECT n, id, n, created_ms, n, n, '{{}}' FROM n, q;
         INSERT INTO delivery (sequence, queue_id, receive_count, first_received_ms, received_ms,
                               receive_number)
             SELECT n, id, 1, created_ms, created_ms, 1 FROM n, q;
         UPDATE queue_count SET queued = {WAITING}, message_groups = {WAITING}
             WHERE queue_id = (SELECT id FROM q);
         UPDATE progress SET next_number = 1000000;
         COMMIT"
    );
    database.execute_batch(&groups).unwrap();
    database.close().unwrap();
}

/// What everybody asks again and again.
const VIEWS: [&str; 9] = [
    "metrics",
    "_engine/status",
    "_engine/health",
    "_engine/history",
    "_engine/waiting-groups",
    "_engine/failing-groups",
    "_engine/groups",
    "_engine/damaged",
    "_engine/messages/none",
];

/// Bounded for a test that would hang.
async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_mins(1), done);
    done.await.unwrap_or_else(|_| panic!("{what} waits"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_waits_for_no_commit_and_no_commit_for_a_look_however_many_groups_wait() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Engine::start(options(&config(json!({})), Some(dir.path())));
    start().await.unwrap().stop().await;
    let_groups_wait(dir.path());
    let engine = start().await.unwrap();
    let client = api_client(engine.access_key_id());
    let send = |id: &'static str| {
        let store = engine.store().clone();
        tokio::spawn(async move { store.accept(QUEUE, message(id, id, "{}")).await.unwrap() })
    };
    // As long as one commit is held, there is none of a view's own.
    let mut commits = engine.store().faults().hold_commits();
    let sending = send("held");
    soon("a commit", commits.held()).await;
    for path in VIEWS {
        let look = client.get(format!("http://{}/{path}", engine.api_address())).send();
        let seen = soon(path, async { look.await.unwrap().text().await.unwrap() }).await;
        assert!(!seen.is_empty(), "{path}");
    }
    assert_eq!(crate::support::get(&engine, "status").await["waiting_groups"], WAITING);
    assert!(!sending.is_finished());
    drop(commits);
    soon("what was held", sending).await.unwrap();

    // As long as one look is held, everything is accepted, received and deleted.
    let looks = engine.store().faults().hold_looks().await;
    let url = format!("http://{}/metrics", engine.api_address());
    let looking = tokio::spawn(async move { client.get(url).send().await.unwrap().status() });
    soon("who is to be accepted", send("free")).await.unwrap();
    let sender = http_client();
    let post = crate::support::post(&sender, &engine, "k", "{}".to_owned());
    assert_eq!(soon("who posts", post).await, 200);
    soon("who receives", receive(&engine, QUEUE)).await;
    assert!(!looking.is_finished());
    drop(looks);
    assert_eq!(soon("who looks", looking).await.unwrap(), 200);
    engine.stop().await;
}
