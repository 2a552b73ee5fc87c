//! Whether a message has left the queue, by the lines of the log about it.

use serde_json::Value;

/// How a message has left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Delivered,
    DeadLettered,
}

/// What became of a message by its lines, in order of time; `None` as long as it stays. A delivery to one
/// of several destinations has lines about the others in the same attempt.
pub(crate) fn ended(lines: &[&Value]) -> Option<Ended> {
    if lines.iter().any(|line| line["message"] == "dead_lettered") {
        return Some(Ended::DeadLettered);
    }
    let last = lines.iter().rev().find(|line| line["attempt"].is_u64())?;
    let mut of_attempt = lines.iter().filter(|line| line["attempt"] == last["attempt"]);
    of_attempt.all(|line| line["message"] == "delivered").then_some(Ended::Delivered)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_tells_what_became_of_it() {
        let line = |attempt: u32, message: &str| json!({ "attempt": attempt, "message": message });
        let check = |lines: &[Value], expected: Option<Ended>| {
            assert_eq!(ended(&lines.iter().collect::<Vec<_>>()), expected, "{lines:?}");
        };
        check(&[], None);
        check(&[line(2, "blocked")], None);
        // One destination still refuses it.
        check(&[line(2, "delivered"), line(2, "blocked")], None);
        check(&[line(2, "blocked"), line(3, "delivered")], Some(Ended::Delivered));
        let skipped = [line(3, "skipped"), json!({ "message": "dead_lettered" })];
        check(&skipped, Some(Ended::DeadLettered));
    }
}
