//! `cargo xtask schema`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::{module_docs, workspace};

/// Write what follows from other files: environments/schema.json, and the tables of the modules' READMEs
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// Only check that they are current
    #[arg(long)]
    check: bool,
}

impl Schema {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if self.check {
            check()?;
        } else {
            std::fs::write(path(), current()?)
                .with_context(|| format!("writing {}", path().display()))?;
            module_docs::write()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Fails unless the schema is what the types say, and the tables are what the modules say.
pub(crate) fn check() -> anyhow::Result<()> {
    let written = std::fs::read_to_string(path()).unwrap_or_default();
    if written != current()? {
        bail!("environments/schema.json is not current; `cargo xtask schema` writes it");
    }
    module_docs::check()
}

fn path() -> PathBuf {
    workspace::root().join("environments").join("schema.json")
}

fn current() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&deployment::json_schema())? + "\n")
}
