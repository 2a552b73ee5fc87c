//! `cargo xtask bootstrap` and `new`, with a stand-in for Terraform that keeps a state as Terraform
//! does: in a file of its own, or in the bucket once the folder says so.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Counts its calls, and ends before or after the one that the test names.
const TERRAFORM: &str = r#"#!/bin/sh
set -eu
if [ "$*" = "version -json" ]; then
    echo "{\"terraform_version\":\"${VERSION-1.11.4}\"}"
    exit
fi
folder=${1#-chdir=}
verb=$2
n=$(($(cat "$WORLD/n" 2>/dev/null || echo 0) + 1))
echo $n > "$WORLD/n"
echo "$verb ${3-}" >> "$WORLD/calls"
[ "${STOP_BEFORE-}" != $n ] || { kill -9 $PPID; exit 1; }
local=$folder/terraform.tfstate
remote=$WORLD/remote.tfstate
case "$verb ${3-}" in
apply*)
    if [ -e "$folder/backend.tf" ]; then state=$remote; else state=$local; fi
    sed "s/@NAME@/made/" "$WORLD/state.json" > "$state" ;;
"state push") [ ! -e "$remote" ] || exit 1; cp "$4" "$remote" ;;
"state pull") [ ! -e "$remote" ] || cat "$remote" ;;
output*)
    if [ -e "$folder/backend.tf" ]; then state=$remote; else state=$local; fi
    if [ -e "$state" ]; then cat "$WORLD/outputs.json"; else echo '{}'; fi ;;
esac
[ "${STOP_AFTER-}" != $n ] || kill -9 $PPID
"#;

const OPERATOR: &str = r#"#!/bin/sh
echo '{"account": "210987654321", "arn": "arn:aws:iam::210987654321:user/admin"}'
"#;

/// A clone whose account was never prepared.
struct Clone {
    dir: TempDir,
}

impl Clone {
    fn new() -> Self {
        let clone = Self { dir: tempfile::tempdir().unwrap() };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for environment in ["bootstrap", "dev"] {
            let to = clone.environment(environment);
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(root.join("environments").join(environment)).unwrap() {
                let from = entry.unwrap().path();
                if from.is_file() {
                    fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
                }
            }
        }
        for (path, text) in
            [("bin/terraform", TERRAFORM), ("target/debug/webhook-operator", OPERATOR)]
        {
            let path = clone.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let instance = json!({ "attributes": { "id": "@NAME@" } });
        let resource = json!({ "type": "aws_s3_bucket", "name": "this", "instances": [instance] });
        clone.write("world/state.json", &json!({ "lineage": "l", "resources": [resource] }));
        let output = |value: Value| json!({ "value": value });
        let boundary = "arn:aws:iam::210987654321:policy/other-dev-boundary";
        clone.write(
            "world/outputs.json",
            &json!({
                "state_bucket": output(json!("other-state")),
                "artifact_bucket": output(json!("other-artifacts")),
                "permissions_boundary_arns": output(json!({ "dev": boundary })),
            }),
        );
        clone
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn environment(&self, name: &str) -> PathBuf {
        self.path("clone/environments").join(name)
    }

    fn write(&self, path: &str, value: &Value) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }

    fn values(&self, environment: &str) -> Value {
        let file = self.environment(environment).join("terraform.tfvars.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// Runs a command, with variables that the stand-in looks at: its exit code and what it said.
    fn run(&self, arguments: &[&str], stop: Option<(&str, usize)>) -> (Option<i32>, String) {
        let _ = fs::remove_file(self.path("world/n"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let path = std::env::join_paths([self.path("bin"), "/usr/bin".into(), "/bin".into()]);
        command
            .args(arguments)
            .env("PATH", path.unwrap())
            .env("WORLD", self.path("world"))
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("CARGO_PKG_NAME", "xtask")
            .env("CARGO_MANIFEST_DIR", self.path("clone/xtask"))
            .env("XTASK_BUILT", "1")
            .stdin(Stdio::null());
        if let Some((when, call)) = stop {
            command.env(when, call.to_string());
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn bootstrap(&self, stop: Option<(&str, usize)>) -> (Option<i32>, String) {
        let first = ["bootstrap", "--name", "other", "--region", "eu-west-1", "--yes"];
        self.run(&[&first[..], &["--repository", "o@1/r@2"]].concat(), stop)
    }

    /// Where the state is, as resources' ids.
    fn states(&self) -> Vec<&'static str> {
        let folder = self.environment("bootstrap");
        let places = [
            ("file", folder.join("terraform.tfstate")),
            ("moving", folder.join("moving.tfstate")),
            ("bucket", self.path("world/remote.tfstate")),
        ];
        places.into_iter().filter(|(_, path)| path.exists()).map(|(name, _)| name).collect()
    }
}

#[test]
fn an_account_is_prepared_and_its_state_moved_into_the_bucket() {
    let clone = Clone::new();
    let (code, said) = clone.bootstrap(None);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(clone.states(), ["bucket"], "{said}");
    let values = clone.values("bootstrap");
    assert_eq!(values["account_id"], "210987654321", "the credentials'");
    assert_eq!((&values["name"], &values["region"]), (&json!("other"), &json!("eu-west-1")));
    let subjects = &values["environments"]["prod"]["deploy_subjects"];
    assert_eq!(*subjects, json!(["repo:o@1/r@2:environment:prod"]));
    assert!(said.contains("commit environments/bootstrap/backend.tf"), "{said}");
    // Once more: nothing is moved, and the bucket's state is the one that is used.
    let (code, said) = clone.run(&["bootstrap", "--yes"], None);
    assert_eq!((code, clone.states()), (Some(0), vec!["bucket"]), "{said}");
}

/// Killed before or after each call of Terraform: a state is somewhere all the time, and the next run
/// brings it to where it belongs.
#[test]
fn whatever_stops_it_the_state_is_kept_and_the_next_run_goes_on() {
    for when in ["STOP_BEFORE", "STOP_AFTER"] {
        for call in 1.. {
            let clone = Clone::new();
            let (code, said) = clone.bootstrap(Some((when, call)));
            if code == Some(0) {
                assert!(call > 6, "it was stopped {call} times only: {said}");
                break;
            }
            let calls = fs::read_to_string(clone.path("world/calls")).unwrap();
            let was_applied = calls.contains("apply") && !(when == "STOP_BEFORE" && call == 2);
            assert_eq!(clone.states().is_empty(), !was_applied, "{when} {call}: {said}");
            let (code, said) = clone.run(&["bootstrap", "--yes"], None);
            assert_eq!((code, clone.states()), (Some(0), vec!["bucket"]), "{when} {call}: {said}");
        }
    }
}

#[test]
fn a_terraform_that_is_too_old_makes_nothing() {
    let clone = Clone::new();
    let (code, said) = clone.bootstrap(Some(("VERSION", 1)));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("terraform 1 is too old"), "{said}");
    assert!(clone.states().is_empty() && !clone.path("world/calls").exists(), "{said}");
}

#[test]
fn a_state_of_others_in_the_bucket_is_left_alone() {
    let clone = Clone::new();
    let resource = json!({ "type": "aws_sqs_queue", "name": "q", "instances": [{}] });
    clone.write("world/remote.tfstate", &json!({ "lineage": "x", "resources": [resource] }));
    let before = fs::read(clone.path("world/remote.tfstate")).unwrap();
    let (code, said) = clone.bootstrap(None);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the bucket holds a state of other resources than"), "{said}");
    assert_eq!(fs::read(clone.path("world/remote.tfstate")).unwrap(), before);
    assert_eq!(clone.states(), ["moving", "bucket"], "what is here stays");
}

#[test]
fn an_environment_is_written_from_what_was_made() {
    let clone = Clone::new();
    let new = |environment: &str, more: &[&str]| {
        let first = ["new", environment, "--email", "a@example.com"];
        clone.run(&[&first[..], more].concat(), None)
    };
    let url = ["--url", "https://sss.example.com/hook"];
    let (code, said) = new("dev", &[&url[..], &["--replace"]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("bootstrap was never applied here: `cargo xtask bootstrap`"), "{said}");

    assert_eq!(clone.bootstrap(None).0, Some(0));
    let (code, said) = new("dev", &url);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is there already; --replace"), "{said}");

    let before = clone.values("dev");
    let (code, said) = new("dev", &["--url", "http://sss.example.com/hook", "--replace"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("must be https"), "{said}");
    assert_eq!(clone.values("dev"), before, "nothing is written that is not right");

    let (code, said) = new("dev", &[&url[..], &["--replace"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let values = clone.values("dev");
    let aws = &values["aws"];
    assert_eq!((&aws["account_id"], &aws["region"]), (&json!("210987654321"), &json!("eu-west-1")));
    assert_eq!(aws["state_bucket"], "other-state");
    assert_eq!(aws["artifact_bucket"], "other-artifacts");
    let boundary = "arn:aws:iam::210987654321:policy/other-dev-boundary";
    assert_eq!(aws["permissions_boundary_arn"], boundary);
    assert_eq!(values["routes"]["sss"]["destinations"][0]["url"], url[1]);

    // One that bootstrap does not know yet is added to it.
    let (code, said) = new("staging", &url);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("run `cargo xtask bootstrap`, and this again"), "{said}");
    assert!(!clone.environment("staging").exists());
    let staging = &clone.values("bootstrap")["environments"]["staging"];
    assert_eq!(staging["deploy_subjects"], json!(["repo:o@1/r@2:environment:staging"]));

    let mut outputs: Value =
        serde_json::from_str(&fs::read_to_string(clone.path("world/outputs.json")).unwrap())
            .unwrap();
    outputs["permissions_boundary_arns"]["value"]["staging"] = json!(boundary);
    clone.write("world/outputs.json", &outputs);
    let (code, said) = new("staging", &url);
    assert_eq!(code, Some(0), "{said}");
    for file in ["main.tf", "provider.tf", ".terraform.lock.hcl"] {
        let read = |environment: &str| fs::read(clone.environment(environment).join(file)).unwrap();
        assert_eq!(read("staging"), read("dev"), "{file}");
    }
}
