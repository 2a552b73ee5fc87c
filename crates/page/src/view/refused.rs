//! Requests that were not accepted.

use maud::{Markup, html};

use super::part::{at, list, table, text, time_at};
use super::{Screen, View};
use crate::looks::Look;
use crate::text::Text;

pub(crate) fn refused(view: &View<'_>, look: &Look) -> Markup {
    let headings = [Text::Time, Text::Status, Text::Rule, Text::Place, Text::Why, Text::Sender];
    let content = html! {
        h1 { (view.t(Text::Refused)) }
        (super::said(look, |said| {
            let mut rows: Vec<Vec<Markup>> = list(&said.json, "/requests").iter().map(|request| {
                let cell = |pointer| text(at(request, pointer).unwrap_or_default());
                vec![
                    time_at(request, "/at"), cell("/status"), cell("/rule"), cell("/place"), cell("/why"),
                    cell("/source"),
                ]
            }).collect();
            // The newest first.
            rows.reverse();
            html! {
                @if rows.is_empty() { p { (view.t(Text::None)) " (" (view.t(Text::Since)) " " (time_at(&said.json, "/since")) ")" } }
                @else { (table(&headings.map(|it| view.t(it)), &rows)) }
            }
        }))
    };
    view.page(Screen::Refused, &content)
}
