//! Whether a person must act, in the viewer's language.

use maud::{Markup, html};
use serde_json::Value;

use super::View;
use super::part::{at, list, time};
use crate::text::verdict::{FINDINGS, INPUTS, OBSERVED, WAITS, of};
use crate::text::{Language, Text};

pub(super) fn verdict(view: &View<'_>, status: &Value) -> Markup {
    let (class, title) = match at(status, "/verdict/kind").as_deref() {
        Some("nothing_to_do") => ("good", Text::NothingToDo),
        Some("act") => ("bad", Text::YouMustAct),
        _ => ("unsure", Text::NotAllKnown),
    };
    let sentence = at(status, "/verdict/sentence").unwrap_or_default();
    html! {
        div class={ "verdict " (class) } role="status" {
            strong { (view.t(title)) }
            @match view.language {
                Language::English => p { (with_code(&sentence)) },
                Language::Japanese => {
                    (japanese(status))
                    // It has the command to type.
                    p.faint lang="en" { (with_code(&sentence)) }
                }
            }
        }
    }
}

/// What a sentence has between backticks is a command to type.
pub(super) fn with_code(sentence: &str) -> Markup {
    html! {
        @for (place, part) in sentence.split('`').enumerate() {
            @if place % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

fn japanese(status: &Value) -> Markup {
    let findings = list(status, "/verdict/findings").iter().map(|finding| {
        let of_condition = at(finding, "/condition").and_then(|it| of(OBSERVED, &it));
        sentence(finding, of_condition.or_else(|| by_kind(FINDINGS, finding)))
    });
    let waits = list(status, "/verdict/waits").iter().map(|it| sentence(it, by_kind(WAITS, it)));
    let unknown = list(status, "/verdict/unknown").iter().map(|it| {
        let what = at(it, "/what").unwrap_or_default();
        let what = of(INPUTS, &what).map_or(what, str::to_owned);
        html! { "不明: " (what) " (" (at(it, "/why").unwrap_or_default()) ")" }
    });
    let mut parts: Vec<Markup> = findings.chain(waits).chain(unknown).collect();
    if parts.is_empty() {
        parts.push(match at(status, "/queue/events").as_deref() {
            Some("0") => html! { "待っているものも、失われたものもありません" },
            events => html! { (events.unwrap_or("?")) "件が配信中です" },
        });
    }
    html! { @for part in parts { p { (part) } } }
}

fn by_kind(table: &[(&str, &'static str)], it: &Value) -> Option<&'static str> {
    of(table, &at(it, "/kind")?)
}

/// The sentence with the figures of `it`; of a kind that this version does not know, its name.
pub(super) fn sentence(it: &Value, text: Option<&str>) -> Markup {
    let Some(text) = text else { return html! { (at(it, "/kind").unwrap_or_default()) } };
    // What stands in brackets and what does not, in turns.
    let parts = text.split(['[', ']']).enumerate();
    html! {
        @for (place, part) in parts {
            @if place % 2 == 0 || is_known(it, part) { (filled(it, part)) }
        }
    }
}

fn figure(it: &Value, name: &str) -> Option<String> {
    at(it, &format!("/{name}"))
}

fn is_known(it: &Value, part: &str) -> bool {
    let mut names = part.split('{').skip(1).filter_map(|it| it.split('}').next());
    names.all(|name| figure(it, name).is_some())
}

fn filled(it: &Value, part: &str) -> Markup {
    let mut pieces = part.split('{');
    let first = pieces.next().unwrap_or_default();
    html! {
        (first)
        @for piece in pieces {
            @let (name, rest) = piece.split_once('}').unwrap_or((piece, ""));
            @let said = figure(it, name).unwrap_or_else(|| "?".to_owned());
            @if matches!(name, "since" | "until") || name.ends_with("_at") { (time(Some(&said))) }
            @else { (said) }
            (rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_left_out_or_asked() {
        let text = "[ルート{route}の]配信が{since}から失敗[({reason})]、{keys}個";
        let it = json!({ "route": "<sss>", "since": "2027-01-15T12:00:00Z", "reason": null });
        assert_eq!(
            sentence(&it, Some(text)).into_string(),
            "ルート&lt;sss&gt;の配信が<time datetime=\"2027-01-15T12:00:00Z\">2027-01-15T12:00:00Z</time>\
             から失敗、?個"
        );
        assert_eq!(sentence(&json!({ "kind": "new" }), None).into_string(), "new");
    }
}
