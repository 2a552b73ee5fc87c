//! `dlq redrive`: per group in sequence order, the copy first, then the delete. Killed at any point
//! and started again, nothing is lost, and nothing doubled that the queue can recognise.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use commands::audit::AuditArgs;
use commands::dlq::{Redrive, Which};
use commands::{command, program::value};
use domain::dead_letter::redriven;
use domain::time::Timestamp;
use serde_json::json;
use terminal::exit::Failure;
use tokio::time::MissedTickBehavior;

use super::choice::Choice;
use super::look::{Typed, no_such};
use super::newer::Newer;
use super::note_none_chosen;
use super::report::Report;
use crate::audit::{Action, Ending};
use crate::environment::{self, Environment};
use crate::interrupt::{self, interrupted, unless_interrupted};
use crate::lease::{RedriveLease, with_lease};
use crate::letter::DeadLetter;
use crate::pauses::{self, Switch};
use crate::people::{self, printable};
use crate::queue::{self, Chosen, Counts, Held, Hiding, Kept, Looked};
use crate::scratch::Scratch;
use crate::{progress, queue_counts};

/// Between two looks at how many are hidden. SQS does not tell by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// As many of the events that were sent are named in the audit log.
const NAMED_MAX: u32 = 1_000;

/// The name of a redrive's own pause.
const PAUSE: &str = "dlq redrive";

/// The events that were sent by this run: what fails again at once is not sent again. And the groups that
/// were said to have older dead letters which are passed over.
const TABLES: &str = "
    CREATE TABLE sent (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE said (group_name TEXT PRIMARY KEY) WITHOUT ROWID;";

/// As many events of a group are named that are passed over.
const PASSED_OVER_NAMED: u32 = 5;

/// How a look's worth of sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// With the last of the chosen, or with an interruption.
    Through,
    /// They could not be held until then.
    LookAgain,
}

/// One run of the command.
struct Run<'a> {
    given: &'a Redrive,
    which: Which,
    choice: Choice,
    environment: &'a Environment,
    /// When it began, by the queue's clock: what has died since is not for this run.
    began: Timestamp,
    sent: Scratch,
    report: Report,
    /// The events that were named and found.
    meant: BTreeSet<String>,
    /// What was typed of which no dead letter was seen.
    unknown: Vec<String>,
    /// How much of what there was was seen by the last look.
    looked: Looked,
    /// In the audit log, from when something is about to be sent.
    action: Option<Action>,
}

pub(super) async fn run(given: Redrive) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let began = environment.queue_time().await?;
    let report = Report::new(given.json && !given.dry_run);
    let which = given.which();
    let run = Run {
        choice: Choice::of(&which.select, began)?,
        which,
        given: &given,
        environment: &environment,
        began,
        sent: Scratch::with(TABLES)?,
        report,
        meant: BTreeSet::new(),
        unknown: given.which.event_ids.clone(),
        looked: Looked { seen: 0, all: 0 },
        action: None,
    };
    let _guard = interrupt::guard();
    if given.dry_run { Box::pin(run.show_plan()).await } else { Box::pin(run.redrive()).await }
}

impl<'a> Run<'a> {
    async fn redrive(self) -> anyhow::Result<ExitCode> {
        let Self { environment, given, .. } = self;
        let redrive = async |lease: &RedriveLease<'_>| Box::pin(self.under(lease)).await;
        Box::pin(with_lease(environment, given.why.as_deref(), given.wait, redrive)).await
    }

    async fn under(self, lease: &RedriveLease<'_>) -> anyhow::Result<ExitCode> {
        let environment = self.environment;
        // Holding no dead letter meanwhile, and before anything is paused.
        if self.which.event_ids.is_empty() {
            unless_interrupted(self.until_all_are_shown()).await?;
        }
        if !self.given.pause_first {
            say_if_paused(environment).await;
            return self.send_all(lease).await;
        }
        let switch = Switch::of(environment)?;
        let reason = self.given.why.as_deref().unwrap_or("dlq redrive --pause-first");
        let by = json!({ "by": "dlq redrive", "name": PAUSE });
        let audit = environment.audit();
        let action = audit.begin("pause", Some(reason), by.clone(), self.given.audit).await?;
        let begun = switch.begin_own(PAUSE, reason).await;
        let done = match action.end(by.clone(), begun).await {
            Ok(()) => Box::pin(settle(environment, &switch)).await,
            Err(error) => Err(error),
        };
        let done = match done {
            Ok(()) => {
                let work = Box::pin(self.send_all(lease));
                Box::pin(switch.renewed_while(PAUSE, work)).await
            }
            Err(error) => Err(error),
        };
        // What cannot be noted does not keep the pause from its end.
        let without = AuditArgs { without_audit: true };
        let action = environment.audit().begin("resume", None, by.clone(), without).await?;
        // However it ended: nobody else ends this pause, and this ends no other.
        let ended = switch.end(&[PAUSE.to_owned()]).await;
        if let Err(error) = action.end(by, ended).await {
            let resume = command!["resume", value(&environment.name), "--name", PAUSE];
            let so = format!("delivery is still paused, and `{resume}` goes on: {error:#}");
            return Err(match done {
                Ok(_) => anyhow!(so),
                Err(first) => first.context(so),
            });
        }
        say_if_paused(environment).await;
        done
    }

    async fn send_all(mut self, lease: &RedriveLease<'_>) -> anyhow::Result<ExitCode> {
        let ended = self.rounds(lease).await;
        let ended = self.note(ended).await;
        if ended.is_ok() || self.report.sent > 0 {
            self.report.finish();
        }
        ended?;
        if self.report.sent == 0 && self.report.failed == 0 {
            note_none_chosen(self.environment, self.looked, &self.which.select).await?;
        }
        for typed in &self.unknown {
            eprintln!("error: {}", no_such(typed, self.looked));
        }
        let by_id = !self.which.event_ids.is_empty();
        // What was asked for by its id was found or is unknown; everything else may be among the hidden.
        let left_out = if by_id { 0 } else { self.looked.unseen() };
        if let (true, Some(text)) = (left_out > 0, self.looked.text()) {
            eprintln!(
                "error: {text}; an earlier event of a key may be among them, and come after a later one"
            );
        }
        Ok(if self.report.interrupted {
            ExitCode::from(Failure::Interrupted as u8)
        } else if self.report.failed == 0 && self.unknown.is_empty() && left_out == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Notes what was sent, also when something failed after it, and gives how it ended.
    async fn note(&mut self, ended: anyhow::Result<()>) -> anyhow::Result<()> {
        let Some(action) = self.action.take() else { return ended };
        let mut what = self.which.audited(self.began);
        what["sent"] = json!(self.report.sent);
        what["failed"] = json!(self.report.failed);
        what["interrupted"] = json!(self.report.interrupted);
        what["unseen"] = json!(self.looked.unseen());
        let ended = match self.sent_ids() {
            Ok(ids) => {
                what["sent_ids"] = json!(ids);
                ended
            }
            Err(error) => ended.and(Err(error.context("naming what was sent"))),
        };
        let ending = match &ended {
            Err(error) => Ending::by(error),
            Ok(()) if self.report.interrupted => Ending::Interrupted,
            Ok(()) if self.report.failed > 0 => Ending::Failed,
            Ok(()) => Ending::Done,
        };
        let noted = action.end_as(ending, what).await;
        // How it ended is worth more than that this is not noted.
        ended.and(noted)
    }

    /// Of what SQS itself moved, ten messages of a group can be seen at a time, and nothing is held
    /// for longer than 12 hours: looks again until there is nothing more to send.
    async fn rounds(&mut self, lease: &RedriveLease<'_>) -> anyhow::Result<()> {
        loop {
            let held = self.look_at_all().await?;
            let (chosen, _groups) = held.chosen()?;
            self.say_passed_over(&held)?;
            if chosen > 0 && self.action.is_none() {
                let mut what = self.which.audited(self.began);
                what["chosen"] = json!(chosen);
                let audit = self.environment.audit();
                let why = self.given.why.as_deref();
                match audit.begin("dlq redrive", why, what, self.given.audit).await {
                    Ok(action) => self.action = Some(action),
                    Err(error) => {
                        held.release().await?;
                        return Err(error);
                    }
                }
            }
            let sent_before = self.report.sent;
            let ended = self.carry_out(lease, held, chosen).await?;
            let nothing_more = self.report.sent == sent_before;
            if self.report.interrupted || self.report.failed > 0 {
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
                    self.report.sent
                );
                continue;
            }
            let all_by_id = !self.which.event_ids.is_empty() && self.unknown.is_empty();
            if nothing_more || all_by_id {
                return Ok(());
            }
        }
    }

    /// Receives what there is, until nothing is missing that could come before what is held: somebody may
    /// have begun to look just now. By ids the order is not what counts, and with `--now` it is given up.
    async fn look_at_all(&mut self) -> anyhow::Result<Held<'a>> {
        let by_id = !self.which.event_ids.is_empty();
        let began = Instant::now();
        loop {
            let held = self.look().await?;
            self.looked = held.looked();
            let enough = self.given.now || (by_id && self.unknown.is_empty());
            if enough || self.looked.unseen() == 0 || held.rest_is_behind()? {
                return Ok(held);
            }
            if began.elapsed() >= self.given.wait {
                if by_id {
                    return Ok(held);
                }
                held.release().await?;
                bail!("{}", still_hidden(self.looked.unseen(), self.looked.all));
            }
            held.release().await?;
            unless_interrupted(self.until_all_are_shown()).await?;
        }
    }

    /// Receives what there is, and keeps what is to be sent.
    async fn look(&mut self) -> anyhow::Result<Held<'a>> {
        let environment = self.environment;
        let by_id = !self.which.event_ids.is_empty();
        // What was found once is meant, whatever else begins like it.
        let typed = std::mem::take(&mut self.unknown);
        let mut ids = Typed::new(&typed);
        let mut asked = Ok(());
        let default = Hiding::default();
        let hiding = Hiding {
            seconds: self.given.hold_seconds.unwrap_or(default.seconds),
            most_seconds: self.given.hold_most_seconds.unwrap_or(default.most_seconds),
        };
        let began = self.began;
        let Self { choice, sent, meant, .. } = &mut *self;
        let choose = |letter: &DeadLetter| {
            let event_id = letter.event_id();
            let is_included = choice.includes(letter);
            if letter.sent_at > began || (by_id && !meant.contains(event_id) && !ids.meet(event_id))
            {
                return false;
            }
            match was_sent(sent, event_id) {
                Ok(was_sent) => !was_sent && is_included,
                Err(error) => {
                    asked = Err(error);
                    false
                }
            }
        };
        let url = &environment.dead_letter_queue_url;
        let held = Held::receive_for(&environment.client, url, hiding, choose).await?;
        // In later rounds what there was of it may have been sent.
        let is_first = self.report.sent == 0;
        let is_known = if is_first { self.choice.check(held.looked()) } else { Ok(()) };
        let resolved =
            asked.and(is_known).and_then(|()| ids.resolve()).and_then(|(found, unknown)| {
                self.meant.extend(found);
                self.unknown = unknown.into_iter().map(str::to_owned).collect();
                if by_id { held.keep_only(&self.meant) } else { Ok(()) }
            });
        if let Err(error) = resolved {
            held.release().await?;
            return Err(error);
        }
        Ok(held)
    }

    /// The events that were sent, as many as are named.
    fn sent_ids(&self) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        self.sent.each(
            "SELECT event_id FROM sent LIMIT ?1",
            [NAMED_MAX],
            |row| row.get(0),
            |event_id| {
                ids.push(event_id);
                Ok(())
            },
        )?;
        Ok(ids)
    }

    /// Says which older dead letters of the same keys stay behind what is sent: it comes before them.
    fn say_passed_over(&mut self, held: &Held<'_>) -> anyhow::Result<()> {
        held.each_passed_over(PASSED_OVER_NAMED, |it| {
            let insert = "INSERT INTO said VALUES (?1) ON CONFLICT DO NOTHING";
            if self.sent.change(insert, [&it.group])? > 0 {
                self.report.passed_over(&it);
            }
            Ok(())
        })
    }

    /// Waits until no dead letter is hidden. A redrive that was killed, or somebody who looks, hides the
    /// first ones of a group, and what came later must not be sent before them.
    async fn until_all_are_shown(&self) -> anyhow::Result<()> {
        if self.given.now {
            return Ok(());
        }
        let began = Instant::now();
        let mut counts = self.counts().await?;
        if counts.hidden == 0 {
            return Ok(());
        }
        let text = format!(
            "{} of {} dead letters to be shown again: somebody looks at them",
            counts.hidden,
            counts.all()
        );
        let wait = progress::spinner(text);
        while counts.hidden > 0 && began.elapsed() < self.given.wait {
            tokio::time::sleep(LOOK_EVERY).await;
            counts = self.counts().await?;
        }
        wait.finish_and_clear();
        ensure!(counts.hidden == 0, "{}", still_hidden(counts.hidden, counts.all()));
        Ok(())
    }

    async fn counts(&self) -> anyhow::Result<Counts> {
        Counts::of(&self.environment.client, &self.environment.dead_letter_queue_url).await
    }

    async fn show_plan(mut self) -> anyhow::Result<ExitCode> {
        let held = self.look().await?;
        self.looked = held.looked();
        if let Some(text) = self.looked.text() {
            eprintln!("note: {text}; they are not in this plan, and a redrive waits for them");
        }
        let shown = unless_interrupted(self.print_plan(&held)).await;
        let (chosen, _groups) = held.chosen()?;
        held.release().await?;
        shown?;
        if chosen == 0 {
            note_none_chosen(self.environment, self.looked, &self.which.select).await?;
        }
        for typed in &self.unknown {
            eprintln!("error: {}", no_such(typed, self.looked));
        }
        let complete = self.unknown.is_empty() && self.looked.unseen() == 0;
        Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn print_plan(&self, held: &Held<'_>) -> anyhow::Result<()> {
        let newer = Newer::find(self.environment, held).await?;
        let waiting = self.environment.waiting().await?.all();
        let (events, groups) = held.chosen()?;
        if self.given.json {
            return print_plan_json(held, &newer, waiting, self.looked.unseen());
        }
        println!(
            "would send {} of {}; nothing was changed",
            people::count(events, "event"),
            people::count(groups, "group")
        );
        println!("{} in the queue now", people::count(waiting, "event"));
        held.each_group(|group, events, _dead_since| {
            let (name, behind) = (printable(group), newer.of(group)?.for_people());
            println!("  group {name}: {}, {behind}", people::count(events, "event"));
            Ok(())
        })?;
        held.each_passed_over(PASSED_OVER_NAMED, |it| {
            println!("  {}", it.for_people());
            Ok(())
        })?;
        let (mut last, mut group): (Option<Chosen>, Option<String>) = (None, None);
        while let Some(it) = held.after(last.as_ref())? {
            if group.as_ref() != Some(&it.group) {
                println!("\ngroup {}:", printable(&it.group));
                group = Some(it.group.clone());
            }
            println!("  {}", printable(&it.event_id));
            last = Some(it);
        }
        Ok(())
    }

    /// Sends what is held, group by group. What fails holds back what follows it in its group, and no
    /// other.
    async fn carry_out(
        &mut self,
        lease: &RedriveLease<'_>,
        mut held: Held<'_>,
        chosen: u64,
    ) -> anyhow::Result<Ended> {
        let progress = progress::bar(chosen, "sent");
        let mut pace = self.given.rate.map(|rate| {
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
            let is_over = tokio::select! {
                biased;
                () = interrupted() => true,
                () = its_turn => false,
            };
            if is_over {
                self.report.interrupted = true;
                break;
            }
            lease.progress(self.report.sent, Some(chosen.max(self.report.sent)));
            if let Err(error) = lease.check() {
                held.release().await?;
                return Err(error);
            }
            // What others have now may come before what is still held, of the same group.
            if held.is_over() || held.keep().await? == Kept::InPart {
                ended = Ended::LookAgain;
                break;
            }
            next = match send_again(self.environment, &mut held, &it.message_id).await {
                Ok(()) => {
                    let insert = "INSERT INTO sent VALUES (?1) ON CONFLICT DO NOTHING";
                    self.sent.change(insert, [&it.event_id])?;
                    self.report.sent(&it.event_id, &it.group);
                    held.after(Some(&it))?
                }
                Err(error) => {
                    self.report.failed(&it.event_id, &it.group, &format!("{error:#}"));
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

fn was_sent(sent: &Scratch, event_id: &str) -> anyhow::Result<bool> {
    let find = "SELECT 1 FROM sent WHERE event_id = ?1";
    Ok(sent.first(find, [event_id], |_row| Ok(()))?.is_some())
}

/// What is said when others do not show what they look at.
fn still_hidden(hidden: u64, all: u64) -> String {
    format!(
        "{hidden} of {all} dead letters are hidden still, so nothing was sent: later ones would come \
         before them. Another command looks at them, or was killed within the last minutes: try again, \
         wait longer with --wait, or give the order up with --now"
    )
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
        print!("{before}    {line}");
        before = ",\n";
        last = Some(it);
    }
    print!("{}", if before == ",\n" { "\n  ],\n" } else { "{\n  \"would_send\": [],\n" });
    let mut before = "  \"groups\": [\n";
    held.each_group(|group, events, dead_since| {
        let mut line = serde_json::to_value(newer.of(group)?)?;
        line["group"] = json!(group);
        line["events"] = json!(events);
        line["dead_since"] = json!(dead_since.to_string());
        print!("{before}    {line}");
        before = ",\n";
        Ok(())
    })?;
    print!("{}", if before == ",\n" { "\n  ],\n" } else { "  \"groups\": [],\n" });
    let mut before = "  \"passed_over\": [\n";
    held.each_passed_over(PASSED_OVER_NAMED, |it| {
        print!("{before}    {}", it.json());
        before = ",\n";
        Ok(())
    })?;
    print!("{}", if before == ",\n" { "\n  ],\n" } else { "  \"passed_over\": [],\n" });
    println!("  \"hidden\": {hidden},\n  \"waiting_before\": {waiting}\n}}");
    Ok(())
}

/// Says when what is sent will wait, whose pauses these are, and what makes it go on.
async fn say_if_paused(environment: &Environment) {
    let pauses = async { Switch::of(environment)?.list().await };
    match pauses.await {
        Ok(pauses) if pauses.is_empty() => {}
        Ok(pauses) => eprintln!(
            "note: delivery is paused: {}; what is sent waits until `{}`",
            pauses::in_a_line(&pauses),
            command!["resume", value(&environment.name)]
        ),
        Err(error) => eprintln!("note: whether delivery is paused is not known: {error:#}"),
    }
}

/// Waits until what is under way has ended, or until the person has had enough.
async fn settle(environment: &Environment, switch: &Switch<'_>) -> anyhow::Result<()> {
    let settled = async {
        let _shown = progress::spinner("the end of the deliveries under way");
        queue_counts::settled(environment).await.map(drop)
    };
    unless_interrupted(Box::pin(switch.renewed_while(PAUSE, Box::pin(settled)))).await
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
