//! Whether a configuration would work, found out without an engine: what the forwarder says of it at its
//! start, and whether the secrets of this machine are there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use domain::config::Config;
use domain::route::Route;
use domain::secret::{SECRET_BYTES_MAX, Secret, SecretReference};

use crate::clock::SystemClock;
use crate::deliveries::Deliveries;
use crate::engine::{QueueUrls, function_options};
use crate::error_text::in_full;
use crate::failure::Failures;
use crate::function::Function;
use crate::log::Log;

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
        match is_there(reference) {
            None => findings.not_checked.push(reference.clone()),
            Some(Ok(())) => findings.secrets += 1,
            Some(Err(error)) => findings.faults.push(format!("secret {reference}: {error}")),
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

/// Whether a secret is where it should be; `None` where this machine cannot tell.
fn is_there(reference: &SecretReference) -> Option<io::Result<()>> {
    match reference {
        SecretReference::Parameter(_) | SecretReference::SecretsManager(_) => None,
        SecretReference::Variable(name) => {
            Some(match std::env::var(name).map(|value| value.is_empty()) {
                Ok(false) => Ok(()),
                Ok(true) => Err(io::Error::other("the variable is empty")),
                Err(error) => Err(io::Error::other(error)),
            })
        }
        SecretReference::File(path) => {
            let is_of_a_unit = Path::new(path).starts_with(CREDENTIALS)
                && std::env::var_os("CREDENTIALS_DIRECTORY").is_none();
            (!is_of_a_unit).then(|| is_secret(Path::new(path)))
        }
    }
}

/// Whether a file holds a secret, as the forwarder reads it.
fn is_secret(path: &Path) -> io::Result<()> {
    // Anything else, such as a pipe, may keep us waiting.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("the file is larger than {SECRET_BYTES_MAX} bytes")));
    }
    Secret::new(&bytes).map(drop).map_err(io::Error::other)
}
