//! A wall clock that is hours away, for the engine and its forwarders: libfaketime tells it to programs that
//! look for the time in the C library. The machine's uptime is told by the kernel alone, and goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::planted::contains;

/// Where Debian's package `libfaketime` has the library, below each of the machine's architectures.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// How many hours the clock may be off: more than what is remembered or given up, and less than the seven
/// days that count.
const HOURS: [i64; 5] = [-26, -3, 0, 3, 26];

/// The clock that the engine is started with.
#[derive(Debug)]
pub(super) struct Clock {
    library: PathBuf,
    /// Starts a forwarder with the clock: an engine passes no environment on.
    wrapper: PathBuf,
    hours: i64,
}

impl Clock {
    /// A clock that can be set for the programs of this folder.
    pub(super) fn new(wrapper: PathBuf, programs: &Path) -> Result<Self, String> {
        let found = || {
            let folders = std::fs::read_dir("/usr/lib").ok()?;
            folders.flatten().map(|folder| folder.path().join(LIBRARY)).find(|file| file.exists())
        };
        let library = found().ok_or("no libfaketime: it is in the package `faketime`")?;
        if !is_for(programs) {
            return Err("static programs take no other clock".to_owned());
        }
        Ok(Self { library, wrapper, hours: 0 })
    }

    /// Another time than now, which a number chooses.
    pub(super) fn step(&mut self, choice: u64) {
        let others: Vec<i64> = HOURS.into_iter().filter(|hours| *hours != self.hours).collect();
        let place = usize::try_from(choice % others.len() as u64).unwrap_or_default();
        self.hours = others[place];
    }

    pub(super) fn hours(&self) -> i64 {
        self.hours
    }

    /// What an engine's environment has for it.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        if self.hours == 0 {
            return Vec::new();
        }
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME", format!("{:+}h", self.hours)),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    /// What starts `forwarder` with this clock.
    pub(super) fn forwarder(&self, forwarder: &Path) -> anyhow::Result<PathBuf> {
        if self.hours == 0 {
            return Ok(forwarder.to_owned());
        }
        let environment = self.environment();
        let exports = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        let exports: String = exports.collect();
        let script = format!("#!/bin/sh\n{exports}exec '{}'\n", forwarder.display());
        std::fs::write(&self.wrapper, script).context("writing what starts a forwarder")?;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&self.wrapper, executable)?;
        Ok(self.wrapper.clone())
    }
}

/// Whether the programs of this folder look for the time in the C library.
pub(super) fn is_for(programs: &Path) -> bool {
    ["webhook-engine", "forwarder"].iter().all(|name| {
        std::fs::read(programs.join(name)).is_ok_and(|program| contains(&program, b"libc.so.6"))
    })
}
