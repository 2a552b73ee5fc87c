//! Looks that everybody who looks shares: however many view the page, an environment is asked once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::operator::{LookError, Operator, Said, Words};

/// How old a look may be that is shown to somebody who opens a screen. Below what a person notices.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// How long an environment is watched after the last one has looked away.
const WATCHED_FOR: Duration = Duration::from_secs(30);

/// Looks that are remembered at most; the one made longest ago is forgotten.
const REMEMBERED_MAX: usize = 64;

/// What a look found, and when.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) found: Result<Said, LookError>,
    pub(crate) at: Instant,
}

impl Look {
    /// How old it is.
    pub(crate) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

#[derive(Debug, Default)]
struct Place {
    /// Held while it is asked.
    look: AsyncMutex<Option<Look>>,
}

/// The looks.
#[derive(Debug)]
pub(crate) struct Looks {
    operator: Operator,
    places: Mutex<BTreeMap<Words, Arc<Place>>>,
    status: watch::Sender<Option<Look>>,
    last_viewed: Mutex<Instant>,
    production: AtomicBool,
}

impl Looks {
    pub(crate) fn new(operator: Operator) -> Self {
        Self {
            operator,
            places: Mutex::default(),
            status: watch::Sender::new(None),
            last_viewed: Mutex::new(Instant::now()),
            production: AtomicBool::new(false),
        }
    }

    pub(crate) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// What these words say: just now, or a moment ago to somebody else.
    pub(crate) async fn look(&self, words: &Words) -> Look {
        self.look_within(words, SHARED_FOR).await
    }

    /// What these words say, or said at most `age` ago.
    pub(crate) async fn look_within(&self, words: &Words, age: Duration) -> Look {
        let place = self.place(words);
        let mut look = place.look.lock().await;
        if let Some(fresh) = look.as_ref().filter(|look| look.age() <= age) {
            return fresh.clone();
        }
        let found = self.operator.ask(words).await;
        look.insert(Look { found, at: Instant::now() }).clone()
    }

    /// What these words said to somebody at most `age` ago; they are not asked.
    pub(crate) async fn seen(&self, words: &Words, age: Duration) -> Option<Look> {
        let place = self.place(words);
        let look = place.look.lock().await;
        look.clone().filter(|look| look.age() <= age)
    }

    fn place(&self, words: &Words) -> Arc<Place> {
        let mut places = lock(&self.places);
        if let Some(place) = places.get(words) {
            return Arc::clone(place);
        }
        if places.len() == REMEMBERED_MAX {
            let made = |place: &Place| {
                let look = place.look.try_lock().ok()?;
                Some(look.as_ref().map(|look| look.at))
            };
            // One that is asked just now stays.
            let oldest =
                places.iter().filter_map(|(words, place)| Some((made(place)?, words.clone())));
            if let Some((_, words)) = oldest.min() {
                places.remove(&words);
            }
        }
        Arc::clone(places.entry(words.clone()).or_default())
    }

    /// The newest status; it is asked for, again and again, while somebody looks.
    pub(crate) fn status(&self) -> watch::Receiver<Option<Look>> {
        *lock(&self.last_viewed) = Instant::now();
        self.status.subscribe()
    }

    /// Whether the last status that was told says that people depend on the environment.
    pub(crate) fn is_production(&self) -> bool {
        self.production.load(Ordering::Relaxed)
    }

    /// Asks for the status every `interval` while somebody looks, without end.
    pub(crate) async fn watch(&self, interval: Duration) {
        let words = Words::new(&["status"]);
        loop {
            let began = Instant::now();
            let is_viewed =
                lock(&self.last_viewed).elapsed() < WATCHED_FOR || self.status.receiver_count() > 0;
            if is_viewed || self.status.borrow().is_none() {
                let found = self.operator.ask(&words).await;
                let said =
                    found.as_ref().ok().and_then(|said| said.json.get("production")?.as_bool());
                // One that was not told changes nothing.
                if let Some(is_production) = said {
                    self.production.store(is_production, Ordering::Relaxed);
                }
                self.status.send_replace(Some(Look { found, at: Instant::now() }));
            }
            tokio::time::sleep(interval.saturating_sub(began.elapsed())).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
