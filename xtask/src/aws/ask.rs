//! The question before anything is changed.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, anyhow};

use crate::exit::Failure;

/// Goes on if the answer is `yes`, or was given before by `--yes`.
///
/// # Errors
///
/// When the answer is another, or nobody is there to answer.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let error = anyhow!("{question} Nobody is there to answer; `--yes` answers beforehand");
        return Err(error.context(Failure::Usage));
    }
    eprint!("{question} Type `yes` to go on: ");
    std::io::stderr().flush().context("asking")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("reading the answer")?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(anyhow!("nothing was changed: the answer was {:?}, not `yes`", answer.trim()))
}
