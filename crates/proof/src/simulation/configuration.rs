//! The routes of a day, and how the queue and the function are set up.

use std::time::Duration;

use domain::config::Config;
use serde_json::{Value, json};

use crate::fate::Fates;
use crate::history::{Route, Seen};
pub(super) use crate::kind::Kind;
use crate::random::Random;

/// Where the provider's secrets are, the one before the last rotation behind the newest; and where ours is.
pub(super) const PROVIDER_SECRETS: [&str; 2] = ["/proof/provider", "/proof/provider-before"];
pub(super) const OUR_SECRET: &str = "/proof/ours";
/// Where the skips are.
pub(super) const SKIPS: &str = "/proof/skips";

/// What events are born to: a day has few, and hours for each.
pub(super) const FATES: Fates = Fates {
    rejected: 30,
    unwanted: 15,
    unwanted_times: u32::MAX,
    fails: 15,
    forged: 60,
    unsigned: 20,
    given_up: 60,
    given_up_times: 200,
};

/// What a breaker needs to close once everything is well: some probes.
const BREAKER: Duration = Duration::from_secs(15);

/// How a day is configured.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) routes: Vec<Kind>,
    pub(super) timeout: Duration,
    pub(super) function_timeout: Duration,
    pub(super) concurrency: u32,
    batch_size: u64,
    initial_delay_seconds: u64,
    max_delay_seconds: u64,
    brief_seconds: u64,
    /// At most so many attempts at a time, and a second, at a destination.
    pace: Option<(u64, u64)>,
    high_throughput: bool,
    /// Whether the function writes metrics.
    pub(super) has_metrics: bool,
}

/// The longest wait that a receive count of a thousand allows.
const RECEIVES: u64 = 800;
const LONGEST_SECONDS: u64 = 4 * 60 * 60;

impl Configuration {
    pub(super) fn of(seed: u64, day: u64) -> Self {
        let mut random = Random::of(seed, day * 16 + 2);
        let mut kinds = Kind::ALL;
        random.shuffle(&mut kinds);
        let routes = 1 + usize::try_from(random.below(3)).unwrap_or_default();
        let timeout_seconds = one(&mut random, &[2, 5, 10]);
        let initial_delay_seconds = one(&mut random, &[1, 2, 5]);
        Self {
            routes: kinds[..routes].to_vec(),
            timeout: Duration::from_secs(timeout_seconds),
            function_timeout: Duration::from_secs(timeout_seconds + 3 + random.below(15)),
            concurrency: u32::try_from(2 + random.below(5)).unwrap_or(2),
            batch_size: 1 + random.below(10),
            initial_delay_seconds,
            max_delay_seconds: one(&mut random, &[10, 60, 180, 300]),
            brief_seconds: 60 + random.below(600),
            pace: (random.below(4) == 0).then(|| (1 + random.below(4), 1 + random.below(20))),
            high_throughput: random.below(2) == 0,
            has_metrics: random.below(2) == 0,
        }
    }

    /// The same day's after it was configured anew: what may differ between two deployments.
    pub(super) fn edited(&self, choice: u64) -> Self {
        let mut random = Random::of(choice, 3);
        Self { batch_size: 1 + random.below(10), has_metrics: !self.has_metrics, ..self.clone() }
    }

    /// The route of a key.
    pub(super) fn route(&self, key: u32) -> Kind {
        self.routes.get(key as usize % self.routes.len()).copied().unwrap_or(Kind::Plain)
    }

    pub(super) fn visibility_timeout(&self) -> Duration {
        self.function_timeout * domain::quota::FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT
    }

    pub(super) fn batch_size(&self) -> usize {
        usize::try_from(self.batch_size).unwrap_or(1)
    }

    fn give_up_after_seconds(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Brief => self.brief_seconds,
            _ => (self.max_delay_seconds * RECEIVES).min(LONGEST_SECONDS),
        }
    }

    /// What the function is told.
    pub(super) fn json(&self) -> Value {
        let routes: serde_json::Map<String, Value> = self
            .routes
            .iter()
            .map(|kind| (kind.name().to_owned(), self.route_json(*kind)))
            .collect();
        json!({
            "environment": "proof",
            "routes": routes,
            "queue": { "high_throughput": self.high_throughput },
            "forwarder": {
                "function_timeout_seconds": self.function_timeout.as_secs(),
                "batch_size": self.batch_size,
                "max_concurrency": self.concurrency,
            },
        })
    }

    /// The same, as it is understood.
    pub(super) fn config(&self) -> Config {
        Config::parse(&self.json().to_string()).expect("every configuration of a plan is one")
    }

    fn route_json(&self, kind: Kind) -> Value {
        let destinations = kind.destinations().iter().map(|name| {
            let mut destination = json!({
                "name": name,
                "url": format!("https://{name}.example.com/hook"),
                "timeout_seconds": self.timeout.as_secs(),
            });
            if kind == Kind::Signed {
                destination["sign"] = json!({ "secrets": [format!("ssm:{OUR_SECRET}")] });
            }
            if let Some((in_flight, per_second)) = self.pace {
                destination["max_in_flight"] = json!(in_flight * u64::from(self.concurrency));
                destination["max_per_second"] = json!(per_second * u64::from(self.concurrency));
            }
            destination
        });
        let mut json = json!({
            "path": format!("/{}", kind.name()),
            "ordering_key": "$request.header.x-key",
            "pass_headers": ["content-type"],
            "destinations": destinations.collect::<Vec<_>>(),
            "retry": {
                "initial_delay_seconds": self.initial_delay_seconds,
                "max_delay_seconds": self.max_delay_seconds,
            },
            "give_up_after_seconds": self.give_up_after_seconds(kind),
            "on_reject": if kind.is_blocking() { "block" } else { "dead_letter" },
        });
        match kind {
            Kind::Signed => {
                let secrets = PROVIDER_SECRETS.map(|name| format!("ssm:{name}"));
                json["verify"] = json!({ "scheme": "github", "secrets": secrets });
            }
            Kind::Named => {
                json["event_id"] = json!("$request.header.x-event");
                json["deduplication"] = json!("$request.header.x-event");
            }
            _ => {}
        }
        json
    }

    /// What of it the promises depend on.
    pub(super) fn seen(&self) -> Seen {
        let route = |kind: &Kind| Route {
            name: kind.name().to_owned(),
            destinations: kind.destinations().iter().map(|name| (*name).to_owned()).collect(),
            is_blocking: kind.is_blocking(),
            give_up_after_seconds: self.give_up_after_seconds(*kind),
        };
        let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        // A batch whose function was killed, or the delay of what failed last; then once more a delay, as the
        // breaker may be open; and the invocation.
        let delay = Duration::from_secs(self.max_delay_seconds);
        let waits = delay.max(self.visibility_timeout()) + delay + self.function_timeout;
        Seen::Configured {
            routes: self.routes.iter().map(route).collect(),
            timeout_ms: milliseconds(self.timeout),
            function_timeout_ms: milliseconds(self.function_timeout),
            waits_at_most_ms: milliseconds(waits + BREAKER),
        }
    }
}

fn one(random: &mut Random, of: &[u64]) -> u64 {
    random.pick(of).copied().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_s_configuration_is_one() {
        for day in 0..300 {
            let configuration = Configuration::of(9, day);
            let config = configuration.config();
            assert_eq!(config.routes().len(), configuration.routes.len());
            assert_eq!(configuration.edited(day).config().routes().len(), config.routes().len());
        }
    }
}
