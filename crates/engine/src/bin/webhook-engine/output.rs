//! What a command says. That nobody reads it undoes nothing: a copy that was made is there.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use crate::{Exit, fail};

/// Writes what a command has done, as lines on standard output. Who has read enough, such as `head`, is no
/// failure.
pub(crate) fn say(text: &dyn Display) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let reason = format_args!("it is done, but standard output takes nothing: {error}");
            Err(fail(Exit::Failure, &reason))
        }
        _ => Ok(()),
    }
}

/// Writes a line on standard error, of which nobody can be told that it takes nothing.
pub(crate) fn tell(line: &dyn Display) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
