//! A status as people read it.

use std::time::Duration;

use domain::time::Timestamp;

use super::report::{Balance, Destination, LastDelivery, LossMeter, Report};
use crate::people::{self, ago, count, printable, span};
use crate::table;

/// What the first column holds, in characters.
const LABEL: usize = 10;

pub(super) fn render(report: &Report) -> String {
    let now = people::time(&report.at).unwrap_or_default();
    let mut lines = vec![
        ("delivery", delivery(report)),
        ("queue", queue(report)),
        ("dead", dead_letters(report)),
    ];
    lines.extend(report.destinations.iter().map(|it| ("breaker", breaker(it, now))));
    lines.push(("release", release(report, now)));
    lines.extend(report.alarms.iter().map(|alarms| ("alarms", alarms_that_ring(alarms))));
    lines.extend(report.loss_meter.iter().map(|meter| ("loss", loss(meter, now))));
    lines.extend(report.unknown.iter().map(|unknown| ("unknown", printable(unknown))));
    let lines: Vec<String> =
        lines.into_iter().map(|(label, text)| format!("{label:<LABEL$} {text}\n")).collect();
    let host = if report.host == "aws" { "AWS" } else { "one machine" };
    let title = format!("{} on {host} at {} UTC", report.environment, people::to_the_second(now));
    let meter = report.loss_meter.as_ref().filter(|meter| !meter.routes.is_empty());
    let last = &report.last_deliveries;
    let parts = [
        Some(format!("{title}\n")),
        Some(lines.concat()),
        meter.map(routes),
        (!last.is_empty()).then(|| last_deliveries(last, now)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn alarms_that_ring(alarms: &[String]) -> String {
    if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") }
}

fn delivery(report: &Report) -> String {
    let delivery = &report.delivery;
    if let Some(trouble) = &delivery.trouble {
        return format!("the forwarder cannot start: {}", printable(trouble));
    }
    let Some(state) = &delivery.state else { return "this engine runs no forwarder".to_owned() };
    let mut text = if delivery.paused {
        format!("PAUSED ({state}): `cargo xtask resume {}` goes on", report.environment)
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

fn queue(report: &Report) -> String {
    let queue = &report.queue;
    let mut parts = vec![count(queue.events, "event"), format!("{} in flight", queue.in_flight)];
    parts.extend(queue.oldest_age_ms.map(|ms| format!("oldest {}", span_ms(ms))));
    parts.extend(queue.groups.map(|groups| count(groups, "group")));
    if let Some(waiting) = queue.waiting_groups.filter(|waiting| *waiting > 0) {
        parts.push(format!("{waiting} waiting (`cargo xtask blocked {}`)", report.environment));
    }
    parts.extend(queue.refused.filter(|it| *it > 0).map(|it| format!("{it} requests refused")));
    parts.join(", ")
}

fn dead_letters(report: &Report) -> String {
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
        text = format!("{text}; oldest {}", span_ms(ms));
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
    let since = people::time(&meter.since)
        .map(|at| format!(" since {} UTC ({})", people::to_the_second(at), ago(at, now)));
    let what = match meter.missing {
        0 => "0 missing".to_owned(),
        1.. => format!("{} MISSING", meter.missing),
        _ => format!("{} MORE than were accepted", -meter.missing),
    };
    let left = meter.routes.values().fold([0; 3], |sum, route| {
        [sum[0] + route.left.expired, sum[1] + route.left.purged, sum[2] + route.left.deleted]
    });
    let left: Vec<String> = ["older than the retention", "purged", "deleted by hand"]
        .iter()
        .zip(left)
        .filter(|(_, count)| *count > 0)
        .map(|(how, count)| format!("{count} {how}"))
        .collect();
    let left = if left.is_empty() { String::new() } else { format!(": {}", left.join(", ")) };
    format!("{what}{left}{}", since.unwrap_or_default())
}

fn routes(meter: &LossMeter) -> String {
    let row = |(name, balance): (&String, &Balance)| {
        [
            if name.is_empty() { "(none)".to_owned() } else { printable(name) },
            balance.accepted.to_string(),
            balance.delivered.to_string(),
            balance.dead_letters.to_string(),
            balance.dropped.to_string(),
            balance.queued.to_string(),
            balance.missing.to_string(),
        ]
    };
    let rows: Vec<_> = meter.routes.iter().map(row).collect();
    table::render(
        ["ROUTE", "ACCEPTED", "DELIVERED", "DEAD LETTERS", "DROPPED", "QUEUED", "MISSING"],
        &rows,
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
    )
}

fn span_ms(ms: u64) -> String {
    span(Duration::from_millis(ms))
}
