//! A route's rules stand in the domain, which every command asks. The modules have those of them that
//! would otherwise refuse every request, or stop delivery, only after an apply: one table of cases is put
//! to both, and they must agree.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use deployment::Deployment;
use serde_json::{Map, Value, json};

/// Set by `cargo xtask test --quick`.
const QUICK: &str = "XTASK_QUICK";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Routes, and what the forwarder is told.
struct Case {
    what: &'static str,
    is_accepted: bool,
    routes: Value,
    forwarder: Value,
}

fn merged(base: Value, change: &Value) -> Value {
    let mut object: Map<String, Value> = serde_json::from_value(base).unwrap();
    object.extend(change.as_object().unwrap().clone());
    object.into()
}

fn destination(change: &Value) -> Value {
    merged(json!({ "name": "sss", "url": "https://sss.example.com/hook" }), change)
}

fn route(change: &Value) -> Value {
    let base = json!({
        "path": "/sqs-hook", "ordering_key": "$request.header.x-workflow-id",
        "destinations": [destination(&json!({}))],
    });
    merged(base, change)
}

fn with_routes(is_accepted: bool, what: &'static str, routes: Value) -> Case {
    Case { what, is_accepted, routes, forwarder: json!({}) }
}

/// A route with other values.
fn of_route(is_accepted: bool, what: &'static str, change: &Value) -> Case {
    with_routes(is_accepted, what, json!({ "sss": route(change) }))
}

/// A destination with other values.
fn of_destination(is_accepted: bool, what: &'static str, change: &Value) -> Case {
    of_route(is_accepted, what, &json!({ "destinations": [destination(change)] }))
}

fn of_verify(is_accepted: bool, what: &'static str, verify: &Value) -> Case {
    let base = json!({ "scheme": "hmac", "secrets": ["ssm:/test/secret"], "hmac": { "header": "x-signature" } });
    of_route(is_accepted, what, &json!({ "verify": merged(base, verify) }))
}

fn of_forwarder(is_accepted: bool, what: &'static str, forwarder: Value) -> Case {
    Case { forwarder, ..of_route(is_accepted, what, &json!({})) }
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn cases() -> Vec<Case> {
    let (yes, no) = (true, false);
    let long = "k".repeat(129);
    let headers = |count: usize| (0..count).map(|it| format!("x-{it}")).collect::<Vec<_>>();
    vec![
        of_route(yes, "a route as it is", &json!({})),
        with_routes(no, "no route", json!({})),
        with_routes(no, "a name with an underscore", json!({ "sss_2": route(&json!({})) })),
        with_routes(no, "a name of 41 letters", json!({ "s".repeat(41): route(&json!({})) })),
        with_routes(
            no,
            "two routes at one path",
            json!({ "a": route(&json!({})), "b": route(&json!({})) }),
        ),
        // Paths, keys, ids: what API Gateway evaluates.
        of_route(no, "a path without a slash", &json!({ "path": "hook" })),
        of_route(no, "a path with a blank", &json!({ "path": "/a b" })),
        of_route(yes, "a path with a parameter", &json!({ "path": "/hook/{tenant}" })),
        of_route(no, "a parameter twice", &json!({ "path": "/{a}/{a}" })),
        of_route(no, "a former path that is the path", &json!({ "former_paths": ["/sqs-hook"] })),
        of_route(yes, "another former path", &json!({ "former_paths": ["/hook"] })),
        of_route(yes, "a fixed key", &json!({ "ordering_key": "all" })),
        of_route(no, "a fixed key with a blank", &json!({ "ordering_key": "all events" })),
        of_route(no, "a fixed key of 129", &json!({ "ordering_key": long })),
        of_route(no, "an unknown source of a key", &json!({ "ordering_key": "$request.cookie.a" })),
        of_route(
            no,
            "a key of a parameter that the path lacks",
            &json!({ "ordering_key": "$request.path.tenant" }),
        ),
        of_route(
            yes,
            "a key of a parameter of the path",
            &json!({ "path": "/{tenant}", "ordering_key": "$request.path.tenant" }),
        ),
        of_route(yes, "equal bodies are one", &json!({ "deduplication": "content" })),
        of_route(no, "a fixed deduplication", &json!({ "deduplication": "one" })),
        of_route(
            yes,
            "the provider's id",
            &json!({ "deduplication": "$request.header.webhook-id" }),
        ),
        of_route(no, "a fixed event id", &json!({ "event_id": "one" })),
        of_route(no, "a backslash", &json!({ "event_id": "$request.header.a\\" })),
        // Headers.
        of_route(yes, "40 headers", &json!({ "pass_headers": headers(40) })),
        of_route(no, "41 headers", &json!({ "pass_headers": headers(41) })),
        of_route(no, "a header twice", &json!({ "pass_headers": ["X-A", "x-a"] })),
        of_route(no, "a reserved header", &json!({ "pass_headers": ["x-amz-date"] })),
        of_route(no, "a header of the connection", &json!({ "pass_headers": ["Connection"] })),
        of_route(no, "no header's name", &json!({ "pass_headers": ["a b"] })),
        // Destinations.
        of_route(no, "no destination", &json!({ "destinations": [] })),
        of_route(
            no,
            "two destinations of one name",
            &json!({ "destinations": [destination(&json!({})), destination(&json!({}))] }),
        ),
        of_destination(no, "a destination's name with a blank", &json!({ "name": "a b" })),
        of_destination(no, "http to the internet", &json!({ "url": "http://sss.example.com/" })),
        of_destination(yes, "http to a private name", &json!({ "url": "http://sss.internal/" })),
        of_destination(yes, "http to a private address", &json!({ "url": "http://10.0.0.7/a" })),
        of_destination(no, "a password", &json!({ "url": "https://a:b@sss.example.com/" })),
        of_destination(no, "a fragment", &json!({ "url": "https://sss.example.com/#a" })),
        of_destination(no, "no URL", &json!({ "url": "sss.example.com" })),
        of_destination(
            no,
            "a metadata service",
            &json!({ "url": "http://169.254.169.254/latest" }),
        ),
        of_destination(no, "the unspecified address", &json!({ "url": "http://0.0.0.0/" })),
        of_destination(no, "no time", &json!({ "timeout_seconds": 0 })),
        of_destination(yes, "as long as the function allows", &json!({ "timeout_seconds": 57 })),
        of_destination(no, "longer than it allows", &json!({ "timeout_seconds": 58 })),
        of_destination(no, "none in flight", &json!({ "max_in_flight": 0 })),
        of_destination(no, "none in a second", &json!({ "max_per_second": 0 })),
        of_destination(yes, "a header of ours", &json!({ "headers": { "x-token": "a" } })),
        of_destination(no, "one that is set", &json!({ "headers": { "webhook-id": "a" } })),
        of_destination(no, "one that is reserved", &json!({ "headers": { "x-amzn-a": "a" } })),
        of_destination(no, "a value with a blank before", &json!({ "headers": { "x-a": " a" } })),
        of_destination(
            no,
            "a secret of one machine",
            &json!({ "headers": { "x-a": "env:TOKEN" } }),
        ),
        of_destination(
            no,
            "a certificate without TLS",
            &json!({ "url": "http://sss.internal/", "client_certificate": "ssm:/test/client" }),
        ),
        of_destination(
            no,
            "no reference to a certificate",
            &json!({ "client_certificate": "-----BEGIN" }),
        ),
        of_destination(yes, "signed", &json!({ "sign": { "secrets": ["ssm:/test/sign"] } })),
        of_destination(no, "signed by nothing", &json!({ "sign": { "secrets": [] } })),
        of_destination(
            no,
            "signed by a secret",
            &json!({ "sign": { "secrets": ["whsec_c2VjcmV0"] } }),
        ),
        of_destination(
            no,
            "signed by one secret twice",
            &json!({ "sign": { "secrets": ["ssm:/a/b", "ssm:/a/b"] } }),
        ),
        // What an answer means, and when it is tried again.
        of_route(yes, "404 is tried again", &json!({ "retry_statuses": ["404"] })),
        of_route(no, "200 is tried again", &json!({ "retry_statuses": ["200"] })),
        of_route(no, "a range backwards", &json!({ "reject_statuses": ["503-500"] })),
        of_route(
            no,
            "a status of both kinds",
            &json!({ "retry_statuses": ["4xx"], "reject_statuses": ["404"] }),
        ),
        of_route(no, "an unknown end", &json!({ "on_reject": "drop" })),
        of_route(no, "no delay", &json!({ "retry": { "initial_delay_seconds": 0 } })),
        of_route(
            no,
            "a first delay that is longer than the longest",
            &json!({ "retry": { "initial_delay_seconds": 9, "max_delay_seconds": 8 } }),
        ),
        of_route(
            no,
            "a delay that no visibility timeout takes",
            &json!({ "retry": { "max_delay_seconds": 43_101 } }),
        ),
        of_route(no, "given up at once", &json!({ "give_up_after_seconds": 0 })),
        of_route(
            no,
            "given up after SQS has deleted it",
            &json!({ "give_up_after_seconds": 1_209_600 }),
        ),
        of_route(
            no,
            "more receives than SQS counts",
            &json!({ "retry": { "max_delay_seconds": 10 } }),
        ),
        // Who sent it.
        of_verify(yes, "an HMAC", &json!({})),
        of_verify(no, "an unknown scheme", &json!({ "scheme": "md5" })),
        of_verify(no, "an HMAC without its form", &json!({ "hmac": null })),
        of_verify(no, "a form that no scheme asks for", &json!({ "scheme": "github" })),
        of_verify(no, "no time", &json!({ "tolerance_seconds": 0 })),
        of_verify(no, "a secret", &json!({ "secrets": ["s3cret"] })),
        of_verify(no, "three secrets", &json!({ "secrets": ["ssm:/a/b", "ssm:/a/c", "ssm:/a/d"] })),
        of_verify(
            no,
            "an unknown algorithm",
            &json!({ "hmac": { "header": "x-signature", "algorithm": "md5" } }),
        ),
        of_verify(
            no,
            "what is signed has no body",
            &json!({ "hmac": { "header": "x-signature", "signed_content": "{header.x-time}" } }),
        ),
        of_verify(
            no,
            "a time that is not signed",
            &json!({ "hmac": { "header": "x-signature", "timestamp_header": "x-time" } }),
        ),
        of_route(
            no,
            "verified, and deduplicated by what nobody has verified",
            &json!({
                "verify": { "scheme": "github", "secrets": ["ssm:/test/secret"] },
                "deduplication": "content",
            }),
        ),
        // The forwarder.
        of_forwarder(no, "a function of a second", json!({ "function_timeout_seconds": 1 })),
        of_forwarder(no, "a function of 901 s", json!({ "function_timeout_seconds": 901 })),
        of_forwarder(no, "batches of 11", json!({ "batch_size": 11 })),
        of_forwarder(no, "one function at a time", json!({ "max_concurrency": 1 })),
        of_forwarder(no, "1,001 functions at a time", json!({ "max_concurrency": 1_001 })),
        of_forwarder(no, "an unknown level", json!({ "log_level": "LOUD" })),
        of_forwarder(yes, "its host is allowed", json!({ "allowed_hosts": ["*.example.com"] })),
        of_forwarder(no, "another host is allowed", json!({ "allowed_hosts": ["example.org"] })),
        of_forwarder(no, "a proxy with a path", json!({ "proxy": "http://proxy.internal/a" })),
    ]
}

/// Why the domain refuses a case, if it does.
fn refused_by_domain(case: &Case) -> Option<String> {
    let file = json!({
        "environment": "test", "routes": case.routes, "forwarder": case.forwarder,
        "aws": {
            "region": "ap-northeast-1", "state_bucket": "a-state", "artifact_bucket": "some-artifacts",
            "notifications": { "emails": ["a@example.com"] },
        },
    });
    Deployment::parse(&file.to_string()).err().map(|error| format!("{error:#}"))
}

/// What a module is given beside a case's routes.
fn calls(case: &Case) -> [(&'static str, Value); 3] {
    let queue = |name: &str| {
        let url = format!("https://sqs.ap-northeast-1.amazonaws.com/123456789012/{name}.fifo");
        let arn = format!("arn:aws:sqs:ap-northeast-1:123456789012:{name}.fifo");
        (url, arn)
    };
    let ((url, arn), (dead_url, dead_arn)) = (queue("test-webhook"), queue("test-webhook-dlq"));
    let call = |module: &str, more: Value| {
        let call = json!({
            "source": format!("./modules/{module}"), "environment": "test", "routes": case.routes,
        });
        merged(call, &more)
    };
    [
        (
            "ingest",
            call(
                "webhook-ingest",
                json!({ "api": { "id": "a1b2c3" }, "queue_url": url, "queue_arn": arn }),
            ),
        ),
        (
            "forwarder",
            call(
                "webhook-forwarder",
                json!({
                    "forwarder": case.forwarder, "queue_url": url, "queue_arn": arn,
                    "dead_letter_queue_url": dead_url, "dead_letter_queue_arn": dead_arn,
                    "ingest_sender": { "unique_id": "AROAEXAMPLE" },
                    "artifact": {
                        "path": "function.zip",
                        "code_sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                    },
                }),
            ),
        ),
        // Given, though it is nothing: of a default an error tells no place.
        ("queue", call("webhook-queue", json!({ "forwarder": case.forwarder, "queue": {} }))),
    ]
}

/// The places of the cases that a module refuses, with what is said; `None`, with a word, where Terraform
/// or its provider cannot be had.
fn refused_by_modules(cases: &[Case]) -> Option<Vec<(usize, String)>> {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(ROOT).join("modules"), &dir.path().join("modules"));
    // Of what the folder itself has of a provider, the test makes another that asks nobody.
    let provider = json!({
        "terraform": { "required_providers": { "aws": { "source": "hashicorp/aws" } } },
        "provider": { "aws": { "region": "ap-northeast-1" } },
    });
    std::fs::write(dir.path().join("main.tf.json"), provider.to_string()).unwrap();
    // A file for each case: an error of a variable tells the file, one of a resource its address.
    for (place, case) in cases.iter().enumerate() {
        let calls = calls(case).map(|(module, call)| (format!("case_{place}_{module}"), call));
        let file = json!({ "module": Map::from_iter(calls) });
        let name = format!("case_{place}_.tf.json");
        std::fs::write(dir.path().join(name), file.to_string()).unwrap();
    }
    std::fs::create_dir(dir.path().join("tests")).unwrap();
    let test = "mock_provider \"aws\" {}\n\nrun \"all\" {\n  command = plan\n}\n";
    std::fs::write(dir.path().join("tests/all.tftest.hcl"), test).unwrap();

    let terraform = |arguments: &[&str]| {
        let mut command = Command::new("terraform");
        command.args(arguments).current_dir(dir.path()).env("CHECKPOINT_DISABLE", "1");
        command.env_remove("TF_DATA_DIR").output()
    };
    let said = match terraform(&["init", "-input=false", "-no-color"]) {
        Ok(output) if output.status.success() => String::new(),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("Failed to install provider: terraform: {error}"),
    };
    let signs = ["Failed to query available provider packages", "Failed to install provider"];
    if signs.iter().any(|sign| said.contains(sign)) {
        eprintln!("skipped: Terraform or its provider cannot be had here: {said}");
        return None;
    }
    assert!(said.is_empty(), "{said}");
    // Rules that compare two variables are looked at only where no other rule is broken: so those that
    // are refused leave, until none is.
    let mut all = Vec::new();
    loop {
        let refused = tested(&terraform(&["test", "-json"]).unwrap());
        let places: BTreeSet<usize> = refused.iter().map(|(place, _)| *place).collect();
        all.extend(refused);
        if places.is_empty() {
            return Some(all);
        }
        for place in places {
            std::fs::remove_file(dir.path().join(format!("case_{place}_.tf.json"))).unwrap();
        }
    }
}

/// The places of the cases that `terraform test` refuses, with what it says.
fn tested(output: &Output) -> Vec<(usize, String)> {
    let lines = String::from_utf8_lossy(&output.stdout);
    let told = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let errors = told.filter(|line| line["diagnostic"]["severity"] == "error");
    let refused = errors.map(|error| {
        let error = &error["diagnostic"];
        let place = [&error["range"]["filename"], &error["address"]].into_iter().find_map(|told| {
            let rest = told.as_str()?.split("case_").nth(1)?;
            rest.split('_').next()?.parse().ok()
        });
        (place.unwrap_or_else(|| panic!("of no case: {error}")), error["detail"].to_string())
    });
    refused.collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() && name != ".terraform" && name != "tests" {
            copy(&path, &to.join(name));
        } else if path.is_file() {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn the_domain_and_the_modules_agree() {
    let cases = cases();
    let differs = |case: &&Case| refused_by_domain(case).is_none() != case.is_accepted;
    let differ: Vec<String> = cases
        .iter()
        .filter(differs)
        .map(|case| format!("{}: the domain says {:?}", case.what, refused_by_domain(case)))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    if std::env::var_os(QUICK).is_some() {
        return eprintln!("skipped: the modules are left out by --quick");
    }
    let Some(refused) = refused_by_modules(&cases) else { return };
    let by_modules: BTreeSet<usize> = refused.iter().map(|(place, _)| *place).collect();
    let differ: Vec<String> = cases
        .iter()
        .enumerate()
        .filter(|(place, case)| by_modules.contains(place) == case.is_accepted)
        .map(|(place, case)| {
            let said = refused.iter().find(|(of, _)| *of == place).map(|(_, said)| said);
            format!("{}: the modules say {said:?}", case.what)
        })
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
