//! What an act did, in people's words. The command's own words are its JSON, below.

use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use super::View;
use super::part::{at, event_link, list, time_at};
use crate::act::Act;
use crate::text::Text;

/// Ids that are named at most.
const NAMED_MAX: usize = 20;

pub(super) fn result(view: &View<'_>, act: &Act, answer: &Value) -> Markup {
    let count = |pointer: &str| list(answer, pointer).len();
    html! {
        dl.facts {
            @match act {
                Act::Redrive { .. } => {
                    (fact(view, Text::Sent, &html! { (count("/sent")) }))
                    @if count("/failed") > 0 {
                        (fact(view, Text::StayedBehind, &failures(answer)))
                    }
                    @if let Some(groups) = at(answer, "/groups_passed_over").filter(|it| it != "0") {
                        (fact(view, Text::KeysWithOlder, &html! { (groups) }))
                    }
                }
                Act::Drop { .. } => {
                    (fact(view, Text::Dropped, &html! { (count("/dropped")) }))
                    @if let Some(file) = at(answer, "/file") {
                        (fact(view, Text::WrittenTo, &html! { code { (whole(&file)) } }))
                    }
                }
                Act::Retry { .. } => {
                    @for group in list(answer, "/groups") {
                        dt { (at(group, "/group").unwrap_or_default()) }
                        dd { (retried(view, group)) }
                    }
                }
                Act::Skip { event_id } => {
                    dt { (event_id) }
                    dd {
                        (match at(answer, "/outcome").as_deref() {
                            Some("skipped") => view.t(Text::IsSkipped),
                            Some("delivered") => view.t(Text::WasDelivered),
                            _ => view.t(Text::IsAsked),
                        })
                    }
                }
                Act::Pause { .. } => {
                    (fact(view, Text::State, &html! { (view.t(Text::Paused)) }))
                    @if at(answer, "/resumes_at").is_some() {
                        (fact(view, Text::Until, &time_at(answer, "/resumes_at")))
                    }
                    (waiting(view, answer))
                }
                Act::Repeat { .. } => {
                    (fact(view, Text::Result, &html! { (at(answer, "/outcome").unwrap_or_default()) }))
                }
                Act::Send { .. } => {
                    (fact(view, Text::Status, &html! { (at(answer, "/status").unwrap_or_default()) }))
                    @if let Some(event_id) = at(answer, "/event_id") {
                        (fact(view, Text::Event, &event_link(&event_id)))
                    }
                }
                Act::Edit { .. } => { (fact(view, Text::Sent, &html! { "1" })) }
                Act::Resume { .. } => {
                    (fact(view, Text::PausesEnded, &html! { (count("/ended")) }))
                    @if count("/left") > 0 {
                        (fact(view, Text::PausesLeft, &html! { (count("/left")) }))
                    }
                    (waiting(view, answer))
                }
            }
        }
    }
}

fn fact(view: &View<'_>, name: Text, value: &Markup) -> Markup {
    html! { dt { (view.t(name)) } dd { (value) } }
}

fn waiting(view: &View<'_>, answer: &Value) -> Markup {
    html! {
        @if let Some(waiting) = at(answer, "/waiting") {
            (fact(view, Text::Waiting, &html! { (waiting) }))
        }
    }
}

fn failures(answer: &Value) -> Markup {
    let failed = list(answer, "/failed");
    html! {
        (failed.len())
        ul {
            @for it in failed.iter().take(NAMED_MAX) {
                li { (at(it, "/event_id").unwrap_or_default()) ": " (at(it, "/error").unwrap_or_default()) }
            }
            @if failed.len() > NAMED_MAX { li { "…" } }
        }
    }
}

fn retried(view: &View<'_>, group: &Value) -> Markup {
    let result = at(group, "/result").unwrap_or_default();
    let text = match result.as_str() {
        "now" => Text::TriedNow,
        "not_waiting" => Text::TriedAlready,
        "no_group" => Text::NothingWaits,
        "too_often" => Text::TriedTooOften,
        "resting" => Text::AskedToRest,
        _ => Text::NotReached,
    };
    html! {
        (view.t(text))
        @if let Some(messages) = at(group, "/messages") { " (" (messages) ")" }
        @if let Some(reason) = at(group, "/reason") { ": " (reason) }
        @if at(group, "/next_attempt_at").is_some() {
            " · " (view.t(Text::NextAttempt)) " " (time_at(group, "/next_attempt_at"))
        }
    }
}

/// A file's name with its folder: that of this process, where the command has written it.
fn whole(file: &str) -> String {
    std::path::absolute(Path::new(file))
        .map_or_else(|_| file.to_owned(), |it| it.display().to_string())
}
