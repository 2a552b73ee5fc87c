//! The configuration file as it is written: `environments/ENV/terraform.tfvars.json`.
//!
//! Terraform reads the same file, so durations are plain numbers with their unit in the name and
//! names are those of Terraform's variables. What is not written has the default given here; the
//! rules are in the parent module.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::keep::KeepDeliveredFile;
use super::notify::NotifyFile;
use super::signature::{HiddenText, SignFile, VerifyFile};
use crate::route::OnReject;
use crate::{quota, schedule};

/// One environment: which webhooks are accepted, how they queue, how they are delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Name of the environment, such as `dev`: lower-case letters, digits and `-`. Names of AWS
    /// resources begin with it.
    pub environment: String,
    /// What is accepted and where it goes, by the route's name.
    #[serde(deserialize_with = "unique_names")]
    pub routes: BTreeMap<String, RouteFile>,
    /// The queue and its dead-letter queue.
    #[serde(default, skip_serializing_if = "is_default")]
    pub queue: QueueFile,
    /// The forwarder function.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forwarder: ForwarderFile,
    /// What the log holds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub logs: LogContentFile,
    /// Where the engine on one machine posts what needs a person; nowhere, unless given. On AWS,
    /// `aws.notifications` says who is told.
    // Not written: the forwarder need not know, and the URL is a secret.
    #[serde(default, skip_serializing)]
    pub notify: Option<NotifyFile>,
    /// Where this is deployed to on AWS, and how.
    // Neither read nor written: the forwarder, which is told the rest, has no use for it. The crate
    // `deployment` reads it.
    #[serde(skip_serializing)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
    pub aws: Option<IgnoredAny>,
    /// How much of what was delivered the engine on one machine keeps, to show it and to send it again;
    /// nothing, unless given.
    // Not written: the forwarder need not know.
    #[serde(default, skip_serializing)]
    pub keep_delivered: Option<KeepDeliveredFile>,
    /// Whether people depend on it: it is named so where somebody looks or acts. Nothing else follows
    /// from it.
    // Not written: the forwarder need not know.
    #[serde(default, skip_serializing)]
    pub production: bool,
}

/// A route: from a path of the API to one or more destinations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// Path that the `SaaS` posts to, such as `/sqs-hook` or `/hooks/{tenant}`.
    pub path: String,
    /// Paths that it had before, where the `SaaS` still posts to as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_paths: Vec<String>,
    /// The message group: events with the same value are delivered in order. Fixed text, or API
    /// Gateway's mapping expression such as `$request.header.x-workflow-id`.
    pub ordering_key: String,
    /// What makes two requests one event: `request` (nothing: every request counts), `content`
    /// (equal bodies within five minutes), or a mapping expression for the provider's own event id. A
    /// route with `verify` takes `request` only.
    #[serde(default = "request", skip_serializing_if = "is_request")]
    pub deduplication: String,
    /// What names an event, which leaves as `webhook-id`: a mapping expression. The id that the
    /// scheme of `verify` signs, or else the expression of `deduplication`, or else the API's request
    /// id, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Headers to pass on to the destinations. The API refuses requests that lack one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_headers: Vec<String>,
    /// How the provider signs. Events whose signature is not good are never forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyFile>,
    /// Where events go. Delivered means that every destination answered 2xx.
    pub destinations: Vec<DestinationFile>,
    /// When an attempt that failed is repeated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: RetryFile,
    /// Statuses that are worth another attempt, besides 408, 425, 429 and 5xx: such as `404`, where a
    /// router answers for a service that is being released, or `403`, `3xx`, `420-429`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_statuses: Vec<String>,
    /// Statuses that are not, of 408, 425, 429 and 5xx.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reject_statuses: Vec<String>,
    /// Age, in seconds, at which a failing event goes to the dead-letter queue.
    #[serde(default = "give_up_after", skip_serializing_if = "is_give_up_after")]
    pub give_up_after_seconds: u32,
    /// What happens to an event that a destination rejects.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_reject: OnReject,
}

/// A destination: one URL of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DestinationFile {
    /// Name in logs and dead letters: lower-case letters, digits and `-`.
    pub name: String,
    /// Where events are posted to: `https`, or `http` for loopback and private names.
    pub url: String,
    /// Longest exchange, in seconds, from connecting to the answer's status line.
    #[serde(default = "timeout", skip_serializing_if = "is_timeout")]
    pub timeout_seconds: u32,
    /// What requests are signed with, so that the service can refuse what did not come this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<SignFile>,
    /// Headers of every request, such as an API key: literal values, or references to secrets
    /// (`ssm:/PATH`, `secretsmanager:NAME-OR-ARN`, `env:NAME`, `file:/PATH`).
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_names"
    )]
    pub headers: BTreeMap<String, HiddenText>,
    /// What we show the destination that we are, where it asks (mutual TLS): a reference to a PEM text
    /// of our certificate, those that lead to its issuer, and the private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<HiddenText>,
    /// Attempts at the same time, at most, of all processes together; each of
    /// `forwarder.max_concurrency` makes its share, and at least one. Any number, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<NonZeroU32>,
    /// Attempts a second, at most, of all processes together; each of `forwarder.max_concurrency`
    /// makes its share. Any number, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_second: Option<NonZeroU32>,
}

/// Delays between attempts: doubled from the first to the longest, with up to a tenth taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetryFile {
    /// Delay after the first failed attempt, in seconds.
    pub initial_delay_seconds: u32,
    /// Longest delay, in seconds.
    pub max_delay_seconds: u32,
}

/// The queue and its dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct QueueFile {
    /// How long an event may wait, in seconds.
    pub retention_seconds: u32,
    /// How long a dead letter may wait, in seconds.
    pub dead_letter_retention_seconds: u32,
    /// Receives after which SQS itself moves a message to the dead-letter queue: the net under
    /// crashes, so high that an outage alone never reaches it.
    pub max_receive_count: u32,
    /// Largest message, in bytes: body and attributes. 1044480 on one machine, and 258048 on AWS, which
    /// is the most there, unless given.
    #[serde(skip_serializing_if = "is_aws_s")]
    pub max_message_bytes: Option<u32>,
    /// SQS's high-throughput mode: deduplication and throughput per message group.
    pub high_throughput: bool,
}

/// The forwarder function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ForwarderFile {
    /// Longest run for one batch, in seconds. The visibility timeout is six times this.
    pub function_timeout_seconds: u32,
    /// Messages per invocation, at most.
    pub batch_size: u32,
    /// Invocations at the same time, at most.
    pub max_concurrency: u32,
    /// Least severe log lines that are written.
    pub log_level: LogLevel,
    /// The only hosts that destinations may have, such as `sss.example.com` or `*.example.com`; any,
    /// unless given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// The HTTP proxy that destinations are called through, such as `http://proxy.internal:3128`; none,
    /// unless given. AWS's services are never called through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// What the log holds, besides ids, statuses and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LogContentFile {
    /// Whether the line of a failed attempt has the beginning of the service's answer, as much as a dead
    /// letter keeps of it: services echo what they were sent. Secrets of this configuration are left out.
    pub answers: bool,
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Steps that only a developer wants to see.
    Debug,
    /// Every attempt.
    #[default]
    Info,
    /// Attempts that failed.
    Warn,
    /// What needs an operator.
    Error,
}

impl Default for RetryFile {
    fn default() -> Self {
        Self {
            initial_delay_seconds: schedule::INITIAL_DELAY_SECONDS,
            max_delay_seconds: schedule::MAX_DELAY_SECONDS,
        }
    }
}

impl Default for QueueFile {
    fn default() -> Self {
        Self {
            retention_seconds: quota::RETENTION_SECONDS_MAX,
            dead_letter_retention_seconds: quota::RETENTION_SECONDS_MAX,
            max_receive_count: quota::RECEIVE_COUNT_MAX,
            max_message_bytes: None,
            high_throughput: false,
        }
    }
}

impl Default for ForwarderFile {
    fn default() -> Self {
        Self {
            function_timeout_seconds: 60,
            batch_size: quota::BATCH_SIZE_MAX,
            max_concurrency: 10,
            log_level: LogLevel::Info,
            allowed_hosts: Vec::new(),
            proxy: None,
        }
    }
}

fn request() -> String {
    "request".to_owned()
}

fn is_request(deduplication: &str) -> bool {
    deduplication == "request"
}

/// 72 hours: a weekend and the Monday after it.
fn give_up_after() -> u32 {
    72 * 60 * 60
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_give_up_after(seconds: &u32) -> bool {
    *seconds == give_up_after()
}

fn timeout() -> u32 {
    10
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_timeout(seconds: &u32) -> bool {
    *seconds == timeout()
}

/// What the modules set unless told otherwise; they write what differs from it only.
#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_aws_s(max_message_bytes: &Option<u32>) -> bool {
    max_message_bytes.is_none_or(|bytes| bytes == quota::AWS_MESSAGE_BYTES_MAX)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A map whose names must differ: JSON parsers keep the last of two equal names and say nothing,
/// and a route that vanishes is a route whose events are refused.
fn unique_names<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct UniqueNames<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueNames<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(name) = entries.next_key::<String>()? {
                if map.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("{name:?} is there twice")));
                }
                let value = entries.next_value()?;
                map.insert(name, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(UniqueNames(PhantomData))
}
