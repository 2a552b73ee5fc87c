//! What changes the event source mapping on AWS, where a change takes its time and no other is taken
//! meanwhile. SQS is an engine's; Lambda is played, and an `EventBridge` Scheduler that keeps nothing.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use domain::config::Config;
use engine::{Engine, EngineOptions, Storage};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

/// How many looks a change takes: longer than two seconds.
const LOOKS: usize = 6;

/// A mapping, as Lambda keeps it.
struct Mapping {
    state: &'static str,
    /// What it becomes, and how many looks later.
    next: Option<(&'static str, usize)>,
    /// How many changes are refused although the last look said that none is under way.
    refuses: usize,
    /// What was asked, and in which state: `PUT Enabled`.
    calls: Vec<String>,
}

/// Lambda, at a port of its own.
struct Lambda {
    url: String,
    mapping: Arc<Mutex<Mapping>>,
}

impl Lambda {
    async fn start(state: &'static str, next: Option<&'static str>, refuses: usize) -> Self {
        let next = next.map(|next| (next, LOOKS));
        let mapping = Mapping { state, next, refuses, calls: Vec::new() };
        let mapping = Arc::new(Mutex::new(mapping));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&mapping));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, mapping }
    }

    fn state(&self) -> &'static str {
        self.mapping.lock().unwrap().state
    }

    /// The changes that were asked for, with the state that they met.
    fn changes(&self) -> Vec<String> {
        let mapping = self.mapping.lock().unwrap();
        mapping.calls.iter().filter(|call| call.starts_with("PUT")).cloned().collect()
    }
}

async fn answer(
    State(mapping): State<Arc<Mutex<Mapping>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    if uri.path().starts_with("/schedules/") {
        return schedule(&method);
    }
    let mut mapping = mapping.lock().unwrap();
    let state = mapping.state;
    mapping.calls.push(format!("{method} {state}"));
    let shown = |state: &str| json!({ "UUID": "mapping-1", "State": state });
    if method == Method::PUT {
        if mapping.next.is_some() || mapping.refuses > 0 {
            mapping.refuses = mapping.refuses.saturating_sub(1);
            let error =
                json!({ "Type": "User", "Message": "Cannot update the event source mapping" });
            let kind = [("x-amzn-errortype", "ResourceInUseException")];
            return (StatusCode::BAD_REQUEST, kind, error.to_string()).into_response();
        }
        let wanted: Value = serde_json::from_slice(&body).unwrap();
        let (state, next) = if wanted["Enabled"] == true {
            ("Enabling", "Enabled")
        } else {
            ("Disabling", "Disabled")
        };
        mapping.state = state;
        mapping.next = Some((next, LOOKS));
        return (StatusCode::ACCEPTED, shown(state).to_string()).into_response();
    }
    if !uri.path().ends_with("/mapping-1") {
        let listed = json!({ "EventSourceMappings": [shown(state)] });
        return listed.to_string().into_response();
    }
    match mapping.next {
        Some((next, 0)) => (mapping.state, mapping.next) = (next, None),
        Some((next, looks)) => mapping.next = Some((next, looks - 1)),
        None => {}
    }
    shown(mapping.state).to_string().into_response()
}

/// Source: `EventBridge` Scheduler API reference, `CreateSchedule`, `DeleteSchedule`.
fn schedule(method: &Method) -> Response {
    if method == Method::POST {
        return json!({ "ScheduleArn": "arn:aws:scheduler:::schedule/default/s" })
            .to_string()
            .into_response();
    }
    let kind = [("x-amzn-errortype", "ResourceNotFoundException")];
    (StatusCode::NOT_FOUND, kind, json!({ "Message": "no schedule" }).to_string()).into_response()
}

/// An environment whose queues an engine has.
struct Site {
    engine: Engine,
    dir: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let config = json!({
            "environment": "test",
            "routes": { "sss": {
                "path": "/sqs-hook", "ordering_key": "one",
                "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/" }],
            }},
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let config = Config::parse(&config.to_string()).unwrap();
        let engine = Engine::start(EngineOptions {
            storage: Storage::Directory(dir.path().join("data")),
            forwarder: Some("/nowhere".into()),
            ..EngineOptions::in_memory(config)
        });
        Self { engine: engine.await.unwrap(), dir }
    }

    fn command(&self, lambda: &Lambda, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
        command.arg0("webhook-operator").args(arguments).current_dir(self.dir.path());
        command
            .env_remove("SUDO_COMMAND")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.engine.api_address()))
            .env("AWS_ENDPOINT_URL_LAMBDA", &lambda.url)
            .env("AWS_ENDPOINT_URL_SCHEDULER", &lambda.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", self.engine.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that has to succeed, and gives what it said.
    async fn operate(&self, lambda: &Lambda, arguments: &[&str]) -> String {
        let config = self.dir.path().join("config.json");
        let arguments = [arguments, &["test", "--config", path(&config)]].concat();
        let done = self.command(lambda, &arguments).output().await.unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{arguments:?}: {said}");
        said
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

const PAUSE: [&str; 4] = ["pause", "--json", "--why", "release 42"];

#[tokio::test(flavor = "multi_thread")]
async fn every_change_waits_for_the_one_before_and_for_its_own_end() {
    // At once, as each takes some seconds.
    let mut changes = JoinSet::new();
    for (arguments, begins, becomes, ends) in [
        (&PAUSE[..], "Creating", "Enabled", "Disabled"),
        (&PAUSE, "Enabling", "Enabled", "Disabled"),
        (&["resume", "--json"], "Disabling", "Disabled", "Enabled"),
        (&["resume", "--json"], "Updating", "Enabled", "Enabled"),
        (&["dlq", "redrive", "--all", "--pause-first", "--json"], "Updating", "Enabled", "Enabled"),
    ] {
        changes.spawn(async move {
            let site = Site::start().await;
            let lambda = Lambda::start(begins, Some(becomes), 0).await;
            let said = site.operate(&lambda, arguments).await;
            assert_eq!(lambda.state(), ends, "{arguments:?} {begins}");
            // It was never asked for what it would have refused.
            assert_eq!(lambda.changes()[0], format!("PUT {becomes}"), "{arguments:?} {begins}");
            let earlier = "an earlier change of the event source mapping to end: it is";
            let later = "the event source mapping to be";
            for expected in [format!("{earlier} {begins}"), format!("{later} {ends}")] {
                assert!(said.contains(&format!("waiting for {expected}")), "{said}");
            }
        });
    }
    assert_eq!(changes.join_all().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_refused_as_another_is_under_way_is_made_again() {
    let site = Site::start().await;
    let lambda = Lambda::start("Enabled", None, 2).await;
    site.operate(&lambda, &PAUSE).await;
    assert_eq!((lambda.state(), lambda.changes().len()), ("Disabled", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_waits_until_the_mapping_has_settled() {
    let site = Site::start().await;
    let lambda = Lambda::start("Disabling", Some("Disabled"), 0).await;
    let arguments = ["settle", "--region", "us-east-1", "--uuid", "mapping-1"];
    let done = site.command(&lambda, &arguments).output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(lambda.state(), "Disabled");
    assert!(lambda.changes().is_empty());
}
