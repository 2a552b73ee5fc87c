//! What an event is born to, whatever else goes wrong: a pure function of the seed and its name.

use super::configuration::Kind;
use crate::history::Name;
use crate::random::Random;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The service takes it.
    Well,
    /// It answers 422 this often, then takes it.
    Rejected(u32),
    /// It answers 422 until all is well; for ever on a route that makes dead letters.
    Unwanted,
    /// It answers 500 this often, then takes it.
    Fails(u32),
    /// Its signature is wrong.
    Forged,
    /// It has no signature.
    Unsigned,
}

impl Fate {
    pub(super) fn of(seed: u64, kind: Kind, name: Name) -> Self {
        let purpose = (u64::from(name.key) << 32) + u64::from(name.number) + 1_000;
        let lot = Random::of(seed, purpose).below(1_000);
        match (kind, lot) {
            (_, 0..30) => Self::Rejected(1),
            (_, 30..45) => Self::Unwanted,
            (_, 45..60) => Self::Fails(2),
            (Kind::Signed, 60..120) => Self::Forged,
            (Kind::Signed, 120..140) => Self::Unsigned,
            // Longer than its route waits.
            (Kind::Brief, 60..120) => Self::Fails(200),
            _ => Self::Well,
        }
    }

    pub(super) fn is_forged(self) -> bool {
        matches!(self, Self::Forged | Self::Unsigned)
    }

    /// What the service answers to the attempt of this number, from 0.
    pub(super) fn status(self, attempt: u32, kind: Kind, is_well: bool) -> u16 {
        match self {
            Self::Rejected(times) if attempt < times => 422,
            Self::Unwanted if !(is_well && kind.is_blocking()) => 422,
            Self::Fails(times) if attempt < times && !is_well => 500,
            _ => 200,
        }
    }
}
