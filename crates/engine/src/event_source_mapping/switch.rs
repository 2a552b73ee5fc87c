//! Whether the mapping is on. It is, unless it was switched off; that is kept in the data directory,
//! so that a pause outlives the engine.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::write_durably;

/// Name of the file in the data directory.
const FILE: &str = "event-source-mapping.json";

/// What is kept. Further fields of a newer engine are left alone by an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    enabled: bool,
}

/// Where the switch is kept.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    file: Option<PathBuf>,
}

impl Switch {
    /// A switch that is kept in `data_dir`, or nowhere.
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        Self { file: data_dir.map(|dir| dir.join(FILE)) }
    }

    /// Whether it is on.
    pub(crate) fn read(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(true) };
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        let kept: Kept = serde_json::from_slice(&text)?;
        Ok(kept.enabled)
    }

    /// Keeps it, durably: it is either as it was or as it shall be, whatever happens meanwhile.
    pub(crate) fn write(&self, enabled: bool) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        write_durably(file, &serde_json::to_vec(&Kept { enabled })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_on_until_it_is_switched_off_and_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::new(Some(dir.path()));
        assert!(switch.read().unwrap());
        switch.write(false).unwrap();
        assert!(!Switch::new(Some(dir.path())).read().unwrap());
        switch.write(true).unwrap();
        assert!(switch.read().unwrap());
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(Switch::new(Some(dir.path())).read().is_err());
    }

    /// A pause would end because of it.
    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(Switch::new(Some(dir.path())).read().is_err());
    }
}
