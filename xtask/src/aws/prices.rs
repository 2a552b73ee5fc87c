//! AWS's list prices in US dollars, without taxes, discounts and free tiers: `xtask/prices.json`, each
//! with its source. What no public page of AWS confirmed is said there to be unconfirmed.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

/// What is known of prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// The month in which these were collected.
    pub(crate) date: String,
    regions: BTreeMap<String, Prices>,
}

/// The prices of a region.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// HTTP API, per million requests of up to 512 KB, first 300 million.
    pub(crate) api_per_million: Price,
    /// SQS FIFO, per million requests of up to 64 KB.
    pub(crate) sqs_per_million: Price,
    /// Lambda on arm64, per GB-second.
    pub(crate) lambda_arm64_per_gb_second: Price,
    /// Lambda on `x86_64`, per GB-second.
    pub(crate) lambda_x86_64_per_gb_second: Price,
    /// Lambda, per million invocations.
    pub(crate) lambda_per_million: Price,
    /// `CloudWatch` Logs, per GB taken in.
    pub(crate) logs_per_gb: Price,
    /// `CloudWatch` Logs, per GB kept for a month.
    pub(crate) log_storage_per_gb_month: Price,
    /// An alarm, per metric that it looks at and month.
    pub(crate) alarm_per_month: Price,
    /// A custom metric, per month.
    pub(crate) metric_per_month: Price,
    /// A KMS key, per month.
    pub(crate) key_per_month: Price,
    /// Data that leaves AWS, per GB.
    pub(crate) transfer_per_gb: Price,
}

/// A price and where it is from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    pub(crate) usd: f64,
    pub(crate) source: String,
}

impl List {
    pub(crate) fn read() -> anyhow::Result<Self> {
        serde_json::from_str(include_str!("../../prices.json")).context("reading xtask/prices.json")
    }

    /// The prices of `region`, or those of us-east-1 where they are not known; and whose they are.
    pub(crate) fn of_region(&self, region: &str) -> anyhow::Result<(&str, &Prices)> {
        let (name, prices) = self
            .regions
            .get_key_value(region)
            .or_else(|| self.regions.get_key_value("us-east-1"))
            .context("xtask/prices.json has no us-east-1")?;
        Ok((name, prices))
    }
}
