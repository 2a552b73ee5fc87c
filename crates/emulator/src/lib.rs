//! An AWS emulator on this machine, what stands around it, and how both are found again: what
//! `cargo xtask deploy local` starts and leaves running, and what tests deploy to.
//!
//! Not here: Terraform, and where a repository keeps its files; who uses this says so.

mod background;
mod ministack;
mod stage;

use std::path::PathBuf;
use std::process::Command;

pub use background::{Background, Running};
pub use ministack::{Emulator, VERSION, confine};
pub use stage::{Stage, ingest, ingest_urls, stand_in};

/// Why something does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that is not on this machine, or cannot be fetched.
    #[error("{what} cannot be had: {reason}")]
    Missing {
        /// The program, and what it needs.
        what: String,
        /// What happened.
        reason: String,
    },
    /// A process that does not run.
    #[error("{name} {reason}")]
    Process {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration that the stand-in cannot be placed by.
    #[error("{0}")]
    Destination(String),
    /// A file, or a port.
    #[error("{doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// What happened.
        source: std::io::Error,
    },
}

/// What was tried, for an error of the system.
fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { doing: doing.into(), source }
}

/// Shows `command` and runs it to its end.
fn run(what: &str, command: &mut Command) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|it| it.to_string_lossy()).collect();
    eprintln!("$ {name} {}", arguments.join(" "));
    let missing = |reason: String| Error::Missing { what: what.to_owned(), reason };
    let status = command.status().map_err(|error| missing(format!("starting {name}: {error}")))?;
    if status.success() { Ok(()) } else { Err(missing(format!("{name} ended with {status}"))) }
}
