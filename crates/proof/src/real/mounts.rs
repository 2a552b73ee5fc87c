//! A disk of its own for the data directory, so that it can be full.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Size of the disk, in MiB, and for how many events there is another: what was sent within the last five
/// minutes is remembered.
const DISK_MIB: u64 = 256;
const EVENTS_PER_MIB: u64 = 1_000;

/// The disk. Unmounted when dropped.
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn mount(at: &Path, events: u64) -> Result<Self, String> {
        let options = format!("size={}m,mode=700", DISK_MIB + events / EVENTS_PER_MIB);
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at))?;
        Ok(Self(at.to_owned()))
    }

    /// Takes all room that is left.
    pub(super) fn fill(&self) -> anyhow::Result<PathBuf> {
        use std::io::Write as _;

        let filler = self.0.join("filler");
        let mut file = std::fs::File::create(&filler).context("filling the disk")?;
        for bytes in [1_024 * 1_024, 4_096, 1] {
            // Until it takes no more.
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
        Ok(filler)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: somebody may still look into it, and nobody is left to be told.
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Runs a command to its end; what it says, if it fails.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("it cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
