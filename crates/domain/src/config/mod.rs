//! One environment's configuration, checked: whatever AWS would refuse at deployment, or worse at
//! three in the morning, is refused here, with its place in the file.

mod error;
mod file;
mod keep;
mod notify;
mod receives;
mod route;
mod signature;

use std::collections::BTreeMap;
use std::time::Duration;

pub use error::{ConfigError, Fault, Faults};
pub use file::{
    ConfigFile, DestinationFile, ForwarderFile, LogContentFile, LogLevel, QueueFile, RetryFile,
    RouteFile,
};
pub use keep::{KEPT_BYTES_MAX, KEPT_COUNT_MAX, KeepDelivered, KeepDeliveredFile};
pub use notify::{Notify, NotifyFile};
pub use receives::Receives;
pub use signature::{
    AlgorithmName, EncodingName, HiddenText, HmacFile, SchemeName, SecretEncodingName, SecretsFile,
    SignFile, TokenFile, VerifyFile,
};

use url::Url;

use crate::address;
use crate::environment::{
    CONFIG_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE, INGEST_SENDER_BYTES, INGEST_SENDER_VARIABLE,
    METRICS_VARIABLE, QUEUE_URL_VARIABLE, SKIPS_VARIABLE, skips_parameter,
};
use crate::json::JsonError;
use crate::message::Message;
use crate::quota;
use crate::route::{Deduplication, Route};
use crate::route_path::RoutePath;
use crate::secret::SecretReference;

/// A configuration whose every setting, and every relation between settings, has been checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the environment.
    pub(crate) environment: String,
    /// Routes by name.
    pub(crate) routes: BTreeMap<String, Route>,
    /// The queue and its dead-letter queue.
    pub(crate) queue: Queue,
    /// The forwarder function.
    pub(crate) forwarder: Forwarder,
    /// What destinations are called through.
    proxy: Option<Url>,
    /// Who is told of what needs a person, on one machine.
    notify: Option<Notify>,
    file: ConfigFile,
    /// How much of what was delivered is kept, on one machine.
    keep_delivered: Option<KeepDelivered>,
}

/// The queue and its dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How long an event may wait.
    pub retention: Duration,
    /// How long a dead letter may wait.
    pub dead_letter_retention: Duration,
    /// Receives after which SQS itself moves a message to the dead-letter queue.
    pub max_receive_count: u32,
    /// Largest message, in bytes.
    pub max_message_bytes: u32,
    /// Whether deduplication and throughput are per message group.
    pub high_throughput: bool,
    /// Whether SQS deduplicates messages without a deduplication id by their body.
    pub content_based_deduplication: bool,
    /// How long a received message is hidden.
    pub visibility_timeout: Duration,
}

/// The forwarder function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarder {
    /// Longest run for one batch.
    pub function_timeout: Duration,
    /// Messages per invocation, at most.
    pub batch_size: u32,
    /// Invocations at the same time, at most.
    pub max_concurrency: u32,
    /// Least severe log lines that are written.
    pub log_level: LogLevel,
}

/// A message that no route of the configuration takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no route is named {0:?} or has that message group id")]
pub struct UnknownRoute(pub String);

impl Config {
    /// Parses the text of a configuration file. What it says of AWS is passed over: delivery has no
    /// use for it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every broken rule; when the text is not of the file's shape at all,
    /// with the first place where it is not.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        Self::parse_with(json, |_, _| {})
    }

    /// The same, with the rules of who reads more of the file: `more` adds what is wrong between that
    /// and the configuration, which may be wrong itself.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), with the faults that `more` adds. It is not asked about a text that
    /// is not of the file's shape.
    pub fn parse_with(
        json: &str,
        more: impl FnOnce(&mut Faults, &Self),
    ) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let config = Self::check_all(&mut faults, read(json)?);
        more(&mut faults, &config);
        faults.finish(Some(config))
    }

    /// Checks what a configuration file says.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every broken rule.
    pub fn check(file: ConfigFile) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let config = Self::check_all(&mut faults, file);
        faults.finish(Some(config))
    }

    fn check_all(faults: &mut Faults, file: ConfigFile) -> Self {
        if !route::is_name(&file.environment) || file.environment.len() > 20 {
            faults.add(
                "environment",
                format_args!(
                    "a name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter, is {:?}",
                    file.environment
                ),
            );
        }
        let forwarder = Forwarder::check(faults, &file.forwarder);
        if file.routes.is_empty() {
            faults.add("routes", "at least one route is needed");
        }
        let mut routes: BTreeMap<String, Route> = file
            .routes
            .iter()
            .filter_map(|(name, route)| {
                let route = route::route(faults, name, route, forwarder)?;
                Some((name.clone(), route))
            })
            .collect();
        check_paths(faults, &routes);
        check_allowed_hosts(faults, &file.forwarder.allowed_hosts, &routes);
        let content_based_deduplication =
            routes.values().any(|route| route.deduplication == Deduplication::Content);
        let queue = Queue::check(faults, &file.queue, forwarder, content_based_deduplication);
        for route in routes.values_mut() {
            check_retention(faults, route, queue);
        }
        receives::check(faults, &routes, queue.max_receive_count, forwarder.batch_size);
        let proxy = file.forwarder.proxy.as_deref();
        let proxy = proxy.and_then(|url| faults.check("forwarder.proxy", parse_proxy(url)));
        let notify = file.notify.as_ref().map(|file| Notify::check(faults, file));
        let environment = file.environment.clone();
        let keep_delivered =
            file.keep_delivered.and_then(|file| KeepDelivered::check(faults, file));
        let config =
            Self { environment, routes, queue, forwarder, proxy, notify, file, keep_delivered };
        config.check_environment_size(faults);
        config
    }

    /// Name of the environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The HTTP proxy that destinations are called through, if any.
    #[must_use]
    pub fn proxy(&self) -> Option<&Url> {
        self.proxy.as_ref()
    }

    /// Who is told of what needs a person, on one machine, if anybody.
    #[must_use]
    pub fn notify(&self) -> Option<&Notify> {
        self.notify.as_ref()
    }

    /// How much of what was delivered is kept on one machine; `None` if nothing is.
    #[must_use]
    pub fn keep_delivered(&self) -> Option<KeepDelivered> {
        self.keep_delivered
    }

    /// Whether people depend on it.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.file.production
    }

    /// Routes by name.
    #[must_use]
    pub fn routes(&self) -> &BTreeMap<String, Route> {
        &self.routes
    }

    /// The queue and its dead-letter queue.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// The forwarder function.
    #[must_use]
    pub fn forwarder(&self) -> Forwarder {
        self.forwarder
    }

    /// The file that this was read from, with what it left out.
    #[must_use]
    pub fn file(&self) -> &ConfigFile {
        &self.file
    }

    /// Whether the log has the beginnings of answers.
    #[must_use]
    pub fn logs_answers(&self) -> bool {
        self.file.logs.answers
    }

    /// Name of the queue.
    #[must_use]
    pub fn queue_name(&self) -> String {
        format!("{}-webhook.fifo", self.environment)
    }

    /// Name of the dead-letter queue.
    #[must_use]
    pub fn dead_letter_queue_name(&self) -> String {
        format!("{}-webhook-dlq.fifo", self.environment)
    }

    /// The variables of the process that hold secrets, by name: who starts the forwarder on one
    /// machine has to hand them on.
    pub fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.routes.values().flat_map(Route::secrets).filter_map(|reference| match reference {
            SecretReference::Variable(name) => Some(name.as_str()),
            SecretReference::Parameter(_)
            | SecretReference::SecretsManager(_)
            | SecretReference::File(_) => None,
        })
    }

    /// The variables that give the forwarder its configuration, by name.
    #[must_use]
    pub fn forwarder_environment(
        &self,
        queue_url: &str,
        dead_letter_queue_url: &str,
    ) -> BTreeMap<String, String> {
        BTreeMap::from([
            (CONFIG_VARIABLE.to_owned(), self.minified()),
            (QUEUE_URL_VARIABLE.to_owned(), queue_url.to_owned()),
            (DEAD_LETTER_QUEUE_URL_VARIABLE.to_owned(), dead_letter_queue_url.to_owned()),
        ])
    }

    fn minified(&self) -> String {
        serde_json::to_string(&self.file).expect("strings, numbers and maps with string keys")
    }

    /// What our own variables take of the function's environment, in bytes.
    #[must_use]
    pub fn environment_bytes(&self) -> usize {
        let skips = format!("ssm:{}", skips_parameter(&self.environment));
        let config = self.minified();
        let of_the_module = [
            (CONFIG_VARIABLE, config.as_str()),
            (METRICS_VARIABLE, "emf"),
            (INGEST_SENDER_VARIABLE, ""),
            (SKIPS_VARIABLE, &skips),
            (QUEUE_URL_VARIABLE, ""),
            (DEAD_LETTER_QUEUE_URL_VARIABLE, ""),
        ];
        of_the_module.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + quota::QUEUE_URLS_BYTES
            + INGEST_SENDER_BYTES
    }

    fn check_environment_size(&self, faults: &mut Faults) {
        let bytes = self.environment_bytes();
        let most = quota::FUNCTION_ENVIRONMENT_BYTES_MAX;
        if bytes > most {
            faults.add(
                "routes",
                format_args!(
                    "the routes do not fit into a function's environment: {bytes} of {most} bytes; \
                     shorten names and URLs or split the environment"
                ),
            );
        }
    }

    /// The route of a message: by its attribute, or, for messages that were sent straight to the
    /// queue, by its message group id.
    ///
    /// # Errors
    ///
    /// [`UnknownRoute`] with the name that was looked for.
    pub fn route_of_message(&self, message: &Message) -> Result<&Route, UnknownRoute> {
        if let Some(name) = message.route_name() {
            return self.routes.get(name).ok_or_else(|| UnknownRoute(name.to_owned()));
        }
        let group_id = message.group_id.as_str();
        self.routes
            .values()
            .find(|route| route.ordering_key.as_static() == Some(group_id))
            .or_else(|| self.routes.get(group_id))
            .ok_or_else(|| UnknownRoute(group_id.to_owned()))
    }
}

impl Forwarder {
    fn check(faults: &mut Faults, file: &ForwarderFile) -> Self {
        faults.within(
            "forwarder.function_timeout_seconds",
            file.function_timeout_seconds,
            2..=quota::FUNCTION_TIMEOUT_SECONDS_MAX,
            "seconds",
        );
        faults.within(
            "forwarder.batch_size",
            file.batch_size,
            1..=quota::BATCH_SIZE_MAX,
            "messages",
        );
        faults.within(
            "forwarder.max_concurrency",
            file.max_concurrency,
            quota::CONCURRENCY_MIN..=quota::CONCURRENCY_MAX,
            "invocations",
        );
        Self {
            function_timeout: seconds(file.function_timeout_seconds),
            batch_size: file.batch_size,
            max_concurrency: file.max_concurrency,
            log_level: file.log_level,
        }
    }
}

impl Queue {
    fn check(
        faults: &mut Faults,
        file: &QueueFile,
        forwarder: Forwarder,
        content_based_deduplication: bool,
    ) -> Self {
        let retention = quota::RETENTION_SECONDS_MIN..=quota::RETENTION_SECONDS_MAX;
        faults.within(
            "queue.retention_seconds",
            file.retention_seconds,
            retention.clone(),
            "seconds",
        );
        faults.within(
            "queue.dead_letter_retention_seconds",
            file.dead_letter_retention_seconds,
            retention,
            "seconds",
        );
        faults.within(
            "queue.max_receive_count",
            file.max_receive_count,
            quota::RECEIVE_COUNT_MIN..=quota::RECEIVE_COUNT_MAX,
            "receives",
        );
        faults.within(
            "queue.max_message_bytes",
            file.max_message_bytes.unwrap_or(quota::MESSAGE_BYTES_MAX),
            quota::MESSAGE_BYTES_MIN..=quota::MESSAGE_BYTES_MAX,
            "bytes (a dead letter must hold the message and the reason)",
        );
        Self {
            retention: seconds(file.retention_seconds),
            dead_letter_retention: seconds(file.dead_letter_retention_seconds),
            max_receive_count: file.max_receive_count,
            max_message_bytes: file.max_message_bytes.unwrap_or(quota::MESSAGE_BYTES_MAX),
            high_throughput: file.high_throughput,
            content_based_deduplication,
            visibility_timeout: forwarder.function_timeout
                * quota::FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT,
        }
    }
}

/// The shape of a configuration file.
fn read(json: &str) -> Result<ConfigFile, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let shape_error = |path: String, problem: String| {
        let path = if path == "." { "(the file)".to_owned() } else { path };
        ConfigError { faults: vec![Fault { path, problem }] }
    };
    let file = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        shape_error(error.path().to_string(), JsonError::from(error.inner()).to_string())
    })?;
    deserializer.end().map_err(|error| shape_error(".".to_owned(), error.to_string()))?;
    Ok(file)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// Two routes must not take the same requests, nor the same messages without a route: those are routed
/// by a fixed message group.
fn check_paths(faults: &mut Faults, routes: &BTreeMap<String, Route>) {
    let mut taken: Vec<(&RoutePath, &str)> = Vec::new();
    for route in routes.values() {
        for (position, path) in route.paths().enumerate() {
            let field = if position == 0 { "path" } else { "former_paths" };
            if let Some((_, by)) = taken.iter().find(|(other, _)| other.collides(path)) {
                faults.add(
                    format_args!("routes.{}.{field}", route.name),
                    format_args!("{path} is the path of route {by} already"),
                );
            }
            taken.push((path, &route.name));
        }
    }
    for (position, route) in routes.values().enumerate() {
        for earlier in routes.values().take(position) {
            if let (Some(key), Some(other)) =
                (route.ordering_key.as_static(), earlier.ordering_key.as_static())
                && key == other
            {
                faults.add(
                    format_args!("routes.{}.ordering_key", route.name),
                    format_args!("{key:?} is the fixed key of route {} already", earlier.name),
                );
            }
        }
    }
}

/// Where hosts are named, no destination may be elsewhere. Redirects are not followed, so it stays
/// there.
fn check_allowed_hosts(
    faults: &mut Faults,
    allowed_hosts: &[String],
    routes: &BTreeMap<String, Route>,
) {
    for (position, host) in allowed_hosts.iter().enumerate() {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let good = !name.is_empty()
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b':' | b'[' | b']'));
        if !good {
            faults.add(
                format_args!("forwarder.allowed_hosts[{position}]"),
                format_args!(
                    "expected a host in lower case without port, such as sss.example.com, or \
                     *.example.com for all below it, is {host:?}"
                ),
            );
        }
    }
    if allowed_hosts.is_empty() {
        return;
    }
    let is_allowed = |host: &str| {
        allowed_hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => host == allowed,
        })
    };
    for route in routes.values() {
        for (position, destination) in route.destinations.iter().enumerate() {
            let host = destination.url.host_str().unwrap_or_default();
            if !is_allowed(host) {
                faults.add(
                    format_args!("routes.{}.destinations[{position}].url", route.name),
                    format_args!("{host} is not among forwarder.allowed_hosts"),
                );
            }
        }
    }
}

/// Errors name no part of the URL: it may hold a password.
fn parse_proxy(source: &str) -> Result<Url, String> {
    let url = Url::parse(source).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    if url.scheme() != "http" {
        return Err(
            "must begin with http://: what goes to an https destination is encrypted within"
                .to_owned(),
        );
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must be a host and a port only, such as http://proxy.internal:3128".to_owned());
    }
    if let Some(ip) = address::literal(&url).filter(|ip| address::is_forbidden(*ip)) {
        return Err(format!("{ip} is never called"));
    }
    Ok(url)
}

/// Nothing may expire before this system gives it up with a reason.
fn check_retention(faults: &mut Faults, route: &mut Route, queue: Queue) {
    let longest_wait = route.schedule.max_delay().max(queue.visibility_timeout);
    route.last_receive_within = queue.retention.saturating_sub(longest_wait);
    if route.give_up_after > route.last_receive_within {
        faults.add(
            format_args!("routes.{}.give_up_after_seconds", route.name),
            format_args!(
                "with one more wait of {} s it must be at most queue.retention_seconds, {}, is {}: SQS \
                 would delete the message first",
                longest_wait.as_secs(),
                queue.retention.as_secs(),
                route.give_up_after.as_secs()
            ),
        );
    }
}

#[cfg(test)]
mod tests;
