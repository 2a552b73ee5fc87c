//! What is in the programs besides our code: the crates that each links, and what those and the compiler
//! bring that is no crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::build::{PROGRAMS, Programs};
use crate::process::{self, cargo};
use crate::workspace;

/// The name of a part and its version.
pub(super) type Id = (String, String);

/// Everything that is in the programs of a release.
#[derive(Debug)]
pub(super) struct Parts {
    /// Crates, ours among them.
    pub(super) crates: BTreeMap<Id, Crate>,
    pub(super) others: Vec<Other>,
    /// The crate of each program.
    pub(super) programs: Vec<(&'static str, Id)>,
}

/// A crate.
#[derive(Debug)]
pub(super) struct Crate {
    /// Its licence, as an SPDX expression.
    pub(super) license: String,
    pub(super) authors: Vec<String>,
    pub(super) repository: Option<String>,
    pub(super) dir: PathBuf,
    /// SHA-256 of the crate's file, as Cargo.lock has it; ours have none.
    pub(super) checksum: Option<String>,
    /// The crates that it links.
    pub(super) links: BTreeSet<Id>,
}

/// What is linked and is no crate.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) name: &'static str,
    pub(super) version: String,
    /// Its licence, as an SPDX expression.
    pub(super) license: &'static str,
    /// The file with its text.
    pub(super) text: PathBuf,
    /// The crate that brings it; else the compiler.
    pub(super) of: Option<&'static str>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    authors: Vec<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
}

impl Parts {
    pub(super) fn of(programs: &Programs) -> anyhow::Result<Self> {
        let metadata = process::output(cargo().args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            programs.target,
        ]))?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).context("reading cargo's metadata")?;
        let lock = workspace::root().join("Cargo.lock");
        let lock = std::fs::read_to_string(&lock)
            .with_context(|| format!("reading {}", lock.display()))?;
        let checksums = checksums(&lock);
        let (mut crates, mut own) = (BTreeMap::new(), Vec::new());
        for program in PROGRAMS {
            let tree = process::output(cargo().args([
                "tree",
                "--locked",
                "--package",
                program.package,
                "--edges",
                "normal,no-proc-macro",
                "--target",
                programs.target,
                "--prefix",
                "depth",
                "--format",
                " {p}",
            ]))?;
            for (id, links) in links(&tree)? {
                if !crates.contains_key(&id) {
                    crates.insert(id.clone(), described(&id, &metadata, &checksums)?);
                }
                let described = crates.get_mut(&id).expect("it was put there just now");
                described.links.extend(links);
            }
            let version = env!("CARGO_PKG_VERSION").to_owned();
            own.push((program.binary, (program.package.to_owned(), version)));
        }
        let others = others(&crates, programs)?;
        Ok(Self { crates, others, programs: own })
    }
}

fn described(
    id: &Id,
    metadata: &Metadata,
    checksums: &BTreeMap<Id, String>,
) -> anyhow::Result<Crate> {
    let (name, version) = id;
    let package = metadata.packages.iter().find(|it| it.name == *name && it.version == *version);
    let package = package.with_context(|| format!("cargo knows no crate {name} {version}"))?;
    let license = package.license.as_deref().with_context(|| {
        format!("{name} {version} names no licence; use another crate, or name it in xtask")
    })?;
    Ok(Crate {
        license: spdx(license),
        authors: package.authors.clone(),
        repository: package.repository.clone(),
        dir: package.manifest_path.parent().expect("a file in a folder").to_owned(),
        checksum: checksums.get(id).cloned(),
        links: BTreeSet::new(),
    })
}

/// Cargo once wrote `/` for `OR`. Source: Cargo book, "The license and license-file fields".
fn spdx(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// What each crate of a tree links, from lines `DEPTH NAME vVERSION …`.
fn links(tree: &str) -> anyhow::Result<BTreeMap<Id, BTreeSet<Id>>> {
    let mut links = BTreeMap::<Id, BTreeSet<Id>>::new();
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name), Some(version)) = (
            words.next().and_then(|depth| depth.parse::<usize>().ok()),
            words.next(),
            words.next().and_then(|version| version.strip_prefix('v')),
        ) else {
            bail!("cargo tree printed {line:?}, which names no crate");
        };
        let id = (name.to_owned(), version.to_owned());
        above.truncate(depth);
        if let Some(parent) = above.last() {
            links.entry(parent.clone()).or_default().insert(id.clone());
        }
        links.entry(id.clone()).or_default();
        above.push(id);
    }
    Ok(links)
}

/// The checksums of a Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let value = |package: &str, key: &str| {
        let start = format!("{key} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]\n")
        .filter_map(|it| {
            Some(((value(it, "name")?, value(it, "version")?), value(it, "checksum")?))
        })
        .collect()
}

fn others(crates: &BTreeMap<Id, Crate>, programs: &Programs) -> anyhow::Result<Vec<Other>> {
    let sysroot = process::output(process::command("rustc").args(["--print", "sysroot"]))?;
    let rustc = process::output(process::command("rustc").arg("--version"))?;
    let mut others = vec![Other {
        name: "rust-std",
        version: rustc.split_whitespace().nth(1).unwrap_or_default().to_owned(),
        license: "MIT OR Apache-2.0",
        text: Path::new(sysroot.trim()).join("share/doc/rust/COPYRIGHT-library.html"),
        of: None,
    }];
    if let Some((_, it)) = crates.iter().find(|((name, _), _)| name == "libsqlite3-sys") {
        let header = it.dir.join("sqlite3").join("sqlite3.h");
        others.push(Other {
            name: "sqlite",
            version: defined(&header, "SQLITE_VERSION")?,
            license: "blessing",
            text: header,
            of: Some("libsqlite3-sys"),
        });
    }
    if let Some((_, it)) = crates.iter().find(|((name, _), _)| name == "page") {
        others.push(Other {
            name: "htmx",
            version: "2.0.11".to_owned(),
            license: "0BSD",
            text: it.dir.join("src/assets/htmx-LICENSE"),
            of: Some("page"),
        });
        others.push(Other {
            name: "uplot",
            version: "1.6.32".to_owned(),
            license: "MIT",
            text: it.dir.join("src/assets/uplot-LICENSE"),
            of: Some("page"),
        });
    }
    if let Some(zig) = &programs.zig {
        let version = programs.tools.iter().find_map(|it| it.strip_prefix("ziglang=="));
        let version = version.unwrap_or_default().to_owned();
        others.push(Other {
            name: "musl",
            version: defined(&zig.join("lib/libc/musl/src/internal/version.h"), "VERSION")?,
            license: "MIT",
            text: zig.join("lib/libc/musl/COPYRIGHT"),
            of: None,
        });
        others.push(Other {
            name: "zig-compiler-rt",
            version: version.clone(),
            license: "MIT",
            text: zig.join("LICENSE"),
            of: None,
        });
        others.push(Other {
            name: "llvm-libunwind",
            version,
            license: "Apache-2.0 WITH LLVM-exception",
            text: zig.join("lib/libunwind/LICENSE.TXT"),
            of: None,
        });
    }
    Ok(others)
}

/// The text that a C header defines a name as.
fn defined(header: &Path, name: &str) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(header).with_context(|| format!("reading {}", header.display()))?;
    let value = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next())?
    });
    let value = value.with_context(|| format!("{} does not define {name}", header.display()))?;
    Ok(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, version: &str) -> Id {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn who_links_what_is_read_from_a_tree() {
        let tree =
            "0 a v0.1.0 (/somewhere)\n1 b v1.2.3\n2 c v2.0.0\n1 c v2.0.0 (*)\n1 d v1.0.0-rc.1\n";
        let links = links(tree).unwrap();
        let of = |name, version| links[&id(name, version)].iter().cloned().collect::<Vec<_>>();
        let (b, c, d) = (id("b", "1.2.3"), id("c", "2.0.0"), id("d", "1.0.0-rc.1"));
        assert_eq!(of("a", "0.1.0"), [b, c.clone(), d]);
        assert_eq!(of("b", "1.2.3"), [c]);
        assert_eq!(of("c", "2.0.0"), []);
        assert!(super::links("1 a\n").is_err());
    }

    #[test]
    fn checksums_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(id("a", "1.0.0"), "ff".to_owned())]));
    }

    #[test]
    fn a_licence_is_an_expression() {
        assert_eq!(spdx("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(spdx("MIT / Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(spdx("Apache-2.0 AND ISC"), "Apache-2.0 AND ISC");
    }
}
