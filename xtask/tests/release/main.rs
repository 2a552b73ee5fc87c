//! `cargo xtask release`: what is in an archive, and that it can be installed.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod caddy;
mod container;
mod page;
mod runbook;
mod versions;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// What is unpacked from an archive: the one that `RELEASE_ARCHIVE` names, or else one that is built with
/// what the tests are built with.
struct Unpacked {
    root: PathBuf,
    /// Ends with this process, and takes the folder along: nothing static is ever dropped.
    _remover: Child,
}

fn unpacked() -> &'static Unpacked {
    static UNPACKED: OnceLock<Unpacked> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let remover = Command::new("sh")
            .args(["-c", "cat >/dev/null; rm -rf -- \"$1\"", "sh"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let archive = match std::env::var_os("RELEASE_ARCHIVE") {
            Some(archive) => archive.into(),
            None => built(dir.path()),
        };
        let tar = Command::new("tar").arg("xzf").arg(archive).current_dir(dir.path()).status();
        assert!(tar.unwrap().success());
        let folder = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path());
        let root = folder.filter(|it| it.is_dir()).collect::<Vec<_>>().pop().unwrap();
        // Others than the tests' user are to run it, too.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let _kept_until_then = dir.keep();
        Unpacked { root, _remover: remover }
    })
}

/// Builds an archive, and checks what the command says of it.
fn built(dir: &Path) -> PathBuf {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["release", "--debug", "--json", "--output"])
        .arg(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built: Value = serde_json::from_slice(&output.stdout).unwrap();
    let archive = PathBuf::from(built[0]["archive"].as_str().unwrap());
    let bytes = fs::metadata(&archive).unwrap().len();
    assert_eq!(built[0]["bytes"].as_u64(), Some(bytes));
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let name = archive.file_name().unwrap().to_str().unwrap();
    assert_eq!(sums, format!("{}  {name}\n", built[0]["sha256"].as_str().unwrap()));
    let check = Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(dir).output();
    assert!(check.unwrap().status.success());
    archive
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn install(arguments: &[&str]) -> Output {
    Command::new(unpacked().root.join("install.sh"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The paths of the files below `dir`.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn everything_that_is_needed_is_in_the_archive() {
    let root = &unpacked().root;
    let files = files(root);
    for file in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "THIRD-PARTY-LICENSES",
        "bin/forwarder",
        "bin/webhook-engine",
        "bin/webhook-operator",
        "completions/_webhook-engine",
        "completions/webhook-operator.bash",
        "completions/webhook-operator.fish",
        "config.json",
        "docs/one-machine.md",
        "docs/runbook.md",
        "install.sh",
        "man/webhook-engine-check-config.1",
        "man/webhook-operator-dlq-redrive.1",
        "sbom.cdx.json",
        "systemd/webhook-queue-api.socket",
        "systemd/webhook-queue.service",
        "systemd/webhook-queue.socket",
    ] {
        assert!(files.contains(file), "{file} in {files:?}");
    }
    for program in ["webhook-engine", "webhook-operator"] {
        let output = Command::new(root.join("bin").join(program)).arg("--version").output();
        assert!(text(&output.unwrap().stdout).starts_with(&format!("{program} ")));
    }
    // The manual's own links lead to pages that are there, or out of it.
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for link in readme.split("](").skip(1).filter_map(|it| it.split(')').next()) {
        assert!(files.contains(link), "{link}");
    }
}

#[test]
fn the_configuration_to_start_from_works() {
    let root = &unpacked().root;
    let output = Command::new(root.join("bin/webhook-engine"))
        .arg("check-config")
        .arg("--config")
        .arg(root.join("config.json"))
        .arg("--forwarder")
        .arg(root.join("bin/forwarder"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Every part of the bill is connected to a program, and its licence's text is there.
#[test]
fn the_bill_of_materials_and_the_licences_tell_of_the_same_parts() {
    let root = &unpacked().root;
    let sbom: Value =
        serde_json::from_slice(&fs::read(root.join("sbom.cdx.json")).unwrap()).unwrap();
    let licenses = fs::read_to_string(root.join("THIRD-PARTY-LICENSES")).unwrap();
    let components = sbom["components"].as_array().unwrap();
    let mut parts = BTreeSet::new();
    for it in components {
        let [name, version, license] =
            [&it["name"], &it["version"], &it["licenses"][0]["expression"]]
                .map(|it| it.as_str().unwrap());
        assert!(parts.insert(it["bom-ref"].as_str().unwrap()), "{name} is there twice");
        if it["type"] == "library" && !it["bom-ref"].as_str().unwrap().starts_with("crate:") {
            assert!(licenses.contains(&format!("\n{name} {version} ({license})\n")), "{name}");
        }
    }
    let links = |from: &str| -> Vec<&str> {
        let dependencies = sbom["dependencies"].as_array().unwrap();
        let it = dependencies.iter().find(|it| it["ref"] == from);
        let on = it.map(|it| it["dependsOn"].as_array().unwrap().iter());
        on.into_iter().flatten().map(|it| it.as_str().unwrap()).collect()
    };
    let reached = |from: &str| {
        let (mut reached, mut next) = (BTreeSet::new(), links(from));
        while let Some(it) = next.pop() {
            if reached.insert(it) {
                next.extend(links(it));
            }
        }
        reached
    };
    assert_eq!(reached("webhook-queue"), parts);
    let has = |program: &str, part: &str| reached(program).iter().any(|it| it.contains(part));
    for (part, engine, forwarder, operator) in [
        ("crate:domain@", true, true, true),
        ("pkg:cargo/axum@", true, false, true),
        ("other:htmx@", false, false, true),
        ("other:uplot@", false, false, true),
        ("other:sqlite@", true, false, true),
        ("pkg:cargo/lambda_runtime@", false, true, false),
        ("pkg:cargo/aws-sdk-ssm@", false, false, true),
        ("other:rust-std@", true, true, true),
        // What runs in the compiler is in no program.
        ("pkg:cargo/serde_derive@", false, false, false),
        ("pkg:cargo/proptest@", false, false, false),
    ] {
        let found = ["bin/webhook-engine", "bin/forwarder", "bin/webhook-operator"]
            .map(|program| has(program, part));
        assert_eq!(found, [engine, forwarder, operator], "{part}");
    }
}

#[test]
fn an_update_leaves_the_configuration_and_replaces_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let destdir = dir.path().to_str().unwrap();
    let output = install(&["--destdir", destdir]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("webhook-engine check-config"));
    let installed = files(dir.path());
    for file in [
        "etc/systemd/system/webhook-queue.service",
        "usr/local/share/bash-completion/completions/webhook-operator",
        "usr/local/share/doc/webhook-queue/THIRD-PARTY-LICENSES",
        "usr/local/share/fish/vendor_completions.d/webhook-engine.fish",
        "usr/local/share/man/man1/webhook-engine.1",
        "usr/local/share/zsh/site-functions/_webhook-operator",
    ] {
        assert!(installed.contains(file), "{file} in {installed:?}");
    }
    let config = dir.path().join("etc/webhook-queue/config.json");
    let engine = dir.path().join("usr/local/bin/webhook-engine");
    // What the unit starts is what was installed.
    let unit = fs::read_to_string(dir.path().join("etc/systemd/system/webhook-queue.service"));
    let unit = unit.unwrap();
    for path in [
        "/usr/local/bin/webhook-engine",
        "/usr/local/bin/forwarder",
        "/etc/webhook-queue/config.json",
    ] {
        assert!(unit.contains(path) && dir.path().join(&path[1..]).exists(), "{path}");
    }
    fs::write(&config, "the operator's").unwrap();
    fs::write(&engine, "another version").unwrap();
    let before = fs::metadata(&engine).unwrap().ino();
    assert!(install(&["--destdir", destdir]).status.success());
    assert_eq!(fs::read_to_string(&config).unwrap(), "the operator's");
    let after = fs::metadata(&engine).unwrap();
    assert_eq!(
        after.len(),
        fs::metadata(unpacked().root.join("bin/webhook-engine")).unwrap().len()
    );
    assert_eq!(after.permissions().mode() & 0o777, 0o755);
    assert_ne!(after.ino(), before, "a program that runs is replaced, not written over");
    assert_eq!(files(dir.path()), installed, "nothing is left over");
}

#[test]
fn an_installation_that_cannot_be_says_why_and_does_nothing() {
    for arguments in [&["--prefix", "/opt"][..], &["--destdir"], &["a", "b", "c"]] {
        let output = install(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("usage: install.sh"), "{arguments:?}");
    }
    // As nobody: root needs no test to be told that it may.
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let mut command = if is_root() { nobody } else { Command::new("env") };
    let output = command.arg(unpacked().root.join("install.sh")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("needs root: run it with sudo"), "{output:?}");
}
