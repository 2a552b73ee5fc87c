//! Every invariant on real plans: one that holds, and for each way to break it a change of that plan.

use serde_json::{Value, json};

use super::*;

/// The plan of an environment that is deployed already, where everything is known.
const DEPLOYED: &str = include_str!("../../../tests/fixtures/plan-deployed.json");
/// The plan of the same environment before its first deployment.
const FIRST: &str = include_str!("../../../tests/fixtures/plan-first.json");
/// Its configuration.
const CONFIG: &str = include_str!("../../../tests/fixtures/config.json");

const QUEUE: &str = "aws_sqs_queue.webhook";
const DEAD: &str = "aws_sqs_queue.dead_letter";
const FUNCTION: &str = "aws_lambda_function.forwarder";
const MAPPING: &str = "aws_lambda_event_source_mapping.queue";
const INTEGRATION: &str = "aws_apigatewayv2_integration.queue";

fn report(plan: &str) -> Report {
    let plan: Value = serde_json::from_str(plan).unwrap();
    check(&Resources::of_plan(&plan).unwrap(), &Config::parse(CONFIG).unwrap())
}

/// Checks that exactly the invariant `name` breaks when the resources whose addresses hold `address`
/// are changed, and that `reason` is said.
fn check_breaks(name: &str, address: &str, reason: &str, change: impl Fn(&mut Value)) -> Report {
    let mut plan: Value = serde_json::from_str(DEPLOYED).unwrap();
    let changes = plan["resource_changes"].as_array_mut().unwrap();
    let mut found = 0;
    for resource in changes.iter_mut() {
        if resource["address"].as_str().unwrap().contains(address) {
            change(&mut resource["change"]);
            found += 1;
        }
    }
    assert!(found > 0, "nothing is named {address}");
    let report = report(&plan.to_string());
    let broken: Vec<&Finding> = report.findings.iter().filter(|it| !it.broken.is_empty()).collect();
    let names: Vec<&str> = broken.iter().map(|finding| finding.name).collect();
    assert_eq!(names, [name], "{}", report.text());
    let reasons = broken[0].broken.join("; ");
    assert!(reasons.contains(reason), "{reason:?} in {reasons}");
    report
}

/// The same for a resource that is not there at all.
fn check_needs(name: &str, address: &str, reason: &str) {
    check_breaks(name, address, reason, |change| {
        *change = json!({ "actions": ["delete"], "before": {}, "after": null });
    });
}

/// Changes a text that holds JSON.
fn edit(text: &mut Value, change: impl Fn(&mut Value)) {
    let mut json: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    change(&mut json);
    *text = json.to_string().into();
}

#[test]
fn everything_holds_of_the_modules() {
    let report = report(DEPLOYED);
    assert!(report.holds() && report.open() == 0, "{}", report.text());
}

#[test]
fn before_the_first_deployment_some_cannot_be_told() {
    let report = report(FIRST);
    assert!(report.holds(), "{}", report.text());
    let open = report.findings.iter().filter(|finding| !finding.unknown.is_empty());
    let open: Vec<&str> = open.map(|finding| finding.name).collect();
    let expected = [
        "destination-timeout",
        "receive-count",
        "dead-letter-queue",
        "tls-only",
        "alarms",
        "least-privilege",
    ];
    assert_eq!(open, expected);
    let again = self::report(DEPLOYED).only_open_in(&report, &["alarms"]);
    assert_eq!(again.findings.len(), expected.len() - 1);
}

#[test]
fn visibility_timeout_is_six_function_timeouts() {
    check_breaks("visibility-timeout", QUEUE, "asks for 60", |change| {
        change["after"]["visibility_timeout_seconds"] = json!(59);
    });
    check_breaks("visibility-timeout", FUNCTION, "asks for 66", |change| {
        change["after"]["timeout"] = json!(11);
    });
}

#[test]
fn destination_timeout_leaves_the_function_time_for_a_dead_letter() {
    check_breaks("destination-timeout", FUNCTION, "of route sss is 5 s, and 2.5s more", |change| {
        change["after"]["timeout"] = json!(7);
    });
    check_breaks("destination-timeout", FUNCTION, "does not know route sss", |change| {
        let variables = &mut change["after"]["environment"][0]["variables"];
        edit(&mut variables["WEBHOOK_QUEUE_CONFIG"], |config| {
            let routes = config["routes"].as_object_mut().unwrap();
            let route = routes.remove("sss").unwrap();
            routes.insert("other".into(), route);
        });
    });
    check_breaks("destination-timeout", FUNCTION, "no variable", |change| {
        change["after"]["environment"] = json!([]);
    });
}

#[test]
fn receive_count_outlasts_the_retries() {
    check_breaks(
        "receive-count",
        QUEUE,
        "maxReceiveCount is 5, the retries of route sss",
        |change| {
            edit(&mut change["after"]["redrive_policy"], |policy| {
                policy["maxReceiveCount"] = json!(5);
            });
        },
    );
}

#[test]
fn dead_letters_keep_their_order_as_long_as_webhooks() {
    check_breaks("dead-letter-queue", DEAD, "no FIFO queue", |change| {
        change["after"]["fifo_queue"] = json!(false);
    });
    check_breaks("dead-letter-queue", DEAD, "message_retention_seconds is 345600", |change| {
        change["after"]["message_retention_seconds"] = json!(345_600);
    });
    check_breaks("dead-letter-queue", QUEUE, "redrive policy names", |change| {
        edit(&mut change["after"]["redrive_policy"], |policy| {
            policy["deadLetterTargetArn"] = json!("arn:aws:sqs:us-east-1:1:other.fifo");
        });
    });
}

#[test]
fn both_queues_refuse_plain_text() {
    for of in ["webhook", "dead_letter"] {
        let policy = format!("aws_sqs_queue_policy.tls_only[\"{of}\"]");
        check_needs("tls-only", &policy, "has no policy of its own");
        check_breaks("tls-only", &policy, "does not refuse plain text", |change| {
            edit(&mut change["after"]["policy"], |policy| {
                policy["Statement"][0]["Effect"] = json!("Allow");
            });
        });
    }
}

#[test]
fn queues_and_topics_are_encrypted() {
    for queue in [QUEUE, DEAD] {
        check_breaks("encryption", queue, "not encrypted", |change| {
            change["after"]["sqs_managed_sse_enabled"] = json!(false);
        });
    }
    check_breaks("encryption", "aws_sns_topic.alarms", "not encrypted", |change| {
        change["after"]["kms_master_key_id"] = Value::Null;
    });
}

#[test]
fn no_filter_deletes_messages() {
    check_breaks("no-event-filter", MAPPING, "is deleted", |change| {
        change["after"]["filter_criteria"] = json!([{ "filter": [{ "pattern": "{}" }] }]);
    });
    check_needs("no-event-filter", MAPPING, "there is no aws_lambda_event_source_mapping");
}

#[test]
fn every_alarm_is_there_and_heard() {
    for alarm in watch::ALARMS {
        let address = match alarm {
            "mapping-not-enabled" => "aws_cloudwatch_metric_alarm.mapping_not_enabled".to_owned(),
            alarm => format!("aws_cloudwatch_metric_alarm.this[\"{alarm}\"]"),
        };
        check_needs("alarms", &address, alarm);
        check_breaks("alarms", &address, "nobody hears it", |change| {
            change["after"]["alarm_actions"] = json!([]);
        });
        check_breaks("alarms", &address, "actions are disabled", |change| {
            change["after"]["actions_enabled"] = json!(false);
        });
    }
}

#[test]
fn roles_are_exclusive_and_without_wildcards() {
    for module in ["ingest", "forwarder"] {
        for kind in ["aws_iam_role_policies_exclusive", "aws_iam_role_policy_attachments_exclusive"]
        {
            let address = format!("module.{module}.{kind}");
            check_needs("least-privilege", &address, &format!("it has no {kind}"));
        }
    }
    let policy = "aws_iam_role_policy.send";
    let statement = |change: &mut Value, edit_statement: &dyn Fn(&mut Value)| {
        edit(&mut change["after"]["policy"], |policy| edit_statement(&mut policy["Statement"][0]));
    };
    check_breaks("least-privilege", policy, "it allows sqs:*", |change| {
        statement(change, &|statement| statement["Action"] = json!("sqs:*"));
    });
    check_breaks("least-privilege", policy, "sqs:SendMessage on *", |change| {
        statement(change, &|statement| statement["Resource"] = json!(["*"]));
    });
    check_breaks("least-privilege", policy, "nobody has listed", |change| {
        statement(change, &|statement| statement["NotAction"] = json!("sqs:DeleteQueue"));
    });
    check_breaks("least-privilege", "aws_iam_role.ingest", "everybody may take", |change| {
        edit(&mut change["after"]["assume_role_policy"], |policy| {
            policy["Statement"][0]["Principal"] = json!({ "AWS": "*" });
        });
    });
}

#[test]
fn every_log_is_kept_for_a_stated_time() {
    check_breaks("log-retention", "aws_cloudwatch_log_group", "kept for ever", |change| {
        change["after"]["retention_in_days"] = json!(0);
    });
    check_breaks("log-retention", FUNCTION, "is not in the plan", |change| {
        change["after"]["logging_config"] = json!([{ "log_group": "/made/by/lambda" }]);
    });
}

#[test]
fn a_secret_is_found_and_not_printed() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let reason = "variables.SIGNING looks like a secret";
    let report = check_breaks("no-secrets", FUNCTION, reason, |change| {
        change["after"]["environment"][0]["variables"]["SIGNING"] = json!(secret);
    });
    assert!(!report.text().contains("whsec_"), "{}", report.text());
    check_breaks("no-secrets", FUNCTION, "variables.DB_PASSWORD", |change| {
        change["after"]["environment"][0]["variables"]["DB_PASSWORD"] = json!("hunter2");
    });
    check_breaks("no-secrets", "aws_sns_topic.alarms", "would be in the state", |change| {
        change["after_sensitive"] = json!({ "name": true });
    });
}

#[test]
fn integrations_are_replaced_the_new_one_first() {
    check_breaks("integrations-replaced", INTEGRATION, "edited in place", |change| {
        change["actions"] = json!(["update"]);
    });
    check_breaks("integrations-replaced", INTEGRATION, "old one would go first", |change| {
        change["actions"] = json!(["delete", "create"]);
    });
    check_needs("integrations-replaced", INTEGRATION, "no integration");
}
