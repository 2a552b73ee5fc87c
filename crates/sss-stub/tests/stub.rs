//! The stub as the service's callers, and those who tell it what to do, see it.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sss_stub::{Behavior, Stub};
use tokio::net::TcpStream;

/// A stub at a port of its own.
struct Served(SocketAddr);

/// What it answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    body: Value,
}

impl Served {
    async fn start() -> Self {
        let stub = Stub::new(Behavior::default(), |_webhook| {});
        Self(stub.spawn("127.0.0.1:0".parse().unwrap()).await.unwrap())
    }

    /// Sends a request on a connection of its own.
    async fn request(&self, method: Method, path: &str, body: &str) -> hyper::Result<Answer> {
        let stream = TcpStream::connect(self.0).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "stub")
            .header("webhook-id", body)
            .header("webhook-group", "order-7")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let response = sender.send_request(request).await?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, retry_after, body: serde_json::from_slice(&body).unwrap() })
    }

    async fn post(&self, body: &str) -> hyper::Result<Answer> {
        self.request(Method::POST, "/application-hook", body).await
    }

    /// Posts `body` and returns the status.
    async fn status_for(&self, body: &str) -> u16 {
        self.post(body).await.unwrap().status.as_u16()
    }

    async fn behave(&self, behavior: Value) -> u16 {
        let path = "/_stub/behavior";
        let told = self.request(Method::PUT, path, &behavior.to_string()).await;
        told.unwrap().status.as_u16()
    }

    /// What it received: bodies and statuses.
    async fn received(&self, query: &str) -> Vec<(String, u64)> {
        let path = format!("/_stub/received{query}");
        let answer = self.request(Method::GET, &path, "").await.unwrap();
        let webhooks = answer.body.as_array().unwrap().iter();
        let one = |webhook: &Value| {
            assert_eq!(webhook["id"], webhook["body"]);
            assert_eq!(webhook["group"], "order-7");
            assert_eq!(webhook["path"], "/application-hook");
            (webhook["body"].as_str().unwrap().to_owned(), webhook["status"].as_u64().unwrap())
        };
        webhooks.map(one).collect()
    }
}

fn pairs(received: &[(String, u64)]) -> Vec<(&str, u64)> {
    received.iter().map(|(body, status)| (body.as_str(), *status)).collect()
}

#[tokio::test]
async fn it_accepts_and_remembers_until_told_to_forget() {
    let stub = Served::start().await;
    let answer = stub.post("one").await.unwrap();
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({ "message": "accepted" })));
    stub.post("two").await.unwrap();
    assert_eq!(pairs(&stub.received("").await), [("one", 200), ("two", 200)]);
    stub.request(Method::DELETE, "/_stub/received", "").await.unwrap();
    assert_eq!(stub.received("").await, []);
}

#[tokio::test]
async fn it_fails_as_it_is_told_and_recovers() {
    let stub = Served::start().await;
    assert_eq!(stub.behave(json!({ "status": 503, "retry_after": "7" })).await, 200);
    let answer = stub.post("one").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.retry_after.as_deref()), (503, Some("7")));
    assert_eq!(stub.behave(json!({})).await, 200);
    let answer = stub.post("two").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.retry_after), (200, None));
    assert_eq!(pairs(&stub.received("").await), [("one", 503), ("two", 200)]);
}

#[tokio::test]
async fn down_is_no_answer_and_is_remembered() {
    let stub = Served::start().await;
    stub.behave(json!({ "down": true })).await;
    stub.post("one").await.unwrap_err();
    stub.behave(json!({})).await;
    assert_eq!(pairs(&stub.received("").await), [("one", 0)]);
}

#[tokio::test]
async fn rules_are_exceptions_for_some_and_for_some_times() {
    let stub = Served::start().await;
    let rules = json!([
        { "body_contains": "bad", "status": 422, "times": 2 },
        { "group": "order-8", "status": 500 },
    ]);
    stub.behave(json!({ "rules": rules })).await;
    let mut statuses = Vec::new();
    for body in ["good", "bad", "also bad", "bad"] {
        statuses.push(stub.status_for(body).await);
    }
    assert_eq!(statuses, [200, 422, 422, 200]);
}

#[tokio::test]
async fn a_question_waits_for_what_is_to_come() {
    let stub = Served::start().await;
    stub.post("one").await.unwrap();
    let question = stub.received("?at_least=2&wait_ms=60000");
    let answer = async {
        // The question is on its way before the webhook: it is polled first.
        tokio::task::yield_now().await;
        stub.post("two").await.unwrap();
    };
    let (received, ()) = tokio::join!(question, answer);
    assert_eq!(pairs(&received), [("one", 200), ("two", 200)]);
    assert_eq!(pairs(&stub.received("?at_least=3&wait_ms=1").await).len(), 2, "time is up");
}

#[tokio::test]
async fn a_delayed_answer_comes_later() {
    let stub = Served::start().await;
    stub.behave(json!({ "delay_ms": 50 })).await;
    let started = std::time::Instant::now();
    assert_eq!(stub.status_for("one").await, 200);
    assert!(started.elapsed().as_millis() >= 50);
}

#[tokio::test]
async fn what_it_does_not_understand_changes_nothing() {
    let stub = Served::start().await;
    for wrong in [
        json!({ "stauts": 503 }),
        json!({ "status": 99 }),
        json!({ "status": 101 }),
        json!({ "rules": [{ "status": 0 }] }),
        json!("down"),
    ] {
        assert_eq!(stub.behave(wrong.clone()).await, 400, "{wrong}");
    }
    assert_eq!(stub.status_for("one").await, 200);
    let unknown = stub.request(Method::GET, "/_stub/nothing", "").await.unwrap();
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let fetched = stub.request(Method::GET, "/application-hook", "").await.unwrap();
    assert_eq!(fetched.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(stub.received("").await.len(), 1, "and none of these is a webhook");
}
