//! One event, wherever it is, or what waits of a key.

use maud::{Markup, html};
use serde_json::Value;

use super::part::{
    at, duration, event_link, list, prepare, retry, state_name, table, text, time_at, unknown,
};
use super::{Screen, View};
use crate::looks::Look;
use crate::text::verdict::{CAN_DO, of};
use crate::text::{Language, Text};

/// What the commands say in the place of a value that says who somebody is.
const MASKED: &str = "(masked)";

/// The longest body that is offered to be edited in a browser, in bytes.
pub(crate) const EDITED_BYTES_MAX: usize = 256 * 1_024;

/// `found` is what a search for the text found, where nothing else has that name.
pub(crate) fn event(
    view: &View<'_>,
    asked: &str,
    look: Option<&Look>,
    found: Option<&Look>,
) -> Markup {
    let content = html! {
        h1 { (view.t(Text::Event)) }
        form action="/event" role="search" {
            label { (view.t(Text::FindBy)) input.long name="q" value=(asked); }
            button { (view.t(Text::Find)) }
        }
        @if let Some(found) = found { (super::said(found, |said| events(view, &said.json))) }
        @else if let Some(look) = look { (super::said(look, |said| shown(view, &said.json))) }
    };
    view.page(Screen::Event, &content)
}

fn shown(view: &View<'_>, show: &Value) -> Markup {
    html! {
        (facts(view, show))
        (last_answer(view, show))
        (can_do(view, show))
        @for message in list(show, "/messages") { (message_of(view, message)) }
        @let events = list(show, "/key/events");
        @if !events.is_empty() {
            h2 { (view.t(Text::Waiting)) }
            ol { @for event in events { li { (event_link(&at(event, "/event_id").unwrap_or_default())) } } }
        }
        (history(view, show))
        (unknown(view, show))
    }
}

/// Events that hold a text.
fn events(view: &View<'_>, found: &Value) -> Markup {
    let rows: Vec<Vec<Markup>> = list(found, "/events")
        .iter()
        .map(|event| {
            let cell = |pointer| text(at(event, pointer).unwrap_or_default());
            vec![
                event_link(&at(event, "/event_id").unwrap_or_default()),
                text(state_name(view, &at(event, "/state").unwrap_or_default())),
                event_link(&at(event, "/group").unwrap_or_default()),
                time_at(event, "/accepted_at"),
                html! { (cell("/place")) " " code { (cell("/excerpt")) } },
            ]
        })
        .collect();
    let headings = [Text::Event, Text::State, Text::Key, Text::AcceptedAt, Text::Words];
    html! {
        h2 { (view.t(Text::FoundBy)) }
        p {
            (rows.len()) " " (view.t(Text::ShownOf)) " " (at(found, "/searched").unwrap_or_default())
            @if found.pointer("/whole") == Some(&Value::Bool(false)) { " · " (view.t(Text::NotAllKnown)) }
        }
        (table(&headings.map(|it| view.t(it)), &rows))
    }
}

fn facts(view: &View<'_>, show: &Value) -> Markup {
    let event_id = at(show, "/event_id");
    let facts = [
        (Text::Event, event_id.as_deref().map(text)),
        (Text::State, at(show, "/state").map(|state| text(state_name(view, &state)))),
        (Text::Route, at(show, "/route").map(text)),
        (
            Text::Key,
            at(show, "/group").or_else(|| at(show, "/key/group")).map(|it| event_link(&it)),
        ),
        (
            Text::NextAttempt,
            at(show, "/next_attempt_at").map(|_| time_at(show, "/next_attempt_at")),
        ),
    ];
    html! {
        dl.facts {
            @for (name, fact) in facts {
                @if let Some(fact) = fact { dt { (view.t(name)) } dd { (fact) } }
            }
        }
    }
}

fn last_answer(view: &View<'_>, show: &Value) -> Markup {
    let parts = ["/last_answer/destination", "/last_answer/status", "/last_answer/error"];
    let latency = show.pointer("/last_answer/latency_ms").and_then(Value::as_u64).map(duration);
    html! {
        @if show.pointer("/last_answer").is_some_and(Value::is_object) {
            h2 { (view.t(Text::LastAnswer)) }
            p {
                (time_at(show, "/last_answer/at")) " "
                (parts.iter().filter_map(|part| at(show, part)).chain(latency).collect::<Vec<_>>().join(" · "))
            }
            @if let Some(response) = at(show, "/last_answer/response") { pre { (response) } }
        }
    }
}

fn can_do(view: &View<'_>, show: &Value) -> Markup {
    let acts = list(show, "/can_do");
    let state = at(show, "/state").unwrap_or_default();
    let event_id = at(show, "/event_id").unwrap_or_default();
    let key = at(show, "/group").or_else(|| at(show, "/key/group")).unwrap_or_default();
    html! {
        h2 { (view.t(Text::CanDo)) }
        ul {
            @for act in acts {
                li {
                    @let what = at(act, "/what").unwrap_or_default();
                    @let japanese = at(act, "/kind").and_then(|kind| of(CAN_DO, &kind));
                    @match (view.language, japanese) {
                        (Language::Japanese, Some(text)) => (text),
                        _ => span lang="en" { (what) },
                    }
                    @if let Some(command) = at(act, "/command") { br; code { (command) } }
                }
            }
        }
        @if matches!(state.as_str(), "retrying" | "blocked") {
            (retry(view, show, &key)) " "
            (prepare(view, Text::Skip, "skip", &[("event_id", &event_id)]))
        }
        @if state == "dead" {
            (prepare(view, Text::Redrive, "redrive", &[("event_id", &event_id)])) " "
            (prepare(view, Text::Drop, "drop", &[("event_id", &event_id)]))
            (edit(view, show, &event_id))
        }
        @if state == "delivered" && !list(show, "/messages").is_empty() {
            (prepare(view, Text::SendAgain, "repeat", &[("event_id", &event_id)]))
        }
    }
}

/// A form with the body of a dead letter, as it came.
fn edit(view: &View<'_>, show: &Value, event_id: &str) -> Markup {
    let body = at(show, "/messages/0/body").filter(|body| body.len() <= EDITED_BYTES_MAX);
    html! {
        @if let Some(body) = body.filter(|_| view.acts) {
            form.wide hx-post="/prepare" {
                input type="hidden" name="act" value="edit";
                input type="hidden" name="event_id" value=(event_id);
                label {
                    (view.t(Text::Body))
                    // A line break at the beginning of a text area is none of its text.
                    textarea name="body" rows="12" cols="80" spellcheck="false" { "\n" (body) }
                }
                button { (view.t(Text::Edit)) }
            }
        }
    }
}

fn message_of(view: &View<'_>, message: &Value) -> Markup {
    let headers = message.pointer("/headers").and_then(Value::as_object);
    let rows: Vec<Vec<Markup>> = headers
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let value = match value.as_str().unwrap_or_default() {
                MASKED => html! { span.faint { (view.t(Text::Masked)) } },
                value => text(value),
            };
            vec![html! { code { (name) } }, value]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            h2 { (view.t(Text::Headers)) }
            (table(&[view.t(Text::What), view.t(Text::Value)], &rows))
        }
        @if let Some(response) = at(message, "/response") {
            h2 { (view.t(Text::Answer)) }
            pre { (response) }
        }
        @if let Some(body) = at(message, "/body") {
            h2 { (view.t(Text::Body)) }
            pre { (readable(&body)) }
        }
    }
}

fn history(view: &View<'_>, show: &Value) -> Markup {
    let steps = list(show, "/history");
    html! {
        @if !steps.is_empty() {
            h2 { (view.t(Text::History)) }
            ol.steps {
                @for step in steps {
                    li {
                        (time_at(step, "/at")) " "
                        (state_name(view, &at(step, "/what").unwrap_or_default())) " · "
                        span lang="en" { (at(step, "/text").unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

/// JSON as people read it, anything else as it came.
fn readable(body: &str) -> String {
    serde_json::from_str::<Value>(body)
        .ok()
        .filter(|value| value.is_object() || value.is_array())
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| body.to_owned())
}
