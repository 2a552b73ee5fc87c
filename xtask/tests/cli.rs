//! The built program: its help, and what it refuses before it builds or starts anything.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::path::Path;
use std::process::{Command, Stdio};

/// How a command ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn xtask(arguments: &[&str]) -> Done {
    // Help is as wide as the terminal, else as COLUMNS says.
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Checks that `arguments` end with `code` and say `reason`, and nothing on standard output.
fn check_refused(arguments: &[&str], code: i32, reason: &str) {
    let done = xtask(arguments);
    assert_eq!(done.code, Some(code), "{arguments:?}: {}", done.stderr);
    assert!(done.stderr.contains(reason), "{arguments:?}: {reason:?} in {}", done.stderr);
    assert_eq!(done.stdout, "", "{arguments:?}");
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_teaches() {
    let help = xtask(&["--help"]);
    assert_eq!(help.code, Some(0));
    insta::assert_snapshot!("help", help.stdout);
    for command in [
        "local",
        "demo",
        "package",
        "release",
        "bootstrap",
        "new",
        "plan",
        "check",
        "deploy",
        "promote",
        "rollback",
        "releases",
        "destroy",
        "estimate",
        "test",
        "lint",
        "schema",
        "completions",
    ] {
        let help = xtask(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        insta::assert_snapshot!(format!("{command}_help"), help.stdout);
    }
}

#[test]
fn help_for_a_pipe_has_no_colors() {
    assert!(!xtask(&["--help"]).stdout.contains('\x1b'));
    assert!(!xtask(&["send", "local", "--count", "0"]).stderr.contains('\x1b'));
}

#[test]
fn wrong_arguments_end_with_2() {
    check_refused(&[], 2, "Usage: cargo xtask [OPTIONS] <COMMAND>");
    check_refused(&["deliver"], 2, "unrecognized subcommand 'deliver'");
    check_refused(&["send"], 2, "<ENV>");
    check_refused(&["send", "local", "--count", "0"], 2, "0 is not in 1..");
    check_refused(&["send", "local", "--header", "x-key"], 2, "expected NAME: VALUE");
    check_refused(&["send", "local", "--url", "here"], 2, "'here'");
    check_refused(&["local", "--listen", "8080"], 2, "'8080'");
    check_refused(
        &["local", "--target", "http://a", "--stub-listen", "127.0.0.1:1"],
        2,
        "--target",
    );
    check_refused(&["package", "--arch", "riscv"], 2, "[possible values: arm64, x86_64]");
    check_refused(&["release", "--arch", "riscv"], 2, "[possible values: x86_64, aarch64]");
    check_refused(&["release", "--debug", "--arch", "x86_64"], 2, "cannot be used with");
    check_refused(&["plan", "dev", "--artifact", "0123"], 2, "64 hexadecimal digits");
    check_refused(&["promote", "dev"], 2, "<TO>");
    check_refused(&["check", "dev", "--plan", "nowhere.json"], 2, "reading nowhere.json");
    check_refused(&["estimate", "dev"], 2, "--events-per-month <N>");
}

#[test]
fn an_unknown_environment_or_route_ends_with_2() {
    check_refused(&["send", "nowhere"], 2, "there is no environment \"nowhere\"");
    check_refused(&["deploy", "nowhere"], 2, "there is no environment \"nowhere\"");
}

#[test]
fn a_second_clone_with_the_same_target_directory_is_its_own() {
    // `cargo run` in the second clone starts what the first has built, and says where it is.
    let clone = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["plan", "local"])
        .env("CARGO_PKG_NAME", "xtask")
        .env("CARGO_MANIFEST_DIR", clone.path().join("xtask"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("no {}/environments/local", utf8(clone.path()))), "{said}");
}

#[test]
fn without_an_engine_send_ends_with_3_and_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["send", "local", "--data-dir", utf8(dir.path())];
    let advice = format!("no engine is running in {}; start it", utf8(dir.path()));
    check_refused(&arguments, 3, &advice);
}

#[test]
fn where_nobody_listens_send_ends_with_1() {
    let url = "http://127.0.0.1:1";
    check_refused(&["send", "local", "--url", url], 1, &format!("asking {url}/sqs-hook"));
}

#[test]
fn fresh_leaves_a_folder_alone_that_holds_something_else() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["queues.db", "engine.json", "my-thesis.txt"] {
        std::fs::write(dir.path().join(name), "mine").unwrap();
    }
    let arguments = ["local", "--fresh", "--data-dir", utf8(dir.path())];
    check_refused(&arguments, 2, "holds my-thesis.txt, which is not the engine's");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn fresh_leaves_a_running_engine_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("queues.db"), "").unwrap();
    let lock = std::fs::File::create(dir.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let arguments = ["local", "--fresh", "--data-dir", utf8(dir.path())];
    check_refused(&arguments, 3, "an engine runs in");
    assert!(dir.path().join("queues.db").exists());
}

#[test]
fn the_committed_schema_is_what_the_types_say() {
    let done = xtask(&["schema", "--check"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}
