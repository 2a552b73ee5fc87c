//! From an environment's name to its queues: on AWS by their names, on one machine by what the
//! running engine wrote into its data directory.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_smithy_http_client::Builder;
use commands::{EnvironmentArgs, program};
use deployment::Deployment;
use domain::config::Config;
use serde::Deserialize;
use terminal::exit::Failure;

use crate::audit::AuditLog;
use crate::engine_api::EngineApi;
use crate::history::History;
use crate::{identity, people, sdk};

/// The queues of an environment, and Lambda's API for what delivers from them.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) scheduler: aws_sdk_scheduler::Client,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
    pub(crate) host: Host,
}

/// What runs an environment.
#[derive(Debug)]
pub(crate) enum Host {
    /// An engine, its data directory if it was found by that, and its configuration as it names it.
    Engine { api: EngineApi, data_dir: Option<PathBuf>, config_file: Option<PathBuf> },
    /// AWS, or an emulator of it.
    Aws { sdk: Box<SdkConfig>, deployment: Box<Deployment> },
}

/// Where a running engine is, as it says in its data directory.
#[derive(Deserialize)]
struct EngineFile {
    api: String,
    #[serde(default = "any_key")]
    access_key_id: String,
}

/// What else it says of itself there.
#[derive(Deserialize)]
struct About {
    environment: String,
    queue_url: String,
    dead_letter_queue_url: String,
    /// The command that starts it again; an engine of before does not tell.
    start_command: Option<String>,
    /// Where its configuration was read; an engine of before does not tell.
    config_file: Option<PathBuf>,
    /// Which directory it works in; an engine of before does not tell.
    data_dir_inode: Option<u64>,
}

/// An engine runs another environment than the one that was named.
#[derive(Debug, thiserror::Error)]
#[error(
    "the engine {at} runs environment {runs}, not {named}: type {runs} in its place, or name the \
     engine of {named} with --data-dir or --api"
)]
pub(crate) struct OtherEnvironment {
    /// Where the engine is.
    at: String,
    runs: String,
    named: String,
}

/// The queues of an environment are not there.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not deployed where these credentials look: another account, or region, or never")]
pub(crate) struct NotDeployed(String);

/// What SQS says of a queue that is not there: in its own words, and in those of the query protocol,
/// which it adds for older clients. Source: SQS API reference, "`GetQueueUrl`".
const MISSING_QUEUE: [&str; 2] = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];

/// The name of the file by which a running engine can be found, in its data directory.
const ENGINE_FILE: &str = "engine.json";

/// Where the SDK finds an emulator. Source: AWS SDKs and tools reference, "Service-specific endpoints".
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL";

/// Where webhooks are taken, as `cargo xtask` says it of what it has deployed.
const INGEST_VARIABLE: &str = "WEBHOOK_OPERATOR_INGEST";

/// Where an engine's access key id is, if its data directory cannot be read: as for other SQS clients.
const ACCESS_KEY_ID_VARIABLE: &str = "AWS_ACCESS_KEY_ID";

/// Finds the queues, and sees that somebody answers there.
pub(crate) async fn connect(given: &EnvironmentArgs) -> anyhow::Result<Environment> {
    let environment = find(given).await?;
    if let Host::Engine { api, .. } = &environment.host {
        api.probe().await?;
    }
    environment.check_directory().await?;
    Ok(environment)
}

/// Finds the queues: of an engine on this machine without asking it anything.
pub(crate) async fn find(given: &EnvironmentArgs) -> anyhow::Result<Environment> {
    if let Some(address) = &given.api {
        let (file, about) = engine_at(address).await?;
        return engine_that_was_named(given, file, about, None);
    }
    let (name, data_dir) = (name(given), data_dir(given));
    let data_dir = data_dir.as_path();
    let engine_file = data_dir.join(ENGINE_FILE);
    let found = if is_on_aws(given)? {
        // What an engine of the same name has left on this machine is not meant.
        Err(ErrorKind::NotFound.into())
    } else {
        std::fs::read_to_string(&engine_file)
    };
    match found {
        Ok(text) => {
            let in_file = || format!("in {}", engine_file.display());
            let file: EngineFile = serde_json::from_str(&text).with_context(in_file)?;
            let about = serde_json::from_str(&text).with_context(in_file)?;
            return engine_that_was_named(given, file, about, Some(data_dir));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(&engine_file, &error)),
    }
    // With an endpoint, `local` is what was deployed to the emulator there.
    let emulated = std::env::var_os(ENDPOINT_VARIABLE).is_some();
    if (name == "local" && !emulated) || given.data_dir.is_some() {
        let (dir, start) = (data_dir.display(), how_to_start(given, data_dir));
        let so = anyhow!("no engine is running in {dir}; {start}");
        return Err(Failure::Environment.of(so));
    }
    let config_file = config_file(given, None).context("no environment was named")?;
    let deployment = deployment(&config_file)?;
    let said = deployment.config.environment();
    if said != name {
        bail!("the configuration of {name} says environment {said:?}");
    }
    // The SDK's future is large, and every command awaits this one.
    Box::pin(aws(deployment)).await
}

/// Where an engine of this machine has its files.
pub(crate) fn data_dir(given: &EnvironmentArgs) -> PathBuf {
    given.data_dir.clone().unwrap_or_else(|| Path::new(".webhook-queue").join(name(given)))
}

/// The environment's name as far as it was typed.
pub(crate) fn name(given: &EnvironmentArgs) -> &str {
    given.environment.as_deref().unwrap_or_default()
}

/// Where the configuration is: that which was named, that of the engine if it is `found` by its
/// files, or that of the repository.
pub(crate) fn config_file(given: &EnvironmentArgs, found: Option<&Environment>) -> Option<PathBuf> {
    let of_engine = found.and_then(|environment| match &environment.host {
        Host::Engine { data_dir: Some(_), config_file, .. } => config_file.clone(),
        _ => None,
    });
    let in_repository = || {
        // By its API alone an engine may be on another machine.
        let name = given.environment.as_ref().filter(|_| given.api.is_none())?;
        Some(Path::new("environments").join(name).join("terraform.tfvars.json"))
    };
    given.config.clone().or(of_engine).or_else(in_repository)
}

/// Whether the name is one of an environment on AWS, and nothing names an engine.
fn is_on_aws(given: &EnvironmentArgs) -> anyhow::Result<bool> {
    if given.data_dir.is_some() || name(given) == "local" {
        return Ok(false);
    }
    let file = config_file(given, None).filter(|file| file.exists());
    file.map_or(Ok(false), |file| Ok(deployment(&file)?.aws.is_some()))
}

/// What to do about an engine that left no word, as it was stopped.
fn how_to_start(given: &EnvironmentArgs, data_dir: &Path) -> &'static str {
    if given.data_dir.is_none() && program::is_xtask() {
        "start it with `cargo xtask local`"
    } else if data_dir.exists() {
        "start it as it is started on this machine, such as by `systemctl start webhook-queue`"
    } else {
        "its data directory is what --data-dir names, such as /var/lib/webhook-queue"
    }
}

/// An engine that was found, if it is of the environment that was named.
fn engine_that_was_named(
    given: &EnvironmentArgs,
    file: EngineFile,
    about: About,
    data_dir: Option<&Path>,
) -> anyhow::Result<Environment> {
    if let Some(named) = given.environment.as_ref().filter(|name| **name != about.environment) {
        let at = match data_dir {
            Some(data_dir) => format!("in {}", data_dir.display()),
            None => format!("at {}", file.api),
        };
        let runs = people::printable(&about.environment);
        let other = OtherEnvironment { at, runs, named: named.clone() };
        return Err(Failure::Usage.of(other.into()));
    }
    Ok(engine(file, about, data_dir))
}

/// What an environment's file says.
pub(crate) fn deployment(file: &Path) -> anyhow::Result<Deployment> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let unread = anyhow!("reading {}: {error}", file.display());
        // An environment that there is not, or a file that was mistyped.
        if error.kind() == ErrorKind::NotFound { Failure::Usage.of(unread) } else { unread }
    })?;
    Deployment::parse(&text).with_context(|| format!("in {}", file.display()))
}

/// What an environment is configured with; an engine's only if that can be read here.
///
/// # Errors
///
/// When it cannot, or is another environment's.
pub(crate) fn configuration(
    given: &EnvironmentArgs,
    found: &Environment,
) -> anyhow::Result<Config> {
    if let Host::Aws { deployment, .. } = &found.host {
        return Ok(deployment.config.clone());
    }
    let file = config_file(given, Some(found)).with_context(|| {
        let so =
            anyhow!("the configuration of an engine elsewhere is not known: name it with --config");
        Failure::Usage.of(so)
    })?;
    let config = deployment(&file)?.config;
    anyhow::ensure!(
        config.environment() == found.name,
        "{} is of environment {}, and not of {}",
        file.display(),
        config.environment(),
        found.name
    );
    Ok(config)
}

/// What an engine of before, which asks for no id, is shown: the SDK signs nothing without one.
fn any_key() -> String {
    "engine".to_owned()
}

/// Why `file`, of an engine that may well run, cannot be read, and who can.
fn unreadable(file: &Path, error: &std::io::Error) -> anyhow::Error {
    let failed = format!("reading {}: {error}", file.display());
    if error.kind() != ErrorKind::PermissionDenied {
        return anyhow::anyhow!(failed);
    }
    // Of what may not even be looked into the owner is not known.
    let owner = file.metadata().or_else(|_| file.parent().unwrap_or(file).metadata());
    let owner = match owner.map(|metadata| metadata.uid()) {
        Ok(0) | Err(_) => String::new(),
        Ok(uid) => format!(", or as the engine's user (`sudo -u '#{uid}'`)"),
    };
    anyhow::anyhow!(
        "{failed}: only the engine's user and root may: use sudo{owner}; or --api with its access \
         key id in {ACCESS_KEY_ID_VARIABLE}"
    )
}

/// The engine whose API is at `address`, with the access key id that the environment has.
async fn engine_at(address: &str) -> anyhow::Result<(EngineFile, About)> {
    let access_key_id = std::env::var(ACCESS_KEY_ID_VARIABLE).ok().filter(|id| !id.is_empty());
    let access_key_id = access_key_id.with_context(|| {
        format!(
            "--api needs the engine's access key id in {ACCESS_KEY_ID_VARIABLE}: `access_key_id` of \
             {ENGINE_FILE} in its data directory"
        )
    })?;
    let start = "is an engine's API there, and does it run?".to_owned();
    let api = EngineApi::at(address.to_owned(), access_key_id.clone(), start);
    let about = api.get("/_engine/about").await?;
    Ok((EngineFile { api: address.to_owned(), access_key_id }, about))
}

/// An engine. It looks at the access key id only.
fn engine(file: EngineFile, about: About, data_dir: Option<&Path>) -> Environment {
    let EngineFile { api, access_key_id } = file;
    let credentials = Credentials::new(&access_key_id, "any", None, None, "engine");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(format!("http://{api}"))
        .http_client(Builder::new().build_http())
        .timeout_config(sdk::timeouts())
        .build();
    let start = match about.start_command {
        Some(command) => format!(
            "the engine may have crashed: start it again with `{}`",
            people::printable(&command)
        ),
        None => "the engine may have crashed: start it again as it was started".to_owned(),
    };
    Environment {
        name: about.environment,
        client: Client::new(&config),
        lambda: aws_sdk_lambda::Client::new(&config),
        scheduler: aws_sdk_scheduler::Client::new(&config),
        queue_url: about.queue_url,
        dead_letter_queue_url: about.dead_letter_queue_url,
        host: Host::Engine {
            api: EngineApi::at(api, access_key_id, start),
            data_dir: data_dir.map(Path::to_owned),
            config_file: about.config_file,
        },
    }
}

/// The queues on AWS, by the names that the configuration gives them.
async fn aws(deployment: Deployment) -> anyhow::Result<Environment> {
    let Deployment { config, aws } = &deployment;
    let region = aws.as_ref().map(|aws| aws.region.as_str());
    let shared = sdk::config(region).await.into_builder().timeout_config(sdk::timeouts()).build();
    let client = Client::new(&shared);
    let account_id = aws.as_ref().and_then(|aws| aws.account_id.as_deref());
    let url = async |name: String| {
        let found = client.get_queue_url().queue_name(&name).send().await;
        let found = found.map_err(|error| {
            let missing = error.code().is_some_and(|code| MISSING_QUEUE.contains(&code));
            let failed = sdk::failed(&format!("finding queue {name}"), error);
            if missing {
                failed.context(NotDeployed(config.environment().to_owned()))
            } else {
                failed
            }
        })?;
        let url = found.queue_url.with_context(|| format!("queue {name} has no URL"))?;
        identity::check_account(account_of(&url), account_id)?;
        Ok::<_, anyhow::Error>(url)
    };
    let queue_url = url(config.queue_name()).await?;
    let dead_letter_queue_url = url(config.dead_letter_queue_name()).await?;
    Ok(Environment {
        name: config.environment().to_owned(),
        lambda: aws_sdk_lambda::Client::new(&shared),
        scheduler: aws_sdk_scheduler::Client::new(&shared),
        client,
        queue_url,
        dead_letter_queue_url,
        host: Host::Aws { sdk: Box::new(shared), deployment: Box::new(deployment) },
    })
}

/// The account that a queue is in: its URL has the id before the name, so nobody needs to be asked.
/// Source: SQS guide, "Queue and message identifiers".
fn account_of(queue_url: &str) -> &str {
    queue_url.rsplit('/').nth(1).unwrap_or_default()
}

impl Environment {
    /// Whether an engine that was found by its data directory works in that one: who copies a directory
    /// copies the word of the engine that runs in it.
    ///
    /// # Errors
    ///
    /// When it works in another one. One that does not answer is told by what asks it.
    pub(crate) async fn check_directory(&self) -> anyhow::Result<()> {
        let Host::Engine { api, data_dir: Some(data_dir), .. } = &self.host else { return Ok(()) };
        let about: Option<About> = api.get("/_engine/about").await.ok();
        let found = data_dir.metadata().map(|it| it.ino()).ok();
        match (about.and_then(|about| about.data_dir_inode), found) {
            (Some(works_in), Some(found)) if works_in != found => bail!(
                "{} is of an engine that works in another directory, and came with a copy of that: \
                 remove it, and start the engine that is to work here",
                data_dir.join(ENGINE_FILE).display()
            ),
            _ => Ok(()),
        }
    }

    /// Where webhooks are taken, without a route's path: by an engine that was found by its data directory,
    /// else as who started this program says.
    pub(crate) fn ingest(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Ingest {
            ingest: String,
        }
        match &self.host {
            Host::Engine { data_dir: Some(dir), .. } => {
                let text = std::fs::read(dir.join(ENGINE_FILE)).ok()?;
                let found: Ingest = serde_json::from_slice(&text).ok()?;
                Some(format!("http://{}", found.ingest))
            }
            Host::Engine { data_dir: None, .. } => None,
            Host::Aws { .. } => std::env::var(INGEST_VARIABLE).ok(),
        }
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> AuditLog {
        match &self.host {
            Host::Engine { api, .. } => AuditLog::Engine(api.clone()),
            Host::Aws { sdk, deployment } => {
                match deployment.aws.as_ref().and_then(|aws| aws.artifact_bucket.clone()) {
                    Some(bucket) => AuditLog::Bucket {
                        config: sdk.clone(),
                        bucket,
                        environment: self.name.clone(),
                    },
                    // The emulator's, beside the folder that stands in for the bucket.
                    None => AuditLog::in_dir(
                        &Path::new(".webhook-queue").join(format!("deploy-{}", self.name)),
                    ),
                }
            }
        }
    }

    /// The log.
    pub(crate) fn history(&self) -> History {
        match &self.host {
            Host::Engine { api, .. } => History::Engine(api.clone()),
            // Source: `modules/webhook-forwarder`.
            Host::Aws { sdk, deployment } => History::LogGroup {
                client: aws_sdk_cloudwatchlogs::Client::new(sdk),
                name: format!("/aws/lambda/{}-webhook-forwarder", deployment.config.environment()),
            },
        }
    }
}
