//! A machine with a clone, and what is outside it: stand-ins for Terraform, for the operator and for the
//! API that takes events.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::deployed::{Deployed, deployed};

/// Where every environment here keeps artifacts and records.
const BUCKET: &str = "acme-webhook-artifacts";

/// What is live before a test begins, and what it brings.
pub(crate) const OLD: &str = "old code";
pub(crate) const NEW: &str = "new code";

/// A machine with the environments dev and prod, in which [`OLD`] is deployed to both.
pub(crate) struct Machine {
    dir: TempDir,
}

/// Some code, as an artifact.
pub(crate) struct Code {
    /// In hexadecimal, its name.
    pub(crate) digest: String,
    /// In base64, as Lambda says it.
    pub(crate) lambda_digest: String,
    pub(crate) manifest: Value,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    stderr: ChildStderr,
    bytes: Vec<u8>,
    said: String,
}

/// Code as an artifact.
pub(crate) fn code(text: &str) -> Code {
    let hash = Sha256::digest(text);
    let digest = hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let lambda_digest = BASE64_STANDARD.encode(hash);
    let manifest = json!({
        "sha256": digest, "code_sha256": lambda_digest, "zip_bytes": text.len(), "bootstrap_bytes": 3,
        "arch": "arm64", "target": "t", "git_commit": "7ccc8dc", "dirty": false, "rustc": "r",
        "cargo_lambda": "l",
    });
    Code { digest, lambda_digest, manifest }
}

impl Machine {
    /// Such a machine; `None`, with a word, where Terraform or its provider cannot be had.
    pub(crate) fn new() -> Option<Self> {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        let bin = machine.path("bin");
        let debug = machine.path("target/debug");
        for (path, text) in [
            (bin.join("terraform"), include_str!("stand_in/terraform.sh")),
            (debug.join("webhook-operator"), include_str!("stand_in/operator.sh")),
            (machine.world("step.sh"), include_str!("stand_in/step.sh")),
            (bin.join("ps"), include_str!("stand_in/ps.sh")),
        ] {
            write(&path, text);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let url = api();
        for environment in ["dev", "prod"] {
            let Deployed { values, plan, destroy } = deployed(environment)?;
            let dir = machine.path("clone/environments").join(environment);
            write(&dir.join("main.tf"), "# The stand-in does not look.");
            write(&dir.join("terraform.tfvars.json"), &values);
            let aws = machine.world(environment);
            write(&aws.join("plan.json"), &plan.to_string());
            write(&aws.join("destroy.json"), &destroy.to_string());
            write(&aws.join("outputs.json"), &outputs(environment, &url).to_string());
            write(&aws.join("serial"), "1");
            machine.has_live(environment, OLD);
        }
        machine.keep_artifact(OLD);
        machine.package(NEW);
        Some(machine)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A file of what is outside.
    pub(crate) fn world(&self, path: &str) -> PathBuf {
        self.path("world").join(path)
    }

    /// A file of the artifact bucket.
    pub(crate) fn bucket(&self, path: &str) -> PathBuf {
        self.world("s3").join(BUCKET).join(path)
    }

    /// `text` is live, and on record as what passed: by a program of before, in version 1.
    pub(crate) fn has_live(&self, environment: &str, text: &str) {
        let Code { digest, lambda_digest, .. } = code(text);
        write(&self.world(environment).join("code"), &lambda_digest);
        let minute = if text == OLD { 1 } else { 2 };
        let record = json!({
            "version": 1, "environment": environment, "at": format!("2026-01-01T00:0{minute}:00.000Z"),
            "sha256": digest, "git_commit": "7ccc8dc", "dirty": false, "by": "me", "kind": "deploy",
            "from": null, "smoke": "passed", "function_version": "7",
        });
        let id = format!("20260101T000{minute}00Z-{}", &digest[..12]);
        write(&self.bucket(&format!("releases/{environment}/{id}.json")), &record.to_string());
    }

    /// `text` is in the artifact bucket.
    pub(crate) fn keep_artifact(&self, text: &str) {
        let Code { digest, manifest, .. } = code(text);
        write(&self.bucket(&format!("artifacts/{digest}.zip")), text);
        write(&self.bucket(&format!("artifacts/{digest}.json")), &manifest.to_string());
    }

    /// `text` is what was packaged here.
    pub(crate) fn package(&self, text: &str) {
        let dir = self.path("target/package/arm64");
        write(&dir.join("function.zip"), text);
        write(&dir.join("manifest.json"), &code(text).manifest.to_string());
    }

    /// Has an environment `local`, whose artifact is [`OLD`] for this processor, and an emulator for it:
    /// this process; returns its URL.
    pub(crate) fn play_emulator(&self) -> String {
        let dir = self.path("clone/environments/local");
        write(&dir.join("main.tf"), "# The stand-in does not look.");
        let Deployed { values, .. } = deployed("local").unwrap();
        write(&dir.join("terraform.tfvars.json"), &values);
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        let mut manifest = code(OLD).manifest;
        manifest["arch"] = json!(arch);
        let package = self.path("target/package").join(arch);
        write(&package.join("function.zip"), OLD);
        write(&package.join("manifest.json"), &manifest.to_string());
        let url = api();
        let program = std::env::current_exe().unwrap();
        let running = json!({
            "pid": std::process::id(), "program": program, "address": url.trim_start_matches("http://"),
        });
        let file = self.path("clone/.webhook-queue/deploy-local/emulator.json");
        write(&file, &running.to_string());
        url
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let path = std::env::join_paths([self.path("bin"), "/usr/bin".into(), "/bin".into()]);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env("PATH", path.unwrap())
            .env("WORLD", self.path("world"))
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("CARGO_PKG_NAME", "xtask")
            .env("CARGO_MANIFEST_DIR", self.path("clone/xtask"))
            .env("XTASK_BUILT", "1")
            .env("AWS_ACCESS_KEY_ID", "made-up");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        start(&mut self.command(arguments)).end()
    }

    /// The same, with a variable that a stand-in looks at.
    pub(crate) fn run_with(&self, variable: (&str, &str), arguments: &[&str]) -> Done {
        start(self.command(arguments).env(variable.0, variable.1)).end()
    }

    /// Runs a command that gets the signal `by` at its step number `step`.
    pub(crate) fn stop(&self, arguments: &[&str], step: usize, by: &str) -> Done {
        let mut command = self.command(arguments);
        command.env("STOP_AT", step.to_string()).env("STOP_BY", by);
        let mut running = start(&mut command);
        // That it was noticed, or that it is dead: then nobody holds its end of the pipe.
        while running.more() && !running.said.contains("stopping: ") {}
        write(&self.world("seen"), "");
        running.end()
    }

    /// The steps that were taken so far.
    pub(crate) fn steps(&self) -> Vec<String> {
        lines(&self.world("steps"))
    }

    /// As if no step had been taken yet.
    pub(crate) fn forget_steps(&self) {
        for name in ["steps", "seen", "puts", "applied"] {
            let path = self.world(name);
            if path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// What was written into the bucket.
    pub(crate) fn puts(&self) -> Vec<String> {
        lines(&self.world("puts"))
    }

    /// What Terraform has done.
    pub(crate) fn applied(&self) -> Vec<String> {
        lines(&self.world("applied"))
    }

    /// The code that runs in an environment.
    pub(crate) fn live(&self, environment: &str) -> String {
        std::fs::read_to_string(self.world(environment).join("code")).unwrap()
    }

    /// Ids of records under a prefix, the oldest first.
    pub(crate) fn ids(&self, prefix: &str) -> Vec<String> {
        let Ok(entries) = self.bucket(prefix).read_dir() else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut ids: Vec<String> =
            names.map(|name| name.trim_end_matches(".json").to_owned()).collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn record(&self, prefix: &str, id: &str) -> Value {
        let text = std::fs::read_to_string(self.bucket(&format!("{prefix}/{id}.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The record of the end of the last release of an environment.
    pub(crate) fn last(&self, environment: &str) -> Value {
        let prefix = format!("releases/{environment}");
        self.record(&prefix, self.ids(&prefix).last().unwrap())
    }

    /// What `cargo xtask releases` says, the newest first.
    pub(crate) fn releases(&self, environment: &str) -> Vec<Value> {
        let done = self.run(&["releases", environment, "--json"]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// The states of the newest releases, the newest first, without those that were there before.
    pub(crate) fn states(&self, environment: &str) -> Vec<String> {
        let releases = self.releases(environment);
        let new = releases.iter().filter(|release| release["version"] != 1);
        new.map(|release| {
            let text = |name: &str| release[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("state"), text("step")).trim().to_owned()
        })
        .collect()
    }

    /// No record is half there, and every end has its beginning.
    pub(crate) fn check_records(&self, environment: &str) {
        let starts = self.ids(&format!("deployments/{environment}"));
        for id in &starts {
            let record = self.record(&format!("deployments/{environment}"), id);
            assert_eq!(record["state"], "started", "{id}");
        }
        for id in self.ids(&format!("releases/{environment}")) {
            let record = self.record(&format!("releases/{environment}"), &id);
            if record["version"] != 1 {
                assert!(starts.contains(&id), "{id} of {environment} has no beginning");
            }
        }
    }
}

impl Running {
    /// Reads more of what it says, a question without its line's end as well; `false` at the end.
    fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = self.stderr.read(&mut piece).unwrap();
        self.bytes.extend_from_slice(&piece[..read]);
        self.said = String::from_utf8_lossy(&self.bytes).into_owned();
        read > 0
    }

    /// Reads on until it has said `text`.
    pub(crate) fn await_said(&mut self, text: &str) {
        while !self.said.contains(text) {
            assert!(self.more(), "it ended before it said {text:?}: {}", self.said);
        }
    }

    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Awaits its end.
    pub(crate) fn end(mut self) -> Done {
        while self.more() {}
        let output = self.child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Done { code: output.status.code(), stdout, stderr: self.said }
    }
}

impl Done {
    pub(crate) fn check(&self, code: i32, reasons: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for reason in reasons {
            assert!(self.stderr.contains(reason), "{reason:?} in {}", self.stderr);
        }
    }
}

/// Starts a command, whose output is read.
pub(crate) fn start(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    Running { child, stderr, bytes: Vec::new(), said: String::new() }
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn outputs(environment: &str, url: &str) -> Value {
    let name = format!("{environment}-webhook-forwarder");
    let outputs = json!({
        "api_endpoint": url, "api_id": "a1b2c3d4e5", "ingest_urls": { "sss": format!("{url}/sqs-hook") },
        "queue_url": "q", "dead_letter_queue_url": "d", "function_name": name, "function_version": "7",
        "code_sha256": "@CODE@", "log_group_name": "l", "dashboard_name": null,
    });
    json!({ "webhook": { "value": outputs } })
}

/// Starts an API that accepts everything, as long as the test runs.
fn api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            // All of the request: it is small.
            let mut request = [0; 8192];
            let mut length = 0;
            while !String::from_utf8_lossy(&request[..length]).contains("smoke_test\":true}") {
                match connection.read(&mut request[length..]) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => length += read,
                }
            }
            let answer = "HTTP/1.1 200 OK\r\napigw-requestid: req-1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _gone = connection.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}
