//! The list of skips: the engine keeps it on one machine, and on AWS it is a parameter that the forwarder
//! reads. Two operators may change it at the same time, and neither's change is lost.

use anyhow::{Context as _, bail};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::types::ParameterType;
use domain::environment::skips_parameter;
use domain::skip::Skips;
use serde_json::json;

use crate::engine_api::EngineApi;
use crate::environment::{Environment, Host};
use crate::sdk;

/// How often another operator may be faster before this one gives up.
const ATTEMPTS_MAX: u32 = 10;

/// The list, in an engine's API.
const SKIPS_PATH: &str = "/_engine/skips";

/// Where it is.
#[derive(Debug)]
pub(super) enum SkipList {
    /// An engine's, which keeps it as its own user in its data directory.
    Engine(EngineApi),
    /// Systems Manager's Parameter Store.
    Parameter { client: Client, name: String },
}

impl SkipList {
    pub(super) fn of(environment: &Environment) -> Self {
        match &environment.host {
            Host::Engine { api, .. } => Self::Engine(api.clone()),
            Host::Aws { sdk, .. } => Self::Parameter {
                client: Client::new(sdk),
                name: skips_parameter(&environment.name),
            },
        }
    }

    /// What it holds.
    pub(super) async fn read(&self) -> anyhow::Result<Skips> {
        match self {
            Self::Engine(api) => api.get(SKIPS_PATH).await,
            Self::Parameter { client, name } => Ok(read(client, name).await?.0),
        }
    }

    /// Takes `remove` from it and adds `add`.
    pub(super) async fn change(&self, remove: &Skips, add: &Skips) -> anyhow::Result<()> {
        match self {
            Self::Engine(api) => {
                let change = json!({ "remove": remove, "add": add });
                api.post::<Skips>(SKIPS_PATH, &change).await.map(drop)
            }
            Self::Parameter { client, name } => {
                let change = |skips: &mut Skips| {
                    skips.remove_all(remove);
                    skips.add_all(add);
                };
                change_parameter(client, name, change).await
            }
        }
    }
}

/// A parameter cannot be written on condition, but every write has its number: one that is not the
/// next has overwritten somebody's, which is then taken up.
async fn change_parameter(
    client: &Client,
    name: &str,
    change: impl Fn(&mut Skips),
) -> anyhow::Result<()> {
    let (mut skips, mut version) = read(client, name).await?;
    for _attempt in 0..ATTEMPTS_MAX {
        change(&mut skips);
        let put = client
            .put_parameter()
            .name(name)
            .r#type(ParameterType::String)
            .value(skips.to_json()?)
            .overwrite(true)
            .send()
            .await
            .map_err(|error| sdk::failed(&format!("writing parameter {name}"), error))?;
        let written = put.version();
        if written == version + 1 {
            return Ok(());
        }
        // Source: Systems Manager guide, "Working with parameter versions".
        (skips, _) = read(client, &format!("{name}:{}", written - 1)).await?;
        version = written;
    }
    bail!("parameter {name} is written by others all the time; try again")
}

/// The list and its version; an empty one before the first.
async fn read(client: &Client, name: &str) -> anyhow::Result<(Skips, i64)> {
    let parameter = match client.get_parameter().name(name).send().await {
        Ok(got) => got.parameter.with_context(|| format!("parameter {name} is empty"))?,
        Err(error)
            if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) =>
        {
            return Ok((Skips::default(), 0));
        }
        Err(error) => return Err(sdk::failed(&format!("reading parameter {name}"), error)),
    };
    let json = parameter.value().unwrap_or_default();
    let skips = Skips::parse(json.as_bytes()).with_context(|| format!("in parameter {name}"))?;
    Ok((skips, parameter.version()))
}
