//! A forwarder that cannot work says why, in one line and to Lambda, and ends.

use std::collections::BTreeMap;

use contract_tests::forwarder::{Exit, Forwarder};
use contract_tests::log;
use domain::environment::{CONFIG_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE, QUEUE_URL_VARIABLE};
use serde_json::json;

const QUEUE_URL: &str = "http://127.0.0.1:9324/000000000000/test-webhook.fifo";

fn good() -> BTreeMap<String, String> {
    let config = json!({
        "environment": "test",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-workflow-id",
            "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/hook" }],
        } },
    });
    BTreeMap::from([
        (CONFIG_VARIABLE.to_owned(), config.to_string()),
        (QUEUE_URL_VARIABLE.to_owned(), QUEUE_URL.to_owned()),
        (DEAD_LETTER_QUEUE_URL_VARIABLE.to_owned(), QUEUE_URL.to_owned()),
    ])
}

/// The end of a forwarder with these variables, which must name each of `expected`.
async fn check(environment: &BTreeMap<String, String>, expected: &[&str]) -> Exit {
    let exit = Forwarder::start_with(environment).await.exit().await;
    assert!(!exit.status.success(), "{exit:?}");
    assert_eq!(exit.stderr, [""; 0], "{exit:?}");
    let lines = log::parse(&exit.stdout);
    assert_eq!(lines.len(), 1, "{exit:?}");
    assert_eq!(lines[0]["level"], "ERROR", "{exit:?}");
    let message = lines[0]["message"].as_str().expect("a text");
    let init_error = exit.init_error.as_ref().expect("Lambda was told");
    for text in expected {
        assert!(message.contains(text), "{text:?} is not in {message:?}");
        let to_lambda = &init_error.error_message;
        assert!(to_lambda.contains(text), "{text:?} is not in {to_lambda:?}");
    }
    exit
}

async fn check_config(config: serde_json::Value, expected: &[&str]) {
    let mut environment = good();
    environment.insert(CONFIG_VARIABLE.to_owned(), config.to_string());
    check(&environment, expected).await;
}

/// Or the other tests would prove nothing.
#[tokio::test]
async fn the_good_configuration_is_good() {
    let forwarder = Forwarder::start_with(&good()).await;
    assert!(forwarder.invoke([]).await.is_empty());
}

#[tokio::test]
async fn a_missing_variable_is_named() {
    for name in [CONFIG_VARIABLE, QUEUE_URL_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE] {
        let mut environment = good();
        environment.remove(name);
        check(&environment, &[name]).await;
    }
}

#[tokio::test]
async fn all_missing_variables_are_named_at_once() {
    let names = [CONFIG_VARIABLE, QUEUE_URL_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE];
    check(&BTreeMap::new(), &names).await;
}

#[tokio::test]
async fn every_fault_of_the_configuration_is_named_with_its_place() {
    let config = json!({
        "environment": "Test!",
        "routes": { "sss": {
            "path": "no-slash",
            "ordering_key": "$request.header.x-workflow-id",
            "destinations": [{ "name": "sss", "url": "http://sss.example.com/hook", "timeout_seconds": 90 }],
        } },
    });
    let expected = [
        "environment",
        "routes.sss.path",
        "routes.sss.destinations[0].url",
        "routes.sss.destinations[0].timeout_seconds",
        "90",
    ];
    check_config(config, &expected).await;
}

#[tokio::test]
async fn an_unknown_setting_is_named_with_what_is_allowed() {
    let config = json!({ "environment": "test", "routes": {}, "retires": 5 });
    check_config(config, &["retires", "routes", "forwarder"]).await;
}

#[tokio::test]
async fn a_configuration_that_is_no_json_is_refused() {
    let mut environment = good();
    environment.insert(CONFIG_VARIABLE.to_owned(), "{\"environment\":".to_owned());
    check(&environment, &["EOF"]).await;
}

#[tokio::test]
async fn faults_on_several_lines_are_still_one_line() {
    let mut environment = good();
    environment.insert(CONFIG_VARIABLE.to_owned(), "{\n\"environment\": \"a\\nb\"\n}".to_owned());
    check(&environment, &["routes"]).await;
}

#[tokio::test]
async fn lambda_can_tell_the_kind_of_the_error() {
    let exit = check(&BTreeMap::new(), &[]).await;
    let error_type = exit.init_error.expect("check() saw it").error_type;
    assert!(!error_type.is_empty() && !error_type.contains(' '), "{error_type:?}");
}
