//! Which dead letters are meant: by route, group, reason, issue, time and text.

use crate::dead_letter::{failure_of, group_of, reason_of};
use crate::issue::{self, Issue};
use crate::message::Message;
use crate::time::Timestamp;

/// What dead letters are chosen by; what is not said is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The route's name.
    pub route: Option<String>,
    /// The message group that the event had.
    pub group: Option<String>,
    /// The reason, as [`reason_of`] gives it.
    pub reason: Option<String>,
    /// The issue's name, or the beginning of it.
    pub issue: Option<issue::Typed>,
    /// Dead since this time or later.
    pub since: Option<Timestamp>,
    /// Dead since before this time.
    pub until: Option<Timestamp>,
    /// A text that the body, the event id or the service's answer contains.
    pub text: Option<String>,
}

impl Selection {
    /// Whether `dead_letter` is meant.
    #[must_use]
    pub fn includes(&self, dead_letter: &Message) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        is(&self.route, dead_letter.route_name())
            && is(&self.group, Some(&group_of(dead_letter)))
            && is(&self.reason, Some(&reason_of(dead_letter)))
            && self.issue.is_none_or(|it| it.begins(Issue::of(dead_letter).name()))
            && self.since.is_none_or(|since| dead_letter.sent_at >= since)
            && self.until.is_none_or(|until| dead_letter.sent_at < until)
            && self.text.as_deref().is_none_or(|text| contains(dead_letter, text))
    }
}

fn contains(dead_letter: &Message, text: &str) -> bool {
    let answer = || failure_of(dead_letter).and_then(|failure| failure.response);
    dead_letter.body.contains(text)
        || dead_letter.event_id().contains(text)
        || answer().is_some_and(|answer| answer.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Attribute;
    use crate::dead_letter::MOVED_BY_SQS;
    use crate::dead_letter::{Cause, Class, dead_letter};
    use crate::message::tests::{changed, message, sent};

    fn rejected() -> Message {
        let original = changed(5, "order-7", |it| {
            it.attributes.insert("route".into(), Attribute::string("sss"));
            it.body = "{\"顧客\":\"株式会社\"}".to_owned();
        });
        let cause = Cause { response: Some("unknown workflow".into()), ..Cause::default() };
        let copy = dead_letter(&original, Class::Rejected, cause, 1, Vec::new());
        sent(changed(77, "other", |it| {
            it.body = copy.body;
            it.group_id = copy.group_id;
            it.attributes = copy.attributes;
            it.sent_at = Timestamp::from_ms(5_000);
        }))
    }

    #[test]
    fn nothing_said_means_all() {
        assert!(Selection::default().includes(&rejected()));
        assert!(Selection::default().includes(&message(1, "g")));
    }

    #[test]
    fn each_condition_lets_some_in_and_keeps_others_out() {
        let text = |text: &str| Some(text.to_owned());
        let at = |ms| Some(Timestamp::from_ms(ms));
        let all = Selection::default;
        let pairs = [
            (Selection { route: text("sss"), ..all() }, Selection { route: text("crm"), ..all() }),
            (
                Selection { group: text("order-7"), ..all() },
                Selection { group: text("m-5"), ..all() },
            ),
            (
                Selection { reason: text("rejected"), ..all() },
                Selection { reason: text(MOVED_BY_SQS), ..all() },
            ),
            (
                Selection { issue: Issue::of(&rejected()).name().parse().ok(), ..all() },
                Selection { issue: "i-0".parse().ok(), ..all() },
            ),
            (Selection { since: at(5_000), ..all() }, Selection { since: at(5_001), ..all() }),
            (Selection { until: at(5_001), ..all() }, Selection { until: at(5_000), ..all() }),
            (Selection { text: text("株式"), ..all() }, Selection { text: text("有限"), ..all() }),
            (
                Selection { text: text("unknown work"), ..all() },
                Selection { text: text("known workers"), ..all() },
            ),
        ];
        for (included, excluded) in pairs {
            assert!(included.includes(&rejected()), "{included:?}");
            assert!(!excluded.includes(&rejected()), "{excluded:?}");
        }
        let moved = Selection { reason: text(MOVED_BY_SQS), ..all() };
        assert!(moved.includes(&message(1, "g")));
    }
}
