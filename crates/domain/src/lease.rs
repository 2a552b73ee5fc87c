//! A lease: that one redrive at a time works on an environment. It is renewed while its holder works,
//! and expires when that one is gone.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Who has it, since when, and how far they are. All times are of where it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Tells this holder from any other, by the same person as well.
    pub token: String,
    /// Who it is, as the audit log names them.
    pub by: String,
    /// What they said it is for.
    pub reason: Option<String>,
    /// When it was taken.
    pub since: Timestamp,
    /// When it expires unless it is renewed.
    pub until: Timestamp,
    /// Of how many events, once that is known.
    pub of: Option<u64>,
    /// How many events are done.
    pub done: u64,
}

impl Lease {
    /// Whether it keeps others out.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_its_end() {
        let at = Timestamp::from_ms;
        let lease = Lease {
            token: "t".to_owned(),
            by: "owner".to_owned(),
            reason: None,
            since: at(1),
            until: at(5),
            of: None,
            done: 0,
        };
        assert!(lease.holds(at(4)) && !lease.holds(at(5)));
    }
}
