//! What an environment is made of: its configuration and the forwarder.

use std::path::{Path, PathBuf};

use domain::config::Config;
use engine::with_target;
use url::Url;

use crate::{Exit, fail};

/// The arguments that say so.
#[derive(Debug, clap::Args)]
pub(crate) struct Environment {
    /// Configuration of the environment, such as /etc/webhook-queue/config.json
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The forwarder's executable, such as /usr/local/bin/forwarder
    #[arg(long, value_name = "PATH")]
    pub(crate) forwarder: PathBuf,
    /// Deliver to this URL instead of the configured destinations; their paths stay unless it has one
    #[arg(long, value_name = "URL")]
    target: Option<Url>,
}

impl Environment {
    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`Exit::Configuration`], once every fault was told.
    pub(crate) fn config(&self) -> Result<Config, Exit> {
        let config = read_config(&self.config)?;
        match &self.target {
            Some(target) => {
                with_target(&config, target).map_err(|error| self.cannot_be_used(&error.faults))
            }
            None => Ok(config),
        }
    }

    /// Tells every fault.
    pub(crate) fn cannot_be_used(&self, faults: &[impl std::fmt::Display]) -> Exit {
        cannot_be_used(&self.config, faults)
    }

    /// Where the configuration is, for who is in another directory.
    pub(crate) fn config_file(&self) -> Option<PathBuf> {
        // Without a current directory, nobody can say.
        std::path::absolute(&self.config).ok()
    }

    /// Where the configuration is, as it was typed.
    pub(crate) fn file(&self) -> std::path::Display<'_> {
        self.config.display()
    }
}

/// The configuration in this file.
///
/// # Errors
///
/// [`Exit::Configuration`], once every fault was told.
pub(crate) fn read_config(file: &Path) -> Result<Config, Exit> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| fail(Exit::Configuration, &format_args!("{}: {error}", file.display())))?;
    Config::parse(&text).map_err(|error| cannot_be_used(file, &error.faults))
}

fn cannot_be_used(file: &Path, faults: &[impl std::fmt::Display]) -> Exit {
    let faults: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let text = format!("{} cannot be used:{}", file.display(), faults.concat());
    fail(Exit::Configuration, &text)
}
