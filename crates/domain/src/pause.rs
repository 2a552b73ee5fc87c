//! Pauses: why delivery stands still. Each has a name, which is its owner's, and ends for itself:
//! delivery goes on when the last has ended.

use serde::{Deserialize, Serialize};

use crate::json::JsonError;
use crate::time::Timestamp;

/// The name of a pause that nobody gave one: of a former version, or made by the mapping's own switch.
pub const UNKNOWN: &str = "unknown";

/// Characters of a name, at most: the longest ARN of a session fits, who is the name unless another is
/// said.
pub const NAME_CHARS_MAX: usize = 256;

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Whose it is to end.
    pub name: String,
    /// Who made it, as the audit log names them; `None` of one that was made without saying.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When it began.
    pub since: Option<Timestamp>,
    /// When it ends by itself; `None` if somebody has to end it.
    pub until: Option<Timestamp>,
}

/// The pauses of an environment. While there is one, nothing is delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    pauses: Vec<Pause>,
}

impl Pauses {
    /// Reads them as [`to_json`](Self::to_json) writes them.
    ///
    /// # Errors
    ///
    /// [`JsonError`].
    pub fn parse(json: &[u8]) -> Result<Self, JsonError> {
        Ok(serde_json::from_slice(json)?)
    }

    /// The pauses as they are kept.
    ///
    /// # Errors
    ///
    /// None, but that of the serializer.
    pub fn to_json(&self) -> Result<Vec<u8>, JsonError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Begins a pause, or puts it in the place of the one of the same name, whose end is not its end.
    pub fn begin(&mut self, pause: Pause) {
        match self.pauses.iter_mut().find(|it| it.name == pause.name) {
            None => self.pauses.push(pause),
            Some(there) => *there = Pause { since: there.since.or(pause.since), ..pause },
        }
    }

    /// Moves the end of a pause; tells whether it is there. One that somebody has ended stays so.
    pub fn renew(&mut self, name: &str, until: Timestamp) -> bool {
        let found = self.pauses.iter_mut().find(|it| it.name == name);
        found.map(|it| it.until = Some(until)).is_some()
    }

    /// Ends a pause, and gives it if it was there.
    pub fn end(&mut self, name: &str) -> Option<Pause> {
        let place = self.pauses.iter().position(|it| it.name == name)?;
        Some(self.pauses.remove(place))
    }

    /// Ends those whose time is over, and gives them.
    pub fn end_over(&mut self, now: Timestamp) -> Vec<Pause> {
        self.pauses.extract_if(.., |it| it.until.is_some_and(|until| until <= now)).collect()
    }

    /// When the next one ends by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.pauses.iter().filter_map(|it| it.until).min()
    }

    /// When all have ended by themselves; `None` if one has no end, or there is none.
    #[must_use]
    pub fn last_end(&self) -> Option<Timestamp> {
        let ends: Option<Vec<Timestamp>> = self.pauses.iter().map(|it| it.until).collect();
        ends?.into_iter().max()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pauses.is_empty()
    }

    /// All of them, in the order in which they began.
    #[must_use]
    pub fn all(&self) -> &[Pause] {
        &self.pauses
    }
}

/// Whether a text can be a name: one line that is not too long.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= NAME_CHARS_MAX
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(seconds * 1_000)
    }

    fn pause(name: &str, until: Option<u64>) -> Pause {
        Pause {
            name: name.to_owned(),
            by: Some("owner".to_owned()),
            reason: None,
            since: Some(at(1)),
            until: until.map(at),
        }
    }

    fn pauses(ends: &[(&str, Option<u64>)]) -> Pauses {
        let mut pauses = Pauses::default();
        for (name, until) in ends {
            pauses.begin(pause(name, *until));
        }
        pauses
    }

    fn names(pauses: &[Pause]) -> Vec<&str> {
        pauses.iter().map(|it| &*it.name).collect()
    }

    #[test]
    fn each_ends_for_itself() {
        let mut pauses = pauses(&[("a", None), ("b", Some(5)), ("c", Some(9))]);
        assert_eq!(pauses.end("b").map(|it| it.name).as_deref(), Some("b"));
        assert_eq!(pauses.end("b"), None);
        assert_eq!(names(&pauses.end_over(at(8))), Vec::<&str>::new());
        assert_eq!(names(&pauses.end_over(at(9))), ["c"]);
        assert_eq!(names(pauses.all()), ["a"]);
        assert!(!pauses.is_empty());
        pauses.end("a");
        assert!(pauses.is_empty());
    }

    #[test]
    fn one_of_the_same_name_takes_the_place_of_the_first_and_began_with_it() {
        let mut pauses = pauses(&[("a", Some(5)), ("b", None)]);
        pauses.begin(Pause { since: Some(at(4)), ..pause("a", None) });
        assert_eq!(names(pauses.all()), ["a", "b"]);
        assert_eq!((pauses.all()[0].since, pauses.all()[0].until), (Some(at(1)), None));
    }

    #[test]
    fn one_that_was_ended_is_not_renewed() {
        let mut pauses = pauses(&[("a", Some(5))]);
        assert!(pauses.renew("a", at(7)));
        assert_eq!(pauses.next_end(), Some(at(7)));
        pauses.end("a");
        assert!(!pauses.renew("a", at(9)) && pauses.is_empty());
    }

    #[test]
    fn all_have_ended_with_the_last_and_never_while_one_has_no_end() {
        assert_eq!(pauses(&[]).last_end(), None);
        let mut pauses = pauses(&[("a", Some(9)), ("b", Some(5))]);
        assert_eq!((pauses.next_end(), pauses.last_end()), (Some(at(5)), Some(at(9))));
        pauses.begin(pause("c", None));
        assert_eq!((pauses.next_end(), pauses.last_end()), (Some(at(5)), None));
    }

    #[test]
    fn what_is_kept_is_read_and_what_is_not_understood_is_refused() {
        let pauses = pauses(&[("リリース", Some(5)), (UNKNOWN, None)]);
        assert_eq!(Pauses::parse(&pauses.to_json().unwrap()).unwrap(), pauses);
        let newer = br#"{"pauses":[{"name":"a","more":1}],"also":2}"#;
        assert_eq!(names(Pauses::parse(newer).unwrap().all()), ["a"]);
        for broken in ["", "{}", r#"{"pauses":[{}]}"#, r#"{"pauses":[{"name":"a","until":5}]}"#] {
            assert!(Pauses::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_name_is_a_line() {
        assert!(is_name("arn:aws:sts::123456789012:assumed-role/dev-operate/a.b@example.com"));
        for text in ["", " ", "a\nb", &"x".repeat(257)] {
            assert!(!is_name(text), "{text:?}");
        }
    }
}
