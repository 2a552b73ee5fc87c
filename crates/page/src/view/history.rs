//! What happened in each minute of the last hour or day: charts, drawn by the script, and the same in
//! numbers.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::View;
use super::part::{at, duration, list, table, text, time_at, unknown};
use crate::looks::Look;
use crate::text::Text;

/// How far back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Back {
    #[default]
    Hour,
    Day,
}

impl Back {
    /// As the command calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// The figures of a minute, as the command calls them.
const FIGURES: [(&str, Text); 4] = [
    ("accepted", Text::Accepted),
    ("delivered", Text::Delivered),
    ("failed", Text::FailedAttempts),
    ("dead_lettered", Text::DeadLetters),
];
const AGES: [(&str, &str); 2] = [("p50_ms", "p50"), ("p99_ms", "p99")];

/// The section; what a browser has of it stays when the rest of the screen is shown anew, and the script
/// renews it. So there is no `look` where it stays.
pub(crate) fn history(view: &View<'_>, back: Back, look: Option<&Look>) -> Markup {
    let links = [(Back::Hour, Text::LastHour), (Back::Day, Text::LastDay)];
    html! {
        section #history hx-preserve="true" data-back=(back.name()) {
            @if let Some(look) = look {
                h2 { (view.t(Text::PerMinute)) }
                p.choice {
                    @for (other, name) in links {
                        a href={ "/?back=" (other.name()) } aria-current=[(other == back).then_some("true")] {
                            (view.t(name))
                        }
                        " "
                    }
                }
                (super::said(look, |said| charts(view, &said.json)))
            }
        }
    }
}

fn charts(view: &View<'_>, history: &Value) -> Markup {
    let minutes = list(history, "/minutes");
    let series = |name: &str| -> Value {
        minutes.iter().map(|minute| minute.get(name).cloned().unwrap_or_default()).collect()
    };
    let counts: Vec<Value> = FIGURES.iter().map(|(name, _)| series(name)).collect();
    let ages: Vec<Value> = AGES.iter().map(|(name, _)| series(name)).collect();
    let names = FIGURES.map(|(_, name)| view.t(name));
    html! {
        div.chart data-kind="counts" data-time=(view.t(Text::Time)) data-names=(json!(names)) data-series=(json!(counts))
            data-from=[at(history, "/minutes/0/at")] role="img" aria-label=(view.t(Text::PerMinute)) {}
        h3 { (view.t(Text::UntilDelivered)) }
        div.chart data-kind="ages" data-time=(view.t(Text::Time)) data-names=(json!(AGES.map(|(_, name)| name))) data-series=(json!(ages))
            data-from=[at(history, "/minutes/0/at")] role="img" aria-label=(view.t(Text::UntilDelivered)) {}
        details {
            summary { (view.t(Text::InNumbers)) }
            div.numbers {
                (numbers(view, history))
                p.faint { (view.t(Text::NotOfEachMinute)) }
                (newest(view, history))
            }
        }
        (unknown(view, history))
    }
}

fn numbers(view: &View<'_>, history: &Value) -> Markup {
    let row = |step: &Value| {
        let in_part = list(step, "/in_part");
        let count = |name: &str| match step.get(name).and_then(Value::as_u64) {
            None => "?".to_owned(),
            Some(count) if in_part.iter().any(|it| it == name) => format!("{count}+"),
            Some(count) => count.to_string(),
        };
        let age = |name: &str| step.get(name).and_then(Value::as_u64).map_or("–".into(), duration);
        [time_at(step, "/at")]
            .into_iter()
            .chain(FIGURES.map(|(name, _)| text(count(name))))
            .chain(AGES.map(|(name, _)| text(age(name))))
            .collect()
    };
    // The newest first, as everywhere on the page.
    let rows: Vec<Vec<Markup>> = list(history, "/steps").iter().rev().map(row).collect();
    let names = FIGURES.map(|(_, name)| view.t(name));
    let headings: Vec<&str> =
        [view.t(Text::Began)].into_iter().chain(names).chain(AGES.map(|(_, name)| name)).collect();
    table(&headings, &rows)
}

/// Of which minutes the newest figures are: on AWS of some minutes ago, each of another one.
fn newest(view: &View<'_>, history: &Value) -> Markup {
    let figures = FIGURES.map(|(name, text)| (name, view.t(text)));
    html! {
        @if at(history, "/host").as_deref() == Some("aws") {
            dl.facts {
                @for (name, shown) in figures.into_iter().chain(AGES) {
                    dt { (shown) }
                    dd {
                        @let newest = format!("/newest/{name}");
                        @if at(history, &newest).is_some() { (time_at(history, &newest)) }
                        @else { "?" }
                    }
                }
            }
        }
    }
}
