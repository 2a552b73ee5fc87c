//! Dead letters: by their cause first, then one by one.

use maud::{Markup, html};
use serde_json::Value;

use super::part::{
    Letters, at, event_link, figure, list, prepare, state_name, table, text, time_at,
};
use super::{Screen, View};
use crate::looks::Look;
use crate::text::Text;

/// Letters that are shown at most.
pub(crate) const SHOWN_MAX: usize = 1_000;

/// `looks` are those of the issues and of the letters; none where a look costs something and nobody has
/// asked for one.
pub(crate) fn dead_letters(
    view: &View<'_>,
    chosen: &Letters,
    is_aws: bool,
    looks: Option<(&Look, &Look)>,
) -> Markup {
    let content = html! {
        h1 { (view.t(Text::DeadLetters)) }
        @if is_aws {
            p { (view.t(Text::LookChanges)) }
            form action="/dead-letters" {
                (hidden(chosen))
                input type="hidden" name="look" value="now";
                button { (view.t(Text::LookNow)) }
            }
        }
        (filter(view, chosen))
        @match looks {
            None => p { (view.t(Text::NoLook)) },
            Some((issues, letters)) => {
                (super::said(issues, |said| by_issue(view, chosen, &said.json)))
                @let total = issues.found.as_ref().ok().and_then(|said| at(&said.json, "/dead_letters"));
                (super::said(letters, |said| one_by_one(view, chosen, &said.json, total)))
            }
        }
    };
    view.page(Screen::DeadLetters, &content)
}

fn hidden(chosen: &Letters) -> Markup {
    html! {
        input type="hidden" name="issue" value=(chosen.issue);
        input type="hidden" name="group" value=(chosen.group);
        input type="hidden" name="grep" value=(chosen.grep);
    }
}

fn filter(view: &View<'_>, chosen: &Letters) -> Markup {
    html! {
        form action="/dead-letters" role="search" {
            label { (view.t(Text::Issue)) input name="issue" value=(chosen.issue) size="12"; }
            label { (view.t(Text::Key)) input name="group" value=(chosen.group); }
            label { (view.t(Text::Words)) input name="grep" value=(chosen.grep); }
            button { (view.t(Text::Filter)) }
        }
    }
}

fn by_issue(view: &View<'_>, chosen: &Letters, issues: &Value) -> Markup {
    let rows: Vec<Vec<Markup>> = list(issues, "/issues")
        .iter()
        .map(|issue| {
            let name = at(issue, "/name").unwrap_or_default();
            vec![
                html! { a href={ "/dead-letters?issue=" (name) } { (name) } },
                text(figure(issue, "/count")),
                text(figure(issue, "/keys")),
                text(at(issue, "/route").unwrap_or_default()),
                text(at(issue, "/status").unwrap_or_default()),
                html! { code { (at(issue, "/answer").unwrap_or_default()) } },
                time_at(issue, "/first"),
                time_at(issue, "/last"),
                prepare(
                    view,
                    Text::Redrive,
                    "redrive",
                    &[("issue", &name), ("group", &chosen.group), ("grep", &chosen.grep)],
                ),
            ]
        })
        .collect();
    let headings = [
        Text::Issue,
        Text::Count,
        Text::Keys,
        Text::Route,
        Text::Status,
        Text::Answer,
        Text::First,
        Text::Last,
        Text::CanDo,
    ];
    html! {
        @if rows.is_empty() { p { (view.t(Text::None)) } }
        @else { (table(&headings.map(|it| view.t(it)), &rows)) }
    }
}

/// `total` is how many there are, chosen or not.
fn one_by_one(view: &View<'_>, chosen: &Letters, letters: &Value, total: Option<String>) -> Markup {
    let all = letters.as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<Vec<Markup>> = all
        .iter()
        .map(|letter| {
            let event_id = at(letter, "/event_id").unwrap_or_default();
            let reason = at(letter, "/reason").map(|reason| state_name(view, &reason));
            let why = [reason, at(letter, "/status"), at(letter, "/error")];
            vec![
                event_link(&event_id),
                event_link(&at(letter, "/group").unwrap_or_default()),
                text(why.into_iter().flatten().collect::<Vec<_>>().join(" · ")),
                text(figure(letter, "/attempts")),
                time_at(letter, "/accepted_at"),
                time_at(letter, "/dead_since"),
                html! {
                    (prepare(view, Text::Redrive, "redrive", &[("event_id", &event_id)])) " "
                    (prepare(view, Text::Drop, "drop", &[("event_id", &event_id)]))
                },
            ]
        })
        .collect();
    let headings = [
        Text::Event,
        Text::Key,
        Text::Reason,
        Text::Attempts,
        Text::AcceptedAt,
        Text::DeadSince,
        Text::CanDo,
    ];
    let fields =
        [("issue", chosen.issue.as_str()), ("group", &chosen.group), ("grep", &chosen.grep)];
    html! {
        @if !rows.is_empty() {
            h2 { (view.t(Text::DeadLetters)) }
            p {
                (rows.len()) " " (view.t(Text::ShownOf)) " " (total.unwrap_or_else(|| "?".to_owned())) " "
                (prepare(view, Text::Redrive, "redrive", &fields)) " "
                (prepare(view, Text::Drop, "drop", &fields)) " "
                @if view.acts {
                    form hx-post="/export" { (hidden(chosen)) button { (view.t(Text::Export)) } }
                }
            }
            (table(&headings.map(|it| view.t(it)), &rows))
        }
    }
}
