//! What happens on a day: a pure function of the seed, its number, and of what of it is left.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history::{Micros, Name};
use crate::random::Random;
use crate::schedule::Fault;

use super::Size;
use super::configuration::Configuration;

/// Ordering keys of a day.
const KEYS: u32 = 21;
/// Events that are sent while a fault is there, or at its edges.
const EVENTS_PER_FAULT: u64 = 9;
/// Events at any time, beside one of each key.
const EVENTS_BESIDE: u64 = 20;
/// Faults of a day, at least, and how many more there may be.
const FAULTS: u64 = 11;
const FAULTS_MORE: u64 = 6;
/// When the first fault may begin.
const FIRST: Micros = 5 * MINUTE;
/// How long before that the service fails for the last time, at how many destinations, and what is sent
/// then: what waits in the evening has to go out.
const LATE: Micros = 8 * MINUTE;
const LATE_FAULTS: u32 = 3;
const LATE_EVENTS: u32 = 14;
/// Shortest and longest fault.
const SHORTEST: Micros = 10 * SECOND;
const DOUBLINGS: u64 = 7;

const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;

/// What of a day is left, where a story was made shorter; all, unless it says which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// Faults, by their places.
    pub faults: Option<BTreeSet<u32>>,
    /// Events.
    pub events: Option<BTreeSet<Name>>,
}

impl Size {
    /// When the last fault has begun. An engine looks at its queue again and again, and its days are shorter.
    fn last(self) -> Micros {
        match self {
            Self::Aws => 16 * 60 * MINUTE,
            Self::OneMachine => 80 * MINUTE,
        }
    }

    /// When everything is well, and stays so.
    fn evening(self) -> Micros {
        self.last()
            + match self {
                Self::Aws => 2 * 60 * MINUTE,
                Self::OneMachine => 40 * MINUTE,
            }
    }

    fn faults(self) -> Vec<Fault> {
        let has = match self {
            Self::Aws => Fault::is_on_aws,
            Self::OneMachine => Fault::is_on_one_machine,
        };
        Fault::SIMULATED.into_iter().filter(|fault| has(*fault)).collect()
    }
}

/// A day.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) size: Size,
    pub(super) evening: Micros,
    pub(super) configuration: Configuration,
    pub(super) events: Vec<Event>,
    pub(super) faults: Vec<Planned>,
}

/// An event that is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) at: Micros,
    pub(super) name: Name,
}

/// A fault that comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) place: u32,
    pub(super) at: Micros,
    pub(super) lasts: Duration,
    pub(super) fault: Fault,
    /// Which destination fails, of a fault of the service; which numbers an act takes, of others.
    pub(super) choice: u64,
}

impl Plan {
    /// The plan of a day.
    pub(super) fn of(seed: u64, day: u64, only: &Only) -> Self {
        let (size, configuration) = (Size::of(day), Configuration::of(seed, day));
        let evening = size.evening();
        let mut random = Random::of(seed, day * 16 + 1);
        let mut faults = faults(seed, day, &mut random);
        let mut events: Vec<(Micros, u32)> = Vec::new();
        for fault in &faults {
            for _ in 0..EVENTS_PER_FAULT {
                let span = u64::try_from(fault.lasts.as_micros()).unwrap_or(MINUTE) + MINUTE;
                let at = (fault.at + random.below(span)).saturating_sub(MINUTE / 2);
                events.push((at, key(&mut random)));
            }
        }
        events.extend((0..KEYS).map(|key| (random.below(evening), key)));
        for _ in 0..EVENTS_BESIDE {
            events.push((random.below(evening), key(&mut random)));
        }
        faults.extend((0..LATE_FAULTS).map(|number| late(evening, number, &mut random)));
        events.extend((0..LATE_EVENTS).map(|_| {
            let at = evening - LATE + random.below(LATE - MINUTE);
            (at, key(&mut random))
        }));
        events.sort_unstable();
        let mut next = [0_u32; KEYS as usize];
        let named = events.into_iter().map(|(at, key)| {
            let number = next[key as usize];
            next[key as usize] += 1;
            Event { at, name: Name { key, number } }
        });
        let is_left = |name| only.events.as_ref().is_none_or(|left| left.contains(&name));
        let events = named.filter(|event| is_left(event.name)).collect();
        faults.retain(|fault| only.faults.as_ref().is_none_or(|left| left.contains(&fault.place)));
        Self { size, evening, configuration, events, faults }
    }
}

/// Some keys have more than others.
fn key(random: &mut Random) -> u32 {
    let one = random.below(u64::from(KEYS));
    let other = random.below(u64::from(KEYS));
    u32::try_from(one.min(other)).unwrap_or_default()
}

/// Over the days of a size each fault comes as often as any other: each day goes on in their order where the
/// one before ended.
fn faults(seed: u64, day: u64, random: &mut Random) -> Vec<Planned> {
    let count = FAULTS + random.below(FAULTS_MORE + 1);
    let size = Size::of(day);
    let order = size.faults();
    let first = day / Size::ALL.len() as u64 * (FAULTS + FAULTS_MORE);
    let fault = |place: u64| {
        let (round, at) = (place / order.len() as u64, place % order.len() as u64);
        let mut shuffled = order.clone();
        Random::of(seed ^ round, 5).shuffle(&mut shuffled);
        shuffled.get(usize::try_from(at).unwrap_or_default()).copied()
    };
    let planned = |place: u64| {
        let lasts = SHORTEST << random.below(DOUBLINGS);
        let lasts = lasts + random.below(lasts);
        Some(Planned {
            place: u32::try_from(place).unwrap_or_default(),
            at: FIRST + random.below(size.last() - FIRST),
            lasts: Duration::from_micros(lasts),
            fault: fault(first + place)?,
            choice: random.number(),
        })
    };
    let mut faults: Vec<Planned> = (0..count).filter_map(planned).collect();
    faults.sort_by_key(|planned| planned.at);
    faults
}

/// A fault of the service that lasts until the evening.
fn late(evening: Micros, number: u32, random: &mut Random) -> Planned {
    let faults: Vec<Fault> =
        Fault::SIMULATED.into_iter().filter(|fault| fault.is_of_service()).collect();
    Planned {
        // Behind all others.
        place: 100 + number,
        at: evening - LATE - SECOND,
        lasts: Duration::from_micros(LATE - random.below(MINUTE)),
        fault: random.pick(&faults).copied().unwrap_or(Fault::Unavailable),
        choice: random.number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_hundred_events_twenty_keys_and_ten_faults() {
        let all = Only::default();
        for day in 0..50 {
            let plan = Plan::of(3, day, &all);
            let keys: BTreeSet<u32> = plan.events.iter().map(|event| event.name.key).collect();
            assert!(plan.events.len() >= 100, "{}", plan.events.len());
            assert!(keys.len() >= 20, "{}", keys.len());
            assert!(plan.faults.len() >= 10);
            assert!((1..=3).contains(&plan.configuration.routes.len()));
        }
    }

    #[test]
    fn every_fault_comes_and_what_is_left_out_changes_nothing_else() {
        let all = Only::default();
        for size in Size::ALL {
            let days = (0..20).filter(|day| Size::of(*day) == size);
            let faults = days.flat_map(|day| Plan::of(1, day, &all).faults);
            let faults: BTreeSet<Fault> = faults.map(|planned| planned.fault).collect();
            assert_eq!(faults, size.faults().iter().copied().collect());
        }
        let whole = Plan::of(1, 2, &all);
        let (fault, event) = (whole.faults[3].place, whole.events[7].name);
        let only = Only { faults: Some([fault].into()), events: Some([event].into()) };
        let part = Plan::of(1, 2, &only);
        assert_eq!((part.faults.len(), part.events.len()), (1, 1));
        assert_eq!(part.faults[0].at, whole.faults[3].at);
        assert_eq!(part.events[0].at, whole.events[7].at);
    }
}
