//! What waits in the queue, by SQS's approximate counts.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::quota;

use crate::environment::Environment;
use crate::queue::Counts;
use crate::sdk;

/// Between two looks at the queue. It does not tell by itself when it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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

    /// A number of the queue's attributes.
    pub(crate) async fn attribute<T: FromStr>(
        &self,
        name: QueueAttributeName,
    ) -> anyhow::Result<T> {
        let attributes = self.attributes_of(&self.queue_url, std::slice::from_ref(&name)).await?;
        let value = attributes.get(&name).and_then(|value| value.parse().ok());
        value.with_context(|| format!("queue {} tells no {}", self.queue_url, name.as_str()))
    }

    /// What waits in the queue: what is hidden is in flight.
    pub(crate) async fn waiting(&self) -> anyhow::Result<Counts> {
        Counts::of(&self.client, &self.queue_url).await
    }
}

/// What waits, once no delivery is under way any more.
pub(crate) async fn settled(environment: &Environment) -> anyhow::Result<Counts> {
    // What is in flight is being delivered, or waits for its next attempt: its visibility
    // timeout does not tell which. After the longest run of a function it is the latter.
    let visibility_timeout_seconds: u32 =
        environment.attribute(QueueAttributeName::VisibilityTimeout).await?;
    let deadline = Instant::now() + longest_run(visibility_timeout_seconds);
    let mut waiting = environment.waiting().await?;
    while waiting.hidden > 0 && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
        waiting = environment.waiting().await?;
    }
    Ok(waiting)
}

/// How long a function runs at most, by the visibility timeout of its queue.
fn longest_run(visibility_timeout_seconds: u32) -> Duration {
    let seconds = visibility_timeout_seconds / quota::FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT;
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_sixth_of_the_visibility_timeout() {
        assert_eq!(longest_run(180), Duration::from_secs(30));
    }
}
