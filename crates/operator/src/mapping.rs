//! `pause` and `resume`: the event source mapping, switched. Messages wait in the queue, in order.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use domain::quota;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::environment::{Environment, EnvironmentArgs};
use crate::sdk;

/// Between two looks at the mapping or the queue. Neither tells by itself when it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the mapping may take to change its state; on AWS it is half a minute or so.
const SWITCH_PATIENCE: Duration = Duration::from_mins(5);

/// Stop delivering: events are accepted, and wait in order
///
/// Ends once deliveries under way have ended. Use it around a release of your service.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask pause dev\n  cargo xtask pause local --json")]
pub(crate) struct Pause {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Go on delivering, and show how what has waited goes out
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask resume dev\n  cargo xtask resume dev --no-wait")]
pub(crate) struct Resume {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Do not wait until the queue is empty
    #[arg(long)]
    no_wait: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What waits in a queue, by SQS's approximate counts.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    visible: u64,
    in_flight: u64,
}

impl Waiting {
    fn total(self) -> u64 {
        self.visible + self.in_flight
    }
}

impl Pause {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mapping = Mapping::find(&environment).await?;
        let wait = spinner("waiting until deliveries under way have ended");
        mapping.switch(false).await?;
        // What is in flight is being delivered, or waits for its next attempt: its visibility
        // timeout does not tell which. After the longest run of a function it is the latter.
        let visibility_timeout_seconds: u32 =
            environment.attribute(QueueAttributeName::VisibilityTimeout).await?;
        let longest_run_seconds =
            visibility_timeout_seconds / quota::FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT;
        let deadline = Instant::now() + Duration::from_secs(u64::from(longest_run_seconds));
        let mut waiting = environment.waiting().await?;
        while waiting.in_flight > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            waiting = environment.waiting().await?;
        }
        wait.finish_and_clear();
        let retention_seconds: u64 =
            environment.attribute(QueueAttributeName::MessageRetentionPeriod).await?;
        if self.json {
            let paused = json!({
                "environment": environment.name, "state": "paused", "waiting": waiting.total(),
                "retention_seconds": retention_seconds,
            });
            println!("{paused}");
        } else {
            println!("paused: {} events wait; new ones are accepted and wait too", waiting.total());
            println!(
                "SQS keeps an event for {} from its acceptance; `cargo xtask resume {}` goes on",
                days(retention_seconds),
                environment.name
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Resume {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mapping = Mapping::find(&environment).await?;
        let wait = spinner("waiting until the mapping is enabled");
        mapping.switch(true).await?;
        wait.finish_and_clear();
        let mut waiting = environment.waiting().await?;
        if !self.json {
            println!("resumed: {} events wait", waiting.total());
        }
        let interrupted = !self.no_wait && !environment.drain(&mut waiting).await?;
        if self.json {
            let resumed = json!({
                "environment": environment.name, "state": "resumed", "waiting": waiting.total(),
            });
            println!("{resumed}");
        } else if interrupted {
            println!("delivery goes on; {} events still wait", waiting.total());
        } else if !self.no_wait {
            println!("the queue is empty");
        }
        Ok(if interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
    }
}

/// The mapping between an environment's queue and its forwarder.
struct Mapping<'a> {
    environment: &'a Environment,
    uuid: String,
}

/// How the mapping is, in Lambda's words: `Enabled`, `Disabled`, or on its way there.
pub(crate) async fn state(environment: &Environment) -> anyhow::Result<String> {
    Mapping::find(environment).await?.state().await
}

impl<'a> Mapping<'a> {
    async fn find(environment: &'a Environment) -> anyhow::Result<Self> {
        let queue_arn: String = environment.attribute(QueueAttributeName::QueueArn).await?;
        let listed = environment
            .lambda
            .list_event_source_mappings()
            .event_source_arn(&queue_arn)
            .send()
            .await
            .map_err(|error| sdk::failed("listing event source mappings", error))?;
        let mappings = listed.event_source_mappings.unwrap_or_default();
        let [mapping] = mappings.as_slice() else {
            bail!("{} event source mappings read {queue_arn}; expected one", mappings.len());
        };
        let uuid = mapping.uuid().context("the event source mapping has no id")?.to_owned();
        Ok(Self { environment, uuid })
    }

    async fn state(&self) -> anyhow::Result<String> {
        let mapping = self.environment.lambda.get_event_source_mapping().uuid(&self.uuid);
        let mapping = mapping
            .send()
            .await
            .map_err(|error| sdk::failed("asking for the event source mapping", error))?;
        Ok(mapping.state.unwrap_or_default())
    }

    /// Enables or disables it, and waits until it is.
    async fn switch(&self, enabled: bool) -> anyhow::Result<()> {
        let what = if enabled { "enabling" } else { "disabling" };
        let lambda = &self.environment.lambda;
        lambda
            .update_event_source_mapping()
            .uuid(&self.uuid)
            .enabled(enabled)
            .send()
            .await
            .map_err(|error| sdk::failed(&format!("{what} the event source mapping"), error))?;
        let wanted = if enabled { "Enabled" } else { "Disabled" };
        let deadline = Instant::now() + SWITCH_PATIENCE;
        loop {
            let state = self.state().await?;
            if state == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "the event source mapping is {state} and not {wanted} after {} s; it was told, \
                     so look again later",
                    SWITCH_PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Environment {
    /// Attributes of a queue.
    pub(crate) async fn attributes_of(
        &self,
        queue_url: &str,
        names: &[QueueAttributeName],
    ) -> anyhow::Result<HashMap<QueueAttributeName, String>> {
        let asked = self
            .client
            .get_queue_attributes()
            .queue_url(queue_url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| sdk::failed(&format!("looking at {queue_url}"), error))?;
        Ok(asked.attributes.unwrap_or_default())
    }

    async fn attributes(
        &self,
        names: &[QueueAttributeName],
    ) -> anyhow::Result<HashMap<QueueAttributeName, String>> {
        self.attributes_of(&self.queue_url, names).await
    }

    async fn attribute<T: std::str::FromStr>(&self, name: QueueAttributeName) -> anyhow::Result<T> {
        let attributes = self.attributes(std::slice::from_ref(&name)).await?;
        let value = attributes.get(&name).and_then(|value| value.parse().ok());
        value.with_context(|| format!("queue {} tells no {}", self.queue_url, name.as_str()))
    }

    async fn waiting(&self) -> anyhow::Result<Waiting> {
        let visible = QueueAttributeName::ApproximateNumberOfMessages;
        let in_flight = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let attributes = self.attributes(&[visible.clone(), in_flight.clone()]).await?;
        let count = |name: &QueueAttributeName| {
            let count = attributes.get(name).and_then(|value| value.parse().ok());
            count.with_context(|| format!("queue {} tells no {}", self.queue_url, name.as_str()))
        };
        Ok(Waiting { visible: count(&visible)?, in_flight: count(&in_flight)? })
    }

    /// Shows the queue getting empty. Gives `false` if a signal ended that before.
    async fn drain(&self, waiting: &mut Waiting) -> anyhow::Result<bool> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} delivered, {eta} left")
            .context("the progress bar's template")?;
        let mut most = waiting.total();
        let bar = ProgressBar::new(most).with_style(style);
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        while waiting.total() > 0 {
            tokio::select! {
                _interrupted = interrupt.as_mut() => {
                    bar.finish_and_clear();
                    return Ok(false);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            *waiting = self.waiting().await?;
            most = most.max(waiting.total());
            bar.set_length(most);
            bar.set_position(most - waiting.total());
        }
        bar.finish_and_clear();
        Ok(true)
    }
}

fn spinner(text: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A retention period for people.
fn days(seconds: u64) -> String {
    match seconds {
        86_400.. if seconds.is_multiple_of(86_400) => format!("{} days", seconds / 86_400),
        3_600.. => format!("{} hours", seconds / 3_600),
        _ => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_told_in_days_or_less() {
        assert_eq!([1_209_600, 90_000, 300].map(days), ["14 days", "25 hours", "5 minutes"]);
    }
}
