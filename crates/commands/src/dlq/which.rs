//! Dead letters by their ids, all of them, or a selection: what a command that takes them away needs said.

use clap::builder::NonEmptyStringValueParser;
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::select::SelectArgs;

/// Names of the arguments one of which has to be given.
pub(super) const ONE_OF: [&str; 10] =
    ["event_ids", "all", "route", "group", "class", "issue", "since", "until", "grep", "reason"];

/// Those that do not go with `--all`.
pub(super) const NOT_WITH_ALL: [&str; 9] =
    ["event_ids", "route", "group", "class", "issue", "since", "until", "grep", "reason"];

/// Which dead letters
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Event ids, as `dlq list` shows them; the beginning of one is enough if no other has it
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub event_ids: Vec<String>,

    /// All dead letters
    #[arg(long, conflicts_with_all = NOT_WITH_ALL)]
    pub all: bool,

    #[command(flatten)]
    pub select: SelectArgs,
}

impl Which {
    /// What was said, for the audit log, when the queue's clock shows `now`.
    #[must_use]
    pub fn audited(&self, now: Timestamp) -> Value {
        let Self { event_ids, all, select } = self;
        json!({ "all": all, "event_ids": event_ids, "selection": select.audited(now) })
    }
}
