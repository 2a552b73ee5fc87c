//! Ways to break a plan: each attribute that a promise hangs on removed, weakened or pointed elsewhere.

use serde_json::{Value, json};

/// A change of a plan, and what is said of it.
pub(super) struct Mutation {
    pub(super) invariant: &'static str,
    /// A part of the addresses of the resources that change.
    pub(super) address: &'static str,
    /// Of a resource's `change`.
    pub(super) edit: fn(&mut Value),
    /// The value, and what follows for a message.
    pub(super) says: &'static [&'static str],
    /// Invariants that break with it.
    pub(super) also: &'static [&'static str],
    /// Whether only a plan of what is there already can have it.
    pub(super) only_later: bool,
}

/// Another place that a value comes from.
pub(super) struct Reference {
    pub(super) invariant: &'static str,
    /// The resource, as it is written.
    pub(super) address: &'static str,
    pub(super) attribute: &'static str,
    pub(super) to: &'static [&'static str],
    pub(super) says: &'static str,
}

const QUEUE: &str = "aws_sqs_queue.webhook";
const DEAD: &str = "aws_sqs_queue.dead_letter";
const TLS: &str = "aws_sqs_queue_policy.tls_only[\"webhook\"]";
const ALLOW: &str = "aws_sqs_queue_redrive_allow_policy";
const FUNCTION: &str = "aws_lambda_function.forwarder";
const ALIAS: &str = "aws_lambda_alias";
const MAPPING: &str = "aws_lambda_event_source_mapping";
const INTEGRATION: &str = "aws_apigatewayv2_integration";
const ROUTE: &str = "aws_apigatewayv2_route";
const STAGE: &str = "aws_apigatewayv2_stage";
const INGEST: &str = "aws_iam_role.ingest";
const SEND: &str = "aws_iam_role_policy.send";
const RECEIVE: &str = "aws_iam_role_policy.forwarder[\"receive-from-webhook-queue\"]";
const TO_DEAD: &str = "aws_iam_role_policy.forwarder[\"send-to-dead-letter-queue\"]";
const PRESENT: &str = "alarm.this[\"dead-letters-present\"]";
const ERRORS: &str = "alarm.this[\"function-errors\"]";
const DELIVERED: &str = "alarm.nothing_delivered[\"sss\"]";
const ASKED: &str = "alarm.mapping_not_enabled";
const FOREIGN: &str = "arn:aws:iam::999999999999:root";

const fn of(
    invariant: &'static str,
    address: &'static str,
    says: &'static [&'static str],
    edit: fn(&mut Value),
) -> Mutation {
    Mutation { invariant, address, edit, says, also: &[], only_later: false }
}

impl Mutation {
    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    const fn only_later(self) -> Self {
        Self { only_later: true, ..self }
    }
}

fn set(change: &mut Value, attribute: &str, value: Value) {
    change["after"][attribute] = value;
}

fn gone(change: &mut Value) {
    *change = json!({ "actions": ["no-op"], "before": null, "after": null });
}

/// Changes an attribute that holds JSON.
fn within(change: &mut Value, attribute: &str, edit: impl Fn(&mut Value)) {
    let text = &mut change["after"][attribute];
    let Some(json) = text.as_str() else { return };
    let mut json: Value = serde_json::from_str(json).unwrap();
    edit(&mut json);
    *text = json.to_string().into();
}

/// Adds a statement to a policy.
fn and_allow(change: &mut Value, attribute: &str, principal: &Value, action: &str) {
    within(change, attribute, |policy| {
        let mut statement = policy["Statement"][0].clone();
        statement["Effect"] = json!("Allow");
        statement["Condition"] = json!(null);
        statement["Principal"] = principal.clone();
        statement["Action"] = json!(action);
        policy["Statement"].as_array_mut().unwrap().push(statement);
    });
}

fn variable(change: &mut Value, name: &str, value: Value) {
    change["after"]["environment"][0]["variables"][name] = value;
}

fn told(change: &mut Value, edit: impl Fn(&mut Value)) {
    let text = &mut change["after"]["environment"][0]["variables"]["WEBHOOK_QUEUE_CONFIG"];
    let Some(json) = text.as_str() else { return };
    let mut json: Value = serde_json::from_str(json).unwrap();
    edit(&mut json);
    *text = json.to_string().into();
}

fn parameter(change: &mut Value, name: &str, value: Value) {
    let parameters = &mut change["after"]["request_parameters"];
    if value.is_null() {
        parameters.as_object_mut().unwrap().remove(name);
    } else {
        parameters[name] = value;
    }
}

pub(super) const MUTATIONS: &[Mutation] = &[
    // The queues.
    of(
        "visibility-timeout",
        QUEUE,
        &["visibility_timeout_seconds is 359", "handed out again"],
        |it| {
            set(it, "visibility_timeout_seconds", json!(359));
        },
    ),
    of("visibility-timeout", FUNCTION, &["timeout 61 s asks for 366"], |it| {
        set(it, "timeout", json!(61));
    }),
    of(
        "destination-timeout",
        FUNCTION,
        &["destination sss of route sss is 10 s", "killed"],
        |it| {
            set(it, "timeout", json!(10));
        },
    ),
    of("receive-count", QUEUE, &["maxReceiveCount is 800", "only wait"], |it| {
        within(it, "redrive_policy", |policy| policy["maxReceiveCount"] = json!(800));
    }),
    of("dead-letter-queue", QUEUE, &["redrive policy names", "other.fifo", "crashes"], |it| {
        within(it, "redrive_policy", |policy| {
            policy["deadLetterTargetArn"] =
                json!("arn:aws:sqs:ap-northeast-1:123456789012:other.fifo");
        });
    }),
    of("dead-letter-queue", QUEUE, &["999999999999:dev-webhook-dlq.fifo"], |it| {
        within(it, "redrive_policy", |policy| {
            policy["deadLetterTargetArn"] =
                json!("arn:aws:sqs:ap-northeast-1:999999999999:dev-webhook-dlq.fifo");
        });
    }),
    of("dead-letter-queue", QUEUE, &["redrive policy names", "received for ever"], |it| {
        set(it, "redrive_policy", json!(null));
    })
    .also(&["receive-count"]),
    of("dead-letter-queue", DEAD, &["dead letters that are looked at would move on"], |it| {
        set(it, "redrive_policy", json!("{\"maxReceiveCount\":5}"));
        it["after_unknown"]["redrive_policy"] = json!(false);
    }),
    of("dead-letter-queue", ALLOW, &["redrive_allow_policy", "any queue may"], gone),
    of("dead-letter-queue", ALLOW, &["allowAll", "any queue may"], |it| {
        set(it, "redrive_allow_policy", json!("{\"redrivePermission\":\"allowAll\"}"));
    }),
    of("dead-letter-queue", ALLOW, &["other.fifo", "refuse our redrive policy"], |it| {
        within(it, "redrive_allow_policy", |policy| {
            policy["sourceQueueArns"] =
                json!(["arn:aws:sqs:ap-northeast-1:123456789012:other.fifo"]);
        });
    }),
    of("dead-letter-queue", ALLOW, &["queue_url is", "/other.fifo"], |it| {
        set(
            it,
            "queue_url",
            json!("https://sqs.ap-northeast-1.amazonaws.com/123456789012/other.fifo"),
        );
    }),
    of("queue-order", QUEUE, &["fifo_queue is false", "lose their order"], |it| {
        set(it, "fifo_queue", json!(false));
    }),
    of("queue-order", DEAD, &["fifo_queue is false", "lose their order"], |it| {
        set(it, "fifo_queue", json!(false));
    }),
    of("queue-order", QUEUE, &["content_based_deduplication is true", "drop the second"], |it| {
        set(it, "content_based_deduplication", json!(true));
    }),
    of("queue-order", DEAD, &["content_based_deduplication is true", "drop the second"], |it| {
        set(it, "content_based_deduplication", json!(true));
    }),
    of("queue-order", QUEUE, &["delay_seconds is 900", "so much later"], |it| {
        set(it, "delay_seconds", json!(900));
    }),
    of("queue-order", QUEUE, &["deduplication_scope is \"messageGroup\""], |it| {
        set(it, "deduplication_scope", json!("messageGroup"));
    }),
    of("queue-order", QUEUE, &["fifo_throughput_limit is \"perMessageGroupId\""], |it| {
        set(it, "fifo_throughput_limit", json!("perMessageGroupId"));
    }),
    of(
        "queue-retention",
        QUEUE,
        &["message_retention_seconds is 86400", "nobody has given up"],
        |it| {
            set(it, "message_retention_seconds", json!(86_400));
        },
    ),
    // SQS's own default is four days.
    of("queue-retention", QUEUE, &["message_retention_seconds is 345600"], |it| {
        set(it, "message_retention_seconds", json!(null));
    }),
    of("queue-retention", DEAD, &["message_retention_seconds is 345600", "deleted before"], |it| {
        set(it, "message_retention_seconds", json!(345_600));
    }),
    of("queue-retention", QUEUE, &["max_message_size is 1024", "refuse webhooks"], |it| {
        set(it, "max_message_size", json!(1_024));
    }),
    of(
        "queue-retention",
        DEAD,
        &["max_message_size is 258048", "could not be dead-lettered"],
        |it| {
            set(it, "max_message_size", json!(258_048));
        },
    ),
    of("queues-stay", QUEUE, &["it would be replaced", "every event that waits"], |it| {
        it["actions"] = json!(["delete", "create"]);
    })
    .only_later(),
    of("queues-stay", DEAD, &["it would be replaced", "every event that waits"], |it| {
        it["actions"] = json!(["create", "delete"]);
    })
    .only_later(),
    of("encryption", "aws_sqs_queue.", &["it is not encrypted"], |it| {
        set(it, "sqs_managed_sse_enabled", json!(false));
    }),
    of("encryption", "aws_sns_topic.alarms", &["it is not encrypted"], |it| {
        set(it, "kms_master_key_id", json!(null));
        it["after_unknown"]["kms_master_key_id"] = json!(false);
    })
    .only_later(),
    of("tls-only", TLS, &["no policy of its own", "plain text"], gone),
    of("tls-only", TLS, &["does not refuse plain text"], |it| {
        within(it, "policy", |policy| policy["Statement"][0]["Effect"] = json!("Allow"));
    })
    .also(&["no-strangers"]),
    of("tls-only", TLS, &["does not refuse plain text"], |it| {
        within(it, "policy", |policy| policy["Statement"][0]["Action"] = json!("sqs:SendMessage"));
    }),
    of("tls-only", TLS, &["does not refuse plain text"], |it| {
        within(it, "policy", |policy| {
            policy["Statement"][0]["Resource"] =
                json!("arn:aws:sqs:ap-northeast-1:123456789012:other.fifo");
        });
    }),
    of("tls-only", TLS, &["does not refuse plain text", "neither sent nor received"], |it| {
        within(it, "policy", |policy| policy["Statement"][0]["Condition"] = json!(null));
    }),
    of("tls-only", TLS, &["neither sent nor received"], |it| {
        within(it, "policy", |policy| {
            let deny = json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*" });
            policy["Statement"].as_array_mut().unwrap().push(deny);
        });
    }),
    // Strangers.
    of("no-strangers", TLS, &["everybody may sqs:*", "read, deleted or forged"], |it| {
        and_allow(it, "policy", &json!("*"), "sqs:*");
    }),
    of("no-strangers", TLS, &["arn:aws:iam::999999999999:root may sqs:SendMessage"], |it| {
        and_allow(it, "policy", &json!({ "AWS": FOREIGN }), "sqs:SendMessage");
    }),
    of("no-strangers", "aws_sns_topic_policy", &["everybody may sns:Publish", "forged"], |it| {
        and_allow(it, "policy", &json!("*"), "sns:Publish");
    }),
    of("no-strangers", INGEST, &[FOREIGN, "whoever takes the role"], |it| {
        and_allow(it, "assume_role_policy", &json!({ "AWS": FOREIGN }), "sts:AssumeRole");
    }),
    of("no-strangers", "aws_iam_role.forwarder", &["everybody may sts:AssumeRole"], |it| {
        and_allow(it, "assume_role_policy", &json!({ "AWS": "*" }), "sts:AssumeRole");
    }),
    // The mapping and the live version.
    of("mapping", MAPPING, &["there is no", "nothing would be delivered"], gone),
    of(
        "mapping",
        MAPPING,
        &["function_response_types is null", "count as delivered and be deleted"],
        |it| {
            set(it, "function_response_types", json!(null));
        },
    ),
    of("mapping", MAPPING, &["function_response_types is []"], |it| {
        set(it, "function_response_types", json!([]));
    }),
    of(
        "mapping",
        MAPPING,
        &["event_source_arn is", "webhook-dlq.fifo", "another's be deleted"],
        |it| {
            set(
                it,
                "event_source_arn",
                json!("arn:aws:sqs:ap-northeast-1:123456789012:dev-webhook-dlq.fifo"),
            );
        },
    ),
    of("mapping", MAPPING, &["function_name is", "a rollback would not reach"], |it| {
        set(
            it,
            "function_name",
            json!("arn:aws:lambda:ap-northeast-1:123456789012:function:dev-webhook-forwarder"),
        );
    }),
    of("mapping", MAPPING, &["maximum_batching_window_in_seconds is 30"], |it| {
        set(it, "maximum_batching_window_in_seconds", json!(30));
    }),
    of("mapping", MAPPING, &["batch_size is 1", "receives are counted"], |it| {
        set(it, "batch_size", json!(1));
    }),
    of("mapping", MAPPING, &["maximum_concurrency is null", "said to bear"], |it| {
        set(it, "scaling_config", json!([]));
    }),
    of("mapping", MAPPING, &["maximum_concurrency is 1000"], |it| {
        it["after"]["scaling_config"][0]["maximum_concurrency"] = json!(1_000);
    }),
    of("mapping", MAPPING, &["it would be disabled", "nothing is delivered"], |it| {
        set(it, "enabled", json!(false));
    })
    .only_later(),
    of("no-event-filter", MAPPING, &["filter_criteria", "is deleted"], |it| {
        set(it, "filter_criteria", json!([{ "filter": [{ "pattern": "{}" }] }]));
    }),
    of("live-version", ALIAS, &["there is no aws_lambda_alias live"], gone).also(&["mapping"]),
    of("live-version", ALIAS, &["function_version is \"$LATEST\"", "deliver at once"], |it| {
        set(it, "function_version", json!("$LATEST"));
    }),
    of("live-version", ALIAS, &["function_name is other", "another function"], |it| {
        set(it, "function_name", json!("other"));
    }),
    of("live-version", ALIAS, &["routing_config", "another version"], |it| {
        set(it, "routing_config", json!([{ "additional_version_weights": { "6": 0.5 } }]));
    }),
    of("live-version", FUNCTION, &["publish is false", "former code"], |it| {
        set(it, "publish", json!(false));
    }),
    // The function.
    of("function", FUNCTION, &["reserved_concurrent_executions is 1", "dead-letter queue"], |it| {
        set(it, "reserved_concurrent_executions", json!(1));
    }),
    of("function", FUNCTION, &["reserved_concurrent_executions is 0"], |it| {
        set(it, "reserved_concurrent_executions", json!(0));
    }),
    of("function", FUNCTION, &["application_log_level is \"WARN\"", "never ring"], |it| {
        it["after"]["logging_config"][0]["application_log_level"] = json!("WARN");
    }),
    of("function", FUNCTION, &["QUEUE_URL is", "/dev-webhook-dlq.fifo", "put back"], |it| {
        let dead = it["after"]["environment"][0]["variables"]["DEAD_LETTER_QUEUE_URL"].clone();
        variable(it, "QUEUE_URL", dead);
    }),
    of(
        "function",
        FUNCTION,
        &["DEAD_LETTER_QUEUE_URL is", "dead letters would go elsewhere"],
        |it| {
            let queue = it["after"]["environment"][0]["variables"]["QUEUE_URL"].clone();
            variable(it, "DEAD_LETTER_QUEUE_URL", queue);
        },
    ),
    of("function", FUNCTION, &["WEBHOOK_QUEUE_INGEST_SENDER is", "an operator's"], |it| {
        variable(it, "WEBHOOK_QUEUE_INGEST_SENDER", json!("AROAOTHER"));
    }),
    of("function", FUNCTION, &["WEBHOOK_QUEUE_METRICS is null", "never ring"], |it| {
        variable(it, "WEBHOOK_QUEUE_METRICS", json!(null));
    }),
    of(
        "function",
        FUNCTION,
        &["WEBHOOK_QUEUE_SKIPS is \"ssm:/prod/webhook/skips\"", "skipped"],
        |it| {
            variable(it, "WEBHOOK_QUEUE_SKIPS", json!("ssm:/prod/webhook/skips"));
        },
    ),
    of("function", FUNCTION, &["has another `routes`", "other rules"], |it| {
        told(it, |config| {
            config["routes"]["sss"]["destinations"][0]["url"] = json!("https://sss.example.com/");
        });
    }),
    of("function", FUNCTION, &["has another `routes`"], |it| {
        told(it, |config| config["routes"]["sss"]["give_up_after_seconds"] = json!(60));
    }),
    of("function", FUNCTION, &["has another `forwarder`"], |it| {
        told(it, |config| config["forwarder"]["batch_size"] = json!(1));
    }),
    of("function", FUNCTION, &["role is", "other rights"], |it| {
        set(it, "role", json!("arn:aws:iam::123456789012:role/admin"));
    }),
    // The API.
    of("ingest", INTEGRATION, &["MessageGroupId is not set", "lose their order"], |it| {
        parameter(it, "MessageGroupId", json!(null));
    }),
    of("ingest", INTEGRATION, &["MessageGroupId is \"all\""], |it| {
        parameter(it, "MessageGroupId", json!("all"));
    }),
    of("ingest", INTEGRATION, &["QueueUrl is", "/999999999999/", "another queue"], |it| {
        parameter(
            it,
            "QueueUrl",
            json!("https://sqs.ap-northeast-1.amazonaws.com/999999999999/dev-webhook.fifo"),
        );
    }),
    of("ingest", INTEGRATION, &["MessageDeduplicationId is \"fixed\"", "drop events"], |it| {
        parameter(it, "MessageDeduplicationId", json!("fixed"));
    }),
    of("ingest", INTEGRATION, &["MessageBody is \"$request.body.data\"", "another body"], |it| {
        parameter(it, "MessageBody", json!("$request.body.data"));
    }),
    of("ingest", INTEGRATION, &["MessageAttributes is", "would not know an event's id"], |it| {
        let text =
            it["after"]["request_parameters"]["MessageAttributes"].as_str().unwrap_or_default();
        let without = text.replace("${context.requestTimeEpoch}", "0${context.requestId}");
        parameter(it, "MessageAttributes", json!(without));
    }),
    of("ingest", INTEGRATION, &["of route None", "dead-letter them all"], |it| {
        parameter(it, "MessageAttributes", json!("{}"));
    }),
    of("ingest", INTEGRATION, &["credentials_arn is", "refuse every message"], |it| {
        set(it, "credentials_arn", json!("arn:aws:iam::123456789012:role/other"));
    }),
    of("ingest", INTEGRATION, &["overwrite the status", "nobody would send it again"], |it| {
        let mappings = json!({ "overwrite:statuscode": "200" });
        set(it, "response_parameters", json!([{ "status_code": "400", "mappings": mappings }]));
    }),
    of("ingest", INTEGRATION, &["no integration to SQS-SendMessage", "nothing is accepted"], gone),
    of("ingest", ROUTE, &["target is \"integrations/other\"", "never queued"], |it| {
        set(it, "target", json!("integrations/other"));
    }),
    of("ingest", ROUTE, &["no aws_apigatewayv2_route POST /sqs-hook", "404"], gone)
        .also(&["requests-taken", "alarms"]),
    of("requests-taken", STAGE, &["throttling_rate_limit of POST /sqs-hook is 0", "429"], |it| {
        it["after"]["route_settings"][0]["throttling_rate_limit"] = json!(0);
    }),
    of("requests-taken", STAGE, &["throttling_burst_limit is 0", "429"], |it| {
        it["after"]["default_route_settings"][0]["throttling_burst_limit"] = json!(null);
    }),
    of("requests-taken", STAGE, &["\"POST /gone\"", "refuses the stage"], |it| {
        it["after"]["route_settings"][0]["route_key"] = json!("POST /gone");
    }),
    of("requests-taken", STAGE, &["auto_deploy is false", "go live"], |it| {
        set(it, "auto_deploy", json!(false));
    }),
    of(
        "requests-taken",
        "aws_apigatewayv2_api.webhook",
        &["disable_execute_api_endpoint", "404"],
        |it| {
            set(it, "disable_execute_api_endpoint", json!(true));
        },
    ),
    of("integrations-replaced", INTEGRATION, &["edited in place"], |it| {
        it["actions"] = json!(["update"]);
    })
    .only_later(),
    of("integrations-replaced", INTEGRATION, &["the old one would go first", "5xx"], |it| {
        it["actions"] = json!(["delete", "create"]);
    })
    .only_later(),
    of("integrations-replaced", ROUTE, &["the old one would go first", "404"], |it| {
        it["actions"] = json!(["delete", "create"]);
    })
    .only_later(),
    of("integrations-replaced", ROUTE, &["route_key \"POST /old\"", "404"], |it| {
        it["actions"] = json!(["update"]);
        it["before"]["route_key"] = json!("POST /old");
    })
    .only_later(),
    // Rights.
    of("rights", SEND, &["do not allow sqs:SendMessage", "every webhook"], gone),
    of("rights", SEND, &["do not allow sqs:SendMessage"], |it| {
        within(it, "policy", |policy| {
            policy["Statement"][0]["Resource"] =
                json!("arn:aws:sqs:ap-northeast-1:123456789012:other.fifo");
        });
    }),
    of("rights", RECEIVE, &["do not allow sqs:DeleteMessage", "delivered again"], |it| {
        within(it, "policy", |policy| {
            policy["Statement"][0]["Action"] =
                json!(["sqs:ReceiveMessage", "sqs:GetQueueAttributes"]);
        });
    }),
    of(
        "rights",
        RECEIVE,
        &["do not allow sqs:ReceiveMessage", "nothing would be delivered"],
        |it| {
            within(it, "policy", |policy| {
                policy["Statement"][0]["Condition"] =
                    json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
            });
        },
    ),
    of("rights", TO_DEAD, &["do not allow sqs:SendMessage", "block their keys"], |it| {
        within(it, "policy", |policy| policy["Statement"][0]["Effect"] = json!("Deny"));
    }),
    of("rights", "aws_iam_role_policy.resume", &["a pause with an end would not end"], gone),
    of("rights", INGEST, &["not apigateway.amazonaws.com alone"], |it| {
        within(it, "assume_role_policy", |policy| {
            policy["Statement"][0]["Principal"] = json!({ "Service": "ec2.amazonaws.com" });
        });
    }),
    of("rights", "aws_iam_role.resume", &["not bound to the account"], |it| {
        within(it, "assume_role_policy", |policy| {
            policy["Statement"][0]["Condition"] = json!(null);
        });
    }),
    of("least-privilege", SEND, &["it allows sqs:*"], |it| {
        within(it, "policy", |policy| policy["Statement"][0]["Action"] = json!("sqs:*"));
    }),
    of("least-privilege", SEND, &["sqs:SendMessage on *"], |it| {
        within(it, "policy", |policy| policy["Statement"][0]["Resource"] = json!(["*"]));
    }),
    of("least-privilege", SEND, &["nobody has listed"], |it| {
        within(it, "policy", |policy| {
            policy["Statement"][0]["NotAction"] = json!("sqs:DeleteQueue");
        });
    }),
    of("least-privilege", INGEST, &["it has no permissions_boundary"], |it| {
        set(it, "permissions_boundary", json!(null));
    }),
    of("least-privilege", "aws_iam_role.resume", &["different permissions boundaries"], |it| {
        set(it, "permissions_boundary", json!("arn:aws:iam::aws:policy/AdministratorAccess"));
    }),
    of("least-privilege", "ingest.aws_iam_role_policies_exclusive", &["it has no"], gone),
    of(
        "least-privilege",
        "forwarder.aws_iam_role_policy_attachments_exclusive.f",
        &["it has no"],
        gone,
    ),
    of("least-privilege", "attachments_exclusive.ingest", &["not written here"], |it| {
        set(it, "policy_arns", json!(["arn:aws:iam::aws:policy/AdministratorAccess"]));
    }),
    // Alarms.
    of(
        "alarms",
        PRESENT,
        &["no aws_cloudwatch_metric_alarm dev-webhook-dead-letters-present"],
        gone,
    ),
    of(
        "alarms",
        DELIVERED,
        &["no aws_cloudwatch_metric_alarm dev-webhook-nothing-delivered-sss"],
        gone,
    ),
    of(
        "alarms",
        "aws_cloudwatch_metric_alarm",
        &["nobody hears it: it has no alarm_actions"],
        |it| {
            set(it, "alarm_actions", json!([]));
        },
    ),
    of("alarms", ERRORS, &["its actions are disabled"], |it| {
        set(it, "actions_enabled", json!(false));
    }),
    of("alarms", "aws_sns_topic_subscription", &["its topic has no subscription"], gone)
        .only_later(),
    of("alarms", ERRORS, &["dimensions are {\"FunctionName\":\"other\"}", "not ring"], |it| {
        set(it, "dimensions", json!({ "FunctionName": "other" }));
    }),
    of("alarms", "alarm.this[\"oldest-message-too-old\"]", &["dev-webhook-dlq.fifo"], |it| {
        set(it, "dimensions", json!({ "QueueName": "dev-webhook-dlq.fifo" }));
    }),
    of("alarms", "alarm.this[\"api-server-errors\"]", &["\"Stage\":\"prod\""], |it| {
        it["after"]["dimensions"]["Stage"] = json!("prod");
    }),
    of("alarms", ERRORS, &["looks at [\"Invocations\"]"], |it| {
        set(it, "metric_name", json!("Invocations"));
    }),
    of("alarms", ERRORS, &["namespace is \"AWS/SQS\""], |it| {
        set(it, "namespace", json!("AWS/SQS"));
    }),
    of("alarms", ERRORS, &["statistic is \"SampleCount\""], |it| {
        set(it, "statistic", json!("SampleCount"));
    }),
    of("alarms", ERRORS, &["rings at GreaterThanOrEqualToThreshold 1000"], |it| {
        set(it, "threshold", json!(1_000));
    }),
    of("alarms", ERRORS, &["rings at LessThanThreshold"], |it| {
        set(it, "comparison_operator", json!("LessThanThreshold"));
    }),
    of("alarms", ERRORS, &["after 24 periods of 300 s"], |it| {
        set(it, "evaluation_periods", json!(24));
    }),
    of("alarms", ASKED, &["treat_missing_data is \"notBreaching\"", "opposite"], |it| {
        set(it, "treat_missing_data", json!("notBreaching"));
    }),
    of("alarms", PRESENT, &["does not add up"], |it| {
        for query in it["after"]["metric_query"].as_array_mut().into_iter().flatten() {
            if query["return_data"] == true {
                query["expression"] = json!("m0");
            }
        }
    }),
    of(
        "alarms",
        "aws_sns_topic.alarms",
        &["kms_master_key_id is alias/aws/sns", "no alarm reaches"],
        |it| {
            set(it, "kms_master_key_id", json!("alias/aws/sns"));
        },
    ),
    of("alarms", "aws_sns_topic_policy", &["may not publish"], |it| {
        within(it, "policy", |policy| {
            policy["Statement"].as_array_mut().unwrap().remove(0);
        });
    }),
    // Logs and secrets.
    of("log-retention", "aws_cloudwatch_log_group", &["kept for ever"], |it| {
        set(it, "retention_in_days", json!(0));
    }),
    of("log-retention", FUNCTION, &["/made/by/lambda is not in the plan"], |it| {
        it["after"]["logging_config"][0]["log_group"] = json!("/made/by/lambda");
    }),
    of("no-secrets", FUNCTION, &["variables.SIGNING looks like a secret"], |it| {
        variable(it, "SIGNING", json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    })
    .only_later(),
    of("no-secrets", FUNCTION, &["variables.DB_PASSWORD looks like a secret"], |it| {
        variable(it, "DB_PASSWORD", json!("hunter2"));
    })
    .only_later(),
    of("no-secrets", "aws_sns_topic.alarms", &["would be in the state"], |it| {
        it["after_sensitive"] = json!({ "name": true });
    }),
];

pub(super) const REFERENCES: &[Reference] = &[
    Reference {
        invariant: "mapping",
        address: "module.webhook.module.forwarder.aws_lambda_event_source_mapping.queue",
        attribute: "event_source_arn",
        to: &["var.dead_letter_queue_arn"],
        says: "event_source_arn is module.webhook.module.queue.aws_sqs_queue.dead_letter",
    },
    Reference {
        invariant: "mapping",
        address: "module.webhook.module.forwarder.aws_lambda_event_source_mapping.queue",
        attribute: "function_name",
        to: &["aws_lambda_function.forwarder.arn", "aws_lambda_function.forwarder"],
        says: "a rollback would not reach",
    },
    Reference {
        invariant: "live-version",
        address: "module.webhook.module.forwarder.aws_lambda_alias.live",
        attribute: "function_version",
        to: &["aws_lambda_function.other.version", "aws_lambda_function.other"],
        says: "function_version is not that of",
    },
    Reference {
        invariant: "function",
        address: "module.webhook.module.forwarder.aws_lambda_function.forwarder",
        attribute: "role",
        to: &["aws_iam_role.resume.arn", "aws_iam_role.resume"],
        says: "other rights",
    },
    Reference {
        invariant: "dead-letter-queue",
        address: "module.webhook.module.queue.aws_sqs_queue.webhook",
        attribute: "redrive_policy",
        to: &["aws_sqs_queue.other.arn", "aws_sqs_queue.other"],
        says: "its redrive_policy does not name",
    },
    Reference {
        invariant: "dead-letter-queue",
        address: "module.webhook.module.queue.aws_sqs_queue_redrive_allow_policy.dead_letter",
        attribute: "queue_url",
        to: &["aws_sqs_queue.webhook.id", "aws_sqs_queue.webhook"],
        says: "any queue may put",
    },
    Reference {
        invariant: "dead-letter-queue",
        address: "module.webhook.module.queue.aws_sqs_queue_redrive_allow_policy.dead_letter",
        attribute: "redrive_allow_policy",
        to: &["aws_sqs_queue.dead_letter.arn", "aws_sqs_queue.dead_letter"],
        says: "it does not allow our queue",
    },
    Reference {
        invariant: "ingest",
        address: "module.webhook.module.ingest.aws_apigatewayv2_route.webhook",
        attribute: "target",
        to: &["aws_apigatewayv2_integration.other", "each.key"],
        says: "its target is no integration to SQS",
    },
    Reference {
        invariant: "ingest",
        address: "module.webhook.module.ingest.aws_apigatewayv2_integration.queue",
        attribute: "depends_on",
        to: &[],
        says: "does not wait for its role's policy",
    },
];
