//! Whether a configuration would work, found out without an engine: what the forwarder says of it at its
//! start, and whether the secrets of this machine are there.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use domain::config::Config;
use domain::notification::{PostTo, PostUrl};
use domain::route::Route;
use domain::secret::{Secret, SecretReference};

use crate::clock::SystemClock;
use crate::deliveries::Deliveries;
use crate::engine::{QueueUrls, function_options};
use crate::error_text::in_full;
use crate::failure::Failures;
use crate::function::Function;
use crate::log::Log;
use crate::secrets;

/// Where systemd puts a unit's credentials, for that unit only.
/// Source: systemd documentation, "System and Service Credentials".
const CREDENTIALS: &str = "/run/credentials";

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Why it would not work; empty if it would. Never the value of a secret.
    pub faults: Vec<String>,
    /// How many secrets are there.
    pub secrets: usize,
    /// Secrets that are elsewhere: with AWS, or a unit's own.
    pub not_checked: Vec<SecretReference>,
}

/// Starts the forwarder as an engine with this configuration does and ends it again, and looks for the
/// secrets.
pub async fn check(config: &Config, forwarder: &Path) -> Findings {
    let mut findings = Findings::default();
    let references: BTreeSet<_> = config.routes().values().flat_map(Route::secrets).collect();
    for reference in references {
        match secret(reference) {
            None => findings.not_checked.push(reference.clone()),
            Some(Ok(_)) => findings.secrets += 1,
            Some(Err(error)) => findings.faults.push(format!("secret {reference}: {error}")),
        }
    }
    if let Some(notify) = config.notify() {
        for (setting, to) in
            [("notify.url", notify.to()), ("notify.heartbeat_url", notify.heartbeat())]
        {
            if let Some(PostTo::Secret(reference)) = to {
                url_there(&mut findings, setting, reference);
            }
        }
    }
    if let Err(error) = forwarder_starts(config, forwarder).await {
        findings.faults.push(format!("forwarder {}: {error}", forwarder.display()));
    }
    findings
}

async fn forwarder_starts(config: &Config, forwarder: &Path) -> Result<(), String> {
    // It makes its client for the queues at its start, and calls nobody.
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let urls = QueueUrls::at(api, config);
    let options = function_options(config, forwarder.to_owned(), (&urls, api, "none"), None)
        .map_err(|error| in_full(&error))?;
    let clock = Arc::new(SystemClock::new());
    let log = Log::new(clock.clone(), config.forwarder().log_level, Vec::new(), &Failures::new())
        .map_err(|error| error.to_string())?;
    let function = Function::new(options, clock, log, Arc::<Deliveries>::default());
    function.try_out().await.map_err(|error| error.to_string())
}

/// The secret, where it should be; `None` where this machine cannot tell.
fn secret(reference: &SecretReference) -> Option<io::Result<Secret>> {
    match reference {
        SecretReference::Parameter(_) | SecretReference::SecretsManager(_) => None,
        SecretReference::File(path)
            if Path::new(path).starts_with(CREDENTIALS)
                && std::env::var_os("CREDENTIALS_DIRECTORY").is_none() =>
        {
            None
        }
        SecretReference::Variable(_) | SecretReference::File(_) => Some(secrets::read(reference)),
    }
}

/// Whether what the reference of a setting refers to is a URL.
fn url_there(findings: &mut Findings, setting: &str, reference: &SecretReference) {
    let url = secret(reference).map(|secret| {
        let secret = secret.map_err(|error| error.to_string())?;
        PostUrl::of_secret(&secret)
    });
    match url {
        None => findings.not_checked.push(reference.clone()),
        Some(Ok(_)) => findings.secrets += 1,
        Some(Err(problem)) => findings.faults.push(format!("{setting}: {reference}: {problem}")),
    }
}
