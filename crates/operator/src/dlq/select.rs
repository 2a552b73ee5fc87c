//! Which dead letters a command is about, as it is typed.

use std::time::SystemTime;

use anyhow::Context as _;
use domain::selection::Selection;
use domain::time::Timestamp;
use serde_json::{Value, json};

/// What dead letters are chosen by
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectArgs {
    /// Only those of this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,

    /// Only those of this message group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,

    /// Only those with this reason, such as `rejected`
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,

    /// Only those dead since this time, such as `2026-11-23T09:00:00Z`, or `2h` for two hours ago
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,

    /// Only those dead before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,

    /// Only those whose body, event id or answer contains this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
}

impl SelectArgs {
    pub(super) fn selection(&self) -> Selection {
        let Self { route, group, reason, since, until, grep } = self.clone();
        Selection { route, group, reason, since, until, text: grep }
    }

    /// What was said, for the audit log: without the text, which may be of a body.
    pub(super) fn audited(&self) -> Value {
        json!({
            "route": self.route,
            "group": self.group,
            "reason": self.reason,
            "since": self.since.map(|since| since.to_string()),
            "until": self.until.map(|until| until.to_string()),
            "grep": self.grep.is_some(),
        })
    }
}

fn parse_time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text)
        .context("a time is written as 2026-11-23T09:00:00Z, or as 2h for two hours ago")?;
    let now = SystemTime::now();
    Ok(now
        .checked_sub(ago)
        .with_context(|| format!("{text} is longer ago than time goes back"))?
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_so_long_ago() {
        assert_eq!(
            parse_time("2026-01-01T00:00:00Z").unwrap(),
            Timestamp::from_ms(1_767_225_600_000)
        );
        let now = Timestamp::from(SystemTime::now());
        assert_eq!(now.since(parse_time("2h").unwrap()).as_secs() / 60, 120);
        assert!(parse_time("yesterday").is_err());
    }
}
