//! What the documents and the workflows say to type: every command line of them parses.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Parser as _, Subcommand as _};
use manual::typed;

use crate::{process, workspace};

/// The documents, as git has them.
fn documents() -> Vec<(PathBuf, String)> {
    let listed = process::output(process::command("git").args(["ls-files", "*.md"])).unwrap();
    let read = |file: &str| {
        let path = workspace::root().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    // What has changed since tells of commands that are gone.
    listed.lines().filter(|file| *file != "CHANGELOG.md").map(read).collect()
}

/// Every `cargo xtask …` of a text, as arguments.
pub(crate) fn commands(text: &str) -> Vec<Vec<String>> {
    typed::commands(text, "cargo xtask")
}

/// Parses a command; what a shell fills in is a value.
pub(crate) fn parse(words: &[String]) -> Result<(), clap::Error> {
    let word = |word: &String| match word.strip_prefix('$').unwrap_or(word) {
        "DIGEST" | "APPROVED" => "0".repeat(64),
        _ if word.starts_with('$') => "value".to_owned(),
        word => word.to_owned(),
    };
    let arguments = std::iter::once("xtask".to_owned()).chain(words.iter().map(word));
    crate::Cli::try_parse_from(arguments).map(drop)
}

#[test]
fn every_command_of_the_documents_parses() {
    let mut count = 0;
    for (file, text) in documents() {
        for words in commands(&text) {
            // A command that is only named is not typed like that.
            // Those of an operator are parsed by its own tests.
            if words.len() == 1 || commands::Command::has_subcommand(&words[0]) {
                continue;
            }
            if let Err(error) = parse(&words)
                && error.kind() != ErrorKind::DisplayHelp
            {
                panic!("{}: cargo xtask {}: {error}", file.display(), words.join(" "));
            }
            count += 1;
        }
    }
    assert!(count > 25, "only {count} commands were found");
}

/// How many words people have to read in the README and under `docs/`, tables, transcripts and
/// configurations apart: beyond it, what is new takes the place of something.
const WORDS_AT_MOST: usize = 16_000;

/// The lines of a document that are outside of fenced blocks.
fn unfenced(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

#[test]
fn the_documents_are_no_longer_than_somebody_reads() {
    let is_page = |path: &PathBuf| {
        let path = path.strip_prefix(workspace::root()).unwrap();
        path.starts_with("docs") || path == Path::new("README.md")
    };
    let pages = documents().into_iter().filter(|(path, _)| is_page(path));
    let words = pages.map(|(_, text)| {
        let prose = unfenced(&text).filter(|line| !line.trim_start().starts_with('|'));
        prose.map(|line| line.split_whitespace().count()).sum::<usize>()
    });
    let words: usize = words.sum();
    assert!(words > 10_000, "only {words} words were found");
    assert!(words <= WORDS_AT_MOST, "{words} words");
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let (mut count, mut broken) = (0, Vec::new());
    for (file, text) in documents() {
        let of_file = |path: &Path| {
            let page = if path.is_dir() { path.join("README.md") } else { path.to_owned() };
            let text = std::fs::read_to_string(page).unwrap_or_default();
            let headings = unfenced(&text).filter(|line| line.starts_with('#'));
            headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect::<Vec<_>>()
        };
        for link in unfenced(&text).flat_map(|line| line.split("](").skip(1)) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (to, section) = link.split_once('#').unwrap_or((link, ""));
            // In an archive of a release it stands beside `docs`.
            let is_of_archive = file.ends_with("packaging/README.md");
            let folder = if is_of_archive { workspace::root() } else { file.parent().unwrap() };
            let to = if to.is_empty() { file.clone() } else { folder.join(to) };
            let is_there = section.is_empty() || of_file(&to).iter().any(|it| it == section);
            if !to.exists() || !is_there {
                broken.push(format!("{}: {link}", file.display()));
            }
            count += 1;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(count > 100, "only {count} links were found");
}
