//! What is wanted of a process.

/// Whether it is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Run,
    Terminate,
    Kill,
}
