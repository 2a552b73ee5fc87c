//! `settle`: Terraform changes an event source mapping without waiting for an earlier change of it, such
//! as a pause's, and Lambda refuses that.

use std::process::ExitCode;

use crate::{mapping, sdk};

/// Wait until no change of an event source mapping is under way
#[derive(Debug, clap::Args)]
pub(crate) struct Settle {
    /// Region of the mapping
    #[arg(long)]
    region: String,

    /// The mapping's id
    #[arg(long)]
    uuid: String,
}

impl Settle {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = sdk::config(Some(&self.region)).await;
        mapping::settle(&aws_sdk_lambda::Client::new(&config), &self.uuid).await?;
        Ok(ExitCode::SUCCESS)
    }
}
