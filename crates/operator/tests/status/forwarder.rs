//! The forwarder that an engine of these tests delivers with.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The real forwarder: the one that `FORWARDER_BINARY` names, or else one that is built beside the
/// operator, once per test run.
pub(crate) fn forwarder() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let profile_dir = Path::new(env!("CARGO_BIN_EXE_webhook-operator")).parent().unwrap();
        let mut command = std::process::Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--package", "forwarder", "--bin", "forwarder"]);
        command.arg("--target-dir").arg(profile_dir.parent().unwrap());
        if profile_dir.ends_with("release") {
            command.arg("--release");
        }
        let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(built.success(), "the forwarder does not build");
        profile_dir.join("forwarder")
    };
    BUILT
        .get_or_init(|| std::env::var_os("FORWARDER_BINARY").map_or_else(build, Into::into))
        .clone()
}
