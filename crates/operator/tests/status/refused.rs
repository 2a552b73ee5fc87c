//! `refused`: requests that were not accepted.

use std::time::{Duration, SystemTime};

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::support::{Service, Site};

async fn site() -> Site {
    Site::start(&format!("http://{}", Service::nowhere().await)).await
}

#[tokio::test]
async fn on_one_machine_each_is_there_with_its_rule_and_what_is_done_about_it() {
    let site = site().await;
    assert_eq!(
        site.operate(&["refused", "local"]).await.stdout.split(" since ").next(),
        Some("no request was refused")
    );
    site.post("/sqs-hook", "k", "{}").await;
    let id = site.refused("POST", "/sqs-hook?secret=1", "", "a body").await;
    site.refused("GET", "/sqs-hook", "x-key: k\r\n", "").await;
    site.refused("POST", "/wp-login.php", "", "").await;
    let told = site.json(&["refused", "local"]).await;
    assert_eq!(told["rules"], json!({ "not_found": 2, "unresolvable": 1 }), "{told:#}");
    assert_eq!(told["unsaid"], 0);
    let first = &told["requests"][0];
    assert_eq!(
        (&first["request_id"], &first["status"], &first["rule"], &first["place"]),
        (&json!(id), &json!(400), &json!("unresolvable"), &json!("POST /sqs-hook"))
    );
    assert_eq!(first["source"], "127.0.0.1");
    let why = first["why"].as_str().unwrap();
    assert!(why.contains("$request.header.x-key has no value"), "{why}");
    let text = site.operate(&["refused", "local", "--limit", "1"]).await.stdout;
    assert!(text.contains("POST /wp-login.php") && !text.contains("POST /sqs-hook"), "{text}");
    assert!(text.contains("the newest 1 of 3\n2 × not_found: compare path and method"), "{text}");
    assert!(!text.contains("secret") && !told.to_string().contains("a body"), "{text}");
    let later = site.json(&["refused", "local", "--since", "2199-01-01T00:00:00Z"]).await;
    assert_eq!(later["requests"], json!([]), "{later:#}");
}

#[tokio::test]
async fn of_a_flood_the_number_is_told() {
    let site = site().await;
    for _ in 0..110 {
        site.refused("GET", "/", "", "").await;
    }
    // A line a second is written again: the next one says how many had none.
    let told = loop {
        site.refused("GET", "/", "", "").await;
        let told = site.json(&["refused", "local"]).await;
        if told["unsaid"] != 0 {
            break told;
        }
    };
    assert!(told["rules"]["not_found"].as_u64() >= Some(100), "{}", told["rules"]);
    let text = site.operate(&["refused", "local"]).await.stdout;
    assert!(text.contains("that have no line of their own"), "{text}");
}

/// As API Gateway writes it.
fn line(status: &str, integration_status: &str, minutes_ago: u64, more: &Value) -> Value {
    let at = Timestamp::from(SystemTime::now() - Duration::from_mins(minutes_ago));
    let mut line = json!({
        "requestId": format!("r-{minutes_ago}"), "requestTimeEpoch": at.as_ms().to_string(),
        "routeKey": "POST /sqs-hook", "status": status, "integrationStatus": integration_status,
        "integrationErrorMessage": "-", "errorMessage": "-", "authorizerError": "-",
        "sourceIp": "192.0.2.7",
    });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

#[tokio::test]
async fn on_aws_the_access_log_tells_the_rule() {
    let site = site().await;
    let missing = "Unable to resolve property MessageGroupId from source $request.header.x-key";
    let fake = FakeCloudWatch::start(Answers {
        log: vec![
            line("404", "-", 60 * 30, &json!({})),
            line("404", "-", 5, &json!({ "routeKey": "-", "errorMessage": "Not Found" })),
            line("400", "-", 4, &json!({ "integrationErrorMessage": missing })),
            line("400", "400", 3, &json!({})),
            line("200", "200", 2, &json!({})),
            line("503", "503", 1, &json!({})),
        ],
        log_page: 2,
        ..Answers::default()
    })
    .await;
    let done = site.operate_on_aws(&fake, &["refused", "local", "--json"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    let shown = |it: &Value| -> [Value; 4] {
        ["request_id", "rule", "place", "why"].map(|name| it[name].clone())
    };
    assert_eq!(
        told["requests"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>(),
        [
            [json!("r-5"), json!("not_found"), json!("no route"), json!("Not Found")],
            [json!("r-4"), json!("unresolvable"), json!("POST /sqs-hook"), json!(missing)],
            [json!("r-3"), json!("message"), json!("POST /sqs-hook"), Value::Null],
            [json!("r-1"), json!("queue"), json!("POST /sqs-hook"), Value::Null],
        ]
    );
    let asked = fake.asked("FilterLogEvents");
    assert_eq!(asked[0]["logGroupName"], "/aws/apigateway/local-webhook");
    assert_eq!(asked[0]["filterPattern"], r#"{ ($.status = "4*") || ($.status = "5*") }"#);
    let all = site.operate_on_aws(&fake, &["refused", "local", "--since", "3d"]).await;
    assert!(all.stdout.contains("r-1800"), "{}", all.stdout);
}

#[tokio::test]
async fn an_api_of_somebody_else_has_its_own_log() {
    let site = site().await;
    let file = site.file("../config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    config["aws"] = json!({
        "region": "us-east-1", "account_id": "000000000000", "api": { "name": "sss" },
        "notifications": { "emails": ["a@example.com"] },
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let done = site.operate_as_on_aws(&["refused", "local"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stderr.contains("in the access log of that API's owner"), "{}", done.stderr);
}
