//! Acts that were begun here, and what everybody has done.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use super::part::{at, table, text, time_at};
use super::result::result;
use super::{Screen, View};
use crate::acts::{Begun, Ended};
use crate::looks::Look;
use crate::text::Text;

pub(crate) fn acts(view: &View<'_>, begun: &[Begun], log: &Look) -> Markup {
    let rows: Vec<Vec<Markup>> = begun
        .iter()
        .map(|act| {
            vec![
                html! { a href={ "/acts/" (act.id) } { (state(view, act)) } },
                html! { code { (act.typed) } },
                html! { @if act.ended.is_none() { (stop(view, act)) } },
            ]
        })
        .collect();
    let headings = [Text::State, Text::What, Text::CanDo];
    let content = html! {
        h1 { (view.t(Text::Acts)) }
        @if !rows.is_empty() {
            h2 { (view.t(Text::FromThisPage)) }
            (table(&headings.map(|it| view.t(it)), &rows))
        }
        h2 { (view.t(Text::AuditLog)) }
        (super::said(log, |said| audit(view, &said.json)))
    };
    view.page(Screen::Acts, &content)
}

pub(crate) fn act(view: &View<'_>, act: &Begun) -> Markup {
    let content = html! {
        h1 { (state(view, act)) }
        pre { (act.typed) }
        @if act.ended.is_none() { (stop(view, act)) }
        @if !act.lines.is_empty() { pre { @for line in &act.lines { (line) "\n" } } }
        @if let Some(Ended { answer: Some(answer), .. }) = &act.ended {
            (result(view, &act.act, answer))
            details {
                summary { (view.t(Text::Answered)) }
                pre { (serde_json::to_string_pretty(answer).unwrap_or_default()) }
            }
        }
    };
    view.page(Screen::Acts, &content)
}

fn state(view: &View<'_>, act: &Begun) -> &'static str {
    view.t(match act.ended.as_ref().map(|ended| ended.code) {
        None => Text::UnderWay,
        Some(Some(0)) => Text::Done,
        Some(Some(130)) => Text::Interrupted,
        Some(_) => Text::DoneInPart,
    })
}

fn stop(view: &View<'_>, act: &Begun) -> Markup {
    html! {
        @if view.acts {
            form hx-post={ "/acts/" (act.id) "/stop" } hx-swap="none" {
                button.grave { (view.t(Text::Stop)) }
            }
        }
    }
}

/// An act has a line when it begins and another when it ends: one row, the newest first.
fn audit(view: &View<'_>, log: &Value) -> Markup {
    let lines = log.as_array().map_or(&[][..], Vec::as_slice);
    let is = |line: &Value, state| at(line, "/what/state").as_deref() == Some(state);
    let name =
        |line: &Value| ["/what/started_at", "/by", "/action"].map(|pointer| at(line, pointer));
    let ended: BTreeSet<_> = lines.iter().filter(|line| is(line, "ended")).map(name).collect();
    let rows: Vec<Vec<Markup>> = lines
        .iter()
        .rev()
        .filter(|line| !is(line, "started") || !ended.contains(&name(line)))
        .take(200)
        .map(|line| {
            let cell = |pointer| text(at(line, pointer).unwrap_or_default());
            let began = if is(line, "ended") { "/what/started_at" } else { "/at" };
            vec![
                time_at(line, began),
                cell("/by"),
                cell("/action"),
                text(end_of(view, line)),
                cell("/reason"),
            ]
        })
        .collect();
    let headings = [Text::Began, Text::Who, Text::What, Text::Result, Text::Why];
    html! {
        @if rows.is_empty() { p { (view.t(Text::None)) } }
        @else { (table(&headings.map(|it| view.t(it)), &rows)) }
    }
}

fn end_of(view: &View<'_>, line: &Value) -> String {
    let result = match (at(line, "/what/state").as_deref(), at(line, "/what/result").as_deref()) {
        (Some("started"), _) => Text::NotEnded,
        (_, Some("failed")) => Text::DoneInPart,
        (_, Some("interrupted")) => Text::Interrupted,
        _ => Text::Done,
    };
    let error = at(line, "/what/error").map(|error| format!(": {error}"));
    format!("{}{}", view.t(result), error.unwrap_or_default())
}
