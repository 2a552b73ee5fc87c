//! Commands that run Terraform, with a stand-in for it: what is missing, what goes wrong, Ctrl-C.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A machine with a stand-in for Terraform and a packaged artifact.
struct Machine {
    dir: tempfile::TempDir,
    digest: String,
}

/// How a command ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Machine {
    /// A machine without Terraform.
    fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("target").join("package").join("arm64");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::create_dir_all(dir.path().join("bin")).unwrap();
        // Its operator says who deploys; nothing was deployed before.
        let operator = dir.path().join("target/debug/webhook-operator");
        std::fs::create_dir_all(operator.parent().unwrap()).unwrap();
        std::fs::write(
            &operator,
            "#!/bin/sh\ncase \"$1 $2\" in\n'store read') echo '[]' ;;\n'store put') ;;\n\
             *) echo '{\"account\":\"123456789012\",\"arn\":\"me\"}' ;;\nesac\n",
        )
        .unwrap();
        std::fs::set_permissions(&operator, std::fs::Permissions::from_mode(0o755)).unwrap();
        let digest = Sha256::digest(b"zip").into_iter().map(|byte| format!("{byte:02x}"));
        let digest = digest.collect::<Vec<_>>().concat();
        std::fs::write(package.join("function.zip"), "zip").unwrap();
        let manifest = json!({
            "sha256": digest, "code_sha256": "x", "zip_bytes": 3, "bootstrap_bytes": 3,
            "arch": "arm64", "target": "t", "git_commit": "c", "dirty": false, "rustc": "r",
            "cargo_lambda": "l",
        });
        std::fs::write(package.join("manifest.json"), manifest.to_string()).unwrap();
        Self { dir, digest }
    }

    /// A machine whose Terraform does `on` for each verb, as a shell's `case` has it.
    fn with_terraform(on: &str) -> Self {
        let machine = Self::bare();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n{on}\n*version*) echo '{{\"terraform_version\":\"1.11.4\"}}';;\n\
             *show*) cat '{}';;\nesac\n",
            machine.plan_file().display()
        );
        let path = machine.dir.path().join("bin").join("terraform");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        machine.plan(&json!([]));
        machine
    }

    fn plan_file(&self) -> PathBuf {
        self.dir.path().join("plan.json")
    }

    /// What Terraform will have planned.
    fn plan(&self, changes: &Value) {
        let plan = json!({ "format_version": "1.2", "resource_changes": changes });
        std::fs::write(self.plan_file(), plan.to_string()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let bin = self.dir.path().join("bin");
        // The shell and its tools, but no Terraform that may be installed on this machine.
        let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).unwrap();
        command.args(arguments).env("PATH", path).stdin(Stdio::null());
        command.env("CARGO_TARGET_DIR", self.dir.path().join("target")).env("XTASK_BUILT", "1");
        command.env("AWS_ACCESS_KEY_ID", "made-up");
        command
    }

    fn xtask(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().unwrap();
        Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn plan_dev(&self) -> Done {
        self.xtask(&["plan", "dev", "--artifact", &self.digest])
    }

    fn log(&self, name: &str) -> String {
        let dir = self.dir.path().join("target").join("terraform").join("dev");
        std::fs::read_to_string(dir.join(name)).unwrap()
    }
}

impl Done {
    fn check(&self, code: i32, reasons: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for reason in reasons {
            assert!(self.stderr.contains(reason), "{reason:?} in {}", self.stderr);
        }
    }
}

fn change(address: &str, change: &Value) -> Value {
    json!({ "address": address, "mode": "managed", "type": "aws_sqs_queue", "change": change })
}

#[test]
fn without_terraform_it_is_said_where_to_get_it() {
    let machine = Machine::bare();
    // Nothing but an empty folder: Terraform may stand beside the shell.
    let mut command = machine.command(&["plan", "dev"]);
    let output = command.env("PATH", machine.dir.path().join("bin")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("Terraform 1.11 or later is needed, https://developer"), "{stderr}");
}

#[test]
fn a_terraform_that_is_too_old_is_refused() {
    let machine = Machine::with_terraform("*version*) echo '{\"terraform_version\":\"1.9.8\"}';;");
    machine.plan_dev().check(3, &["terraform 1.9.8 is too old: 1.11 or later"]);
}

#[test]
fn missing_credentials_are_told_from_other_failures() {
    let machine = Machine::with_terraform(
        "*' init -'*) echo 'Error: No valid credential sources found' >&2; exit 1;;",
    );
    machine.plan_dev().check(3, &["there are no AWS credentials", "set AWS_PROFILE", "init.log"]);
    assert!(machine.log("init.log").contains("No valid credential sources"));
    let machine =
        Machine::with_terraform("*' init -'*) echo 'Error: something else' >&2; exit 1;;");
    machine.plan_dev().check(1, &["Error: something else", "terraform init failed"]);
}

#[test]
fn a_locked_state_is_told_with_its_lock() {
    let said =
        "Error: Error acquiring the state lock\n  ID:        abc-1\n  Who:       ci@runner\n";
    let machine = Machine::with_terraform(&format!("*' plan -'*) printf '{said}' >&2; exit 1;;"));
    machine.plan_dev().check(1, &["locked by ci@runner", "force-unlock abc-1"]);
}

#[test]
fn a_plan_is_summed_up_for_people_programs_and_pull_requests() {
    let machine = Machine::with_terraform("*' plan -'*) echo 'aws_x.a: Refreshing state...';;");
    machine.plan(&json!([
        change("aws_x.new", &json!({ "actions": ["create"], "after": {} })),
        change(
            "aws_x.old",
            &json!({ "actions": ["update"], "before": { "timeout": 30 }, "after": { "timeout": 60 } })
        ),
    ]));
    let done = machine.plan_dev();
    done.check(0, &["aws_x.a: Refreshing state..."]);
    assert_eq!(
        done.stdout,
        "~   aws_x.old\n      timeout: 30 → 60\n+   aws_x.new\n\
         dev: 1 to add, 1 to change, 0 to replace, 0 to destroy, 0 unchanged\n"
    );
    let file = machine.dir.path().join("plan.md");
    let arguments = [
        "plan",
        "dev",
        "--json",
        "--artifact",
        &machine.digest,
        "--markdown",
        file.to_str().unwrap(),
    ];
    let summary: Value = serde_json::from_str(&machine.xtask(&arguments).stdout).unwrap();
    assert_eq!(summary["add"][0]["address"], "aws_x.new");
    assert_eq!(summary["change"][0]["changes"][0]["after"], "60");
    let markdown = std::fs::read_to_string(file).unwrap();
    assert!(markdown.starts_with("### Plan for `dev`: 1 to add, 1 to change"), "{markdown}");
}

#[test]
fn a_plan_that_breaks_what_must_hold_ends_check_with_1() {
    let machine = Machine::with_terraform("*' plan -'*) ;;");
    let done = machine.xtask(&["check", "dev", "--artifact", &machine.digest]);
    done.check(1, &[]);
    assert!(done.stdout.contains("there is no aws_sqs_queue dev-webhook.fifo"), "{}", done.stdout);
}

#[test]
fn nothing_is_deleted_unasked() {
    let machine = Machine::with_terraform("*' apply -'*) echo applied; exit 1;;");
    machine.plan(&json!([change("aws_x.old", &json!({ "actions": ["delete"], "before": {} }))]));
    let done = machine.xtask(&["destroy", "dev"]);
    done.check(2, &["-   aws_x.old", "nobody is there to be asked; `--yes` answers beforehand"]);
    assert!(!done.stderr.contains("applied"), "{}", done.stderr);
}

#[test]
fn where_nobody_can_answer_nothing_is_begun() {
    let machine = Machine::with_terraform("*' init -'*) echo init; exit 1;;");
    for arguments in [&["deploy", "dev"][..], &["promote", "dev", "prod"], &["rollback", "dev"]] {
        machine.xtask(arguments).check(2, &["`--yes` answers beforehand"]);
    }
}

#[test]
fn what_ends_half_way_is_told_how_to_go_on() {
    let machine = Machine::with_terraform("*' apply -'*) echo 'Error: AccessDenied' >&2; exit 1;;");
    machine.plan(&json!([change("aws_x.old", &json!({ "actions": ["delete"], "before": {} }))]));
    let done = machine.xtask(&["destroy", "dev", "--yes"]);
    done.check(1, &["Error: AccessDenied", "go on with\n  cargo xtask destroy dev"]);
}

#[test]
fn a_protected_environment_is_not_destroyed() {
    let machine = Machine::with_terraform("*' init -'*) echo init; exit 1;;");
    machine.xtask(&["destroy", "prod", "--yes"]).check(2, &["prod is protected"]);
}

/// Reads on until a line holds `text`.
fn await_line(lines: &mut BufReader<ChildStderr>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it said {text:?}");
    }
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

#[test]
fn ctrl_c_is_passed_on_once_and_the_end_awaited() {
    // It counts what it gets, and ends when it is let.
    let machine = Machine::with_terraform(
        "*' plan -'*) trap 'echo INT >>signals' INT; cd \"$SIGNALS\"; echo ready; \
         while [ ! -e go ]; do sleep 0.05; done; exit 1;;",
    );
    let mut command = machine.command(&["plan", "dev", "--artifact", &machine.digest]);
    command.env("SIGNALS", machine.dir.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    await_line(&mut lines, "ready");
    interrupt(&child);
    await_line(&mut lines, "stopping: waiting until");
    interrupt(&child);
    await_line(&mut lines, "still waiting");
    std::fs::write(machine.dir.path().join("go"), "").unwrap();
    await_line(&mut lines, "interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let signals = std::fs::read_to_string(machine.dir.path().join("signals")).unwrap();
    assert_eq!(signals, "INT\n");
}
