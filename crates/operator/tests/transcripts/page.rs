//! A page of the documents, whose commands are played one after another.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::mask::{is_shown, names, renamed};
use crate::stage::Stage;

/// What a command of the documents begins with.
const PROMPT: &str = "$ ";

/// What changes nothing, and is looked at again until it is as it is shown: what is under way is so for a
/// moment.
const LOOKS: [&str; 9] = [
    "status",
    "doctor",
    "blocked",
    "trace",
    "show",
    "dlq list",
    "dlq stats",
    "dlq show",
    "dlq issues",
];

/// How long it is looked at again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A page, and how far it was played.
pub(crate) struct Page {
    file: PathBuf,
    lines: Vec<String>,
    /// Where the next command is looked for.
    next: usize,
    /// This run's names by the page's.
    names: BTreeMap<String, String>,
    /// What is not as the page says, in words.
    differences: Vec<String>,
}

/// Whether what is printed is to be written into the pages.
pub(crate) fn is_writing() -> bool {
    std::env::var_os("TRANSCRIPTS").is_some_and(|it| it == "write")
}

impl Page {
    /// A page below the repository's root.
    pub(crate) fn open(name: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
        let lines = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
        Self { file, lines, next: 0, names: BTreeMap::new(), differences: Vec::new() }
    }

    /// Plays the next command of an operator, which must begin with these words.
    pub(crate) async fn play(&mut self, stage: &Stage, words: &str) {
        self.play_with(stage, words, &[]).await;
    }

    /// The same with environment variables, one that the command line sets among them.
    pub(crate) async fn play_with(&mut self, stage: &Stage, words: &str, env: &[(&str, &str)]) {
        self.play_until(stage, words, env, |_printed| true).await;
    }

    /// The same, of what changes nothing, once what is printed is as `accepts` wants.
    pub(crate) async fn play_until(
        &mut self,
        stage: &Stage,
        words: &str,
        env: &[(&str, &str)],
        accepts: impl Fn(&str) -> bool,
    ) {
        let at = self.command();
        let line = self.lines[at].clone();
        let (_, typed) = line.split_once("cargo xtask ").unwrap();
        assert!(typed.starts_with(words), "{}: {words} is expected, not {line}", self.name());
        let arguments = shlex::split(&renamed(typed, &self.names)).unwrap();
        let end = self.end_of_output(at);
        let shown = self.lines[at + 1..end].join("\n");
        let limit = Instant::now() + PATIENCE;
        let is_look = LOOKS.iter().any(|look| words.starts_with(look));
        let printed = loop {
            let printed = stage.operate(&arguments, env).await;
            let is_done = accepts(&printed) && (is_writing() || is_shown(&printed, &shown));
            if is_done || !is_look || Instant::now() > limit {
                break printed;
            }
        };
        self.learn(&shown, &printed);
        if is_shown(&printed, &shown) {
            self.next = end;
            return;
        }
        self.differences.push(format!("{line}\nprinted:\n{printed}shown:\n{shown}\n"));
        // With the page's names for what it has named.
        let of_page = self.names.iter().map(|(page, run)| (run.clone(), page.clone())).collect();
        let printed = renamed(&printed, &of_page);
        let lines = printed.trim_end().lines().map(str::to_owned);
        let before = self.lines.len();
        self.lines.splice(at + 1..end, lines);
        self.next = end + self.lines.len() - before;
    }

    /// Passes over commands that are played elsewhere, as their words say.
    pub(crate) fn played_elsewhere(&mut self, words: &str) {
        let at = self.command();
        let line = &self.lines[at];
        assert!(line.contains(&format!("cargo xtask {words}")), "{words} is expected, not {line}");
        self.next = self.end_of_output(at);
    }

    /// Every command was played, and printed what the page shows.
    pub(crate) fn finish(mut self) {
        if is_writing() {
            let text = self.lines.join("\n") + "\n";
            fs::write(&self.file, text).unwrap();
            self.differences.clear();
        }
        if let Some(at) = self.find_command() {
            panic!("{}: nobody plays {}", self.name(), self.lines[at]);
        }
        let differences = std::mem::take(&mut self.differences);
        assert!(
            differences.is_empty(),
            "{}: TRANSCRIPTS=write writes what is printed:\n{}",
            self.name(),
            differences.join("\n")
        );
    }

    fn name(&self) -> String {
        self.file.file_name().unwrap().display().to_string()
    }

    fn command(&self) -> usize {
        self.find_command().unwrap_or_else(|| panic!("{}: no command is left", self.name()))
    }

    fn find_command(&self) -> Option<usize> {
        let is_command = |line: &String| line.starts_with(PROMPT) && line.contains("cargo xtask ");
        let found = self.lines[self.next..].iter().position(is_command);
        found.map(|from| self.next + from)
    }

    /// The line behind what the command at `at` prints: a fence, or the blank line before another one.
    fn end_of_output(&self, at: usize) -> usize {
        let rest = at + 1..self.lines.len();
        let is_end = |line: &usize| {
            let line = &self.lines[*line];
            line.starts_with("```") || line.starts_with(PROMPT)
        };
        let end = rest.into_iter().find(is_end).unwrap();
        if self.lines[end].starts_with(PROMPT) && self.lines[end - 1].is_empty() {
            end - 1
        } else {
            end
        }
    }

    /// Takes what stands at the same place for another name of the same.
    fn learn(&mut self, shown: &str, printed: &str) {
        if names(shown).len() == names(printed).len() {
            for (page, run) in names(shown).into_iter().zip(names(printed)) {
                self.names.entry(page.to_owned()).or_insert_with(|| run.to_owned());
            }
        }
        // What the page has not named yet is named as it is.
        for run in names(printed) {
            if !self.names.values().any(|known| known == run) {
                self.names.insert(run.to_owned(), run.to_owned());
            }
        }
    }
}
