//! What comes in and goes out, the newest first.

use maud::{Markup, html};
use serde_json::Value;

use super::part::{at, duration, error, event_link, prepare, state_name, table, text, time_at};
use super::{Screen, View};
use crate::live::Seen;
use crate::text::Text;

/// `is_paused`: it stays as it is, for whoever reads.
pub(crate) fn live(view: &View<'_>, seen: &Seen, is_paused: bool, is_aws: bool) -> Markup {
    let rows: Vec<Vec<Markup>> = seen.lines.iter().map(|line| row(view, line, is_aws)).collect();
    let headings = [
        Text::Time,
        Text::What,
        Text::Event,
        Text::Key,
        Text::Place,
        Text::Answer,
        Text::Latency,
        Text::CanDo,
    ];
    let content = html! {
        h1 { (view.t(Text::Live)) }
        p {
            @if is_paused { a.button href="/live" { (view.t(Text::GoOn)) } }
            @else { a.button href="/live?paused=true" { (view.t(Text::PauseView)) } }
        }
        form action="/event" role="search" {
            label { (view.t(Text::Words)) input.long name="q"; }
            button { (view.t(Text::Find)) }
        }
        @if let Some(trouble) = &seen.trouble { (error(trouble)) }
        @if rows.is_empty() { p { (view.t(Text::None)) } }
        @else { (table(&headings.map(|it| view.t(it)), &rows)) }
    };
    if is_paused { view.still(Screen::Live, &content) } else { view.page(Screen::Live, &content) }
}

fn row(view: &View<'_>, line: &Value, is_aws: bool) -> Vec<Markup> {
    let event_id = at(line, "/event_id").unwrap_or_default();
    let what = at(line, "/message").unwrap_or_default();
    let group = at(line, "/group").unwrap_or_default();
    let place = [at(line, "/route"), at(line, "/destination")];
    let place = place.into_iter().flatten().collect::<Vec<_>>().join(" → ");
    let answer = [at(line, "/status"), at(line, "/error"), at(line, "/reason")];
    let answer = answer.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let latency = line.pointer("/latency_ms").and_then(Value::as_u64).map(duration);
    let is_in = what == "accepted";
    vec![
        time_at(line, "/timestamp"),
        html! { @if is_in { "→\u{a0}" } @else { "←\u{a0}" } (state_name(view, &what)) },
        event_link(&event_id),
        html! { @if !group.is_empty() { (event_link(&group)) } },
        text(place),
        text(answer),
        text(latency.unwrap_or_default()),
        html! {
            @if what == "delivered" && !is_aws {
                (prepare(view, Text::SendAgain, "repeat", &[("event_id", &event_id)]))
            }
        },
    ]
}
