//! What stands before each destination, for all groups of a batch: who may go through does, who has to
//! wait for a turn waits as long as the invocation lets it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::breaker::{Pass, Signal, Standing};
use domain::config::Config;
use domain::gate::{Entry, Gate, Refusal, RefusalReason};
use domain::pace::TURN_WAIT;
use domain::route::{Destination, Route};
use domain::time::Uptime;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lock;

/// How long an attempt is put back for whose turn is after another's, of which nobody knows the end.
const TURN: Duration = Duration::from_secs(1);

/// The gates of all destinations; every one of the configuration has its own.
#[derive(Debug)]
pub(crate) struct Gates {
    started: Instant,
    /// By route and destination.
    all: BTreeMap<String, BTreeMap<String, Mutex<Gate>>>,
    left: Notify,
}

/// Leave for one attempt; dropped without a signal, its end is unknown.
#[derive(Debug)]
pub(crate) struct Passage<'a> {
    gates: &'a Gates,
    gate: &'a Mutex<Gate>,
    pass: Pass,
    began: Uptime,
    signal: Signal,
}

impl Gates {
    pub(crate) fn new(config: &Config) -> Self {
        let of = |route: &Route| {
            let gates = route.destinations().iter().map(|destination| {
                (destination.name().to_owned(), Mutex::new(Gate::new(destination.pace())))
            });
            gates.collect()
        };
        let routes = config.routes().iter();
        Self {
            started: Instant::now(),
            all: routes.map(|(name, route)| (name.clone(), of(route))).collect(),
            left: Notify::new(),
        }
    }

    /// The time since the process started: what its pauses are measured by.
    pub(crate) fn uptime(&self) -> Uptime {
        Uptime::from_start(self.started.elapsed())
    }

    /// Waits for a turn at `destination`, at most for `patience`, and where its pace is what is waited
    /// for, or an attempt of which nobody knows whether it is answered, no longer than [`TURN_WAIT`].
    pub(crate) async fn enter<'a>(
        &'a self,
        route: &Route,
        destination: &Destination,
        standing: Standing,
        patience: Duration,
    ) -> Result<Passage<'a>, Refusal> {
        let of_route = self.all.get(route.name());
        let gate = of_route.and_then(|of_route| of_route.get(destination.name()));
        let gate = gate.expect("made for every route and destination");
        let began = self.uptime();
        loop {
            let now = self.uptime();
            // Let go of before anything is waited for.
            let entry = lock(gate).enter(now, standing);
            let (wait, patience) = match entry {
                Entry::Open(pass) => {
                    let signal = Signal::Unknown;
                    return Ok(Passage { gates: self, gate, pass, began: now, signal });
                }
                Entry::Shut(refusal) => return Err(refusal),
                Entry::Wait => (None, patience),
                Entry::InTurn(_) => (None, patience.min(TURN_WAIT)),
                Entry::Paced(wait) => (wait, patience.min(TURN_WAIT)),
            };
            let left = began.plus(patience).since(now);
            if left.is_zero() || wait.is_some_and(|wait| left < wait) {
                return Err(match entry {
                    Entry::InTurn(refusal) => refusal,
                    Entry::Paced(_) => lock(gate).put_back(now),
                    _ => Refusal { wait: TURN, reason: RefusalReason::Pace },
                });
            }
            // Nothing else runs between the question above and this wait.
            let _in_time = tokio::time::timeout(wait.unwrap_or(left), self.left.notified()).await;
        }
    }
}

impl Passage<'_> {
    /// Ends the attempt.
    pub(crate) fn leave(mut self, signal: Signal) {
        self.signal = signal;
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let now = self.gates.uptime();
        lock(self.gate).leave(self.pass, now, now.since(self.began), self.signal);
        self.gates.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(more: &[(&str, u32)]) -> Config {
        let mut destination = json!({ "name": "sss", "url": "http://localhost/" });
        for (name, value) in more {
            destination[*name] = json!(value);
        }
        let config = json!({ "environment": "test", "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "g", "destinations": [destination],
        }}});
        Config::parse(&config.to_string()).unwrap()
    }

    const SOON: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_mins(1);

    async fn enter<'a>(
        gates: &'a Gates,
        config: &Config,
        patience: Duration,
    ) -> Result<Passage<'a>, Refusal> {
        let route = &config.routes()["sss"];
        gates.enter(route, &route.destinations()[0], Standing::Tried, patience).await
    }

    /// Nobody is there, for all that is known.
    async fn open(gates: &Gates, route: &Route, destination: &Destination) {
        for _ in 0..domain::breaker::FAILURES_TO_OPEN {
            let passage = gates.enter(route, destination, Standing::Tried, SOON).await.unwrap();
            passage.leave(Signal::NotThere { rest: None });
        }
    }

    #[tokio::test]
    async fn who_has_to_wait_goes_when_another_has_left() {
        let config = config(&[("max_in_flight", 1)]);
        let gates = Gates::new(&config);
        let first = enter(&gates, &config, SOON).await.unwrap();
        let refused = enter(&gates, &config, SOON).await.unwrap_err();
        assert_eq!(refused, Refusal { wait: TURN, reason: RefusalReason::Pace });
        let (second, ()) = tokio::join!(enter(&gates, &config, LONG), async {
            first.leave(Signal::Answered { rest: None });
        });
        assert!(second.is_ok());
    }

    #[tokio::test]
    async fn who_cannot_wait_is_told_for_how_long() {
        let config = config(&[("max_per_second", 1)]);
        let gates = Gates::new(&config);
        let _first = enter(&gates, &config, SOON).await.unwrap();
        let refused = enter(&gates, &config, SOON).await.unwrap_err();
        // Ten processes share one attempt a second.
        assert!(refused.wait > Duration::from_secs(9), "{refused:?}");
        assert_eq!(refused.reason, RefusalReason::Pace);
    }

    /// Who waits keeps a process from the events of other destinations.
    #[tokio::test]
    async fn nobody_waits_long_for_a_slow_destination() {
        for slow in [("max_per_second", 1), ("max_in_flight", 1)] {
            let config = config(&[slow]);
            let gates = Gates::new(&config);
            let _first = enter(&gates, &config, LONG).await.unwrap();
            let began = Instant::now();
            let (one, other) =
                tokio::join!(enter(&gates, &config, LONG), enter(&gates, &config, LONG));
            let (one, other) = (one.unwrap_err(), other.unwrap_err());
            assert!(began.elapsed() < LONG / 2, "{slow:?}");
            assert_eq!((one.reason, other.reason), (RefusalReason::Pace, RefusalReason::Pace));
            assert_ne!(one.wait, other.wait, "they do not come back at once");
        }
    }

    /// They come in one batch: the first one's answer comes while the others wait, and closes the breaker.
    #[tokio::test]
    async fn new_events_wait_a_moment_for_each_other_while_nobody_is_there() {
        let config = config(&[]);
        let (gates, route) = (Gates::new(&config), &config.routes()["sss"]);
        let enter =
            async |standing| gates.enter(route, &route.destinations()[0], standing, LONG).await;
        open(&gates, route, &route.destinations()[0]).await;
        for standing in [Standing::New, Standing::PutBack] {
            let first = enter(standing).await.unwrap();
            let began = Instant::now();
            let refused = enter(standing).await.unwrap_err();
            assert_eq!(refused.reason, RefusalReason::CircuitOpen);
            assert!(TURN_WAIT <= began.elapsed() && began.elapsed() < LONG / 2, "{standing:?}");
            let (second, ()) = tokio::join!(enter(standing), async {
                first.leave(Signal::Unknown);
            });
            second.unwrap().leave(Signal::Unknown);
        }
        assert!(enter(Standing::Tried).await.is_err(), "who was attempted does not wait");
    }

    /// As long as it was under way, and not as long as the process has been up.
    #[tokio::test]
    async fn what_was_put_back_waits_as_long_as_the_last_attempt_took() {
        let config = config(&[]);
        let (gates, route) = (Gates::new(&config), &config.routes()["sss"]);
        let enter =
            async |standing| gates.enter(route, &route.destinations()[0], standing, SOON).await;
        open(&gates, route, &route.destinations()[0]).await;
        let hung = enter(Standing::New).await.unwrap();
        let took = Duration::from_millis(500);
        tokio::time::sleep(took).await;
        hung.leave(Signal::NotThere { rest: None });
        assert!(enter(Standing::PutBack).await.is_err());
        let began = Instant::now();
        while enter(Standing::PutBack).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(took / 2 < began.elapsed() && began.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn one_destination_s_trouble_is_not_another_s() {
        let config = json!({ "environment": "test", "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "g", "destinations": [
                { "name": "down", "url": "http://localhost/" },
                { "name": "up", "url": "http://localhost/" },
            ],
        }}});
        let config = Config::parse(&config.to_string()).unwrap();
        let (gates, route) = (Gates::new(&config), &config.routes()["sss"]);
        let [down, up] = route.destinations() else { panic!("two") };
        open(&gates, route, down).await;
        let refused = gates.enter(route, down, Standing::Tried, SOON).await.unwrap_err();
        assert_eq!(refused.reason, RefusalReason::CircuitOpen);
        assert!(gates.enter(route, up, Standing::Tried, SOON).await.is_ok());
    }

    #[tokio::test]
    async fn an_attempt_that_is_dropped_gives_its_place_back() {
        let config = config(&[("max_in_flight", 1)]);
        let gates = Gates::new(&config);
        drop(enter(&gates, &config, SOON).await.unwrap());
        assert!(enter(&gates, &config, SOON).await.is_ok());
    }
}
