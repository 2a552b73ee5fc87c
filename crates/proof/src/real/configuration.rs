//! The routes, and the configuration that an engine is started with.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::fate::Fates;
use crate::history::{Route, Seen};
use crate::kind::Kind;
use crate::random::Random;

/// How many ordering keys there are.
pub(super) const KEYS: u32 = 180;
/// What one attempt may take, in seconds.
pub(super) const TIMEOUT_SECONDS: u32 = 2;
/// What one batch may take, in seconds.
const FUNCTION_TIMEOUT_SECONDS: u32 = TIMEOUT_SECONDS + 3;
/// What may pass until the last attempt at an event, once everything is well: the visibility timeout of a
/// batch whose forwarder was killed (30 s), an invocation (5 s), a delay of the schedule and a
/// `Retry-After` (2 s each), a breaker's probe (5 s), and what a busy machine needs.
const WAITS_AT_MOST_SECONDS: u32 = 60;
/// At which age a failing event of the brief route is given up.
const BRIEF_SECONDS: u64 = 4;
/// The same of the others: as long as the queue's receive count allows.
const LONG_SECONDS: u64 = 1_900;

/// The files of the provider's secret and of the one before.
pub(super) const PROVIDER_SECRETS: [&str; 2] = ["provider-0", "provider-1"];

/// What events are born to. What blocks is mended after twenty attempts, one a second at first and every two
/// seconds from then on, so that its key moves within a minute.
pub(super) const FATES: Fates = Fates {
    rejected: 10,
    unwanted: 3,
    unwanted_times: 20,
    fails: 5,
    forged: 32,
    unsigned: 10,
    // Longer than its route waits.
    given_up: 12,
    given_up_times: 50,
};

/// The route of a key.
pub(super) fn route(key: u32) -> Kind {
    Kind::ALL[key as usize % Kind::ALL.len()]
}

fn give_up_after_seconds(route: Kind) -> u64 {
    if route == Kind::Brief { BRIEF_SECONDS } else { LONG_SECONDS }
}

/// What is asked of the configuration.
#[derive(Debug)]
pub(super) struct Configuration<'a> {
    /// Host and port of each.
    pub(super) destinations: &'a BTreeMap<&'static str, String>,
    /// Where the secrets are.
    pub(super) secrets: &'a Path,
}

impl Configuration<'_> {
    /// The configuration in its `edition`: what may differ between two starts.
    pub(super) fn json(&self, edition: u64) -> Value {
        let mut random = Random::of(edition, 3);
        let routes: serde_json::Map<String, Value> =
            Kind::ALL.iter().map(|route| (route.name().to_owned(), self.route(*route))).collect();
        json!({
            "environment": "proof",
            "routes": routes,
            "forwarder": {
                "function_timeout_seconds": FUNCTION_TIMEOUT_SECONDS,
                "batch_size": 10 - random.below(7),
                "max_concurrency": 3 + random.below(4),
            },
            "keep_delivered": { "count": 1_000 },
        })
    }

    fn route(&self, route: Kind) -> Value {
        let secret = |name: &str| format!("file:{}", self.secrets.join(name).display());
        let destinations = route.destinations().iter().map(|name| {
            let at = self.destinations.get(name).expect("every destination listens somewhere");
            let mut destination = json!({
                "name": name, "url": format!("http://{at}/hook"), "timeout_seconds": TIMEOUT_SECONDS,
            });
            if route == Kind::Signed {
                destination["sign"] = json!({ "secrets": [secret("ours")] });
            }
            destination
        });
        let mut json = json!({
            "path": format!("/{}", route.name()),
            "ordering_key": "$request.header.x-key",
            "pass_headers": ["content-type"],
            "destinations": destinations.collect::<Vec<_>>(),
            "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 2 },
            "give_up_after_seconds": give_up_after_seconds(route),
            "on_reject": if route.is_blocking() { "block" } else { "dead_letter" },
        });
        match route {
            Kind::Signed => {
                json["verify"] = json!({
                    "scheme": "github", "secrets": PROVIDER_SECRETS.map(secret),
                });
            }
            Kind::Named => {
                json["event_id"] = json!("$request.header.x-event");
                json["deduplication"] = json!("$request.header.x-event");
            }
            _ => {}
        }
        json
    }
}

/// What of it the promises depend on.
pub(super) fn seen() -> Seen {
    let route = |route: &Kind| Route {
        name: route.name().to_owned(),
        destinations: route.destinations().iter().map(|name| (*name).to_owned()).collect(),
        is_blocking: route.is_blocking(),
        give_up_after_seconds: give_up_after_seconds(*route),
    };
    let routes = Kind::ALL.iter().map(route).collect();
    Seen::Configured {
        routes,
        timeout_ms: TIMEOUT_SECONDS * 1_000,
        function_timeout_ms: FUNCTION_TIMEOUT_SECONDS * 1_000,
        waits_at_most_ms: WAITS_AT_MOST_SECONDS * 1_000,
    }
}
