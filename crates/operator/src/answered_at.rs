//! When a service of AWS, or the engine in its place, made an answer: by its clock, as this machine's may be
//! wrong.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sqs::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use domain::time::Timestamp;

use crate::people;

/// Takes the `date` of the answer to a call that it intercepts. Source: RFC 9110, section 6.6.1.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnsweredAt(Arc<Mutex<Option<Timestamp>>>);

impl AnsweredAt {
    /// The date of the last answer, if it had one; to the second.
    pub(crate) fn take(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for AnsweredAt {
    fn name(&self) -> &'static str {
        "AnsweredAt"
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
