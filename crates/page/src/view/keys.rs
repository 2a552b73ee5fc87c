//! The keys that wait.

use maud::{Markup, html};
use serde_json::Value;

use super::part::{
    at, event_link, list, prepare, retry, state_name, table, text, time_at, unknown,
};
use super::{Screen, View};
use crate::looks::Look;
use crate::text::Text;

pub(crate) fn keys(view: &View<'_>, look: &Look) -> Markup {
    let content = html! {
        h1 { (view.t(Text::Keys)) }
        (super::said(look, |said| waiting(view, &said.json)))
    };
    view.page(Screen::Keys, &content)
}

fn waiting(view: &View<'_>, blocked: &Value) -> Markup {
    let rows: Vec<Vec<Markup>> =
        list(blocked, "/groups").iter().map(|group| row(view, group)).collect();
    let headings = [
        Text::Key,
        Text::FirstEvent,
        Text::Why,
        Text::Since,
        Text::NextAttempt,
        Text::Behind,
        Text::CanDo,
    ];
    html! {
        @if rows.is_empty() { p { (view.t(Text::None)) } }
        @else {
            @if keys_to_retry(blocked).len() > 1 { (prepare(view, Text::RetryAll, "retry_all", &[])) }
            (table(&headings.map(|it| view.t(it)), &rows))
        }
        (unknown(view, blocked))
    }
}

/// The keys that may be tried now: a destination that has asked for another time is not called.
pub(crate) fn keys_to_retry(blocked: &Value) -> Vec<String> {
    let groups = list(blocked, "/groups").iter();
    let may_be = groups.filter(|group| at(group, "/not_before").is_none());
    may_be.filter_map(|group| at(group, "/group")).collect()
}

fn row(view: &View<'_>, group: &Value) -> Vec<Markup> {
    let (key, event_id) =
        (at(group, "/group").unwrap_or_default(), at(group, "/event_id").unwrap_or_default());
    let kind = at(group, "/why").map(|why| state_name(view, &why));
    let why = [kind, at(group, "/reason"), at(group, "/destination")];
    vec![
        event_link(&key),
        event_link(&event_id),
        text(why.into_iter().flatten().collect::<Vec<_>>().join(" · ")),
        time_at(group, "/since"),
        time_at(group, "/next_attempt_at"),
        text(at(group, "/behind").unwrap_or_else(|| "?".to_owned())),
        html! {
            (retry(view, group, &key)) " "
            (prepare(view, Text::Skip, "skip", &[("event_id", &event_id)]))
        },
    ]
}
