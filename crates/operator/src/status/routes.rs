//! `status --routes`: what goes where, by the configuration.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use commands::Status;
use domain::config::{Config, RetryFile, SchemeName};
use domain::route::{OnReject, Route};
use serde::Serialize;
use serde_json::json;
use terminal::exit::Failure;
use terminal::table;

use crate::environment::{self, Environment, Host};
use crate::people::{self, printable, span};

/// The JSON of `status --routes --json`.
#[derive(Debug, Serialize)]
struct Told {
    environment: String,
    /// `engine` or `aws`.
    host: &'static str,
    /// Whether people depend on it.
    production: bool,
    routes: Vec<Shown>,
    /// What could not be told, and why.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    route: String,
    /// The first is today's.
    paths: Vec<String>,
    /// Where it takes webhooks, as far as that is known here.
    url: Option<String>,
    ordering_key: String,
    deduplication: String,
    /// How the provider signs, if he does.
    verify: Option<SchemeName>,
    destinations: Vec<Destination>,
    retry: RetryFile,
    give_up_after_seconds: u64,
    on_reject: OnReject,
    test_event: TestEvent,
}

#[derive(Debug, Serialize)]
struct Destination {
    #[serde(rename = "destination")]
    name: String,
    /// Scheme, host and port: the rest of a URL may hold a token.
    origin: String,
    timeout_seconds: u64,
    /// Whether requests are signed.
    signed: bool,
}

/// A request that tries a route.
#[derive(Debug, Serialize)]
struct TestEvent {
    headers: BTreeMap<String, String>,
    body: String,
    /// With curl; `None` where it would be refused, as nobody here can sign, or it is not known where to.
    command: Option<String>,
}

/// The ordering key of a test event.
const KEY: &str = "test-event";

pub(super) async fn run(given: &Status) -> anyhow::Result<ExitCode> {
    let environment = environment::find(&given.environment).await?;
    let (config, host) = match &environment.host {
        Host::Aws { deployment, .. } => (deployment.config.clone(), "aws"),
        Host::Engine { .. } => (of_engine(given, &environment)?, "engine"),
    };
    let ingest = environment.ingest();
    let mut unknown = Vec::new();
    if ingest.is_none() {
        let why = if host == "aws" {
            "`terraform output ingest_urls` tells, and what `deploy` prints"
        } else {
            "where it takes webhooks stands in engine.json of its data directory: --data-dir names it"
        };
        unknown.push(format!("url ({why})"));
    }
    let routes = config.routes().iter();
    let routes = routes.map(|(name, route)| shown(&config, name, route, ingest.as_deref()));
    let told = Told {
        environment: environment.name,
        host,
        production: config.is_production(),
        routes: routes.collect(),
        unknown,
    };
    if given.output.json() {
        println!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        print!("{}", text(&told, given));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the engine was configured with, if that can be read here.
fn of_engine(given: &Status, environment: &Environment) -> anyhow::Result<Config> {
    let file = environment::config_file(&given.environment, Some(environment));
    let file = file.with_context(|| {
        let so =
            anyhow!("the configuration of an engine elsewhere is not known: name it with --config");
        Failure::Usage.of(so)
    })?;
    let config = environment::deployment(&file)?.config;
    anyhow::ensure!(
        config.environment() == environment.name,
        "{} is of environment {}, and not of {}",
        file.display(),
        config.environment(),
        environment.name
    );
    Ok(config)
}

fn shown(config: &Config, name: &str, route: &Route, ingest: Option<&str>) -> Shown {
    let file = &config.file().routes[name];
    let url = ingest.map(|address| format!("http://{address}{}", route.path()));
    let destination = |it: &domain::route::Destination| Destination {
        name: it.name().to_owned(),
        origin: it.url().origin().ascii_serialization(),
        timeout_seconds: it.timeout().as_secs(),
        signed: it.sign().is_some(),
    };
    Shown {
        route: name.to_owned(),
        paths: route.paths().map(ToString::to_string).collect(),
        ordering_key: file.ordering_key.clone(),
        deduplication: file.deduplication.clone(),
        verify: file.verify.as_ref().map(|verify| verify.scheme),
        destinations: route.destinations().iter().map(destination).collect(),
        retry: file.retry.clone(),
        give_up_after_seconds: route.give_up_after().as_secs(),
        on_reject: file.on_reject,
        test_event: test_event(route, url.as_deref()),
        url,
    }
}

fn test_event(route: &Route, url: Option<&str>) -> TestEvent {
    let needed = route.ordering_key().headers().chain(route.carried_headers());
    let mut headers: BTreeMap<String, String> =
        needed.map(|name| (name.to_owned(), KEY.to_owned())).collect();
    headers.insert("content-type".to_owned(), "application/json".to_owned());
    let body = json!({ "test_event": true, "key": KEY }).to_string();
    let is_whole = route.verify().is_none() && route.path().parameters().next().is_none();
    let command = url.filter(|_| is_whole).map(|url| {
        let options: Vec<String> =
            headers.iter().map(|(name, value)| format!(" -H '{name}: {value}'")).collect();
        format!("curl -i {url}{} -d '{body}'", options.concat())
    });
    TestEvent { headers, body, command }
}

fn text(told: &Told, given: &Status) -> String {
    let production = if told.production { " (PRODUCTION)" } else { "" };
    let rows = told.routes.iter().flat_map(|it| {
        it.destinations.iter().map(move |to| {
            let seconds = |seconds| span(Duration::from_secs(seconds));
            let RetryFile { initial_delay_seconds, max_delay_seconds } = it.retry;
            [
                printable(&it.route),
                printable(it.url.as_ref().unwrap_or(&it.paths[0])),
                it.verify.map_or_else(|| "-".to_owned(), |scheme| name_of(&scheme)),
                format!("{} ({})", printable(&to.origin), printable(&to.name)),
                format!(
                    "{} to {}",
                    seconds(initial_delay_seconds.into()),
                    seconds(max_delay_seconds.into())
                ),
                seconds(it.give_up_after_seconds),
                name_of(&it.on_reject),
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    let headings =
        ["ROUTE", "WEBHOOKS TO", "SCHEME", "DELIVERED TO", "RETRIES", "GIVEN UP", "REJECTED"];
    let table = table::render(headings, &rows, people::width(given.output));
    let tried = told.routes.iter().filter_map(|it| it.test_event.command.as_ref());
    let tried: Vec<String> = tried.map(|command| format!("{}\n", printable(command))).collect();
    let unknown = told.unknown.iter().map(|it| format!("unknown: {}\n", printable(it)));
    let unknown: Vec<String> = unknown.collect();
    let to_try = if tried.is_empty() { "" } else { "\nto try it:\n" };
    format!(
        "{}{production}\n{table}{}{to_try}{}",
        told.environment,
        unknown.concat(),
        tried.concat()
    )
}

/// As the configuration writes it.
fn name_of(it: &impl Serialize) -> String {
    serde_json::to_value(it).ok().and_then(|it| Some(it.as_str()?.to_owned())).unwrap_or_default()
}
