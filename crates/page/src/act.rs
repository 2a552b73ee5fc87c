//! What can be done from the page: each is a command of the operator's.

use crate::operator::Words;

/// Dead letters of one act, at most: they are named one by one, on one command line.
pub(crate) const LETTERS_MAX: usize = 10_000;

/// From this many events on, a person types how many there are.
pub(crate) const MANY: usize = 100;

/// Where a command reads what is too long, or too much its own, for a command line.
const STDIN: &str = "/dev/stdin";

/// An act, with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Attempt what waits of these keys now.
    Retry { keys: Vec<String> },
    /// Take an event out of its key's way.
    Skip { event_id: String },
    /// Send dead letters again.
    Redrive { event_ids: Vec<String> },
    /// Delete dead letters, after writing them into a file.
    Drop { event_ids: Vec<String> },
    /// Stop delivering, for so many minutes if it ends by itself.
    Pause { minutes: Option<u32> },
    /// End a pause.
    Resume { name: String },
    /// Send an event that was delivered once more.
    Repeat { event_id: String },
    /// Post a test event to a route, as its provider would.
    Send { route: String },
    /// Send a dead letter with another body.
    Edit { event_id: String, before: String, after: String },
}

/// An act that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ActError {
    #[error("nothing is chosen")]
    Nothing,
    #[error("more than {LETTERS_MAX} are chosen: the command takes a selection")]
    TooMany,
    #[error("the body is as it was")]
    Unchanged,
    #[error("a why is needed")]
    NoWhy,
    #[error("the number typed is not how many there are")]
    OtherNumber,
}

impl Act {
    /// How many events it is about, if that is known.
    pub(crate) fn events(&self) -> Option<usize> {
        match self {
            Self::Redrive { event_ids } | Self::Drop { event_ids } => Some(event_ids.len()),
            Self::Skip { .. } | Self::Repeat { .. } | Self::Edit { .. } | Self::Send { .. } => {
                Some(1)
            }
            // Of each key one at least.
            Self::Retry { keys } => Some(keys.len()),
            Self::Pause { .. } | Self::Resume { .. } => None,
        }
    }

    /// Whether a why is asked for: only what ends something of others has no place for it.
    pub(crate) fn takes_why(&self) -> bool {
        !matches!(self, Self::Resume { .. })
    }

    /// Checks what a person said to it.
    pub(crate) fn check(&self, why: &str, number: Option<usize>) -> Result<(), ActError> {
        match self {
            Self::Retry { keys: all }
            | Self::Redrive { event_ids: all }
            | Self::Drop { event_ids: all } => {
                if all.is_empty() {
                    return Err(ActError::Nothing);
                }
                if all.len() > LETTERS_MAX {
                    return Err(ActError::TooMany);
                }
            }
            Self::Edit { before, after, .. } if before == after => return Err(ActError::Unchanged),
            Self::Skip { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Repeat { .. }
            | Self::Send { .. }
            | Self::Edit { .. } => {}
        }
        if self.takes_why() && why.trim().is_empty() {
            return Err(ActError::NoWhy);
        }
        match self.events() {
            Some(events) if events > MANY && number != Some(events) => Err(ActError::OtherNumber),
            _ => Ok(()),
        }
    }

    /// The command that does it.
    pub(crate) fn words(&self, why: &str) -> Words {
        let of = |command| Words::new(command);
        let words = match self {
            Self::Retry { keys } => keys.iter().fold(of(&["retry"]), Words::value),
            Self::Skip { event_id } => of(&["skip"]).value(event_id).flag("--no-wait"),
            Self::Redrive { event_ids } => {
                event_ids.iter().fold(of(&["dlq", "redrive"]), Words::value)
            }
            Self::Drop { event_ids } => {
                event_ids.iter().fold(of(&["dlq", "drop"]).flag("--yes"), Words::value)
            }
            Self::Pause { minutes } => match minutes {
                Some(minutes) => of(&["pause"]).option("--for", format!("{minutes}m")),
                None => of(&["pause"]),
            },
            Self::Resume { name } => of(&["resume"]).option("--name", name).flag("--no-wait"),
            Self::Repeat { event_id } => of(&["repeat"]).value(event_id),
            // Whom it goes to has been asked, and is the confirmation's to name.
            Self::Send { route } => of(&["send"]).option("--route", route).flag("--yes"),
            Self::Edit { event_id, after, .. } => {
                of(&["dlq", "edit"]).option("--body", STDIN).value(event_id).input(after)
            }
        };
        if self.takes_why() { words.option("--why", why.trim()) } else { words }
    }

    /// What shows what it would do, and changes nothing; on AWS only if it receives nothing either.
    pub(crate) fn rehearsal(&self, is_aws: bool) -> Option<Words> {
        match self {
            Self::Send { route } => {
                Some(Words::new(&["send"]).option("--route", route).flag("--dry-run"))
            }
            Self::Redrive { event_ids } if !is_aws => {
                let words = Words::new(&["dlq", "redrive"]).flag("--dry-run");
                Some(event_ids.iter().fold(words, Words::value))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redrive(count: usize) -> Act {
        Act::Redrive { event_ids: (0..count).map(|n| format!("e-{n}")).collect() }
    }

    #[test]
    fn what_acts_has_a_why_and_many_are_counted() {
        assert_eq!(redrive(1).check("fixed", None), Ok(()));
        for nothing in ["", " ", "\n\t"] {
            assert_eq!(redrive(1).check(nothing, None), Err(ActError::NoWhy));
        }
        assert_eq!(redrive(0).check("fixed", None), Err(ActError::Nothing));
        assert_eq!(redrive(MANY).check("fixed", None), Ok(()));
        assert_eq!(redrive(MANY + 1).check("fixed", None), Err(ActError::OtherNumber));
        assert_eq!(redrive(MANY + 1).check("fixed", Some(MANY)), Err(ActError::OtherNumber));
        assert_eq!(redrive(MANY + 1).check("fixed", Some(MANY + 1)), Ok(()));
        assert_eq!(redrive(LETTERS_MAX).check("fixed", Some(LETTERS_MAX)), Ok(()));
        let many = LETTERS_MAX + 1;
        assert_eq!(redrive(many).check("fixed", Some(many)), Err(ActError::TooMany));
        assert_eq!(Act::Retry { keys: Vec::new() }.check("now", None), Err(ActError::Nothing));
        let keys = |count: usize| Act::Retry { keys: (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(keys(MANY).check("now", None), Ok(()));
        assert_eq!(keys(MANY + 1).check("now", None), Err(ActError::OtherNumber));
        assert_eq!(Act::Resume { name: "release".to_owned() }.check("", None), Ok(()));
        assert_eq!(Act::Pause { minutes: None }.check("", None), Err(ActError::NoWhy));
        let edit = |after: &str| Act::Edit {
            event_id: "e".to_owned(),
            before: "a".to_owned(),
            after: after.to_owned(),
        };
        assert_eq!(edit("a").check("fixed", None), Err(ActError::Unchanged));
        assert_eq!(edit("b").check("fixed", None), Ok(()));
        assert_eq!(edit("b").check("", None), Err(ActError::NoWhy));
        assert_eq!(Act::Repeat { event_id: "e".to_owned() }.check("", None), Err(ActError::NoWhy));
        assert_eq!(Act::Skip { event_id: "e".to_owned() }.check("", None), Err(ActError::NoWhy));
    }
}
