//! A status as people read it.

use std::time::Duration;

use commands::{command, program::value};
use domain::pause::Pause;
use domain::time::Timestamp;
use terminal::table::{self, Width};
use terminal::text::wrapped;

use super::report::{Balance, Destination, LastDelivery, LossMeter, Report};
use crate::cloudwatch::Alarm;
use crate::people::{self, ago, count, printable, span};
use crate::zone;

/// What the first column holds, in characters.
const LABEL: usize = 10;

/// What is not older is as good as now.
const AS_GOOD_AS_NOW: Duration = Duration::from_mins(1);

pub(super) fn render(report: &Report) -> String {
    let now = people::time(&report.at).unwrap_or_default();
    let mut lines = vec![
        ("delivery", delivery(report)),
        ("queue", queue(report, now)),
        ("dead", dead_letters(report, now)),
    ];
    let pauses = report.delivery.pauses.iter().map(|pause| ("paused", paused(pause, now)));
    lines.splice(1..1, pauses);
    lines.extend(report.storage.iter().map(|storage| ("storage", storage.clone())));
    lines.extend(report.destinations.iter().map(|it| ("breaker", breaker(it, now))));
    lines.push(("release", release(report, now)));
    lines.extend(report.alarms.iter().map(|alarms| ("alarms", alarms_that_ring(alarms, now))));
    lines.extend(report.loss_meter.iter().map(|meter| ("loss", loss(meter, now))));
    lines.extend(report.unknown.iter().map(|unknown| ("unknown", printable(unknown))));
    let lines: Vec<String> =
        lines.into_iter().map(|(label, text)| format!("{label:<LABEL$} {text}\n")).collect();
    let host = if report.host == "aws" { "AWS" } else { "one machine" };
    let production = if report.production == Some(true) { " (PRODUCTION)" } else { "" };
    let title = format!("{}{production} on {host} at {}", report.environment, zone::in_words(now));
    let meter = report.loss_meter.as_ref();
    // Without a route and without a sum there is nothing to show.
    let meter = meter.filter(|meter| !meter.routes.is_empty());
    let last = &report.last_deliveries;
    let sentence = wrapped(&report.verdict.sentence, Width::of_stdout());
    let parts = [
        Some(format!("{sentence}\n{title}\n")),
        Some(lines.concat()),
        meter.map(routes),
        (!last.is_empty()).then(|| last_deliveries(last, now)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn alarms_that_ring(alarms: &[Alarm], now: Timestamp) -> String {
    let in_state = |state: &'static str| alarms.iter().filter(move |alarm| alarm.state == state);
    let ringing = |alarm: &Alarm| match alarm.since.as_deref().and_then(people::time) {
        Some(since) => format!("{} (for {})", printable(&alarm.section), span(now.since(since))),
        None => printable(&alarm.section),
    };
    let ringing: Vec<String> = in_state("ALARM").map(ringing).collect();
    let insufficient: Vec<String> =
        in_state("INSUFFICIENT_DATA").map(|alarm| printable(&alarm.section)).collect();
    let all = alarms.len();
    let text = match ringing.as_slice() {
        _ if alarms.is_empty() => return "there are none".to_owned(),
        [] => format!("none of {all} rings"),
        ringing => format!(
            "{} of {all} RING: {}; docs/runbook.md has a section for each",
            ringing.len(),
            ringing.join(", ")
        ),
    };
    match insufficient.len() {
        0 => text,
        these if these == all => format!("{text}; none has data yet"),
        _ => format!("{text}; too little data for {}", insufficient.join(", ")),
    }
}

fn paused(pause: &Pause, now: Timestamp) -> String {
    let mut text = printable(&pause.name);
    let by = pause.by.as_deref().filter(|by| *by != pause.name);
    text.extend(by.map(|by| format!(", by {}", printable(by))));
    text.extend(pause.since.map(|since| format!(" {}", ago(since, now))));
    text.extend(pause.reason.as_deref().map(|reason| format!(": {}", printable(reason))));
    text.extend(pause.until.map(|until| {
        let (at_second, left) = (zone::in_words(until), span(until.since(now)));
        format!("; it ends by itself at {at_second} (in {left})")
    }));
    text
}

fn delivery(report: &Report) -> String {
    let delivery = &report.delivery;
    if let Some(trouble) = &delivery.trouble {
        return format!("the forwarder cannot start: {}", printable(trouble));
    }
    let Some(state) = &delivery.state else {
        let text = if report.host == "aws" { "unknown" } else { "this engine runs no forwarder" };
        return text.to_owned();
    };
    let mut text = if !delivery.paused && !delivery.pauses.is_empty() {
        format!("{state}, though there are pauses: somebody switched the mapping on by another way")
    } else if delivery.paused {
        if let [first, _, ..] = delivery.pauses.as_slice() {
            let (environment, name) = (value(&report.environment), value(&first.name));
            let resume = command!["resume", environment, "--name", name];
            format!("PAUSED ({state}) by several: `{resume}` ends one")
        } else {
            let resume = command!["resume", value(&report.environment)];
            format!("PAUSED ({state}): `{resume}` goes on")
        }
    } else {
        state.clone()
    };
    if let Some(batches) = delivery.batches_in_flight.filter(|batches| *batches > 0) {
        let batches =
            if batches == 1 { "1 batch".to_owned() } else { format!("{batches} batches") };
        text = format!("{text}, {batches} under way");
    }
    text
}

/// An age, and when it was that if that was not just now.
fn oldest(age_ms: u64, at: Option<&str>, now: Timestamp) -> String {
    let age = format!("oldest {}", span_ms(age_ms));
    match at.and_then(people::time) {
        Some(at) => format!("{age} ({})", ago(at, now)),
        None => age,
    }
}

fn queue(report: &Report, now: Timestamp) -> String {
    let queue = &report.queue;
    let mut parts = vec![count(queue.events, "event"), format!("{} in flight", queue.in_flight)];
    parts.extend(queue.oldest_age_ms.map(|ms| oldest(ms, queue.oldest_age_at.as_deref(), now)));
    parts.extend(queue.groups.map(|groups| count(groups, "group")));
    if let Some(waiting) = queue.waiting_groups.filter(|waiting| *waiting > 0) {
        let blocked = command!["blocked", value(&report.environment)];
        parts.push(format!("{waiting} waiting (`{blocked}`)"));
    }
    let refused = queue.refused.filter(|it| *it > 0);
    parts.extend(refused.map(|it| format!("{} refused", count(it, "request"))));
    parts.join(", ")
}

fn dead_letters(report: &Report, now: Timestamp) -> String {
    let dead = &report.dead_letters;
    let mut text = count(dead.count, "dead letter");
    if let Some(reasons) = dead.by_reason.as_ref().filter(|reasons| !reasons.is_empty()) {
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, count)| format!("{count} {}", printable(reason)))
            .collect();
        text = format!("{text}: {}", reasons.join(", "));
    }
    if let Some(ms) = dead.oldest_age_ms {
        text = format!("{text}; {}", oldest(ms, dead.oldest_age_at.as_deref(), now));
    }
    text
}

fn breaker(destination: &Destination, now: Timestamp) -> String {
    let name = format!("{} to {}", printable(&destination.route), printable(&destination.name));
    match destination.breaker_open_at.as_deref().and_then(people::time) {
        Some(at) => format!("{name}: OPEN, last seen {}", ago(at, now)),
        None => format!("{name}: closed"),
    }
}

fn release(report: &Report, now: Timestamp) -> String {
    let Some(release) = &report.release else { return "no release record".to_owned() };
    let mut text = release.id.clone();
    if let Some(at) = people::time(&release.at) {
        let since = if report.host == "aws" { "deployed" } else { "started" };
        text = format!("{text}, {since} {}", ago(at, now));
    }
    text.extend(release.by.as_ref().map(|by| format!(" by {}", printable(by))));
    text
}

fn loss(meter: &LossMeter, now: Timestamp) -> String {
    let time = |text: &str| people::time(text);
    let period = match (time(&meter.since), meter.until.as_deref().and_then(time)) {
        (Some(since), Some(until)) if until < people::before(now, AS_GOOD_AS_NOW) => format!(
            " from {} to {} ({})",
            zone::to_the_second(since),
            zone::in_words(until),
            ago(until, now)
        ),
        (Some(since), _) => {
            format!(" since {} ({})", zone::in_words(since), ago(since, now))
        }
        (None, _) => String::new(),
    };
    let mut what = match meter.missing {
        0 => "0 missing".to_owned(),
        1.. => format!("{} MISSING", meter.missing),
        _ => format!("{} MORE than were accepted", -meter.missing),
    };
    if let Some(uncertain) = meter.uncertain_by.filter(|events| *events > 0) {
        what = format!("{what} (give or take {uncertain} that moved meanwhile)");
    }
    let left = meter.total.as_ref().map(|total| total.left).unwrap_or_default();
    let told = left.expired.is_some() && left.purged.is_some();
    let rest = meter.missing - i64::try_from(left.deleted.unwrap_or_default()).unwrap_or(i64::MAX);
    let left: Vec<String> = [
        (left.expired, "older than the retention"),
        (left.purged, "purged"),
        (left.deleted, "deleted by hand"),
        (u64::try_from(rest).ok().filter(|_| !told), "older than the retention, or purged"),
    ]
    .into_iter()
    .filter_map(|(count, how)| Some((count.filter(|count| *count > 0)?, how)))
    .map(|(count, how)| format!("{count} {how}"))
    .collect();
    // Of what does not count as missing it is not known how it left.
    let left = match left.as_slice() {
        [] => String::new(),
        _ if meter.missing == 0 && !told => String::new(),
        left => format!(": {}", left.join(", ")),
    };
    format!("{what}{left}{period}")
}

fn routes(meter: &LossMeter) -> String {
    fn known<T: ToString>(number: Option<T>) -> String {
        number.map_or_else(|| "-".to_owned(), |number| number.to_string())
    }
    let row = |name: String, balance: &Balance| {
        [
            name,
            known(balance.accepted),
            balance.delivered.to_string(),
            known(balance.dead_letters),
            known(balance.dropped),
            known(balance.queued),
            known(balance.missing),
        ]
    };
    let of_route = |(name, balance): (&String, &Balance)| {
        row(if name.is_empty() { "(none)".to_owned() } else { printable(name) }, balance)
    };
    let mut rows: Vec<_> = meter.routes.iter().map(of_route).collect();
    // Where not all is known by route, the sum is not in the rows.
    let in_part = meter.routes.values().any(|route| route.missing.is_none());
    rows.extend(meter.total.iter().filter(|_| in_part).map(|it| row("(all)".to_owned(), it)));
    table::render(
        ["ROUTE", "ACCEPTED", "DELIVERED", "DEAD LETTERS", "DROPPED", "QUEUED", "MISSING"],
        &rows,
        Width::of_stdout(),
    )
}

fn last_deliveries(deliveries: &[LastDelivery], now: Timestamp) -> String {
    let known = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let row = |delivery: &LastDelivery| {
        [
            people::time(&delivery.at).map_or_else(|| "-".to_owned(), |at| ago(at, now)),
            printable(&delivery.event_id),
            printable(&delivery.route),
            printable(&delivery.destination),
            known(delivery.status.map(|status| status.to_string())),
            known(delivery.attempt.map(|attempt| attempt.to_string())),
            known(delivery.latency_ms.map(span_ms)),
        ]
    };
    let rows: Vec<_> = deliveries.iter().map(row).collect();
    table::render(
        ["DELIVERED", "EVENT", "ROUTE", "DESTINATION", "STATUS", "ATTEMPT", "TOOK"],
        &rows,
        Width::of_stdout(),
    )
}

fn span_ms(ms: u64) -> String {
    span(Duration::from_millis(ms))
}
