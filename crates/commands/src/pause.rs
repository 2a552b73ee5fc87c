//! `pause`

use std::time::Duration;

use anyhow::Context as _;
use domain::{pause, quota};

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::output::Times;
use crate::why::parse_why;

/// Stop delivering: events are accepted, and wait in order
///
/// Ends once deliveries under way have ended, and says how long the queue can hold: its retention less
/// the age of the oldest event. Use it around a release of your service. Several people may pause at
/// once, each by a name: delivery goes on when the last pause has ended, and a pause of the same name
/// takes the place of the first, with its end. Deployments leave pauses as they are. On AWS a pause that
/// is forgotten raises the alarm mapping-not-enabled; with --for it ends by itself, wherever this command
/// was typed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} pause dev --why 'release 42'\n  {program} pause prod --why 'database upgrade' --for 30m --name upgrade\n  {program} pause local --why test --json")
)]
pub struct Pause {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Why, for those who find it paused
    #[arg(long, alias = "reason", value_name = "TEXT", value_parser = parse_why)]
    pub why: String,

    /// Whose pause it is [default: who you are, as in the audit log]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub name: Option<String>,

    /// End by itself after this time, such as `30m` or `1h 30m`
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub duration: Option<Duration>,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub times: Times,
}

/// The name of a pause.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let most = pause::NAME_CHARS_MAX;
    let refused = || format!("a name is a line of {most} characters at most");
    pause::is_name(text).then(|| text.to_owned()).ok_or_else(refused)
}

fn parse_time(text: &str) -> anyhow::Result<Duration> {
    let duration = humantime::parse_duration(text).context("a time is written as 30m or 1h 30m")?;
    let bounds = Duration::from_mins(1)..=Duration::from_secs(quota::RETENTION_SECONDS_MAX.into());
    anyhow::ensure!(
        bounds.contains(&duration),
        "a pause takes from a minute to 14 days, after which SQS deletes what waits"
    );
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_bounded_by_what_the_queue_keeps() {
        assert_eq!(parse_time("1h 30m").unwrap(), Duration::from_mins(90));
        for text in ["30", "30s", "15days", "soon"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
