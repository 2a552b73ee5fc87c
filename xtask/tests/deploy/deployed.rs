//! What an environment is once it is deployed: the plan that Terraform makes of today's modules, and what
//! the stand-in for Terraform makes of it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::plans::plans;

/// An environment, as it is planned once it is deployed.
pub(crate) struct Deployed {
    /// Its values.
    pub(crate) values: String,
    /// A plan to deploy other code, as the stand-in completes it.
    pub(crate) plan: Value,
    /// A plan to destroy all of it.
    pub(crate) destroy: Value,
}

/// The plan's resources as JSON, kept until a module changes: Terraform takes its time.
fn later(root: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "modules", "environments/dev", "environments/local"]);
    let files = String::from_utf8(git.output().unwrap().stdout).unwrap();
    let mut hash = Sha256::new_with_prefix(include_str!("../../src/aws/check/tests/plans.rs"));
    for file in files.lines() {
        hash.update(std::fs::read(root.join(file)).unwrap());
    }
    let name =
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deployed-{name}.json"));
    if let Ok(text) = std::fs::read_to_string(&kept) {
        return Some(text);
    }
    let later = plans()?.later["resource_changes"].to_string();
    // Whole or not at all: other tests look as well.
    let mut unfinished = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    unfinished.write_all(later.as_bytes()).unwrap();
    unfinished.persist(&kept).unwrap();
    Some(later)
}

/// Such an environment, which is `dev` under its own name; `None`, with a word, where Terraform or its
/// provider cannot be had.
pub(crate) fn deployed(environment: &str) -> Option<Deployed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let values = root.join("environments/dev/terraform.tfvars.json");
    let values = std::fs::read_to_string(values).unwrap().replace("dev", environment);
    let later = later(root)?.replace("dev", environment);
    let mut changes: Vec<Value> = serde_json::from_str(&later).unwrap();
    changes.retain(|change| change["mode"] == "managed");
    for resource in &mut changes {
        // As it is once it is applied.
        resource["change"]["actions"] = json!(["no-op"]);
        resource["change"]["before"] = resource["change"]["after"].clone();
    }
    let mut destroyed = changes.clone();
    for resource in &mut destroyed {
        resource["change"]["actions"] = json!(["delete"]);
        resource["change"]["after"] = Value::Null;
    }
    // It is given to the new version, too.
    let is_mapping = |resource: &&mut Value| resource["type"] == "aws_lambda_event_source_mapping";
    let mapping = &mut changes.iter_mut().find(is_mapping).unwrap()["change"];
    mapping["actions"] = json!(["@ACTION@"]);
    mapping["before"]["uuid"] = json!("mapping-1");
    let is_forwarder = |resource: &&mut Value| {
        resource["address"].as_str().unwrap().ends_with("aws_lambda_function.forwarder")
    };
    let function = &mut changes.iter_mut().find(is_forwarder).unwrap()["change"];
    function["actions"] = json!(["@ACTION@"]);
    function["before"]["source_code_hash"] = json!("@BEFORE@");
    function["after"]["source_code_hash"] = json!("@AFTER@");
    let plan = |applyable: Value, changes: Vec<Value>| json!({ "format_version": "1.2", "applyable": applyable, "resource_changes": changes });
    Some(Deployed {
        values,
        plan: plan(json!("@APPLYABLE@"), changes),
        destroy: plan(json!(true), destroyed),
    })
}
