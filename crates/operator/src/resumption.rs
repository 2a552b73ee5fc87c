//! A pause that ends by itself: a schedule that enables the event source mapping once, and is gone
//! then. On AWS it is `EventBridge` Scheduler's; the engine has as much of that.
//!
//! Source: `EventBridge` Scheduler user guide, "Using universal targets".

use std::error::Error;

use anyhow::Context as _;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::error::ProvideErrorMetadata;
use aws_sdk_scheduler::operation::delete_schedule::DeleteScheduleError;
use aws_sdk_scheduler::operation::update_schedule::UpdateScheduleError;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target,
};
use domain::time::Timestamp;
use serde_json::json;

use crate::environment::Environment;
use crate::mapping::Mapping;
use crate::sdk;

/// Calls `UpdateEventSourceMapping`.
const TARGET: &str = "arn:aws:scheduler:::aws-sdk:lambda:updateEventSourceMapping";

/// The zone in which a schedule's time is written.
const ZONE: &str = "UTC";

/// Characters of a schedule's description, at most. Source: Scheduler API reference, `CreateSchedule`.
const DESCRIPTION_CHARS_MAX: usize = 512;

/// The scheduled end of an environment's pause.
pub(crate) struct Resumption<'a> {
    client: &'a Client,
    name: String,
    mapping_uuid: &'a str,
    role_arn: String,
}

impl<'a> Resumption<'a> {
    pub(crate) fn of(environment: &'a Environment, mapping: &'a Mapping<'_>) -> Self {
        let name = schedule_name(&environment.name);
        let role_arn = role_arn(&mapping.queue_arn, &name);
        Self { client: &environment.scheduler, name, mapping_uuid: &mapping.uuid, role_arn }
    }

    /// Enables the mapping at `at`, in place of what was scheduled before: in one call, as a pause that
    /// lost its end between two would have none.
    pub(crate) async fn schedule(&self, at: Timestamp, reason: &str) -> anyhow::Result<()> {
        let at = at.to_string();
        // Whole seconds, without a zone.
        let expression = format!("at({})", at.get(..19).context("a time's beginning")?);
        let description: String = reason.chars().take(DESCRIPTION_CHARS_MAX).collect();
        let updated = self
            .client
            .update_schedule()
            .name(&self.name)
            .description(&description)
            .schedule_expression(&expression)
            .schedule_expression_timezone(ZONE)
            .flexible_time_window(window()?)
            .target(self.target()?)
            .action_after_completion(ActionAfterCompletion::Delete)
            .send()
            .await;
        match updated {
            Ok(_updated) => return Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateScheduleError::is_resource_not_found_exception) => {}
            Err(error) => return Err(self.not_scheduled(error)),
        }
        let created = self
            .client
            .create_schedule()
            .name(&self.name)
            .description(description)
            .schedule_expression(expression)
            .schedule_expression_timezone(ZONE)
            .flexible_time_window(window()?)
            .target(self.target()?)
            .action_after_completion(ActionAfterCompletion::Delete)
            .send()
            .await;
        created.map(drop).map_err(|error| self.not_scheduled(error))
    }

    fn target(&self) -> anyhow::Result<Target> {
        let input = json!({ "Uuid": self.mapping_uuid, "Enabled": true });
        let target =
            Target::builder().arn(TARGET).role_arn(&self.role_arn).input(input.to_string());
        Ok(target.build()?)
    }

    fn not_scheduled(&self, error: impl Error + ProvideErrorMetadata + 'static) -> anyhow::Error {
        sdk::failed(&format!("scheduling the end of the pause, {}", self.name), error)
    }

    /// Forgets what was scheduled, if anything was.
    pub(crate) async fn cancel(&self) -> anyhow::Result<()> {
        match self.client.delete_schedule().name(&self.name).send().await {
            Ok(_deleted) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteScheduleError::is_resource_not_found_exception) =>
            {
                Ok(())
            }
            Err(error) => {
                Err(sdk::failed(&format!("deleting the scheduled end {}", self.name), error))
            }
        }
    }
}

/// At the very time.
fn window() -> anyhow::Result<FlexibleTimeWindow> {
    Ok(FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build()?)
}

/// The schedule's name, which is also its role's.
pub(crate) fn schedule_name(environment: &str) -> String {
    format!("{environment}-webhook-resume")
}

/// The role that modules/webhook-forwarder makes for it, in the queue's account.
fn role_arn(queue_arn: &str, name: &str) -> String {
    let part = |place: usize| queue_arn.split(':').nth(place).unwrap_or_default();
    format!("arn:{}:iam::{}:role/{name}", part(1), part(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_in_the_queue_s_account_and_partition() {
        let queue = "arn:aws-cn:sqs:cn-north-1:123456789012:dev-webhook.fifo";
        let role = "arn:aws-cn:iam::123456789012:role/dev-webhook-resume";
        assert_eq!(role_arn(queue, "dev-webhook-resume"), role);
    }

    #[test]
    fn the_schedule_is_called_as_its_role() {
        assert_eq!(schedule_name("dev"), "dev-webhook-resume");
    }
}
