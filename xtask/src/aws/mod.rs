//! Environments on AWS, and the one on an emulator: planned, checked, deployed, promoted, rolled back.
//!
//! Terraform makes what there is, the operator keeps artifacts and release records; both are started
//! as processes. What is decided here is in which order, and what is refused.

pub(crate) mod artifact;
pub(crate) mod ask;
pub(crate) mod bootstrap;
pub(crate) mod check;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod emulator;
pub(crate) mod estimate;
mod lock;
pub(crate) mod new;
mod operator;
pub(crate) mod plan;
mod planned;
mod preflight;
mod prices;
pub(crate) mod promote;
mod release;
pub(crate) mod releases;
mod resources;
pub(crate) mod rollback;
mod rollout;
mod smoke;
mod stage;
mod summary;
mod terraform;
mod trouble;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use deployment::{Architecture, AwsFile, Deployment};
use domain::config::Config;
use terminal::exit::Failure;

use crate::package::{Arch, Packing};
use crate::workspace;

/// The environment that is deployed to an emulator on this machine.
pub(crate) const LOCAL: &str = "local";

/// An environment that can be deployed.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) aws: AwsFile,
    /// What stands in for the environment's own values.
    pub(crate) values: Option<PathBuf>,
}

impl Environment {
    /// Reads the configuration of an environment.
    pub(crate) fn load(name: &str) -> anyhow::Result<Self> {
        Self::load_with(name, None)
    }

    /// Reads the configuration of an environment from `values`, or else from its own file.
    pub(crate) fn load_with(name: &str, values: Option<&Path>) -> anyhow::Result<Self> {
        let usage = |text: String| Failure::Usage.of(anyhow!(text));
        if values.is_some() && name != LOCAL {
            return Err(usage(format!(
                "--config is for {LOCAL} only: what {name} runs stands in its own file, and in git"
            )));
        }
        let values = values.map(std::path::absolute).transpose()?;
        let Deployment { config, aws } = match &values {
            Some(file) => workspace::config_in(file)?,
            None => workspace::config(name)?,
        };
        if config.environment() != name {
            let says = &config.environment();
            return Err(usage(format!("the configuration of {name} says environment {says:?}")));
        }
        let file = values.clone().unwrap_or_else(|| workspace::config_file(name));
        let aws = aws.ok_or_else(|| {
            usage(format!("{} has no `aws`, so {name} cannot be deployed", file.display()))
        })?;
        if !workspace::environment_dir(name).join("main.tf").exists() {
            let dir = workspace::environment_dir(name);
            return Err(usage(format!("{} has no Terraform files", dir.display())));
        }
        Ok(Self { name: name.to_owned(), config, aws, values })
    }

    /// Whether it lives on the emulator.
    pub(crate) fn is_local(&self) -> bool {
        self.name == LOCAL
    }

    /// What its function runs on; on the emulator, which starts it as a plain process, this machine's.
    pub(crate) fn arch(&self) -> Arch {
        match (self.is_local(), self.aws.function.architecture) {
            (true, _) => Arch::host(),
            (false, Architecture::Arm64) => Arch::Arm64,
            (false, Architecture::X86_64) => Arch::X86_64,
        }
    }

    /// How what it runs is packed.
    pub(crate) fn packing(&self) -> Packing {
        if self.is_local() { Packing::Fast } else { Packing::Small }
    }

    /// Where plans, Terraform's own files and its output are kept.
    pub(crate) fn terraform_dir(&self) -> PathBuf {
        workspace::target_dir().join("terraform").join(&self.name)
    }
}

/// Where everything of the deployment on this machine is kept.
pub(crate) fn local_dir() -> PathBuf {
    workspace::data_dir("deploy-local")
}

/// Where a deployed environment takes webhooks, without a route's path.
pub(crate) fn ingest(name: &str) -> anyhow::Result<String> {
    let environment = Environment::load(name)?;
    let terraform = terraform::Terraform::find(&environment)?;
    let _lock = terraform.lock()?;
    terraform.init()?;
    let urls = terraform.outputs()?.ingest_urls;
    let base = |(route, url): (&String, &String)| {
        let path = environment.config.routes().get(route)?.path().to_string();
        url.strip_suffix(&path).map(str::to_owned)
    };
    urls.iter()
        .find_map(base)
        .with_context(|| format!("{name} has no route yet; `cargo xtask deploy {name}` makes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_emulator_runs_is_packed_fast() {
        for (name, packing) in
            [("dev", Packing::Small), ("prod", Packing::Small), (LOCAL, Packing::Fast)]
        {
            let mut environment = Environment::load(name).unwrap();
            for architecture in [Architecture::Arm64, Architecture::X86_64] {
                environment.aws.function.architecture = architecture;
                assert_eq!(environment.packing(), packing, "{name} {architecture:?}");
            }
        }
    }
}
