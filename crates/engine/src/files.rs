//! The files of a data directory: replaced in one step, and nobody else's to read.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// What others may not do: read, write, execute.
const OTHERS: u32 = 0o077;

/// How the names of the files begin that engines write. What operators of before
/// wrote is theirs to close.
const NAMES: [&str; 7] = [
    "queues.db",
    "reserve.",
    "engine.",
    "event-source-mapping.",
    "schedule.",
    "lock",
    "access-key-id",
];

/// Replaces a file in one step.
pub(crate) fn write_durably(file: &Path, text: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    match file.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Takes from others what they may do with the files that are there, as an earlier engine may have
/// made them, or a copy. Other files that happen to be in the directory stay as they are.
pub(crate) fn close_to_others(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| NAMES.iter().any(|it| name.starts_with(it)));
        let metadata = entry.metadata()?;
        let mode = metadata.permissions().mode();
        if is_ours && metadata.is_file() && mode & OTHERS != 0 {
            fs::set_permissions(entry.path(), Permissions::from_mode(mode & !OTHERS & 0o7777))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_its_owner_s_however_it_came_to_be() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["queues.db", "queues.db-wal", "engine.3.log", "schedule.json", "my-thesis.txt"]
        {
            fs::write(dir.path().join(name), "x").unwrap();
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o666)).unwrap();
        }
        write_durably(&dir.path().join("engine.json"), b"{}").unwrap();
        assert_eq!(mode(&dir.path().join("engine.json")), 0o600);
        close_to_others(dir.path()).unwrap();
        for name in ["queues.db", "queues.db-wal", "engine.3.log", "schedule.json"] {
            assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&dir.path().join("my-thesis.txt")), 0o666);
    }
}
