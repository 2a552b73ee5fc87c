//! Which events an operator wants skipped: read when a message would stay, and not otherwise, so that
//! deliveries cost nothing more.

use std::sync::Arc;
use std::time::Duration;

use domain::skip::{SKIPS_BYTES_MAX, Skips};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::logging::Logger;
use crate::outside::Outside;
use crate::secrets;
use crate::settings::SkipsPlace;

/// How long a list is used unseen: during an outage everything fails, and Parameter Store allows 40
/// reads a second for the whole account and region.
/// Source: AWS General Reference, "Systems Manager endpoints and quotas".
const FRESH: Duration = Duration::from_secs(2);

/// How long a list that could not be read is not asked for again: a function in a network without a
/// way to Parameter Store would wait for it at every failure.
const FAILURE_PAUSE: Duration = Duration::from_mins(1);

/// The list, as far as it is known.
#[derive(Debug)]
pub(crate) struct SkipList<O> {
    place: SkipsPlace,
    outside: Arc<O>,
    logger: Logger,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    skips: Arc<Skips>,
    good_until: Option<Instant>,
}

impl<O: Outside> SkipList<O> {
    pub(crate) fn new(place: SkipsPlace, outside: Arc<O>, logger: Logger) -> Self {
        Self { place, outside, logger, known: Mutex::default() }
    }

    /// The list as it is now. One that cannot be read skips nothing: what fails stays.
    pub(crate) async fn current(&self, time_left: Duration) -> Arc<Skips> {
        // Locked for as long as it is read: the groups of a batch need it at the same time.
        let mut known = self.known.lock().await;
        if known.good_until.is_none_or(|until| until <= Instant::now()) {
            let (skips, pause) = match Box::pin(self.read(time_left)).await {
                Ok(skips) => (skips, FRESH),
                Err(error) => {
                    let error = format!("reading the skips, so nothing is skipped: {error}");
                    self.logger.error(&*self.outside, &error);
                    (Skips::default(), FAILURE_PAUSE)
                }
            };
            *known = Known { skips: Arc::new(skips), good_until: Some(Instant::now() + pause) };
        }
        Arc::clone(&known.skips)
    }

    async fn read(&self, time_left: Duration) -> Result<Skips, String> {
        let json = match &self.place {
            SkipsPlace::Parameter(name) => match self.outside.parameter(name, time_left).await {
                Err(error) if error.is_not_found() => None,
                read => Some(read.map_err(|error| error.to_string())?),
            },
            SkipsPlace::File(path) => match secrets::read(path, SKIPS_BYTES_MAX) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                read => Some(read.map_err(|error| error.to_string())?),
            },
        };
        // Nobody has asked for anything yet.
        let Some(json) = json else { return Ok(Skips::default()) };
        Skips::parse(&json).map_err(|error| error.to_string())
    }
}
