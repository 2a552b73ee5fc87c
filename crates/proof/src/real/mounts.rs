//! What is mounted: a disk of its own for the data directory, so that it can be full, or read-only; and
//! names that lead elsewhere from one moment to the next.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

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

    /// Takes no more writes, or takes them again. The kernel does so only while no file is open for writing.
    pub(super) fn set_read_only(&self, is_read_only: bool) -> anyhow::Result<()> {
        let options = if is_read_only { "remount,ro" } else { "remount,rw" };
        let mounted = run(Command::new("mount").args(["-o", options]).arg(&self.0));
        mounted.map_err(anyhow::Error::msg).with_context(|| format!("the disk's {options}"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: somebody may still look into it, and nobody is left to be told.
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The names of destinations, by a file that lies over `/etc/hosts` for this process and whatever it starts.
#[derive(Debug)]
pub(super) struct Hosts {
    file: std::fs::File,
    /// What stands in the machine's own.
    others: String,
    names: Mutex<BTreeMap<&'static str, Ipv4Addr>>,
}

impl Hosts {
    /// Only where mounts are for nobody else.
    pub(super) fn mount(
        file: &Path,
        destinations: impl Iterator<Item = &'static str>,
    ) -> anyhow::Result<Self> {
        let others = std::fs::read_to_string("/etc/hosts").context("reading /etc/hosts")?;
        let names = destinations.map(|destination| (destination, Ipv4Addr::LOCALHOST)).collect();
        let hosts = Self {
            file: std::fs::File::create(file).context("making a file of names")?,
            others,
            names: Mutex::new(names),
        };
        hosts.write()?;
        let mounted = run(Command::new("mount").arg("--bind").arg(file).arg("/etc/hosts"));
        mounted.map_err(anyhow::Error::msg).context("mounting names")?;
        Ok(hosts)
    }

    /// What a destination is called.
    pub(super) fn name(destination: &str) -> String {
        format!("{destination}.proof.test")
    }

    /// Lets a destination's name lead there from now on.
    pub(super) fn point(&self, destination: &'static str, to: Ipv4Addr) -> anyhow::Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(destination, to);
        drop(names);
        self.write()
    }

    /// In one write, over what was there: addresses are as long as each other, and who looks meanwhile finds
    /// every name.
    fn write(&self) -> anyhow::Result<()> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let lines =
            names.iter().map(|(destination, at)| format!("{at} {}\n", Self::name(destination)));
        let text = format!("{}\n{}", self.others, lines.collect::<String>());
        self.file.write_all_at(text.as_bytes(), 0).context("writing names")
    }
}

/// What programs share in memory by names, which one that is killed leaves there.
pub(super) fn own_shared_memory() -> Result<(), String> {
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/dev/shm"]))
}

/// Runs a command to its end; what it says, if it fails.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("it cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
