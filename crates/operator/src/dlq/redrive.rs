//! `dlq redrive`: per group in sequence order, the copy first, then the delete. Killed at any point
//! and started again, nothing is lost, and nothing doubled that the queue can recognise.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::SystemTime;

use domain::dead_letter::{group_of, redrive_order, redriven};
use domain::message::Message;
use domain::time::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Summary, printable};
use crate::environment::{Environment, EnvironmentArgs};
use crate::queue::{self, Held};

/// Send dead letters again, in their order, as the same events
///
/// They go back to the end of their groups: behind what has arrived for the same ordering key since.
/// The copy is sent before the dead letter is deleted, under a deduplication id that belongs to the
/// dead letter. Should this command be killed in between, start it again after two minutes, when the
/// dead letters are shown again, and within five, as long as the queue recognises what it has; later,
/// one event may arrive twice, with the same webhook-id.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask dlq redrive local --all --dry-run\n  cargo xtask dlq redrive local 4f6f… 91ab…\n  cargo xtask dlq redrive dev --all"
)]
pub(crate) struct Redrive {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Event ids, as `dlq list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    event_ids: Vec<String>,

    /// All dead letters
    #[arg(long)]
    all: bool,

    /// Show what would be sent, in which order, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON: an object with what was sent and what failed
    #[arg(long)]
    json: bool,
}

/// What a redrive did.
#[derive(Debug, Default)]
struct Report {
    sent: Vec<Summary>,
    failed: Vec<(Summary, String)>,
    interrupted: bool,
}

impl Redrive {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mut started_at = Timestamp::from(SystemTime::now());
        let mut first_look = true;
        let mut report = Report::default();
        let mut unseen: BTreeSet<&str> = self.event_ids.iter().map(String::as_str).collect();
        // Of what SQS itself moved, ten messages of a group can be seen at a time: look again.
        loop {
            let held =
                Held::receive(&environment.client, &environment.dead_letter_queue_url).await?;
            if std::mem::take(&mut first_look) {
                // This machine's clock may be behind the queue's.
                let latest = held.messages().map(|message| message.sent_at).max();
                started_at = started_at.max(latest.unwrap_or(started_at));
            }
            // What was redriven and has failed again since is not for this run.
            let chosen = held.messages().filter(|message| {
                message.sent_at <= started_at
                    && (self.all || self.event_ids.iter().any(|id| id == message.event_id()))
            });
            let plan = plan(chosen.cloned());
            for message in plan.values().flatten() {
                unseen.remove(message.event_id());
            }
            if self.dry_run {
                held.release().await?;
                self.print_plan(&plan)?;
                break;
            }
            let sent_before = report.sent.len();
            carry_out(&environment, held, plan, &mut report).await?;
            let nothing_more = report.sent.len() == sent_before;
            if !self.all || nothing_more || report.interrupted || !report.failed.is_empty() {
                break;
            }
        }
        if !self.dry_run {
            self.print(&report)?;
        }
        for event_id in &unseen {
            eprintln!(
                "error: no dead letter has event id {event_id:?}; `dlq list` shows those there are"
            );
        }
        Ok(if report.interrupted {
            ExitCode::from(130)
        } else if report.failed.is_empty() && unseen.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn print_plan(&self, plan: &BTreeMap<String, Vec<Message>>) -> anyhow::Result<()> {
        if self.json {
            let plan: Vec<Summary> = plan.values().flatten().map(Summary::of).collect();
            println!("{}", serde_json::to_string_pretty(&json!({ "would_send": plan }))?);
            return Ok(());
        }
        for (group, messages) in plan {
            println!("group {}:", printable(group));
            for message in messages {
                println!("  {}", printable(message.event_id()));
            }
        }
        let (events, groups) = (plan.values().flatten().count(), plan.len());
        println!("would send {events} events of {groups} groups; nothing was changed");
        Ok(())
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            let failed: Vec<_> = report
                .failed
                .iter()
                .map(|(summary, error)| json!({ "event_id": summary.event_id, "error": error }))
                .collect();
            let sent: Vec<_> = report.sent.iter().map(|summary| &summary.event_id).collect();
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "sent": sent, "failed": failed }))?
            );
            return Ok(());
        }
        for summary in &report.sent {
            println!(
                "sent {} to group {}",
                printable(&summary.event_id),
                printable(&summary.group)
            );
        }
        for (summary, error) in &report.failed {
            eprintln!(
                "error: {} stays a dead letter, and so does what follows it in group {}: {error}",
                printable(&summary.event_id),
                printable(&summary.group)
            );
        }
        if report.interrupted {
            eprintln!("interrupted; what was not sent is still a dead letter");
        }
        println!("sent {} events", report.sent.len());
        Ok(())
    }
}

/// The chosen dead letters by group, each group in the order of the webhook queue.
fn plan(chosen: impl Iterator<Item = Message>) -> BTreeMap<String, Vec<Message>> {
    let mut groups: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for message in chosen {
        groups.entry(group_of(&message)).or_default().push(message);
    }
    for messages in groups.values_mut() {
        messages.sort_by_cached_key(redrive_order);
    }
    groups
}

/// Sends the plan, group by group. What fails holds back what follows it in its group, and no other.
async fn carry_out(
    environment: &Environment,
    mut held: Held<'_>,
    plan: BTreeMap<String, Vec<Message>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let progress = progress(plan.values().flatten().count());
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    'groups: for messages in plan.into_values() {
        for message in messages {
            let summary = Summary::of(&message);
            // An interruption is taken between two messages only, never between copy and delete.
            let interrupted = tokio::select! {
                biased;
                _ = &mut interrupt => true,
                () = std::future::ready(()) => false,
            };
            if interrupted {
                report.interrupted = true;
                break 'groups;
            }
            match redrive(environment, &mut held, &message).await {
                Ok(()) => report.sent.push(summary),
                Err(error) => {
                    report.failed.push((summary, format!("{error:#}")));
                    break;
                }
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    held.release().await
}

async fn redrive(
    environment: &Environment,
    held: &mut Held<'_>,
    message: &Message,
) -> anyhow::Result<()> {
    held.keep(&message.message_id).await?;
    queue::send(&environment.client, &environment.queue_url, redriven(message)).await?;
    held.delete(&message.message_id).await
}

fn progress(events: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left");
    ProgressBar::new(events as u64).with_style(style.expect("a constant template"))
}
