//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, anyhow};
use deployment::Deployment;
use terminal::exit::Failure;

/// The repository's root.
///
/// As `cargo run` says it: of two clones with one target directory, the second runs what was built
/// in the first, and must not deploy the first's environments.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let is_run_by_cargo = env::var("CARGO_PKG_NAME").is_ok_and(|name| name == "xtask");
        let ours = is_run_by_cargo.then(|| env::var_os("CARGO_MANIFEST_DIR")).flatten();
        let ours = ours.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        ours.parent().expect("xtask is a folder of the repository").to_owned()
    });
    &ROOT
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A program that `cargo build` has built with the development profile.
pub(crate) fn program(name: &str) -> PathBuf {
    target_dir().join("debug").join(name)
}

/// The folder of an environment: its values and its Terraform files.
pub(crate) fn environment_dir(environment: &str) -> PathBuf {
    root().join("environments").join(environment)
}

/// The configuration file of an environment.
pub(crate) fn config_file(environment: &str) -> PathBuf {
    environment_dir(environment).join("terraform.tfvars.json")
}

/// The data directory of an environment on this machine.
pub(crate) fn data_dir(environment: &str) -> PathBuf {
    root().join(".webhook-queue").join(environment)
}

/// The configuration of an environment.
pub(crate) fn config(environment: &str) -> anyhow::Result<Deployment> {
    let path = config_file(environment);
    if !path.exists() {
        let error = anyhow!("there is no environment {environment:?}: no {}", path.display());
        return Err(Failure::Usage.of(error));
    }
    config_in(&path)
}

/// The configuration in a file.
pub(crate) fn config_in(path: &Path) -> anyhow::Result<Deployment> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
    let parsed = text.and_then(|text| {
        Deployment::parse(&text).with_context(|| format!("in {}", path.display()))
    });
    parsed.map_err(|error| Failure::Usage.of(error))
}
