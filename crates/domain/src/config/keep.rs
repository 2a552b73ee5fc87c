//! How much of what was delivered is kept, on one machine.

use serde::{Deserialize, Serialize};

use super::error::Faults;

/// Most events that can be kept.
pub const KEPT_COUNT_MAX: u32 = 1_000_000;

/// Most room that they can take, in bytes: 4 GiB less one, in the database of the queues.
pub const KEPT_BYTES_MAX: u32 = u32::MAX;

/// How much of what was delivered the engine on one machine keeps: the oldest goes at either bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct KeepDeliveredFile {
    /// Events, at most.
    pub count: u32,
    /// Bytes of their bodies and attributes, at most.
    pub bytes: u32,
}

impl Default for KeepDeliveredFile {
    fn default() -> Self {
        Self { count: 1_000, bytes: 10 * 1_024 * 1_024 }
    }
}

/// The same, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepDelivered {
    count: u32,
    bytes: u32,
}

impl KeepDelivered {
    /// Bounds within what can be kept.
    ///
    /// # Errors
    ///
    /// With the name of the bound that is not, and why.
    pub fn new(count: u32, bytes: u32) -> Result<Self, (&'static str, String)> {
        if !(1..=KEPT_COUNT_MAX).contains(&count) {
            return Err(("count", format!("must be 1 to {KEPT_COUNT_MAX} events, is {count}")));
        }
        if bytes == 0 {
            return Err(("bytes", format!("must be 1 to {KEPT_BYTES_MAX} bytes, is 0")));
        }
        Ok(Self { count, bytes })
    }

    /// Events, at most.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// Bytes, at most.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.bytes
    }

    pub(super) fn check(faults: &mut Faults, file: KeepDeliveredFile) -> Option<Self> {
        Self::new(file.count, file.bytes)
            .map_err(|(bound, problem)| {
                faults.add(format_args!("keep_delivered.{bound}"), problem);
            })
            .ok()
    }
}
