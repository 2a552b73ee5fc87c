//! What an event is born to, whatever else goes wrong: a pure function of the seed and its name.

use crate::history::Name;
use crate::kind::Kind;
use crate::random::Random;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The service takes it.
    Well,
    /// It answers 422 this often, then takes it.
    Rejected(u32),
    /// It answers 422: on a route that blocks this often or until all is well, on others for ever.
    Unwanted(u32),
    /// It answers 500 this often or until all is well, then takes it.
    Fails(u32),
    /// Its signature is wrong.
    Forged,
    /// It has no signature.
    Unsigned,
}

/// How many of a thousand events have which fate.
#[derive(Debug)]
pub(crate) struct Fates {
    pub(crate) rejected: u64,
    pub(crate) unwanted: u64,
    /// How often what nobody wants is refused where it blocks.
    pub(crate) unwanted_times: u32,
    pub(crate) fails: u64,
    /// Of what is signed.
    pub(crate) forged: u64,
    pub(crate) unsigned: u64,
    /// Of what is given up soon: those that fail longer than that, and how often.
    pub(crate) given_up: u64,
    pub(crate) given_up_times: u32,
}

impl Fates {
    pub(crate) fn of(&self, seed: u64, kind: Kind, name: Name) -> Fate {
        let purpose = (u64::from(name.key) << 32) + u64::from(name.number) + 1_000;
        let mut lot = Random::of(seed, purpose).below(1_000);
        let signed = |of: u64| if kind == Kind::Signed { of } else { 0 };
        let brief = |of: u64| if kind == Kind::Brief { of } else { 0 };
        for (of, fate) in [
            (self.rejected, Fate::Rejected(1)),
            (self.unwanted, Fate::Unwanted(self.unwanted_times)),
            (self.fails, Fate::Fails(2)),
            (signed(self.forged), Fate::Forged),
            (signed(self.unsigned), Fate::Unsigned),
            (brief(self.given_up), Fate::Fails(self.given_up_times)),
        ] {
            if lot < of {
                return fate;
            }
            lot -= of;
        }
        Fate::Well
    }
}

impl Fate {
    pub(crate) fn is_forged(self) -> bool {
        matches!(self, Self::Forged | Self::Unsigned)
    }

    /// What the service answers to the attempt of this number, from 0.
    pub(crate) fn status(self, attempt: u32, kind: Kind, is_well: bool) -> u16 {
        match self {
            Self::Rejected(times) if attempt < times => 422,
            Self::Unwanted(times) if !kind.is_blocking() || (attempt < times && !is_well) => 422,
            Self::Fails(times) if attempt < times && !is_well => 500,
            _ => 200,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_moves_only_where_it_blocks() {
        let status = |kind, attempt, is_well| Fate::Unwanted(3).status(attempt, kind, is_well);
        assert_eq!(status(Kind::Plain, 9, true), 422);
        assert_eq!([status(Kind::Block, 2, false), status(Kind::Block, 3, false)], [422, 200]);
        assert_eq!(status(Kind::BlockPair, 0, true), 200);
    }

    #[test]
    fn as_many_of_a_thousand_have_a_fate_as_is_said() {
        let fates = Fates {
            rejected: 100,
            unwanted: 100,
            unwanted_times: 1,
            fails: 100,
            forged: 200,
            unsigned: 100,
            given_up: 300,
            given_up_times: 9,
        };
        let count = |kind, fate: Fate| {
            let of = |number| fates.of(7, kind, Name { key: 1, number });
            (0..10_000).filter(|number| of(*number) == fate).count()
        };
        for (kind, fate, of_ten_thousand) in [
            (Kind::Plain, Fate::Well, 7_000),
            (Kind::Signed, Fate::Well, 4_000),
            (Kind::Signed, Fate::Forged, 2_000),
            (Kind::Brief, Fate::Fails(9), 3_000),
            (Kind::Signed, Fate::Fails(9), 0),
        ] {
            let count = count(kind, fate);
            assert!(count.abs_diff(of_ten_thousand) < 200, "{kind:?} {fate:?}: {count}");
        }
    }
}
