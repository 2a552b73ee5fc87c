//! The event source mapping: whether it asks the queue for messages, and switching that.
//!
//! Lambda takes no change of a mapping while an earlier one is under way, `ResourceInUseException`: so
//! each change waits until the mapping has settled, and so does whoever changes it next. Source: Lambda
//! API reference, `UpdateEventSourceMapping`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::update_event_source_mapping::UpdateEventSourceMappingError;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::time::{Instant, sleep};

use crate::environment::Environment;
use crate::{progress, sdk};

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
        state_of(&self.environment.lambda, &self.uuid).await
    }

    /// Enables or disables it, and waits until it is; before that, until an earlier change has ended.
    pub(crate) async fn switch(&self, enabled: bool) -> anyhow::Result<()> {
        let what = if enabled { "enabling" } else { "disabling" };
        let lambda = &self.environment.lambda;
        let state = || state_of(lambda, &self.uuid);
        let update = async || {
            let update = lambda.update_event_source_mapping().uuid(&self.uuid).enabled(enabled);
            match update.send().await {
                Ok(_updated) => Ok(true),
                Err(error)
                    if error.as_service_error().is_some_and(
                        UpdateEventSourceMappingError::is_resource_in_use_exception,
                    ) =>
                {
                    Ok(false)
                }
                Err(error) => Err(sdk::failed(&format!("{what} the event source mapping"), error)),
            }
        };
        change(state, update).await?;
        self.reach(enabled).await
    }

    /// Waits until it is enabled, or disabled, by whoever has told it to be.
    pub(crate) async fn reach(&self, enabled: bool) -> anyhow::Result<()> {
        let wanted = if enabled { "Enabled" } else { "Disabled" };
        let _shown = progress::spinner(format!("the event source mapping to be {wanted}"));
        let state = || state_of(&self.environment.lambda, &self.uuid);
        let state = until(state, |state| state == wanted).await?;
        if state != wanted {
            bail!(
                "the event source mapping is {state} and not {wanted} after {} s; it was told, so look \
                 again later",
                SWITCH_PATIENCE.as_secs()
            );
        }
        Ok(())
    }
}

/// Waits until no change of the mapping `uuid` is under way.
pub(crate) async fn settle(lambda: &Client, uuid: &str) -> anyhow::Result<()> {
    change(|| state_of(lambda, uuid), async || Ok(true)).await
}

async fn state_of(lambda: &Client, uuid: &str) -> anyhow::Result<String> {
    let mapping = lambda
        .get_event_source_mapping()
        .uuid(uuid)
        .send()
        .await
        .map_err(|error| sdk::failed("asking for the event source mapping", error))?;
    Ok(mapping.state().unwrap_or_default().to_owned())
}

/// Whether Lambda takes a change of a mapping in this state; an unknown one, it will tell.
fn is_settled(state: &str) -> bool {
    !matches!(state, "Creating" | "Enabling" | "Disabling" | "Updating" | "Deleting")
}

/// Calls `update` once the mapping has settled, and again as long as it says that it was not taken:
/// somebody else's change may come in between.
async fn change(
    state: impl AsyncFn() -> anyhow::Result<String>,
    update: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut shown = None;
    loop {
        let found = state().await?;
        if found == "Deleting" {
            bail!("the event source mapping is being deleted: deploy makes another");
        }
        if is_settled(&found) && update().await? {
            return Ok(());
        }
        shown.get_or_insert_with(|| {
            let earlier = "an earlier change of the event source mapping to end: it is";
            progress::spinner(format!("{earlier} {found}"))
        });
        if begun.elapsed() >= SWITCH_PATIENCE {
            bail!(
                "the event source mapping is still {found} after {} s, and takes no change until an \
                 earlier one has ended; nothing was changed, so try again later",
                SWITCH_PATIENCE.as_secs()
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The mapping's state, once `accepts` takes it or time is up.
async fn until(
    state: impl AsyncFn() -> anyhow::Result<String>,
    accepts: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        let found = state().await?;
        if accepts(&found) || begun.elapsed() >= SWITCH_PATIENCE {
            return Ok(found);
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A mapping whose looks tell these states, the last one from then on.
    fn looks(states: &[&'static str]) -> impl AsyncFn() -> anyhow::Result<String> {
        let left = RefCell::new(states.to_vec());
        async move || {
            let mut left = left.borrow_mut();
            let state = left[0];
            if left.len() > 1 {
                left.remove(0);
            }
            Ok(state.to_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_waits_for_every_earlier_one() {
        for earlier in ["Creating", "Enabling", "Disabling", "Updating"] {
            let updates = Cell::new(0);
            let update = async || {
                updates.set(updates.get() + 1);
                Ok(true)
            };
            let begun = Instant::now();
            change(looks(&[earlier, earlier, "Enabled"]), update).await.unwrap();
            assert_eq!((updates.get(), begun.elapsed()), (1, LOOK_EVERY * 2), "{earlier}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_in_between_is_waited_for() {
        let updates = Cell::new(0);
        let update = async || {
            updates.set(updates.get() + 1);
            Ok(updates.get() == 3)
        };
        change(looks(&["Enabled", "Updating", "Enabled"]), update).await.unwrap();
        assert_eq!(updates.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mapping_that_does_not_settle_is_left_alone() {
        let never = async || panic!("it was changed");
        let begun = Instant::now();
        let error = change(looks(&["Updating"]), never).await.unwrap_err().to_string();
        assert!(
            error.starts_with("the event source mapping is still Updating after 300 s"),
            "{error}"
        );
        assert!(error.ends_with("nothing was changed, so try again later"), "{error}");
        assert_eq!(begun.elapsed(), SWITCH_PATIENCE);
        // One that refuses all the time, as well.
        let error = change(looks(&["Enabled"]), async || Ok(false)).await.unwrap_err();
        assert!(error.to_string().contains("is still Enabled after 300 s"), "{error}");
        let error = change(looks(&["Deleting"]), never).await.unwrap_err().to_string();
        assert!(error.contains("is being deleted"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_switch_is_awaited_for_as_long() {
        let disabled = until(looks(&["Disabling", "Disabled"]), |it| it == "Disabled").await;
        assert_eq!(disabled.unwrap(), "Disabled");
        let begun = Instant::now();
        let stays = until(looks(&["Disabling"]), |it| it == "Disabled").await.unwrap();
        assert_eq!((stays.as_str(), begun.elapsed()), ("Disabling", SWITCH_PATIENCE));
    }
}
