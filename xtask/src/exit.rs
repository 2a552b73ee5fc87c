//! Exit codes, the same for all commands.

use std::fmt;
use std::process::ExitCode;

/// The table that `--help` shows.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    done, and every check held
  1    failed, or a check did not hold
  2    wrong arguments or configuration
  3    something is missing on this machine
  130  interrupted";

/// A failure that is not the command's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Wrong arguments or configuration.
    Usage = 2,
    /// A tool or a service is missing on this machine.
    Environment = 3,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usage => "wrong arguments or configuration",
            Self::Environment => "something is missing on this machine",
            Self::Interrupted => "interrupted",
        })
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error: what it was given as context, else 1.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    error
        .downcast_ref::<Failure>()
        .map_or(ExitCode::FAILURE, |failure| ExitCode::from(*failure as u8))
}
