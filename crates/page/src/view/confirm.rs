//! What an act would do, before it is done.

use maud::{Markup, html};
use serde_json::Value;

use super::diff::diff;
use super::part::{at, error, figure, list, name};
use super::{Screen, View};
use crate::act::{Act, MANY};
use crate::looks::Look;
use crate::text::Text;

/// `typed` is the command that does the same, `rehearsal` what it said that it would do.
pub(crate) fn confirm(
    view: &View<'_>,
    act: &Act,
    token: &str,
    typed: &str,
    rehearsal: Option<&Look>,
) -> Markup {
    let content = html! {
        h1 { (name(view, act)) " · " (view.environment) }
        @if view.production {
            div.verdict.bad { strong { (view.environment) ": " (view.t(Text::Production)) } }
        }
        // What is listed below is not named here as well.
        @if !(matches!(act, Act::Redrive { .. }) && rehearsal.is_some_and(|look| look.found.is_ok())) {
            (about(view, act))
        }
        @if let Act::Edit { before, after, .. } = act {
            h2 { (view.t(Text::Changed)) }
            (diff(before, after))
        }
        @if let Some(look) = rehearsal {
            (super::said(look, |said| match act {
                Act::Send { .. } => would_post(view, &said.json),
                _ => would(view, &said.json),
            }))
        }
        // What cannot even be rehearsed is not offered.
        @if rehearsal.is_none_or(|look| look.found.is_ok()) {
        form.wide hx-post="/begin" hx-target="#said" {
            input type="hidden" name="token" value=(token);
            @if act.takes_why() {
                label { (view.t(Text::WhyIsNeeded)) input.long name="why" required autofocus; }
            }
            @if let Some(events) = act.events().filter(|events| *events > MANY) {
                label {
                    (view.t(Text::TypeTheNumber)) ": " (events)
                    input name="number" inputmode="numeric" required size="8";
                }
            }
            button.grave autofocus[!act.takes_why()] {
                (view.t(Text::Confirm))
                @if view.production { " (" (view.t(Text::InProduction)) ": " (view.environment) ")" }
            }
            div #said role="alert" {}
        }
        }
        h2 { (view.t(Text::TheCommand)) }
        pre { (typed) }
    };
    view.still(Screen::Acts, &content)
}

fn about(view: &View<'_>, act: &Act) -> Markup {
    let what = match act {
        Act::Retry { keys } => keys.join(", "),
        Act::Skip { event_id } | Act::Repeat { event_id } | Act::Edit { event_id, .. } => {
            event_id.clone()
        }
        Act::Redrive { event_ids } | Act::Drop { event_ids } => {
            let shown: Vec<&str> = event_ids.iter().take(20).map(String::as_str).collect();
            let more = if event_ids.len() > shown.len() { ", …" } else { "" };
            format!("{}: {}{more}", event_ids.len(), shown.join(", "))
        }
        Act::Pause { minutes: Some(minutes) } => format!("{minutes} min"),
        Act::Pause { minutes: None } => view.t(Text::ForMinutes).to_owned(),
        Act::Resume { name: what } | Act::Send { route: what } => what.clone(),
    };
    html! { p { (what) } }
}

/// The event, whole, and who gets it.
fn would_post(view: &View<'_>, plan: &Value) -> Markup {
    let object = |pointer: &str| plan.pointer(pointer).and_then(Value::as_object);
    let headers = object("/headers").into_iter().flatten();
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or("")));
    html! {
        h2 { (view.t(Text::WouldSend)) }
        dl.facts {
            dt { (view.t(Text::UrlToGive)) } dd { code { (figure(plan, "/url")) } }
            dt { (view.t(Text::GoesTo)) }
            dd {
                @for (name, origin) in object("/destinations").into_iter().flatten() {
                    code { (origin.as_str().unwrap_or("?")) } " (" (name) ")" br;
                }
            }
        }
        pre { (headers.collect::<Vec<_>>().join("\n")) "\n\n" (at(plan, "/body").unwrap_or_default()) }
    }
}

fn would(view: &View<'_>, plan: &Value) -> Markup {
    html! {
        h2 { (view.t(Text::WouldSend)) }
        ol {
            @for event in list(plan, "/would_send").iter().take(100) {
                li { (at(event, "/group").unwrap_or_default()) " · " (at(event, "/event_id").unwrap_or_default()) }
            }
        }
        @let passed_over = list(plan, "/passed_over");
        @if !passed_over.is_empty() {
            h2 { (view.t(Text::PassedOver)) }
            ul {
                @for group in passed_over {
                    li { (at(group, "/group").unwrap_or_default()) ": " (at(group, "/count").unwrap_or_default()) }
                }
            }
        }
        @if let Some(hidden) = at(plan, "/hidden").filter(|hidden| hidden != "0") {
            (error(&format!("hidden: {hidden}")))
        }
    }
}
