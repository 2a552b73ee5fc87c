//! Systems Manager and Secrets Manager as the forwarder calls them: takes note of every call, and
//! refuses what is not signed for the right service.
//!
//! Sources: Systems Manager API reference, `GetParameter`; Secrets Manager API reference,
//! `GetSecretValue`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Both services, at a port of their own.
pub struct FakeAws {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// By the target of the call and the name.
    secrets: BTreeMap<(&'static str, String), String>,
    calls: Vec<String>,
    refusal: Option<&'static str>,
    delay: Duration,
}

const GET_PARAMETER: &str = "AmazonSSM.GetParameter";
const GET_SECRET_VALUE: &str = "secretsmanager.GetSecretValue";

impl FakeAws {
    /// Listens at a free port.
    pub async fn start() -> Self {
        let shared = Arc::default();
        let router = Router::new().route("/", post(call)).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, shared }
    }

    /// The endpoint of both.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Makes or changes a parameter.
    pub fn put_parameter(&self, name: &str, value: &str) {
        self.put(GET_PARAMETER, name, value);
    }

    /// Makes or changes a secret.
    pub fn put_secret(&self, name: &str, value: &str) {
        self.put(GET_SECRET_VALUE, name, value);
    }

    fn put(&self, target: &'static str, name: &str, value: &str) {
        self.shared().secrets.insert((target, name.to_owned()), value.to_owned());
    }

    /// Refuses every call so.
    pub fn refuse(&self, kind: &'static str) {
        self.shared().refusal = Some(kind);
    }

    /// Answers every call after this time.
    pub fn delay(&self, delay: Duration) {
        self.shared().delay = delay;
    }

    /// The targets of all calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.shared().calls.clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder panics")
    }
}

async fn call(
    State(shared): State<Arc<Mutex<Shared>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let target = header("x-amz-target").unwrap_or_default();
    let parameters: Value = serde_json::from_slice(&body).unwrap_or_default();
    let delay = shared.lock().expect("no holder panics").delay;
    tokio::time::sleep(delay).await;
    let mut shared = shared.lock().expect("no holder panics");
    shared.calls.push(target.to_owned());
    if let Some(kind) = shared.refusal {
        return refusal(kind);
    }
    let (target, service, name) = match target {
        GET_PARAMETER if parameters["WithDecryption"] == true => {
            (GET_PARAMETER, "ssm", &parameters["Name"])
        }
        GET_SECRET_VALUE => (GET_SECRET_VALUE, "secretsmanager", &parameters["SecretId"]),
        _ => return refusal("UnknownOperationException"),
    };
    let scope = format!("/us-east-1/{service}/aws4_request, SignedHeaders=");
    let is_signed = header("authorization").is_some_and(|authorization| {
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=test/")
            && authorization.contains(&scope)
            && authorization.contains("x-amz-target")
    });
    let has_token = headers.contains_key("x-amz-security-token");
    if !is_signed || !has_token || header("content-type") != Some("application/x-amz-json-1.1") {
        return refusal("IncompleteSignatureException");
    }
    let value = shared.secrets.get(&(target, name.as_str().unwrap_or_default().to_owned()));
    match (target, value) {
        (GET_PARAMETER, Some(value)) => answer(
            StatusCode::OK,
            &json!({ "Parameter": { "Name": name, "Type": "SecureString", "Value": value } }),
        ),
        (GET_PARAMETER, None) => refusal("ParameterNotFound"),
        (_, Some(value)) => answer(StatusCode::OK, &json!({ "Name": name, "SecretString": value })),
        (_, None) => refusal("ResourceNotFoundException"),
    }
}

fn refusal(kind: &str) -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, &json!({ "__type": kind, "message": "on demand" }))
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .body(Body::from(body.to_string()))
        .expect("a status and a fixed header")
}
