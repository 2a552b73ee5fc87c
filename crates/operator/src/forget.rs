//! `forget`: what `pause`, `skip` and `dlq redrive` have made beside Terraform goes with the environment.

use std::process::ExitCode;

use aws_sdk_scheduler::operation::delete_schedule::DeleteScheduleError;
use aws_sdk_ssm::operation::delete_parameter::DeleteParameterError;
use domain::environment::skips_parameter;
use serde_json::json;

use crate::document::{self, DOCUMENTS};
use crate::resumption::schedule_name;
use crate::sdk;

/// Delete the list of skips, the pauses with their scheduled end, and the lease of a redrive, as far as
/// they are there
#[derive(Debug, clap::Args)]
pub(crate) struct Forget {
    /// Environment that was destroyed
    environment: String,

    /// Its region
    #[arg(long)]
    region: String,

    /// The bucket for artifacts, if it has one
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
}

impl Forget {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = sdk::config(Some(&self.region)).await;
        let mut deleted = Vec::new();

        let schedule = schedule_name(&self.environment);
        let client = aws_sdk_scheduler::Client::new(&config);
        match client.delete_schedule().name(&schedule).send().await {
            Ok(_deleted) => deleted.push(schedule),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteScheduleError::is_resource_not_found_exception) => {}
            Err(error) => {
                return Err(sdk::failed(&format!("deleting schedule {schedule}"), error));
            }
        }

        let parameter = skips_parameter(&self.environment);
        let client = aws_sdk_ssm::Client::new(&config);
        match client.delete_parameter().name(&parameter).send().await {
            Ok(_deleted) => deleted.push(parameter),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteParameterError::is_parameter_not_found) => {}
            Err(error) => {
                return Err(sdk::failed(&format!("deleting parameter {parameter}"), error));
            }
        }

        let client = aws_sdk_s3::Client::new(&config);
        for key in DOCUMENTS.map(|name| document::key(&self.environment, name)) {
            let Some(bucket) = &self.bucket else { break };
            // Of what is not there as well, S3 says that it was deleted.
            let gone = client.delete_object().bucket(bucket).key(&key).send().await;
            gone.map_err(|error| sdk::failed(&format!("deleting {key}"), error))?;
            deleted.push(key);
        }

        println!("{}", json!({ "deleted": deleted }));
        Ok(ExitCode::SUCCESS)
    }
}
