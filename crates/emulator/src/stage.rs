//! What stands around the emulator: the ingest in front, as the emulator keeps the API's integrations
//! and does not carry them out, and the stand-in for the service behind.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use domain::config::Config;
use url::Url;

use crate::Error;
use crate::background::Background;
use crate::ministack::confine;

/// Where webhooks are accepted.
const INGEST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The ingest and the stand-in, running or not.
#[derive(Debug)]
pub struct Stage {
    gateway: Background,
    stand_in: Background,
    /// Where `webhook-gateway` and `sss-stub` are.
    programs: PathBuf,
}

impl Stage {
    /// The stage whose files are in `dir`, of `programs`, a folder.
    #[must_use]
    pub fn new(dir: PathBuf, programs: PathBuf) -> Self {
        Self {
            gateway: Background { name: "gateway", dir: dir.clone() },
            stand_in: Background { name: "stand-in", dir },
            programs,
        }
    }

    /// Starts what does not run, in front of the API `api_id` of the emulator at `endpoint`. The
    /// gateway is always started anew: it reads the deployed routes once.
    ///
    /// # Errors
    ///
    /// When one of the two does not start, or the destination is not on this machine.
    pub fn start(&self, config: &Config, endpoint: &str, api_id: &str) -> Result<(), Error> {
        if self.stand_in.running().is_none() {
            let none = || Error::Destination("there is no route".to_owned());
            let route = config.routes().keys().next().ok_or_else(none)?;
            let address = address(&destination(config, route)?)?;
            let mut command = Command::new(self.programs.join("sss-stub"));
            command.args(["--listen", &address.to_string()]);
            self.stand_in.start(&mut command, address)?;
        }
        self.gateway.stop()?;
        let mut command = Command::new(self.programs.join("webhook-gateway"));
        command.args(["--emulator", endpoint, "--api-id", api_id]);
        command.args(["--listen", &INGEST.to_string()]);
        confine(&mut command, endpoint);
        self.gateway.start(&mut command, INGEST)
    }

    /// Stops all of it.
    ///
    /// # Errors
    ///
    /// When the file of a process cannot be deleted.
    pub fn stop(&self) -> Result<(), Error> {
        self.gateway.stop()?;
        self.stand_in.stop()
    }
}

/// Where webhooks are accepted, without a route's path.
#[must_use]
pub fn ingest() -> String {
    format!("http://{INGEST}")
}

/// Where to post, by the route's name.
#[must_use]
pub fn ingest_urls(config: &Config) -> BTreeMap<String, String> {
    let routes = config.routes().values();
    routes.map(|route| (route.name().to_owned(), format!("{}{}", ingest(), route.path()))).collect()
}

/// The URL of the stand-in, which is where a route's first destination is.
///
/// # Errors
///
/// When there is no such route.
pub fn stand_in(config: &Config, route: &str) -> Result<String, Error> {
    Ok(destination(config, route)?.origin().ascii_serialization())
}

fn destination(config: &Config, route: &str) -> Result<Url, Error> {
    let destination = config.routes().get(route).and_then(|route| route.destinations().first());
    let none = || Error::Destination(format!("route {route} has no destination"));
    Ok(destination.ok_or_else(none)?.url().clone())
}

fn address(url: &Url) -> Result<SocketAddr, Error> {
    let addresses = url.socket_addrs(|| None).map_err(crate::io(format!("looking up {url}")))?;
    match addresses.first() {
        Some(address) if address.ip().is_loopback() => Ok(*address),
        _ => Err(Error::Destination(format!(
            "the stand-in cannot listen where {url} is: it must be on this machine"
        ))),
    }
}
