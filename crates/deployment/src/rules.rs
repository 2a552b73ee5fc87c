//! The rules about [`AwsFile`]: those of the Terraform modules, before Terraform is started, and
//! those between it and the routes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::config::{Config, Faults};
use domain::environment;
use domain::mapping::{Context, Request, Unresolvable};
use domain::quota;
use domain::route::Route;
use domain::route_path::RoutePath;
use domain::secret::SecretReference;
use domain::signature::Verification;

use crate::file::{
    ApiFile, AuthorizationFile, AuthorizationKind, AwsFile, DEFAULT_STAGE, FunctionFile,
    NotificationsFile, SmokeTestFile, ThresholdsFile, ThrottlingFile,
};

/// The path that the stand-in for the service answers on: the default of `modules/sss-stub`.
const STUB_PATH: &str = "/application-hook";

/// Variables whose values no configuration tells.
const ONLY_AWS_KNOWS: [&str; 2] = ["context.authorizer.", "stageVariables."];

/// Adds a fault for whatever breaks a rule.
pub(crate) fn check(faults: &mut Faults, aws: &AwsFile, config: &Config) {
    places(faults, aws, config.environment());
    if let Some(file) = &aws.api {
        api(faults, file, &aws.throttling);
    }
    authorization(faults, &aws.authorization);
    throttling(faults, &aws.throttling, config);
    key(faults, "aws.encryption.kms_key_arn", aws.encryption.kms_key_arn.as_deref());
    key(
        faults,
        "aws.encryption.secrets_kms_key_arn",
        aws.encryption.secrets_kms_key_arn.as_deref(),
    );
    // The emulator's file is that of the engine on the same machine.
    if config.environment() != "local" {
        secrets(faults, config);
        if config.file().notify.is_some() {
            faults.add(
                "notify",
                "is for one machine; on AWS alarms tell who is named in aws.notifications",
            );
        }
        if config.keep_delivered().is_some() {
            faults.add(
                "keep_delivered",
                "is for one machine; SQS keeps nothing of what was delivered",
            );
        }
    }
    faults.within(
        "aws.encryption.data_key_reuse_seconds",
        aws.encryption.data_key_reuse_seconds,
        quota::DATA_KEY_REUSE_SECONDS_MIN..=quota::DATA_KEY_REUSE_SECONDS_MAX,
        "seconds",
    );
    function(faults, &aws.function, config);
    if let Some(bytes) = config.file().queue.max_message_bytes {
        faults.within(
            "queue.max_message_bytes",
            bytes,
            quota::MESSAGE_BYTES_MIN..=quota::AWS_MESSAGE_BYTES_MAX,
            "bytes on AWS (the Terraform provider sets no more on the dead-letter queue, which needs 4096 more)",
        );
    }
    let days = aws.logs.retention_days;
    if !quota::LOG_RETENTION_DAYS.contains(&days) {
        faults.add(
            "aws.logs.retention_days",
            format_args!("must be one of {:?}, is {days}", quota::LOG_RETENTION_DAYS),
        );
    }
    key(faults, "aws.logs.kms_key_arn", aws.logs.kms_key_arn.as_deref());
    notifications(faults, &aws.notifications);
    thresholds(faults, &aws.thresholds);
    let url = &aws.runbook_url;
    if url.is_empty() || url.contains(|c: char| c == '#' || c.is_whitespace()) {
        let rule = "must be an address without #, which the sections follow";
        faults.add("aws.runbook_url", format_args!("{rule}, is {url:?}"));
    }
    if let Some(arn) = &aws.permissions_boundary_arn
        && !is_arn(arn, "iam", "policy/")
    {
        faults.add(
            "aws.permissions_boundary_arn",
            format_args!("must be the ARN of a policy, is {arn:?}"),
        );
    }
    if aws.sss_stub {
        stub(faults, config);
    }
    if let Some(smoke_test) = &aws.smoke_test {
        let stage = aws.api.as_ref().map_or(DEFAULT_STAGE, |api| api.stage.as_str());
        self::smoke_test(faults, smoke_test, stage, config);
    }
    tags(faults, &aws.tags);
}

/// Region, account and buckets.
fn places(faults: &mut Faults, aws: &AwsFile, environment: &str) {
    if !is_region(&aws.region) {
        faults.add(
            "aws.region",
            format_args!("must be one such as ap-northeast-1, is {:?}", aws.region),
        );
    }
    if let Some(id) = &aws.account_id
        && !is_account_id(id)
    {
        faults.add("aws.account_id", format_args!("must be 12 digits, is {id:?}"));
    }
    for (field, bucket) in
        [("state_bucket", &aws.state_bucket), ("artifact_bucket", &aws.artifact_bucket)]
    {
        let path = format_args!("aws.{field}");
        match bucket {
            Some(name) if !is_bucket(name) => faults.add(
                path,
                format_args!(
                    "a bucket's name is 3 to 63 lower-case letters, digits, \"-\" and \".\", and \
                     begins and ends with a letter or digit, is {name:?}"
                ),
            ),
            None if environment != "local" => faults
                .add(path, "is missing; only the environment \"local\" keeps this in a directory"),
            _ => {}
        }
    }
}

fn api(faults: &mut Faults, file: &ApiFile, throttling: &ThrottlingFile) {
    if file.id.is_some() == file.name.is_some() {
        faults.add("aws.api", "needs either id or name");
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let named = (1..=128).contains(&file.stage.len()) && file.stage.bytes().all(good);
    if file.stage != DEFAULT_STAGE && !named {
        faults.add(
            "aws.api.stage",
            format_args!(
                "is $default, or 1 to 128 letters, digits, \"-\" and \"_\", is {:?}",
                file.stage
            ),
        );
    }
    if *throttling != ThrottlingFile::default() {
        faults.add(
            "aws.throttling",
            "is for an API that is made; the limits of aws.api are set on its stage, by its owner",
        );
    }
}

fn authorization(faults: &mut Faults, file: &AuthorizationFile) {
    let given = [file.authorizer_id.is_some(), file.jwt.is_some(), file.lambda.is_some()];
    let given = given.into_iter().filter(|given| *given).count();
    let needs_authorizer = matches!(file.kind, AuthorizationKind::Jwt | AuthorizationKind::Custom);
    if given != usize::from(needs_authorizer) {
        faults.add(
            "aws.authorization",
            format_args!(
                "JWT and CUSTOM need one of authorizer_id, jwt and lambda, NONE and AWS_IAM none \
                 of them; has {given}"
            ),
        );
    }
    if let Some(jwt) = &file.jwt {
        if file.kind != AuthorizationKind::Jwt {
            faults.add("aws.authorization.jwt", "is for the type JWT");
        }
        if !jwt.issuer.starts_with("https://") || jwt.audience.is_empty() {
            faults.add(
                "aws.authorization.jwt",
                "needs an issuer that begins with https:// and at least one audience",
            );
        }
    }
    if let Some(lambda) = &file.lambda {
        if file.kind != AuthorizationKind::Custom {
            faults.add("aws.authorization.lambda", "is for the type CUSTOM");
        }
        faults.within(
            "aws.authorization.lambda.result_ttl_seconds",
            lambda.result_ttl_seconds,
            0..=quota::AUTHORIZER_RESULT_SECONDS_MAX,
            "seconds",
        );
    }
    if !file.scopes.is_empty() && file.kind != AuthorizationKind::Jwt {
        faults.add("aws.authorization.scopes", "are for the type JWT");
    }
}

fn throttling(faults: &mut Faults, file: &ThrottlingFile, config: &Config) {
    let mut limit = |path: &dyn fmt::Display, rate_per_second: f64, burst: u32| {
        if rate_per_second <= 0.0 || burst == 0 {
            faults.add(
                path,
                format_args!(
                    "rate_per_second must be above 0 and burst at least 1, are {rate_per_second} \
                     and {burst}: with 0 everything would be refused"
                ),
            );
        }
    };
    limit(&"aws.throttling", file.rate_per_second, file.burst);
    for (name, route) in &file.routes {
        let path = format!("aws.throttling.routes.{name}");
        limit(&path, route.rate_per_second, route.burst);
    }
    for name in file.routes.keys().filter(|name| !config.file().routes.contains_key(*name)) {
        faults.add(format_args!("aws.throttling.routes.{name}"), "there is no such route");
    }
}

fn function(faults: &mut Faults, file: &FunctionFile, config: &Config) {
    faults.within(
        "aws.function.memory_megabytes",
        file.memory_megabytes,
        quota::FUNCTION_MEMORY_MEGABYTES_MIN..=quota::FUNCTION_MEMORY_MEGABYTES_MAX,
        "MB",
    );
    let wanted = config.forwarder().max_concurrency;
    if let Some(reserved) = file.reserved_concurrency
        && reserved < wanted
    {
        faults.add(
            "aws.function.reserved_concurrency",
            format_args!(
                "must be at least forwarder.max_concurrency, {wanted}, is {reserved}: throttled \
                 receives count, and end in the dead-letter queue"
            ),
        );
    }
    if let Some(vpc) = &file.vpc
        && (vpc.subnet_ids.is_empty() || vpc.security_group_ids.is_empty())
    {
        faults.add("aws.function.vpc", "needs at least one subnet and one security group");
    }
    for name in file.environment_variables.keys() {
        if !is_free_variable(name) {
            faults.add(
                format_args!("aws.function.environment_variables.{name}"),
                "a name is letters, digits and \"_\", begins with a letter, and is none that \
                 Lambda or the forwarder has already",
            );
        }
    }
    let own = config.environment_bytes();
    let more: usize =
        file.environment_variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    let most = quota::FUNCTION_ENVIRONMENT_BYTES_MAX;
    if own <= most && own + more > most {
        faults.add(
            "aws.function.environment_variables",
            format_args!(
                "do not fit into a function's environment beside the routes: {} of {most} bytes",
                own + more
            ),
        );
    }
}

fn notifications(faults: &mut Faults, file: &NotificationsFile) {
    if file.emails.is_empty() && file.action_arns.is_empty() {
        faults.add(
            "aws.notifications",
            "needs an e-mail address or an action: an alarm that nobody hears is none",
        );
    }
    for email in file.emails.iter().filter(|email| !is_email(email)) {
        faults.add("aws.notifications.emails", format_args!("{email:?} is not an address"));
    }
    if file.action_arns.len() > quota::ALARM_ACTIONS_MAX - 1 {
        faults.add(
            "aws.notifications.action_arns",
            format_args!(
                "has {}; CloudWatch takes {} actions, and the topic is one",
                file.action_arns.len(),
                quota::ALARM_ACTIONS_MAX
            ),
        );
    }
    for arn in file.action_arns.iter().filter(|arn| !arn.starts_with("arn:")) {
        faults.add("aws.notifications.action_arns", format_args!("{arn:?} is not an ARN"));
    }
}

fn thresholds(faults: &mut Faults, file: &ThresholdsFile) {
    for (field, value) in [
        ("oldest_message_seconds", file.oldest_message_seconds),
        ("api_client_errors", file.api_client_errors),
        ("api_server_errors", file.api_server_errors),
    ] {
        if value == 0 {
            faults.add(
                format_args!("aws.thresholds.{field}"),
                "must be at least 1: with 0 the alarm would always be on",
            );
        }
    }
    faults.within(
        "aws.thresholds.not_receiving_minutes",
        file.not_receiving_minutes,
        5..=24 * 60,
        "minutes (an idle queue is asked every few seconds, and CloudWatch looks back a day)",
    );
    let share = file.dead_letter_age_share;
    if !(share > 0.0 && share < 1.0) {
        faults.add(
            "aws.thresholds.dead_letter_age_share",
            format_args!("must be between 0 and 1, is {share}: at 1 the message is gone"),
        );
    }
}

fn stub(faults: &mut Faults, config: &Config) {
    let path = RoutePath::parse(STUB_PATH).expect("the stub's path is one");
    for route in config.routes().values() {
        for taken in route.paths().filter(|taken| taken.collides(&path)) {
            faults.add(
                format_args!("routes.{}.path", route.name()),
                format_args!("{taken} is where aws.sss_stub answers"),
            );
        }
    }
}

/// A function's variables and files are read by everybody who may see the function.
fn secrets(faults: &mut Faults, config: &Config) {
    for route in config.routes().values() {
        for reference in route.secrets() {
            match reference {
                SecretReference::Parameter(_) | SecretReference::SecretsManager(_) => {}
                SecretReference::Variable(_) | SecretReference::File(_) => faults.add(
                    format_args!("routes.{}", route.name()),
                    format_args!(
                        "{reference} is for one machine; on AWS a secret is at ssm:/PATH or \
                         secretsmanager:NAME-OR-ARN"
                    ),
                ),
            }
        }
    }
}

/// The event must be one that the route takes: asked of the route itself.
fn smoke_test(faults: &mut Faults, file: &SmokeTestFile, stage: &str, config: &Config) {
    let Some(route) = config.routes().get(&file.route) else {
        if !config.file().routes.contains_key(&file.route) {
            let problem = format_args!("there is no route {:?}", file.route);
            faults.add("aws.smoke_test.route", problem);
        }
        return;
    };
    if let Some(parameter) = route.path().parameters().next() {
        faults.add(
            "aws.smoke_test.route",
            format_args!("the path {} needs a value for {{{parameter}}}", route.path()),
        );
        return;
    }
    if route.verify().is_some_and(Verification::signs_time) {
        faults.add(
            "aws.smoke_test.route",
            format_args!(
                "route {} verifies when its events were signed, and this one's headers are always \
                 the same: choose another route",
                route.name()
            ),
        );
        return;
    }
    let expressions = [route.ordering_key(), route.event_id()];
    let mut sources = expressions.iter().map(|expression| expression.source());
    if sources.any(|source| ONLY_AWS_KNOWS.iter().any(|variable| source.contains(variable))) {
        return;
    }
    match taken(route, file, stage) {
        Err(unresolvable) => faults.add(
            "aws.smoke_test",
            format_args!("route {} would refuse it: {unresolvable}", route.name()),
        ),
        Ok(group_id) if !quota::is_id(&group_id) => faults.add(
            "aws.smoke_test",
            format_args!(
                "a message group id is 1 to 128 ASCII letters, digits and punctuation marks, \
                 would be {group_id:?}"
            ),
        ),
        Ok(_) => {}
    }
}

/// The message group that the event would be in.
fn taken(route: &Route, file: &SmokeTestFile, stage: &str) -> Result<String, Unresolvable> {
    let body = file.body.to_string();
    let route_key = route.route_key();
    let request = Request {
        headers: file.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        path: route.path().as_str(),
        body: &body,
        context: Context {
            request_id: "smoke-test",
            source_ip: "192.0.2.1",
            route_key: &route_key,
            stage,
            http_method: "POST",
            ..Context::default()
        },
        ..Request::default()
    };
    // Whichever queue: its URL says nothing of the event.
    Ok(route.integration("https://sqs.invalid/queue.fifo").evaluate(&request)?.group_id)
}

/// Sources: tag restrictions of the IAM and resource groups guides; IAM takes keys that differ only
/// in case for the same.
fn tags(faults: &mut Faults, tags: &BTreeMap<String, String>) {
    let good = |text: &str| {
        text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
    };
    let mut seen = BTreeSet::from(["system".to_owned(), "environment".to_owned()]);
    for (key, value) in tags {
        let path = format_args!("aws.tags.{key}");
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") || !(1..=128).contains(&key.chars().count()) || !good(key) {
            faults.add(
                path,
                "a tag's key is 1 to 128 letters, digits, spaces and \"_.:/=+-@\", and does not \
                 begin with aws:",
            );
        } else if !seen.insert(lower) {
            faults.add(path, "is a tag of ours, or there twice in another case");
        }
        if value.chars().count() > 256 || !good(value) {
            faults.add(
                path,
                format_args!(
                    "a tag's value is at most 256 letters, digits, spaces and \"_.:/=+-@\", is \
                     {value:?}"
                ),
            );
        }
    }
}

fn key(faults: &mut Faults, path: &str, arn: Option<&str>) {
    if let Some(arn) = arn.filter(|arn| !is_arn(arn, "kms", "key/")) {
        faults.add(path, format_args!("must be the ARN of a key, not of an alias, is {arn:?}"));
    }
}

/// Whether `text` is the ARN of a resource of `service` whose name begins with `kind`.
fn is_arn(text: &str, service: &str, kind: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, its_service, region, account, resource] = parts[..] else {
        return false;
    };
    let of_aws = service == "iam" && account == "aws";
    partition.starts_with("aws")
        && its_service == service
        && (is_region(region) || service == "iam" && region.is_empty())
        && (is_account_id(account) || of_aws)
        && resource.strip_prefix(kind).is_some_and(|name| !name.is_empty())
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, middle @ .., number] = &parts[..] else { return false };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    area.len() == 2
        && letters(area)
        && !middle.is_empty()
        && middle.iter().all(|part| letters(part))
        && number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Source: S3 guide, "Bucket naming rules".
fn is_bucket(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain);
    (3..=63).contains(&name.len())
        && ends
        && name.bytes().all(|b| plain(b) || b == b'-' || b == b'.')
        && !name.contains("..")
}

fn is_email(text: &str) -> bool {
    let good = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace());
    match text.split_once('@') {
        Some((user, host)) if good(user) && good(host) && !host.contains('@') => host
            .split_once('.')
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty()),
        _ => false,
    }
}

/// Whether a function's variable may have this name.
/// Source: Lambda guide, "Defined runtime environment variables".
fn is_free_variable(name: &str) -> bool {
    const TAKEN: [&str; 13] = [
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        environment::CONFIG_VARIABLE,
        environment::DEAD_LETTER_QUEUE_URL_VARIABLE,
        environment::INGEST_SENDER_VARIABLE,
        environment::METRICS_VARIABLE,
        environment::QUEUE_URL_VARIABLE,
        environment::SKIPS_VARIABLE,
    ];
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !TAKEN.contains(&name)
        && !["AWS_LAMBDA_", "AWS_ACCESS_KEY"].iter().any(|prefix| name.starts_with(prefix))
}
