//! What can be done about an event, each with the command that does it, as it is typed here.

use commands::{command, program::value};
use serde::Serialize;

use super::State;
use crate::people::printable;

/// Something that can be done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct CanDo {
    pub(super) kind: Kind,
    pub(super) what: String,
    /// `null` if nobody needs to do anything.
    pub(super) command: Option<String>,
}

/// What it is, for programs and for other languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Resume,
    ShowHead,
    AwaitTurn,
    AwaitAttempt,
    AwaitSchedule,
    AwaitDestination,
    Retry,
    Skip,
    Redrive,
    Edit,
    Drop,
    Repeat,
    Nothing,
    Blocked,
    List,
}

/// What is known of an event, as far as it decides what can be done.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) environment: &'a str,
    pub(super) event_id: &'a str,
    pub(super) group: Option<&'a str>,
    pub(super) state: State,
    /// The event that its group waits for, if that is another.
    pub(super) behind_of: Option<&'a str>,
    /// When it is attempted again by itself, for people.
    pub(super) next_attempt: Option<String>,
    /// Until when its destination asked not to be called, for people.
    pub(super) not_before: Option<String>,
    /// `None` if it is not known.
    pub(super) is_paused: Option<bool>,
    /// Whether it was delivered, and its body is kept.
    pub(super) is_kept: bool,
}

impl Case<'_> {
    /// In the order in which one would think of it.
    pub(super) fn can_do(&self) -> Vec<CanDo> {
        let environment = || value(self.environment);
        let event_id = || value(self.event_id);
        let group = self.group.map(value);
        let do_by = |kind: Kind, what: &str, command: String| CanDo {
            kind,
            what: what.to_owned(),
            command: Some(command),
        };
        let wait = |kind: Kind, what: String| CanDo { kind, what, command: None };
        let mut all = Vec::new();
        if self.is_paused == Some(true) && self.state != State::Delivered {
            all.push(do_by(
                Kind::Resume,
                "deliver again: delivery is paused",
                command!["resume", environment()],
            ));
        }
        match self.state {
            State::Waiting => match self.behind_of {
                Some(head) => {
                    let what = format!("look at {}, which its group waits for", printable(head));
                    all.push(do_by(
                        Kind::ShowHead,
                        &what,
                        command!["show", environment(), value(head)],
                    ));
                }
                None => {
                    all.push(wait(Kind::AwaitTurn, "wait: its turn comes by itself".to_owned()));
                }
            },
            State::InFlight => {
                all.push(wait(
                    Kind::AwaitAttempt,
                    "wait: it is being attempted, or was received just now".to_owned(),
                ));
            }
            State::Retrying | State::Blocked => {
                let when = self.next_attempt.as_deref().unwrap_or("by its schedule");
                all.push(wait(Kind::AwaitSchedule, format!("wait: it is attempted again {when}")));
                match (group, &self.not_before) {
                    (_, Some(until)) => {
                        let what = format!(
                            "its destination asked by Retry-After not to be called before {until}"
                        );
                        all.push(wait(Kind::AwaitDestination, what));
                    }
                    (Some(group), None) => {
                        let retry = command!["retry", environment(), group];
                        all.push(do_by(Kind::Retry, "attempt it now", retry));
                    }
                    (None, None) => {}
                }
                all.push(do_by(
                    Kind::Skip,
                    "take it out of its group's way, into the dead letters",
                    command!["skip", environment(), event_id(), "--why", "TEXT"],
                ));
            }
            State::Dead => {
                let again = command!["dlq", "redrive", environment(), event_id()];
                all.push(do_by(Kind::Redrive, "send it again", again));
                let edit = command!["dlq", "edit", environment(), event_id(), "--why", "TEXT"];
                all.push(do_by(Kind::Edit, "send it again with another body", edit));
                let drop = command!["dlq", "drop", environment(), event_id(), "--why", "TEXT"];
                all.push(do_by(Kind::Drop, "delete it, and keep a copy in a file", drop));
            }
            State::Delivered if self.is_kept => {
                let repeat = command!["repeat", environment(), event_id(), "--why", "TEXT"];
                all.push(do_by(Kind::Repeat, "send it once more, marked as a repeat", repeat));
            }
            State::Delivered => {
                let what =
                    "nothing: the service has it; who sent it can send it again, as another event";
                all.push(wait(Kind::Nothing, what.to_owned()));
            }
            State::Unknown => {
                all.push(do_by(
                    Kind::Blocked,
                    "see whether its group waits",
                    command!["blocked", environment()],
                ));
                all.push(do_by(
                    Kind::List,
                    "see whether it is a dead letter",
                    command!["dlq", "list", environment()],
                ));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(state: State, is_paused: bool, behind_of: Option<&str>) -> Vec<String> {
        let case = Case {
            environment: "prod",
            event_id: "e-1",
            group: Some("order 7"),
            state,
            behind_of,
            next_attempt: None,
            not_before: None,
            is_paused: Some(is_paused),
            is_kept: state == State::Delivered && is_paused,
        };
        let commands = case.can_do().into_iter().filter_map(|it| it.command);
        let words = |command: String| command.split_once(' ').unwrap().1.to_owned();
        commands.map(words).collect()
    }

    #[test]
    fn what_somebody_else_has_chosen_is_never_taken_for_an_option() {
        use State::{Blocked, Dead, Delivered, InFlight, Retrying, Unknown, Waiting};
        for chosen in crate::tests::CHOSEN {
            for state in [Waiting, InFlight, Retrying, Blocked, Dead, Delivered, Unknown] {
                let case = Case {
                    environment: "prod",
                    event_id: chosen,
                    group: Some(chosen),
                    state,
                    behind_of: Some(chosen),
                    next_attempt: None,
                    not_before: None,
                    is_paused: Some(false),
                    is_kept: true,
                };
                for CanDo { command, .. } in case.can_do() {
                    let command = command.filter(|_| state != Unknown);
                    if let Some(command) = command {
                        crate::tests::takes(&command, chosen);
                    }
                }
            }
        }
    }

    #[test]
    fn whom_nobody_may_call_yet_is_not_offered_to_be_called_now() {
        for state in [State::Retrying, State::Blocked] {
            let case = Case {
                environment: "prod",
                event_id: "e-1",
                group: Some("g"),
                state,
                behind_of: None,
                next_attempt: None,
                not_before: Some("12:00 UTC".to_owned()),
                is_paused: Some(false),
                is_kept: false,
            };
            let all = case.can_do();
            let kinds: Vec<Kind> = all.iter().map(|it| it.kind).collect();
            assert_eq!(kinds, [Kind::AwaitSchedule, Kind::AwaitDestination, Kind::Skip]);
            assert!(all[1].what.ends_with("12:00 UTC") && all[1].command.is_none());
        }
    }

    #[test]
    fn each_state_has_its_commands() {
        let none: [&str; 0] = [];
        let skip = "skip prod e-1 --why TEXT";
        assert_eq!(commands(State::Blocked, false, None), ["retry prod 'order 7'", skip]);
        assert_eq!(
            commands(State::Retrying, true, None),
            ["resume prod", "retry prod 'order 7'", skip]
        );
        assert_eq!(commands(State::Waiting, false, Some("e-0")), ["show prod e-0"]);
        assert_eq!(commands(State::Waiting, false, None), none);
        assert_eq!(commands(State::InFlight, false, None), none);
        assert_eq!(commands(State::Delivered, false, None), none);
        assert_eq!(commands(State::Delivered, true, None), ["repeat prod e-1 --why TEXT"]);
        assert_eq!(
            commands(State::Dead, false, None),
            [
                "dlq redrive prod e-1",
                "dlq edit prod e-1 --why TEXT",
                "dlq drop prod e-1 --why TEXT"
            ]
        );
        assert_eq!(commands(State::Unknown, false, None), ["blocked prod", "dlq list prod"]);
    }
}
