//! Whether a configuration would work, before an engine is started with it.

use crate::environment::Environment;
use crate::{Exit, runtime};

/// Say whether an engine would start with a configuration, and its forwarder too
///
/// Reads the configuration as a start does, starts the forwarder with it and ends it again, and looks
/// whether the secrets of this machine are there. Nothing is delivered, and a running engine does not
/// notice. Secrets are looked for as this user, with this environment: run it as the engine runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  webhook-engine check-config --config /etc/webhook-queue/config.json --forwarder /usr/local/bin/forwarder\n\nExit codes:\n  0  an engine would start\n  2  it would not, or a secret is missing; every reason is on stderr"
)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    environment: Environment,
}

impl CheckConfig {
    pub(crate) fn run(self) -> Result<(), Exit> {
        let config = self.environment.config()?;
        let findings = runtime()?.block_on(engine::check(&config, &self.environment.forwarder));
        if !findings.faults.is_empty() {
            return Err(self.environment.cannot_be_used(&findings.faults));
        }
        println!("{}: ok, environment {}", self.environment.file(), config.environment());
        for (name, route) in config.routes() {
            let destinations: Vec<String> = route
                .destinations()
                .iter()
                .map(|it| format!("{} {}", it.name(), it.url().origin().ascii_serialization()))
                .collect();
            println!("  route {name}: {} to {}", route.route_key(), destinations.join(", "));
        }
        println!("  the forwarder starts");
        match config.notify() {
            Some(notify) => println!("  notifications go to {}", notify.to()),
            None => println!("  nobody is notified"),
        }
        println!("  secrets that are there: {}", findings.secrets);
        for reference in findings.not_checked {
            println!("  not checked: {reference}");
        }
        Ok(())
    }
}
