//! The queue's clock. This machine's may be wrong, so what the queue says of times is compared with this
//! one only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_sqs::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use domain::time::Timestamp;

use crate::environment::Environment;
use crate::{people, sdk};

/// Takes note of when an answer was made, by its `date`. Source: RFC 9110, section 6.6.1.
#[derive(Debug, Clone, Default)]
struct Dated(Arc<Mutex<Option<Timestamp>>>);

impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "Dated"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(people::http_date);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

impl Environment {
    /// What time it is, by the clock that dates the queue's messages: the second that has begun is taken
    /// for over, so that what is there already is not newer.
    pub(crate) async fn queue_time(&self) -> anyhow::Result<Timestamp> {
        let dated = Dated::default();
        let asked = self.client.get_queue_attributes().queue_url(&self.queue_url);
        let asked = asked.customize().interceptor(dated.clone()).send().await;
        asked.map_err(|error| sdk::failed("asking the queue for the time", error))?;
        let date = dated.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(date.context("the queue's answer has no date")?.plus(Duration::from_secs(1)))
    }
}
