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
        check_account(&account, self.account_id.as_deref())
            .with_context(|| format!("calling AWS as {arn}"))?;
        println!("{}", json!({ "account": account, "arn": arn }));
        Ok(ExitCode::SUCCESS)
    }
}

/// Fails unless `account` is the only one that is right, if one is named.
pub(crate) fn check_account(account: &str, wanted: Option<&str>) -> anyhow::Result<()> {
    match wanted {
        Some(wanted) if wanted != account => bail!(
            "the credentials are of account {account}, and aws.account_id allows {wanted} only; choose \
             others with AWS_PROFILE"
        ),
        _ => Ok(()),
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
