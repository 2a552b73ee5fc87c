//! Exit codes, the same for all commands.

use std::fmt;
use std::process::ExitCode;

/// The table that `--help` shows.
pub const TABLE: &str = "\
Exit codes:
  0    done: all that was asked for, and every check held
  1    failed, or done in part, or a check did not hold
  2    wrong arguments or configuration
  3    something is missing on this machine, such as a tool or a running engine
  130  interrupted";

/// A failure that is not the command's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Wrong arguments or configuration.
    Usage = 2,
    /// A tool or a service is missing on this machine.
    Environment = 3,
    /// Stopped by a signal.
    Interrupted = 130,
}

/// An error, and which failure it is; what is said of it is the error's own.
struct Marked {
    failure: Failure,
    error: anyhow::Error,
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl std::error::Error for Marked {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Failure {
    /// The error, which is such a failure.
    #[must_use]
    pub fn of(self, error: anyhow::Error) -> anyhow::Error {
        Marked { failure: self, error }.into()
    }
}

/// Which failure an error is, if it was said of it.
#[must_use]
pub fn failure_of(error: &anyhow::Error) -> Option<Failure> {
    // Inside of others it is found by itself only: what was added around it changes nothing.
    let marked = error.chain().find_map(|cause| cause.downcast_ref::<Marked>());
    marked.or_else(|| error.downcast_ref()).map(|marked| marked.failure)
}

/// The exit code of an error.
#[must_use]
pub fn code_of(error: &anyhow::Error) -> ExitCode {
    failure_of(error).map_or(ExitCode::FAILURE, |failure| ExitCode::from(failure as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_is_changes_nothing_of_what_is_said() {
        let error = anyhow::anyhow!("no such file").context("reading it");
        let marked = Failure::Environment.of(error).context("starting");
        assert_eq!(format!("{marked:#}"), "starting: reading it: no such file");
        assert_eq!(failure_of(&marked), Some(Failure::Environment));
        assert_eq!(failure_of(&anyhow::anyhow!("other")), None);
    }

    #[test]
    fn the_table_has_every_code() {
        for failure in [Failure::Usage, Failure::Environment, Failure::Interrupted] {
            assert!(TABLE.contains(&format!("\n  {:<4} ", failure as u8)), "{failure:?}");
        }
    }
}
