//! An environment as it is deployed to AWS: what its configuration file says of that, beside the rules
//! of delivery. Whatever AWS would refuse is refused here, with its place in the file.
//!
//! Who only delivers, on AWS as well, reads the same file as a [`Config`] and passes this part over.
//! Deliberately absent: rules of delivery, which are asked of the domain, and anything that calls AWS.

mod file;
mod rules;
#[cfg(test)]
mod tests;

use domain::config::{Config, ConfigError, Fault};
use domain::json::JsonError;
use serde::Deserialize;

pub use file::{
    ApiFile, Architecture, AuthorizationFile, AuthorizationKind, AwsFile, DEFAULT_STAGE,
    EncryptionFile, FunctionFile, JwtFile, LambdaAuthorizerFile, LogsFile, NotificationsFile,
    RouteThrottlingFile, SmokeTestFile, ThresholdsFile, ThrottlingFile, VpcFile,
};

/// A whole configuration file, checked.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// What is delivered where.
    pub config: Config,
    /// Where it is deployed to, and how; `None` for an environment of one machine only.
    pub aws: Option<AwsFile>,
}

impl Deployment {
    /// Parses the text of a configuration file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every broken rule, of both parts; when one of them is not of the file's
    /// shape at all, with the first place where it is not.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let (aws, wrong) = match read(json) {
            Ok(aws) => (aws, None),
            Err(wrong) => (None, wrong),
        };
        let config = Config::parse_with(json, |faults, config| {
            if let Some(aws) = &aws {
                rules::check(faults, aws, config);
            }
        });
        match (config, wrong) {
            (Ok(config), None) => Ok(Self { config, aws }),
            (Ok(_), Some(wrong)) => Err(ConfigError { faults: vec![wrong] }),
            (Err(mut error), wrong) => {
                error.faults.extend(wrong);
                Err(error)
            }
        }
    }
}

/// The shape of the member `aws`. What is wrong with anything else, or is no JSON, is told by who reads
/// the whole text.
fn read(json: &str) -> Result<Option<AwsFile>, Option<Fault>> {
    #[derive(Deserialize)]
    struct File {
        aws: Option<AwsFile>,
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let file: Result<File, _> = serde_path_to_error::deserialize(&mut deserializer);
    file.map(|file| file.aws).map_err(|error| {
        let path = error.path().to_string();
        let is_ours = error.inner().is_data() && path.starts_with("aws");
        is_ours.then(|| Fault { path, problem: JsonError::from(error.inner()).to_string() })
    })
}

/// The JSON Schema of the configuration file, for editors; the rules between settings are more than
/// it can say.
#[cfg(feature = "schema")]
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut generator = schemars::SchemaGenerator::default();
    let aws = generator.subschema_for::<Option<AwsFile>>();
    let mut file = generator.into_root_schema_for::<domain::config::ConfigFile>().to_value();
    let unread = file["properties"]["aws"].as_object_mut().expect("its member has a description");
    unread.extend(aws.as_object().expect("a type with members").clone());
    file
}
