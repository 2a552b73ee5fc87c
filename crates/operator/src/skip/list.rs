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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_ssm::config::{BehaviorVersion, Credentials, Region};
    use axum::body::{Body, Bytes};
    use axum::extract::State;
    use axum::http::{HeaderMap, Response};
    use serde_json::Value;

    use super::*;

    /// A parameter: its versions, what somebody else writes before the next write, and the error that
    /// is the answer to everything.
    #[derive(Debug, Default, Clone)]
    struct Parameter {
        versions: Vec<String>,
        others: Option<String>,
        trouble: Option<&'static str>,
    }

    type Shared = Arc<Mutex<Parameter>>;

    /// Source: Systems Manager API reference, `GetParameter`, `PutParameter`.
    async fn answer(
        State(shared): State<Shared>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let mut parameter = shared.lock().unwrap();
        let input: Value = serde_json::from_slice(&body).unwrap();
        let refused = |kind: &str| {
            let body = json!({ "__type": kind, "message": "on demand" }).to_string();
            Response::builder().status(400).body(body.into()).unwrap()
        };
        if let Some(trouble) = parameter.trouble {
            return refused(trouble);
        }
        if headers["x-amz-target"] == "AmazonSSM.PutParameter" {
            assert!(input["Overwrite"] == true && input["Name"] == "skips", "{input}");
            let others = parameter.others.take();
            parameter.versions.extend(others);
            parameter.versions.push(input["Value"].as_str().unwrap().to_owned());
            let version = parameter.versions.len();
            return Response::new(json!({ "Version": version }).to_string().into());
        }
        let name = input["Name"].as_str().unwrap();
        let version = match name.split_once(':') {
            Some((_, version)) => version.parse().unwrap(),
            None => parameter.versions.len(),
        };
        let Some(value) = version.checked_sub(1).and_then(|it| parameter.versions.get(it)) else {
            return refused("ParameterNotFound");
        };
        let parameter = json!({ "Name": "skips", "Value": value, "Version": version });
        Response::new(json!({ "Parameter": parameter }).to_string().into())
    }

    async fn list(parameter: Parameter) -> (SkipList, Shared) {
        let shared = Arc::new(Mutex::new(parameter));
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .endpoint_url(endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        (SkipList::Parameter { client, name: "skips".to_owned() }, shared)
    }

    fn skips(ids: &[&str]) -> Skips {
        let mut skips = Skips::default();
        for id in ids {
            skips.add(id, "1");
        }
        skips
    }

    #[tokio::test]
    async fn of_a_parameter_that_is_not_there_the_first_change_makes_one() {
        let (list, shared) = list(Parameter::default()).await;
        assert_eq!(list.read().await.unwrap(), skips(&[]));
        list.change(&skips(&[]), &skips(&["a", "b"])).await.unwrap();
        list.change(&skips(&["a"]), &skips(&["c"])).await.unwrap();
        assert_eq!(list.read().await.unwrap(), skips(&["b", "c"]));
        assert_eq!(shared.lock().unwrap().versions.len(), 2, "each is one write");
    }

    #[tokio::test]
    async fn what_was_overwritten_of_somebody_else_s_is_taken_up() {
        let before = skips(&["a"]).to_json().unwrap();
        let others = Some(skips(&["a", "b"]).to_json().unwrap());
        let (list, shared) =
            list(Parameter { versions: vec![before], others, trouble: None }).await;
        list.change(&skips(&["a"]), &skips(&["c"])).await.unwrap();
        assert_eq!(list.read().await.unwrap(), skips(&["b", "c"]));
        assert_eq!(shared.lock().unwrap().versions.len(), 4);
    }

    #[tokio::test]
    async fn a_parameter_that_may_not_be_read_is_no_empty_list() {
        let trouble = Some("AccessDeniedException");
        let (list, shared) = list(Parameter { trouble, ..Parameter::default() }).await;
        assert!(list.read().await.is_err());
        assert!(list.change(&skips(&[]), &skips(&["a"])).await.is_err());
        assert!(shared.lock().unwrap().versions.is_empty());
    }
}
