//! The event source mapping: whether it asks the queue for messages, and switching that.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::environment::Environment;
use crate::sdk;

/// Between two looks at the mapping. It does not tell by itself when it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the mapping may take to change its state; on AWS it is half a minute or so.
const SWITCH_PATIENCE: Duration = Duration::from_mins(5);

/// How the mapping is, in Lambda's words: `Enabled`, `Disabled`, or on its way there.
pub(crate) async fn state(environment: &Environment) -> anyhow::Result<String> {
    Mapping::find(environment).await?.state().await
}

/// Whether a mapping in this state asks the queue for messages, or is about to.
pub(crate) fn is_on(state: &str) -> bool {
    !matches!(state, "Disabled" | "Disabling")
}

/// The mapping between an environment's queue and its forwarder.
pub(crate) struct Mapping<'a> {
    environment: &'a Environment,
    pub(crate) uuid: String,
    pub(crate) queue_arn: String,
}

impl<'a> Mapping<'a> {
    /// Finds it by its queue.
    pub(crate) async fn find(environment: &'a Environment) -> anyhow::Result<Self> {
        let found = Self::find_any(environment).await?;
        found.with_context(|| format!("no event source mapping reads {}", environment.queue_url))
    }

    /// The same; an engine without a forwarder has none.
    pub(crate) async fn find_any(environment: &'a Environment) -> anyhow::Result<Option<Self>> {
        let queue_arn: String = environment.attribute(QueueAttributeName::QueueArn).await?;
        let listed = environment
            .lambda
            .list_event_source_mappings()
            .event_source_arn(&queue_arn)
            .send()
            .await
            .map_err(|error| sdk::failed("listing event source mappings", error))?;
        let mappings = listed.event_source_mappings.unwrap_or_default();
        let mapping = match mappings.as_slice() {
            [] => return Ok(None),
            [mapping] => mapping,
            _ => bail!("{} event source mappings read {queue_arn}; expected one", mappings.len()),
        };
        let uuid = mapping.uuid().context("the event source mapping has no id")?.to_owned();
        Ok(Some(Self { environment, uuid, queue_arn }))
    }

    /// Whether it asks the queue for messages, or is about to.
    pub(crate) async fn is_enabled(&self) -> anyhow::Result<bool> {
        Ok(is_on(&self.state().await?))
    }

    async fn state(&self) -> anyhow::Result<String> {
        let asked = self.environment.lambda.get_event_source_mapping().uuid(&self.uuid).send();
        let mapping = asked
            .await
            .map_err(|error| sdk::failed("asking for the event source mapping", error))?;
        Ok(mapping.state().unwrap_or_default().to_owned())
    }

    /// Enables or disables it, and waits until it is.
    pub(crate) async fn switch(&self, enabled: bool) -> anyhow::Result<()> {
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
