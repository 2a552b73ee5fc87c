//! Which dead letters a command is about.

use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use domain::dead_letter::{Class, MOVED_BY_SQS};
use domain::issue;
use domain::selection::Selection;
use domain::time::Timestamp;
use serde_json::{Value, json};

/// A time that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As such.
    At(Timestamp),
    /// So long ago, by the queue's clock: this machine's may be wrong.
    Ago(Duration),
}

/// What dead letters are chosen by
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectArgs {
    /// Only those of this route
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub route: Option<String>,

    /// Only those of this message group
    #[arg(long, value_name = "GROUP", value_parser = NonEmptyStringValueParser::new())]
    pub group: Option<String>,

    /// Only those that died for this reason
    #[arg(long, value_name = "CLASS", value_parser = classes())]
    pub class: Option<String>,

    /// Only those of this issue, as `dlq issues` names it; the beginning is enough if no other has it
    #[arg(long, value_name = "NAME")]
    pub issue: Option<issue::Typed>,

    /// Only those dead since this time, such as `2026-11-23T09:00:00Z`, or `2h` for two hours ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,

    /// Only those dead before this time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,

    /// Only those whose body, event id or answer contains this text
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub grep: Option<String>,
}

/// [`SelectArgs`], with what `--class` was called before.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SelectOrReason {
    #[command(flatten)]
    select: SelectArgs,

    #[arg(long, value_name = "CLASS", hide = true, conflicts_with = "class", value_parser = classes())]
    reason: Option<String>,
}

impl SelectOrReason {
    /// What was said, by whichever name.
    #[must_use]
    pub fn select(&self) -> SelectArgs {
        let class = self.select.class.clone().or_else(|| self.reason.clone());
        SelectArgs { class, ..self.select.clone() }
    }
}

impl SelectArgs {
    /// What was said, when the queue's clock shows `now`.
    #[must_use]
    pub fn selection(&self, now: Timestamp) -> Selection {
        let Self { route, group, class, issue, since, until, grep } = self.clone();
        let at = |when: When| when.at(now);
        let (since, until) = (since.map(at), until.map(at));
        Selection { route, group, reason: class, issue, since, until, text: grep }
    }

    /// What was said, as it is typed.
    #[must_use]
    pub fn typed(&self) -> String {
        let Self { route, group, class, issue, since, until, grep } = self;
        let options = [
            ("--route", route.clone()),
            ("--group", group.clone()),
            ("--class", class.clone()),
            ("--issue", issue.map(|it| it.to_string())),
            ("--since", since.map(When::typed)),
            ("--until", until.map(When::typed)),
            ("--grep", grep.clone()),
        ];
        let words = options.into_iter().filter_map(|(option, value)| {
            let value = value?;
            Some(format!("{option} {}", shlex::try_quote(&value).unwrap_or(value.as_str().into())))
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// What was said, for the audit log: without the text, which may be of a body.
    #[must_use]
    pub fn audited(&self, now: Timestamp) -> Value {
        let at = |when: Option<When>| when.map(|when| when.at(now).to_string());
        json!({
            "route": self.route,
            "group": self.group,
            "reason": self.class,
            "issue": self.issue.map(|it| it.to_string()),
            "since": at(self.since),
            "until": at(self.until),
            "grep": self.grep.is_some(),
        })
    }
}

impl When {
    /// What was typed.
    ///
    /// # Errors
    ///
    /// When it is no time.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let ago = humantime::parse_duration(text)
            .context("a time is written as 2026-11-23T09:00:00Z, or as 2h for two hours ago")?;
        Ok(Self::Ago(ago))
    }

    fn typed(self) -> String {
        match self {
            Self::At(time) => time.to_string(),
            Self::Ago(ago) => humantime::format_duration(ago).to_string().replace(' ', ""),
        }
    }

    /// The time, when it is `now`.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => {
                let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                Timestamp::from_ms(now.as_ms().saturating_sub(ago_ms))
            }
        }
    }
}

/// All classes there are.
pub(super) fn classes() -> PossibleValuesParser {
    Class::ALL.iter().map(|class| class.as_str()).chain([MOVED_BY_SQS]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_so_long_ago_by_the_queue() {
        let now = Timestamp::from_ms(1_767_225_600_000);
        assert_eq!(When::parse("2026-01-01T00:00:00Z").unwrap().at(Timestamp::default()), now);
        let ago = When::parse("2h").unwrap().at(now);
        assert_eq!(now.since(ago), Duration::from_hours(2));
        assert_eq!(When::Ago(Duration::MAX).at(now), Timestamp::from_ms(0));
        assert!(When::parse("yesterday").is_err());
    }

    #[test]
    fn the_audit_log_has_no_text_of_a_body() {
        let select = SelectArgs {
            class: Some("rejected".to_owned()),
            since: Some(When::Ago(Duration::from_secs(1))),
            grep: Some("株式会社".to_owned()),
            ..SelectArgs::default()
        };
        let audited = select.audited(Timestamp::from_ms(2_000));
        assert_eq!(audited["grep"], true);
        assert_eq!(audited["since"], "1970-01-01T00:00:01.000Z");
        assert_eq!(audited["reason"], "rejected");
        assert!(!audited.to_string().contains("株式会社"));
    }
}
