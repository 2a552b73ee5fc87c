//! What an event is born to, whatever else goes wrong: a pure function of the seed and its name.

use super::configuration::RouteOf;
use crate::history::Name;
use crate::random::Random;

/// How often a blocking route's event that nobody wants is refused until somebody has mended the service:
/// once a second at first and every two seconds from then on, so that its key moves within a minute.
const MENDED_AFTER: usize = 20;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The service takes it.
    Well,
    /// It answers 422 this often, then takes it.
    Rejected(usize),
    /// It answers 422: on a route that blocks until it is mended or all is well, on others for ever.
    Unwanted,
    /// It answers 500 this often, then takes it.
    Fails(usize),
    /// Its signature is wrong.
    Forged,
    /// It has no signature.
    Unsigned,
}

impl Fate {
    pub(super) fn of(seed: u64, name: Name) -> Self {
        let purpose = (u64::from(name.key) << 32) + u64::from(name.number) + 1_000;
        let lot = Random::of(seed, purpose).below(1_000);
        match (RouteOf::key(name.key), lot) {
            (_, 0..10) => Self::Rejected(1),
            (_, 10..13) => Self::Unwanted,
            (_, 13..18) => Self::Fails(2),
            (RouteOf::Signed, 18..50) => Self::Forged,
            (RouteOf::Signed, 50..60) => Self::Unsigned,
            // Longer than its route waits.
            (RouteOf::Brief, 18..30) => Self::Fails(50),
            _ => Self::Well,
        }
    }

    /// What the service answers to the attempt of this number, from 0.
    pub(super) fn status(self, attempt: usize, route: RouteOf, is_healthy: bool) -> u16 {
        match self {
            Self::Rejected(times) if attempt < times => 422,
            Self::Unwanted if route != RouteOf::Block => 422,
            Self::Unwanted if attempt < MENDED_AFTER && !is_healthy => 422,
            Self::Fails(times) if attempt < times => 500,
            _ => 200,
        }
    }
}
