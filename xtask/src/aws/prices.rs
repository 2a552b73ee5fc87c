//! AWS's list prices in US dollars, each with its source, in one place: without taxes, discounts and
//! free tiers. What no public page of AWS confirmed is said to be unconfirmed.

/// When these were collected.
pub(crate) const DATE: &str = "2026-11";

/// The prices of a region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prices {
    pub(crate) region: &'static str,
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Price {
    pub(crate) usd: f64,
    pub(crate) source: &'static str,
}

const fn price(usd: f64, source: &'static str) -> Price {
    Price { usd, source }
}

const API: &str = "AWS whitepaper \"Best practices for designing private APIs\"";
const SQS: &str = "aws.amazon.com/sqs/pricing, through cloudburn.io, 2026-03";
const LAMBDA: &str = "aws.amazon.com/lambda/pricing, through cloudchipr.com, 2024";
const LOGS: &str = "aws.amazon.com/cloudwatch/pricing, through hykell.com";
const UNCONFIRMED: &str = "unconfirmed: as in us-east-1";
const ALARM: &str = "unconfirmed: aws.amazon.com/cloudwatch/pricing";
const METRIC: &str = "aws.amazon.com/cloudwatch/pricing, through signoz.io, 2026-02";
const KEY: &str = "unconfirmed: aws.amazon.com/kms/pricing";
const TRANSFER: &str = "unconfirmed: aws.amazon.com/ec2/pricing/on-demand";

const US_EAST_1: Prices = Prices {
    region: "us-east-1",
    api_per_million: price(1.00, API),
    sqs_per_million: price(0.50, SQS),
    lambda_arm64_per_gb_second: price(0.000_013_333_4, LAMBDA),
    lambda_x86_64_per_gb_second: price(0.000_016_666_7, LAMBDA),
    lambda_per_million: price(0.20, LAMBDA),
    logs_per_gb: price(0.50, LOGS),
    log_storage_per_gb_month: price(0.03, LOGS),
    alarm_per_month: price(0.10, ALARM),
    metric_per_month: price(0.30, METRIC),
    key_per_month: price(1.00, KEY),
    transfer_per_gb: price(0.09, TRANSFER),
};

const AP_NORTHEAST_1: Prices = Prices {
    region: "ap-northeast-1",
    api_per_million: price(1.29, "unconfirmed: aws.amazon.com/api-gateway/pricing"),
    sqs_per_million: price(0.50, UNCONFIRMED),
    lambda_arm64_per_gb_second: price(0.000_013_333_4, UNCONFIRMED),
    lambda_x86_64_per_gb_second: price(0.000_016_666_7, UNCONFIRMED),
    lambda_per_million: price(0.20, UNCONFIRMED),
    logs_per_gb: price(0.76, "aws.amazon.com/cloudwatch/pricing, through awsi.click"),
    log_storage_per_gb_month: price(0.033, "aws.amazon.com/cloudwatch/pricing, through awsi.click"),
    transfer_per_gb: price(0.114, TRANSFER),
    ..US_EAST_1
};

/// The prices of `region`, or those of us-east-1 where they are not known here.
pub(crate) fn of_region(region: &str) -> Prices {
    [AP_NORTHEAST_1, US_EAST_1].into_iter().find(|it| it.region == region).unwrap_or(US_EAST_1)
}
