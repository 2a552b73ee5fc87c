//! A service of systemd: the sockets that it listens at for us, and what it hears of us. Without systemd
//! nothing of this happens.
//!
//! Sources: systemd's manual, `sd_listen_fds(3)`, `sd_notify(3)`, `sd_watchdog_enabled(3)`.

use std::future;
use std::io;

use domain::config::LogLevel;
use engine::{Engine, Sockets};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use serde_json::json;

/// What the sockets are called, where they have names: `FileDescriptorName=` of their units.
const NAMES_VARIABLE: &str = "LISTEN_FDNAMES";

/// The sockets that we were started with. By their names, if one of them is `ingest` or `api`; else the
/// first is ingest's and the second the API's.
///
/// To be called before there are threads: it takes the variables out of the environment.
///
/// # Errors
///
/// When a socket is none that TCP connections arrive at, or nobody knows what it is for.
pub(crate) fn sockets() -> io::Result<Sockets> {
    let names = std::env::var(NAMES_VARIABLE).unwrap_or_default();
    let mut given = ListenFd::from_env();
    let mut sockets = Sockets::default();
    for (index, socket) in
        places(&names, given.len()).map_err(io::Error::other)?.into_iter().enumerate()
    {
        let listener = given.take_tcp_listener(index)?;
        match socket {
            Socket::Ingest => sockets.ingest = listener,
            Socket::Api => sockets.api = listener,
        }
    }
    Ok(sockets)
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Ingest,
    Api,
}

/// What each of `count` sockets is for, by their names, separated by colons.
fn places(names: &str, count: usize) -> Result<Vec<Socket>, String> {
    let known = |name: &str| match name {
        "ingest" => Some(Socket::Ingest),
        "api" => Some(Socket::Api),
        _ => None,
    };
    let names: Vec<&str> = names.split(':').collect();
    let places: Vec<Socket> = if names.iter().any(|name| known(name).is_some()) {
        let place = |name: &&str| {
            known(name).ok_or_else(|| {
                format!(
                    "{name:?} is neither ingest nor api; FileDescriptorName= of its unit says which"
                )
            })
        };
        names.iter().map(place).collect::<Result<_, _>>()?
    } else {
        [Socket::Ingest, Socket::Api].into_iter().take(count).collect()
    };
    let of = |it| places.iter().filter(|place| **place == it).count();
    if places.len() != count || of(Socket::Ingest) > 1 || of(Socket::Api) > 1 {
        return Err(format!("{count} were passed; there is one for ingest and one for the api"));
    }
    Ok(places)
}

/// Tells systemd how we are.
pub(crate) fn tell(engine: &Engine, state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        let fields = json!({ "error": error.to_string() });
        engine.log(LogLevel::Warn, "systemd cannot be told how the engine is", &fields);
    }
}

/// Tells systemd that the engine lives, as often as it wants to hear that, while it does. Never returns.
pub(crate) async fn watchdog(engine: &Engine) {
    let Some(period) = sd_notify::watchdog_enabled() else { return future::pending().await };
    // Twice in its time, as sd_watchdog_enabled(3) recommends.
    let mut ticks = tokio::time::interval(period / 2);
    loop {
        ticks.tick().await;
        if engine.lives().await {
            tell(engine, &[NotifyState::Watchdog]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_by_name_or_else_by_order() {
        use Socket::{Api, Ingest};
        for (names, count, expected) in [
            ("", 0, Ok(vec![])),
            ("", 1, Ok(vec![Ingest])),
            ("", 2, Ok(vec![Ingest, Api])),
            ("webhook-queue.socket:webhook-queue.socket", 2, Ok(vec![Ingest, Api])),
            ("ingest", 1, Ok(vec![Ingest])),
            ("api", 1, Ok(vec![Api])),
            ("api:ingest", 2, Ok(vec![Api, Ingest])),
            ("ingest:other", 2, Err("\"other\" is neither ingest nor api")),
            ("ingest:ingest", 2, Err("2 were passed; there is one")),
            ("ingest:api", 1, Err("1 were passed; there is one")),
            ("", 3, Err("3 were passed; there is one")),
        ] {
            let places = places(names, count);
            match (expected, places) {
                (Ok(expected), Ok(places)) => assert_eq!(places, expected, "{names:?}"),
                (Err(start), Err(error)) => assert!(error.starts_with(start), "{error}"),
                (_, places) => panic!("{names:?} of {count}: {places:?}"),
            }
        }
    }
}
