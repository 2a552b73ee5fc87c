//! The function's environment, parsed once. Every fault is reported, each by its variable.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_sqs::config::Credentials;
use domain::config::Config;
use domain::environment::{
    CONFIG_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE, INGEST_SENDER_VARIABLE, METRICS_VARIABLE,
    QUEUE_URL_VARIABLE, SKIPS_VARIABLE,
};
use domain::secret::SecretReference;

/// What the forwarder needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Routes, timeouts and limits.
    pub config: Config,
    /// Where the messages come from.
    pub queue_url: String,
    /// Where what cannot be delivered goes.
    pub dead_letter_queue_url: String,
    /// The unique id of the role that the ingest sends messages with, where that is known: what others
    /// sent, such as an operator, may carry marks.
    pub(crate) ingest_sender: Option<String>,
    /// Where the events are listed that an operator wants skipped, if anywhere.
    pub(crate) skips: Option<SkipsPlace>,
    /// How AWS's services are reached.
    pub aws: Arc<AwsSettings>,
    /// A file with the certificates to trust, instead of the built-in ones.
    pub ssl_cert_file: Option<PathBuf>,
    /// Whether metrics are written among the log lines, for `CloudWatch`.
    pub metrics: bool,
}

/// Where the skips are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SkipsPlace {
    /// A parameter of Systems Manager's Parameter Store, by its name with the leading `/`.
    Parameter(String),
    /// A file; on one machine.
    File(String),
}

impl SkipsPlace {
    /// Parses `ssm:/NAME` or `file:/PATH`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match SecretReference::parse(text) {
            Ok(SecretReference::Parameter(name)) => Some(Self::Parameter(name)),
            Ok(SecretReference::File(path)) => Some(Self::File(path)),
            _ => None,
        }
    }
}

/// How AWS's services are reached. Lambda gives a function region and credentials in its environment.
pub struct AwsSettings {
    pub(crate) region: String,
    pub(crate) sqs_endpoint_url: Option<String>,
    pub(crate) ssm_endpoint_url: Option<String>,
    pub(crate) secrets_manager_endpoint_url: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl AwsSettings {
    /// What requests to AWS are signed with.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::new(
            &self.access_key_id,
            &self.secret_access_key,
            self.session_token.clone(),
            None,
            "environment",
        )
    }
}

/// The secret stays out of logs, however it is printed.
impl fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSettings")
            .field("region", &self.region)
            .field("sqs_endpoint_url", &self.sqs_endpoint_url)
            .finish_non_exhaustive()
    }
}

/// Variables that are missing or wrong; never empty.
#[derive(Debug)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings through `get`, which gives the value of an environment variable.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with every variable that is missing or wrong.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut faults = Vec::new();
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let mut required = |name: &str| {
            get(name).or_else(|| {
                faults.push(format!("{name} is not set"));
                None
            })
        };
        let json = required(CONFIG_VARIABLE);
        let queue_url = required(QUEUE_URL_VARIABLE);
        let dead_letter_queue_url = required(DEAD_LETTER_QUEUE_URL_VARIABLE);
        let region = required("AWS_REGION");
        let access_key_id = required("AWS_ACCESS_KEY_ID");
        let secret_access_key = required("AWS_SECRET_ACCESS_KEY");
        let metrics = match get(METRICS_VARIABLE).as_deref() {
            None => false,
            Some("emf") => true,
            Some(other) => {
                faults.push(format!("{METRICS_VARIABLE} is {other:?}; it must be emf, or not set"));
                false
            }
        };
        let skips = get(SKIPS_VARIABLE).and_then(|text| {
            let place = SkipsPlace::parse(&text);
            if place.is_none() {
                faults.push(format!(
                    "{SKIPS_VARIABLE} is {text:?}; it must be ssm:/NAME or file:/PATH, or not set"
                ));
            }
            place
        });
        let config = json.and_then(|json| {
            Config::parse(&json)
                .map_err(|error| faults.push(format!("{CONFIG_VARIABLE}: {error}")))
                .ok()
        });
        // Source: AWS SDKs and tools guide, "Service-specific endpoints".
        let endpoint_url = |service: &str| {
            get(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| get("AWS_ENDPOINT_URL"))
        };
        let settings = || {
            Some(Self {
                config: config?,
                queue_url: queue_url?,
                dead_letter_queue_url: dead_letter_queue_url?,
                ingest_sender: get(INGEST_SENDER_VARIABLE),
                skips,
                aws: Arc::new(AwsSettings {
                    region: region?,
                    sqs_endpoint_url: endpoint_url("SQS"),
                    ssm_endpoint_url: endpoint_url("SSM"),
                    secrets_manager_endpoint_url: endpoint_url("SECRETS_MANAGER"),
                    access_key_id: access_key_id?,
                    secret_access_key: secret_access_key?,
                    session_token: get("AWS_SESSION_TOKEN"),
                }),
                ssl_cert_file: get("SSL_CERT_FILE").map(PathBuf::from),
                metrics,
            })
        };
        settings().ok_or(SettingsError(faults))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn environment() -> BTreeMap<&'static str, String> {
        let config = r#"{"environment":"test","routes":{"sss":{"path":"/sqs-hook","ordering_key":"g",
            "destinations":[{"name":"sss","url":"http://localhost/"}]}}}"#;
        BTreeMap::from([
            ("WEBHOOK_QUEUE_CONFIG", config.to_owned()),
            ("QUEUE_URL", "http://q/1".to_owned()),
            ("DEAD_LETTER_QUEUE_URL", "http://q/2".to_owned()),
            ("AWS_REGION", "ap-northeast-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "planted-secret".to_owned()),
        ])
    }

    #[test]
    fn a_complete_environment_is_read_and_keeps_its_secret() {
        let settings = Settings::read(|name| environment().get(name).cloned()).unwrap();
        assert_eq!(settings.config.environment(), "test");
        assert!(!format!("{settings:?}").contains("planted-secret"));
    }

    #[test]
    fn every_missing_variable_is_named() {
        let error = Settings::read(|_| None).unwrap_err().to_string();
        for name in environment().keys() {
            assert!(error.contains(&format!("{name} is not set")), "{error}");
        }
    }

    #[test]
    fn a_broken_configuration_is_explained() {
        let mut environment = environment();
        environment.insert("WEBHOOK_QUEUE_CONFIG", "{\"environment\":1}".to_owned());
        environment.remove("QUEUE_URL");
        environment.insert("WEBHOOK_QUEUE_SKIPS", "skips.json".to_owned());
        let error = Settings::read(|name| environment.get(name).cloned()).unwrap_err().to_string();
        assert!(
            error.contains(
                "QUEUE_URL is not set; WEBHOOK_QUEUE_SKIPS is \"skips.json\"; it must be \
                 ssm:/NAME or file:/PATH, or not set; WEBHOOK_QUEUE_CONFIG: configuration: \
                 environment:"
            ),
            "{error}"
        );
    }

    #[test]
    fn skips_are_in_a_parameter_or_in_a_file() {
        let parameter = SkipsPlace::Parameter("/dev/webhook/skips".to_owned());
        assert_eq!(SkipsPlace::parse("ssm:/dev/webhook/skips"), Some(parameter));
        let file = SkipsPlace::File("/data/skips.json".to_owned());
        assert_eq!(SkipsPlace::parse("file:/data/skips.json"), Some(file));
        for text in ["env:SKIPS", "secretsmanager:skips", "skips.json", ""] {
            assert_eq!(SkipsPlace::parse(text), None, "{text}");
        }
    }
}
