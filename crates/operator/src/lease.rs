//! The lease of a redrive: one at a time works on an environment. An engine keeps it in its database; on
//! AWS it is a document of the artifact bucket. Whether it has expired is told by the clock of where it
//! is kept; whether ours may have, by how long ago we last renewed it.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::lease::Lease;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::alongside::alongside;
use crate::document::{Document, Look, REDRIVE};
use crate::engine_api::EngineApi;
use crate::environment::{Environment, Host};
use crate::interrupt::{self, unless_interrupted};
use crate::people::{printable, span};
use crate::progress;

/// How long it holds unless it is renewed: who is killed keeps others out for no longer.
const TIME: Duration = Duration::from_mins(1);

/// Between two renewals: two may fail.
const RENEWED_EVERY: Duration = Duration::from_secs(15);

/// Somebody else redrives this environment.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Taken(String);

/// The right to redrive an environment, until it is released or expires.
pub(crate) struct RedriveLease<'a> {
    place: Place<'a>,
    token: String,
    progress: Cell<(u64, Option<u64>)>,
    /// When the last renewal that was granted was asked for.
    renewed: Cell<Instant>,
    /// Who has it now, once that is somebody else or nobody.
    lost: RefCell<Option<String>>,
}

enum Place<'a> {
    Engine(&'a EngineApi),
    Aws(Document),
}

/// What an engine says of its lease.
#[derive(Deserialize)]
struct Answer {
    lease: Option<Lease>,
    is_yours: bool,
    now: Timestamp,
}

/// Between two tries to take a lease that somebody else has.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// Does `work` under the lease, which is renewed meanwhile and released however that ends. Of somebody
/// else's, as of one that was killed, the end is waited for: so long at most.
///
/// # Errors
///
/// [`Taken`] if somebody else still has it then, and what the work fails with.
pub(crate) async fn with_lease<T>(
    environment: &Environment,
    reason: Option<&str>,
    wait: Duration,
    work: impl AsyncFnOnce(&RedriveLease<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let acquire = async || RedriveLease::acquire(environment, reason).await;
    let lease = Box::pin(unless_interrupted(wait_for(wait, acquire))).await?;
    let _given_back = lease.is_engine_s().map(|(api, path)| {
        interrupt::before_end_at_once(async move {
            // Where it cannot be, it expires.
            let _not_given_back = api.delete::<Answer>(&path).await;
        })
    });
    let done = lease.renewed_while(work(&lease)).await;
    if let Err(error) = lease.release().await {
        eprintln!("note: the lease was not given back, and expires within a minute: {error:#}");
    }
    done
}

/// Tries to take it again while somebody else has it, and shows whose it is.
async fn wait_for<T>(
    wait: Duration,
    acquire: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    let mut shown = None;
    loop {
        let taken = match acquire().await {
            Err(error) if error.is::<Taken>() && began.elapsed() < wait => error,
            acquired_or_failed => return acquired_or_failed,
        };
        shown.get_or_insert_with(|| progress::spinner(format!("the lease: {taken}")));
        tokio::time::sleep(TRIED_EVERY).await;
    }
}

impl<'a> RedriveLease<'a> {
    /// What gives it back, where an engine keeps it.
    fn is_engine_s(&self) -> Option<(EngineApi, String)> {
        match &self.place {
            Place::Engine(api) => Some(((*api).clone(), self.path())),
            Place::Aws(_) => None,
        }
    }

    /// Takes the lease.
    ///
    /// # Errors
    ///
    /// [`Taken`] if somebody else has it.
    pub(crate) async fn acquire(
        environment: &'a Environment,
        reason: Option<&str>,
    ) -> anyhow::Result<Self> {
        let by = environment.audit().who().await?;
        let place = match &environment.host {
            Host::Engine { api, .. } => Place::Engine(api),
            Host::Aws { .. } => Place::Aws(Document::of(environment, REDRIVE)?),
        };
        Self::acquire_at(place, by, reason).await
    }

    async fn acquire_at(
        place: Place<'a>,
        by: String,
        reason: Option<&str>,
    ) -> anyhow::Result<Self> {
        let lease = Self {
            place,
            token: format!("{:032x}", unique()),
            progress: Cell::new((0, None)),
            renewed: Cell::new(Instant::now()),
            lost: RefCell::new(None),
        };
        let seconds = TIME.as_secs();
        let (there, now) = match &lease.place {
            Place::Engine(api) => {
                let body = json!({ "by": by, "reason": reason, "seconds": seconds });
                let Answer { lease: there, is_yours, now } = api.put(&lease.path(), &body).await?;
                (there.filter(|_| !is_yours), now)
            }
            Place::Aws(document) => {
                let acquire = |look: &Look| {
                    let now = look.now;
                    match held(look)? {
                        Some(there) if there.token == lease.token => Ok((None, (None, now))),
                        Some(there) => Ok((None, (Some(there), now))),
                        None => {
                            let ours = Lease {
                                token: lease.token.clone(),
                                by: by.clone(),
                                reason: reason.map(str::to_owned),
                                since: now,
                                until: now.plus(TIME),
                                of: None,
                                done: 0,
                            };
                            Ok((Some(serde_json::to_vec(&ours)?), (None, now)))
                        }
                    }
                };
                document.update(acquire).await?
            }
        };
        match there {
            None => Ok(lease),
            Some(there) => Err(Taken(said(&there, now)).into()),
        }
    }

    /// Says how far the work is. Others are told with the next renewal.
    pub(crate) fn progress(&self, done: u64, of: Option<u64>) {
        self.progress.set((done, of));
    }

    /// Fails once the lease is not ours any more, or may not be: what works under it asks before each
    /// step.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if let Some(whose) = &*self.lost.borrow() {
            bail!("{whose}, so this redrive has stopped; what was not sent is still a dead letter");
        }
        if self.renewed.get().elapsed() >= TIME {
            bail!(
                "the lease could not be renewed for {}, so somebody else may redrive by now and this \
                 redrive has stopped; what was not sent is still a dead letter",
                span(TIME)
            );
        }
        Ok(())
    }

    /// Holds the lease for longer.
    pub(crate) async fn renew(&self) -> anyhow::Result<()> {
        let asked = Instant::now();
        let (done, of) = self.progress.get();
        let seconds = TIME.as_secs();
        let (there, now) = match &self.place {
            Place::Engine(api) => {
                let body = json!({ "seconds": seconds, "of": of, "done": done });
                let Answer { lease, now, .. } = api.post(&self.path(), &body).await?;
                (lease, now)
            }
            Place::Aws(document) => {
                let renew = |look: &Look| {
                    let now = look.now;
                    match held(look)? {
                        Some(ours) if ours.token == self.token => {
                            let ours = Lease { until: now.plus(TIME), of, done, ..ours };
                            Ok((Some(serde_json::to_vec(&ours)?), (Some(ours), now)))
                        }
                        there => Ok((None, (there, now))),
                    }
                };
                document.update(renew).await?
            }
        };
        match there {
            Some(ours) if ours.token == self.token => self.renewed.set(asked),
            Some(there) => drop(self.lost.replace(Some(said(&there, now)))),
            None => {
                let expired = "the lease of this redrive has expired".to_owned();
                self.lost.replace(Some(expired));
            }
        }
        Ok(())
    }

    /// What comes of `work`, while the lease is renewed.
    async fn renewed_while<T>(&self, work: impl Future<Output = T>) -> T {
        alongside(RENEWED_EVERY, async || self.try_to_renew().await, work).await
    }

    /// What could not be renewed may be at the next time; `check` tells when that is too late.
    async fn try_to_renew(&self) {
        if let Err(error) = self.renew().await {
            eprintln!("warning: the lease was not renewed: {error:#}");
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(self) -> anyhow::Result<()> {
        match &self.place {
            Place::Engine(api) => api.delete::<Answer>(&self.path()).await.map(drop),
            Place::Aws(document) => {
                let release = |look: &Look| {
                    let ours = held(look)?.filter(|there| there.token == self.token);
                    let released = ours.map(|ours| Lease { until: look.now, ..ours });
                    let content = released.map(|it| serde_json::to_vec(&it)).transpose()?;
                    Ok((content, ()))
                };
                document.update(release).await
            }
        }
    }

    fn path(&self) -> String {
        format!("/_engine/redrive-lease/{}", self.token)
    }
}

/// The lease that a document holds, unless it has expired.
fn held(look: &Look) -> anyhow::Result<Option<Lease>> {
    let Some(content) = &look.content else { return Ok(None) };
    let lease: Lease =
        serde_json::from_slice(content).context("understanding the lease of a redrive")?;
    Ok(Some(lease).filter(|lease| lease.holds(look.now)))
}

/// Whose it is, since when, how far they are, and the way out.
fn said(there: &Lease, now: Timestamp) -> String {
    let Lease { by, reason, since, until, of, done, .. } = there;
    let why = reason.as_ref().map(|reason| format!(" ({})", printable(reason)));
    let far = match of {
        Some(of) => format!("{done} of {of} events sent"),
        None => format!("it tells every {} how many were sent", span(RENEWED_EVERY)),
    };
    format!(
        "{} redrives{} since {}, {far}: wait until that has ended; of one that was killed the lease \
         expires in {} at most",
        printable(by),
        why.unwrap_or_default(),
        span(now.since(*since)),
        span(until.since(now))
    )
}

/// A number that nobody else has: the keys of a hash map are the system's random bytes.
fn unique() -> u128 {
    let random = || u128::from(RandomState::new().hash_one(std::process::id()));
    random() << 64 | random()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn acquire(dir: &std::path::Path, by: &str) -> anyhow::Result<RedriveLease<'static>> {
        let place = Place::Aws(Document::in_dir(dir));
        RedriveLease::acquire_at(place, by.to_owned(), Some("fixed in 4.3")).await
    }

    fn kept(dir: &std::path::Path) -> Lease {
        let file = dir.join("operating/test/document.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn keep(dir: &std::path::Path, lease: &Lease) {
        let file = dir.join("operating/test/document.json");
        std::fs::write(file, serde_json::to_vec(lease).unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_second_is_told_whose_it_is_and_how_far_and_comes_after_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = acquire(dir.path(), "alice").await.unwrap();
        first.progress(3, Some(10));
        first.renew().await.unwrap();
        first.check().unwrap();
        let refused = acquire(dir.path(), "bob").await.err().unwrap();
        let said = refused.downcast_ref::<Taken>().unwrap().to_string();
        assert!(said.starts_with("alice redrives (fixed in 4.3) since "), "{said}");
        assert!(said.contains("3 of 10 events sent") && said.contains("expires in "), "{said}");
        first.release().await.unwrap();
        acquire(dir.path(), "bob").await.unwrap().release().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_killed_is_waited_for_as_long_as_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let _killed = acquire(dir.path(), "alice").await.unwrap();
        let tries = Cell::new(0);
        let try_it = async || {
            tries.set(tries.get() + 1);
            if tries.get() == 3 {
                let lease = kept(dir.path());
                keep(dir.path(), &Lease { until: lease.since, ..lease });
            }
            acquire(dir.path(), "bob").await
        };
        let refused = wait_for(Duration::ZERO, try_it).await.err().unwrap();
        assert!(refused.is::<Taken>() && tries.get() == 1, "{refused}");
        wait_for(Duration::from_mins(1), try_it).await.unwrap();
        assert_eq!(tries.get(), 3);
    }

    #[tokio::test]
    async fn of_two_at_once_one_gets_it() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let (a, b) = tokio::join!(acquire(dir.path(), "a"), acquire(dir.path(), "b"));
            assert!(a.is_ok() != b.is_ok());
        }
    }

    #[tokio::test]
    async fn one_that_was_killed_expires_and_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let killed = acquire(dir.path(), "alice").await.unwrap();
        let lease = kept(dir.path());
        keep(dir.path(), &Lease { until: lease.since, ..lease });
        let second = acquire(dir.path(), "bob").await.unwrap();
        let of_second = kept(dir.path());
        killed.renew().await.unwrap();
        assert_eq!(kept(dir.path()).until, of_second.until, "it has renewed another's");
        let error = killed.check().unwrap_err().to_string();
        assert!(error.starts_with("bob redrives") && error.contains("has stopped"), "{error}");
        // Nor does it end another's.
        killed.release().await.unwrap();
        second.renew().await.unwrap();
        second.check().unwrap();

        let lease = kept(dir.path());
        keep(dir.path(), &Lease { until: lease.since, ..lease });
        second.renew().await.unwrap();
        let error = second.check().unwrap_err().to_string();
        assert!(error.starts_with("the lease of this redrive has expired"), "{error}");
    }

    #[tokio::test]
    async fn one_that_is_renewed_lasts_longer() {
        let dir = tempfile::tempdir().unwrap();
        let lease = acquire(dir.path(), "alice").await.unwrap();
        let about_to_end = kept(dir.path());
        let until = about_to_end.since.plus(Duration::from_secs(30));
        keep(dir.path(), &Lease { until, ..about_to_end });
        lease.renew().await.unwrap();
        assert!(kept(dir.path()).until.since(until) > Duration::ZERO);
        lease.check().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_renewed_counts_as_lost_when_it_may_have_expired() {
        let dir = tempfile::tempdir().unwrap();
        let lease = acquire(dir.path(), "alice").await.unwrap();
        tokio::time::advance(TIME.checked_sub(Duration::from_millis(1)).unwrap()).await;
        lease.check().unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(lease.check().unwrap_err().to_string().contains("could not be renewed for 1 min"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_renewed_for_as_long_as_the_work_takes() {
        let dir = tempfile::tempdir().unwrap();
        let lease = acquire(dir.path(), "alice").await.unwrap();
        let work = async {
            tokio::time::sleep(TIME * 5).await;
            lease.check()
        };
        lease.renewed_while(work).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_was_written_is_ours_although_the_answer_was_lost() {
        let place = Place::Aws(crate::document::tests::in_bucket_that_loses_an_answer().await);
        let lease = RedriveLease::acquire_at(place, "alice".to_owned(), None).await.unwrap();
        lease.renew().await.unwrap();
        lease.check().unwrap();
    }

    #[test]
    fn a_token_is_random_in_both_halves() {
        let (one, other) = (unique(), unique());
        assert!(one >> 64 != 0 && one >> 64 != other >> 64);
        assert!(one << 64 != other << 64);
    }
}
