//! The AWS emulator that `local` is deployed to, where this repository keeps it.

use std::process::Command;

use anyhow::{Context as _, Error};
use emulator::Emulator;
pub(crate) use emulator::confine;
use terminal::exit::Failure;

use super::local_dir;
use crate::workspace;

fn emulator() -> Emulator {
    Emulator::new(local_dir(), workspace::target_dir())
}

/// Whether it runs.
pub(crate) fn is_running() -> bool {
    emulator().is_running()
}

/// Its URL.
///
/// # Errors
///
/// When it does not run.
pub(crate) fn endpoint() -> anyhow::Result<String> {
    emulator().endpoint().context("the emulator does not run; `cargo xtask deploy local` starts it")
}

/// Points `command` at it, if it runs.
pub(crate) fn confine_if_running(command: &mut Command) {
    if let Ok(endpoint) = endpoint() {
        confine(command, &endpoint);
    }
}

/// Starts it unless it runs, after installing it unless it is there.
pub(crate) fn ensure_running() -> anyhow::Result<()> {
    emulator().ensure_running().map_err(with_code)
}

/// Stops it, and everything that was deployed to it is gone.
pub(crate) fn stop() -> anyhow::Result<()> {
    emulator().stop().map_err(with_code)
}

/// The error with its exit code.
pub(super) fn with_code(error: emulator::Error) -> Error {
    match error {
        emulator::Error::Missing { .. } => Failure::Environment.of(error.into()),
        error => error.into(),
    }
}
