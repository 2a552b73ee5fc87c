//! How long the queue can hold while nothing is delivered: SQS deletes an event once it is older than
//! the retention, whether it was tried or not.

use std::time::Duration;

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::cloudwatch::{self, CloudWatch};
use crate::environment::{Environment, Host};
use crate::people::{self, span};
use crate::sdk::in_time;
use crate::zone;

/// How far back `CloudWatch` is asked for an age. SQS tells one each minute, some minutes late.
const AGE_BACK: Duration = Duration::from_mins(15);

/// The age of the oldest event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oldest {
    /// The queue is empty.
    None,
    /// By the engine, which knows.
    Age(Duration),
    /// By `CloudWatch`, some minutes ago: it may have left since, so it is this old at most.
    AtMost(Duration),
    /// Why it is not known.
    Unknown(String),
}

/// Until when the queue holds what waits in it.
#[derive(Debug)]
pub(crate) struct KeptUntil {
    oldest: Oldest,
    retention: Duration,
    now: Timestamp,
}

impl KeptUntil {
    /// Asks how old the oldest of `waiting` events is.
    pub(crate) async fn of(environment: &Environment, waiting: u64, retention: Duration) -> Self {
        let now = people::now();
        let asked = match waiting {
            0 => Ok(Oldest::None),
            _ => in_time(ask(environment, now)).await,
        };
        let oldest = asked.unwrap_or_else(|error| Oldest::Unknown(format!("{error:#}")));
        Self { oldest, retention, now }
    }

    /// How long the oldest event is kept from now on; `None` if that is not known.
    fn left(&self) -> Option<Duration> {
        match self.oldest {
            Oldest::None => Some(self.retention),
            Oldest::Age(age) | Oldest::AtMost(age) => Some(self.retention.saturating_sub(age)),
            Oldest::Unknown(_) => None,
        }
    }

    /// Whether events are deleted before a pause of this length ends, as far as is known.
    pub(crate) fn ends_before(&self, pause: Duration) -> bool {
        self.left().is_some_and(|left| pause > left)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let kept = span(self.retention);
        let holds = |age: Duration, most: &str| {
            let left = self.retention.saturating_sub(age);
            format!(
                "the queue holds for {}, until {}: the oldest event is {most}{} old, and SQS \
                 deletes what is older than {kept}",
                span(left),
                zone::in_words(self.now.plus(left)),
                span(age)
            )
        };
        match &self.oldest {
            Oldest::None => {
                format!(
                    "the queue is empty, and keeps each new event for {kept} from its acceptance"
                )
            }
            Oldest::Age(age) => holds(*age, ""),
            Oldest::AtMost(age) => holds(*age, "at most "),
            Oldest::Unknown(why) => format!(
                "the queue keeps each event for {kept} from its acceptance; how old the oldest is, is \
                 unknown ({why})"
            ),
        }
    }

    /// For machines.
    pub(crate) fn json(&self) -> Value {
        let left = self.left();
        let (oldest_age_ms, by, unknown) = match &self.oldest {
            Oldest::None => (None, "empty", None),
            Oldest::Age(age) => (Some(age), "engine", None),
            Oldest::AtMost(age) => (Some(age), "cloudwatch", None),
            Oldest::Unknown(why) => (None, "unknown", Some(why)),
        };
        json!({
            "for_ms": left.map(ms), "until": left.map(|left| self.now.plus(left).to_string()),
            "oldest_age_ms": oldest_age_ms.copied().map(ms), "by": by, "unknown": unknown,
        })
    }
}

async fn ask(environment: &Environment, now: Timestamp) -> anyhow::Result<Oldest> {
    match &environment.host {
        Host::Engine { api, .. } => {
            let age_ms = api.status().await?.queue.oldest_age_ms;
            Ok(age_ms.map_or(Oldest::None, |ms| Oldest::Age(Duration::from_millis(ms))))
        }
        Host::Aws { sdk, deployment } => {
            let metric = [cloudwatch::age_of(&deployment.config.queue_name())];
            let since = people::before(now, AGE_BACK);
            let answers = CloudWatch::new(sdk).metrics(&metric, since, now).await?;
            let age = answers.first().and_then(cloudwatch::newest_age);
            Ok(match age {
                Some(age) => Oldest::AtMost(Duration::from_secs(age.seconds) + now.since(age.at)),
                None => Oldest::Unknown("CloudWatch has no age of the last 15 minutes".to_owned()),
            })
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(oldest: Oldest) -> KeptUntil {
        KeptUntil {
            oldest,
            retention: Duration::from_hours(14 * 24),
            now: people::time("2026-01-01T00:00:00Z").unwrap(),
        }
    }

    #[test]
    fn what_the_queue_holds_is_its_retention_less_the_oldest_age() {
        let day = Duration::from_hours(24);
        let text = hold(Oldest::Age(day)).text();
        assert!(
            text.starts_with("the queue holds for 13 d, until 2026-01-14 00:00:00 UTC: the oldest"),
            "{text}"
        );
        let json = hold(Oldest::Age(day)).json();
        assert_eq!(json["for_ms"], 13 * 86_400_000_u64);
        assert_eq!(json["until"], "2026-01-14T00:00:00.000Z");
        assert_eq!(hold(Oldest::AtMost(day * 20)).left(), Some(Duration::ZERO));
    }

    #[test]
    fn an_age_that_is_not_known_is_no_age_of_0() {
        let unknown = hold(Oldest::Unknown("no answer within 10 s".to_owned()));
        assert_eq!((unknown.left(), unknown.json()["for_ms"].as_u64()), (None, None));
        assert!(unknown.text().contains("unknown (no answer within 10 s)"), "{}", unknown.text());
        assert_eq!(hold(Oldest::None).left(), Some(Duration::from_hours(14 * 24)));
    }

    #[test]
    fn a_pause_is_too_long_when_it_is_longer_than_what_is_held() {
        let day = Duration::from_hours(24);
        let ends_before = |pause| hold(Oldest::Age(day)).ends_before(pause);
        assert!(!ends_before(day * 13) && ends_before(day * 13 + Duration::from_secs(1)));
        assert!(!hold(Oldest::Unknown("no answer".to_owned())).ends_before(day * 99));
    }
}
