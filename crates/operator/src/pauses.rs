//! The pauses of an environment: one switch, the event source mapping, that several people use. Each
//! pause has a name and ends for itself, and delivery goes on when the last has ended.
//!
//! An engine keeps the set and ends each in time. On AWS the set is a document of the artifact bucket,
//! the mapping follows it, and a schedule enables the mapping once all have ended by themselves: a
//! schedule cannot decide, so there is none while one pause has no end. Whoever changes the set makes
//! mapping and schedule follow, and looks again whether somebody else has changed it meanwhile.

use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::pause::{Pause, Pauses};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::alongside::alongside;
use crate::document::{Document, Look, PAUSES};
use crate::engine_api::{EngineApi, segment};
use crate::environment::{Environment, Host};
use crate::mapping::Mapping;
use crate::people::printable;
use crate::resumption::Resumption;
use crate::zone;

/// How long a command's own pause holds, unless it is renewed: that of one that was killed ends by itself.
const OWN_FOR: Duration = Duration::from_mins(10);

/// Between two renewals: two may fail.
const OWN_RENEWED_EVERY: Duration = Duration::from_mins(3);

/// How often mapping and schedule are made to follow a set that somebody else changes meanwhile.
const TRIES: usize = 20;

/// What a schedule is late at least: one of the past would not come.
const SCHEDULE_AHEAD: Duration = Duration::from_mins(1);

/// The pauses of an environment, and the switch that follows them.
pub(crate) struct Switch<'a> {
    environment: &'a Environment,
    place: Place<'a>,
}

enum Place<'a> {
    Engine(&'a EngineApi),
    Aws(Document),
}

/// What an engine says of its pauses.
#[derive(Deserialize)]
struct Answer {
    pauses: Vec<Pause>,
    #[serde(default)]
    ended: Vec<Pause>,
    #[serde(default)]
    renewed: bool,
}

/// What came of ending pauses.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Those that were there, and are not any more.
    pub(crate) ended: Vec<Pause>,
    /// Those that are left: delivery is still paused.
    pub(crate) left: Vec<Pause>,
}

impl<'a> Switch<'a> {
    /// The switch of an environment.
    pub(crate) fn of(environment: &'a Environment) -> anyhow::Result<Self> {
        let place = match &environment.host {
            Host::Engine { api, .. } => Place::Engine(api),
            Host::Aws { .. } => Place::Aws(Document::of(environment, PAUSES)?),
        };
        Ok(Self { environment, place })
    }

    /// The pauses that there are.
    pub(crate) async fn list(&self) -> anyhow::Result<Vec<Pause>> {
        match &self.place {
            Place::Engine(api) => {
                let Answer { pauses, .. } = api.get("/_engine/pauses").await?;
                Ok(pauses)
            }
            Place::Aws(document) => {
                let look = document.look().await?;
                Ok(read(&look)?.all().to_vec())
            }
        }
    }

    /// Begins a pause, or puts it in the place of the one of this name, and returns once nothing more
    /// is received. It ends by itself after `time`, if that is given.
    pub(crate) async fn begin(
        &self,
        name: &str,
        by: &str,
        reason: &str,
        time: Option<Duration>,
    ) -> anyhow::Result<Vec<Pause>> {
        let pauses = match &self.place {
            Place::Engine(api) => {
                let seconds = time.map(|time| time.as_secs());
                let body = json!({ "by": by, "reason": reason, "seconds": seconds });
                let Answer { pauses, .. } = api.put(&path(name), &body).await?;
                Mapping::find(self.environment).await?.reach(false).await?;
                pauses
            }
            Place::Aws(document) => {
                let begin = |pauses: &mut Pauses, now: Timestamp| {
                    pauses.begin(Pause {
                        name: name.to_owned(),
                        by: Some(by.to_owned()),
                        reason: Some(reason.to_owned()),
                        since: Some(now),
                        until: time.map(|time| now.plus(time)),
                    });
                };
                change(document, begin).await?;
                self.follow(document).await?
            }
        };
        if !pauses.iter().any(|it| it.name == name) {
            bail!("pause {name:?} was ended by somebody else just after it began");
        }
        Ok(pauses)
    }

    /// Begins the pause of a command that ends it itself. It ends soon after the last renewal.
    pub(crate) async fn begin_own(&self, name: &str, reason: &str) -> anyhow::Result<()> {
        let by = self.environment.audit().who().await?;
        self.begin(name, &by, reason, Some(OWN_FOR)).await.map(drop)
    }

    /// What comes of `work`, while a command's own pause is renewed. Where it cannot be, or somebody has
    /// ended it, that is said, and the work goes on.
    pub(crate) async fn renewed_while<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let mut is_gone = false;
        let renew = async || {
            if is_gone {
                return;
            }
            match self.renew(name, OWN_FOR).await {
                Ok(true) => {}
                Ok(false) => {
                    is_gone = true;
                    eprintln!("warning: somebody has ended the pause {name:?}");
                }
                Err(error) => eprintln!("warning: the pause {name:?} was not renewed: {error:#}"),
            }
        };
        alongside(OWN_RENEWED_EVERY, renew, work).await
    }

    /// Moves the end of a pause to `time` from now; tells whether it is there: one that somebody has
    /// ended stays so.
    pub(crate) async fn renew(&self, name: &str, time: Duration) -> anyhow::Result<bool> {
        match &self.place {
            Place::Engine(api) => {
                let body = json!({ "seconds": time.as_secs() });
                let Answer { renewed, .. } = api.post(&path(name), &body).await?;
                Ok(renewed)
            }
            Place::Aws(document) => {
                let renew =
                    |pauses: &mut Pauses, now: Timestamp| pauses.renew(name, now.plus(time));
                let renewed = change(document, renew).await?;
                if renewed {
                    self.follow(document).await?;
                }
                Ok(renewed)
            }
        }
    }

    /// Ends the pauses of these names. If none is left, returns once messages are received again.
    pub(crate) async fn end(&self, names: &[String]) -> anyhow::Result<Ended> {
        match &self.place {
            Place::Engine(api) => {
                let (mut ended, mut left) = (Vec::new(), self.list().await?);
                for name in names {
                    let answer: Answer = api.delete(&path(name)).await?;
                    ended.extend(answer.ended);
                    left = answer.pauses;
                }
                if left.is_empty() {
                    Mapping::find(self.environment).await?.reach(true).await?;
                }
                Ok(Ended { ended, left })
            }
            Place::Aws(document) => {
                let end = |pauses: &mut Pauses, _now: Timestamp| {
                    names.iter().filter_map(|name| pauses.end(name)).collect()
                };
                let ended = change(document, end).await?;
                Ok(Ended { ended, left: self.follow(document).await? })
            }
        }
    }

    /// Makes the mapping and its schedule what the set says, until nobody has changed it meanwhile. The
    /// schedule comes first, so that a pause does not outlast what was asked for, and goes last.
    async fn follow(&self, document: &Document) -> anyhow::Result<Vec<Pause>> {
        let mapping = Mapping::find(self.environment).await?;
        let resumption = Resumption::of(self.environment, &mapping);
        for _ in 0..TRIES {
            let look = document.look().await?;
            let pauses = read(&look)?;
            if let Some(end) = pauses.last_end() {
                let at = end.max(look.now.plus(SCHEDULE_AHEAD));
                resumption.schedule(at, &reasons(pauses.all())).await?;
            } else if !pauses.is_empty() {
                resumption.cancel().await?;
            }
            mapping.switch(pauses.is_empty()).await?;
            if pauses.is_empty() {
                resumption.cancel().await?;
            }
            if document.look().await?.is_same(&look) {
                return Ok(pauses.all().to_vec());
            }
        }
        bail!("somebody else pauses and resumes all the time; look at `status`, and try again")
    }
}

/// The pauses that a document holds, without those whose time is over.
fn read(look: &Look) -> anyhow::Result<Pauses> {
    let mut pauses = match &look.content {
        Some(content) => Pauses::parse(content).context("understanding the list of pauses")?,
        None => Pauses::default(),
    };
    pauses.end_over(look.now);
    Ok(pauses)
}

async fn change<T>(
    document: &Document,
    mut change: impl FnMut(&mut Pauses, Timestamp) -> T,
) -> anyhow::Result<T> {
    document
        .update(|look| {
            let before = read(look)?;
            let mut pauses = before.clone();
            let value = change(&mut pauses, look.now);
            let content = if pauses == before { None } else { Some(pauses.to_json()?) };
            Ok((content, value))
        })
        .await
}

fn path(name: &str) -> String {
    format!("/_engine/pauses/{}", segment(name))
}

fn reasons(pauses: &[Pause]) -> String {
    let reasons: Vec<&str> = pauses.iter().filter_map(|it| it.reason.as_deref()).collect();
    reasons.join("; ")
}

/// Pauses in a line: `release, by ops since 2026-11-26 10:00:00 UTC until …: upgrade`.
pub(crate) fn in_a_line(pauses: &[Pause]) -> String {
    let pauses: Vec<String> = pauses.iter().map(text).collect();
    pauses.join("; ")
}

/// A pause as people read it.
pub(crate) fn text(pause: &Pause) -> String {
    let by = pause.by.as_deref().filter(|by| *by != pause.name);
    let parts = [
        Some(printable(&pause.name)),
        by.map(|by| format!(", by {}", printable(by))),
        pause.since.map(|since| format!(" since {}", zone::in_words(since))),
        pause.until.map(|until| format!(" until {}", zone::in_words(until))),
        pause.reason.as_deref().map(|reason| format!(" ({})", printable(reason))),
    ];
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(name: &str, until: Option<Timestamp>) -> Pause {
        Pause {
            name: name.to_owned(),
            by: Some("ops".to_owned()),
            reason: Some("release 42".to_owned()),
            since: "2026-11-26T10:00:00Z".parse().ok(),
            until,
        }
    }

    #[test]
    fn a_pause_says_whose_it_is_since_when_until_when_and_why() {
        let until = "2026-11-26T11:00:00Z".parse().ok();
        assert_eq!(
            in_a_line(&[pause("release", until), pause("ops", None)]),
            "release, by ops since 2026-11-26 10:00:00 UTC until 2026-11-26 11:00:00 UTC (release 42); \
             ops since 2026-11-26 10:00:00 UTC (release 42)"
        );
        let unknown = Pause { by: None, reason: None, since: None, ..pause("unknown", None) };
        assert_eq!(text(&unknown), "unknown");
    }

    #[tokio::test]
    async fn of_two_who_pause_at_once_both_do_and_one_that_is_over_goes() {
        let dir = tempfile::tempdir().unwrap();
        let document = Document::in_dir(dir.path());
        let now = document.look().await.unwrap().now;
        let over = pause("over", Some(now));
        change(&document, |pauses, _| pauses.begin(over.clone())).await.unwrap();
        change(&document, |pauses, _| pauses.begin(pause("a", None))).await.unwrap();
        let renewed = change(&document, |pauses, now| {
            pauses.begin(pause("b", None));
            pauses.renew("over", now)
        });
        assert!(!renewed.await.unwrap());
        let look = document.look().await.unwrap();
        let names: Vec<String> =
            read(&look).unwrap().all().iter().map(|it| it.name.clone()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_renewal_moves_the_end_and_brings_back_no_pause_that_was_ended() {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({
            "environment": "test",
            "routes": { "sss": {
                "path": "/sqs-hook", "ordering_key": "one",
                "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/" }],
            }},
        });
        let config = domain::config::Config::parse(&config.to_string()).unwrap();
        let engine = engine::Engine::start(engine::EngineOptions {
            storage: engine::Storage::Directory(dir.path().to_owned()),
            forwarder: Some("/nowhere".into()),
            ..engine::EngineOptions::in_memory(config)
        });
        let engine = engine.await.unwrap();
        let given = commands::EnvironmentArgs {
            environment: None,
            config: None,
            data_dir: Some(dir.path().to_owned()),
            api: None,
        };
        let environment = crate::environment::connect(&given).await.unwrap();
        let switch = Switch::of(&environment).unwrap();
        let begun = switch.begin("release", "ops", "r", Some(Duration::from_mins(10))).await;
        let hour = Duration::from_hours(1);
        assert!(switch.renew("release", hour).await.unwrap());
        let renewed = switch.list().await.unwrap();
        let moved = renewed[0].until.unwrap().since(begun.unwrap()[0].until.unwrap());
        assert!(moved > Duration::from_mins(40), "{moved:?}");
        switch.end(&["release".to_owned()]).await.unwrap();
        assert!(!switch.renew("release", hour).await.unwrap());
        assert_eq!(switch.list().await.unwrap(), []);
        engine.stop().await;
    }
}
