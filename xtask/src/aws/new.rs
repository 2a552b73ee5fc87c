//! `cargo xtask new`

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use deployment::Deployment;
use serde::Serialize;
use terminal::exit::Failure;

use super::LOCAL;
use super::bootstrap::{self, Values};
use crate::workspace;

/// Whose Terraform files a new environment gets: they are the same everywhere.
const LIKE: &str = "dev";

/// Those files.
const FILES: [&str; 5] =
    ["main.tf", "variables.tf", "outputs.tf", "provider.tf", ".terraform.lock.hcl"];

/// Write an environment: its folder, and a configuration to go on from
///
/// Account, region, buckets and the boundary of its roles are what `cargo xtask bootstrap` has made; an
/// environment that it does not know yet is added to its values first. Everything else of the
/// configuration has a default and its line in docs/configuration.md.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask new dev --replace --url https://sss.dev.example.com/application-hook --email team@example.com\n  cargo xtask new staging --url https://sss.example.com/hook --email team@example.com --ordering-key '$request.body.order.id'"
)]
pub(crate) struct New {
    /// Environment: all names on AWS begin with it
    #[arg(value_name = "ENV")]
    environment: String,

    /// Where events are delivered to
    #[arg(long)]
    url: String,

    /// Who hears of alarms
    #[arg(long)]
    email: String,

    /// What is delivered in order
    #[arg(long, value_name = "EXPRESSION", default_value = "$request.header.x-workflow-id")]
    ordering_key: String,

    /// Where the SaaS posts to
    #[arg(long, default_value = "/sqs-hook")]
    path: String,

    /// Write the values of an environment anew that is there already, such as an example
    #[arg(long)]
    replace: bool,
}

/// What is written, in the order in which people read it.
#[derive(Serialize)]
struct Configuration<'a> {
    environment: &'a str,
    routes: BTreeMap<&'static str, Route<'a>>,
    aws: Aws<'a>,
}

#[derive(Serialize)]
struct Route<'a> {
    path: &'a str,
    ordering_key: &'a str,
    pass_headers: [&'static str; 1],
    destinations: [Destination<'a>; 1],
}

#[derive(Serialize)]
struct Destination<'a> {
    name: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
struct Aws<'a> {
    region: &'a str,
    account_id: &'a str,
    state_bucket: &'a str,
    artifact_bucket: &'a str,
    permissions_boundary_arn: &'a str,
    notifications: BTreeMap<&'static str, [&'a str; 1]>,
}

impl New {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let name = &self.environment;
        let dir = workspace::environment_dir(name);
        let usage = |text: String| Failure::Usage.of(anyhow!(text));
        if name == LOCAL || name == "bootstrap" {
            return Err(usage(format!("{name} is not an environment on AWS")));
        }
        if dir.exists() && !self.replace {
            let shown = dir.display();
            return Err(usage(format!(
                "{shown} is there already; --replace writes its values anew"
            )));
        }
        let mut values = Values::read()?;
        let made = bootstrap::made()?;
        let Some(boundary) = made.permissions_boundary_arns.get(name) else {
            if !values.environments.contains_key(name) {
                values.add(name, LIKE)?;
                values.write()?;
            }
            return Err(usage(format!(
                "bootstrap has made nothing for {name} yet: environments/bootstrap/terraform.tfvars.json \
                 names it now; run `cargo xtask bootstrap`, and this again"
            )));
        };
        let text = Configuration {
            environment: name,
            routes: BTreeMap::from([(
                "sss",
                Route {
                    path: &self.path,
                    ordering_key: &self.ordering_key,
                    pass_headers: ["content-type"],
                    destinations: [Destination { name: "sss", url: &self.url }],
                },
            )]),
            aws: Aws {
                region: &values.region,
                account_id: &values.account_id,
                state_bucket: &made.state_bucket,
                artifact_bucket: &made.artifact_bucket,
                permissions_boundary_arn: boundary,
                notifications: BTreeMap::from([("emails", [self.email.as_str()])]),
            },
        };
        let text = serde_json::to_string_pretty(&text)? + "\n";
        // Refused before anything is written.
        Deployment::parse(&text).map_err(|error| Failure::Usage.of(anyhow!(error)))?;
        write(&dir, &text)?;
        println!("{}", workspace::config_file(name).display());
        println!(
            "next: `cargo xtask doctor {name}` looks whether all is ready, `cargo xtask deploy {name}` deploys"
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes an environment's folder.
fn write(dir: &Path, config: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    for file in FILES {
        let (from, to) = (workspace::environment_dir(LIKE).join(file), dir.join(file));
        if from != to {
            std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    let file = dir.join("terraform.tfvars.json");
    std::fs::write(&file, config).with_context(|| format!("writing {}", file.display()))
}
