//! `whoami`: whose credentials these are, and whether their account is the one that is meant.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use aws_config::SdkConfig;
use serde_json::json;

use crate::sdk;

/// Print the ARN and the account of the credentials in use
#[derive(Debug, clap::Args)]
pub(crate) struct Whoami {
    /// Region whose STS is asked
    #[arg(long)]
    region: String,

    /// The only account that is right
    #[arg(long, value_name = "ID")]
    account_id: Option<String>,
}

impl Whoami {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Caller { arn, account } = caller(&sdk::config(Some(&self.region)).await).await?;
        if self.account_id.as_ref().is_some_and(|wanted| *wanted != account) {
            bail!(
                "the credentials are of account {account} ({arn}), and aws.account_id allows {} only; \
                 choose others with AWS_PROFILE",
                self.account_id.unwrap_or_default()
            );
        }
        println!("{}", json!({ "account": account, "arn": arn }));
        Ok(ExitCode::SUCCESS)
    }
}

/// Who calls AWS.
pub(crate) struct Caller {
    pub(crate) arn: String,
    account: String,
}

/// Asks AWS whose credentials these are.
pub(crate) async fn caller(config: &SdkConfig) -> anyhow::Result<Caller> {
    let identity = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
    let identity = identity.map_err(|error| sdk::failed("asking AWS who we are", error))?;
    let arn = identity.arn.context("AWS did not say who we are")?;
    let account = identity.account.context("AWS did not say which account this is")?;
    Ok(Caller { arn, account })
}
