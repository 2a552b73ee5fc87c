use serde_json::{Value, json};

use super::*;
use crate::mapping::{Context, Request};
use crate::message::tests::{message, with};
use crate::pace::Pace;
use crate::route::HeaderValue;
use crate::route_path::RoutePath;
use crate::schedule::Schedule;

/// A configuration that says only what it must, changed by a JSON merge patch.
fn config(patch: &Value) -> Result<Config, ConfigError> {
    let mut file = json!({
        "environment": "test",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-workflow-id",
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/hook?token=t" }],
        }},
    });
    merge(&mut file, patch);
    Config::parse(&file.to_string())
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn route(patch: &Value) -> Value {
    json!({ "routes": { "sss": patch } })
}

fn refused(patch: &Value, expected: &[&str]) {
    let error = config(patch).expect_err(&patch.to_string());
    let faults: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), expected.len(), "{patch}: {faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.contains(expected), "{patch}: {fault:?} lacks {expected:?}");
    }
}

#[test]
fn defaults_hold_the_rules() {
    let config = config(&json!({})).unwrap();
    assert_eq!(config.queue_name(), "test-webhook.fifo");
    assert_eq!(config.dead_letter_queue_name(), "test-webhook-dlq.fifo");
    assert_eq!(config.queue.visibility_timeout, Duration::from_mins(6));
    assert!(!config.queue.content_based_deduplication);
    let route = &config.routes["sss"];
    assert_eq!(route.deduplication, Deduplication::Request);
    assert_eq!(route.give_up_after(), Duration::from_hours(72));
    assert_eq!(route.attempt_timeout(), Duration::from_secs(10));
    assert_eq!(route.route_key(), "POST /sqs-hook");
    assert_eq!(route.schedule(), Schedule::default());
    let retry = json!({ "initial_delay_seconds": 7, "max_delay_seconds": 900 });
    let slow = self::config(&self::route(&json!({ "retry": retry }))).unwrap();
    assert_eq!(Some(slow.routes["sss"].schedule()), Schedule::new(7, 900));
}

#[test]
fn the_forwarder_reads_what_the_file_says() {
    let written =
        config(&route(&json!({ "pass_headers": ["X-Tenant"], "on_reject": "block" }))).unwrap();
    let environment = written.forwarder_environment("http://q/1", "http://q/2");
    assert_eq!(environment[QUEUE_URL_VARIABLE], "http://q/1");
    let read = Config::parse(&environment[CONFIG_VARIABLE]).unwrap();
    assert_eq!(read.proxy(), written.proxy());
    assert_eq!(read.file(), written.file());
    assert_eq!(read.routes["sss"].pass_headers, ["x-tenant"]);
}

/// The modules write the limit into every configuration; it costs bytes of an environment that has
/// few, and says nothing where it is AWS's.
#[test]
fn a_limit_that_is_aws_s_is_not_written() {
    let written = |bytes: Value| {
        let config = config(&json!({ "queue": { "max_message_bytes": bytes } })).unwrap();
        let queue = serde_json::to_value(config.file()).unwrap()["queue"].take();
        queue.get("max_message_bytes").cloned()
    };
    assert_eq!(written(json!(quota::AWS_MESSAGE_BYTES_MAX)), None);
    assert_eq!(written(Value::Null), None);
    let less = json!(quota::AWS_MESSAGE_BYTES_MAX - 1);
    assert_eq!(written(less.clone()), Some(less));
}

#[test]
fn the_shape_is_checked_by_place() {
    for (json, expected) in [
        ("{", "EOF"),
        ("[]", "configuration: (the file): "),
        (
            r#"{"environment":"a","routes":[]}"#,
            "routes: invalid type: sequence, expected an object",
        ),
        (r#"{"environment":"a","routes":{}} trailing"#, "trailing characters"),
        (
            r#"{"environment":"a","routes":{},"rotues":{}}"#,
            "rotues: unknown field `rotues`, expected one of",
        ),
        (
            r#"{"environment":"a","routes":{"r":{"path":7}}}"#,
            "routes.r.path: invalid type: integer",
        ),
        (r#"{"environment":"a","routes":{"r":{"path":"/","path":"/"}}}"#, "duplicate field `path`"),
        (r#"{"environment":"a","routes":{"r":{}}}"#, "routes.r: missing field `path`"),
        (
            r#"{"environment":"a","routes":{"r":{"path":"/a","ordering_key":"g","destinations":[]},
                "r":{"path":"/b","ordering_key":"g","destinations":[]}}}"#,
            "\"r\" is there twice",
        ),
        (
            r#"{"environment":"a","routes":{"r":{"path":"/a","ordering_key":"g","on_reject":"drop"}}}"#,
            "routes.r.on_reject: unknown variant `drop`, expected `dead_letter` or `block`",
        ),
        (
            r#"{"environment":"a","routes":{},"queue":{"max_receive_count":-1}}"#,
            "queue.max_receive_count",
        ),
    ] {
        let error = Config::parse(json).expect_err(json).to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    refused(
        &json!({
            "environment": "Prod",
            "routes": { "sss": {
                "path": "sqs-hook",
                "ordering_key": "has space",
                "destinations": [{ "name": "sss", "url": "ftp://example.com" }],
            }},
            "forwarder": { "batch_size": 11 },
        }),
        &[
            "environment: a name is 1 to 20",
            "forwarder.batch_size: must be 1 to 10 messages, is 11",
            "routes.sss.path: a path is",
            "routes.sss.ordering_key: a message group id is 1 to 128 ASCII",
            "routes.sss.destinations[0].url: must be https, or http to a private host; is ftp",
        ],
    );
}

#[test]
fn names_and_paths() {
    refused(&json!({ "environment": "a".repeat(21) }), &["environment"]);
    let longest = "a".repeat(20);
    assert_eq!(config(&json!({ "environment": longest })).unwrap().environment(), longest);
    refused(&json!({ "routes": { "sss": null } }), &["routes: at least one route"]);
    let other = json!({
        "path": "/sqs-hook", "ordering_key": "g",
        "destinations": [{ "name": "o", "url": "http://localhost/" }],
    });
    refused(
        &json!({ "routes": { "other": other } }),
        &["routes.sss.path: /sqs-hook is the path of route other already"],
    );
    // Former paths are paths: none is taken twice, and each has what expressions ask for.
    let formerly = |path: &str| merge_former(&other, path);
    refused(
        &json!({ "routes": { "zzz": formerly("/sqs-hook") } }),
        &["routes.zzz.former_paths: /sqs-hook is the path of route sss already"],
    );
    refused(
        &json!({ "routes": { "zzz": formerly("/b") } }),
        &["routes.zzz.former_paths: /b is the path of route zzz already"],
    );
    refused(
        &json!({ "routes": { "zzz": formerly("b") } }),
        &["routes.zzz.former_paths: a path is \"/\" and segments"],
    );
    let asking =
        json!({ "path": "/h/{id}", "ordering_key": "$request.path.id", "former_paths": ["/h"] });
    refused(&json!({ "routes": { "sss": asking } }), &["path \"/h\" has no {id}"]);
    let good = config(&json!({ "routes": { "zzz": formerly("/a") } })).unwrap();
    let keys: Vec<String> = good.routes()["zzz"].route_keys().collect();
    assert_eq!(keys, ["POST /b", "POST /a"]);
    // Their parameters' names tell two paths apart for nobody.
    refused(
        &json!({ "routes": {
            "sss": { "path": "/h/{id}/a" }, "zzz": merge_path(&other, "/h/{tenant}/a"),
        } }),
        &["routes.zzz.path: /h/{tenant}/a is the path of route sss already"],
    );
    assert!(
        config(&json!({ "routes": {
            "sss": { "path": "/h/{id}/a" }, "zzz": merge_path(&other, "/h/{id}/b"),
        } }))
        .is_ok()
    );
    refused(
        &json!({ "routes": { "Other": null, "sss_2": merge_path(&other, "/b") } }),
        &["routes.sss_2: a name is"],
    );
    for path in ["", "/", "/a//b", "/a b", "/{}", "/{a}/{a}", "/a{b}", "/{proxy+}", "/注文"] {
        refused(&route(&json!({ "path": path })), &["routes.sss.path: "]);
    }
    for path in ["/a", "/a/b-1._~/c", "/{tenant}/hook"] {
        assert!(config(&route(&json!({ "path": path }))).is_ok(), "{path}");
    }
}

fn merge_former(route: &Value, former: &str) -> Value {
    let mut route = merge_path(route, "/b");
    route["former_paths"] = json!([former]);
    route
}

fn merge_path(route: &Value, path: &str) -> Value {
    let mut route = route.clone();
    route["path"] = json!(path);
    route
}

#[test]
fn destinations_are_https_or_private() {
    let check =
        |url: &str| config(&route(&json!({ "destinations": [{ "name": "d", "url": url }] })));
    for good in [
        "https://example.com/hook",
        "http://localhost:9010/x",
        "http://127.0.0.1",
        "http://[::1]:80",
        "http://[fd12::1]",
        "http://[::ffff:10.0.0.1]",
        "http://10.1.2.3",
        "http://192.168.0.9",
        "http://sss.internal/hook",
        "http://sss-stub",
    ] {
        assert!(check(good).is_ok(), "{good}");
    }
    for bad in [
        "http://example.com",
        "http://8.8.8.8",
        "http://169.254.169.254/latest",
        "http://[2001:db8::1]/",
        "https://user:secret@example.com",
        "https://user@example.com",
        "https://:secret@example.com",
        "https://example.com/#part",
        "file:///etc/passwd",
        "example.com",
        "",
    ] {
        let error = check(bad).expect_err(bad).to_string();
        assert!(error.contains("routes.sss.destinations[0].url: "), "{error}");
        assert!(!error.contains("user:secret"), "{error}");
    }
    refused(&route(&json!({ "destinations": [] })), &["at least one destination"]);
    let twice = json!([{ "name": "d", "url": "http://localhost" }, { "name": "d", "url": "http://localhost" }]);
    refused(
        &route(&json!({ "destinations": twice })),
        &["destinations[1].name: \"d\" is there twice"],
    );
}

#[test]
fn expressions_are_checked_for_their_use() {
    refused(&route(&json!({ "ordering_key": "" })), &["routes.sss.ordering_key: is empty"]);
    refused(&route(&json!({ "ordering_key": "$request.headers.x" })), &["unknown variable"]);
    refused(&route(&json!({ "ordering_key": "x".repeat(129) })), &["1 to 128 ASCII"]);
    refused(
        &route(&json!({ "ordering_key": "$request.path.id" })),
        &["path \"/sqs-hook\" has no {id}"],
    );
    refused(
        &route(&json!({ "deduplication": "requets" })),
        &["a fixed id would make all events one"],
    );
    refused(
        &route(&json!({ "deduplication": "$request.body.a..b" })),
        &["is not a path of fields"],
    );
    let good = json!({ "path": "/h/{id}", "ordering_key": "$request.path.id", "deduplication": "$request.header.webhook-id" });
    assert!(config(&route(&good)).is_ok());
}

#[test]
fn headers_are_checked_for_their_use() {
    let check = |headers: &Value, expected: &[&str]| {
        refused(&route(&json!({ "pass_headers": headers })), expected);
    };
    check(&json!(["Host"]), &["pass_headers[0]: \"Host\" cannot be passed on"]);
    check(&json!(["x-amzn-trace-id"]), &["cannot be passed on"]);
    check(&json!(["webhook-id"]), &["cannot be passed on"]);
    check(&json!(["a b"]), &["is not a header name"]);
    check(&json!(["x-a", "X-A"]), &["pass_headers[1]: \"X-A\" is there twice"]);
}

#[test]
fn timeouts_nest() {
    let timeouts = |destination: u32, function: u32| {
        config(&json!({
            "routes": { "sss": { "destinations": [
                { "name": "sss", "url": "http://localhost", "timeout_seconds": destination },
            ]}},
            "forwarder": { "function_timeout_seconds": function },
        }))
    };
    // With room for a dead letter and the response: 2.5 s.
    for (destination, function) in [(57, 60), (5, 10), (3, 6), (897, 900), (1, 4)] {
        assert!(timeouts(destination, function).is_ok(), "{destination} {function}");
    }
    for (destination, function) in [(58, 60), (60, 60), (0, 60), (1, 3), (10, 901)] {
        assert!(timeouts(destination, function).is_err(), "{destination} {function}");
    }
}

#[test]
fn giving_up_comes_before_expiry() {
    let day = 86_400;
    refused(
        &json!({ "queue": { "retention_seconds": 3 * day } }),
        &[
            "give_up_after_seconds: with one more wait of 360 s it must be at most queue.retention_seconds",
        ],
    );
    assert!(config(&json!({ "queue": { "retention_seconds": 3 * day + 360 } })).is_ok());
    refused(&route(&json!({ "give_up_after_seconds": 0 })), &["must be at least 1 second"]);
}

#[test]
fn two_routes_have_two_fixed_keys() {
    let other = |key: &str| {
        json!({ "routes": { "sss": { "ordering_key": "all" }, "crm": {
            "path": "/crm", "ordering_key": key,
            "destinations": [{ "name": "crm", "url": "https://crm.example.com/" }],
        }}})
    };
    refused(
        &other("all"),
        &["routes.sss.ordering_key: \"all\" is the fixed key of route crm already"],
    );
    assert!(config(&other("crm")).is_ok());
}

#[test]
fn an_outage_alone_never_reaches_the_receive_count() {
    refused(
        &json!({ "queue": { "max_receive_count": 900 } }),
        &["queue.max_receive_count: must be at least"],
    );
    refused(&route(&json!({ "retry": { "max_delay_seconds": 60 } })), &["queue.max_receive_count"]);
    refused(
        &json!({ "queue": { "max_receive_count": 4 } }),
        &["must be 5 to 1000", "must be at least"],
    );
    let short = json!({ "give_up_after_seconds": 3_600, "retry": { "max_delay_seconds": 60 } });
    let mut patch = route(&short);
    patch["queue"] = json!({ "max_receive_count": 100 });
    assert!(config(&patch).is_ok());
}

#[test]
fn retries_need_a_delay_below_twelve_hours() {
    let retry = |initial: u32, max: u32| {
        refused(
            &route(
                &json!({ "retry": { "initial_delay_seconds": initial, "max_delay_seconds": max } }),
            ),
            &["routes.sss.retry"],
        );
    };
    retry(0, 300);
    retry(400, 300);
    retry(2, 43_200);
}

#[test]
fn routes_that_do_not_fit_a_function_s_environment_are_refused() {
    let routes: serde_json::Map<String, Value> = (0..30)
        .map(|n| {
            let route = json!({
                "path": format!("/hook-{n}"), "ordering_key": "$request.header.x-workflow-id",
                "destinations": [{ "name": "sss", "url": "https://sss.example.com/application-hook" }],
            });
            (format!("route-{n}"), route)
        })
        .collect();
    refused(&json!({ "routes": routes }), &["do not fit into a function's environment"]);
}

#[test]
fn request_parameters_are_what_api_gateway_is_given() {
    let patch = json!({ "deduplication": "$request.header.webhook-event", "pass_headers": ["X-B", "content-type"] });
    let config = config(&route(&patch)).unwrap();
    let parameters = config.routes["sss"].request_parameters("https://sqs/q.fifo");
    assert_eq!(
        serde_json::to_value(&parameters).unwrap(),
        json!({
            "QueueUrl": "https://sqs/q.fifo",
            "MessageBody": "$request.body",
            "MessageGroupId": "$request.header.x-workflow-id",
            "MessageDeduplicationId": "$request.header.webhook-event",
            "MessageAttributes": concat!(
                r#"{"accepted_at":{"DataType":"String","StringValue":"${context.requestTimeEpoch}"},"#,
                r#""event_id":{"DataType":"String","StringValue":"${request.header.webhook-event}"},"#,
                r#""headers":{"DataType":"String","StringValue":"content-type: ${request.header.content-type}\nx-b: ${request.header.x-b}"},"#,
                r#""route":{"DataType":"String","StringValue":"sss"}}"#
            ),
        })
    );
    let headers = vec![
        ("x-workflow-id", "w-1"),
        ("webhook-event", "e-1"),
        ("content-type", "text/plain"),
        ("x-b", "\"b\\n"),
    ];
    let context = Context { request_id: "r-1", ..Context::default() };
    let request = Request { headers, body: "x", context, ..Request::default() };
    let sent = config.routes["sss"].integration("https://sqs/q.fifo").evaluate(&request).unwrap();
    assert_eq!(sent.deduplication_id.as_deref(), Some("e-1"));
    assert_eq!(sent.attributes["event_id"].value, "e-1");
    assert_eq!(sent.attributes["headers"].value, "content-type: text/plain\nx-b: \"b\\n");
}

#[test]
fn content_deduplication_leaves_the_id_to_sqs() {
    let config = config(&route(&json!({ "deduplication": "content" }))).unwrap();
    assert!(config.queue.content_based_deduplication);
    let parameters = config.routes["sss"].request_parameters("q");
    assert!(!parameters.contains_key("MessageDeduplicationId"));
}

#[test]
fn a_request_takes_the_most_specific_route() {
    let route = |path: &str| json!({ "path": path, "ordering_key": format!("key-of-{}", path.len()), "destinations": [{ "name": "d", "url": "http://localhost" }] });
    let config = config(&json!({ "routes": {
        "any": route("/{tenant}/hook"), "fixed": route("/acme/hook"), "deep": route("/{tenant}/hook/{kind}"),
    }}))
    .unwrap();
    let name = |path| {
        RoutePath::choose(config.routes.values(), |route| &route.path, path)
            .map(|(route, parameters)| (route.name.as_str(), parameters))
    };
    assert_eq!(name("/acme/hook"), Some(("fixed", vec![])));
    assert_eq!(name("/other/hook"), Some(("any", vec![("tenant", "other")])));
    assert_eq!(name("/x/hook/y"), Some(("deep", vec![("tenant", "x"), ("kind", "y")])));
    assert_eq!(name("/sqs-hook"), Some(("sss", vec![])));
    for none in ["/", "/sqs-hook/", "/sqs-hook/x", "/Sqs-Hook", "//hook", "sqs-hook"] {
        assert_eq!(name(none), None, "{none}");
    }
}

#[test]
fn a_message_finds_its_route_by_attribute_or_group() {
    let patch = route(&json!({ "ordering_key": "mz-dev-sqs-webhook" }));
    let config = config(&patch).unwrap();
    let route_of =
        |message: &Message| config.route_of_message(message).map(|route| route.name.clone());
    assert_eq!(route_of(&message(1, "mz-dev-sqs-webhook")).as_deref(), Ok("sss"));
    assert_eq!(route_of(&message(1, "sss")).as_deref(), Ok("sss"));
    assert_eq!(route_of(&message(1, "other")), Err(UnknownRoute("other".into())));
    let named = |route| with(message(1, "other"), "route", route);
    assert_eq!(route_of(&named("sss")).as_deref(), Ok("sss"));
    assert!(route_of(&named("gone")).is_err());
}

fn verify(patch: &Value) -> Value {
    let mut verify = json!({ "scheme": "standard_webhooks", "secrets": ["ssm:/dev/sss"] });
    merge(&mut verify, patch);
    route(&json!({ "verify": verify }))
}

#[test]
fn headers_to_verify_by_are_carried_and_not_passed_on() {
    let mut patch = verify(&json!({}));
    merge(&mut patch, &route(&json!({ "pass_headers": ["X-Tenant", "webhook-timestamp"] })));
    let config = config(&patch).unwrap();
    let route = &config.routes["sss"];
    let carried = ["webhook-id", "webhook-signature", "webhook-timestamp", "x-tenant"];
    assert_eq!(route.carried_headers(), carried);
    let attributes = &route.request_parameters("q")["MessageAttributes"];
    for name in carried {
        assert!(attributes.contains(&format!("${{request.header.{name}}}")), "{attributes}");
    }
    let mut message = message(1, "g");
    let lines = carried.map(|name| format!("{name}: v")).join("\n");
    message = with(message, "headers", &lines);
    let passed: Vec<&str> = route.passed_headers(&message).map(|(name, _)| name).collect();
    assert_eq!(passed, ["webhook-timestamp", "x-tenant"]);
    assert_eq!(message.header("webhook-id"), Some("v"));
}

#[test]
fn a_route_carries_no_more_headers_than_a_request_can_have() {
    let mut patch = verify(&json!({}));
    let names = |count: u32| (0..count).map(|n| format!("h-{n}")).collect::<Vec<_>>();
    merge(&mut patch, &route(&json!({ "pass_headers": names(37) })));
    assert!(config(&patch).is_ok());
    merge(&mut patch, &route(&json!({ "pass_headers": names(38) })));
    refused(
        &patch,
        &[
            "routes.sss.pass_headers: at most 40 headers travel with a message, are 41 (with those of \
           verify: webhook-id, webhook-timestamp, webhook-signature)",
        ],
    );
}

#[test]
fn secrets_are_references() {
    for good in [
        json!(["secretsmanager:dev/sss"]),
        json!(["env:SSS_SECRET", "file:/run/secrets/sss"]),
        json!(["ssm:/a", "ssm:/b"]),
    ] {
        assert!(config(&verify(&json!({ "secrets": good }))).is_ok(), "{good}");
    }
    refused(&verify(&json!({ "secrets": [] })), &["verify.secrets: must be one reference"]);
    refused(&verify(&json!({ "secrets": ["ssm:/a", "ssm:/b", "ssm:/c"] })), &["are 3"]);
    refused(&verify(&json!({ "secrets": ["ssm:/a", "ssm:/a"] })), &["both are the same"]);
    refused(&verify(&json!({ "secrets": ["ssm:/"] })), &["is not the name of a parameter"]);
    refused(
        &verify(&json!({ "secrets": ["ssm:/a", "ssm:a"] })),
        &["routes.sss.verify.secrets[1]: is not the name of a parameter"],
    );
    let config = config(&verify(&json!({ "secrets": ["env:A", "ssm:/a"] }))).unwrap();
    assert_eq!(config.secret_variables().collect::<Vec<_>>(), ["A"]);
}

/// Wherever it was put by mistake.
#[test]
fn a_secret_in_the_configuration_is_refused_and_never_shown() {
    const PLANTED: &str = "planted-secret-4711";
    let signed = |secrets: Value| {
        let destination = json!({ "name": "sss", "url": "https://sss.example.com", "sign": { "secrets": secrets } });
        route(&json!({ "destinations": [destination] }))
    };
    for secrets in [
        json!([PLANTED]),
        json!([format!("whsec_{PLANTED}")]),
        json!(["ssm:/a", PLANTED]),
        json!([format!("ssm:{PLANTED} ")]),
        json!([format!("env:{PLANTED}")]),
        json!(PLANTED),
        json!([[PLANTED]]),
        json!([{ "value": PLANTED }]),
        json!({ "value": PLANTED }),
        json!(4711),
        json!([4711]),
        json!([-4711.5]),
        json!([true]),
        Value::Null,
    ] {
        for patch in [verify(&json!({ "secrets": secrets })), signed(secrets.clone())] {
            let error = config(&patch).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("4711"), "{secrets}: {shown}");
            assert!(shown.contains("secrets"), "{secrets}: {shown}");
        }
    }
    let written = SecretsFile(vec![HiddenText(PLANTED.to_owned())]);
    assert!(!format!("{written:?}").contains("4711"));
}

#[test]
fn a_scheme_is_described_where_it_needs_to_be() {
    refused(
        &verify(&json!({ "scheme": "hmac" })),
        &["routes.sss.verify.hmac: is needed by the scheme hmac"],
    );
    refused(
        &verify(&json!({ "scheme": "github", "hmac": { "header": "x-signature" } })),
        &["routes.sss.verify.hmac: is for the scheme hmac only"],
    );
    refused(&verify(&json!({ "tolerance_seconds": 0 })), &["must be at least 1 second"]);
    let hmac = |hmac: Value| verify(&json!({ "scheme": "hmac", "hmac": hmac }));
    assert!(config(&hmac(json!({ "header": "X-Line-Signature", "encoding": "base64" }))).is_ok());
    refused(
        &hmac(json!({ "header": "Authorization" })),
        &["verify.hmac.header: \"authorization\" cannot reach the forwarder"],
    );
    refused(
        &hmac(json!({ "header": "x-s", "signed_content": "{bodi}" })),
        &["verify.hmac.signed_content: {bodi} is not known"],
    );
    refused(
        &hmac(json!({ "header": "x-s", "timestamp_header": "X-Time" })),
        &["verify.hmac.signed_content: does not contain {header.x-time}"],
    );
    let timed = json!({ "header": "x-s", "timestamp_header": "X-Time", "signed_content": "{header.X-Time}.{body}" });
    assert!(config(&hmac(timed)).is_ok());
    for encoding in ["text", "base64", "hex"] {
        assert!(config(&hmac(json!({ "header": "x-s", "secret_encoding": encoding }))).is_ok());
    }
    for prefix in [" v1=", ",v1=", "\tv1="] {
        refused(
            &hmac(json!({ "header": "x-s", "prefix": prefix })),
            &["verify.hmac.prefix: begins with a comma or a blank"],
        );
    }
    let error = config(&verify(&json!({ "scheme": "paypal" }))).unwrap_err().to_string();
    assert!(error.contains("routes.sss.verify.scheme: unknown variant `paypal`"), "{error}");
}

#[test]
fn a_token_is_a_secret_and_stays_one() {
    let token = |header: &str| verify(&json!({ "scheme": "token", "token": { "header": header } }));
    for (patch, header) in [
        (token("X-Acme-Token"), "x-acme-token"),
        (verify(&json!({ "scheme": "gitlab" })), "x-gitlab-token"),
    ] {
        let parsed = config(&patch).unwrap();
        let route_of = &parsed.routes["sss"];
        assert_eq!(route_of.carried_headers(), ["x-workflow-id"; 0]);
        let attributes = &route_of.request_parameters("q")["MessageAttributes"];
        let value = format!(
            "\"token\":{{\"DataType\":\"String\",\"StringValue\":\"${{request.header.{header}}}\"}}"
        );
        assert!(attributes.contains(&value), "{attributes}");
        for (field, value, at) in [
            (
                "pass_headers",
                json!([header.to_uppercase()]),
                "cannot be passed on: it is the secret",
            ),
            ("ordering_key", json!(format!("$request.header.{header}")), "cannot be made from"),
            ("event_id", json!(format!("a-${{request.header.{header}}}")), "cannot be made from"),
        ] {
            let mut patch = patch.clone();
            merge(&mut patch, &route(&json!({ field: value })));
            refused(&patch, &[at]);
            refused(&patch, &[&format!("routes.sss.{field}: ")]);
        }
    }
    refused(&token("Authorization"), &["verify.token.header: \"authorization\" cannot reach"]);
    refused(
        &verify(&json!({ "scheme": "token" })),
        &["routes.sss.verify.token: is needed by the scheme token"],
    );
    for scheme in ["github", "gitlab"] {
        refused(
            &verify(&json!({ "scheme": scheme, "token": { "header": "x-t" } })),
            &["routes.sss.verify.token: is for the scheme token only"],
        );
    }
}

#[test]
fn what_the_forwarder_signs_is_not_passed_on() {
    let destination = json!({ "name": "sss", "url": "https://sss.example.com", "sign": { "secrets": ["env:S"] } });
    let mut patch = route(&json!({ "destinations": [destination] }));
    assert!(config(&patch).is_ok());
    merge(&mut patch, &route(&json!({ "pass_headers": ["Webhook-Signature"] })));
    refused(&patch, &["routes.sss.pass_headers: \"webhook-signature\" cannot be passed on where"]);
}

#[test]
fn verification_and_signing_reach_the_forwarder() {
    let mut patch = verify(&json!({
        "scheme": "hmac", "secrets": ["file:/s"], "tolerance_seconds": 60,
        "hmac": { "header": "x-s", "algorithm": "sha512", "encoding": "base64", "prefix": "v=",
            "secret_encoding": "hex",
            "signed_content": "{header.x-t}{body}", "timestamp_header": "x-t" },
    }));
    let destination = json!({ "name": "sss", "url": "https://sss.example.com", "sign": { "secrets": ["env:S"] } });
    merge(&mut patch, &route(&json!({ "destinations": [destination] })));
    merge(
        &mut patch,
        &json!({ "forwarder": { "allowed_hosts": ["*.example.com"], "proxy": "http://p:3128" } }),
    );
    let written = config(&patch).unwrap();
    let environment = written.forwarder_environment("http://q/1", "http://q/2");
    let read = Config::parse(&environment[CONFIG_VARIABLE]).unwrap();
    assert_eq!(read.routes["sss"].verify, written.routes["sss"].verify);
    assert_eq!(read.routes["sss"].destinations, written.routes["sss"].destinations);
    assert_eq!(read.file(), written.file());
}

#[test]
fn destinations_can_be_limited_to_named_hosts() {
    let hosts = |hosts: Value| json!({ "forwarder": { "allowed_hosts": hosts } });
    for good in [json!([]), json!(["sss.example.com"]), json!(["other.test", "*.example.com"])] {
        assert!(config(&hosts(good.clone())).is_ok(), "{good}");
    }
    for other in ["example.com", "*.sss.example.com", "*.ple.com", "xsss.example.com"] {
        refused(
            &hosts(json!([other])),
            &["routes.sss.destinations[0].url: sss.example.com is not among"],
        );
    }
    refused(
        &hosts(json!(["https://sss.example.com", "sss.example.com"])),
        &["forwarder.allowed_hosts[0]: expected a host"],
    );
    refused(&hosts(json!(["*", "sss.example.com"])), &["forwarder.allowed_hosts[0]"]);
    refused(&hosts(json!(["*.", "sss.example.com"])), &["forwarder.allowed_hosts[0]"]);
}

#[test]
fn a_proxy_is_a_host_and_a_port() {
    let proxy = |url: &str| json!({ "forwarder": { "proxy": url } });
    for good in ["http://proxy.internal:3128", "http://10.0.0.7:8080/", "http://[fd00::1]"] {
        assert_eq!(config(&proxy(good)).unwrap().proxy().map(url::Url::scheme), Some("http"));
    }
    assert_eq!(config(&json!({})).unwrap().proxy(), None);
    for (bad, problem) in [
        ("proxy.internal:3128", "must begin with http://"),
        ("https://proxy.internal:3128", "must begin with http://"),
        ("socks5://proxy.internal", "must begin with http://"),
        ("//", "is not a URL"),
        ("http://user:secret@proxy.internal", "must not contain a user name"),
        ("http://user@proxy.internal", "must not contain a user name"),
        ("http://:secret@proxy.internal", "must not contain a user name"),
        ("http://proxy.internal/path", "must be a host and a port only"),
        ("http://proxy.internal?a", "must be a host and a port only"),
        ("http://169.254.169.254:80", "169.254.169.254 is never called"),
    ] {
        refused(&proxy(bad), &[&format!("forwarder.proxy: {problem}")]);
    }
}

#[test]
fn metadata_services_are_no_destinations() {
    for url in [
        "https://169.254.169.254/latest",
        "https://2852039166/",
        "https://0xa9.0xfe.0xa9.0xfe/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "https://0.0.0.0/",
        "https://0/",
        "https://[::]/",
        "https://224.0.0.1/",
    ] {
        refused(
            &route(&json!({ "destinations": [{ "name": "d", "url": url }] })),
            &["destinations[0].url: "],
        );
    }
}

#[test]
fn what_names_an_event_is_apart_from_what_the_queue_deduplicates_by() {
    let check = |patch: Value, event_id: &str, deduplication: Option<&str>| {
        let config = config(&route(&patch)).unwrap();
        let route = &config.routes()["sss"];
        assert_eq!(route.event_id().source(), event_id, "{patch}");
        let parameters = route.request_parameters("q");
        let id = parameters.get("MessageDeduplicationId").map(String::as_str);
        assert_eq!(id, deduplication, "{patch}");
        let attributes: Value = serde_json::from_str(&parameters["MessageAttributes"]).unwrap();
        let attribute = attributes["event_id"]["StringValue"].as_str().unwrap();
        assert_eq!(attribute, route.event_id().interpolated(), "{patch}");
    };
    let request = Some("$context.requestId");
    let (header, body) = ("$request.header.x-id", "$request.body.id");
    check(json!({}), "$context.requestId", request);
    check(json!({ "deduplication": "content" }), "$context.requestId", None);
    check(json!({ "deduplication": header }), header, Some(header));
    check(json!({ "deduplication": header, "event_id": body }), body, Some(header));
    check(json!({ "event_id": body }), body, request);
    let verify = json!({ "scheme": "standard_webhooks", "secrets": ["ssm:/a"] });
    check(json!({ "verify": verify }), "$request.header.webhook-id", request);
    check(json!({ "verify": verify, "event_id": body }), body, request);
    let verify = json!({ "scheme": "github", "secrets": ["ssm:/a"] });
    check(json!({ "verify": verify }), "$context.requestId", request);
}

#[test]
fn what_a_stranger_can_write_does_not_decide_which_events_are_dropped() {
    let verify = json!({ "scheme": "github", "secrets": ["ssm:/a"] });
    let told =
        r#"Write "deduplication": "request", "event_id": "$request.header.x-github-delivery""#;
    refused(
        &route(&json!({ "verify": verify, "deduplication": "$request.header.x-github-delivery" })),
        &[told],
    );
    refused(
        &route(&json!({ "verify": verify, "deduplication": "content" })),
        &[r#"routes.sss.deduplication: a route with verify takes "request" only"#],
    );
}

#[test]
fn an_event_id_varies_and_its_parameters_are_in_the_path() {
    refused(&route(&json!({ "event_id": "fixed" })), &["a fixed id would make all events one"]);
    refused(&route(&json!({ "event_id": "$request.x" })), &["unknown variable"]);
    refused(
        &route(&json!({ "event_id": "$request.path.id" })),
        &["event_id: path \"/sqs-hook\" has no {id}"],
    );
}

#[test]
fn statuses_are_retried_or_rejected_and_not_both() {
    let patch = json!({ "retry_statuses": ["404", "5xx"], "reject_statuses": ["503"] });
    refused(&route(&patch), &["reject_statuses: 503 is in retry_statuses as well"]);
    refused(
        &route(&json!({ "retry_statuses": ["200"], "reject_statuses": ["4xx", "no"] })),
        &["retry_statuses[0]: expected a status", "reject_statuses[1]: expected a status"],
    );
    assert!(config(&route(&json!({ "retry_statuses": ["3xx", "403-404"] }))).is_ok());
}

/// The destination with these settings more.
fn destination(more: &Value) -> Value {
    let mut destination = json!({ "name": "sss", "url": "https://sss.example.com/" });
    merge(&mut destination, more);
    route(&json!({ "destinations": [destination] }))
}

#[test]
fn headers_of_a_destination_are_literal_or_secret_and_never_ours() {
    let headers =
        json!({ "X-Api-Key": "ssm:/dev/key", "x-team": "sales ops", "Authorization": "env:AUTH" });
    let config = config(&destination(&json!({ "headers": headers }))).unwrap();
    let route = &config.routes()["sss"];
    let literal = HeaderValue::Literal("sales ops".into());
    let secret = |text: &str| HeaderValue::Secret(SecretReference::parse(text).unwrap());
    let expected = [
        ("authorization".to_owned(), secret("env:AUTH")),
        ("x-api-key".to_owned(), secret("ssm:/dev/key")),
        ("x-team".to_owned(), literal),
    ];
    assert_eq!(route.destinations()[0].headers(), expected);
    assert_eq!(route.secrets().count(), 2);
    for (name, value, problem) in [
        ("webhook-id", "x", "is set by the forwarder"),
        ("Webhook-Signature", "x", "is set by the forwarder"),
        ("content-type", "x", "is set by the forwarder"),
        ("host", "x", "is about the connection"),
        ("content-length", "1", "is about the connection"),
        ("transfer-encoding", "chunked", "is about the connection"),
        ("a b", "x", "is not the name of a header"),
        ("x-key", "", "the value is not shown"),
        ("x-key", "planted ", "the value is not shown"),
        ("x-key", "planted\r\nhost: a", "the value is not shown"),
        ("x-key", "ssm:planted", "is not the name of a parameter"),
    ] {
        let patch = destination(&json!({ "headers": { name: value } }));
        refused(&patch, &[problem]);
        let error = super::tests::config(&patch).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
    refused(
        &destination(&json!({ "headers": { "x-key": "a", "X-Key": "b" } })),
        &["is there twice, in another case"],
    );
    for number in [json!(4711), json!(-4711.5), json!([4711]), json!({ "a": 4711 }), json!(true)] {
        let error = super::tests::config(&destination(&json!({ "headers": { "x-key": number } })));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("headers.x-key: expected a text"), "{error}");
        assert!(!error.contains("4711"), "{error}");
    }
}

#[test]
fn a_client_certificate_is_a_secret_for_tls() {
    let reference = json!({ "client_certificate": "env:SSS_PEM" });
    let config = config(&destination(&reference)).unwrap();
    let route = &config.routes()["sss"];
    let expected = SecretReference::parse("env:SSS_PEM").unwrap();
    assert_eq!(route.destinations()[0].client_certificate(), Some(&expected));
    assert_eq!(route.secrets().collect::<Vec<_>>(), [&expected]);
    assert_eq!(config.secret_variables().collect::<Vec<_>>(), ["SSS_PEM"]);
    for written in [json!("-----BEGIN CERTIFICATE-----\n4711"), json!(4711), json!(["ssm:/4711"])] {
        let patch = destination(&json!({ "client_certificate": written }));
        let error = super::tests::config(&patch).unwrap_err().to_string();
        assert!(error.contains("routes.sss.destinations[0].client_certificate: "), "{error}");
        assert!(!error.contains("4711"), "{error}");
    }
    let plain = json!({ "url": "http://localhost", "client_certificate": "env:SSS_PEM" });
    refused(&destination(&plain), &["client_certificate: is for https only"]);
}

#[test]
fn a_pace_is_shared_by_all_processes() {
    let pace = |more: Value| {
        let config = config(&destination(&more)).unwrap();
        config.routes()["sss"].destinations()[0].pace()
    };
    let number = std::num::NonZeroU32::new;
    assert_eq!(pace(json!({})), Pace::default());
    assert_eq!(
        pace(json!({ "max_in_flight": 40, "max_per_second": 5 })),
        Pace::shared(number(40), number(5), number(10).unwrap())
    );
    assert!(super::tests::config(&destination(&json!({ "max_in_flight": 0 }))).is_err());
}

/// A query may hold a token, and a fault ends in logs.
#[test]
fn no_fault_shows_the_query_of_a_url() {
    for url in [
        "sss.example.com/?token=planted",
        "https://sss.example.com/?token=planted#part",
        "https://user:planted@sss.example.com/",
        "http://sss.example.com/?token=planted",
        "ftp://sss.example.com/?token=planted",
        "http://169.254.169.254/?token=planted",
        "https://[/?token=planted",
    ] {
        let error = config(&destination(&json!({ "url": url }))).expect_err(url);
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[test]
fn who_is_notified_is_a_url_or_a_secret_of_this_machine() {
    let notify = |notify: Value| config(&json!({ "notify": notify }));
    assert!(config(&json!({})).unwrap().notify().is_none());
    let checked = notify(json!({ "url": "https://hooks.example.com/T/planted" })).unwrap();
    let notify_of = checked.notify().unwrap();
    assert_eq!(notify_of.format(), crate::notification::Format::Slack);
    assert_eq!(notify_of.to().unwrap().to_string(), "https://hooks.example.com");
    assert!(notify_of.heartbeat().is_none());
    assert_eq!(notify_of.format().content_type(), "application/json");
    for reference in ["env:NOTIFY_URL", "file:/run/credentials/webhook-queue.service/notify"] {
        let checked = notify(json!({ "url": reference, "format": "plain" })).unwrap();
        assert_eq!(checked.notify().unwrap().to().unwrap().to_string(), reference);
        let alone = notify(json!({ "heartbeat_url": reference })).unwrap();
        assert!(alone.notify().unwrap().to().is_none());
        assert_eq!(alone.notify().unwrap().heartbeat().unwrap().to_string(), reference);
        let format = checked.notify().unwrap().format();
        assert_eq!(format, crate::notification::Format::Plain);
        assert_eq!(format.content_type(), "text/plain; charset=utf-8");
    }
    for (url, problem) in [
        ("ssm:/planted", "notify.url: the engine on one machine fetches no secrets from AWS"),
        ("secretsmanager:planted", "notify.url: the engine on one machine fetches no secrets"),
        ("env:1planted", "notify.url: is not the name of a variable"),
        ("file:planted", "notify.url: is not an absolute path"),
        ("planted:planted", "notify.url: must be a URL that begins with https://"),
        ("http://example.com/planted", "notify.url: must be https, as example.com is neither"),
    ] {
        for setting in ["url", "heartbeat_url"] {
            let error = notify(json!({ setting: url })).unwrap_err();
            let problem = problem.replace("notify.url", &format!("notify.{setting}"));
            assert_eq!(error.faults.len(), 1, "{error}");
            assert!(error.to_string().contains(&problem), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("planted"), "{url}: {error}");
        }
    }
    let nobody = notify(json!({})).unwrap_err().to_string();
    assert!(nobody.contains("notify: names neither a url nor a heartbeat_url"), "{nobody}");
    for wrong in [json!({ "url": ["planted"] }), json!({ "url": { "planted": "planted" } })] {
        let error = notify(wrong).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
    assert!(notify(json!({ "url": "https://a.example.com", "every": 1 })).is_err());
    assert!(notify(json!({ "url": "https://a.example.com", "format": "email" })).is_err());
}

/// It inherits the engine's environment only as far as it needs it.
#[test]
fn the_forwarder_is_not_told_who_is_notified() {
    let notify = json!({ "notify": { "url": "https://hooks.example.com/T/planted" } });
    let shown = format!("{:?}", config(&notify).unwrap());
    assert!(!shown.contains("planted"), "{shown}");
    let environment = config(&notify).unwrap().forwarder_environment("q", "d");
    assert!(environment.values().all(|value| !value.contains("notify")), "{environment:?}");
    let variable = json!({ "notify": { "url": "env:NOTIFY_URL" } });
    assert_eq!(config(&variable).unwrap().secret_variables().count(), 0);
    // As an engine does that delivers somewhere else.
    let again = Config::check(config(&notify).unwrap().file().clone()).unwrap();
    assert_eq!(again.notify(), config(&notify).unwrap().notify());
}

#[test]
fn what_was_delivered_is_kept_within_two_bounds_and_only_if_asked_for() {
    let keep = |keep: Value| config(&json!({ "keep_delivered": keep }));
    assert!(config(&json!({})).unwrap().keep_delivered().is_none());
    let bounds = |it: Config| it.keep_delivered().map(|it| (it.count(), it.bytes()));
    assert_eq!(keep(json!({})).map(bounds).unwrap(), Some((1_000, 10_485_760)));
    let both = json!({ "count": 1_000_000, "bytes": u32::MAX });
    assert_eq!(keep(both).map(bounds).unwrap(), Some((1_000_000, u32::MAX)));
    for (wrong, problem) in [
        (json!({ "count": 0 }), "keep_delivered.count: must be 1 to 1000000 events, is 0"),
        (json!({ "count": 1_000_001 }), "keep_delivered.count: must be 1 to 1000000 events"),
        (json!({ "bytes": 0 }), "keep_delivered.bytes: must be 1 to 4294967295 bytes, is 0"),
        (json!({ "bytes": -1 }), "keep_delivered.bytes"),
        (json!({ "for": 1 }), "unknown field"),
    ] {
        let error = keep(wrong).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    // The forwarder need not know.
    let environment = keep(json!({})).unwrap().forwarder_environment("q", "d");
    assert!(environment.values().all(|value| !value.contains("keep")), "{environment:?}");
}
