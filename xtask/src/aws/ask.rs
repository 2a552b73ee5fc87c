//! The question before anything is changed.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, anyhow};
use terminal::exit::Failure;

/// Fails early, before minutes of work, where the question could not be answered.
pub(crate) fn can_confirm(yes: bool) -> anyhow::Result<()> {
    if yes || std::io::stdin().is_terminal() {
        return Ok(());
    }
    let error = anyhow!("nobody is there to be asked; `--yes` answers beforehand");
    Err(Failure::Usage.of(error))
}

/// Goes on if the answer is `yes`, or was given before by `--yes`.
///
/// # Errors
///
/// When the answer is another, or nobody is there to answer.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    can_confirm(yes).with_context(|| question.to_owned())?;
    eprint!("{question} Type `yes` to go on: ");
    std::io::stderr().flush().context("asking")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("reading the answer")?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(anyhow!("nothing was changed: the answer was {:?}, not `yes`", answer.trim()))
}
