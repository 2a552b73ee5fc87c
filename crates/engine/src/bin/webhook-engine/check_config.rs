//! Whether a configuration would work, before an engine is started with it.

use crate::environment::Environment;
use crate::output::say;
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
        let mut lines =
            vec![format!("{}: ok, environment {}", self.environment.file(), config.environment())];
        for (name, route) in config.routes() {
            let destinations: Vec<String> = route
                .destinations()
                .iter()
                .map(|it| format!("{} {}", it.name(), it.url().origin().ascii_serialization()))
                .collect();
            let destinations = destinations.join(", ");
            lines.push(format!("  route {name}: {} to {destinations}", route.route_key()));
        }
        lines.push("  the forwarder starts".to_owned());
        let notify = config.notify();
        lines.push(match notify.and_then(|notify| notify.to()) {
            Some(to) => format!("  notifications go to {to}"),
            None => "  nobody is notified".to_owned(),
        });
        let heartbeat = notify.and_then(|notify| notify.heartbeat());
        lines.extend(heartbeat.map(|to| format!("  heartbeats go to {to}")));
        lines.push(format!("  secrets that are there: {}", findings.secrets));
        lines.extend(findings.not_checked.iter().map(|it| format!("  not checked: {it}")));
        say(&lines.join("\n"))
    }
}
