//! What several screens show.

use maud::{Markup, html};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::View;
use crate::act::Act;
use crate::looks::Look;
use crate::operator::Said;
use crate::text::Text;

/// Dead letters that an act is about, by how they were chosen on the screen.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(crate) struct Letters {
    #[serde(default)]
    pub(crate) issue: String,
    #[serde(default)]
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) grep: String,
}

/// The text at this place of a JSON document; what is no text is shown as JSON writes it.
pub(super) fn at(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is not known is shown as that, never as 0.
pub(super) fn figure(value: &Value, pointer: &str) -> String {
    at(value, pointer).unwrap_or_else(|| "?".to_owned())
}

/// A time, which the script shows in the browser's zone.
pub(super) fn time(at: Option<&str>) -> Markup {
    html! { @if let Some(at) = at { time datetime=(at) { (at) } } }
}

pub(super) fn time_at(value: &Value, pointer: &str) -> Markup {
    time(at(value, pointer).as_deref())
}

/// Milliseconds, as people say them.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if ms < 1_000 => format!("{ms} ms"),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A table with these headings; nothing if there are no rows.
pub(super) fn table(headings: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.table {
            table {
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (heading, cell) in headings.iter().zip(row) { td data-label=(heading) { (cell) } } }
                    }
                }
            }
        }
    }
}

pub(super) fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// A link to what is known of an event or a key.
pub(super) fn event_link(id: &str) -> Markup {
    let query: String = byte_serialize(id.as_bytes()).collect();
    html! { a href={ "/event?q=" (query) } { (id) } }
}

/// What was not to be had.
pub(super) fn unknown(view: &View<'_>, value: &Value) -> Markup {
    let unknown = list(value, "/unknown");
    html! {
        @if !unknown.is_empty() {
            h2 { (view.t(Text::Unknown)) }
            ul { @for line in unknown { li { (line.as_str().unwrap_or_default()) } } }
        }
    }
}

/// What a look found, by `render`, or why nothing.
pub(crate) fn said(look: &Look, render: impl FnOnce(&Said) -> Markup) -> Markup {
    html! {
        @match &look.found {
            Ok(said) => {
                (render(said))
                @if !said.notes.is_empty() { pre.faint { (said.notes) } }
            }
            Err(failure) => (error(&failure.to_string())),
        }
        @if look.age().as_secs() > 2 {
            p.faint { (duration(u64::try_from(look.age().as_millis()).unwrap_or(u64::MAX))) }
        }
    }
}

pub(crate) fn error(text: &str) -> Markup {
    html! { div.verdict.bad role="alert" { strong { (text) } } }
}

/// A form that prepares an act: it shows what would happen, and asks.
pub(super) fn prepare(view: &View<'_>, label: Text, act: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        @if view.acts {
            form hx-post="/prepare" {
                input type="hidden" name="act" value=(act);
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                button.grave[act == "drop"] { (view.t(label)) }
            }
        }
    }
}

/// "Retry now", unless the destination asked for another time: then until when, as the command would do
/// nothing before.
pub(super) fn retry(view: &View<'_>, waiting: &Value, key: &str) -> Markup {
    html! {
        @if at(waiting, "/not_before").is_some() {
            span.faint {
                (view.t(Text::AskedToRest)) " (" (view.t(Text::Until)) " " (time_at(waiting, "/not_before")) ")"
            }
        } @else { (prepare(view, Text::RetryNow, "retry", &[("key", key)])) }
    }
}

/// A state of an event or a step on its way, or why its key waits or it is a dead letter, in the viewer's language.
pub(super) fn state_name(view: &View<'_>, state: &str) -> String {
    let text = match state {
        "waiting" => Text::StateWaiting,
        "in_flight" => Text::StateInFlight,
        "retrying" | "retry" => Text::StateRetrying,
        "blocked" => Text::StateBlocked,
        "dead" => Text::StateDead,
        "delivered" => Text::StateDelivered,
        "rejected" => Text::StateRejected,
        "gave_up" => Text::StateGaveUp,
        "unroutable" => Text::StateUnroutable,
        "malformed" => Text::StateMalformed,
        "unverified" => Text::StateUnverified,
        "skipped" => Text::StateSkipped,
        "accepted" => Text::StateAccepted,
        "not_attempted" => Text::StateNotAttempted,
        "dead_lettered" => Text::StateDeadLettered,
        "redriven" => Text::StateRedriven,
        "receive_count" => Text::StateReceiveCount,
        "repeated" => Text::StateRepeated,
        "repeat_failed" => Text::StateRepeatFailed,
        other => return other.to_owned(),
    };
    view.t(text).to_owned()
}

/// What an act is called.
pub(super) fn name(view: &View<'_>, act: &Act) -> &'static str {
    view.t(match act {
        Act::Retry { .. } => Text::RetryNow,
        Act::Skip { .. } => Text::Skip,
        Act::Redrive { .. } => Text::Redrive,
        Act::Drop { .. } => Text::Drop,
        Act::Pause { .. } => Text::Pause,
        Act::Resume { .. } => Text::Resume,
        Act::Repeat { .. } => Text::SendAgain,
        Act::Send { .. } => Text::SendTestEvent,
        Act::Edit { .. } => Text::Edit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_any_key() {
        let link = event_link("a b&q=<x>\"é").into_string();
        assert_eq!(
            link,
            "<a href=\"/event?q=a+b%26q%3D%3Cx%3E%22%C3%A9\">a b&amp;q=&lt;x&gt;&quot;é</a>"
        );
    }

    #[test]
    fn durations_are_said_in_two_units() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(ms), expected);
        }
    }
}
