//! Terraform's files: format, validity, the modules' tests, and what checkov says.
//!
//! Everything runs in a copy, so that no lock file or provider appears in the work tree.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use terminal::exit::Failure;

use super::optional;
use crate::steps::Outcome;
use crate::{package, process, tools, workspace};

/// Source: PyPI, `checkov`.
const CHECKOV: &str = "checkov==3.3.30";

/// A module's example, in its folder: planned as a stranger would, with a provider that is mocked.
const EXAMPLE: &str = "examples/basic";

/// Checks the format.
pub(crate) fn format() -> anyhow::Result<Outcome> {
    optional(|| {
        let dirs = ["modules", "environments"];
        for dir in dirs {
            let mut terraform = terraform(&workspace::root().join(dir))?;
            let status = process::status(terraform.args(["fmt", "-check", "-diff", "-recursive"]))?;
            if !status.success() {
                bail!("{dir} is not formatted; `terraform fmt -recursive {dir}` does it");
            }
        }
        Ok(())
    })
}

/// Validates every module and environment and runs the modules' tests, without AWS.
pub(crate) fn test() -> anyhow::Result<Outcome> {
    optional(|| {
        let copy = workspace::target_dir().join("terraform").join("copy");
        if copy.exists() {
            std::fs::remove_dir_all(&copy)
                .with_context(|| format!("deleting {}", copy.display()))?;
        }
        package::copy_sources(&copy)?;
        // Side by side: a module's tests keep one processor busy, mostly with starting the provider.
        let roots = Mutex::new(roots(&copy)?.into_iter());
        let next = || roots.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || std::iter::from_fn(next).try_for_each(|dir| check(&copy, &dir));
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            let panicked = |_| anyhow::anyhow!("a thread panicked");
            workers.into_iter().try_for_each(|worker| worker.join().map_err(panicked)?)
        })
    })
}

/// Validates a module or environment, and runs its tests.
fn check(copy: &Path, dir: &Path) -> anyhow::Result<()> {
    let init = ["init", "-backend=false", "-input=false", "-no-color"];
    process::output(terraform(dir)?.args(init)).map_err(without_provider)?;
    process::output(terraform(dir)?.args(["validate", "-no-color"]))?;
    let tests = dir.join("tests");
    if dir.ends_with(EXAMPLE) {
        std::fs::create_dir_all(&tests).with_context(|| format!("making {}", tests.display()))?;
        std::fs::write(tests.join("example.tftest.hcl"), include_str!("example.tftest.hcl"))
            .with_context(|| format!("writing into {}", tests.display()))?;
    }
    if tests.exists() {
        let tested = process::output(terraform(dir)?.args(["test", "-no-color"]))?;
        let summary = tested.lines().rfind(|line| line.contains("passed"));
        let name = dir.strip_prefix(copy).unwrap_or(dir);
        eprintln!("{}: {}", name.display(), summary.unwrap_or("no test was run").trim());
    }
    Ok(())
}

/// Runs checkov over modules and environments; what it finds is repaired or skipped in its place,
/// with a reason.
pub(crate) fn checkov() -> anyhow::Result<Outcome> {
    optional(|| {
        let bin = tools::python(&[CHECKOV])?;
        for dir in ["modules", "environments"] {
            let mut checkov = process::command(bin.join("checkov"));
            checkov.args(["--framework", "terraform", "--quiet", "--compact", "--skip-download"]);
            checkov.args(["--directory", dir]).env("HCL_PARSE_TIMEOUT_SEC", "180");
            process::run(&mut checkov)?;
        }
        Ok(())
    })
}

fn terraform(dir: &Path) -> anyhow::Result<Command> {
    let found = Command::new("terraform").arg("version").output();
    found
        .map_err(|error| Failure::Environment.of(anyhow::anyhow!("starting terraform: {error}")))?;
    let mut terraform = process::command("terraform");
    terraform.current_dir(dir).env("CHECKPOINT_DISABLE", "1").env_remove("TF_DATA_DIR");
    Ok(terraform)
}

/// The folders that can be initialised: modules, their examples, and environments.
fn roots(copy: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for dir in ["modules", "environments"] {
        let dir = copy.join(dir);
        let entries =
            std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                let example = path.join(EXAMPLE);
                roots.extend([path, example].into_iter().filter(|path| path.is_dir()));
            }
        }
    }
    roots.sort();
    Ok(roots)
}

/// Without the provider nothing can be checked here, which is not the files' fault.
fn without_provider(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let signs = ["Failed to query available provider packages", "Failed to install provider"];
    if signs.iter().any(|sign| text.contains(sign)) {
        return Failure::Environment.of(error);
    }
    error
}
