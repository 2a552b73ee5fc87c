//! `cargo xtask package`: the artifact that is deployed, the same bytes from the same commit.

use std::ffi::OsString;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use terminal::exit::{self, Failure};
use terminal::text::sha256;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::process::{self, cargo};
use crate::steps::Outcome;
use crate::{tools, workspace};

/// The versions that the artifact is built with, from PyPI.
const CARGO_LAMBDA: &str = "cargo-lambda==1.9.2";
const ZIG: &str = "ziglang==0.15.2";

/// The name that Lambda starts. Source: Lambda guide, "Building a custom runtime".
const BOOTSTRAP: &str = "bootstrap";

/// The name of the artifact in its folder.
pub(crate) const ZIP_FILE: &str = "function.zip";
/// The name of its manifest, beside it.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";

/// What runs on Lambda.
#[derive(Debug, Clone, Copy)]
struct Program {
    package: &'static str,
    binary: &'static str,
}

const FORWARDER: Program = Program { package: "forwarder", binary: "forwarder" };
const SSS_STUB: Program = Program { package: "sss-stub", binary: "sss-stub-lambda" };

/// Build the function as it is deployed: a zip file and a manifest
///
/// The same commit gives the same bytes, wherever it is built. cargo-lambda is installed into the
/// target directory if it is not there; that needs Python 3.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask package\n  cargo xtask package --arch x86_64\n  cargo xtask package --json | jq -r .sha256"
)]
pub(crate) struct Package {
    /// Processor architecture of the function
    #[arg(long, value_enum, default_value_t = Arch::Arm64)]
    arch: Arch,

    /// Build the stand-in for the service instead, for environments with `aws.sss_stub`
    #[arg(long, conflicts_with = "json")]
    stub: bool,

    /// Print the manifest
    #[arg(long)]
    json: bool,
}

/// Processor architecture of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

/// How an executable is packed.
///
/// What goes to AWS is as small as can be, whatever its architecture: a cold start loads it, and a
/// promotion compares these bytes. What the emulator runs is unpacked on this machine and goes nowhere
/// else: every test of a deployment would wait for a size that nobody gains from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Small,
    Fast,
}

/// What is known of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// SHA-256 of the zip file, in hexadecimal: the artifact's name.
    pub(crate) sha256: String,
    /// The same in base64, as Lambda's `CodeSha256` gives it.
    pub(crate) code_sha256: String,
    pub(crate) zip_bytes: usize,
    pub(crate) bootstrap_bytes: usize,
    pub(crate) arch: String,
    /// Rust's target, with the C library's version.
    pub(crate) target: String,
    pub(crate) git_commit: Option<String>,
    /// Whether the work tree differed from the commit.
    pub(crate) dirty: bool,
    pub(crate) rustc: String,
    pub(crate) cargo_lambda: String,
}

impl Package {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if self.stub {
            let Stub { zip, sha256, .. } = build_stub(self.arch, Packing::Small)?;
            println!("{}\n  sha256     {sha256}", zip.display());
            return Ok(ExitCode::SUCCESS);
        }
        let manifest = build(self.arch, Packing::Small)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&manifest)?);
        } else {
            println!("{}", dir(self.arch, Packing::Small).join(ZIP_FILE).display());
            println!("  sha256     {}", manifest.sha256);
            println!("  zip        {}", terminal::text::bytes(manifest.zip_bytes as u64));
            println!(
                "  bootstrap  {} {}",
                terminal::text::bytes(manifest.bootstrap_bytes as u64),
                manifest.arch
            );
            let dirty = if manifest.dirty { ", with changes that are not committed" } else { "" };
            println!("  commit     {}{dirty}", manifest.git_commit.as_deref().unwrap_or("none"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Builds the artifact into its folder.
pub(crate) fn build(arch: Arch, packing: Packing) -> anyhow::Result<Manifest> {
    let tools = Tools::find_or_install()?;
    let bootstrap = tools.build(FORWARDER, arch)?;
    let zip = zipped(&bootstrap, packing)?;
    let manifest = Manifest::of(&zip, &bootstrap, arch)?;
    let json = serde_json::to_string_pretty(&manifest)? + "\n";
    let dir = dir(arch, packing);
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    for (name, bytes) in [(ZIP_FILE, zip.as_slice()), (MANIFEST_FILE, json.as_bytes())] {
        let path = dir.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(manifest)
}

/// The stand-in for the service, as a function.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) zip: PathBuf,
    pub(crate) sha256: String,
    pub(crate) code_sha256: String,
}

/// Builds the stand-in for the service into the artifact's folder, or takes it from there where
/// everything is built already.
pub(crate) fn build_stub(arch: Arch, packing: Packing) -> anyhow::Result<Stub> {
    let dir = dir(arch, packing);
    let zip = dir.join("sss-stub.zip");
    let bytes = if process::all_is_built() && zip.exists() {
        std::fs::read(&zip).with_context(|| format!("reading {}", zip.display()))?
    } else {
        let bytes = zipped(&Tools::find_or_install()?.build(SSS_STUB, arch)?, packing)?;
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        std::fs::write(&zip, &bytes).with_context(|| format!("writing {}", zip.display()))?;
        bytes
    };
    Ok(Stub { zip, sha256: sha256(&bytes), code_sha256: code_sha256(&bytes) })
}

/// Where the artifact is that was built last. What is packed for the emulator lies apart: nothing that
/// goes to AWS is looked for there.
pub(crate) fn dir(arch: Arch, packing: Packing) -> PathBuf {
    let name = match packing {
        Packing::Small => arch.name(),
        Packing::Fast => "emulator",
    };
    workspace::target_dir().join("package").join(name)
}

/// Builds the artifact twice, from copies of the sources in different folders, and compares.
pub(crate) fn check_reproducible() -> anyhow::Result<Outcome> {
    let tools = match Tools::find_or_install() {
        Ok(tools) => tools,
        Err(error) if exit::failure_of(&error) == Some(Failure::Environment) => {
            return Ok(Outcome::Skipped(format!("{error:#}")));
        }
        Err(error) => return Err(error),
    };
    let first = zipped(&tools.build(FORWARDER, Arch::Arm64)?, Packing::Small)?;
    let elsewhere = tempfile::tempdir().context("making a folder for the second build")?;
    let copy = elsewhere.path().join("copy-of-the-sources");
    copy_sources(&copy)?;
    let bootstrap =
        tools.build_in(&copy, FORWARDER, Arch::Arm64, &elsewhere.path().join("target"))?;
    let second = zipped(&bootstrap, Packing::Small)?;
    if first != second {
        bail!("two builds of the same sources differ: {} and {}", sha256(&first), sha256(&second));
    }
    println!(
        "two builds in two folders: sha256 {}, {}",
        sha256(&first),
        terminal::text::bytes(first.len() as u64)
    );
    Ok(Outcome::Passed)
}

/// Copies what git tracks, as it is in the work tree.
pub(crate) fn copy_sources(to: &Path) -> anyhow::Result<()> {
    let listed = process::output(process::command("git").arg("ls-files"))?;
    for file in listed.lines() {
        let (from, to) = (workspace::root().join(file), to.join(file));
        if !from.exists() {
            continue;
        }
        let dir = to.parent().expect("a file in a folder");
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        std::fs::copy(&from, &to).with_context(|| format!("copying {file}"))?;
    }
    Ok(())
}

/// cargo-lambda, and the folder to find it and zig in.
struct Tools {
    path: OsString,
}

impl Tools {
    /// Finds the pinned tools in the target directory, or installs them there.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] where nothing may be compiled.
    fn find_or_install() -> anyhow::Result<Self> {
        if process::all_is_built() {
            let error = anyhow!(
                "nothing is compiled here, as {} is `all`: name what `cargo xtask package` has built \
                 by --artifact, and build a stand-in by `cargo xtask package --stub` before",
                process::BUILT_VARIABLE
            );
            return Err(Failure::Usage.of(error));
        }
        let bin = tools::python(&[CARGO_LAMBDA, ZIG])?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
        Ok(Self { path: std::env::join_paths(paths)? })
    }

    fn build(&self, program: Program, arch: Arch) -> anyhow::Result<Vec<u8>> {
        let target_dir = workspace::target_dir().join("lambda-build");
        self.build_in(workspace::root(), program, arch, &target_dir)
    }

    /// Builds a function from the sources in `root` and returns the executable.
    fn build_in(
        &self,
        root: &Path,
        program: Program,
        arch: Arch,
        target_dir: &Path,
    ) -> anyhow::Result<Vec<u8>> {
        let mut build: Command = cargo();
        build
            .current_dir(root)
            .args(["lambda", "build", "--release", "--locked", "--package", program.package])
            .args(["--bin", program.binary, "--target", arch.target()])
            .env("PATH", &self.path)
            .env("CARGO_TARGET_DIR", target_dir)
            .env("CARGO_INCREMENTAL", "0");
        make_reproducible(&mut build, root, target_dir);
        process::run(&mut build)?;
        let path = target_dir.join("lambda").join(program.binary).join(BOOTSTRAP);
        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }
}

/// Cargo's folder and rustup's.
pub(crate) fn homes() -> (PathBuf, PathBuf) {
    let home = |variable: &str, default: &str| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        std::env::var_os(variable).map_or_else(|| home.join(default), PathBuf::from)
    };
    (home("CARGO_HOME", ".cargo"), home("RUSTUP_HOME", ".rustup"))
}

/// Makes sure that what is built depends on the sources only: on no path of this machine, and on nothing
/// that its user has set for other builds.
pub(crate) fn make_reproducible(build: &mut Command, root: &Path, target_dir: &Path) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| changes_builds(name)) {
        build.env_remove(name);
    }
    // Goes before all other flags. Source: Cargo book, "Configuration", `build.rustflags`.
    build.env("CARGO_ENCODED_RUSTFLAGS", remapped(root, target_dir));
}

/// Whether a variable changes what Cargo builds. Source: Cargo book, "Environment variables".
fn changes_builds(name: &str) -> bool {
    name == "RUSTFLAGS" || name.starts_with("CARGO_PROFILE_")
}

/// What rustc is told, so that no path of this machine is in what it makes, as Cargo takes it: with the
/// flags apart, whatever is in a path.
fn remapped(root: &Path, target_dir: &Path) -> String {
    let (cargo_home, rustup_home) = homes();
    // rustc takes the last that applies, so the most specific stand last.
    [
        (rustup_home.as_path(), "/rustup"),
        (&cargo_home, "/cargo"),
        (root, "/source"),
        (target_dir, "/target"),
    ]
    .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
    .join("\u{1f}")
}

impl Arch {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::Arm64, Self::X86_64];

    /// That of this machine, whose emulator runs functions as plain processes.
    pub(crate) fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::X86_64 }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// With the C library of `provided.al2023`. Source: Amazon Linux 2023 guide, glibc 2.34.
    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu.2.34",
            Self::X86_64 => "x86_64-unknown-linux-gnu.2.34",
        }
    }
}

impl Packing {
    fn level(self) -> i64 {
        match self {
            // Above 9 it is zopfli that packs: half a minute for 3 % less to load.
            Self::Small => 14,
            Self::Fast => 1,
        }
    }
}

/// A zip file with the executable, and nothing in it that depends on when or where it was made.
fn zipped(bootstrap: &[u8], packing: Packing) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(packing.level()))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)?;
    zip.write_all(bootstrap)?;
    Ok(zip.finish()?.into_inner())
}

/// SHA-256 in base64, as Lambda gives it.
fn code_sha256(zip: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(zip))
}

impl Manifest {
    fn of(zip: &[u8], bootstrap: &[u8], arch: Arch) -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| {
            process::output(process::command("git").args(arguments))
                .map(|text| text.trim().to_owned())
        };
        let rustc = process::output(process::command("rustc").arg("--version"))
            .map_err(|error| anyhow!("asking rustc for its version: {error:#}"))?;
        Ok(Self {
            sha256: sha256(zip),
            code_sha256: code_sha256(zip),
            zip_bytes: zip.len(),
            bootstrap_bytes: bootstrap.len(),
            arch: arch.name().to_owned(),
            target: arch.target().to_owned(),
            git_commit: git(&["rev-parse", "HEAD"]).ok(),
            dirty: git(&["status", "--porcelain"]).map_or(true, |changes| !changes.is_empty()),
            rustc: rustc.trim().to_owned(),
            cargo_lambda: CARGO_LAMBDA.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_is_one_flag() {
        let flags = remapped(Path::new("/my sources"), Path::new("/my target"));
        let flags: Vec<&str> = flags.split('\u{1f}').collect();
        assert_eq!(flags.len(), 4, "{flags:?}");
        assert_eq!(flags[2], "--remap-path-prefix=/my sources=/source");
    }

    #[test]
    fn what_is_set_for_other_builds_does_not_leak() {
        for name in ["RUSTFLAGS", "CARGO_PROFILE_RELEASE_LTO"] {
            assert!(changes_builds(name), "{name}");
        }
        assert!(!changes_builds("CARGO_HOME"));
    }

    #[test]
    fn what_goes_to_aws_is_packed_small_and_lies_apart_from_what_does_not() {
        // Repeats that are worth a second look.
        let program: Vec<u8> =
            (0..60_000_u32).flat_map(|it| (it * it % 977).to_be_bytes()).collect();
        let small = zipped(&program, Packing::Small).unwrap();
        let fast = zipped(&program, Packing::Fast).unwrap();
        assert!(small.len() < fast.len() && fast.len() < program.len(), "{}", fast.len());
        for arch in Arch::ALL {
            assert_ne!(dir(arch, Packing::Small), dir(arch, Packing::Fast));
        }
    }

    #[test]
    fn a_zip_holds_an_executable_and_no_time() {
        let zip = zipped(b"\x7fELF", Packing::Small).unwrap();
        assert_eq!(zip, zipped(b"\x7fELF", Packing::Small).unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        let file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        assert_eq!(file.last_modified().unwrap(), DateTime::default());
    }
}
