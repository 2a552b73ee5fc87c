//! The engine's log, as one readable line per event.

use serde_json::Value;
use terminal::color::{Color, colored};
use terminal::text;

/// A log line for people; `None` for what needs no telling. `options` name the environment to commands.
pub(crate) fn readable(line: &str, options: &str) -> Option<String> {
    let Ok(fields) = serde_json::from_str::<Value>(line) else {
        return Some(line.trim_end().to_owned());
    };
    let text = |name: &str| fields[name].as_str().unwrap_or_default();
    let time = |name: &str| fields[name].as_u64().map(text::elapsed).unwrap_or_default();
    let message = text("message");
    let because = match (fields["status"].as_u64(), text("error")) {
        (Some(status), _) => status.to_string(),
        (None, error) => error.to_owned(),
    };
    let (color, what) = match message {
        "accepted" => (Color::Dim, format!("{} bytes", fields["bytes"])),
        "delivered" => (
            Color::Green,
            format!(
                "by {} in {}, {} after it was sent",
                text("host"),
                time("latency_ms"),
                time("age_ms")
            ),
        ),
        "retry" => (Color::Yellow, format!("in {} because {because}", time("retry_in_ms"))),
        "rejected" | "skipped" => (Color::Red, format!("because {because}")),
        "blocked" => (
            Color::Red,
            format!("because {because}; its group waits, next look in {}", time("retry_in_ms")),
        ),
        "gave_up" => {
            (Color::Red, format!("because {because}, {} after it was sent", time("age_ms")))
        }
        "dead_lettered" => (
            Color::Red,
            format!(
                "because {}; `cargo xtask dlq show local {}{options}`",
                text("reason"),
                shlex::try_quote(text("event_id")).unwrap_or_default()
            ),
        ),
        "not_attempted" if text("reason") == "behind_failed" => {
            (Color::Dim, "waits behind the one before it".to_owned())
        }
        "not_attempted" => (Color::Dim, format!("because {}", text("reason").replace('_', " "))),
        "refused" => (
            Color::Red,
            format!("{} with {} because {}", text("path"), fields["status"], text("reason")),
        ),
        "listening" | "forwarder_started" => return None,
        _ => return Some(other(&fields, message)),
    };
    let id = text("event_id").get(..8).unwrap_or(text("event_id"));
    let label = colored(color, &format!("{:<13}", message.replace('_', "-")));
    let clock = text("timestamp").get(11..23).unwrap_or_default();
    Some(format!("{clock}  {label} {id:<8}  {:<16}  {what}", text("group")))
}

/// A line that is about no event.
fn other(fields: &Value, message: &str) -> String {
    let rest = fields.as_object().into_iter().flatten();
    let rest = rest.filter(|(name, _)| !["timestamp", "level", "message"].contains(&name.as_str()));
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={value}")).collect();
    let clock = fields["timestamp"].as_str().and_then(|text| text.get(11..23)).unwrap_or_default();
    format!("{clock}  {message} {}", rest.join(" ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        assert_eq!(readable(line, " --data-dir d").as_deref(), Some(expected));
    }

    #[test]
    fn every_step_of_an_event_reads_alone() {
        check(
            r#"{"timestamp":"2026-11-23T16:06:38.973Z","message":"accepted","event_id":"dafbca67-f86e","route":"sss","group":"order-1","sequence":"9","bytes":7}"#,
            "16:06:38.973  accepted      dafbca67  order-1           7 bytes",
        );
        check(
            r#"{"timestamp":"2026-11-23T16:06:39.002Z","message":"delivered","event_id":"dafbca67-f86e","group":"order-1","host":"127.0.0.1:9010","status":200,"latency_ms":5,"age_ms":32}"#,
            "16:06:39.002  delivered     dafbca67  order-1           by 127.0.0.1:9010 in 5 ms, 32 ms after it was sent",
        );
        // Where metrics are on, the line carries them as well.
        check(
            include_str!("../../contracts/delivered-line.json"),
            "00:00:00.123  delivered     0b5dbb3e  5f3c1a52-7a0e-4f6e-8d0f-6f2b8c9e1d34  by sss.example.com in 200 ms, 1.3 s after it was sent",
        );
        check(
            r#"{"timestamp":"2026-11-23T16:06:58.325Z","message":"retry","event_id":"c6924934-240f","group":"order-0","status":503,"retry_in_ms":4000}"#,
            "16:06:58.325  retry         c6924934  order-0           in 4 s because 503",
        );
        check(
            r#"{"timestamp":"2026-11-23T16:06:58.325Z","message":"retry","event_id":"c6924934-240f","group":"order-0","error":"refused","retry_in_ms":2000}"#,
            "16:06:58.325  retry         c6924934  order-0           in 2 s because refused",
        );
    }

    #[test]
    fn what_is_advised_is_about_the_same_engine() {
        check(
            r#"{"timestamp":"2026-11-23T16:06:58.325Z","message":"dead_lettered","event_id":"e 1","group":"g","reason":"rejected"}"#,
            "16:06:58.325  dead-lettered e 1       g                 because rejected; `cargo xtask dlq show local 'e 1' --data-dir d`",
        );
    }

    #[test]
    fn what_is_no_event_is_shown_as_it_is() {
        check("panicked at …", "panicked at …");
        check(
            r#"{"timestamp":"2026-11-23T16:06:58.325Z","level":"ERROR","message":"forwarder_exited","pid":7}"#,
            "16:06:58.325  forwarder_exited pid=7",
        );
    }
}
