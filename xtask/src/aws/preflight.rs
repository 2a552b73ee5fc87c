//! What is cheap to look at, before anything is built: whoever may not deploy, or cannot from here,
//! should learn it first.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use terminal::exit::Failure;

use super::operator::Operator;
use super::{Environment, bootstrap};
use crate::process;

/// Variables that give credentials, or say where they are. Source: AWS SDKs and tools reference guide,
/// "Settings reference".
const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Files with credentials: the variable that names one, and where it is else, in the home directory.
const FILES: [(&str, &str); 2] =
    [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")];

/// Where a machine on EC2 has its role's. Source: EC2 user guide, "Instance metadata service".
const INSTANCE_METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// How long the machine next door may take.
const METADATA_PATIENCE: Duration = Duration::from_millis(500);

/// The operator, and who deploys: with credentials of the right account.
///
/// # Errors
///
/// [`Failure::Environment`] without them.
pub(crate) fn identify(environment: &Environment) -> anyhow::Result<(Operator<'_>, String)> {
    if !environment.is_local() && !has_credentials(|name| std::env::var_os(name).map(PathBuf::from))
    {
        let error = anyhow!(
            "there are no AWS credentials: log in and set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY"
        );
        return Err(Failure::Environment.of(error));
    }
    let operator = Operator::new(environment)?;
    let by = operator.whoami()?;
    Ok((operator, by))
}

/// Whether there is any place that could give credentials; whether they are good, AWS knows.
fn has_credentials(variable: impl Fn(&str) -> Option<PathBuf>) -> bool {
    let is_set = |name: &&str| variable(name).is_some_and(|value| !value.as_os_str().is_empty());
    let home = variable("HOME").unwrap_or_default();
    let is_file = |&(name, default): &(&str, &str)| {
        variable(name).unwrap_or_else(|| home.join(default)).is_file()
    };
    let asks_metadata = || {
        let is_off = variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| {
            value.to_str().is_some_and(|value| value.eq_ignore_ascii_case("true"))
        });
        !is_off && TcpStream::connect_timeout(&INSTANCE_METADATA, METADATA_PATIENCE).is_ok()
    };
    CREDENTIALS.iter().any(is_set) || FILES.iter().any(is_file) || asks_metadata()
}

/// Files of the work tree that differ from its commit, as git shows them, and what git does not know of
/// the files that Terraform reads; empty where there is no git.
fn uncommitted(environment: &Environment) -> String {
    let git = |arguments: &[&str]| {
        process::output(process::command("git").args(arguments)).unwrap_or_default()
    };
    let folder = format!("environments/{}", environment.name);
    git(&["status", "--porcelain", "--untracked-files=no"])
        + &git(&["status", "--porcelain", "--untracked-files=all", "--", &folder, "modules"])
}

/// Looks whether a deployment from this work tree can be told from its commit: one to an environment
/// that others are promoted to must, elsewhere it is said what follows if it cannot.
///
/// # Errors
///
/// As [`check_committed`], where `environment` promotes from another.
pub(crate) fn check_deployable(environment: &Environment) -> anyhow::Result<()> {
    let Some(from) = bootstrap::promotes_from(&environment.name)? else {
        warn_if_uncommitted(environment);
        return Ok(());
    };
    check_committed(environment).with_context(|| {
        let name = &environment.name;
        format!("{name} takes what was tried in {from}, so it is deployed from a commit only")
    })
}

/// Says what a work tree with changes means for what is deployed from it.
pub(crate) fn warn_if_uncommitted(environment: &Environment) {
    if !environment.is_local() && !uncommitted(environment).is_empty() {
        eprintln!(
            "note: this work tree has changes that are not committed; they go into what is applied, and \
             what is built from them is not promoted"
        );
    }
}

/// Fails if the work tree has changes.
///
/// # Errors
///
/// Then: Terraform's files and the environment's values are those of the work tree.
pub(crate) fn check_committed(environment: &Environment) -> anyhow::Result<()> {
    let changes = uncommitted(environment);
    if environment.is_local() || changes.is_empty() {
        return Ok(());
    }
    let first = changes.lines().next().unwrap_or_default().trim();
    bail!(
        "this work tree has changes that are not committed ({first}, …), and they would go into what is \
         applied to {}: commit or stash them",
        environment.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_variables_or_files() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_owned();
        let with = |more: Vec<(&'static str, PathBuf)>| {
            has_credentials(|name| match name {
                "HOME" => Some(home.clone()),
                "AWS_EC2_METADATA_DISABLED" => Some("true".into()),
                name => more.iter().find(|(it, _)| *it == name).map(|(_, value)| value.clone()),
            })
        };
        assert!(!with(vec![]));
        assert!(!with(vec![("AWS_PROFILE", PathBuf::new())]));
        assert!(with(vec![("AWS_PROFILE", "dev".into())]));
        std::fs::write(home.join("mine"), "").unwrap();
        assert!(with(vec![("AWS_CONFIG_FILE", home.join("mine"))]));
        std::fs::create_dir(home.join(".aws")).unwrap();
        std::fs::write(home.join(".aws/credentials"), "").unwrap();
        assert!(with(vec![]));
    }
}
