//! `cargo xtask completions bash`, in bash: what a person gets who types `cargo xtask …` and TAB.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Completes the last of its arguments as bash does.
const COMPLETE: &str = r#"
    complete -F _before cargo
    _before() { COMPREPLY=(before); }
    source "$SCRIPT"
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _cargo_with_xtask cargo "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The script, written once.
fn script() -> &'static Path {
    static SCRIPT: OnceLock<tempfile::TempPath> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let made = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["completions", "bash"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, made.stdout).unwrap();
        file
    })
}

/// What `words` can end with.
fn completed(words: &[&str]) -> Vec<String> {
    let output = Command::new("bash")
        .args(["--norc", "-c", COMPLETE, "bash"])
        .args(words)
        .env("SCRIPT", script())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{words:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn commands_options_and_environments_are_completed() {
    assert_eq!(completed(&["cargo", "xtask", "pac"]), ["package"]);
    assert_eq!(completed(&["cargo", "xtask", "package", "--arch", ""]), ["arm64", "x86_64"]);
    assert_eq!(completed(&["cargo", "xtask", "plan", "pr"]), ["prod"]);
    assert!(!completed(&["cargo", "xtask", "plan", ""]).contains(&"bootstrap".to_owned()));
}

#[test]
fn what_is_passed_on_is_completed_too() {
    assert_eq!(completed(&["cargo", "xtask", "dlq", "redr"]), ["redrive"]);
    assert_eq!(completed(&["cargo", "xtask", "dlq", "redrive", "--pause"]), ["--pause-first"]);
    assert_eq!(completed(&["cargo", "xtask", "status", "lo"]), ["local"]);
    assert_eq!(
        completed(&["cargo", "xtask", "store"]),
        [""],
        "what is for xtask only is not shown"
    );
}

#[test]
fn cargo_s_other_commands_are_completed_as_before() {
    assert_eq!(completed(&["cargo", "bui"]), ["before"]);
}
