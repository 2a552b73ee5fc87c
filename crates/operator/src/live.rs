//! `live`: what a function's alias runs.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::sdk;

/// Print which code a function runs, and the version of it
#[derive(Debug, clap::Args)]
pub(crate) struct Live {
    /// Region of the function
    #[arg(long)]
    region: String,

    /// Name of the function
    #[arg(long, value_name = "NAME")]
    function: String,

    /// The alias by which it is called
    #[arg(long, value_name = "NAME")]
    alias: String,
}

impl Live {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { region, function, alias } = self;
        let lambda = aws_sdk_lambda::Client::new(&sdk::config(Some(&region)).await);
        let asked = lambda.get_alias().function_name(&function).name(&alias).send().await;
        let found = asked.map_err(|error| {
            sdk::failed(&format!("asking for alias {alias} of {function}"), error)
        })?;
        let weights =
            found.routing_config().and_then(|routing| routing.additional_version_weights());
        if weights.is_some_and(|weights| !weights.is_empty()) {
            bail!("alias {alias} of {function} sends a part of the events to another version");
        }
        let version = found.function_version().context("the alias names no version")?;
        let asked = lambda
            .get_function_configuration()
            .function_name(&function)
            .qualifier(version)
            .send()
            .await;
        let live = asked.map_err(|error| {
            sdk::failed(&format!("asking for version {version} of {function}"), error)
        })?;
        let code_sha256 = live.code_sha256().context("the function has no code")?;
        println!("{}", json!({ "code_sha256": code_sha256, "function_version": version }));
        Ok(ExitCode::SUCCESS)
    }
}
