//! What only AWS needs of a configuration file, as it is written: where an environment is deployed
//! to, and how.
//!
//! The types and defaults are those of `modules/webhook-system`'s variable `aws`; the rules are in
//! [`rules`](crate::rules).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The stage whose name is no part of a URL, which an API that is made has.
pub const DEFAULT_STAGE: &str = "$default";

/// Where the environment is deployed to, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AwsFile {
    /// Region, such as `ap-northeast-1`.
    pub region: String,
    /// The only account that is ever touched, 12 digits. Whichever the credentials belong to,
    /// unless given.
    pub account_id: Option<String>,
    /// Bucket for Terraform's state. Needed, except by the environment `local`.
    pub state_bucket: Option<String>,
    /// Bucket for artifacts and release records. Needed, except by the environment `local`.
    pub artifact_bucket: Option<String>,
    /// The HTTP API that takes the webhooks, where there is one already; one is made unless given.
    pub api: Option<ApiFile>,
    /// Who may post webhooks.
    #[serde(default)]
    pub authorization: AuthorizationFile,
    /// How many requests the API takes.
    #[serde(default)]
    pub throttling: ThrottlingFile,
    /// What the queues are encrypted with.
    #[serde(default)]
    pub encryption: EncryptionFile,
    /// Whether Terraform refuses every plan that would delete or replace a queue.
    #[serde(default)]
    pub deletion_protection: bool,
    /// The forwarder as a Lambda function.
    #[serde(default)]
    pub function: FunctionFile,
    /// The logs of the function and of an API that is made.
    #[serde(default)]
    pub logs: LogsFile,
    /// Whether nothing is delivered until somebody resumes, when the environment is first made: for a
    /// queue that another one's events come before. Later it says nothing.
    #[serde(default)]
    pub start_paused: bool,
    /// Who hears of alarms.
    pub notifications: NotificationsFile,
    /// When an alarm goes off.
    #[serde(default)]
    pub thresholds: ThresholdsFile,
    /// Where the runbook is, without `#`; each alarm points to its section of it.
    #[serde(default = "runbook")]
    pub runbook_url: String,
    /// The policy that bounds the permissions of the roles that are made, where the account or the
    /// deploying role demands one.
    pub permissions_boundary_arn: Option<String>,
    /// Whether a stand-in for the service answers on `POST /application-hook` of the API.
    #[serde(default)]
    pub sss_stub: bool,
    /// The event that every deployment sends through the real path; none unless given.
    pub smoke_test: Option<SmokeTestFile>,
    /// Tags of everything that is made, besides `System` and `Environment`.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An HTTP API that is there already, by one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiFile {
    /// Its id.
    pub id: Option<String>,
    /// Its name, which no other HTTP API of account and region may have.
    pub name: Option<String>,
    /// The stage by which webhooks come. What it logs and how many requests it takes is its owner's.
    #[serde(default = "default_stage")]
    pub stage: String,
}

/// Who may post webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationFile {
    /// How requests are checked.
    #[serde(rename = "type")]
    pub kind: AuthorizationKind,
    /// For `JWT` and `CUSTOM`: an authorizer that the API has already.
    pub authorizer_id: Option<String>,
    /// For `JWT`: makes an authorizer of tokens.
    pub jwt: Option<JwtFile>,
    /// For `CUSTOM`: makes an authorizer of a function.
    pub lambda: Option<LambdaAuthorizerFile>,
    /// For `JWT`: scopes of which a token must have one.
    pub scopes: BTreeSet<String>,
}

/// How requests are checked before they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AuthorizationKind {
    /// Not at all: a `SaaS` that only signs bodies.
    #[default]
    #[serde(rename = "NONE")]
    Nobody,
    /// By their tokens.
    #[serde(rename = "JWT")]
    Jwt,
    /// By AWS's signature.
    #[serde(rename = "AWS_IAM")]
    AwsIam,
    /// By a Lambda function.
    #[serde(rename = "CUSTOM")]
    Custom,
}

/// The tokens that are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JwtFile {
    /// Who issues them: an `https` URL.
    pub issuer: String,
    /// Whom they are for; a token must name one of these.
    pub audience: BTreeSet<String>,
    /// Where a request has its token.
    #[serde(default = "authorization_header")]
    pub identity_source: String,
}

/// The function that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LambdaAuthorizerFile {
    /// Its name.
    pub function_name: String,
    /// The ARN by which API Gateway calls it.
    pub invoke_arn: String,
    /// What requests must have to be shown to it.
    #[serde(default = "authorization_headers")]
    pub identity_sources: BTreeSet<String>,
    /// How long a decision is kept, in seconds, 0 to 3600.
    #[serde(default)]
    pub result_ttl_seconds: u32,
}

/// How many requests the API takes; more are answered 429.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ThrottlingFile {
    /// Most requests per second on each route.
    pub rate_per_second: f64,
    /// Most requests at once on each route.
    pub burst: u32,
    /// Other values, by the route's name.
    pub routes: BTreeMap<String, RouteThrottlingFile>,
}

/// How many requests a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteThrottlingFile {
    /// Most requests per second.
    pub rate_per_second: f64,
    /// Most requests at once.
    pub burst: u32,
}

/// What the queues are encrypted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionFile {
    /// A key of one's own; SQS's keys unless given.
    pub kms_key_arn: Option<String>,
    /// How long SQS uses a data key before it asks KMS again, in seconds, 60 to 86400.
    pub data_key_reuse_seconds: u32,
    /// The key of one's own that the secrets of `verify` and `sign` are encrypted with; AWS's keys
    /// unless given.
    pub secrets_kms_key_arn: Option<String>,
}

/// The forwarder as a Lambda function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct FunctionFile {
    /// What it runs on, unless the artifact says it.
    pub architecture: Architecture,
    /// Its memory, in MB, 128 to 10240. Its share of a processor grows with it.
    pub memory_megabytes: u32,
    /// Invocations of the account's that are kept for it; none unless given.
    pub reserved_concurrency: Option<u32>,
    /// Whether invocations are traced by X-Ray.
    pub tracing: bool,
    /// Where it runs to reach destinations by private names; outside of any VPC unless given.
    pub vpc: Option<VpcFile>,
    /// More variables, none of them secret.
    pub environment_variables: BTreeMap<String, String>,
}

/// The instruction set of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Graviton.
    #[default]
    Arm64,
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86_64,
}

/// Where a function runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VpcFile {
    /// Subnets with a way to SQS, better two or more in different zones.
    pub subnet_ids: BTreeSet<String>,
    /// Groups that let it out to the destinations and to SQS.
    pub security_group_ids: BTreeSet<String>,
}

/// The logs of the function and of an API that is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LogsFile {
    /// How long lines are kept, in days: one of `CloudWatch`'s choices from 1 to 3653.
    pub retention_days: u32,
    /// A key to encrypt them with; `CloudWatch`'s own unless given.
    pub kms_key_arn: Option<String>,
}

/// Who hears of alarms; at least one of both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NotificationsFile {
    /// Addresses, each of which must confirm its subscription once.
    pub emails: BTreeSet<String>,
    /// At most 4 more actions, such as another topic's ARN.
    pub action_arns: BTreeSet<String>,
}

/// When an alarm goes off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdsFile {
    /// Age of the oldest waiting message, in seconds.
    pub oldest_message_seconds: u32,
    /// Minutes in which nobody asked the queue for messages, 5 to 1440: how long a pause may last
    /// unnoticed.
    pub not_receiving_minutes: u32,
    /// Share of the dead-letter queue's retention that its oldest message may reach, between 0
    /// and 1.
    pub dead_letter_age_share: f64,
    /// Requests refused with 4xx within five minutes.
    pub api_client_errors: u32,
    /// Requests answered 5xx within five minutes.
    pub api_server_errors: u32,
}

/// The event that every deployment sends through the real path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SmokeTestFile {
    /// The route that it is posted to.
    pub route: String,
    /// Its headers: whatever the route's expressions and `pass_headers` ask for.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body, any JSON.
    pub body: serde_json::Value,
}

impl Default for ThrottlingFile {
    fn default() -> Self {
        Self { rate_per_second: 300.0, burst: 300, routes: BTreeMap::new() }
    }
}

impl Default for EncryptionFile {
    fn default() -> Self {
        Self { kms_key_arn: None, data_key_reuse_seconds: 300, secrets_kms_key_arn: None }
    }
}

impl Default for FunctionFile {
    fn default() -> Self {
        Self {
            architecture: Architecture::Arm64,
            memory_megabytes: 128,
            reserved_concurrency: None,
            tracing: false,
            vpc: None,
            environment_variables: BTreeMap::new(),
        }
    }
}

impl Default for LogsFile {
    fn default() -> Self {
        Self { retention_days: 30, kms_key_arn: None }
    }
}

impl Default for ThresholdsFile {
    fn default() -> Self {
        Self {
            oldest_message_seconds: 900,
            not_receiving_minutes: 15,
            dead_letter_age_share: 0.75,
            api_client_errors: 10,
            api_server_errors: 1,
        }
    }
}

impl Architecture {
    /// As Lambda spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

fn runbook() -> String {
    "docs/runbook.md".to_owned()
}

fn default_stage() -> String {
    DEFAULT_STAGE.to_owned()
}

fn authorization_header() -> String {
    "$request.header.Authorization".to_owned()
}

fn authorization_headers() -> BTreeSet<String> {
    BTreeSet::from([authorization_header()])
}
