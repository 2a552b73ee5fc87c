//! What an environment is once it is deployed: the state of today's modules, applied by Terraform with a
//! mocked provider, and the plans that the stand-in for Terraform makes of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const APPLY: &str = include_str!("stand_in/deployed.tftest.hcl");

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The values of an environment: those of dev, under another name.
pub(crate) fn values(environment: &str) -> Value {
    let file = root().join("environments/dev/terraform.tfvars.json");
    let mut values: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    values["environment"] = json!(environment);
    values
}

/// The resources of an environment, or why there is nobody to say which: Terraform or its provider
/// cannot be had. Kept until a module changes.
pub(crate) fn resources(environment: &str) -> Result<Vec<Value>, String> {
    /// One test after another: what the first has found the others have.
    static LOOKING: Mutex<()> = Mutex::new(());
    let _looking = LOOKING.lock().unwrap_or_else(PoisonError::into_inner);
    let files = sources();
    let mut hash = Sha256::new();
    for text in [APPLY, environment, &values(environment).to_string()] {
        hash.update(text);
    }
    for file in &files {
        hash.update(std::fs::read(root().join(file)).unwrap());
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deployed-{name}.json"));
    if let Ok(text) = std::fs::read_to_string(&kept) {
        return Ok(serde_json::from_str(&text).unwrap());
    }
    let state = apply(environment, &files)?;
    let mut resources = Vec::new();
    let mut modules = vec![&state["root_module"]];
    while let Some(module) = modules.pop() {
        modules.extend(items(&module["child_modules"]));
        resources.extend(items(&module["resources"]).filter(|it| it["mode"] == "managed").cloned());
    }
    assert!(resources.len() > 40, "{} resources", resources.len());
    // Whole or not at all: other tests look as well.
    let unfinished = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    serde_json::to_writer(&unfinished, &resources).unwrap();
    unfinished.persist(&kept).unwrap();
    Ok(resources)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The files of modules and of the environment dev.
fn sources() -> Vec<String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "modules", "environments/dev/*.tf"]);
    let output = git.output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn apply(environment: &str, files: &[String]) -> Result<Value, String> {
    let copy = tempfile::tempdir().unwrap();
    for file in files {
        let to = copy.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(file), to).unwrap();
    }
    let dir = copy.path().join("environments/dev");
    std::fs::create_dir(dir.join("tests")).unwrap();
    let apply = APPLY.replace("@ENVIRONMENT@", environment);
    std::fs::write(dir.join("tests/deployed.tftest.hcl"), apply).unwrap();
    std::fs::write(dir.join("terraform.tfvars.json"), values(environment).to_string()).unwrap();
    let terraform = |arguments: &[&str]| {
        let mut terraform = Command::new("terraform");
        terraform.current_dir(&dir).args(arguments).env("CHECKPOINT_DISABLE", "1");
        terraform.env_remove("TF_DATA_DIR").output().map_err(|error| format!("terraform: {error}"))
    };
    let init = terraform(&["init", "-backend=false", "-input=false", "-no-color"])?;
    if !init.status.success() {
        let said = String::from_utf8_lossy(&init.stderr).into_owned();
        assert!(said.contains("provider"), "{said}");
        return Err(said);
    }
    let test = terraform(&["test", "-json", "-verbose"])?;
    let said = String::from_utf8(test.stdout).unwrap();
    assert!(test.status.success(), "{said}");
    let mut lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut told = lines.find(|line| line["test_state"].is_object()).expect("it prints the state");
    Ok(told["test_state"].take())
}

fn change(resource: &Value, change: &Value) -> Value {
    let of = |name: &str| &resource[name];
    json!({ "address": of("address"), "mode": "managed", "type": of("type"), "change": change })
}

/// A plan to deploy other code, as the stand-in completes it.
pub(crate) fn plan(resources: &[Value]) -> Value {
    let changes = resources.iter().map(|resource| {
        let values = &resource["values"];
        if resource["type"] == "aws_lambda_function" {
            let with = |code: &str| {
                let mut values = values.clone();
                values["source_code_hash"] = json!(code);
                values
            };
            let (before, after) = (with("@BEFORE@"), with("@AFTER@"));
            return change(
                resource,
                &json!({ "actions": ["@ACTION@"], "before": before, "after": after }),
            );
        }
        change(resource, &json!({ "actions": ["no-op"], "before": values, "after": values }))
    });
    let changes: Vec<Value> = changes.collect();
    json!({ "format_version": "1.2", "applyable": "@APPLYABLE@", "resource_changes": changes })
}

/// A plan to destroy all of it.
pub(crate) fn destroy(resources: &[Value]) -> Value {
    let changes = resources.iter().map(|resource| {
        change(
            resource,
            &json!({ "actions": ["delete"], "before": resource["values"], "after": null }),
        )
    });
    let changes: Vec<Value> = changes.collect();
    json!({ "format_version": "1.2", "applyable": true, "resource_changes": changes })
}
