//! What stands around the emulator: the ingest in front, as the emulator keeps the API's integrations
//! and does not carry them out, and the stand-in for the service behind.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, bail};
use url::Url;

use super::background::Background;
use super::terraform::Outputs;
use super::{Environment, emulator};
use crate::process;
use crate::workspace;

/// Where webhooks are accepted.
const INGEST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

const GATEWAY: Background = Background { name: "gateway" };
const STAND_IN: Background = Background { name: "stand-in" };

/// Builds what is started.
pub(crate) fn build() -> anyhow::Result<()> {
    process::build(&["engine", "sss-stub"])
}

/// Starts what does not run. The gateway is always started anew: it reads the deployed routes once.
pub(crate) fn start(environment: &Environment, outputs: &Outputs) -> anyhow::Result<()> {
    if STAND_IN.running().is_none() {
        let route = environment.config.routes().keys().next().context("there is no route")?;
        let address = address(&destination(environment, route)?)?;
        let mut command = process::command(workspace::program("sss-stub"));
        command.args(["--listen", &address.to_string()]);
        STAND_IN.start(&mut command, address)?;
    }
    GATEWAY.stop()?;
    let mut command = process::command(workspace::program("webhook-gateway"));
    command.args(["--emulator", &emulator::endpoint()?, "--api-id", &outputs.api_id]);
    command.args(["--listen", &INGEST.to_string()]);
    emulator::confine(&mut command, &emulator::endpoint()?);
    GATEWAY.start(&mut command, INGEST)
}

/// Stops all of it.
pub(crate) fn stop() -> anyhow::Result<()> {
    GATEWAY.stop()?;
    STAND_IN.stop()
}

/// Where to post, by the route's name.
pub(crate) fn ingest_urls(environment: &Environment) -> BTreeMap<String, String> {
    let routes = environment.config.routes().values();
    routes
        .map(|route| (route.name().to_owned(), format!("http://{INGEST}{}", route.path())))
        .collect()
}

/// The URL of the stand-in, which is where a route's first destination is.
pub(crate) fn stand_in(environment: &Environment, route: &str) -> anyhow::Result<String> {
    Ok(destination(environment, route)?.origin().ascii_serialization())
}

fn destination(environment: &Environment, route: &str) -> anyhow::Result<Url> {
    let route = environment.config.routes().get(route);
    let destination = route.and_then(|route| route.destinations().first());
    Ok(destination.context("the route has no destination")?.url().clone())
}

fn address(url: &Url) -> anyhow::Result<SocketAddr> {
    let addresses = url.socket_addrs(|| None).with_context(|| format!("looking up {url}"))?;
    match addresses.first() {
        Some(address) if address.ip().is_loopback() => Ok(*address),
        _ => bail!("the stand-in cannot listen where {url} is: it must be on this machine"),
    }
}
