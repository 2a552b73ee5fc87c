//! Questions before what cannot be undone.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, anyhow, ensure};
use terminal::exit::Failure;
use tokio::sync::oneshot;

use crate::interrupt::unless_interrupted;
use crate::progress;

/// Fails early if a question will come that nobody can answer.
pub(crate) fn can_confirm(yes: bool) -> anyhow::Result<()> {
    if !yes && !std::io::stdin().is_terminal() {
        let error = anyhow!(
            "this asks before it does something, and nobody is here to answer; --yes answers"
        );
        return Err(Failure::Usage.of(error));
    }
    Ok(())
}

/// Asks, unless that was answered beforehand.
///
/// # Errors
///
/// When the answer is not yes, or a signal comes in its place.
pub(crate) async fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let _asked = progress::quiet();
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().context("asking")?;
    let (sender, answer) = oneshot::channel();
    // A thread of its own, which nobody waits for: what reads from a terminal cannot be called back.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        // Nobody waits for it any more when a signal was quicker.
        let _unheard = sender.send(read.map(|_bytes| answer));
    });
    let answer = unless_interrupted(async {
        let answer = answer.await.context("the answer was not read")?;
        answer.context("reading the answer")
    });
    let answer = answer.await.inspect_err(|_interrupted| eprint!("\n"))?;
    ensure!(is_yes(&answer), "not confirmed; nothing was changed");
    Ok(())
}

/// Whether it is meant as yes.
fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_yes_is_yes() {
        assert!(["y\n", "yes\n", " Yes \r\n"].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "yes please\n"].into_iter().any(is_yes));
    }
}
