//! Rules about the repository that no compiler knows: who may use whom, what stands only once.

mod circles;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::process::{self, cargo};
use crate::workspace;

/// Which of our crates a crate may link. Tests may use more.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("deployment", &["domain"]),
    ("forwarder", &["domain"]),
    ("manual", &[]),
    ("terminal", &[]),
    ("commands", &["domain", "terminal"]),
    ("engine", &["domain", "manual"]),
    ("page", &["commands"]),
    ("operator", &["commands", "deployment", "domain", "manual", "page", "terminal"]),
    ("sss-stub", &["domain", "terminal"]),
    ("bench", &["domain", "terminal"]),
    ("emulator", &["domain"]),
    ("proof", &["domain", "engine", "forwarder", "terminal"]),
    ("xtask", &["commands", "deployment", "domain", "emulator", "terminal"]),
    ("contract-tests", &["domain", "emulator", "engine", "sss-stub"]),
];

/// What does I/O, or waits for it: nothing of this may be under the domain.
const NOT_IN_DOMAIN: [&str; 7] =
    ["tokio", "hyper", "reqwest", "rusqlite", "mio", "socket2", "aws-smithy-types"];

/// Whose modules use each other in one direction only.
const WITHOUT_CIRCLES: [&str; 3] =
    ["crates/domain/src", "crates/engine/src", "crates/forwarder/src"];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Checks all rules and reports every breach.
pub(crate) fn check() -> anyhow::Result<()> {
    let json = process::output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&json).context("reading cargo's metadata")?;
    let mut breaches = directions(&metadata.packages);
    for package in &metadata.packages {
        breaches.extend(manifest(package)?);
    }
    breaches.extend(domain_is_pure()?);
    breaches.extend(no_deliberate_faults()?);
    let files = source_files()?;
    breaches.extend(sources(&files));
    for crate_src in WITHOUT_CIRCLES {
        let of_crate = files.iter().filter_map(|(file, text)| {
            Some((file.strip_prefix(crate_src).ok()?.to_owned(), text.clone()))
        });
        let circles = circles::circles(&of_crate.collect::<Vec<_>>());
        breaches.extend(circles.iter().map(|circle| format!("{crate_src}: {circle}")));
    }
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("{}", breaches.join("; "))
}

/// Our crates use each other in one direction only.
fn directions(packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in packages {
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            breaches.push(format!("crate {} has no rule in xtask/src/tidy.rs", package.name));
            continue;
        };
        let ours = |name: &str| packages.iter().any(|package| package.name == name);
        let linked = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        let linked = linked.map(|dependency| dependency.name.as_str()).filter(|name| ours(name));
        breaches.extend(
            linked
                .filter(|name| !may_use.contains(name))
                .map(|name| format!("{} must not use {name}", package.name)),
        );
    }
    breaches
}

/// Lints are the workspace's, and versions stand in the root only.
fn manifest(package: &Package) -> anyhow::Result<Vec<String>> {
    let path = &package.manifest_path;
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut breaches = Vec::new();
    if !text.contains("[lints]\nworkspace = true") {
        breaches.push(format!("{} does not take the workspace's lints", path.display()));
    }
    let dependencies = text.split("dependencies]\n").skip(1);
    let lines =
        dependencies.flat_map(|section| section.lines().take_while(|line| !line.starts_with('[')));
    for line in lines.filter(|line| line.contains('=') && !line.contains("workspace = true")) {
        breaches.push(format!("{}: `{line}` belongs into the root's Cargo.toml", path.display()));
    }
    Ok(breaches)
}

/// Nothing that does I/O is anywhere under the domain.
fn domain_is_pure() -> anyhow::Result<Vec<String>> {
    let mut tree = cargo();
    tree.args([
        "tree",
        "--package",
        "domain",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let tree = process::output(&mut tree)?;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let found = names.filter(|name| NOT_IN_DOMAIN.contains(name));
    Ok(found.map(|name| format!("domain must not depend on {name}")).collect())
}

/// No build has the faults on purpose by which the proof is tried, unless it was asked for them.
fn no_deliberate_faults() -> anyhow::Result<Option<String>> {
    let tree = process::output(cargo().args(["tree", "--workspace", "--edges", "features"]))?;
    let found = tree.lines().find(|line| line.contains("deliberate-faults"));
    Ok(found.map(|line| format!("deliberate faults are built in: {}", line.trim())))
}

/// All Rust files of the repository, by their paths from its root, with their texts.
fn source_files() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let listed = process::output(process::command("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.rs",
    ]))?;
    let files = listed.lines().map(PathBuf::from);
    let present = files.filter(|file| workspace::root().join(file).exists());
    let read = present.map(|file| {
        let text = std::fs::read_to_string(workspace::root().join(&file))
            .with_context(|| format!("reading {}", file.display()))?;
        Ok((file, text))
    });
    read.collect()
}

/// No source file is left out of its crate, and none holds a note to self.
fn sources(files: &[(PathBuf, String)]) -> Vec<String> {
    let paths: Vec<&Path> = files.iter().map(|(file, _)| file.as_path()).collect();
    let mut breaches = Vec::new();
    for (file, text) in files {
        let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!(")];
        if notes.iter().any(|note| text.contains(note)) {
            breaches.push(format!("{} holds a note to self", file.display()));
        }
        if !is_reached(file, &paths) {
            breaches.push(format!("{} is in no crate", file.display()));
        }
    }
    breaches
}

/// Whether a file is a crate's root, or named by a `mod` in the file that it belongs to.
fn is_reached(file: &Path, files: &[&Path]) -> bool {
    let (Some(dir), Some(stem)) = (file.parent(), file.file_stem().and_then(|stem| stem.to_str()))
    else {
        return false;
    };
    let is_dir = |name: &str| dir.file_name().is_some_and(|dir| dir == name);
    let root = matches!(stem, "lib" | "main" | "build")
        || is_dir("tests")
        || is_dir("bin")
        || is_dir("examples");
    if root {
        return true;
    }
    let (owner_dir, name) = if stem == "mod" {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        (dir.parent().unwrap_or(dir), name)
    } else {
        (dir, stem)
    };
    let owner_file = owner_dir.with_extension("rs");
    let owners = files.iter().filter(|other| {
        let roots = ["lib.rs", "main.rs", "mod.rs"];
        let beside = other.parent() == Some(owner_dir)
            && roots.iter().any(|root| other.file_name().is_some_and(|name| name == *root));
        let in_tests = owner_dir.file_name().is_some_and(|name| name == "tests")
            && other.parent() == Some(owner_dir);
        beside || in_tests || **other == owner_file
    });
    let declaration = format!("mod {name}");
    owners.into_iter().any(|owner| {
        let text = std::fs::read_to_string(workspace::root().join(owner)).unwrap_or_default();
        [";", " {"].iter().any(|end| text.contains(&format!("{declaration}{end}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependencies = uses
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).into(), kind: kind.map(Into::into) })
            .collect();
        Package { name: name.into(), manifest_path: PathBuf::new(), dependencies }
    }

    #[test]
    fn a_wrong_direction_is_reported_and_a_test_may_use_more() {
        let packages = [
            package("domain", &[]),
            package("engine", &[("domain", None), ("serde", None)]),
            package("forwarder", &[("engine", None)]),
            package("operator", &[("engine", Some("dev"))]),
            package("new", &[]),
        ];
        assert_eq!(
            directions(&packages),
            ["forwarder must not use engine", "crate new has no rule in xtask/src/tidy.rs"]
        );
    }

    #[test]
    fn this_repository_keeps_its_rules() {
        check().unwrap();
    }
}
