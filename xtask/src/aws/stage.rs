//! What stands around the emulator of `local`, where this repository keeps it.

use std::collections::BTreeMap;

use emulator::Stage;

use super::emulator::{self as local, with_code};
use super::terraform::Outputs;
use super::{Environment, local_dir};
use crate::{process, workspace};

fn stage() -> Stage {
    Stage::new(local_dir(), workspace::target_dir().join("debug"))
}

/// Builds what is started.
pub(crate) fn build() -> anyhow::Result<()> {
    process::build(&["engine", "sss-stub"])
}

/// Starts what does not run, in front of what was deployed.
pub(crate) fn start(environment: &Environment, outputs: &Outputs) -> anyhow::Result<()> {
    let endpoint = local::endpoint()?;
    stage().start(&environment.config, &endpoint, &outputs.api_id).map_err(with_code)
}

/// Stops all of it.
pub(crate) fn stop() -> anyhow::Result<()> {
    stage().stop().map_err(with_code)
}

/// Where to post, by the route's name.
pub(crate) fn ingest_urls(environment: &Environment) -> BTreeMap<String, String> {
    emulator::ingest_urls(&environment.config)
}

/// The URL of the stand-in, which is where a route's first destination is.
pub(crate) fn stand_in(environment: &Environment, route: &str) -> anyhow::Result<String> {
    emulator::stand_in(&environment.config, route).map_err(with_code)
}
