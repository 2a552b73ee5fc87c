//! The list of skips, where the forwarder reads it: a file in the engine's data directory, or a
//! parameter on AWS. Two operators may change it at the same time, and neither's change is lost.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::types::ParameterType;
use domain::environment::{SKIPS_FILE, skips_parameter};
use domain::skip::Skips;

use crate::environment::{Environment, Host};
use crate::sdk;

/// How often another operator may be faster before this one gives up.
const ATTEMPTS_MAX: u32 = 10;

/// Where it is.
#[derive(Debug)]
pub(super) enum SkipList {
    /// The engine's data directory.
    File(PathBuf),
    /// Systems Manager's Parameter Store.
    Parameter { client: Client, name: String },
}

impl SkipList {
    pub(super) fn of(environment: &Environment) -> Self {
        match &environment.host {
            Host::Engine { data_dir, .. } => Self::File(data_dir.clone()),
            Host::Aws { sdk, .. } => Self::Parameter {
                client: Client::new(sdk),
                name: skips_parameter(&environment.name),
            },
        }
    }

    /// Changes it.
    pub(super) async fn change(&self, change: impl Fn(&mut Skips)) -> anyhow::Result<()> {
        match self {
            Self::File(dir) => change_file(dir, change),
            Self::Parameter { client, name } => change_parameter(client, name, change).await,
        }
    }
}

/// Written beside and put in its place, so that the forwarder reads the one or the other.
fn change_file(dir: &Path, change: impl Fn(&mut Skips)) -> anyhow::Result<()> {
    let path = dir.join(SKIPS_FILE);
    let writing = || format!("writing {}", path.display());
    // Other operators wait; the lock ends with the handle.
    let directory = File::open(dir).with_context(|| format!("opening {}", dir.display()))?;
    directory.lock().with_context(|| format!("locking {}", dir.display()))?;
    let mut skips = match std::fs::read(&path) {
        Ok(json) => Skips::parse(&json).with_context(|| format!("in {}", path.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Skips::default(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    change(&mut skips);
    let mut file = tempfile::NamedTempFile::new_in(dir).with_context(writing)?;
    file.write_all(skips.to_json()?.as_bytes()).with_context(writing)?;
    file.as_file().sync_all().with_context(writing)?;
    file.persist(&path).with_context(writing)?;
    directory.sync_all().with_context(writing)
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
    use super::*;

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..20 {
                let dir = dir.path();
                scope.spawn(move || {
                    change_file(dir, |skips| skips.add(&format!("e-{n}"), "1")).unwrap();
                });
            }
        });
        let mut expected = Skips::default();
        (0..20).for_each(|n| expected.add(&format!("e-{n}"), "1"));
        let json = std::fs::read(dir.path().join(SKIPS_FILE)).unwrap();
        assert_eq!(Skips::parse(&json).unwrap(), expected);
    }

    #[test]
    fn a_file_of_other_hands_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(SKIPS_FILE), "[]").unwrap();
        let error = change_file(dir.path(), |_skips| {}).unwrap_err();
        assert!(format!("{error:#}").contains("skips.json: the list of skips is not one"));
        assert_eq!(std::fs::read(dir.path().join(SKIPS_FILE)).unwrap(), b"[]");
    }
}
