//! The licences of everything that is in a release, each text once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::build::Programs;
use super::parts::{Crate, Parts};
use crate::workspace;

/// How the names of files begin that licences stand in.
const NAMES: [&str; 6] = ["licen", "copying", "copyright", "notice", "unlicense", "patents"];

/// The texts of the licences, and under each whose it is.
pub(super) fn text(parts: &Parts, programs: &Programs) -> anyhow::Result<String> {
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    let mut add = |text: String, whose: String| {
        texts.entry(text.trim().to_owned()).or_default().push(whose);
    };
    for ((name, version), it) in &parts.crates {
        if it.checksum.is_none() {
            continue; // Ours; see LICENSE.
        }
        let whose = format!("{name} {version} ({})", it.license);
        for text in texts_of(name, it)? {
            add(text, whose.clone());
        }
    }
    for other in &parts.others {
        let text = read(&other.text)?;
        // SQLite's licence stands in the first comment of each of its files.
        let text = if other.name == "sqlite" {
            text.split_once("*/").map_or(text.as_str(), |(comment, _)| comment).to_owned()
        } else {
            text
        };
        add(text, format!("{} {} ({})", other.name, other.version, other.license));
    }
    let mut sections: Vec<_> = texts.into_iter().map(|(text, whose)| (whose, text)).collect();
    sections.sort();
    let line = "=".repeat(80);
    let sections = sections
        .iter()
        .map(|(whose, text)| format!("\n{line}\n{}\n{line}\n\n{text}\n", whose.join("\n")));
    let names: Vec<&str> = programs.bytes.keys().copied().collect();
    Ok(format!(
        "What {} contain besides the code of this project, and the licences of it.\n{}",
        names.join(", "),
        sections.collect::<String>()
    ))
}

fn texts_of(name: &str, it: &Crate) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    find(&it.dir, &mut files)?;
    files.sort();
    let mut texts = files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    if texts.is_empty() {
        texts.push(without_file(name, it)?);
    }
    texts.sort();
    texts.dedup();
    Ok(texts)
}

/// A crate that came without its licence's text.
fn without_file(name: &str, it: &Crate) -> anyhow::Result<String> {
    let allowed: Vec<&str> = it.license.split(" OR ").collect();
    let ours = |file: &str| read(&workspace::root().join(file));
    if allowed.contains(&"Apache-2.0") {
        return ours("LICENSE-APACHE");
    }
    if allowed.contains(&"MIT") {
        let text = ours("LICENSE-MIT")?;
        let permission = text.find("Permission is hereby granted").context("LICENSE-MIT")?;
        let whose = match (it.authors.is_empty(), &it.repository) {
            (false, _) => it.authors.join(", "),
            (true, Some(repository)) => format!("the authors of {repository}"),
            (true, None) => format!("the authors of {name}"),
        };
        return Ok(format!("MIT License\n\nCopyright (c) {whose}\n\n{}", &text[permission..]));
    }
    bail!("{name} has no file with its licence, {}; use another crate, or add the text", it.license)
}

/// The files of a crate that licences stand in, what it brings of others included.
fn find(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let reading = || format!("reading {}", dir.display());
    for entry in std::fs::read_dir(dir).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() {
            find(&path, found)?;
        } else if NAMES.iter().any(|start| name.starts_with(start)) && !is_source(&name) {
            found.push(path);
        }
    }
    Ok(())
}

/// A source file may have such a name, too.
fn is_source(name: &str) -> bool {
    [".rs", ".c", ".h", ".toml", ".py", ".json"].iter().any(|end| name.ends_with(end))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = super::read(path)?;
    Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(license: &str, files: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let it = Crate {
            license: license.to_owned(),
            authors: vec!["Somebody".to_owned()],
            repository: None,
            dir: dir.path().to_owned(),
            checksum: None,
            links: BTreeSet::new(),
        };
        texts_of("it", &it)
    }

    #[test]
    fn every_text_of_a_crate_counts_what_it_brings_of_others_too() {
        let files = [
            ("LICENSE-MIT", "mit"),
            ("src/license.rs", "code"),
            ("third_party/x/LICENSE", "another"),
            ("NOTICE.txt", "notice"),
            ("README.md", "readme"),
        ];
        assert_eq!(of("MIT", &files).unwrap(), ["another", "mit", "notice"]);
    }

    #[test]
    fn a_crate_without_a_text_has_that_of_its_licence_or_stops_the_release() {
        let texts = of("MIT", &[]).unwrap();
        assert!(texts[0].contains("Copyright (c) Somebody\n\nPermission is hereby"), "{texts:?}");
        assert!(of("MIT OR Apache-2.0", &[]).unwrap()[0].contains("Apache License"));
        let error = of("GPL-3.0-only", &[]).unwrap_err().to_string();
        assert!(error.starts_with("it has no file with its licence, GPL-3.0-only"), "{error}");
    }
}
