//! `pause`: the event source mapping is disabled. Messages wait in the queue, in order.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::quota;
use domain::time::Timestamp;
use serde_json::json;

use crate::environment::EnvironmentArgs;
use crate::hold::Hold;
use crate::mapping::Mapping;
use crate::resumption::Resumption;
use crate::{people, program, progress, waiting};

/// Stop delivering: events are accepted, and wait in order
///
/// Ends once deliveries under way have ended, and says how long the queue can hold: its retention less
/// the age of the oldest event. Use it around a release of your service. Deployments
/// leave a pause as it is. On AWS a pause that is forgotten raises the alarm mapping-not-enabled; with
/// --for it ends by itself, wherever this command was typed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} pause dev --reason 'release 42'\n  {program} pause prod --reason 'database upgrade' --for 30m\n  {program} pause local --reason test --json")
)]
pub(crate) struct Pause {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Why, for those who find it paused
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    reason: String,

    /// Resume by itself after this time, such as `30m` or `1h 30m`
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    duration: Option<Duration>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Pause {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mapping = Mapping::find(&environment).await?;
        let resumption = Resumption::of(&environment, &mapping);
        // Before it is switched off: a pause must not outlast what was asked for.
        let resumes_at = match self.duration {
            None => {
                resumption.cancel().await?;
                None
            }
            Some(duration) => {
                let at = Timestamp::from(SystemTime::now()).plus(duration);
                resumption.schedule(at, &self.reason).await?;
                Some(at)
            }
        };
        mapping.switch(false).await?;
        let wait = progress::spinner("the end of the deliveries under way");
        let waiting = waiting::settled(&environment).await?;
        wait.finish_and_clear();
        let what = json!({ "resumes_at": resumes_at.map(|at| at.to_string()) });
        environment.audit().add("pause", Some(&self.reason), what).await?;
        let retention_seconds: u64 =
            environment.attribute(QueueAttributeName::MessageRetentionPeriod).await?;
        let retention = Duration::from_secs(retention_seconds);
        let hold = Hold::of(&environment, waiting.total(), retention).await;
        if self.json {
            let paused = json!({
                "environment": environment.name, "state": "paused", "reason": self.reason,
                "waiting": waiting.total(), "retention_seconds": retention_seconds,
                "holds": hold.json(), "resumes_at": resumes_at.map(|at| at.to_string()),
            });
            println!("{paused}");
        } else {
            let waits = people::events_wait(waiting.total());
            println!("paused: {waits}; new ones are accepted, and wait too, in order");
            println!("{}", hold.text());
            let resume = format!("`{}`", program::command(["resume", &environment.name]));
            match resumes_at {
                Some(at) => println!("it ends by itself at {at}, or with {resume}"),
                None => println!("{resume} ends it"),
            }
        }
        if let (Some(duration), Some(left)) = (self.duration, hold.left())
            && duration > left
        {
            eprintln!(
                "warning: the pause is longer than that: SQS will delete events before it ends"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(crate) fn parse_reason(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let is_readable = !text.is_empty() && !text.chars().any(char::is_control);
    is_readable.then(|| text.to_owned()).ok_or("say in a line why")
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

    #[test]
    fn a_reason_is_a_line() {
        assert_eq!(parse_reason(" リリース 42 "), Ok("リリース 42".to_owned()));
        assert!(parse_reason(" ").is_err());
        assert!(parse_reason("a\u{1b}[2J").is_err());
    }
}
