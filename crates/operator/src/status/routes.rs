//! `status --routes`: what goes where, by the configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use commands::Status;
use domain::config::{Config, RetryFile, SchemeName};
use domain::route::{OnReject, Route};
use domain::test_event::{Chosen, Obstacle};
use serde::Serialize;
use terminal::table;

use crate::environment::{self, Host};
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
    /// With curl; `None` where it would come to nothing, or it is not known where to.
    command: Option<String>,
    /// Why it would come to nothing, if that is so.
    cannot: Option<Cannot>,
}

#[derive(Debug, Serialize)]
struct Cannot {
    #[serde(flatten)]
    obstacle: Obstacle,
    /// In words.
    text: String,
}

/// The ordering key of a test event, and its id.
const KEY: &str = "test-event";

pub(super) async fn run(given: &Status) -> anyhow::Result<ExitCode> {
    let environment = environment::find(&given.environment).await?;
    let config = environment::configuration(&given.environment, &environment)?;
    let host = match &environment.host {
        Host::Aws { .. } => "aws",
        Host::Engine { .. } => "engine",
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

fn shown(config: &Config, name: &str, route: &Route, ingest: Option<&str>) -> Shown {
    let file = &config.file().routes[name];
    let url = ingest.map(|ingest| format!("{ingest}{}", route.path()));
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
    let event = domain::test_event::TestEvent::new(route, KEY, KEY, Chosen::default());
    let cannot =
        event.obstacle(route).map(|obstacle| Cannot { text: obstacle.to_string(), obstacle });
    let quoted = |text: &str| shlex::try_quote(text).map(Cow::into_owned).unwrap_or_default();
    let command = url.filter(|_| cannot.is_none()).map(|url| {
        let headers = event.headers().iter();
        let headers: Vec<String> =
            headers.map(|(name, value)| format!(" -H '{name}: {value}'")).collect();
        format!("curl -i {url}{} -d {}", headers.concat(), quoted(event.body()))
    });
    TestEvent {
        headers: event.headers().iter().cloned().collect(),
        body: event.body().to_owned(),
        command,
        cannot,
    }
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
