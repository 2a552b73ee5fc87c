//! Whether who is to be notified can be.

use std::path::PathBuf;

use engine::{Answered, PostError};

use crate::environment::read_config;
use crate::output::say;
use crate::{Exit, fail, runtime};

/// Send a notification, to see whether it arrives
///
/// To where `notify` of the configuration says, and a heartbeat, as the engine would. The secret that holds the URL is
/// looked for as this user, with this environment: run it as the engine runs, or as root.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  webhook-engine test-notification --config /etc/webhook-queue/config.json\n\nExit codes:\n  0  it was answered 2xx\n  1  it was not, within 10 s; the answer's status or the reason is on stderr\n  2  the configuration has a fault, names nobody, or its secret is missing"
)]
pub(crate) struct TestNotification {
    /// Configuration of the environment, such as /etc/webhook-queue/config.json
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl TestNotification {
    pub(crate) fn run(self) -> Result<(), Exit> {
        let config = read_config(&self.config)?;
        let environment = config.environment();
        let text =
            format!("{environment}: this is a test: here you are told of what needs a person");
        let (posted, beaten) = runtime()?.block_on(engine::notify(&config, &text));
        if posted.is_none() && beaten.is_none() {
            let file = self.config.display();
            let reason = format_args!("{file}: notify is missing: it says where notifications go");
            return Err(fail(Exit::Configuration, &reason));
        }
        let of_posts = posted.map_or(Ok(()), |answered| told(answered, ""));
        let of_heartbeat = beaten.map_or(Ok(()), |answered| told(answered, " (heartbeat)"));
        of_posts.and(of_heartbeat)
    }
}

fn told(answered: Answered, what: &str) -> Result<(), Exit> {
    match answered {
        Ok((status, origin)) => say(&format_args!("{origin} answered {status}{what}")),
        Err(error) => {
            let exit = match &error {
                PostError::Url { .. } => Exit::Configuration,
                _ => Exit::Failure,
            };
            Err(fail(exit, &format_args!("{error}{what}")))
        }
    }
}
