//! Dead letters as issues: those of one route that failed with one status and one answer, apart from
//! what differs from event to event in that answer, have one cause and one name.
//!
//! The name comes from the three and from nothing else: it stays when others come and go, and is the
//! same on every machine.

mod mask;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::dead_letter::{failure_of, reason_of};
use crate::message::Message;

pub use mask::{ANSWER_CHARS_MAX, mask};

/// What every name begins with.
const PREFIX: &str = "i-";

/// How many hexadecimal digits a name has: among a thousand issues two have the same one with a
/// probability of 1 : 8,600.
const DIGITS: usize = 8;
const _: () = assert!(DIGITS == 2 * size_of::<u32>());

/// Changes with whatever would give a dead letter another name: [`mask`] above all.
const VERSION: &str = "1";

/// What dead letters of one cause have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issue {
    name: String,
    route: Option<String>,
    status: String,
    answer: String,
}

impl Issue {
    /// The issue that a dead letter belongs to.
    #[must_use]
    pub fn of(dead_letter: &Message) -> Self {
        let failure = failure_of(dead_letter);
        let status = failure.as_ref().and_then(|it| it.status).map(|status| status.to_string());
        // Without an answer, what happened instead.
        let said = match &status {
            Some(_) => failure.and_then(|it| it.response),
            None => failure.and_then(|it| it.error),
        };
        let status = status.unwrap_or_else(|| reason_of(dead_letter));
        Self::new(dead_letter.route_name(), &status, &said.unwrap_or_default())
    }

    fn new(route: Option<&str>, status: &str, answer: &str) -> Self {
        let answer = mask(answer);
        let mut digest = Sha256::new();
        for part in [VERSION, route.unwrap_or_default(), status, &answer] {
            // The length keeps two parts from being another two.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest.finalize());
        Self {
            name: format!("{PREFIX}{:0DIGITS$x}", u32::from_be_bytes([a, b, c, d])),
            route: route.map(str::to_owned),
            status: status.to_owned(),
            answer,
        }
    }

    /// Such as `i-4f2a91c7`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The route, if the dead letters have one.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// The answer's HTTP status; without an answer why they are dead letters, as
    /// [`reason_of`] gives it.
    #[must_use]
    pub fn status(&self) -> &str {
        &self.status
    }

    /// The answer, or what happened instead, without what differs from event to event.
    #[must_use]
    pub fn answer(&self) -> &str {
        &self.answer
    }
}

/// An issue's name as it was typed: the beginning is enough of one that no other issue's name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    /// So many first digits of a name, as a number.
    number: u32,
    digits: u8,
}

impl Typed {
    /// Whether it may mean the issue of this name.
    #[must_use]
    pub fn begins(self, name: &str) -> bool {
        name.starts_with(&self.to_string())
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, digits) = (self.number, usize::from(self.digits));
        write!(f, "{PREFIX}{number:0digits$x}")
    }
}

/// A text that is no issue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an issue is named like i-4f2a91c7, or by the beginning of that; `dlq issues` shows the names"
)]
pub struct NoName;

impl FromStr for Typed {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let text = text.to_ascii_lowercase();
        let digits = text.strip_prefix(PREFIX).filter(|it| (1..=DIGITS).contains(&it.len()));
        let digits = digits.filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let digits = digits.ok_or(NoName)?;
        let number = u32::from_str_radix(digits, 16).map_err(|_not_a_number| NoName)?;
        let digits = u8::try_from(digits.len()).map_err(|_too_many| NoName)?;
        Ok(Self { number, digits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Attribute;
    use crate::dead_letter::{Cause, Class, dead_letter};
    use crate::message::tests::{changed, message, sent};

    fn letter(route: &str, class: Class, cause: Cause) -> Message {
        let original = changed(5, "order-7", |it| {
            it.attributes.insert("route".into(), Attribute::string(route));
        });
        let copy = dead_letter(&original, class, cause, 1, Vec::new());
        sent(changed(77, "other", |it| it.attributes = copy.attributes))
    }

    fn answered(status: u16, response: &str) -> Cause {
        Cause { status: Some(status), response: Some(response.to_owned()), ..Cause::default() }
    }

    fn name(route: &str, class: Class, cause: Cause) -> String {
        Issue::of(&letter(route, class, cause)).name().to_owned()
    }

    /// Whoever wrote a name down finds it again: this one must never change.
    #[test]
    fn a_name_is_for_good() {
        let cause = answered(422, "{\"error\":\"unknown workflow 17\"}");
        let issue = Issue::of(&letter("sss", Class::Rejected, cause));
        assert_eq!(issue.answer(), "{\"error\":\"unknown workflow #\"}");
        assert_eq!((issue.route(), issue.status()), (Some("sss"), "422"));
        assert_eq!(issue.name(), "i-9c7c828e");
    }

    #[test]
    fn it_is_told_by_route_status_and_answer_and_by_nothing_else() {
        let one = || name("sss", Class::Rejected, answered(422, "no order 7"));
        assert_eq!(one(), name("sss", Class::Rejected, answered(422, "no order 1234")));
        // Whoever took it out of the way, the cause is the same.
        assert_eq!(one(), name("sss", Class::Skipped, answered(422, "no order 7")));
        assert_ne!(one(), name("crm", Class::Rejected, answered(422, "no order 7")));
        assert_ne!(one(), name("sss", Class::Rejected, answered(400, "no order 7")));
        assert_ne!(one(), name("sss", Class::Rejected, answered(422, "no customer 7")));
    }

    #[test]
    fn without_an_answer_what_happened_tells_it() {
        let failed = |class, error: &str| {
            name("sss", class, Cause { error: Some(error.to_owned()), ..Cause::default() })
        };
        let timeout = failed(Class::GaveUp, "no answer within 10000 ms");
        assert_eq!(timeout, failed(Class::GaveUp, "no answer within 5000 ms"));
        assert_ne!(timeout, failed(Class::GaveUp, "connection refused"));
        assert_ne!(timeout, failed(Class::Skipped, "no answer within 10000 ms"));
        let moved = Issue::of(&message(1, "g"));
        assert_eq!((moved.status(), moved.answer(), moved.route()), ("receive_count", "", None));
    }

    #[test]
    fn a_part_is_not_taken_for_another() {
        assert_ne!(Issue::new(Some("a"), "b", "").name, Issue::new(Some("ab"), "", "").name);
        assert_eq!(Issue::new(None, "b", "").name, Issue::new(Some(""), "b", "").name);
    }

    #[test]
    fn the_beginning_of_a_name_is_a_name() {
        let typed = |text: &str| text.parse::<Typed>();
        assert!(typed("i-4f2a").unwrap().begins("i-4f2a91c7"));
        assert!(typed("i-004f").unwrap().begins("i-004f91c7"));
        assert_eq!(typed("i-004f").unwrap().to_string(), "i-004f");
        assert!(typed("I-4F2A91C7").unwrap().begins("i-4f2a91c7"));
        assert!(!typed("i-4f2b").unwrap().begins("i-4f2a91c7"));
        for text in ["", "i-", "4f2a", "i-4f2a91c70", "i-xyz", "i-4f 2"] {
            assert_eq!(typed(text), Err(NoName), "{text}");
        }
    }
}
