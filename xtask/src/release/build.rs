//! The programs of a release, and what they say of their arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use tempfile::TempDir;
use terminal::exit::Failure;

use super::{Arch, elf};
use crate::process::{self, cargo};
use crate::{package, tools, workspace};

/// What C is compiled with, and everything linked, from PyPI. It brings musl, so that no C compiler is
/// needed.
const TOOLS: [&str; 2] = ["cargo-zigbuild==0.24.1", "ziglang==0.15.2"];

/// A program of the release.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) package: &'static str,
    pub(super) binary: &'static str,
    /// Of the root's Cargo.toml.
    profile: &'static str,
}

/// All of them. Each is built by itself, so that no crate gets a feature that only another one wants.
pub(super) const PROGRAMS: [Program; 3] = [
    Program { package: "engine", binary: "webhook-engine", profile: "release" },
    Program { package: "forwarder", binary: "forwarder", profile: "release" },
    Program { package: "operator", binary: "webhook-operator", profile: "operator" },
];

/// Programs that were built.
pub(super) struct Programs {
    /// By their file's name.
    pub(super) bytes: BTreeMap<&'static str, Vec<u8>>,
    /// Rust's target.
    pub(super) target: &'static str,
    pub(super) tools: &'static [&'static str],
    /// Where zig's parts are of which some are linked, if it linked.
    pub(super) zig: Option<PathBuf>,
    /// What the archive's name says of them.
    pub(super) suffix: &'static str,
    /// How hard the archive is compressed, up to 9.
    pub(super) compression: u32,
}

impl Programs {
    /// As they are released.
    pub(super) fn release(arch: Arch) -> anyhow::Result<Self> {
        let target_dir = workspace::target_dir().join("release-build");
        Self::release_in(workspace::root(), arch, &target_dir)
    }

    /// As they are released, from the sources in `root`.
    pub(super) fn release_in(root: &Path, arch: Arch, target_dir: &Path) -> anyhow::Result<Self> {
        has_standard_library(arch.target())?;
        let bin = tools::python(&TOOLS)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(paths)?;
        let mut bytes = BTreeMap::new();
        for program in PROGRAMS {
            let executable = build(program, root, arch, target_dir, &path)?;
            elf::check_static(&executable, arch)
                .and_then(|()| has_no_paths(&executable, root, target_dir))
                .with_context(|| format!("the program {}", program.binary))?;
            bytes.insert(program.binary, executable);
        }
        let zig = Some(zig_dir(&bin)?);
        Ok(Self { bytes, target: arch.target(), tools: &TOOLS, zig, suffix: "", compression: 9 })
    }

    /// As `cargo build` makes them.
    pub(super) fn debug() -> anyhow::Result<Self> {
        process::build(&PROGRAMS.map(|program| program.package))?;
        let mut bytes = BTreeMap::new();
        for program in PROGRAMS {
            bytes.insert(program.binary, super::read(&workspace::program(program.binary))?);
        }
        let target = match Arch::host() {
            Arch::X86_64 => "x86_64-unknown-linux-gnu",
            Arch::Aarch64 => "aarch64-unknown-linux-gnu",
        };
        Ok(Self { bytes, target, tools: &[], zig: None, suffix: "-debug", compression: 1 })
    }
}

fn build(
    program: Program,
    root: &Path,
    arch: Arch,
    target_dir: &Path,
    path: &OsString,
) -> anyhow::Result<Vec<u8>> {
    let mut build = cargo();
    build
        .current_dir(root)
        .args(["zigbuild", "--profile", program.profile, "--locked", "--package", program.package])
        .args(["--bin", program.binary, "--target", arch.target()])
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", target_dir)
        .env("CARGO_INCREMENTAL", "0");
    package::make_reproducible(&mut build, root, target_dir);
    process::run(&mut build)?;
    super::read(&target_dir.join(arch.target()).join(program.profile).join(program.binary))
}

/// rustup has it for every target, but installs it only when asked.
fn has_standard_library(target: &str) -> anyhow::Result<()> {
    let sysroot = process::output(process::command("rustc").args(["--print", "sysroot"]))?;
    let dir = Path::new(sysroot.trim()).join("lib/rustlib").join(target);
    if dir.exists() {
        return Ok(());
    }
    let error = anyhow!(
        "the standard library for {target} is not installed: `rustup target add {target}` does it"
    );
    Err(Failure::Environment.of(error))
}

/// A path of this machine would make it another program than that of another one.
fn has_no_paths(executable: &[u8], root: &Path, target_dir: &Path) -> anyhow::Result<()> {
    let (cargo_home, rustup_home) = package::homes();
    for path in [root, target_dir, &cargo_home, &rustup_home] {
        let bytes = path.as_os_str().as_encoded_bytes();
        if executable.windows(bytes.len()).any(|it| it == bytes) {
            bail!("{} is written in it, which another machine does not have", path.display());
        }
    }
    Ok(())
}

/// The folder of the installed zig, found by Python, as its place has Python's version in it.
fn zig_dir(bin: &Path) -> anyhow::Result<PathBuf> {
    let script = "import os, ziglang; print(os.path.dirname(ziglang.__file__))";
    let dir = process::output(process::command(bin.join("python")).args(["-c", script]))?;
    Ok(PathBuf::from(dir.trim()))
}

/// Man pages and completions, in a folder `man` and one `completions`. They are the same for all
/// architectures; what was built for another machine cannot say them here, and is built for this one.
pub(super) fn manual(programs: &Programs) -> anyhow::Result<TempDir> {
    let dir = tempfile::tempdir().context("making a folder for the manual")?;
    let runs_here = programs.target == Arch::host().target();
    if !runs_here {
        // All of them, as a debug release builds them: fewer would build what they share differently.
        process::build(&PROGRAMS.map(|program| program.package))?;
    }
    for program in ["webhook-engine", "webhook-operator"] {
        let path = if runs_here {
            let path = dir.path().join(program);
            std::fs::write(&path, &programs.bytes[program])
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o755)))
                .with_context(|| format!("writing {}", path.display()))?;
            path
        } else {
            workspace::program(program)
        };
        let mut command = process::command(path);
        // By their names, wherever they were built.
        command.env("WEBHOOK_OPERATOR_CALLED_AS", program);
        process::output(command.arg("manual").arg(dir.path()))?;
    }
    Ok(dir)
}
