use serde_json::{Value, json};

use domain::config::{Config, ConfigError};
use domain::environment::CONFIG_VARIABLE;

use crate::{Architecture, Deployment};

/// A configuration with all that must be said of AWS, `aws` and the route changed by hand.
fn config(change: impl FnOnce(&mut Value)) -> Result<Deployment, ConfigError> {
    let mut file = json!({
        "environment": "test",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-workflow-id",
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/hook" }],
        }},
        "aws": {
            "region": "ap-northeast-1",
            "state_bucket": "acme-state",
            "artifact_bucket": "acme-artifacts",
            "notifications": { "emails": ["operator@example.com"] },
        },
    });
    change(&mut file);
    Deployment::parse(&file.to_string())
}

fn with(field: &str, value: &Value) -> Result<Deployment, ConfigError> {
    config(|file| file["aws"][field] = value.clone())
}

/// `aws.FIELD` of `value` has just this fault.
fn refused(field: &str, value: &Value, expected: &str) {
    only_fault(with(field, value), expected);
}

fn only_fault(result: Result<Deployment, ConfigError>, expected: &str) {
    let error = result.expect_err(expected);
    let faults: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
    assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:#?} lack {expected:?}");
}

fn accepted(field: &str, value: &Value) {
    if let Err(error) = with(field, value) {
        panic!("{field} = {value}: {error}");
    }
}

#[test]
fn aws_takes_smaller_messages_than_one_machine() {
    let of = |bytes: u32| config(|file| file["queue"] = json!({ "max_message_bytes": bytes }));
    assert!(of(258_048).is_ok());
    only_fault(of(258_049), "queue.max_message_bytes: must be 1024 to 258048 bytes on AWS");
    let on_one_machine = json!({
        "environment": "test", "queue": { "max_message_bytes": 1_044_480 },
        "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "all",
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/hook" }],
        }},
    });
    let deployment = Deployment::parse(&on_one_machine.to_string()).unwrap();
    assert_eq!(deployment.config.queue().max_message_bytes, 1_044_480);
}

#[test]
fn who_is_notified_on_one_machine_is_not_told_by_aws() {
    let notify = json!({ "url": "https://hooks.example.com/planted" });
    let result = config(|file| file["notify"] = notify.clone());
    assert!(!format!("{result:?}").contains("planted"));
    only_fault(result, "notify: is for one machine; on AWS alarms tell who is named in aws.notif");
    let emulated = config(|file| {
        (file["notify"], file["environment"]) = (notify, json!("local"));
    });
    assert!(emulated.unwrap().config.notify().is_some());
}

#[test]
fn what_was_delivered_is_kept_on_one_machine_only() {
    let keep = json!({ "count": 5 });
    let result = config(|file| file["keep_delivered"] = keep.clone());
    only_fault(result, "keep_delivered: is for one machine; SQS keeps nothing of what was deliv");
    let emulated = config(|file| {
        (file["keep_delivered"], file["environment"]) = (keep, json!("local"));
    });
    assert_eq!(emulated.unwrap().config.keep_delivered().unwrap().count(), 5);
}

#[test]
fn what_is_not_said_has_the_modules_defaults() {
    let aws = config(|_| {}).unwrap().aws.unwrap();
    assert_eq!(aws.function.architecture, Architecture::Arm64);
    assert_eq!(aws.function.memory_megabytes, 128);
    assert_eq!(aws.logs.retention_days, 30);
    assert_eq!(aws.encryption.data_key_reuse_seconds, 300);
    assert!((aws.throttling.rate_per_second - 300.0).abs() < f64::EPSILON);
    assert_eq!(aws.throttling.burst, 300);
    assert_eq!(aws.thresholds.oldest_message_seconds, 900);
    assert_eq!(aws.runbook_url, "docs/runbook.md");
    assert!(!aws.deletion_protection && !aws.sss_stub && aws.api.is_none());
}

#[test]
fn all_of_it_can_be_said() {
    let config = config(|file| {
        file["aws"] = json!({
            "region": "us-gov-east-1",
            "account_id": "123456789012",
            "state_bucket": "acme.state-1",
            "artifact_bucket": "acme-artifacts",
            "start_paused": true,
            "authorization": {
                "type": "CUSTOM",
                "lambda": { "function_name": "check", "invoke_arn": "arn:aws:apigateway:…" },
            },
            "throttling": {
                "rate_per_second": 0.5,
                "routes": { "sss": { "rate_per_second": 10, "burst": 1 } },
            },
            "encryption": {
                "kms_key_arn": "arn:aws:kms:us-gov-east-1:123456789012:key/0a",
                "data_key_reuse_seconds": 86400,
            },
            "deletion_protection": true,
            "function": {
                "architecture": "x86_64",
                "memory_megabytes": 10240,
                "reserved_concurrency": 10,
                "tracing": true,
                "vpc": { "subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"] },
                "environment_variables": { "SSL_CERT_FILE": "/opt/ca.pem" },
            },
            "logs": { "retention_days": 3653 },
            "notifications": { "action_arns": ["arn:aws:sns:us-gov-east-1:123456789012:pager"] },
            "thresholds": { "dead_letter_age_share": 0.5 },
            "runbook_url": "https://example.com/runbook",
            "permissions_boundary_arn": "arn:aws:iam::123456789012:policy/acme-test-boundary",
            "sss_stub": true,
            "smoke_test": {
                "route": "sss",
                "headers": { "X-Workflow-Id": "smoke-test" },
                "body": { "any": ["json", 1] },
            },
            "tags": { "Owner": "team a" },
        });
    });
    assert_eq!(config.unwrap().aws.unwrap().function.architecture.as_str(), "x86_64");
}

#[test]
fn who_only_delivers_passes_it_over() {
    let bad = json!({
        "environment": "test",
        "routes": { "sss": {
            "path": "/", "ordering_key": "g",
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/" }],
        }},
        "aws": { "region": 1, "unknown": [] },
    });
    let fault = Config::parse(&bad.to_string()).unwrap_err();
    assert!(fault.to_string().starts_with("configuration: routes.sss.path: "), "{fault}");
    let good = bad.to_string().replace("\"/\"", "\"/hook\"");
    assert!(Config::parse(&good).is_ok());
    only_fault(Deployment::parse(&good), "aws.region: invalid type: integer, expected a string");
}

#[test]
fn the_faults_of_both_parts_are_told_at_once() {
    let told = |change: fn(&mut Value), expected: &[&str]| {
        let error = config(change).expect_err("it has faults");
        let paths: Vec<&str> = error.faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, expected, "{error}");
    };
    told(
        |file| {
            file["environment"] = json!("Test");
            file["routes"]["sss"]["path"] = json!("/");
            file["aws"]["region"] = json!("tokyo");
            file["aws"]["smoke_test"] = json!({ "route": "other", "body": {} });
        },
        &["environment", "routes.sss.path", "aws.region", "aws.smoke_test.route"],
    );
    told(
        |file| {
            file["routes"]["sss"]["path"] = json!("/");
            file["aws"]["region"] = json!(1);
        },
        &["routes.sss.path", "aws.region"],
    );
    told(
        |file| {
            file["routes"]["sss"]["path"] = json!(1);
            file["aws"]["region"] = json!(1);
        },
        &["routes.sss.path", "aws.region"],
    );
}

#[test]
fn what_is_no_configuration_is_told_once() {
    for (text, expected) in [
        ("{", "EOF while parsing an object"),
        ("[]", "(the file): invalid length 0"),
        (r#"{"aws":{"region":}}"#, "expected value"),
        (r#"{"aws":{"region":"#, "EOF"),
        (r#"{"aws":null,"aws":{"region":1}}"#, "duplicate field `aws`"),
        (r#"{"environment":"a","routes":{}} trailing"#, "trailing characters"),
        (r#"{"environment":"a","routes":{},"aws2":{}}"#, "unknown field `aws2`"),
    ] {
        only_fault(Deployment::parse(text), expected);
    }
    let twice = r#"{"environment":"a","routes":{},"aws":{"region":"a","region":"b"}}"#;
    let error = Deployment::parse(twice).unwrap_err().to_string();
    assert!(error.contains("aws: duplicate field `region`"), "{error}");
}

#[test]
fn the_forwarder_is_not_told_of_it() {
    let config = config(|_| {}).unwrap().config;
    let environment = config.forwarder_environment("http://q/1", "http://q/2");
    let told: Value = serde_json::from_str(&environment[CONFIG_VARIABLE]).unwrap();
    let fields: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["environment", "routes"]);
}

#[test]
fn the_shape_is_checked_by_place() {
    refused("regions", &json!([]), "unknown field `regions`");
    refused("region", &json!(1), "aws.region: ");
    refused("function", &json!({ "memory_mb": 1 }), "unknown field `memory_mb`");
    refused("function", &json!({ "architecture": "arm" }), "aws.function.architecture: ");
    only_fault(
        config(|file| {
            file["aws"].as_object_mut().unwrap().remove("notifications");
        }),
        "missing field `notifications`",
    );
}

#[test]
fn region_account_and_buckets() {
    for region in ["", "tokyo", "ap-northeast", "ap-northeast-11", "AP-northeast-1", "a-b-1"] {
        refused("region", &json!(region), "aws.region: must be one such as");
    }
    for account in ["12345678901", "1234567890123", "12345678901x"] {
        refused("account_id", &json!(account), "aws.account_id: must be 12 digits");
    }
    for bucket in ["ab", "Acme-state", "-acme", "acme-", "a..b", "a_b", &"a".repeat(64)] {
        refused("state_bucket", &json!(bucket), "aws.state_bucket: a bucket's name");
        refused("artifact_bucket", &json!(bucket), "aws.artifact_bucket: a bucket's name");
    }
}

#[test]
fn only_local_needs_no_buckets() {
    let without = |environment: &str| {
        config(|file| {
            file["environment"] = json!(environment);
            file["aws"]["state_bucket"] = Value::Null;
        })
    };
    only_fault(without("test"), "aws.state_bucket: is missing");
    assert!(without("local").is_ok());
}

#[test]
fn an_api_has_an_id_or_a_name() {
    accepted("api", &json!({ "id": "a1b2c3" }));
    accepted("api", &json!({ "name": "sss" }));
    for stage in ["$default", "v1", "a-B_7"] {
        accepted("api", &json!({ "id": "a1b2c3", "stage": stage }));
    }
    for stage in ["", "a/b", "$other", "ä", &"s".repeat(129)] {
        let api = json!({ "id": "a1b2c3", "stage": stage });
        refused("api", &api, "aws.api.stage: is $default, or 1 to 128 letters");
    }
    let limited = config(|file| {
        file["aws"]["api"] = json!({ "id": "a1b2c3" });
        file["aws"]["throttling"] = json!({ "burst": 20 });
    });
    only_fault(limited, "aws.throttling: is for an API that is made");
    for both_or_none in [json!({}), json!({ "id": "a1b2c3", "name": "sss" })] {
        refused("api", &both_or_none, "aws.api: needs either id or name");
    }
}

#[test]
fn authorization_is_one_whole() {
    let jwt = json!({ "issuer": "https://issuer.example.com", "audience": ["webhooks"] });
    let lambda = json!({ "function_name": "check", "invoke_arn": "arn:aws:apigateway:…" });
    accepted("authorization", &json!({ "type": "AWS_IAM" }));
    accepted("authorization", &json!({ "type": "JWT", "jwt": jwt, "scopes": ["send"] }));
    accepted("authorization", &json!({ "type": "JWT", "authorizer_id": "a1" }));
    for (wrong, expected) in [
        (json!({ "type": "JWT" }), "need one of"),
        (json!({ "authorizer_id": "a1" }), "need one of"),
        (json!({ "type": "CUSTOM", "authorizer_id": "a1", "lambda": lambda }), "need one of"),
        (json!({ "type": "CUSTOM", "jwt": jwt }), "jwt: is for the type JWT"),
        (json!({ "type": "JWT", "lambda": lambda }), "lambda: is for the type CUSTOM"),
        (json!({ "scopes": ["send"] }), "scopes: are for the type JWT"),
        (
            json!({ "type": "JWT", "jwt": { "issuer": "http://i", "audience": ["a"] } }),
            "an issuer that begins with https://",
        ),
        (
            json!({ "type": "JWT", "jwt": { "issuer": "https://i", "audience": [] } }),
            "at least one audience",
        ),
        (
            json!({ "type": "CUSTOM", "lambda": {
                "function_name": "check", "invoke_arn": "arn:…", "result_ttl_seconds": 3601 } }),
            "result_ttl_seconds: must be 0 to 3600 seconds",
        ),
        (json!({ "type": "none" }), "aws.authorization.type: unknown variant"),
    ] {
        refused("authorization", &wrong, expected);
    }
}

#[test]
fn throttling_refuses_something_but_not_everything() {
    for nothing in [json!({ "burst": 0 }), json!({ "rate_per_second": 0 })] {
        refused("throttling", &nothing, "aws.throttling: rate_per_second must be above 0");
    }
    let route = |name: &str, burst: u32| json!({ "routes": { name: { "rate_per_second": 1, "burst": burst } } });
    refused("throttling", &route("sss", 0), "aws.throttling.routes.sss: ");
    refused(
        "throttling",
        &route("other", 1),
        "aws.throttling.routes.other: there is no such route",
    );
}

#[test]
fn keys_and_policies_are_arns() {
    let key = |arn: &str| json!({ "kms_key_arn": arn });
    accepted("logs", &key("arn:aws-cn:kms:cn-north-1:123456789012:key/0a-1"));
    for arn in [
        "0a-1",
        "arn:aws:kms:ap-northeast-1:123456789012:alias/mine",
        "arn:aws:kms:ap-northeast-1:123456789012:key/",
        "arn:aws:kms::123456789012:key/0a",
        "arn:aws:kms:ap-northeast-1:aws:key/0a",
        "arn:aws:sns:ap-northeast-1:123456789012:key/0a",
    ] {
        refused("encryption", &key(arn), "aws.encryption.kms_key_arn: must be the ARN of a key");
        refused("logs", &key(arn), "aws.logs.kms_key_arn: must be the ARN of a key");
    }
    accepted("permissions_boundary_arn", &json!("arn:aws:iam::aws:policy/PowerUserAccess"));
    for arn in ["PowerUserAccess", "arn:aws:iam::123456789012:role/r"] {
        refused("permissions_boundary_arn", &json!(arn), "must be the ARN of a policy");
    }
}

#[test]
fn the_function_is_one_that_lambda_takes() {
    let check = |value: Value, expected: &str| refused("function", &value, expected);
    check(json!({ "memory_megabytes": 127 }), "must be 128 to 10240 MB, is 127");
    check(json!({ "memory_megabytes": 10241 }), "must be 128 to 10240 MB, is 10241");
    check(json!({ "reserved_concurrency": 9 }), "at least forwarder.max_concurrency, 10, is 9");
    check(json!({ "vpc": { "subnet_ids": [], "security_group_ids": ["sg-1"] } }), "one subnet");
    check(json!({ "vpc": { "subnet_ids": ["s"], "security_group_ids": [] } }), "security group");
    for name in ["AWS_REGION", "AWS_LAMBDA_X", "QUEUE_URL", "WEBHOOK_QUEUE_CONFIG", "1A", "A-B", ""]
    {
        check(json!({ "environment_variables": { name: "" } }), "a name is letters, digits");
    }
    check(json!({ "environment_variables": { "A": "x".repeat(4000) } }), "do not fit");
}

#[test]
fn days_and_seconds_are_those_that_aws_takes() {
    refused(
        "logs",
        &json!({ "retention_days": 31 }),
        "aws.logs.retention_days: must be one of [1, 3",
    );
    for seconds in [59, 86_401] {
        refused(
            "encryption",
            &json!({ "data_key_reuse_seconds": seconds }),
            "must be 60 to 86400 seconds",
        );
    }
}

#[test]
fn alarms_are_heard_and_go_off() {
    let check = |value: Value, expected: &str| refused("notifications", &value, expected);
    check(json!({}), "an alarm that nobody hears is none");
    for email in ["operator", "a@b", "a@b@c.d", "a b@c.d", "@c.d"] {
        check(json!({ "emails": [email] }), "is not an address");
    }
    check(json!({ "action_arns": ["pager"] }), "is not an ARN");
    let five: Vec<String> = (0..5).map(|number| format!("arn:aws:sns:{number}")).collect();
    check(json!({ "action_arns": five }), "has 5; CloudWatch takes 5 actions");
    let check = |value: Value, expected: &str| refused("thresholds", &value, expected);
    for field in ["oldest_message_seconds", "api_client_errors", "api_server_errors"] {
        check(json!({ field: 0 }), &format!("aws.thresholds.{field}: must be at least 1"));
    }
    check(json!({ "not_receiving_minutes": 4 }), "must be 5 to 1440 minutes");
    check(json!({ "not_receiving_minutes": 1441 }), "must be 5 to 1440 minutes");
    for share in [0.0, 1.0] {
        check(json!({ "dead_letter_age_share": share }), "must be between 0 and 1");
    }
    for url in ["", "runbook.md#section", "run book"] {
        refused("runbook_url", &json!(url), "aws.runbook_url: must be an address without #");
    }
}

#[test]
fn the_stub_has_its_path_for_itself() {
    let at = |path: &str| {
        config(|file| {
            file["routes"]["sss"]["path"] = json!(path);
            file["aws"]["sss_stub"] = json!(true);
        })
    };
    only_fault(at("/application-hook"), "routes.sss.path: /application-hook is where aws.sss_stub");
    assert!(at("/{any}").is_ok(), "the more specific of both wins");
}

#[test]
fn the_smoke_test_is_taken_by_its_route() {
    let smoke = |route: &Value, headers: Value, body: Value| {
        config(|file| {
            for (field, value) in route.as_object().unwrap() {
                file["routes"]["sss"][field] = value.clone();
            }
            file["aws"]["smoke_test"] = json!({ "route": "sss", "headers": headers, "body": body });
        })
    };
    let header = || json!({ "X-WORKFLOW-ID": "smoke-test" });
    assert!(smoke(&json!({}), header(), Value::Null).is_ok());
    only_fault(
        smoke(&json!({}), json!({}), json!({})),
        "Unable to resolve property MessageGroupId",
    );
    only_fault(
        smoke(&json!({}), json!({ "x-workflow-id": "smoke test" }), json!({})),
        "would be \"smoke test\"",
    );
    only_fault(
        smoke(&json!({ "pass_headers": ["x-tenant"] }), header(), json!({})),
        "Unable to resolve property MessageAttributes",
    );
    let by_body = json!({ "ordering_key": "$request.body.order.id" });
    assert!(smoke(&by_body, json!({}), json!({ "order": { "id": 7 } })).is_ok());
    only_fault(smoke(&by_body, json!({}), json!({ "order": {} })), "route sss would refuse it");
    only_fault(
        smoke(&json!({ "path": "/hooks/{tenant}" }), header(), json!({})),
        "the path /hooks/{tenant} needs a value for {tenant}",
    );
    let by_claim = json!({ "ordering_key": "$context.authorizer.claims.sub" });
    assert!(smoke(&by_claim, json!({}), json!({})).is_ok(), "only AWS knows the claim");
    refused(
        "smoke_test",
        &json!({ "route": "other", "body": {} }),
        "aws.smoke_test.route: there is no route \"other\"",
    );
}

#[test]
fn tags_are_those_that_every_service_takes() {
    for key in ["", "aws:x", "AWS:x", "a#b", &"k".repeat(129)] {
        refused("tags", &json!({ key: "v" }), "a tag's key is 1 to 128");
    }
    refused("tags", &json!({ "environment": "v" }), "is a tag of ours");
    refused("tags", &json!({ "Owner": "v", "owner": "v" }), "there twice in another case");
    for value in ["a#b", &"v".repeat(257)] {
        refused("tags", &json!({ "Owner": value }), "a tag's value is at most 256");
    }
}

#[test]
fn secrets_on_aws_are_where_aws_keeps_them() {
    let verified = |environment: &str, reference: &str| {
        config(|file| {
            file["environment"] = json!(environment);
            file["routes"]["sss"]["verify"] = json!({ "scheme": "github", "secrets": [reference] });
        })
    };
    for good in ["ssm:/test/sss", "secretsmanager:test/sss"] {
        assert!(verified("test", good).is_ok(), "{good}");
    }
    for reference in ["env:SSS_SECRET", "file:/run/secrets/sss"] {
        let expected = format!("routes.sss: {reference} is for one machine");
        only_fault(verified("test", reference), &expected);
        assert!(verified("local", reference).is_ok(), "{reference}");
    }
    let sent = |environment: &str, value: &str| {
        config(|file| {
            file["environment"] = json!(environment);
            file["routes"]["sss"]["destinations"][0]["headers"] = json!({ "x-key": value });
        })
    };
    for good in ["ssm:/test/sss", "secretsmanager:test/sss", "literal", "of env:SSS_KEY"] {
        assert!(sent("test", good).is_ok(), "{good}");
    }
    for reference in ["env:SSS_KEY", "file:/run/secrets/sss"] {
        let expected = format!("routes.sss: {reference} is for one machine");
        only_fault(sent("test", reference), &expected);
        assert!(sent("local", reference).is_ok(), "{reference}");
    }
    let key = json!({ "secrets_kms_key_arn": "alias/mine" });
    refused("encryption", &key, "aws.encryption.secrets_kms_key_arn: must be the ARN of a key");
}

#[test]
fn a_smoke_test_cannot_be_signed_anew() {
    let verified = |verify: Value| {
        config(|file| {
            file["routes"]["sss"]["verify"] = verify;
            let headers = json!({ "x-workflow-id": "w", "x-hub-signature-256": "sha256=00" });
            file["aws"]["smoke_test"] = json!({ "route": "sss", "headers": headers, "body": {} });
        })
    };
    assert!(verified(json!({ "scheme": "github", "secrets": ["ssm:/a"] })).is_ok());
    only_fault(
        verified(json!({ "scheme": "slack", "secrets": ["ssm:/a"] })),
        "aws.smoke_test.route: route sss verifies when its events were signed",
    );
}
