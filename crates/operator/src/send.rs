//! `send`: events are posted to a route, as its provider would post them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use commands::Send;
use domain::config::Config;
use domain::route::Route;
use domain::test_event::{Chosen, TestEvent};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use terminal::exit::Failure;
use tokio::sync::oneshot;
use url::{Host as UrlHost, Url};

use crate::audit::Ending;
use crate::environment::{self, Environment, Host};
use crate::interrupt::{self, unless_interrupted};
use crate::people::{count, printable, printable_lines};
use crate::{ask, progress};

/// How long an answer may take: API Gateway's own limit is below.
const PATIENCE: Duration = Duration::from_secs(70);

/// By which API Gateway and the engine name a request.
const REQUEST_ID_HEADER: &str = "apigw-requestid";

/// Event ids that the audit log names, at most.
const NAMED_MAX: usize = 100;

/// Where a route takes webhooks, and who gets them.
struct Target {
    environment: String,
    is_production: bool,
    /// The route's own address.
    url: String,
    /// Scheme, host and port by destination.
    destinations: BTreeMap<String, String>,
}

/// What the API answered.
struct Answer {
    status: u16,
    request_id: Option<String>,
    body: String,
}

pub(crate) async fn run(given: Send) -> anyhow::Result<ExitCode> {
    let (found, config) = whereabouts(&given).await?;
    let route = chosen(&config, given.route.as_deref())?;
    let body = given.body.as_deref().map(read).transpose()?;
    let target = target(&given, found.as_ref(), &config, route).await?;
    // Nobody else's event has it.
    let began_ms = Timestamp::from(SystemTime::now()).as_ms();
    let event = |number: u32| {
        let key = format!("key-{}", (number - 1) % given.keys + 1);
        let unique = format!("test-{began_ms}-{number}");
        let chosen = Chosen { headers: given.headers.clone(), body: body.clone() };
        (TestEvent::new(route, &key, &unique, chosen), key)
    };
    let (first, _key) = event(1);
    if let Some(obstacle) = first.obstacle(route) {
        let name = printable(route.name());
        return Err(Failure::Usage.of(anyhow!("nothing was sent to route {name}: {obstacle}")));
    }
    if given.dry_run {
        show(&given, &target, route, &first);
        return Ok(ExitCode::SUCCESS);
    }
    confirm(&given, &target).await?;
    let what = json!({ "route": route.name(), "events": given.count });
    let _guard = interrupt::guard();
    let action = match &found {
        None => None,
        Some(environment) => {
            let audit = environment.audit();
            Some(audit.begin("send", given.why.as_deref(), what.clone(), given.audit).await?)
        }
    };
    let mut sent = Sent::default();
    let done = post_all(&given, &target.url, route, event, &mut sent).await;
    let mut what = what;
    what["accepted"] = json!(sent.accepted);
    what["refused"] = json!(sent.refused);
    what["event_ids"] = json!(sent.named);
    match (action, done) {
        (Some(action), Err(error)) => action.end(what, Err(error)).await?,
        (None, Err(error)) => return Err(error),
        (Some(action), Ok(())) => {
            let ending = if sent.refused == 0 { Ending::Done } else { Ending::Failed };
            action.end_as(ending, what).await?;
        }
        (None, Ok(())) => {}
    }
    Ok(if sent.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The environment, unless its address was typed in its place, and its configuration.
async fn whereabouts(given: &Send) -> anyhow::Result<(Option<Environment>, Config)> {
    let args = &given.environment;
    if given.url.is_some() && args.data_dir.is_none() && args.api.is_none() {
        let file = environment::config_file(args, None).context("no environment was named")?;
        return Ok((None, environment::deployment(&file)?.config));
    }
    let found = environment::connect(args).await?;
    let config = environment::configuration(args, &found)?;
    Ok((Some(found), config))
}

fn chosen<'c>(config: &'c Config, named: Option<&str>) -> anyhow::Result<&'c Route> {
    let routes = config.routes();
    let only = || routes.values().next().filter(|_| routes.len() == 1);
    let route = named.map_or_else(only, |name| routes.get(name));
    route.ok_or_else(|| {
        let known: Vec<String> = routes.keys().map(|name| printable(name)).collect();
        Failure::Usage.of(anyhow!("choose a route with --route: {}", known.join(", ")))
    })
}

async fn target(
    given: &Send,
    found: Option<&Environment>,
    config: &Config,
    route: &Route,
) -> anyhow::Result<Target> {
    let path = route.path().to_string();
    let url = match (&given.url, found.and_then(Environment::ingest)) {
        (Some(url), _) => at(url.as_str(), &path),
        (None, Some(ingest)) => at(&ingest, &path),
        (None, None) => {
            let so = anyhow!(
                "where {} takes webhooks is not known here: name it with --url",
                printable(config.environment())
            );
            return Err(Failure::Usage.of(so));
        }
    };
    let destinations = if let Some(Host::Engine { api, .. }) = found.map(|it| &it.host) {
        // As it runs, maybe with --target.
        let mut status: Status = api.get("/_engine/status").await?;
        status.origins.remove(route.name()).unwrap_or_default()
    } else {
        let origin = |url: &Url| url.origin().ascii_serialization();
        let all = route.destinations().iter();
        all.map(|to| (to.name().to_owned(), origin(to.url()))).collect()
    };
    let (environment, is_production) = (config.environment().to_owned(), config.is_production());
    Ok(Target { environment, is_production, url, destinations })
}

/// `/_engine/status`, as far as it says where deliveries go.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    origins: BTreeMap<String, BTreeMap<String, String>>,
}

impl Target {
    /// Who gets what is sent.
    fn receivers(&self) -> String {
        let named: Vec<String> = self
            .destinations
            .iter()
            .map(|(name, origin)| format!("{} ({})", printable(origin), printable(name)))
            .collect();
        named.join(", ")
    }

    /// Whether all of them are this machine.
    fn is_here(&self) -> bool {
        self.destinations.values().all(|origin| origin.parse().is_ok_and(|url| is_loopback(&url)))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(UrlHost::Ipv4(address)) => address.is_loopback(),
        Some(UrlHost::Ipv6(address)) => address.is_loopback(),
        Some(UrlHost::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Says who will get what is sent, and asks if that is beyond this machine.
async fn confirm(given: &Send, target: &Target) -> anyhow::Result<()> {
    let receivers = target.receivers();
    if target.is_here() && !target.is_production {
        eprintln!("to be delivered to {receivers}");
        return Ok(());
    }
    let environment = printable(&target.environment);
    let production = if target.is_production { ", which is PRODUCTION," } else { "" };
    let events = count(given.count.into(), "event");
    let so = format!(
        "{environment}{production} delivers to {receivers}; it would get {events} of yours"
    );
    ask::can_confirm(given.yes).with_context(|| so.clone())?;
    ask::confirm(&format!("{so}. Send?"), given.yes).await
}

/// What would be sent.
fn show(given: &Send, target: &Target, route: &Route, event: &TestEvent) {
    if given.json {
        let headers: serde_json::Map<String, Value> = event
            .headers()
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let plan = json!({
            "environment": target.environment, "production": target.is_production,
            "route": route.name(), "url": target.url, "events": given.count,
            "destinations": target.destinations, "headers": headers, "body": event.body(),
        });
        println!("{plan:#}");
        return;
    }
    println!("POST {}", printable(&target.url));
    for (name, value) in event.headers() {
        println!("{}: {}", printable(name), printable(value));
    }
    println!("\n{}\n", printable_lines(event.body()));
    println!("would be delivered to {}", target.receivers());
    let production = if target.is_production { " (PRODUCTION)" } else { "" };
    println!(
        "would send {} to {}{production}; nothing was sent",
        count(given.count.into(), "event"),
        printable(&target.environment)
    );
}

/// What came of it so far.
#[derive(Default)]
struct Sent {
    accepted: u32,
    refused: u32,
    named: Vec<String>,
}

async fn post_all(
    given: &Send,
    url: &str,
    route: &Route,
    event: impl Fn(u32) -> (TestEvent, String),
    sent: &mut Sent,
) -> anyhow::Result<()> {
    let _asked = progress::waiting_for(printable(url));
    let config = ureq::Agent::config_builder();
    let config = config.http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let agent = ureq::Agent::from(config);
    for number in 1..=given.count {
        let (event, key) = event(number);
        let answer = unless_interrupted(post(&agent, url, &event)).await?;
        let is_accepted = answer.status == 200;
        let id = answer.request_id.as_deref().filter(|_| is_accepted);
        let event_id = id.and_then(|id| event.event_id(route, id).ok());
        if is_accepted {
            sent.accepted += 1;
            sent.named.extend(event_id.clone().filter(|_| sent.named.len() < NAMED_MAX));
        } else {
            sent.refused += 1;
        }
        if given.json {
            println!("{}", json!({ "event_id": event_id, "status": answer.status }));
        } else if is_accepted {
            println!("accepted {} {key}", printable(event_id.as_deref().unwrap_or("-")));
        } else {
            eprintln!("error: refused with {}: {}", answer.status, printable(answer.body.trim()));
        }
    }
    Ok(())
}

/// Posts an event, on a thread that nobody waits for once there was a signal.
async fn post(agent: &ureq::Agent, url: &str, event: &TestEvent) -> anyhow::Result<Answer> {
    let mut request = agent.post(url);
    for (name, value) in event.headers() {
        request = request.header(name, value);
    }
    let body = event.body().to_owned();
    let (sender, answered) = oneshot::channel();
    std::thread::spawn(move || {
        let answer = request.send(body).and_then(|mut response| {
            let header = response.headers().get(REQUEST_ID_HEADER);
            let request_id = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
            let status = response.status().as_u16();
            Ok(Answer { status, request_id, body: response.body_mut().read_to_string()? })
        });
        let _unheard = sender.send(answer);
    });
    let asking = || format!("asking {}", printable(url));
    answered.await.with_context(asking)?.with_context(asking)
}

/// Where a route is at `url`, which may be the API's address or the route's own.
fn at(url: &str, path: &str) -> String {
    let address = url.trim_end_matches('/');
    if address.ends_with(path) { address.to_owned() } else { format!("{address}{path}") }
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_not_appended_twice() {
        for url in [
            "https://api.example.com",
            "https://api.example.com/",
            "https://api.example.com/sqs-hook",
        ] {
            assert_eq!(at(url, "/sqs-hook"), "https://api.example.com/sqs-hook");
        }
        let stage = "https://api.example.com/stage";
        assert_eq!(at(stage, "/sqs-hook"), "https://api.example.com/stage/sqs-hook");
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let is_here = |origins: &[&str]| {
            let destinations = origins.iter().map(|it| ((*it).to_owned(), (*it).to_owned()));
            let (environment, url) = (String::new(), String::new());
            let destinations = destinations.collect();
            Target { environment, is_production: false, url, destinations }.is_here()
        };
        assert!(is_here(&["http://127.0.0.1:9010", "http://localhost", "http://[::1]:80"]));
        for other in ["https://sss.example.com", "http://10.0.0.1", "http://localhost.example.com"]
        {
            assert!(!is_here(&["http://127.0.0.1:9010", other]), "{other}");
        }
    }
}
