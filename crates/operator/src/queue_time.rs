//! The queue's clock. This machine's may be wrong, so what the queue says of times is compared with this
//! one only.

use std::time::Duration;

use anyhow::Context as _;
use domain::time::Timestamp;

use crate::answered_at::AnsweredAt;
use crate::environment::Environment;
use crate::sdk;

impl Environment {
    /// What time it is, by the clock that dates the queue's messages: the second that has begun is taken
    /// for over, so that what is there already is not newer.
    pub(crate) async fn queue_time(&self) -> anyhow::Result<Timestamp> {
        let answered_at = AnsweredAt::default();
        let asked = self.client.get_queue_attributes().queue_url(&self.queue_url);
        let asked = asked.customize().interceptor(answered_at.clone()).send().await;
        asked.map_err(|error| sdk::failed("asking the queue for the time", error))?;
        Ok(answered_at
            .take()
            .context("the queue's answer has no date")?
            .plus(Duration::from_secs(1)))
    }
}
