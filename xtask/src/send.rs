//! `cargo xtask send`

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use domain::route::Route;
use serde_json::json;
use terminal::exit::Failure;

use crate::aws::ask::confirm;
use crate::http::Client;
use crate::{aws, engine, workspace};

/// Post webhooks to an environment, as the SaaS would
///
/// Without --body, each event is a JSON object with its key and a running number. The header that the
/// route orders by is set to the key, unless --header sets it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask send local\n  cargo xtask send local --count 10 --keys 3\n  cargo xtask send local --body event.json --header 'x-workflow-id: order-7'\n  echo '{}' | cargo xtask send local --body -\n  cargo xtask send dev --count 4 --keys 2"
)]
pub(crate) struct Send {
    /// Environment, such as `local`
    #[arg(value_name = "ENV")]
    environment: String,

    /// Route to post to [default: the only one]
    #[arg(long)]
    route: Option<String>,

    /// File with the body, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,

    /// Header to send; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,

    /// How many events to send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// How many ordering keys they are spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,

    /// Address of the API, with or without the route's path [default: the engine's on this machine, or
    /// the deployed one]
    #[arg(long)]
    url: Option<url::Url>,

    /// Where the engine on this machine keeps its data [default: .webhook-queue/ENV]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Send it, also where the engine on this machine delivers to another one
    #[arg(long)]
    yes: bool,

    /// Print a JSON object per event
    #[arg(long)]
    json: bool,
}

impl Send {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = workspace::config(&self.environment)?.config;
        let route = match &self.route {
            Some(name) => config.routes().get(name),
            None if config.routes().len() == 1 => config.routes().values().next(),
            None => None,
        };
        let Some(route) = route else {
            let names: Vec<&str> = config.routes().keys().map(String::as_str).collect();
            let error = anyhow!("choose a route with --route: {}", names.join(", "));
            return Err(Failure::Usage.of(error));
        };
        if route.path().parameters().next().is_some() {
            let error = anyhow!("the path {} has parameters; post to it with curl", route.path());
            return Err(Failure::Usage.of(error));
        }
        let address = self.address(route)?;
        let body = self.body.as_ref().map(read).transpose()?;
        self.post_all(route, &address, body.as_deref())
    }

    /// Where the route takes webhooks: on the engine if one runs here, else where it was deployed.
    fn address(&self, route: &Route) -> anyhow::Result<String> {
        if let Some(url) = &self.url {
            return Ok(at(url, &route.path().to_string()));
        }
        let default = || workspace::data_dir(&self.environment);
        let data_dir = self.data_dir.clone().unwrap_or_else(default);
        match engine::running(&data_dir) {
            Ok(engine) => {
                self.confirm(&engine.destinations(route.name())?)?;
                Ok(format!("http://{}{}", engine.ingest, route.path()))
            }
            Err(error) if self.data_dir.is_some() => Err(error),
            Err(error) if self.environment == aws::LOCAL && !aws::emulator::is_running() => {
                Err(error)
            }
            Err(_no_engine) => aws::ingest_url(&self.environment, route.name()),
        }
    }

    /// Says who will get what is sent, and asks if that is beyond this machine.
    fn confirm(&self, destinations: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let named: Vec<String> =
            destinations.iter().map(|(name, origin)| format!("{origin} ({name})")).collect();
        let named = named.join(", ");
        let is_here = |origin: &String| origin.parse().is_ok_and(|url| engine::is_loopback(&url));
        if destinations.values().all(is_here) {
            eprintln!("to be delivered to {named}");
            return Ok(());
        }
        let events = self.count;
        confirm(
            &format!("This engine delivers to {named}; it would get {events} events of yours."),
            self.yes,
        )
    }

    fn post_all(&self, route: &Route, url: &str, body: Option<&str>) -> anyhow::Result<ExitCode> {
        let client = Client::new();
        let mut refused = 0_u32;
        for number in 1..=self.count {
            let key = format!("key-{}", (number - 1) % self.keys + 1);
            let generated = json!({ "key": key, "number": number }).to_string();
            let body = body.unwrap_or(&generated);
            let answer = client.post(url, &self.headers_for(route, &key), body)?;
            if answer.status != 200 {
                refused += 1;
            }
            if self.json {
                let line = json!({ "event_id": answer.request_id, "status": answer.status });
                println!("{line}");
            } else if answer.status == 200 {
                println!("accepted {} {key}", answer.request_id.as_deref().unwrap_or("-"));
            } else {
                eprintln!("error: refused with {}: {}", answer.status, answer.body.trim());
            }
        }
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The headers given, and those that the route needs and were not.
    fn headers_for(&self, route: &Route, key: &str) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        let carried = route.carried_headers();
        let needed = route.ordering_key().headers().chain(carried).chain(["content-type"]);
        for name in needed {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                let value = if name == "content-type" { "application/json" } else { key };
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        headers
    }
}

/// Where a route is at `url`, which may be the API's address or the route's own.
fn at(url: &url::Url, path: &str) -> String {
    let address = url.as_str().trim_end_matches('/');
    if address.ends_with(path) { address.to_owned() } else { format!("{address}{path}") }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
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
            assert_eq!(at(&url.parse().unwrap(), "/sqs-hook"), "https://api.example.com/sqs-hook");
        }
        let stage = "https://api.example.com/stage".parse().unwrap();
        assert_eq!(at(&stage, "/sqs-hook"), "https://api.example.com/stage/sqs-hook");
    }
}
