//! `cargo xtask release`: the archives that people install from, the same bytes from the same commit.

mod archive;
mod build;
mod elf;
mod licenses;
mod parts;
mod sbom;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Serialize;
use terminal::exit::{self, Failure};
use terminal::text::sha256;

use crate::steps::Outcome;
use crate::{process, workspace};
use archive::Entry;
use build::{PROGRAMS, Programs};

/// The checksums' file, as `sha256sum --check` reads it.
const SUMS_FILE: &str = "SHA256SUMS";

/// What is in an archive beside programs and what is made of them: the file in the repository, and its
/// place.
const FILES: [(&str, &str, u32); 17] = [
    ("packaging/install.sh", "install.sh", 0o755),
    ("packaging/README.md", "README.md", 0o644),
    ("packaging/config.json", "config.json", 0o644),
    ("packaging/Caddyfile", "Caddyfile", 0o644),
    ("packaging/webhook-queue.service", "systemd/webhook-queue.service", 0o644),
    ("packaging/webhook-queue.socket", "systemd/webhook-queue.socket", 0o644),
    ("packaging/webhook-queue-api.socket", "systemd/webhook-queue-api.socket", 0o644),
    ("packaging/container/Caddyfile", "container/Caddyfile", 0o644),
    ("packaging/container/Dockerfile", "container/Dockerfile", 0o644),
    ("packaging/container/compose.yml", "container/compose.yml", 0o644),
    ("packaging/container/queues/.keep", "container/queues/.keep", 0o644),
    ("packaging/monitoring/alerts.yml", "monitoring/alerts.yml", 0o644),
    ("packaging/monitoring/dashboard.json", "monitoring/dashboard.json", 0o644),
    ("CHANGELOG.md", "CHANGELOG.md", 0o644),
    ("LICENSE", "LICENSE", 0o644),
    ("LICENSE-APACHE", "LICENSE-APACHE", 0o644),
    ("LICENSE-MIT", "LICENSE-MIT", 0o644),
];

/// Build the archives that the queue is installed from on one machine
///
/// Each has the programs, linked statically, and everything to run them as a service. The same commit
/// gives the same bytes, wherever it is built. cargo-zigbuild and zig are installed into the target
/// directory if they are not there; that needs Python 3.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask release\n  cargo xtask release --arch x86_64\n  cargo xtask release --json | jq -r '.[].sha256'\n  cargo xtask release --debug"
)]
pub(crate) struct Release {
    /// Build for one processor architecture only
    #[arg(long, value_enum)]
    arch: Option<Arch>,

    /// Where the archives and their checksums are put
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Build unoptimized programs for this machine only, within seconds: to try the installation
    #[arg(long, conflicts_with = "arch")]
    debug: bool,

    /// Print what was built, as JSON
    #[arg(long)]
    json: bool,
}

/// Processor architecture of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    Aarch64,
}

impl Arch {
    const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// That of this machine.
    fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// With a C library that is linked statically.
    fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }
}

/// An archive that was built.
#[derive(Debug, Serialize)]
struct Built {
    archive: PathBuf,
    sha256: String,
    bytes: usize,
    version: &'static str,
    arch: &'static str,
    target: &'static str,
    /// Of the executables, in bytes.
    programs: BTreeMap<&'static str, usize>,
    git_commit: Option<String>,
    /// Whether the work tree differed from the commit.
    dirty: bool,
    rustc: String,
    /// What compiled C and linked.
    tools: &'static [&'static str],
}

/// The commit that is built.
struct Commit {
    id: Option<String>,
    dirty: bool,
    /// Seconds since the Unix epoch: the time of every file.
    time: u64,
}

impl Release {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let dir = self.output.unwrap_or_else(|| workspace::target_dir().join("release-archives"));
        let commit = Commit::current()?;
        let built = if self.debug {
            vec![build_one(Arch::host(), &Programs::debug()?, &commit, &dir)?]
        } else {
            let architectures = self.arch.map_or(Arch::ALL.to_vec(), |arch| vec![arch]);
            let mut built = Vec::new();
            for arch in architectures {
                built.push(build_one(arch, &Programs::release(arch)?, &commit, &dir)?);
            }
            built
        };
        let lines = built.iter().map(|it| format!("{}  {}\n", it.sha256, file_name(&it.archive)));
        write(&dir.join(SUMS_FILE), lines.collect::<String>().as_bytes())?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&built)?);
            return Ok(ExitCode::SUCCESS);
        }
        for it in &built {
            println!("{}", it.archive.display());
            println!("  sha256  {}", it.sha256);
            println!("  size    {}", terminal::text::bytes(it.bytes as u64));
            for (program, bytes) in &it.programs {
                println!("  {program:<17}{}", terminal::text::bytes(*bytes as u64));
            }
        }
        let dirty = if commit.dirty { ", with changes that are not committed" } else { "" };
        println!("commit {}{dirty}", commit.id.as_deref().unwrap_or("none"));
        Ok(ExitCode::SUCCESS)
    }
}

/// Builds the programs of this machine's architecture twice, in different folders, and compares.
pub(crate) fn check_reproducible() -> anyhow::Result<Outcome> {
    let elsewhere = tempfile::tempdir().context("making a folder for the second build")?;
    let copy = elsewhere.path().join("copy-of-the-sources");
    crate::package::copy_sources(&copy)?;
    let arch = Arch::host();
    let both = Programs::release(arch).and_then(|first| {
        Ok((first, Programs::release_in(&copy, arch, &elsewhere.path().join("target"))?))
    });
    let (first, second) = match both {
        Ok(both) => both,
        Err(error) if exit::failure_of(&error) == Some(Failure::Environment) => {
            return Ok(Outcome::Skipped(format!("{error:#}")));
        }
        Err(error) => return Err(error),
    };
    for program in PROGRAMS {
        let (first, second) = (&first.bytes[program.binary], &second.bytes[program.binary]);
        if first != second {
            bail!(
                "two builds of {} differ: {} and {}",
                program.binary,
                sha256(first),
                sha256(second)
            );
        }
    }
    Ok(Outcome::Passed)
}

/// Packs one archive.
fn build_one(
    arch: Arch,
    programs: &Programs,
    commit: &Commit,
    dir: &Path,
) -> anyhow::Result<Built> {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("webhook-queue-{version}-{}-linux{}", arch.name(), programs.suffix);
    let entries = entries(programs, version)?;
    let bytes = archive::packed(&name, &entries, commit.time, programs.compression)?;
    let archive = dir.join(format!("{name}.tar.gz"));
    write(&archive, &bytes)?;
    let rustc = process::output(process::command("rustc").arg("--version"))?;
    Ok(Built {
        archive,
        sha256: sha256(&bytes),
        bytes: bytes.len(),
        version,
        arch: arch.name(),
        target: programs.target,
        programs: programs.bytes.iter().map(|(name, bytes)| (*name, bytes.len())).collect(),
        git_commit: commit.id.clone(),
        dirty: commit.dirty,
        rustc: rustc.trim().to_owned(),
        tools: programs.tools,
    })
}

fn entries(programs: &Programs, version: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, bytes) in &programs.bytes {
        entries.push(Entry::new(format!("bin/{name}"), 0o755, bytes.clone()));
    }
    for (from, to, mode) in FILES {
        entries.push(Entry::new(to.to_owned(), mode, read(&workspace::root().join(from))?));
    }
    entries.extend(files_of(&workspace::root().join("docs"), "docs")?);
    let manual = build::manual(programs)?;
    entries.extend(files_of(&manual.path().join("man"), "man")?);
    entries.extend(files_of(&manual.path().join("completions"), "completions")?);
    let parts = parts::Parts::of(programs)?;
    let licenses = licenses::text(&parts, programs)?;
    entries.push(Entry::new("THIRD-PARTY-LICENSES".to_owned(), 0o644, licenses.into_bytes()));
    let sbom = serde_json::to_string_pretty(&sbom::sbom(&parts, version))? + "\n";
    entries.push(Entry::new("sbom.cdx.json".to_owned(), 0o644, sbom.into_bytes()));
    Ok(entries)
}

/// The files of a folder, not of those in it.
fn files_of(dir: &Path, to: &str) -> anyhow::Result<Vec<Entry>> {
    let reading = || format!("reading {}", dir.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.is_file() {
            entries.push(Entry::new(format!("{to}/{}", file_name(&path)), 0o644, read(&path)?));
        }
    }
    Ok(entries)
}

impl Commit {
    fn current() -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| process::output(process::command("git").args(arguments));
        let id = git(&["rev-parse", "HEAD"]).ok().map(|text| text.trim().to_owned());
        let dirty = git(&["status", "--porcelain"]).map_or(true, |changes| !changes.is_empty());
        // Source: reproducible-builds.org, "SOURCE_DATE_EPOCH".
        let time = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(seconds) => seconds,
            Err(_not_set) => git(&["log", "-1", "--format=%ct"]).context(
                "asking git when the commit was made; SOURCE_DATE_EPOCH says it where there is no git",
            )?,
        };
        let time = time.trim().parse().context("SOURCE_DATE_EPOCH: expected seconds")?;
        Ok(Self { id, dirty, time })
    }
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let dir = path.parent().expect("a file in a folder");
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
