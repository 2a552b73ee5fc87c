//! Where deliveries go, by route and destination, and where they went before: what waits was accepted
//! when it was to go elsewhere, and that somebody else gets it now is for a person to know.

use std::collections::BTreeMap;
use std::path::Path;

use domain::config::{Config, LogLevel};
use domain::route::{Destination, Route};
use serde_json::json;

use crate::error::EngineError;
use crate::files::{read_if_there, write_durably};
use crate::log::Log;
use crate::store::Store;

/// Name of the file in the data directory that keeps them.
const FILE: &str = "engine.origins.json";

/// Scheme, host and port by route and destination: the rest of a URL may hold a token.
pub(crate) type Origins = BTreeMap<String, BTreeMap<String, String>>;

/// A destination that is elsewhere than before.
#[derive(Debug, PartialEq, Eq)]
struct Moved<'a> {
    route: &'a str,
    destination: &'a str,
    before: &'a str,
    now: &'a str,
}

/// Keeps where deliveries go from now on, and logs what differs from before.
///
/// # Errors
///
/// With `keep`, when something differs and events wait; and when the file cannot be read or written.
pub(crate) async fn settle(
    store: &Store,
    config: &Config,
    data_dir: Option<&Path>,
    keep: bool,
    log: &Log,
) -> Result<Origins, EngineError> {
    let origins = of(config);
    let Some(dir) = data_dir else { return Ok(origins) };
    let file = dir.join(FILE);
    let failed = |what| move |source| EngineError::File { what, source };
    let before = read_if_there(&file).map_err(failed("reading where deliveries went"))?;
    let before: Origins =
        before.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let moved = moved(&before, &origins);
    if !moved.is_empty() {
        let statistics = store.statistics(&config.queue_name()).await;
        let statistics = statistics.map_err(EngineError::Queues)?;
        let waiting = statistics.visible + statistics.in_flight + statistics.delayed;
        if keep && waiting > 0 {
            let moved: Vec<String> = moved.iter().map(Moved::text).collect();
            return Err(EngineError::Destinations { waiting, moved: moved.join(", ") });
        }
        for Moved { route, destination, before, now } in &moved {
            let fields = json!({
                "route": route, "destination": destination, "before": before, "now": now,
                "waiting": waiting,
            });
            log.line(LogLevel::Warn, "deliveries go elsewhere than before", fields);
        }
    }
    if before != origins {
        let json = serde_json::to_vec(&origins).expect("texts");
        write_durably(&file, &json).map_err(failed("keeping where deliveries go"))?;
    }
    Ok(origins)
}

fn of(config: &Config) -> Origins {
    let origin = |it: &Destination| (it.name().to_owned(), it.url().origin().ascii_serialization());
    let of_route = |route: &Route| route.destinations().iter().map(origin).collect();
    config.routes().iter().map(|(name, route)| (name.clone(), of_route(route))).collect()
}

/// A destination that is new or gone has no place to move from or to.
fn moved<'a>(before: &'a Origins, now: &'a Origins) -> Vec<Moved<'a>> {
    let of_route = |(route, destinations): (&'a String, &'a BTreeMap<String, String>)| {
        let before = before.get(route);
        destinations.iter().filter_map(move |(destination, now)| {
            let before = before?.get(destination)?;
            (before != now).then_some(Moved { route, destination, before, now })
        })
    };
    now.iter().flat_map(of_route).collect()
}

impl Moved<'_> {
    fn text(&self) -> String {
        let Self { route, destination, before, now } = self;
        format!("{route}/{destination} from {before} to {now}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_what_was_there_before_and_is_elsewhere_now() {
        let origins = |entries: &[(&str, &str, &str)]| {
            let mut origins = Origins::new();
            for (route, destination, origin) in entries {
                let route = origins.entry((*route).to_owned()).or_default();
                route.insert((*destination).to_owned(), (*origin).to_owned());
            }
            origins
        };
        let before =
            origins(&[("a", "x", "http://1"), ("a", "y", "http://2"), ("b", "x", "http://3")]);
        let now =
            origins(&[("a", "x", "http://1"), ("a", "y", "http://9"), ("c", "x", "http://4")]);
        let expected = Moved { route: "a", destination: "y", before: "http://2", now: "http://9" };
        assert_eq!(moved(&before, &now), [expected]);
        assert_eq!(moved(&before, &before), []);
        assert_eq!(moved(&Origins::new(), &now), [], "nothing was there");
    }
}
