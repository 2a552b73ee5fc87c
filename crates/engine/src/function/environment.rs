//! The environment variables of the function, all of them: it must not be able to depend on anything
//! of this machine that Lambda would not give it. The exceptions are `PATH`, `SSL_CERT_FILE`, a private
//! certificate authority, which on AWS is a file in the artifact, and the secrets that the
//! configuration refers to as `env:NAME`.
//!
//! Source: Lambda guide, "Defined runtime environment variables".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use domain::config::{Config, LogLevel};
use domain::environment::{INGEST_SENDER_VARIABLE, SKIPS_FILE, SKIPS_VARIABLE};

use crate::deliberate;
use crate::store::INGEST_SENDER_ID;
use crate::store::arn::{ACCOUNT_ID, REGION};

/// Who the function is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionIdentity {
    /// Its name.
    pub(crate) name: String,
}

impl FunctionIdentity {
    /// The forwarder of an environment.
    pub(crate) fn of(config: &Config) -> Self {
        Self { name: format!("{}-webhook-forwarder", config.environment()) }
    }

    /// Its ARN.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{}", self.name)
    }
}

/// How the function reaches the queues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queues<'a> {
    /// The URLs of the queue and of the dead-letter queue.
    pub(crate) urls: (&'a str, &'a str),
    /// Where both are.
    pub(crate) api: SocketAddr,
    /// What their callers show.
    pub(crate) access_key_id: &'a str,
}

/// The variables of the function, without `AWS_LAMBDA_RUNTIME_API`, which differs by process.
///
/// `data_dir`, absolute, is where an operator lists what is to be skipped; `own` gives the engine's own
/// variables.
pub(crate) fn function_environment(
    config: &Config,
    identity: &FunctionIdentity,
    queues: Queues<'_>,
    data_dir: Option<&Path>,
    own: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let FunctionIdentity { name } = identity;
    let mut variables = config.forwarder_environment(queues.urls.0, queues.urls.1);
    let fixed = [
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", level(config.forwarder().log_level)),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        // The queues of this engine look at the id, not at the signature that the SDK makes with these.
        ("AWS_ACCESS_KEY_ID", queues.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("_HANDLER", "bootstrap"),
    ];
    variables.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables.insert("AWS_LAMBDA_LOG_GROUP_NAME".to_owned(), format!("/aws/lambda/{name}"));
    variables.insert("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), "local".to_owned());
    variables.insert("AWS_ENDPOINT_URL_SQS".to_owned(), format!("http://{}", queues.api));
    let ingest = INGEST_SENDER_ID.split(':').next().unwrap_or_default();
    variables.insert(INGEST_SENDER_VARIABLE.to_owned(), ingest.to_owned());
    if let Some(dir) = data_dir {
        let file = dir.join(SKIPS_FILE);
        variables.insert(SKIPS_VARIABLE.to_owned(), format!("file:{}", file.display()));
    }
    for name in
        config.secret_variables().chain(["PATH", "SSL_CERT_FILE"]).chain(deliberate::passed_on())
    {
        if let (Some(value), false) = (own(name), variables.contains_key(name)) {
            variables.insert(name.to_owned(), value);
        }
    }
    variables
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warn => "WARN",
        LogLevel::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(own: &[(&str, &str)]) -> BTreeMap<String, String> {
        let config = Config::parse(
            r#"{"environment":"local","routes":{"sss":{"path":"/sqs-hook","ordering_key":"all",
                "verify":{"scheme":"github","secrets":["env:GITHUB_SECRET","env:AWS_REGION"]},
                "destinations":[{"name":"sss","url":"http://127.0.0.1:9010/hook",
                    "sign":{"secrets":["env:SSS_SECRET"]}}]}}}"#,
        )
        .unwrap();
        let identity = FunctionIdentity::of(&config);
        let api = SocketAddr::from(([127, 0, 0, 1], 9324));
        let own = |name: &str| {
            own.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        };
        let data_dir = Some(Path::new("/data"));
        let queues = Queues { urls: ("http://q", "http://d"), api, access_key_id: "WQ0" };
        function_environment(&config, &identity, queues, data_dir, own)
    }

    #[test]
    fn the_function_knows_its_queues_and_where_they_are() {
        let variables = variables(&[]);
        assert_eq!(variables["QUEUE_URL"], "http://q");
        assert_eq!(variables["AWS_ACCESS_KEY_ID"], "WQ0");
        assert_eq!(variables["DEAD_LETTER_QUEUE_URL"], "http://d");
        assert_eq!(variables["AWS_ENDPOINT_URL_SQS"], "http://127.0.0.1:9324");
        assert_eq!(variables["WEBHOOK_QUEUE_SKIPS"], "file:/data/skips.json");
        assert_eq!(variables["WEBHOOK_QUEUE_INGEST_SENDER"], "AROAINGESTLOCAL");
        assert_eq!(variables["AWS_LAMBDA_FUNCTION_NAME"], "local-webhook-forwarder");
        assert_eq!(variables["AWS_LAMBDA_LOG_LEVEL"], "INFO");
    }

    #[test]
    fn of_the_machines_variables_it_gets_two() {
        let variables =
            variables(&[("PATH", "/bin"), ("SSL_CERT_FILE", "/ca.pem"), ("HOME", "/root")]);
        assert_eq!(variables["PATH"], "/bin");
        assert_eq!(variables["SSL_CERT_FILE"], "/ca.pem");
        assert!(!variables.contains_key("HOME"));
    }

    #[test]
    fn it_gets_the_secrets_that_the_configuration_refers_to() {
        let own = [("GITHUB_SECRET", "s-1"), ("SSS_SECRET", "s-2"), ("AWS_REGION", "mars")];
        let variables = variables(&own);
        assert_eq!(variables["GITHUB_SECRET"], "s-1");
        assert_eq!(variables["SSS_SECRET"], "s-2");
        assert_eq!(variables["AWS_REGION"], REGION, "no reference changes what the function is");
    }

    #[test]
    fn it_has_the_arn_of_a_function() {
        let identity = FunctionIdentity { name: "local-webhook-forwarder".to_owned() };
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:local-webhook-forwarder";
        assert_eq!(identity.arn(), arn);
    }
}
