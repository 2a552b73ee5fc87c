//! Whether a person must act, and how it goes.

use maud::{Markup, html};
use serde_json::Value;

use super::part::{at, duration, event_link, figure, list, prepare, table, text, time_at, unknown};
use super::verdict::verdict;
use super::{Screen, View};
use crate::looks::Look;
use crate::text::Text;

/// `history` stands below the figures.
pub(crate) fn now(view: &View<'_>, look: Option<&Look>, history: &Markup) -> Markup {
    let content = match look {
        None => html! {
            div.verdict.unsure { strong { (view.t(Text::NotYetKnown)) } }
            (history)
        },
        Some(look) if look.found.is_ok() => {
            super::said(look, |said| status(view, &said.json, history))
        }
        Some(look) => html! { (super::said(look, |_| html! {})) (history) },
    };
    view.page(Screen::Now, &content)
}

fn status(view: &View<'_>, status: &Value, history: &Markup) -> Markup {
    html! {
        (verdict(view, status))
        (figures(view, status))
        (history)
        (delivery(view, status))
        (destinations(view, status))
        (last_deliveries(view, status))
        (alarms(view, status))
        (unknown(view, status))
        @if let Some(release) = at(status, "/release/id") {
            h2 { (view.t(Text::Release)) }
            p { (release) " " (time_at(status, "/release/at")) }
        }
    }
}

fn figures(view: &View<'_>, status: &Value) -> Markup {
    let oldest = status.pointer("/queue/oldest_age_ms").and_then(Value::as_u64);
    let empty = status.pointer("/queue/events").and_then(Value::as_u64) == Some(0);
    let oldest = match oldest {
        Some(ms) => duration(ms),
        None if empty => "–".to_owned(),
        None => "?".to_owned(),
    };
    let figures = [
        (Text::Waiting, figure(status, "/queue/events")),
        (Text::InFlight, figure(status, "/queue/in_flight")),
        (Text::Oldest, oldest),
        (Text::KeysThatWait, figure(status, "/queue/waiting_groups")),
        (Text::DeadLetters, figure(status, "/dead_letters/count")),
        (Text::Missing, figure(status, "/loss_meter/missing")),
        (Text::Accepted, figure(status, "/loss_meter/total/accepted")),
        (Text::Delivered, figure(status, "/loss_meter/total/delivered")),
    ];
    html! {
        dl.figures {
            @for (name, figure) in figures { div { dt { (view.t(name)) } dd { (figure) } } }
        }
    }
}

fn delivery(view: &View<'_>, status: &Value) -> Markup {
    let pauses = list(status, "/delivery/pauses");
    let rows: Vec<Vec<Markup>> = pauses
        .iter()
        .map(|pause| {
            let name = at(pause, "/name").unwrap_or_default();
            vec![
                text(&name),
                text(at(pause, "/by").unwrap_or_default()),
                text(at(pause, "/reason").unwrap_or_default()),
                time_at(pause, "/since"),
                time_at(pause, "/until"),
                prepare(view, Text::Resume, "resume", &[("name", &name)]),
            ]
        })
        .collect();
    let headings = [Text::Paused, Text::Who, Text::Why, Text::Since, Text::Until, Text::Acts];
    html! {
        h2 { (view.t(Text::Delivery)) }
        @if rows.is_empty() {
            p {
                @if status.pointer("/delivery/paused") == Some(&Value::Bool(true)) {
                    (view.t(Text::Paused))
                } @else { (view.t(Text::DeliveryGoesOn)) }
                @if let Some(state) = at(status, "/delivery/state") { " (" (state) ")" }
            }
        } @else { (table(&headings.map(|it| view.t(it)), &rows)) }
        @for (name, pointer) in [(Text::Forwarder, "/delivery/trouble"), (Text::Storage, "/storage")] {
            @if let Some(trouble) = at(status, pointer) { p.error { (view.t(name)) ": " (trouble) } }
        }
        @if view.acts {
            form hx-post="/prepare" {
                input type="hidden" name="act" value="pause";
                label { (view.t(Text::ForMinutes)) input name="minutes" inputmode="numeric" size="6"; }
                button { (view.t(Text::Pause)) }
            }
        }
    }
}

fn destinations(view: &View<'_>, status: &Value) -> Markup {
    let rows: Vec<Vec<Markup>> = list(status, "/destinations")
        .iter()
        .map(|it| {
            let latency = it.pointer("/latency_ms_mean").and_then(Value::as_u64).map(duration);
            vec![
                text(at(it, "/route").unwrap_or_default()),
                text(at(it, "/destination").unwrap_or_default()),
                text(figure(it, "/delivered")),
                text(figure(it, "/retried")),
                text(figure(it, "/rejected")),
                text(latency.unwrap_or_default()),
            ]
        })
        .collect();
    let headings = [
        Text::Route,
        Text::Destination,
        Text::Delivered,
        Text::Retried,
        Text::Rejected,
        Text::Latency,
    ];
    html! {
        @if !rows.is_empty() {
            h2 { (view.t(Text::Destinations)) }
            (table(&headings.map(|it| view.t(it)), &rows))
        }
    }
}

fn last_deliveries(view: &View<'_>, status: &Value) -> Markup {
    let rows: Vec<Vec<Markup>> = list(status, "/last_deliveries")
        .iter()
        .map(|it| {
            vec![
                time_at(it, "/at"),
                event_link(&at(it, "/event_id").unwrap_or_default()),
                text(at(it, "/destination").unwrap_or_default()),
                text(at(it, "/status").unwrap_or_default()),
                text(at(it, "/attempt").unwrap_or_default()),
            ]
        })
        .collect();
    let headings = [Text::Time, Text::Event, Text::Destination, Text::Status, Text::Attempts];
    html! {
        @if !rows.is_empty() {
            h2 { (view.t(Text::LastDeliveries)) }
            (table(&headings.map(|it| view.t(it)), &rows))
        }
    }
}

fn alarms(view: &View<'_>, status: &Value) -> Markup {
    let ringing =
        list(status, "/alarms").iter().filter(|it| at(it, "/state").as_deref() == Some("ALARM"));
    let rows: Vec<Vec<Markup>> = ringing
        .map(|it| vec![text(at(it, "/name").unwrap_or_default()), time_at(it, "/since")])
        .collect();
    html! {
        @if !rows.is_empty() {
            h2 { (view.t(Text::Alarms)) }
            (table(&[view.t(Text::What), view.t(Text::Since)], &rows))
        }
    }
}
