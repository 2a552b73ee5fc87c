//! What a sender of webhooks sees.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use domain::quota;
use engine::Engine;
use engine::store::{ReceiveRequest, ReceivedMessage};
use serde_json::{Value, json};

use crate::support::{LogLines, config, get, options, post};

const QUEUE: &str = "test-webhook.fifo";

async fn start(changes: Value) -> (Engine, LogLines) {
    let log = LogLines::default();
    let mut options = options(&config(changes), None);
    options.log = Box::new(log.clone());
    (Engine::start(options).await.unwrap(), log)
}

/// Sends bytes as they are, and gives the status and the answer.
fn send(engine: &Engine, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(engine.ingest_address()).unwrap();
    // The engine may answer, and close, before it has read all.
    let _closed = stream.write_all(request);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn request(target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Checks a request that is refused, with a JSON message.
fn check_refused(engine: &Engine, request: &[u8], status: u16, message: &str) {
    let (found, answer) = send(engine, request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(found, status, "{answer}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("apigw-requestid: "), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(body["message"].as_str().unwrap().contains(message), "{body}");
}

/// Checks a request whose body is not read to its end: what is left of it is not the next one.
fn check_closes(engine: &Engine, request: &[u8], status: u16) {
    let (found, answer) = send(engine, request);
    assert_eq!(found, status, "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

async fn receive(engine: &Engine) -> Vec<ReceivedMessage> {
    let request = ReceiveRequest { max_messages: 10, ..ReceiveRequest::default() };
    engine.store().receive(QUEUE, request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_answered_as_api_gateway_answers_and_is_in_the_queue() {
    let changes = json!({ "routes": { "sss": { "pass_headers": ["content-type"] } } });
    let (engine, log) = start(changes).await;
    let body = "{\"注文\": \"🦀\"}\r\n";
    let headers = "x-key: w-1\r\ncontent-type: application/json\r\n";
    let (status, answer) = send(&engine, &request("/sqs-hook?q=1", headers, body.as_bytes()));
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("content-type: text/xml"), "{answer}");
    let messages = receive(&engine).await;
    let message = &messages[0];
    assert_eq!((message.body.as_str(), message.group_id.as_str()), (body, "w-1"));
    for part in [
        format!("<MessageId>{}</MessageId>", message.message_id),
        format!("<SequenceNumber>{}</SequenceNumber>", message.sequence_number),
        "<MD5OfMessageBody>".to_owned(),
        "</MD5OfMessageBody><MD5OfMessageAttributes>".to_owned(),
    ] {
        assert!(answer.contains(&part), "{answer}");
    }
    let attribute = |name: &str| message.attributes[name].text().unwrap().to_owned();
    assert_eq!(attribute("route"), "sss");
    assert_eq!(attribute("headers"), "content-type: application/json");
    assert_eq!(attribute("accepted_at").len(), 13);
    assert!(answer.contains(&format!("apigw-requestid: {}", attribute("event_id"))), "{answer}");
    // Version 7: ids that come in turn are kept in turn.
    assert_eq!(attribute("event_id").as_bytes()[14], b'7', "{}", attribute("event_id"));
    let line = log.wait_for("accepted", |_| true).await;
    assert_eq!(line["event_id"], attribute("event_id"));
    assert_eq!((&line["route"], &line["group"]), (&json!("sss"), &json!("w-1")));
    assert_eq!(line["bytes"], body.len());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_path_is_taken_as_the_one_of_today() {
    let changes = json!({ "routes": { "sss": { "path": "/new", "former_paths": ["/sqs-hook"] } } });
    let (engine, _log) = start(changes).await;
    for path in ["/new", "/sqs-hook"] {
        let (status, answer) = send(&engine, &request(path, "x-key: w-1\r\n", b"{}"));
        assert_eq!(status, 200, "{path}: {answer}");
    }
    let messages = receive(&engine).await;
    assert_eq!(messages.len(), 2, "{messages:?}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_api_gateway_or_sqs_would_refuse_is_refused() {
    let (engine, log) = start(json!({})).await;
    let key = "x-key: k\r\n";
    let hook = "/sqs-hook";
    let no_key = "Unable to resolve property MessageGroupId from source $request.header.x-key";
    check_refused(&engine, &request(hook, "", b"b"), 400, no_key);
    check_refused(&engine, &request(hook, "x-key: a b\r\n", b"b"), 400, "MessageGroupId");
    check_refused(&engine, &request(hook, key, b""), 400, "MessageBody");
    check_refused(&engine, &request(hook, key, b"a\x00b"), 400, "not allowed");
    check_refused(&engine, &request(hook, key, b"a\xffb"), 400, "not UTF-8");
    check_refused(&engine, &request("/elsewhere", key, b"b"), 404, "Not Found");
    check_refused(&engine, &request("/_engine/about", key, b"b"), 404, "Not Found");
    let get = b"GET /sqs-hook HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    check_refused(&engine, get, 404, "Not Found");
    let no_value = "$request.header.x-key has no value, and MessageGroupId needs it";
    log.wait_for("refused", |line| line["reason"] == no_value && line["method"] == "POST").await;
    log.wait_for("refused", |line| line["path"] == hook && line["method"] == "GET").await;
    check_refused(&engine, &request(hook, "x-key: 山田 s3cret\r\n", b"b"), 400, "of 13 bytes");
    let large = format!("{key}x-long: {}\r\n", "x".repeat(quota::REQUEST_HEAD_BYTES_MAX));
    check_refused(&engine, &request(hook, &large, b"b"), 431, "Header");
    let line = log.wait_for("refused", |line| line["status"] == 431).await;
    assert_eq!((&line["path"], &line["level"]), (&json!(hook), &json!("WARN")));
    let logged = format!("{:?}", log.all());
    assert!(!logged.contains("s3cret"), "a header's value is in the log: {logged}");
    assert_eq!(receive(&engine).await, []);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_told_what_is_missing_and_not_what_a_message_is_made_of() {
    let route = json!({ "routes": { "sss": { "event_id": "$request.header.x-id" } } });
    let (engine, _log) = start(route).await;
    let (_status, answer) = send(&engine, &request("/sqs-hook", "x-key: k\r\n", b"b"));
    let told = "Unable to resolve property MessageAttributes from source $request.header.x-id\"";
    assert!(answer.contains(told), "{answer}");
    assert!(!answer.contains("accepted_at"), "{answer}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_again_and_again_does_not_fill_the_log() {
    let (engine, log) = start(json!({})).await;
    for _ in 0..300 {
        check_refused(&engine, &request("/elsewhere", "", b"b"), 404, "Not Found");
    }
    assert_eq!(crate::support::get(&engine, "status").await["ingest"]["refused"], 300);
    let lines = log.count("refused");
    assert!((100..200).contains(&lines), "{lines}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_be_as_long_as_the_gateway_s() {
    let (engine, _log) = start(json!({})).await;
    let head = "POST /sqs-hook HTTP/1.1\r\nhost: h\r\nx-key: k\r\ncontent-length: 1\r\nconnection: close\r\n";
    let of_length = |bytes: usize| {
        let filler = "x".repeat(bytes - head.len() - "x-long: \r\n".len());
        format!("{head}x-long: {filler}\r\n\r\nb")
    };
    let largest = of_length(quota::REQUEST_HEAD_BYTES_MAX);
    let (status, answer) = send(&engine, largest.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let over = of_length(quota::REQUEST_HEAD_BYTES_MAX + 1);
    check_refused(&engine, over.as_bytes(), 431, "Header");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_those_of_the_queue_and_of_the_gateway() {
    let (engine, _log) = start(json!({})).await;
    let key = "x-key: k\r\n";
    let limit = quota::MESSAGE_BYTES_MAX as usize;
    // The attributes count too: some hundred bytes of them.
    let (status, answer) = send(&engine, &request("/sqs-hook", key, &vec![b'x'; limit - 200]));
    assert_eq!(status, 200, "{answer}");
    let over = vec![b'x'; limit + 1];
    check_refused(&engine, &request("/sqs-hook", key, &over), 400, "must be shorter than 1044480");
    let gateway = vec![b'x'; quota::REQUEST_BODY_BYTES_MAX];
    check_refused(&engine, &request("/sqs-hook", key, &gateway), 400, "must be shorter than");
    let declared = format!(
        "POST /sqs-hook HTTP/1.1\r\nhost: h\r\n{key}content-length: {}\r\n\r\n",
        quota::REQUEST_BODY_BYTES_MAX + 1
    );
    check_refused(&engine, declared.as_bytes(), 413, "Too Large");
    check_closes(&engine, declared.as_bytes(), 413);
    let mut chunked =
        format!("POST /sqs-hook HTTP/1.1\r\nhost: h\r\n{key}transfer-encoding: chunked\r\n\r\n")
            .into_bytes();
    for _ in 0..11 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + 0x10_0000, b'x');
        chunked.extend_from_slice(b"\r\n");
    }
    check_closes(&engine, &chunked, 413);
    // Chunks have a length first.
    let broken = format!(
        "POST /sqs-hook HTTP/1.1\r\nhost: h\r\n{key}transfer-encoding: chunked\r\n\r\nGET / HTTP/1.1\r\n"
    );
    check_closes(&engine, broken.as_bytes(), 400);
    assert_eq!(receive(&engine).await.len(), 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_event_is_answered_as_the_first_and_queued_once() {
    let changes = json!({ "routes": { "sss": { "deduplication": "$request.header.webhook-id" } } });
    let (engine, log) = start(changes).await;
    let headers = "x-key: k\r\nwebhook-id: evt-1\r\n";
    let message_id = |answer: &str| {
        let (_, rest) = answer.split_once("<MessageId>").unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let (_, first) = send(&engine, &request("/sqs-hook", headers, b"1"));
    let (status, second) = send(&engine, &request("/sqs-hook", headers, b"1"));
    assert_eq!(status, 200);
    assert_eq!(message_id(&first), message_id(&second));
    log.wait_for("accepted", |line| line["duplicate"] == true && line["event_id"] == "evt-1").await;
    assert_eq!(receive(&engine).await.len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn equal_bodies_are_two_events() {
    let (engine, _log) = start(json!({})).await;
    let client = crate::support::http_client();
    for _ in 0..2 {
        assert_eq!(post(&client, &engine, "k", "same".to_owned()).await, 200);
    }
    assert_eq!(receive(&engine).await.len(), 2);
    let status = get(&engine, "status").await;
    assert_eq!(status["ingest"], json!({ "accepted": 2, "refused": 0 }));
    assert_eq!(status["queue"]["message_groups"], 1);
    assert_eq!(status["event_source_mapping"], Value::Null);
    engine.stop().await;
}

/// Texts name names, never values, whatever is wrong with them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_request_is_in_a_log_line_or_an_answer() {
    let keys = json!({ "routes": { "sss": {
        "ordering_key": "$request.body.order",
        "pass_headers": ["x-tenant"],
    } } });
    let (engine, log) = start(keys).await;
    let hook = "/sqs-hook?planted=planted";
    let headers = "x-tenant: planted\r\ncookie: planted\r\nauthorization: planted\r\n";
    let good = br#"{"order":"order-7","who":"planted"}"#;
    let too_long = format!(r#"{{"order":"{}"}}"#, "planted".repeat(30));
    let answers = [
        (200, send(&engine, &request(hook, headers, good))),
        (400, send(&engine, &request(hook, "", good))),
        (400, send(&engine, &request(hook, headers, br#"{"who":"planted"}"#))),
        (400, send(&engine, &request(hook, headers, br#"{"order":"planted planted"}"#))),
        (400, send(&engine, &request(hook, headers, too_long.as_bytes()))),
        (400, send(&engine, &request(hook, headers, b"planted"))),
        (400, send(&engine, &request(hook, headers, b"{\"order\":\"planted\xff\"}"))),
        (400, send(&engine, &request(hook, headers, b"{\"order\":\"a\",\"b\":\"planted\x01\"}"))),
        (400, send(&engine, &request(hook, "x-tenant: planted\x01\r\n", good))),
        (404, send(&engine, &request("/nowhere?planted", headers, good))),
    ];
    for (expected, (status, answer)) in answers {
        assert_eq!(status, expected, "{answer}");
        assert!(!answer.contains("planted"), "{answer}");
    }
    let sqs = async |parameters: Value| {
        let client = crate::support::api_client(engine.access_key_id());
        let call = client.post(format!("http://{}/", engine.api_address()));
        let call = call.header("x-amz-target", "AmazonSQS.SendMessage");
        call.body(parameters.to_string()).send().await.unwrap().text().await.unwrap()
    };
    let url = format!("http://{}/000000000000/{QUEUE}", engine.api_address());
    for parameters in [
        json!({ "QueueUrl": url, "MessageGroupId": "g", "MessageBody": ["planted"] }),
        json!({ "QueueUrl": url, "MessageGroupId": "g", "MessageBody": 4711 }),
        json!({ "QueueUrl": url, "MessageGroupId": "g", "MessageBody": "planted\u{1}" }),
        json!({ "QueueUrl": url, "MessageGroupId": "planted planted", "MessageBody": "a" }),
    ] {
        let answer = sqs(parameters).await;
        assert!(answer.contains("__type"), "{answer}");
        assert!(!answer.contains("planted") && !answer.contains("4711"), "{answer}");
    }
    engine.stop().await;
    for line in log.all() {
        assert!(!line.to_string().contains("planted"), "{line}");
    }
}

/// The forwarder calls such an event by its message's id, and so does whoever reads or skips it.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_id_names_no_event_anywhere() {
    let (engine, log) =
        start(json!({ "routes": { "sss": { "event_id": "$request.header.x-id" } } })).await;
    let (too_long, longest) = ("x".repeat(129), "x".repeat(128));
    let ids = ["planted planted", "注文", &too_long, &longest, "!~"];
    for (n, id) in ids.into_iter().enumerate() {
        let headers = format!("x-key: group-{n}\r\nx-id: {id}\r\n");
        assert_eq!(send(&engine, &request("/sqs-hook", &headers, b"b")).0, 200, "{id}");
    }
    let messages = receive(&engine).await;
    assert_eq!(messages.len(), ids.len());
    for message in &messages {
        let queue = engine.store();
        queue.change_visibility(QUEUE, &message.receipt_handle, 0).await.unwrap();
    }
    let groups = engine.store().waiting_groups(QUEUE, 10).await.unwrap();
    for message in messages {
        let value = message.attributes["event_id"].text().unwrap();
        let expected = if value == "!~" || value == longest { value } else { &message.message_id };
        let line = log.wait_for("accepted", |line| line["group"] == *message.group_id).await;
        assert_eq!(line["event_id"], *expected);
        let group = groups.iter().find(|it| it.group == message.group_id).unwrap();
        assert_eq!(group.event_id, expected);
    }
    engine.stop().await;
}

/// What is asked for all day must not look like trouble.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_may_ask_and_is_not_refused() {
    let (engine, log) = start(json!({})).await;
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let (status, answer) = send(&engine, request.as_bytes());
        assert_eq!((status, answer.ends_with("{\"storage\":\"ok\"}")), (200, method == "GET"));
    }
    check_refused(&engine, &request("/healthz", "x-key: k\r\n", b"b"), 404, "Not Found");
    log.wait_for("refused", |_| true).await;
    assert_eq!(
        (log.count("refused"), get(&engine, "status").await["ingest"]["refused"].as_u64()),
        (1, Some(1))
    );
    engine.stop().await;
}

/// Senders that hang up do not make what is in the queue uncounted.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_queue_is_counted_though_nobody_waited_for_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogLines::default();
    let mut options = options(&config(json!({})), Some(dir.path()));
    options.log = Box::new(log.clone());
    let engine = Engine::start(options).await.unwrap();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(engine.ingest_address()).unwrap();
        stream.write_all(&request("/sqs-hook", "x-key: k\r\n", b"b")).unwrap();
    }
    // Behind all that can still come.
    let (status, _) = send(&engine, &request("/sqs-hook", "x-key: k\r\n", b"last"));
    assert_eq!(status, 200);
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let now = get(&engine, "status").await;
        let queued = now["queue"]["visible"].as_u64().unwrap();
        let counted = now["ingest"]["accepted"].as_u64().unwrap();
        let logged = log.count("accepted") as u64;
        if queued > 1 && queued == counted && counted == logged {
            break;
        }
        assert!(Instant::now() < limit, "{queued} queued, {counted} counted, {logged} logged");
    }
    engine.stop().await;
}
