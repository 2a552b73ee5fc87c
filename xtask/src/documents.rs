//! What the documents and the workflows say to type: every command line of them parses.

use std::path::PathBuf;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::{process, workspace};

/// What is passed on to the operator, whose arguments it knows itself.
const OPERATORS: [&str; 8] =
    ["status", "trace", "blocked", "skip", "doctor", "dlq", "pause", "resume"];

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

/// Every `cargo xtask …` of a text, as arguments; of alternatives (`a|b`) each, of what may be left out
/// (`[--json]`) all, but for what a shell leaves out (`${…}`).
pub(crate) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for rest in text.split("cargo xtask ").skip(1) {
        let line = rest.split(['\n', '`', '#', ';', '(', ')', '…']).next().unwrap_or_default();
        let end = [" | ", " > ", "${"].iter().filter_map(|end| line.find(end)).min();
        let line = &line[..end.unwrap_or(line.len())];
        let line = line.replace("\\|", "|").replace(['[', ']'], "");
        let Some(words) = shlex::split(line.trim()) else { continue };
        let mut lines = vec![Vec::new()];
        for word in words.iter().map(|word| word.trim_end_matches([',', '.', ':'])) {
            let alternatives = word.split('|').map(str::to_owned);
            let longer = |alternative: String| {
                lines.iter().map(move |line: &Vec<String>| {
                    line.iter().cloned().chain([alternative.clone()]).collect()
                })
            };
            lines = alternatives.flat_map(longer).collect();
        }
        found.extend(lines.into_iter().filter(|line| !line.is_empty()));
    }
    found
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
            if words.len() == 1 || OPERATORS.contains(&words[0].as_str()) {
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

#[test]
fn a_command_is_found_in_a_sentence_and_in_a_block() {
    let text = "Then `cargo xtask deploy dev`, or:\n\n```\ncargo xtask plan|check ENV [--json] # looks\n```";
    let found = commands(text).iter().map(|words| words.join(" ")).collect::<Vec<_>>();
    assert_eq!(found, ["deploy dev", "plan ENV --json", "check ENV --json"]);
}
