//! The real forwarder, built once per test run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The forwarder's executable: the one that `FORWARDER_BINARY` names, or else one that is built
/// beside the engine, by the same profile.
pub(crate) fn executable() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| std::env::var_os("FORWARDER_BINARY").map_or_else(build, Into::into))
        .clone()
}

fn build() -> PathBuf {
    let engine = Path::new(env!("CARGO_BIN_EXE_webhook-engine"));
    let profile_dir = engine.parent().unwrap();
    let target_dir = profile_dir.parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--package", "forwarder", "--bin", "forwarder"]);
    command.arg("--target-dir").arg(target_dir).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    assert!(command.status().unwrap().success(), "the forwarder does not build");
    profile_dir.join("forwarder")
}
