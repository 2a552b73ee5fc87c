//! `doctor`: whether a person must act, and checks of everything that deliveries depend on and an operator
//! can mend, with how.

mod checks;
mod destination;
mod disk;
mod down;
mod environment;
mod preflight;

use std::process::ExitCode;

use commands::Doctor;
use domain::verdict::{Finding, Verdict};
use serde_json::json;
use terminal::table::Width;
use terminal::text::wrapped;

use crate::people::{self, count};
use crate::status::report::{Judged, Report};
use crate::status::sentence::{Said, Speaker, unknown};
use checks::{Check, Checks};

/// Keys that have a line of their own: more than fit on a screen are not read.
const KEYS_MAX: u64 = 10;

/// Checks that fail where an engine is down, as the verdict says already.
const TOLD: [&str; 2] = ["engine", "environment"];

pub(crate) async fn run(given: Doctor) -> anyhow::Result<ExitCode> {
    let mut checks = Checks::default();
    let found = Box::pin(environment::check(&given.environment, &mut checks)).await?;
    let verdict = if let Some(report) = &found.report {
        report.verdict.verdict.clone().with_failed_checks(checks.failed())
    } else {
        // An engine that is down is why it could not be found or asked.
        let told: &[&str] = if found.down.is_some() { &TOLD } else { &[] };
        let is_news = |check: &String| !told.contains(&check.as_str());
        let failed = checks.failed().into_iter().filter(is_news);
        Verdict::of_findings(found.down).with_failed_checks(failed)
    };
    let events = found.report.as_ref().map_or(0, |report| report.queue.events);
    let speaker = Speaker::above(&found.environment, people::now(), events);
    let is_well = verdict.is_nothing_to_do();
    let sentence = if found.report.is_none() && is_well {
        "Nothing to do: no check fails".to_owned()
    } else {
        speaker.sentence(&verdict)
    };
    let mut judged = Checks::default();
    if let Some(report) = &found.report {
        judge(report, &speaker, &mut judged);
    }
    let all = judged.and(checks);
    if given.output.json() {
        let document = json!({
            "environment": found.environment,
            "verdict": all.worst(),
            "judged": Judged { verdict, sentence },
            "checks": all.all(),
        });
        println!("{document:#}");
    } else {
        print!("{}\n{}", wrapped(&sentence, Width::of_stdout()), render(all.all()));
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line for each thing that the verdict is about: it fails where somebody is needed, or could be, and
/// warns where waiting is right.
fn judge(report: &Report, speaker: &Speaker<'_>, checks: &mut Checks) {
    let verdict = &report.verdict.verdict;
    let (mut keys, mut cause) = (0, None);
    let is_full = verdict.findings().iter().any(|it| matches!(it, Finding::DiskFull { .. }));
    for finding in verdict.findings() {
        keys += u64::from(matches!(finding, Finding::KeyBlocked { .. }));
        if keys <= KEYS_MAX || !matches!(finding, Finding::KeyBlocked { .. }) {
            let Said { about, found, advice } = speaker.finding(finding);
            // A full disk is why the storage fails: one line, and what helps.
            match finding {
                Finding::StorageFails if is_full => cause = Some(found),
                Finding::DiskFull { .. } => {
                    let found =
                        cause.take().map_or(found.clone(), |fails| format!("{fails}: {found}"));
                    checks.fail(about, found, advice);
                }
                _ => checks.fail(about, found, advice),
            }
        }
    }
    if keys > KEYS_MAX {
        let found = format!("{keys} keys wait for a decision, of which {KEYS_MAX} stand here");
        checks.fail("keys", found, format!("`{}`", speaker.blocked()));
    }
    for Said { about, found, advice } in verdict.unknown().iter().map(unknown) {
        checks.fail(about, found, advice);
    }
    for Said { about, found, advice } in verdict.waits().iter().map(|it| speaker.wait(it)) {
        checks.warn(about, found, advice);
    }
    let state = report.delivery.state.as_deref().unwrap_or("unknown");
    let since = report.loss_meter.as_ref().map_or("", |meter| meter.since.as_str());
    let alarms = report.alarms.as_ref().map(|alarms| format!("none of {} rings", alarms.len()));
    let well = [
        ("delivery", Some(format!("the mapping is {state}"))),
        ("forwarder", (report.host == "engine").then(|| "its processes start".to_owned())),
        ("queue", Some(count(report.queue.events, "event"))),
        ("dead letters", Some("there are none".to_owned())),
        ("loss meter", Some(format!("0 missing since {since}"))),
        ("alarms", alarms),
    ];
    for (about, found) in well {
        if let Some(found) = found.filter(|_| !checks.has(about)) {
            checks.ok(about, found);
        }
    }
}

fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let line = |check: &Check| {
        let mut text = format!("{:<4}  {:<width$}  {}\n", check.verdict, check.name, check.found);
        if let Some(advice) = &check.advice {
            text = format!("{text}{:width$}        {advice}\n", "");
        }
        text
    };
    checks.iter().map(line).collect()
}
