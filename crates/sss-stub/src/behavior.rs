//! What the stub answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::received::Received;

/// What the stub does with webhooks. The default is to accept them all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behavior {
    /// HTTP status of the answer.
    pub status: u16,
    /// `Retry-After` of the answer.
    pub retry_after: Option<String>,
    /// Time until the answer, in milliseconds.
    pub delay_ms: u64,
    /// Close connections without an answer.
    pub down: bool,
    /// Exceptions; the first that applies goes before `status`.
    pub rules: Vec<Rule>,
}

/// Another status for some webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Applies to bodies that contain this text.
    #[serde(default)]
    pub body_contains: Option<String>,
    /// Applies to this message group.
    #[serde(default)]
    pub group: Option<String>,
    /// HTTP status of the answer.
    pub status: u16,
    /// How often it applies; always unless given.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Default for Behavior {
    fn default() -> Self {
        Self { status: 200, retry_after: None, delay_ms: 0, down: false, rules: Vec::new() }
    }
}

impl Behavior {
    /// The status for a webhook; a rule that is used up is no longer looked at.
    pub(crate) fn status_for(&mut self, webhook: &Received) -> u16 {
        for rule in &mut self.rules {
            if rule.applies(webhook) {
                if let Some(times) = &mut rule.times {
                    *times -= 1;
                }
                return rule.status;
            }
        }
        self.status
    }

    /// A status, here or of a rule, that ends no request.
    pub(crate) fn unusable_status(&self) -> Option<u16> {
        let rules = self.rules.iter().map(|rule| rule.status);
        std::iter::once(self.status).chain(rules).find(|status| !(200..=599).contains(status))
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

impl Rule {
    fn applies(&self, webhook: &Received) -> bool {
        self.times != Some(0)
            && self.body_contains.as_ref().is_none_or(|text| webhook.body.contains(text))
            && self.group.as_ref().is_none_or(|group| webhook.group.as_ref() == Some(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_applies_where_and_as_often_as_it_says() {
        let rule =
            Rule { body_contains: Some("bad".into()), group: None, status: 422, times: Some(1) };
        let mut behavior = Behavior { rules: vec![rule], ..Behavior::default() };
        let webhook = |body: &str| Received { body: body.to_owned(), ..Received::default() };
        assert_eq!(behavior.status_for(&webhook("good")), 200);
        assert_eq!(behavior.status_for(&webhook("a bad one")), 422);
        assert_eq!(behavior.status_for(&webhook("a bad one")), 200);
    }
}
