//! The stage by which webhooks come where the API was there already. One that does not deploy by itself
//! takes no new route until its owner deploys it, and Terraform, which does not manage it, says nothing.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_apigatewayv2::Client;
use aws_sdk_apigatewayv2::operation::get_stage::GetStageError;
use deployment::ApiFile;
use serde_json::json;

use crate::sdk;

/// Print whether a stage deploys by itself
#[derive(Debug, clap::Args)]
pub(crate) struct StageCommand {
    /// Region of the API
    #[arg(long)]
    region: String,

    /// Id of the API
    #[arg(long, value_name = "ID", required_unless_present = "api_name")]
    api_id: Option<String>,

    /// Its name, in place of its id
    #[arg(long, value_name = "NAME", conflicts_with = "api_id")]
    api_name: Option<String>,

    /// Name of the stage
    #[arg(long, value_name = "NAME")]
    stage: String,
}

/// A stage.
#[derive(Debug)]
pub(crate) struct Stage {
    api_id: String,
    name: String,
    pub(crate) auto_deploy: bool,
}

impl StageCommand {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { region, api_id, api_name, stage } = self;
        let config = sdk::config(Some(&region)).await;
        let api = ApiFile { id: api_id, name: api_name, stage };
        let stage = Stage::find(&config, &api).await?;
        let obstacle = (!stage.auto_deploy).then(|| stage.obstacle());
        println!("{}", json!({ "auto_deploy": stage.auto_deploy, "obstacle": obstacle }));
        Ok(ExitCode::SUCCESS)
    }
}

impl Stage {
    /// Asks API Gateway for the stage that the configuration names.
    ///
    /// # Errors
    ///
    /// When there is none, among others.
    pub(crate) async fn find(config: &SdkConfig, api: &ApiFile) -> anyhow::Result<Self> {
        let client = Client::new(config);
        let api_id = match (&api.id, &api.name) {
            (Some(id), _) => id.clone(),
            (None, Some(name)) => id_of(&client, name).await?,
            (None, None) => bail!("aws.api names no API"),
        };
        let name = api.stage.clone();
        match client.get_stage().api_id(&api_id).stage_name(&name).send().await {
            Ok(stage) => {
                Ok(Self { api_id, name, auto_deploy: stage.auto_deploy.unwrap_or_default() })
            }
            Err(error)
                if error.as_service_error().is_some_and(GetStageError::is_not_found_exception) =>
            {
                Err(anyhow!(
                    "API {api_id} has no stage {name}: name another as aws.api.stage, or make it by `aws \
                     apigatewayv2 create-stage --api-id {api_id} --stage-name '{name}' --auto-deploy`"
                ))
            }
            Err(error) => Err(sdk::failed(&format!("asking for stage {name} of {api_id}"), error)),
        }
    }

    /// What a stage that does not deploy by itself means.
    pub(crate) fn obstacle(&self) -> String {
        let Self { api_id, name, .. } = self;
        format!(
            "stage {name} of API {api_id} does not deploy by itself: routes that are made or changed go \
             live by `aws apigatewayv2 create-deployment --api-id {api_id} --stage-name '{name}'`"
        )
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        format!("{} of API {} deploys by itself", self.name, self.api_id)
    }
}

/// The id of the only API of this name.
async fn id_of(client: &Client, name: &str) -> anyhow::Result<String> {
    let mut ids = Vec::new();
    let mut token = None;
    loop {
        let page = client.get_apis().set_next_token(token).send().await;
        let page = page.map_err(|error| sdk::failed("looking at the APIs", error))?;
        let named =
            page.items.unwrap_or_default().into_iter().filter(|api| api.name() == Some(name));
        ids.extend(named.filter_map(|api| api.api_id));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let count = ids.len();
    let only = ids.pop().filter(|_| count == 1);
    only.with_context(|| format!("{count} APIs are named {name:?}; aws.api.id says which is meant"))
}
