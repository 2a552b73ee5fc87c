//! What goes where.

use maud::{Markup, html};
use serde_json::Value;

use super::part::{at, duration, figure, list, prepare, unknown};
use super::verdict::{sentence, with_code};
use super::{Screen, View};
use crate::looks::Look;
use crate::text::verdict::{OBSTACLES, of};
use crate::text::{Language, Text};

pub(crate) fn routes(view: &View<'_>, look: &Look) -> Markup {
    let content = html! {
        h1 { (view.t(Text::Routes)) }
        (super::said(look, |said| html! {
            @for route in list(&said.json, "/routes") { (shown(view, route)) }
            (unknown(view, &said.json))
        }))
    };
    view.page(Screen::Routes, &content)
}

fn shown(view: &View<'_>, route: &Value) -> Markup {
    let paths: Vec<String> = list(route, "/paths").iter().filter_map(|it| at(it, "")).collect();
    let seconds = |pointer: &str| {
        let seconds = route.pointer(pointer).and_then(Value::as_u64);
        seconds.map_or_else(|| "?".to_owned(), |seconds| duration(seconds * 1_000))
    };
    let url = at(route, "/url").unwrap_or_else(|| paths.join(", "));
    let name = figure(route, "/route");
    let destinations = list(route, "/destinations");
    let retries = format!(
        "{} – {}",
        seconds("/retry/initial_delay_seconds"),
        seconds("/retry/max_delay_seconds")
    );
    html! {
        h2 { (name) }
        dl.facts {
            dt { (view.t(Text::UrlToGive)) } dd { code { (url) } }
            dt { (view.t(Text::OrderedBy)) } dd { code { (figure(route, "/ordering_key")) } }
            dt { (view.t(Text::Scheme)) }
            dd { (at(route, "/verify").unwrap_or_else(|| view.t(Text::NoScheme).to_owned())) }
            dt { (view.t(Text::GoesTo)) }
            dd {
                @for to in destinations {
                    code { (figure(to, "/origin")) } " (" (figure(to, "/destination")) ")" br;
                }
            }
            dt { (view.t(Text::Retries)) } dd { (retries) }
            dt { (view.t(Text::GivenUpAfter)) } dd { (seconds("/give_up_after_seconds")) }
            dt { (view.t(Text::WhenRejected)) }
            dd {
                (match at(route, "/on_reject").as_deref() {
                    Some("block") => view.t(Text::StateBlocked),
                    _ => view.t(Text::StateDead),
                })
            }
        }
        h3 { (view.t(Text::TestEvent)) }
        @match (route.pointer("/test_event/cannot"), at(route, "/test_event/command")) {
            (Some(cannot @ Value::Object(_)), _) => p { (view.t(Text::NoTestEvent)) ": " (why(view, cannot)) },
            (_, Some(command)) => {
                (prepare(view, Text::SendTestEvent, "send", &[("name", &name)]))
                pre { (command) }
            }
            (_, None) => p.faint { (view.t(Text::NoUrl)) },
        }
    }
}

/// Why none can be sent.
fn why(view: &View<'_>, cannot: &Value) -> Markup {
    let japanese = at(cannot, "/kind").and_then(|kind| of(OBSTACLES, &kind));
    html! {
        @match (view.language, japanese) {
            (Language::Japanese, Some(text)) => (sentence(cannot, Some(text))),
            _ => span lang="en" { (with_code(&at(cannot, "/text").unwrap_or_default())) },
        }
    }
}
