//! The smoke test: one marked event through the real path, seen at the other end.
//!
//! On AWS the other end is the forwarder's log, which tells what the service answered; on the emulator
//! it is the stand-in for the service.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use deployment::{ApiFile, SmokeTestFile};
use domain::config::LogLevel;
use domain::mapping::{Context, Request};
use domain::route::Route;
use domain::time::Timestamp;
use serde_json::Value;

use super::operator::Operator;
use super::resources::Resources;
use super::terraform::Outputs;
use super::{Environment, stage};
use crate::http::Client;
use crate::interrupt;

/// How long the event may take to the other end: a cold start and a few attempts.
const PATIENCE: Duration = Duration::from_secs(90);

/// A request that comes too early is answered 404 or 5xx: routes and rights need seconds on AWS.
const INGEST_PATIENCE: Duration = Duration::from_secs(30);

/// What is replaced by a text that no other test has, wherever it stands in headers or body: for
/// routes that recognise equal events.
const UNIQUE: &str = "{unique}";

/// How the test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Smoke {
    Passed,
    Failed(String),
    /// It could not be made.
    Skipped(String),
}

/// An event that was accepted.
struct Sent {
    event_id: String,
    since_ms: u64,
}

/// Sends the event and waits for it.
///
/// # Errors
///
/// When it was interrupted.
pub(crate) fn run(
    environment: &Environment,
    operator: &Operator<'_>,
    outputs: &Outputs,
    resources: &Resources,
) -> anyhow::Result<Smoke> {
    let name = &environment.name;
    let Some(test) = &environment.aws.smoke_test else {
        let reason = "aws.smoke_test is not set, so no event was sent";
        eprintln!("smoke test skipped: {reason}");
        return Ok(Smoke::Skipped(reason.to_owned()));
    };
    if let Some(reason) = obstacle(environment, resources) {
        eprintln!("smoke test skipped: {reason}");
        return Ok(Smoke::Skipped(reason));
    }
    eprintln!("smoke test: sending an event through route {} of {name}", test.route);
    let result = send(environment, outputs, test).and_then(|sent| {
        eprintln!("smoke test: event {} was accepted, waiting for its delivery", sent.event_id);
        if environment.is_local() {
            await_at_stand_in(environment, test, &sent)
        } else {
            await_in_log(operator, outputs, &sent)
        }
    });
    interrupt::check()?;
    Ok(match result {
        Ok(took) => {
            eprintln!("smoke test passed: delivered after {:.1} s", took.as_secs_f64());
            Smoke::Passed
        }
        Err(error) => {
            eprintln!("smoke test failed: {error:#}");
            Smoke::Failed(format!("{error:#}"))
        }
    })
}

/// Why the delivery could not be seen.
fn obstacle(environment: &Environment, resources: &Resources) -> Option<String> {
    let name = &environment.name;
    let mut mappings = resources.of_kind("aws_lambda_event_source_mapping");
    if mappings.any(|mapping| mapping.after["enabled"] == false) {
        return Some(format!("delivery is paused; `cargo xtask resume {name}` goes on with it"));
    }
    let quiet = environment.config.forwarder().log_level > LogLevel::Info;
    (quiet && !environment.is_local())
        .then(|| "forwarder.log_level leaves deliveries out of the log".to_owned())
}

/// Posts the event until it is accepted.
fn send(
    environment: &Environment,
    outputs: &Outputs,
    test: &SmokeTestFile,
) -> anyhow::Result<Sent> {
    let route = environment.config.routes().get(&test.route);
    let route = route.with_context(|| format!("there is no route {}", test.route))?;
    let url = if environment.is_local() {
        stage::ingest_urls(environment).remove(&test.route)
    } else {
        outputs.ingest_urls.get(&test.route).cloned()
    };
    let url = url.with_context(|| format!("Terraform has no URL of route {}", test.route))?;
    let since_ms = Timestamp::from(SystemTime::now()).as_ms();
    let unique = format!("smoke-{since_ms}");
    let mut headers: Vec<(String, String)> = test
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.replace(UNIQUE, &unique)))
        .collect();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let body = test.body.to_string().replace(UNIQUE, &unique);
    let client = Client::new();
    let deadline = Instant::now() + INGEST_PATIENCE;
    loop {
        interrupt::check()?;
        let may_come = Instant::now() < deadline;
        match client.post(&url, &headers, &body) {
            Ok(answer) if answer.status == 200 => {
                let request_id =
                    answer.request_id.context("the API answered without a request id")?;
                let event_id = event_id(route, &headers, &body, &request_id)?;
                return Ok(Sent { event_id, since_ms });
            }
            Ok(answer) if may_come && (answer.status == 404 || answer.status >= 500) => {}
            Ok(answer) => {
                let hint = stage_hint(environment.aws.api.as_ref(), &outputs.api_id, answer.status)
                    .unwrap_or_default();
                bail!("{url} answered {}: {}{hint}", answer.status, answer.body.trim())
            }
            // The name of a new API is not known everywhere at once.
            Err(_unreachable) if may_come => {}
            Err(error) => return Err(error),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What a stage that is somebody else's may lack, when it answers that it knows no such route.
fn stage_hint(api: Option<&ApiFile>, api_id: &str, status: u16) -> Option<String> {
    let stage = api.map(|api| &api.stage).filter(|_| status == 404)?;
    Some(format!(
        "; the API was there already: if its stage has no auto-deploy, the new route goes live by \
         `aws apigatewayv2 create-deployment --api-id {api_id} --stage-name '{stage}'`"
    ))
}

/// The id that the event has in logs and at the service, by the route's own rules.
fn event_id(
    route: &Route,
    headers: &[(String, String)],
    body: &str,
    request_id: &str,
) -> anyhow::Result<String> {
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let context = Context { request_id, ..Context::default() };
    let request = Request { headers, body, context, ..Request::default() };
    let message = route.integration("none").evaluate(&request)?;
    let id = message.attributes.get(domain::attribute::EVENT_ID);
    Ok(id.context("the route gives events no id")?.value.clone())
}

/// Waits until the forwarder's log tells of the delivery.
fn await_in_log(
    operator: &Operator<'_>,
    outputs: &Outputs,
    sent: &Sent,
) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let Sent { event_id, since_ms } = sent;
    let group = &outputs.log_group_name;
    let seen = operator.await_delivery(group, event_id, *since_ms, PATIENCE.as_secs())?;
    if seen["outcome"] == "delivered" {
        return Ok(started.elapsed());
    }
    let lines = seen["log"].as_array().into_iter().flatten();
    match lines.last() {
        None => {
            bail!("nothing was seen of event {event_id} in {group} for {} s", PATIENCE.as_secs())
        }
        Some(line) => {
            bail!("event {event_id} was not delivered; the last of it in {group}: {}", told(line))
        }
    }
}

/// A line of the forwarder's log, as far as it tells why.
fn told(line: &Value) -> String {
    let fields = ["message", "destination", "status", "error", "reason"];
    let told = fields.iter().filter_map(|name| match &line[*name] {
        Value::Null => None,
        Value::String(text) => Some(format!("{name} {text}")),
        value => Some(format!("{name} {value}")),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Waits until the stand-in has the event and has accepted it.
fn await_at_stand_in(
    environment: &Environment,
    test: &SmokeTestFile,
    sent: &Sent,
) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let client = Client::new();
    let url = format!("{}/_stub/received", stage::stand_in(environment, &test.route)?);
    let mut known = 0;
    loop {
        interrupt::check()?;
        let waited = started.elapsed();
        let left_ms = PATIENCE.saturating_sub(waited).as_millis().min(1_000);
        // The stand-in answers as soon as it has more.
        let ask = format!("{url}?at_least={}&wait_ms={left_ms}", known + 1);
        let received: Vec<Value> = serde_json::from_str(&client.get(&ask)?.body)
            .context("reading what the stand-in received")?;
        let mut ours = received.iter().filter(|webhook| webhook["id"] == *sent.event_id);
        if ours.any(|webhook| webhook["status"] == 200) {
            return Ok(started.elapsed());
        }
        known = received.len();
        if left_ms == 0 {
            bail!(
                "event {} did not arrive at the stand-in, or was not accepted, for {} s",
                sent.event_id,
                PATIENCE.as_secs()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::config::Config;
    use serde_json::json;

    fn id_of(deduplication: &str, headers: &[(&str, &str)]) -> anyhow::Result<String> {
        let config = json!({
            "environment": "dev",
            "routes": { "sss": {
                "path": "/hook", "ordering_key": "sss", "deduplication": deduplication,
                "destinations": [{ "name": "sss", "url": "https://sss.example/hook" }],
            } },
        });
        let config = Config::parse(&config.to_string()).unwrap();
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        event_id(&config.routes()["sss"], &headers, r#"{"id":"evt-7"}"#, "req-1")
    }

    #[test]
    fn the_event_is_known_by_the_id_that_its_route_gives_it() {
        assert_eq!(id_of("request", &[]).unwrap(), "req-1");
        assert_eq!(id_of("content", &[]).unwrap(), "req-1");
        assert_eq!(id_of("$request.body.id", &[]).unwrap(), "evt-7");
        assert_eq!(id_of("$request.header.x-id", &[("X-Id", "9")]).unwrap(), "9");
        assert!(id_of("$request.header.x-id", &[]).is_err());
    }

    /// By what will be: a mapping that is made paused has no state before.
    #[test]
    fn nothing_is_sent_to_a_mapping_that_will_be_paused() {
        let environment = Environment::load("prod").unwrap();
        let plan = |before: Value, enabled: bool| {
            let change =
                json!({ "actions": ["create"], "before": before, "after": { "enabled": enabled } });
            let kind = "aws_lambda_event_source_mapping";
            let resource =
                json!({ "address": "m", "mode": "managed", "type": kind, "change": change });
            let plan = json!({ "format_version": "1.2", "resource_changes": [resource] });
            obstacle(&environment, &Resources::of_plan(&plan).unwrap())
        };
        assert_eq!(plan(Value::Null, true), None);
        for before in [Value::Null, json!({ "enabled": false })] {
            let paused = plan(before, false).unwrap();
            assert!(paused.contains("paused; `cargo xtask resume prod`"), "{paused}");
        }
        assert_eq!(plan(json!({ "enabled": false }), true), None, "it will have been resumed");
    }

    #[test]
    fn a_stage_that_is_not_ours_may_have_to_be_deployed() {
        let api = ApiFile { id: Some("a1".into()), name: None, stage: "v1".into() };
        let hint = stage_hint(Some(&api), "a1", 404).unwrap();
        assert!(hint.contains("create-deployment --api-id a1 --stage-name 'v1'"), "{hint}");
        assert_eq!(stage_hint(Some(&api), "a1", 400), None);
        assert_eq!(stage_hint(None, "a1", 404), None);
    }

    #[test]
    fn a_failure_tells_what_the_log_told() {
        let line =
            json!({ "message": "retry", "status": 503, "destination": "sss", "event_id": "1" });
        assert_eq!(told(&line), "message retry, destination sss, status 503");
    }
}
