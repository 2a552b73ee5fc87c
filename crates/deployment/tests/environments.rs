//! The environments in this repository: their values are good, and values are all that they differ
//! in.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use deployment::Deployment;

/// The file in which environments differ.
const VALUES: &str = "terraform.tfvars.json";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Every environment's files by their names; `bootstrap` prepares accounts and is none.
fn environments() -> BTreeMap<String, BTreeMap<String, String>> {
    let root = Path::new(ROOT).join("environments");
    let mut environments: BTreeMap<String, _> = entries(&root)
        .filter(|(_, path)| path.is_dir())
        .map(|(name, path)| (name, files(&path)))
        .collect();
    environments.remove("bootstrap").expect("it is there");
    environments
}

/// What Git keeps of a directory: Terraform's own folders and states are ignored.
fn files(directory: &Path) -> BTreeMap<String, String> {
    entries(directory)
        .filter(|(name, path)| path.is_file() && !name.contains(".tfstate"))
        .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
        .collect()
}

fn entries(directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
}

#[test]
fn every_environment_s_values_are_good() {
    for (name, files) in environments() {
        let Deployment { config, aws } =
            Deployment::parse(&files[VALUES]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(config.environment(), name, "an environment's name is its directory's");
        assert!(aws.is_some(), "{name} says nothing of AWS");
    }
}

#[test]
fn environments_differ_in_values_only() {
    let environments = environments();
    let prod = &environments["prod"];
    assert_eq!(
        prod.keys().map(String::as_str).collect::<Vec<_>>(),
        [".terraform.lock.hcl", "main.tf", "outputs.tf", "provider.tf", VALUES, "variables.tf"]
    );
    for (name, files) in &environments {
        assert!(
            files.keys().eq(prod.keys()),
            "{name} has other files than prod: {:?}",
            files.keys()
        );
        for (file, text) in files {
            // The emulator is reached by another provider.
            let may_differ = file == VALUES || name == "local" && file == "provider.tf";
            assert!(may_differ || *text == prod[file], "{name}/{file} is not that of prod");
        }
    }
}

#[test]
fn environments_on_aws_do_not_share_what_must_be_their_own() {
    let mut boundaries = BTreeSet::new();
    for (name, files) in environments() {
        let aws = Deployment::parse(&files[VALUES]).unwrap().aws.unwrap();
        if name == "local" {
            continue;
        }
        assert!(aws.account_id.is_some(), "{name} would be deployed to whichever account");
        let boundary = aws.permissions_boundary_arn.clone();
        assert!(boundaries.insert(boundary), "{name} has another's permissions boundary");
        assert!(name != "prod" || aws.deletion_protection, "prod's queues can be deleted");
    }
}

/// Terraform drops what its types do not name and says nothing.
#[test]
fn terraform_knows_every_field() {
    // The root module's own, and what `cargo xtask` needs.
    const NOT_THE_MODULE_S: [&str; 6] =
        ["account_id", "artifact_bucket", "region", "smoke_test", "state_bucket", "tags"];
    let root = Path::new(ROOT);
    let schema = fs::read_to_string(root.join("environments/schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let types = schema["$defs"].as_object().unwrap();
    let fields: BTreeSet<&String> = types
        .iter()
        // Terraform refuses the second.
        .filter(|(name, _)| {
            !["SmokeTestFile", "NotifyFile", "KeepDeliveredFile"].contains(&name.as_str())
        })
        .filter_map(|(_, of)| of["properties"].as_object())
        .flat_map(|fields| fields.keys())
        .collect();
    let variables = fs::read_to_string(root.join("modules/webhook-system/variables.tf")).unwrap();
    let known: BTreeSet<&str> = variables
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
        .collect();
    let unknown: Vec<&String> = fields
        .into_iter()
        .filter(|field| {
            !known.contains(field.as_str()) && !NOT_THE_MODULE_S.contains(&field.as_str())
        })
        .collect();
    assert!(unknown.is_empty(), "modules/webhook-system/variables.tf lacks {unknown:?}");
}
