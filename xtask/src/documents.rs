//! What the documents and the workflows say to type: every command line of them parses.

use std::path::PathBuf;

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
