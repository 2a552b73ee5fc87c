//! The ingest in front of an emulator: what was deployed there is what runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use engine::Gateway;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What an emulator has been told, and what it got.
#[derive(Clone, Default)]
struct FakeEmulator {
    routes: Arc<Mutex<Value>>,
    integrations: Arc<Mutex<Value>>,
    sent: Arc<Mutex<Vec<Value>>>,
}

impl FakeEmulator {
    async fn start(&self) -> SocketAddr {
        let routes = async |State(fake): State<Self>| fake.routes.lock().unwrap().to_string();
        let integrations =
            async |State(fake): State<Self>| fake.integrations.lock().unwrap().to_string();
        let send = async |State(fake): State<Self>, body: Bytes| {
            let message: Value = serde_json::from_slice(&body).unwrap();
            if message["MessageBody"] == "over quota" {
                let error = json!({ "__type": "OverLimit", "message": "too much" });
                return (StatusCode::BAD_REQUEST, error.to_string());
            }
            fake.sent.lock().unwrap().push(message);
            let sent =
                json!({ "MessageId": "m-1", "MD5OfMessageBody": "d", "SequenceNumber": "7" });
            (StatusCode::OK, sent.to_string())
        };
        let api = Router::new()
            .route("/v2/apis/api-1/routes", get(routes))
            .route("/v2/apis/api-1/integrations", get(integrations))
            .route("/", post(send))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, api).into_future());
        address
    }

    /// Deploys a route to an integration.
    fn deploy(&self, path: &str, integration: &str, group_id: &str) {
        *self.routes.lock().unwrap() = json!({ "items": [
            { "routeId": "r", "routeKey": format!("POST {path}"), "target": format!("integrations/{integration}") },
            { "routeId": "s", "routeKey": "POST /application-hook", "target": "integrations/stub" },
        ]});
        *self.integrations.lock().unwrap() = json!({ "items": [
            { "integrationId": "stub", "integrationUri": "arn:aws:lambda:…" },
            { "integrationId": integration, "requestParameters": {
                "QueueUrl": "http://queue/webhook.fifo",
                "MessageBody": "$request.body",
                "MessageGroupId": group_id,
                "MessageDeduplicationId": "$context.requestId",
                "MessageAttributes":
                    r#"{"route":{"DataType":"String","StringValue":"sss"}}"#,
            }},
        ]});
    }

    fn groups(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|message| message["MessageGroupId"].as_str().unwrap().to_owned()).collect()
    }
}

async fn gateway(emulator: SocketAddr) -> Gateway {
    let endpoint = format!("http://{emulator}").parse().unwrap();
    Gateway::start(endpoint, "api-1".to_owned(), "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn send(gateway: &Gateway, path: &str, body: &'static str) -> (u16, String) {
    let url = format!("http://{}{path}", gateway.address());
    let request = crate::support::http_client().post(url).header("x-workflow-id", "w-7").body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deployed_is_what_runs() {
    let fake = FakeEmulator::default();
    fake.deploy("/sqs-hook", "i-1", "$request.header.x-workflow-id");
    let gateway = gateway(fake.start().await).await;

    let (status, answer) = send(&gateway, "/sqs-hook", "{\"注文\":7}").await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("<SequenceNumber>7</SequenceNumber>"), "{answer}");
    let sent = fake.sent.lock().unwrap()[0].clone();
    assert_eq!(sent["QueueUrl"], "http://queue/webhook.fifo");
    assert_eq!(sent["MessageBody"], "{\"注文\":7}");
    assert_eq!(sent["MessageAttributes"]["route"]["StringValue"], "sss");
    assert!(sent["MessageDeduplicationId"].as_str().is_some_and(|id| id.len() == 36), "{sent}");

    fake.deploy("/sqs-hook", "i-2", "one-group");
    assert_eq!(send(&gateway, "/sqs-hook", "{}").await.0, 200);
    assert_eq!(fake.groups(), ["w-7", "one-group"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_would_refuse_is_refused() {
    let fake = FakeEmulator::default();
    fake.deploy("/sqs-hook", "i-1", "$request.header.x-other");
    let gateway = gateway(fake.start().await).await;
    let (status, answer) = send(&gateway, "/sqs-hook", "{}").await;
    assert_eq!(status, 400);
    assert!(answer.contains("Unable to resolve property MessageGroupId"), "{answer}");
    // Another route's, which leads to a function.
    assert_eq!(send(&gateway, "/application-hook", "{}").await.0, 404);
    fake.deploy("/sqs-hook", "i-1", "$request.body");
    let (status, answer) = send(&gateway, "/sqs-hook", "甲").await;
    assert_eq!(status, 400, "a message group that SQS refuses: {answer}");
    assert!(answer.contains("MessageGroupId"), "{answer}");
    fake.deploy("/sqs-hook", "i-1", "g");
    let (status, answer) = send(&gateway, "/sqs-hook", "\u{1}").await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.contains("a character that is not allowed"), "{answer}");
    let (status, answer) = send(&gateway, "/sqs-hook", "over quota").await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.contains("too much"), "{answer}");
    assert_eq!(fake.groups(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_that_is_gone_accepts_nothing() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let gateway = gateway(nobody).await;
    let (status, answer) = send(&gateway, "/sqs-hook", "{}").await;
    assert_eq!(status, 503);
    assert!(
        answer.contains(&format!("the emulator at http://{nobody}/ does not answer")),
        "{answer}"
    );
}
