//! What this program is called, so that every command it advises works when it is typed as printed: by
//! the name by which it was called, and for the same environment.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use clap::ArgMatches;

use terminal::text::printable;

/// The variable by which `cargo xtask`, which starts this program, says that it is what was typed.
const CALLED_AS_VARIABLE: &str = "WEBHOOK_OPERATOR_CALLED_AS";

/// The options that say which environment is meant, as clap knows them and as they are typed.
const OPTIONS: [(&str, &str); 3] =
    [("config", "--config"), ("data_dir", "--data-dir"), ("api", "--api")];

/// Those of [`OPTIONS`] that were given, as they are typed.
static GIVEN: OnceLock<String> = OnceLock::new();

/// What this program is called, if it says so itself.
static CALLED_AS: OnceLock<&str> = OnceLock::new();

/// What was typed to start this program.
static NAME: LazyLock<String> = LazyLock::new(|| {
    if let Some(name) = CALLED_AS.get() {
        return (*name).to_owned();
    }
    let variable = |name: &str| std::env::var(name).ok();
    let typed = std::env::args_os().next().map(PathBuf::from);
    name_from(typed.as_deref(), variable)
});

fn name_from(typed: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> String {
    if let Some(name) = variable(CALLED_AS_VARIABLE) {
        return name;
    }
    let Some(typed) = typed else { return "webhook-operator".to_owned() };
    let name = quoted(&typed.display().to_string());
    // As `sudo` says which command it runs; of a shell that it started it is that shell.
    let sudoed = variable("SUDO_COMMAND").is_some_and(|command| {
        let program = command.split(' ').next().map(Path::new);
        program.and_then(Path::file_name) == typed.file_name()
    });
    if sudoed { format!("sudo {name}") } else { name }
}

/// Says what to type to start this program, before anything asks: cargo starts it by a path.
pub fn called_as(name: &'static str) {
    // The first one says it.
    let _said = CALLED_AS.set(name);
}

/// What to type to start this program.
#[must_use]
pub fn name() -> &'static str {
    &NAME
}

/// Whether the repository and its other commands are at hand.
#[must_use]
pub fn is_xtask() -> bool {
    std::env::var_os(CALLED_AS_VARIABLE).is_some()
}

/// A help text in which `{program}` is what to type.
#[must_use]
pub fn help(text: &str) -> String {
    text.replace("{program}", name())
}

/// What to say beside the error that arguments are missing, where what was typed without ENV before it was
/// taken for that: `dlq drop order-7`. Nothing is carried out then.
#[must_use]
pub fn taken_for_env(
    program: clap::Command,
    typed: &[std::ffi::OsString],
    error: &clap::Error,
) -> Option<String> {
    if error.kind() != clap::error::ErrorKind::MissingRequiredArgument {
        return None;
    }
    let matches = program.ignore_errors(true).try_get_matches_from(typed).ok()?;
    let (mut leaf, mut names) = (&matches, Vec::new());
    while let Some((name, below)) = leaf.subcommand() {
        names.push(name);
        leaf = below;
    }
    let missing = match *names.as_slice() {
        ["skip"] => "EVENT-ID",
        ["retry"] => "KEY",
        ["dlq", "drop" | "redrive"] => "ID",
        ["damaged", "drop"] => "NUMBER",
        _ => return None,
    };
    // Something else is missing where it was given as well.
    let is_given = ["event_ids", "event_id", "keys", "numbers"].iter().any(|id| {
        leaf.try_get_raw(id).ok().flatten().is_some_and(|mut values| values.next().is_some())
    });
    let word = leaf.try_get_one::<String>("environment").ok().flatten().filter(|_| !is_given)?;
    remember(&matches);
    let words = names.into_iter().map(value).chain([Word::from("ENV"), value(word)]);
    let command = command(words);
    Some(format!(
        "{} was taken for ENV, the environment, which comes before {missing}: `{command}`",
        printable(&format!("{word:?}"))
    ))
}

/// Keeps the options of the command that is carried out, for [`command`].
pub fn remember(matches: &ArgMatches) {
    let mut leaf = matches;
    while let Some((_name, below)) = leaf.subcommand() {
        leaf = below;
    }
    let given = |(id, option): (&str, &str)| {
        let values = leaf.try_get_raw(id).ok().flatten()?;
        let words = values.map(|value| format!(" {option} {}", quoted(&value.to_string_lossy())));
        Some(words.collect::<String>())
    };
    let given = OPTIONS.into_iter().filter_map(given).collect();
    GIVEN.set(given).expect("one command is carried out");
}

/// A word of a command that is printed. What stands in the code is meant as it is; everything else was
/// chosen by somebody else, and is a [`value`].
#[derive(Debug, Clone)]
pub struct Word(Said);

#[derive(Debug, Clone)]
enum Said {
    Literally(&'static str),
    Value(String),
}

impl From<&'static str> for Word {
    fn from(word: &'static str) -> Self {
        Self(Said::Literally(word))
    }
}

/// A word that somebody else has chosen, such as an ordering key, an id or a name: it never becomes an
/// option.
pub fn value(word: impl Into<String>) -> Word {
    Word(Said::Value(word.into()))
}

/// How a command of this program is typed for the environment that was named: [`command()`] of words,
/// each a literal or a [`value`].
///
/// ```
/// let typed = commands::command!["retry", commands::program::value("--all")];
/// assert!(typed.ends_with(" retry -- --all"));
/// ```
///
/// What is no literal does not compile:
///
/// ```compile_fail
/// let key = String::from("--all");
/// commands::command!["retry", key.as_str()];
/// ```
#[macro_export]
macro_rules! command {
    ($($word:expr),* $(,)?) => {
        $crate::program::command([$($crate::program::Word::from($word)),*])
    };
}

/// How a command of this program is typed for the environment that was named.
pub fn command(words: impl IntoIterator<Item = Word>) -> String {
    let (mut name_of, mut places, mut options, mut values) =
        (String::new(), String::new(), String::new(), String::new());
    let mut is_behind_option = false;
    for Word(word) in words {
        let is_option = matches!(&word, Said::Literally(word) if word.starts_with("--"));
        let is_named = is_option || places.is_empty() && matches!(word, Said::Literally(_));
        let text = match &word {
            Said::Literally(word) => word,
            Said::Value(value) => value.as_str(),
        };
        let looks_like_option = text.starts_with('-') && !is_option;
        let (part, before) = match () {
            () if is_behind_option && looks_like_option => (&mut options, "="),
            () if is_option || is_behind_option => (&mut options, " "),
            () if looks_like_option => (&mut values, " "),
            () if is_named => (&mut name_of, " "),
            () => (&mut places, " "),
        };
        part.push_str(before);
        part.push_str(&quoted(text));
        is_behind_option = is_option;
    }
    options.push_str(GIVEN.get().map(String::as_str).unwrap_or_default());
    let name = name();
    if values.is_empty() {
        format!("{name}{name_of}{places}{options}")
    } else {
        // No option may stand behind the mark, nor between an environment and what is asked of it.
        format!("{name}{name_of}{options}{places} --{values}")
    }
}

/// How `environment` is deployed again: by a command of the repository, which is not everywhere.
#[must_use]
pub fn deploy(environment: &str) -> String {
    if is_xtask() {
        format!("`cargo xtask deploy {environment}`")
    } else {
        "a deployment from the repository".to_owned()
    }
}

/// How the code that ran before is brought back: as [`deploy`].
#[must_use]
pub fn rollback(environment: &str) -> String {
    if is_xtask() {
        format!("`cargo xtask rollback {environment}`")
    } else {
        "a rollback from the repository".to_owned()
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    // What is printable has no NUL in it.
    shlex::try_quote(&printable(word)).map_or_else(|_nul| word.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, variables: &[(&str, &str)], expected: &str) {
        let variable = |name: &str| {
            variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(name_from(Some(Path::new(typed)), variable), expected);
    }

    #[test]
    fn it_is_called_what_was_typed() {
        check("webhook-operator", &[], "webhook-operator");
        check("./target/webhook-operator", &[], "./target/webhook-operator");
        check("/opt/my tools/webhook-operator", &[], "'/opt/my tools/webhook-operator'");
        let xtask = (CALLED_AS_VARIABLE, "cargo xtask");
        check("/target/debug/webhook-operator", &[xtask], "cargo xtask");
        let sudo = ("SUDO_COMMAND", "/usr/local/bin/webhook-operator status local");
        check("webhook-operator", &[sudo], "sudo webhook-operator");
        check("webhook-operator", &[("SUDO_COMMAND", "/bin/bash")], "webhook-operator");
    }

    #[test]
    fn a_shell_takes_each_word_as_it_is() {
        let of_others = ["e; rm -rf ~\u{1b}", "$(x)|y", "it's", ""].map(value);
        let typed = command(["dlq", "show", "local"].map(Word::from).into_iter().chain(of_others));
        let split = shlex::split(&typed).unwrap();
        assert_eq!(split[1..5], ["dlq", "show", "local", "e; rm -rf ~\u{fffd}"]);
        assert_eq!(split[5..], ["$(x)|y", "it's", ""]);
    }

    #[test]
    fn what_somebody_else_has_chosen_is_no_option() {
        let typed = |typed: String| typed.split_once(' ').unwrap().1.to_owned();
        let (key, other) = (value("--all"), value("order 7"));
        assert_eq!(typed(command!["retry", value("local"), other]), "retry local 'order 7'");
        assert_eq!(typed(command!["retry", value("local"), key.clone()]), "retry local -- --all");
        assert_eq!(
            typed(command!["skip", value("local"), key.clone(), "--why", "TEXT"]),
            "skip --why TEXT local -- --all"
        );
        assert_eq!(typed(command!["resume", "local", "--name", key]), "resume local --name=--all");
    }
}
