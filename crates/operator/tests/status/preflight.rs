//! `doctor` before the first deployment to AWS: what it asks, and what it says of an account that is
//! not ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Done, Service, operator};

/// What an account answers.
#[derive(Debug, Clone)]
struct Account {
    id: &'static str,
    concurrency: u32,
    has_function: bool,
    has_buckets: bool,
    /// Whether the stage v1 of API a1b2c3, which is named webhooks, deploys by itself; there is no other.
    auto_deploy: bool,
}

const READY: Account = Account {
    id: "123456789012",
    concurrency: 1_000,
    has_function: false,
    has_buckets: true,
    auto_deploy: true,
};

type Shared = Arc<(Account, Mutex<Vec<String>>)>;

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let (account, asked) = &*shared;
    let text = String::from_utf8_lossy(&body);
    asked.lock().unwrap().push(uri.to_string());
    if headers.get("x-amz-target").is_some_and(|target| target == "AmazonSQS.GetQueueUrl") {
        let error =
            json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no queue" });
        return (StatusCode::BAD_REQUEST, error.to_string());
    }
    if text.contains("Action=GetCallerIdentity") {
        let id = account.id;
        return (
            StatusCode::OK,
            format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <GetCallerIdentityResult><Arn>arn:aws:iam::{id}:user/a</Arn><Account>{id}</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>"
            ),
        );
    }
    match uri.path() {
        "/2016-08-19/account-settings" => {
            let limit = json!({
                "ConcurrentExecutions": account.concurrency,
                "UnreservedConcurrentExecutions": account.concurrency,
            });
            (StatusCode::OK, json!({ "AccountLimit": limit }).to_string())
        }
        path if path.starts_with("/2015-03-31/functions/") => {
            if account.has_function {
                (StatusCode::OK, json!({ "FunctionName": "of another" }).to_string())
            } else {
                let error = json!({ "Type": "User", "Message": "Function not found" });
                (StatusCode::NOT_FOUND, error.to_string())
            }
        }
        // Two pages.
        "/v2/apis" if uri.query().is_some_and(|query| query.contains("nextToken")) => {
            let apis = json!([{ "apiId": "a1b2c3", "name": "webhooks" }]);
            (StatusCode::OK, json!({ "items": apis }).to_string())
        }
        "/v2/apis" => {
            let apis = json!([{ "apiId": "d4e5f6", "name": "others" }]);
            (StatusCode::OK, json!({ "items": apis, "nextToken": "more" }).to_string())
        }
        "/v2/apis/a1b2c3/stages/v1" => {
            let stage = json!({ "stageName": "v1", "autoDeploy": account.auto_deploy });
            (StatusCode::OK, stage.to_string())
        }
        path if path.starts_with("/v2/") => {
            (StatusCode::NOT_FOUND, json!({ "message": "Invalid stage identifier" }).to_string())
        }
        _ if account.has_buckets => (
            StatusCode::OK,
            "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>".to_owned(),
        ),
        _ => {
            let error = "<Error><Code>NoSuchBucket</Code><Message>there is none</Message></Error>";
            (StatusCode::NOT_FOUND, error.to_owned())
        }
    }
}

/// Runs `doctor` for an environment that was never deployed, with `patch` in its `aws`.
async fn doctor(account: Account, patch: &Value) -> (Done, Vec<String>) {
    let service = Service::anywhere().await;
    let shared: Shared = Arc::new((account, Mutex::default()));
    // Lambda and API Gateway say the kind of an error in a header.
    let with_kind = axum::middleware::map_response(
        |uri: Uri, mut response: axum::response::Response| async move {
            if response.status() == StatusCode::NOT_FOUND {
                let is_api = uri.path().starts_with("/v2/");
                let kind = if is_api { "NotFoundException" } else { "ResourceNotFoundException" };
                let kind = kind.parse().unwrap();
                response.headers_mut().insert("x-amzn-errortype", kind);
            }
            response
        },
    );
    let app = Router::new().fallback(answer).layer(with_kind).with_state(Arc::clone(&shared));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    let mut aws = json!({
        "region": "us-east-1", "account_id": "123456789012", "state_bucket": "a-state",
        "artifact_bucket": "some-artifacts", "notifications": { "emails": ["a@example.com"] },
    });
    aws.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    let config = json!({
        "environment": "dev", "aws": aws, "forwarder": { "max_concurrency": 20 },
        "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "$request.header.x-key",
            "destinations": [{ "name": "sss", "url": service.url() }],
        } },
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = operator(&["doctor", "dev", "--json", "--config"]);
    command.arg(&file).current_dir(dir.path());
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let done = command.output().await.unwrap().into();
    let asked = shared.1.lock().unwrap().clone();
    (done, asked)
}

/// Verdict and finding of each line that is not well.
fn unwell(done: &Done) -> BTreeMap<String, (String, String)> {
    let document: Value = serde_json::from_str(&done.stdout).expect(&done.stderr);
    let checks = document["checks"].as_array().unwrap().iter();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    checks
        .filter(|check| check["verdict"] != "ok")
        .map(|check| (text(check, "name"), (text(check, "verdict"), text(check, "found"))))
        .collect()
}

#[tokio::test]
async fn an_account_that_is_ready_passes() {
    let (done, asked) = doctor(READY, &json!({})).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let unwell = unwell(&done);
    assert_eq!(unwell.keys().collect::<Vec<_>>(), ["environment"], "{unwell:?}");
    for bucket in ["/a-state", "/some-artifacts"] {
        assert!(asked.iter().any(|path| path.starts_with(bucket)), "{asked:?}");
    }
    assert!(
        asked.contains(&"/2015-03-31/functions/dev-webhook-forwarder/configuration".to_owned())
    );
}

#[tokio::test]
async fn what_is_in_the_way_is_named() {
    let account = Account { id: "210987654321", has_function: true, has_buckets: false, ..READY };
    let (done, _) = doctor(account, &json!({})).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    let unwell = unwell(&done);
    let fails = |name: &str, text: &str| {
        let (verdict, found) = &unwell[name];
        assert!(verdict == "fail" && found.contains(text), "{name}: {verdict} {found}");
    };
    fails("credentials", "account 210987654321; aws.account_id allows 123456789012 only");
    fails("aws.state_bucket", "a-state");
    fails("aws.artifact_bucket", "some-artifacts");
    fails("names", "dev-webhook-forwarder");
}

#[tokio::test]
async fn a_new_account_s_concurrency_is_compared_with_what_is_asked_for() {
    for (limit, reserved, verdict) in [
        (20, Value::Null, None),
        (19, Value::Null, Some("warn")),
        (130, json!(30), None),
        (129, json!(30), Some("fail")),
    ] {
        let account = Account { concurrency: limit, ..READY };
        let patch = json!({ "function": { "reserved_concurrency": reserved } });
        let (done, _) = doctor(account, &patch).await;
        let unwell = unwell(&done);
        let found = unwell.get("concurrency").map(|(verdict, _)| verdict.as_str());
        assert_eq!(found, verdict, "{limit} {reserved}: {unwell:?} {}", done.stderr);
        assert_eq!(done.code, Some(i32::from(verdict == Some("fail"))));
    }
}

#[tokio::test]
async fn an_api_that_was_there_already_is_asked_whether_its_stage_deploys_by_itself() {
    let deploy = "aws apigatewayv2 create-deployment --api-id a1b2c3 --stage-name 'v1'";
    let create = "aws apigatewayv2 create-stage --api-id a1b2c3 --stage-name 'v2' --auto-deploy";
    for (api, auto_deploy, expected) in [
        (json!({ "id": "a1b2c3", "stage": "v1" }), true, None),
        (json!({ "name": "webhooks", "stage": "v1" }), true, None),
        (json!({ "id": "a1b2c3", "stage": "v1" }), false, Some(("warn", deploy))),
        (json!({ "name": "webhooks", "stage": "v1" }), false, Some(("warn", deploy))),
        (json!({ "id": "a1b2c3", "stage": "v2" }), true, Some(("fail", create))),
        (json!({ "name": "mine" }), true, Some(("fail", "0 APIs are named \"mine\""))),
    ] {
        let (done, _) = doctor(Account { auto_deploy, ..READY }, &json!({ "api": api })).await;
        let unwell = unwell(&done);
        match (unwell.get("stage"), expected) {
            (None, None) => assert!(done.stdout.contains("v1 of API a1b2c3"), "{}", done.stdout),
            (Some((verdict, found)), Some((wanted, text))) => {
                assert!(verdict == wanted && found.contains(text), "{api}: {verdict} {found}");
            }
            other => panic!("{api}: {other:?} {}", done.stderr),
        }
    }
}
