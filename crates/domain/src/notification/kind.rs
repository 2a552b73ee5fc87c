//! The conditions that need a person.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// When a condition that goes on is told again, where it is critical or has become worse, and where not.
const REPEAT_SOON: Duration = Duration::from_hours(4);
const REPEAT: Duration = Duration::from_hours(24);

/// How soon a person is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Webhooks are refused, or something will be lost.
    Critical,
    /// Something waits for a person.
    Warning,
    /// Somebody may want to know.
    Info,
}

/// A kind of condition; the most urgent first, which is their order in a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The disk takes nothing.
    StorageFails,
    /// The disk has no room but the reserve.
    DiskFull,
    /// Events cannot be read.
    MessagesDamaged,
    /// No forwarder starts.
    ForwarderDown,
    /// Events are neither delivered nor kept.
    EventsMissing,
    /// Events were older than the retention.
    EventsExpired,
    /// Dead letters will be deleted soon.
    DeadLettersNearRetention,
    /// The engine starts again and again.
    Restarts,
    /// An event has waited for long.
    OldestMessageTooOld,
    /// The engine ended without having been stopped.
    Killed,
    /// The disk will be full within a day.
    DiskFillsUp,
    /// The forwarder crashes or runs out of time.
    InvocationErrors,
    /// A destination does not answer.
    BreakerOpen,
    /// A rejected event holds back its ordering key.
    KeyBlocked,
    /// Events could not be delivered.
    DeadLettersPresent,
    /// Events were purged or deleted by hand.
    EventsRemoved,
    /// Requests are refused.
    RequestsRefused,
    /// Delivery is paused, and has been for long.
    Paused,
    /// Log lines are left out.
    LogIncomplete,
}

/// Where an engine is, as its operator types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The environment.
    pub environment: String,
    /// The data directory, quoted for a shell; `None` where nothing is kept on a disk.
    pub data_dir: Option<String>,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 19] = [
        Self::StorageFails,
        Self::DiskFull,
        Self::MessagesDamaged,
        Self::ForwarderDown,
        Self::EventsMissing,
        Self::EventsExpired,
        Self::DeadLettersNearRetention,
        Self::Restarts,
        Self::OldestMessageTooOld,
        Self::Killed,
        Self::DiskFillsUp,
        Self::InvocationErrors,
        Self::BreakerOpen,
        Self::KeyBlocked,
        Self::DeadLettersPresent,
        Self::EventsRemoved,
        Self::RequestsRefused,
        Self::Paused,
        Self::LogIncomplete,
    ];

    /// Its name: that of the alert rule that says the same, without `WebhookQueue`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StorageFails => "StorageFails",
            Self::DiskFull => "DiskFull",
            Self::MessagesDamaged => "MessagesDamaged",
            Self::ForwarderDown => "ForwarderDown",
            Self::EventsMissing => "EventsMissing",
            Self::EventsExpired => "EventsExpired",
            Self::DeadLettersNearRetention => "DeadLettersNearRetention",
            Self::Restarts => "Restarts",
            Self::OldestMessageTooOld => "OldestMessageTooOld",
            Self::Killed => "Killed",
            Self::DiskFillsUp => "DiskFillsUp",
            Self::InvocationErrors => "InvocationErrors",
            Self::BreakerOpen => "BreakerOpen",
            Self::KeyBlocked => "KeyBlocked",
            Self::DeadLettersPresent => "DeadLettersPresent",
            Self::EventsRemoved => "EventsRemoved",
            Self::RequestsRefused => "RequestsRefused",
            Self::Paused => "Paused",
            Self::LogIncomplete => "LogIncomplete",
        }
    }

    /// The kind of this name; an engine of another version may know others.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How soon a person is needed.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::StorageFails
            | Self::DiskFull
            | Self::MessagesDamaged
            | Self::ForwarderDown
            | Self::EventsMissing
            | Self::EventsExpired
            | Self::DeadLettersNearRetention
            | Self::Restarts
            | Self::OldestMessageTooOld => Severity::Critical,
            Self::Killed
            | Self::DiskFillsUp
            | Self::InvocationErrors
            | Self::BreakerOpen
            | Self::KeyBlocked
            | Self::DeadLettersPresent
            | Self::EventsRemoved
            | Self::RequestsRefused
            | Self::Paused => Severity::Warning,
            Self::LogIncomplete => Severity::Info,
        }
    }

    /// How long it must hold before it is told; what is over sooner was none.
    #[must_use]
    pub fn holds_for(self) -> Duration {
        Duration::from_mins(match self {
            Self::StorageFails | Self::EventsMissing => 1,
            Self::ForwarderDown => 2,
            Self::BreakerOpen | Self::KeyBlocked => 10,
            Self::InvocationErrors => 15,
            Self::DiskFillsUp | Self::Paused => 60,
            _ => 0,
        })
    }

    /// How long after it was told it is told again while it goes on, if it is.
    #[must_use]
    pub(super) fn repeats_after(self, is_worse: bool) -> Option<Duration> {
        match self {
            // What is missing stays so, whatever is done about it.
            Self::EventsMissing if !is_worse => None,
            _ if is_worse || self.severity() == Severity::Critical => Some(REPEAT_SOON),
            _ => Some(REPEAT),
        }
    }

    /// What it is called once it is over; `None` for what happened once, which cannot be over.
    #[must_use]
    pub(super) fn over(self) -> Option<&'static str> {
        Some(match self {
            Self::Killed => return None,
            Self::StorageFails => "storage works",
            Self::DiskFull => "the disk has room, events are accepted",
            Self::MessagesDamaged => "no damaged events are left",
            Self::ForwarderDown => "the forwarder starts",
            Self::EventsMissing => "no events are missing",
            Self::EventsExpired => "no further events expired",
            Self::DeadLettersNearRetention => "no dead letter is near its retention",
            Self::Restarts => "the engine stays up",
            Self::OldestMessageTooOld => "no event waits for long",
            Self::DiskFillsUp => "the disk no longer fills up",
            Self::InvocationErrors => "the forwarder answers",
            Self::BreakerOpen => "the destination answers",
            Self::KeyBlocked => "no further attempt was blocked",
            Self::DeadLettersPresent => "no dead letters are left",
            Self::EventsRemoved => "no further events were removed",
            Self::RequestsRefused => "few requests are refused",
            Self::Paused => "delivery goes on",
            Self::LogIncomplete => "log lines are written",
        })
    }

    /// The section of `docs/runbook.md`, as its anchor.
    #[must_use]
    pub fn runbook(self) -> &'static str {
        match self {
            Self::StorageFails | Self::DiskFull | Self::DiskFillsUp | Self::LogIncomplete => {
                "the-disk-is-full-or-fails"
            }
            Self::MessagesDamaged => "events-are-damaged",
            Self::ForwarderDown => "the-forwarder-does-not-start",
            Self::EventsMissing | Self::EventsExpired | Self::EventsRemoved => "events-are-missing",
            Self::DeadLettersNearRetention => "dead-letters-near-retention",
            Self::Restarts | Self::Killed => "the-engine-is-down",
            Self::OldestMessageTooOld | Self::BreakerOpen => "oldest-message-too-old",
            Self::InvocationErrors => "function-errors",
            Self::KeyBlocked => "one-ordering-key-does-not-move",
            Self::DeadLettersPresent => "dead-letters-present",
            Self::RequestsRefused => "requests-are-refused",
            Self::Paused => "mapping-not-enabled",
        }
    }

    /// What to type first.
    #[must_use]
    pub fn to_type(self, place: &Place) -> String {
        let operator = |words: &str, more: &str| {
            let data_dir = place.data_dir.as_deref();
            let data_dir = data_dir.map_or_else(String::new, |dir| format!(" --data-dir {dir}"));
            format!("webhook-operator {words} {}{more}{data_dir}", place.environment)
        };
        match self {
            Self::StorageFails | Self::DiskFull | Self::DiskFillsUp | Self::LogIncomplete => place
                .data_dir
                .as_ref()
                .map_or_else(|| "df -h".to_owned(), |dir| format!("df -h {dir}")),
            Self::ForwarderDown
            | Self::InvocationErrors
            | Self::BreakerOpen
            | Self::OldestMessageTooOld => operator("doctor", ""),
            Self::DeadLettersNearRetention => operator("dlq export", " dead-letters.jsonl"),
            Self::DeadLettersPresent => operator("dlq list", ""),
            Self::KeyBlocked => operator("blocked", ""),
            Self::Paused => operator("resume", ""),
            Self::RequestsRefused => match &place.data_dir {
                Some(dir) => format!("grep '\"refused\"' {dir}/engine.log"),
                None => operator("status", ""),
            },
            Self::MessagesDamaged => operator("damaged list", ""),
            Self::EventsMissing
            | Self::EventsExpired
            | Self::EventsRemoved
            | Self::Restarts
            | Self::Killed => operator("status", ""),
        }
    }
}

/// As its name.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there_in_their_order_with_names_of_their_own() {
        assert!(Kind::ALL.is_sorted_by(|a, b| a < b && a.severity() <= b.severity()));
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("Other"), None);
    }

    #[test]
    fn what_to_type_names_the_environment_and_where_it_is() {
        let place = |data_dir: Option<&str>| Place {
            environment: "prod".to_owned(),
            data_dir: data_dir.map(str::to_owned),
        };
        let there = place(Some("'/var/lib/a b'"));
        for kind in Kind::ALL {
            assert!(kind.to_type(&there).contains("'/var/lib/a b'"), "{kind:?}");
            assert!(!kind.to_type(&place(None)).contains("data-dir"), "{kind:?}");
        }
        assert_eq!(
            Kind::DeadLettersPresent.to_type(&there),
            "webhook-operator dlq list prod --data-dir '/var/lib/a b'"
        );
    }
}
