//! `dlq redrive`: per group in sequence order, the copy first, then the delete. Killed at any point
//! and started again, nothing is lost, and nothing doubled that the queue can recognise.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{anyhow, ensure};
use domain::dead_letter::{group_of, redrive_order, redriven};
use domain::message::Message;
use domain::time::Timestamp;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::select::SelectArgs;
use super::{newer, printable};
use crate::environment::{Environment, EnvironmentArgs};
use crate::mapping::Mapping;
use crate::queue::{self, Held};
use crate::{pause, people, progress, waiting};

/// Send dead letters again, in their order, as the same events
///
/// They go back to the end of their groups: behind what has arrived for the same ordering key since.
/// The copy is sent before the dead letter is deleted, under a deduplication id that belongs to the
/// dead letter. Should this command be killed in between, start it again after two minutes, when the
/// dead letters are shown again, and within five, as long as the queue recognises what it has; later,
/// one event may arrive twice, with the same webhook-id. Killed with --pause-first, it leaves delivery
/// paused: `status` says so, and `cargo xtask resume` ends that. See `dlq list --help` for what looking at
/// them costs.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "cargo xtask dlq redrive [OPTIONS] <ENV> <ID… | --all | SELECTION>",
    group = clap::ArgGroup::new("which").required(true).multiple(true).args(
        ["event_ids", "all", "route", "group", "reason", "since", "until", "grep"]
    ),
    after_help = "Examples:\n  cargo xtask dlq redrive local --all --dry-run\n  cargo xtask dlq redrive local 4f6f… 91ab…\n  cargo xtask dlq redrive prod --reason rejected --since 2h --rate 5\n  cargo xtask dlq redrive prod --all --pause-first --why 'SSS 4.2 takes them'"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
pub(crate) struct Redrive {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Event ids, as `dlq list` shows them
    #[arg(value_name = "ID", conflicts_with = "all")]
    event_ids: Vec<String>,

    /// All dead letters
    #[arg(long, conflicts_with_all = ["route", "group", "reason", "since", "until", "grep"])]
    all: bool,

    /// Send this many in a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: Option<u32>,

    /// Pause delivery, wait until deliveries under way have ended, redrive, and resume
    #[arg(long, conflicts_with = "dry_run")]
    pause_first: bool,

    /// Why; it stands in the audit log (--reason chooses by the reason of the dead letters)
    #[arg(long, value_name = "TEXT", value_parser = pause::parse_reason)]
    why: Option<String>,

    /// Show what would be sent, in which order and behind what, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON: an object with what was sent and what failed
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    select: SelectArgs,
}

/// A dead letter that is to be sent.
#[derive(Debug, Clone)]
struct Planned {
    message_id: String,
    event_id: String,
    order: String,
    dead_since: Timestamp,
}

/// The chosen dead letters by group, each group in the order of the webhook queue.
type Plan = BTreeMap<String, Vec<Planned>>;

/// What a redrive did.
#[derive(Debug, Default)]
struct Report {
    /// Event ids and their groups.
    sent: Vec<(String, String)>,
    /// Event ids, their groups, and what happened.
    failed: Vec<(String, String, String)>,
    interrupted: bool,
}

impl Redrive {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mapping =
            if self.pause_first { Some(Mapping::find(&environment).await?) } else { None };
        // A pause that somebody else made is not for this command to end.
        let paused = match mapping {
            Some(mapping) if mapping.is_enabled().await? => mapping,
            Some(_paused_before) => {
                eprintln!(
                    "delivery is paused already, and stays so: `cargo xtask resume {}` ends that",
                    environment.name
                );
                return self.redrive(&environment).await;
            }
            None => return self.redrive(&environment).await,
        };
        let done = match self.pause(&environment, &paused).await {
            Ok(()) => self.redrive(&environment).await,
            Err(error) => Err(error),
        };
        // However it ended: nobody else knows of this pause.
        if let Err(error) = paused.switch(true).await {
            let resume = format!("cargo xtask resume {}", environment.name);
            let so = format!("delivery is still paused, and `{resume}` goes on: {error:#}");
            return Err(match done {
                Ok(_) => anyhow!(so),
                Err(first) => first.context(so),
            });
        }
        environment.audit().add("resume", Some(&self.pause_reason()), json!({})).await?;
        done
    }

    /// What others find who look why delivery is paused.
    fn pause_reason(&self) -> String {
        self.why
            .as_ref()
            .map_or_else(|| "dlq redrive".to_owned(), |why| format!("dlq redrive: {why}"))
    }

    /// Stops delivery and waits until what is under way has ended, or until the person has had enough.
    async fn pause(&self, environment: &Environment, mapping: &Mapping<'_>) -> anyhow::Result<()> {
        // Before it is switched off: killed from then on, it leaves a pause.
        let what = json!({ "for": "dlq redrive" });
        environment.audit().announce("pause", Some(&self.pause_reason()), what).await?;
        let wait = progress::spinner("waiting until deliveries under way have ended");
        let paused = async {
            mapping.switch(false).await?;
            waiting::settled(environment).await.map(drop)
        };
        let ended = tokio::select! {
            _interrupted = tokio::signal::ctrl_c() => Err(queue::Interrupted.into()),
            paused = paused => paused,
        };
        wait.finish_and_clear();
        ended
    }

    async fn redrive(&self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let mut report = Report::default();
        let mut unseen: BTreeSet<&str> = self.event_ids.iter().map(String::as_str).collect();
        let ended = self.rounds(environment, &mut report, &mut unseen).await;
        // What was sent is said and noted, also when something failed after it.
        if !self.dry_run {
            if !report.sent.is_empty() || !report.failed.is_empty() {
                let what = json!({ "sent": report.sent.len(), "failed": report.failed.len() });
                environment.audit().add("dlq redrive", self.why.as_deref(), what).await?;
            }
            if ended.is_ok() || !report.sent.is_empty() {
                self.print(&report)?;
            }
        }
        ended?;
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

    /// Of what SQS itself moved, ten messages of a group can be seen at a time: looks again until
    /// there is nothing more to send.
    async fn rounds(
        &self,
        environment: &Environment,
        report: &mut Report,
        unseen: &mut BTreeSet<&str>,
    ) -> anyhow::Result<()> {
        let mut started_at = Timestamp::from(SystemTime::now());
        let mut first_look = true;
        loop {
            let (held, plan) = self.look(environment, &mut started_at, first_look).await?;
            first_look = false;
            for planned in plan.values().flatten() {
                unseen.remove(planned.event_id.as_str());
            }
            if self.dry_run {
                held.release().await?;
                return self.print_plan(environment, &plan).await;
            }
            let planned = plan.values().map(Vec::len).sum::<usize>();
            // Before anything is sent: who kills it has no time for a note.
            if planned > 0 {
                let what = json!({
                    "planned": planned, "event_ids": self.event_ids, "all": self.all,
                    "selection": self.select.audited(),
                });
                let audit = environment.audit();
                let announced = audit.announce("dlq redrive", self.why.as_deref(), what).await;
                if let Err(error) = announced {
                    held.release().await?;
                    return Err(error);
                }
            }
            let sent_before = report.sent.len();
            self.carry_out(environment, held, plan, report).await?;
            let nothing_more = report.sent.len() == sent_before;
            let by_id = !self.event_ids.is_empty();
            if by_id || nothing_more || report.interrupted || !report.failed.is_empty() {
                return Ok(());
            }
        }
    }

    /// Receives what there is, and says what of it is to be sent. What was redriven and has failed
    /// again since `started_at` is not for this run.
    async fn look<'a>(
        &self,
        environment: &'a Environment,
        started_at: &mut Timestamp,
        first_look: bool,
    ) -> anyhow::Result<(Held<'a>, Plan)> {
        let selection = self.select.selection();
        let mut plan = Plan::new();
        let mut choose = |message: &Message| {
            if first_look {
                // This machine's clock may be behind the queue's.
                *started_at = (*started_at).max(message.sent_at);
            }
            let by_id = |id: &String| id == message.event_id();
            let chosen = message.sent_at <= *started_at
                && (self.event_ids.is_empty() || self.event_ids.iter().any(by_id))
                && selection.includes(message);
            if chosen {
                plan.entry(group_of(message)).or_default().push(Planned {
                    message_id: message.message_id.clone(),
                    event_id: message.event_id().to_owned(),
                    order: redrive_order(message),
                    dead_since: message.sent_at,
                });
            }
            chosen
        };
        let url = &environment.dead_letter_queue_url;
        let held = Held::receive(&environment.client, url, &mut choose).await?;
        for planned in plan.values_mut() {
            planned.sort_by(|a, b| a.order.cmp(&b.order));
        }
        Ok((held, plan))
    }

    async fn print_plan(&self, environment: &Environment, plan: &Plan) -> anyhow::Result<()> {
        let died = |planned: &[Planned]| planned.iter().map(|it| it.dead_since).min();
        let since = plan.iter().filter_map(|(group, it)| Some((group.as_str(), died(it)?)));
        let (newer, unknown) = newer::of(environment, &since.collect()).await;
        let waiting = environment.waiting().await?.total();
        if self.json {
            let would_send: Vec<_> = plan
                .iter()
                .flat_map(|(group, planned)| planned.iter().map(move |it| (group, it)))
                .map(|(group, it)| json!({ "event_id": it.event_id, "group": group }))
                .collect();
            let plan = json!({
                "would_send": would_send, "waiting_before": waiting, "newer": newer,
                "unknown": unknown,
            });
            println!("{}", serde_json::to_string_pretty(&plan)?);
            return Ok(());
        }
        for (group, planned) in plan {
            let newer = newer.get(group).copied().unwrap_or_default();
            println!("group {}, {}:", printable(group), newer.text());
            for it in planned {
                println!("  {}", printable(&it.event_id));
            }
        }
        let (events, groups) = (plan.values().flatten().count(), plan.len());
        println!(
            "would send {} of {}; nothing was changed",
            people::count(events as u64, "event"),
            people::count(groups as u64, "group")
        );
        println!("{} in the queue now", people::count(waiting, "event"));
        for reason in unknown {
            println!("not known: {}", printable(&reason));
        }
        Ok(())
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            let failed: Vec<_> = report
                .failed
                .iter()
                .map(|(event_id, _, error)| json!({ "event_id": event_id, "error": error }))
                .collect();
            let sent: Vec<_> = report.sent.iter().map(|(event_id, _)| event_id).collect();
            let report = json!({ "sent": sent, "failed": failed });
            println!("{}", serde_json::to_string_pretty(&report)?);
            return Ok(());
        }
        for (event_id, group) in &report.sent {
            println!("sent {} to group {}", printable(event_id), printable(group));
        }
        for (event_id, group, error) in &report.failed {
            eprintln!(
                "error: {} stays a dead letter, and so does what follows it in group {}: {error}",
                printable(event_id),
                printable(group)
            );
        }
        if report.interrupted {
            eprintln!("interrupted; what was not sent is still a dead letter");
        }
        println!("sent {} events", report.sent.len());
        Ok(())
    }

    /// Sends the plan, group by group. What fails holds back what follows it in its group, and no
    /// other.
    async fn carry_out(
        &self,
        environment: &Environment,
        mut held: Held<'_>,
        plan: Plan,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let progress = progress::bar(plan.values().flatten().count() as u64, "sent");
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        let mut pace = self.rate.map(|rate| {
            let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
            // What was late is not caught up faster than was said.
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        'groups: for (group, planned) in plan {
            for it in planned {
                // An interruption is taken between two messages only, never between copy and delete.
                let its_turn = async {
                    match &mut pace {
                        Some(pace) => drop(pace.tick().await),
                        None => std::future::ready(()).await,
                    }
                };
                let interrupted = tokio::select! {
                    biased;
                    _ = interrupt.as_mut() => true,
                    () = its_turn => false,
                };
                if interrupted {
                    report.interrupted = true;
                    break 'groups;
                }
                match send_again(environment, &mut held, &it.message_id).await {
                    Ok(()) => report.sent.push((it.event_id, group.clone())),
                    Err(error) => {
                        report.failed.push((it.event_id, group, format!("{error:#}")));
                        break;
                    }
                }
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
        held.release().await
    }
}

async fn send_again(
    environment: &Environment,
    held: &mut Held<'_>,
    message_id: &str,
) -> anyhow::Result<()> {
    held.keep().await?;
    let message = held.load(message_id)?;
    ensure!(message.message_id == message_id, "another message was kept in place of {message_id}");
    queue::send(&environment.client, &environment.queue_url, redriven(&message)).await?;
    held.delete(message_id).await
}
