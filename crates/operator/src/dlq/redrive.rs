//! `dlq redrive`: per group in sequence order, the copy first, then the delete. Killed at any point
//! and started again, nothing is lost, and nothing doubled that the queue can recognise.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow, bail, ensure};
use aws_sdk_sqs::types::QueueAttributeName;
use domain::dead_letter::redriven;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::newer::Newer;
use super::report::Report;
use super::select::SelectArgs;
use crate::audit::Line;
use crate::environment::{Environment, EnvironmentArgs};
use crate::interrupt::{interrupted, unless_interrupted};
use crate::letter::DeadLetter;
use crate::mapping::Mapping;
use crate::people::{self, printable};
use crate::queue::{self, Chosen, Held, Hold, Kept};
use crate::{program, progress, waiting};

/// Between two looks at how many are hidden. SQS does not tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Send dead letters again, in their order, as the same events
///
/// They go back to the end of their groups: behind what has arrived for the same ordering key since.
/// The copy is sent before the dead letter is deleted, under a deduplication id that belongs to the
/// dead letter. Should this command be killed in between, start it again within five minutes, as long as
/// the queue recognises what it has: it waits until the dead letters are shown again, after two. Later,
/// one event may arrive twice, with the same webhook-id. The audit log has a line when it starts and
/// one when it ends. Killed with --pause-first, it leaves delivery paused: `status` says so, and
/// `resume` ends that. SQS hides a message for 12 hours at most: a redrive that takes longer shows the
/// dead letters again in time, looks anew and goes on. See `dlq list --help` for what looking costs.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = crate::program::help("{program} dlq redrive [OPTIONS] [ENV] <ID… | --all | SELECTION>"),
    group = clap::ArgGroup::new("which").required(true).multiple(true).args(
        ["event_ids", "all", "route", "group", "reason", "since", "until", "grep"]
    ),
    after_help = crate::program::help("Examples:\n  {program} dlq redrive local --all --dry-run\n  {program} dlq redrive local 4f6f… 91ab…\n  {program} dlq redrive prod --reason rejected --since 2h --rate 5 --why 'fixed in release 42'\n  {program} dlq redrive prod --all --pause-first")
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

    /// Why; it stands in the audit log (--reason chooses by the reason of the dead letters)
    #[arg(long, value_name = "TEXT", value_parser = crate::pause::parse_reason)]
    why: Option<String>,

    /// Send this many in a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: Option<u32>,

    /// How long to wait for dead letters that are hidden, as by a redrive that was killed, before
    /// anything is sent
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    wait: Duration,

    /// Pause delivery, wait until deliveries under way have ended, redrive, and resume
    #[arg(long, conflicts_with = "dry_run")]
    pause_first: bool,

    /// Show what would be sent, in which order and behind what, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON: an object with what was sent and what failed
    #[arg(long)]
    json: bool,

    /// How long they are hidden at a time, in seconds
    #[arg(long, hide = true, default_value_t = Hold::default().seconds)]
    hold_seconds: u32,

    /// How long they are held at all, in seconds
    #[arg(long, hide = true, default_value_t = Hold::default().most_seconds)]
    hold_most_seconds: u32,

    #[command(flatten)]
    select: SelectArgs,
}

/// How a look's worth of sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// With the last of the chosen, or with an interruption.
    Through,
    /// They could not be held until then.
    LookAgain,
}

impl Redrive {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        if self.dry_run {
            return self.show_plan(&environment).await;
        }
        let mapping =
            if self.pause_first { Some(Mapping::find(&environment).await?) } else { None };
        // A pause that somebody else made is not for this command to end.
        let paused = match mapping {
            Some(mapping) if mapping.is_enabled().await? => mapping,
            _ => {
                say_if_paused(&environment).await?;
                return self.redrive(&environment).await;
            }
        };
        // Noted before: should this program be killed, the pause stays, and somebody has to know.
        let reason = self.why.as_deref().unwrap_or("dlq redrive --pause-first");
        let by = json!({ "by": "dlq redrive", "resumes_at": null });
        environment.audit().announce("pause", Some(reason), by).await?;
        let done = match pause(&environment, &paused).await {
            Ok(()) => self.redrive(&environment).await,
            Err(error) => Err(error),
        };
        // However it ended: nobody else knows of this pause.
        if let Err(error) = paused.switch(true).await {
            let resume = program::command(["resume", &environment.name]);
            let so = format!("delivery is still paused, and `{resume}` goes on: {error:#}");
            return Err(match done {
                Ok(_) => anyhow!(so),
                Err(first) => first.context(so),
            });
        }
        environment.audit().add("resume", None, json!({ "by": "dlq redrive" })).await?;
        done
    }

    async fn redrive(&self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let mut report = Report::new()?;
        let mut unseen: BTreeSet<&str> = self.event_ids.iter().map(String::as_str).collect();
        let ended = self.rounds(environment, &mut report, &mut unseen).await;
        // What was sent is said and noted, also when something failed after it.
        if let Some(started_at) = report.started_at {
            let mut what = self.audited("ended", started_at);
            what["sent"] = json!(report.sent);
            what["failed"] = json!(report.failed);
            what["interrupted"] = json!(report.interrupted);
            environment.audit().add("dlq redrive", self.why.as_deref(), what).await?;
        }
        if ended.is_ok() || report.sent > 0 {
            report.print(self.json)?;
        }
        ended?;
        for event_id in &unseen {
            eprintln!(
                "error: no dead letter has event id {event_id:?}; `dlq list` shows those there are"
            );
        }
        Ok(if report.interrupted {
            ExitCode::from(130)
        } else if report.failed == 0 && unseen.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// What the audit log says of this redrive; `started_at` tells which two lines are one.
    fn audited(&self, state: &str, started_at: Timestamp) -> Value {
        json!({
            "state": state, "started_at": started_at.to_string(), "all": self.all,
            "event_ids": self.event_ids, "selection": self.select.audited(),
        })
    }

    /// Of what SQS itself moved, ten messages of a group can be seen at a time, and nothing is held
    /// for longer than 12 hours: looks again until there is nothing more to send.
    async fn rounds<'a>(
        &'a self,
        environment: &Environment,
        report: &mut Report,
        unseen: &mut BTreeSet<&'a str>,
    ) -> anyhow::Result<()> {
        let mut began = Began { at: Timestamp::from(SystemTime::now()), is_first_look: true };
        unless_interrupted(self.until_all_are_shown(environment)).await?;
        loop {
            let held = self.look(environment, &mut began, unseen).await?;
            let (chosen, _groups) = held.chosen()?;
            if chosen > 0 && report.started_at.is_none() {
                let mut what = self.audited("started", began.at);
                what["chosen"] = json!(chosen);
                let noted =
                    environment.audit().announce("dlq redrive", self.why.as_deref(), what).await;
                if let Err(error) = noted {
                    held.release().await?;
                    return Err(error);
                }
                report.started_at = Some(began.at);
            }
            let sent_before = report.sent;
            let ended = self.carry_out(environment, held, chosen, report).await?;
            let nothing_more = report.sent == sent_before;
            if report.interrupted || report.failed > 0 {
                return Ok(());
            }
            if ended == Ended::LookAgain {
                ensure!(
                    !nothing_more,
                    "the dead letters could not be held: somebody else is working on them; what was \
                     not sent is still a dead letter"
                );
                eprintln!(
                    "note: SQS hides a message for 12 hours at most; looking again for those that are \
                     left, {} were sent so far",
                    report.sent
                );
                continue;
            }
            let by_id = !self.event_ids.is_empty();
            if nothing_more || (by_id && unseen.is_empty()) {
                return Ok(());
            }
        }
    }

    /// Waits until no dead letter is hidden. A redrive that was killed, or somebody who looks, hides the
    /// first ones of a group, and what came later must not be sent before them.
    async fn until_all_are_shown(&self, environment: &Environment) -> anyhow::Result<()> {
        let began = Instant::now();
        let (mut hidden, mut all) = hidden(environment).await?;
        if hidden == 0 {
            return Ok(());
        }
        let text =
            format!("{hidden} of {all} dead letters to be shown again: somebody looks at them");
        let wait = progress::spinner(text);
        while hidden > 0 && began.elapsed() < self.wait {
            tokio::time::sleep(LOOK_EVERY).await;
            (hidden, all) = self::hidden(environment).await?;
        }
        wait.finish_and_clear();
        ensure!(
            hidden == 0,
            "{hidden} of {all} dead letters are hidden still, so nothing was sent: later ones would \
             come before them. Another command looks at them, or was killed within the last minutes: \
             try again, or wait longer with --wait"
        );
        Ok(())
    }

    /// Receives what there is, and keeps what is to be sent. What was redriven and has failed again
    /// since it began is not for this run.
    async fn look<'a>(
        &self,
        environment: &'a Environment,
        began: &mut Began,
        unseen: &mut BTreeSet<&str>,
    ) -> anyhow::Result<Held<'a>> {
        let selection = self.select.selection();
        let Began { at, is_first_look } = began;
        let mut choose = |letter: &DeadLetter| {
            if *is_first_look {
                // This machine's clock may be behind the queue's.
                *at = (*at).max(letter.sent_at);
            }
            let by_id = |id: &String| id == letter.event_id();
            let chosen = letter.sent_at <= *at
                && (self.event_ids.is_empty() || self.event_ids.iter().any(by_id))
                && selection.includes(letter);
            if chosen {
                unseen.remove(letter.event_id());
            }
            chosen
        };
        let url = &environment.dead_letter_queue_url;
        let time = Hold { seconds: self.hold_seconds, most_seconds: self.hold_most_seconds };
        let held = Held::receive_for(&environment.client, url, time, &mut choose).await?;
        *is_first_look = false;
        Ok(held)
    }

    async fn show_plan(&self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let mut unseen: BTreeSet<&str> = self.event_ids.iter().map(String::as_str).collect();
        let mut began = Began { at: Timestamp::from(SystemTime::now()), is_first_look: true };
        // Before this look hides them all.
        let (hidden, all) = hidden(environment).await?;
        let held = self.look(environment, &mut began, &mut unseen).await?;
        if hidden > 0 {
            eprintln!(
                "note: {hidden} of {all} dead letters are hidden and not in this plan, as somebody looks \
                 at them; a redrive waits until they are shown again"
            );
        } else if let Some(unseen) = held.unseen() {
            eprintln!("note: {unseen}");
        }
        let shown = unless_interrupted(self.print_plan(environment, &held, hidden)).await;
        held.release().await?;
        shown?;
        for event_id in &unseen {
            eprintln!(
                "error: no dead letter has event id {event_id:?}; `dlq list` shows those there are"
            );
        }
        Ok(if unseen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn print_plan(
        &self,
        environment: &Environment,
        held: &Held<'_>,
        hidden: u64,
    ) -> anyhow::Result<()> {
        let newer = Newer::find(environment, held).await?;
        let waiting = environment.waiting().await?.total();
        let (events, groups) = held.chosen()?;
        if self.json {
            return print_plan_json(held, &newer, waiting, hidden);
        }
        let (mut last, mut group): (Option<Chosen>, Option<String>) = (None, None);
        while let Some(it) = held.after(last.as_ref())? {
            if group.as_ref() != Some(&it.group) {
                let behind = newer.of(&it.group)?;
                let (name, behind) = (printable(&it.group), behind.for_people());
                people::print(&format!("group {name}, {behind}:\n"))?;
                group = Some(it.group.clone());
            }
            people::print(&format!("  {}\n", printable(&it.event_id)))?;
            last = Some(it);
        }
        println!(
            "would send {} of {}; nothing was changed",
            people::count(events, "event"),
            people::count(groups, "group")
        );
        println!("{} in the queue now", people::count(waiting, "event"));
        Ok(())
    }

    /// Sends what is held, group by group. What fails holds back what follows it in its group, and no
    /// other.
    async fn carry_out(
        &self,
        environment: &Environment,
        mut held: Held<'_>,
        chosen: u64,
        report: &mut Report,
    ) -> anyhow::Result<Ended> {
        let progress = progress::bar(chosen, "sent");
        let mut pace = self.rate.map(|rate| {
            let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
            // What was late is not caught up faster than was said.
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        let mut ended = Ended::Through;
        let mut next = held.after(None)?;
        while let Some(it) = next {
            // An interruption is taken between two messages only, never between copy and delete.
            let its_turn = async {
                match &mut pace {
                    Some(pace) => drop(pace.tick().await),
                    None => std::future::ready(()).await,
                }
            };
            let interrupted = tokio::select! {
                biased;
                () = interrupted() => true,
                () = its_turn => false,
            };
            if interrupted {
                report.interrupted = true;
                break;
            }
            // What others have now may come before what is still held, of the same group.
            if held.is_over() || held.keep().await? == Kept::InPart {
                ended = Ended::LookAgain;
                break;
            }
            next = match send_again(environment, &mut held, &it.message_id).await {
                Ok(()) => {
                    report.sent(&it.event_id, &it.group)?;
                    held.after(Some(&it))?
                }
                Err(error) => {
                    report.failed(&it.event_id, &it.group, &format!("{error:#}"))?;
                    held.after_group(&it.group)?
                }
            };
            progress.inc(1);
        }
        progress.finish_and_clear();
        held.release().await?;
        Ok(ended)
    }
}

/// How many dead letters are hidden, and how many there are, by SQS's approximate counts.
async fn hidden(environment: &Environment) -> anyhow::Result<(u64, u64)> {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ];
    let attributes = environment.attributes_of(&environment.dead_letter_queue_url, &names).await?;
    let count = |name| -> anyhow::Result<u64> {
        let value =
            attributes.get(name).context("SQS does not say how many dead letters there are")?;
        value.parse().context("reading how many dead letters there are")
    };
    let (shown, hidden) = (count(&names[0])?, count(&names[1])?);
    Ok((hidden, shown + hidden))
}

/// When a redrive began.
struct Began {
    at: Timestamp,
    is_first_look: bool,
}

fn print_plan_json(
    held: &Held<'_>,
    newer: &Newer,
    waiting: u64,
    hidden: u64,
) -> anyhow::Result<()> {
    let mut last: Option<Chosen> = None;
    let mut before = "{\n  \"would_send\": [\n";
    while let Some(it) = held.after(last.as_ref())? {
        let line = json!({ "event_id": it.event_id, "group": it.group });
        people::print(&format!("{before}    {line}"))?;
        before = ",\n";
        last = Some(it);
    }
    people::print(if before == ",\n" { "\n  ],\n" } else { "{\n  \"would_send\": [],\n" })?;
    let mut before = "  \"groups\": [\n";
    held.each_group(|group, events, dead_since| {
        let mut line = serde_json::to_value(newer.of(group)?)?;
        line["group"] = json!(group);
        line["events"] = json!(events);
        line["dead_since"] = json!(dead_since.to_string());
        people::print(&format!("{before}    {line}"))?;
        before = ",\n";
        Ok(())
    })?;
    people::print(if before == ",\n" { "\n  ],\n" } else { "  \"groups\": [],\n" })?;
    people::print(&format!("  \"hidden\": {hidden},\n  \"waiting_before\": {waiting}\n}}\n"))?;
    Ok(())
}

/// Says when what is sent will wait, and what makes it go on: a redrive with --pause-first that was
/// killed leaves delivery paused.
async fn say_if_paused(environment: &Environment) -> anyhow::Result<()> {
    let paused = async {
        match Mapping::find_any(environment).await? {
            Some(mapping) => mapping.is_enabled().await.map(|is_enabled| !is_enabled),
            None => Ok(false),
        }
    };
    match paused.await {
        Ok(false) => return Ok(()),
        Ok(true) => {}
        Err(error) => {
            eprintln!("note: whether delivery is paused is not known: {error:#}");
            return Ok(());
        }
    }
    let lines = environment.audit().read().await?;
    let last = lines.iter().rev().find(|line| line.action == "pause" || line.action == "resume");
    let by = match last {
        Some(Line { at, by, action, reason, .. }) if action == "pause" => {
            let reason = reason.as_deref().unwrap_or("no reason given");
            format!(" since {at}, by {} ({})", printable(by), printable(reason))
        }
        _ => String::new(),
    };
    eprintln!(
        "note: delivery is paused{by}: what is sent waits until `{}`",
        program::command(["resume", &environment.name])
    );
    Ok(())
}

/// Stops delivery and waits until what is under way has ended, or until the person has had enough.
async fn pause(environment: &Environment, mapping: &Mapping<'_>) -> anyhow::Result<()> {
    unless_interrupted(async {
        mapping.switch(false).await?;
        let _shown = progress::spinner("the end of the deliveries under way");
        waiting::settled(environment).await.map(drop)
    })
    .await
}

async fn send_again(
    environment: &Environment,
    held: &mut Held<'_>,
    message_id: &str,
) -> anyhow::Result<()> {
    let letter = held.load(message_id)?;
    if letter.message_id != message_id {
        bail!("another message was kept in place of {message_id}");
    }
    queue::send(&environment.client, &environment.queue_url, redriven(&letter)).await?;
    held.delete(message_id).await.context(
        "it was sent, but could not be deleted; start again within five minutes, as long as the queue \
         recognises it",
    )
}
