//! On AWS a message's time is changed with the receipt handle of its last receive, which the forwarder
//! writes into the line about what it keeps: of a group all that it kept with it. A handle is good until
//! the message is received again.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use domain::retry::may_be_early;
use domain::time::Timestamp;
use serde_json::Value;

use super::{Group, Outcome, Rest, rests};
use crate::blocked::{self, LOG_BACK, SAYING};
use crate::environment::Environment;
use crate::history::{pattern, time_of};
use crate::people::{self, printable};
use crate::sdk;

/// The groups that wait by the log, and what their messages can be reached by.
pub(super) struct OnAws<'a> {
    client: &'a Client,
    queue_url: &'a str,
    max_receive_count: u32,
    /// The queue's time.
    now: Timestamp,
    /// In the order of the log: those that have waited longest first.
    heads: Vec<String>,
    kept: BTreeMap<String, Kept>,
    pub(super) rests: Vec<Rest>,
    /// What could not be told.
    pub(super) unknown: Vec<String>,
}

/// What the log says of a group that waits.
#[derive(Debug, Default)]
struct Kept {
    /// The receipt handles, the head's first; none if the log does not have them.
    handles: Vec<String>,
    receive_count: u32,
    /// When the queue shows them again.
    shown_at: Option<Timestamp>,
}

impl<'a> OnAws<'a> {
    /// Reads the log for these keys; for all if there are none.
    pub(super) async fn find(
        environment: &'a Environment,
        keys: &[String],
        max_receive_count: u32,
    ) -> anyhow::Result<Self> {
        let now = environment.queue_time().await?;
        let history = environment.history();
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let by_key = pattern("group", &names);
        let wanted =
            if keys.is_empty() || !by_key.fits() { pattern("message", &SAYING) } else { by_key };
        let saying = |line: &Value| {
            SAYING.iter().any(|it| line["message"] == **it)
                && (names.is_empty() || names.iter().any(|key| line["group"] == **key))
        };
        let found = history.look(&wanted, people::before(now, LOG_BACK), saying).await?;
        let cut = history.cut(&found);
        let unknown = cut.map(|cut| format!("{cut}; a group that was not tried since is missing"));
        Ok(Self {
            client: &environment.client,
            queue_url: &environment.queue_url,
            max_receive_count,
            now,
            heads: blocked::of_log(&found.lines).into_iter().map(|it| it.group).collect(),
            kept: kept(&found.lines),
            rests: rests(&found.lines, now),
            unknown: unknown.into_iter().collect(),
        })
    }

    /// The groups that wait, those that have waited longest first.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.heads.clone()
    }

    /// Has the queue show a group's messages now: those behind first, so that the head never comes alone.
    pub(super) async fn now(&self, key: &str) -> anyhow::Result<Group> {
        let Some(kept) = self.kept.get(key) else {
            let reason = format!(
                "no line of the last {} says that something of this key failed and waits",
                people::span(LOG_BACK)
            );
            return Ok(Group { reason: Some(reason), ..Group::of(key, Outcome::NoGroup) });
        };
        let group = Group {
            receive_count: Some(kept.receive_count),
            max_receive_count: Some(self.max_receive_count),
            next_attempt_at: kept.shown_at.map(|at| at.to_string()),
            ..Group::of(key, Outcome::NotReached)
        };
        let Some((head, behind)) = kept.handles.split_first() else {
            let reason = "the log does not have the receipt handles of its last receive (a forwarder of \
                          before does not write them, nor one that writes errors only)";
            return Ok(Group { reason: Some(reason.to_owned()), ..group });
        };
        if kept.shown_at.is_none_or(|at| at <= self.now) {
            // It is received again, or about to be, and who has it now has other handles.
            return Ok(Group::of(key, Outcome::NotWaiting));
        }
        if !may_be_early(kept.receive_count, self.max_receive_count) {
            return Ok(Group { result: Outcome::TooOften, ..group });
        }
        let refused = match self.show(behind).await? {
            None => self.show(std::slice::from_ref(head)).await?,
            refused => refused,
        };
        Ok(match refused {
            None => {
                let messages = Some(kept.handles.len() as u64);
                Group { messages, ..Group::of(key, Outcome::Now) }
            }
            Some(reason) => Group { reason: Some(reason), ..group },
        })
    }

    /// Makes messages visible; says why not, if one is refused.
    async fn show(&self, handles: &[String]) -> anyhow::Result<Option<String>> {
        if handles.is_empty() {
            return Ok(None);
        }
        let entry = |(place, handle): (usize, &String)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(handle)
                .visibility_timeout(0)
                .build()
        };
        let entries: Result<Vec<_>, _> = handles.iter().enumerate().map(entry).collect();
        let request = self.client.change_message_visibility_batch().queue_url(self.queue_url);
        let changed = request.set_entries(Some(entries?)).send().await;
        let changed = changed.map_err(|error| {
            let denied = error.code().is_some_and(|code| code.contains("AccessDenied"));
            let failed = sdk::failed(&format!("changing visibility on {}", self.queue_url), error);
            if denied {
                failed.context("it needs sqs:ChangeMessageVisibility of the queue")
            } else {
                failed
            }
        })?;
        Ok(changed.failed().first().map(|failed| {
            let why = failed.message().unwrap_or(failed.code());
            format!(
                "SQS takes its receipt handles no more, as it was received since: {}",
                printable(why)
            )
        }))
    }
}

/// What the newest lines say of the groups that wait.
fn kept(lines: &[Value]) -> BTreeMap<String, Kept> {
    let mut kept = BTreeMap::new();
    for head in blocked::of_log(lines) {
        let mut of_head = lines.iter().rev().filter(|line| {
            line["event_id"] == *head.event_id
                && line["sequence"].as_str() == head.sequence.as_deref()
        });
        let line = of_head.find(|line| line["receipt_handles"].is_array());
        let kept_by = |line: &Value| {
            let handles = line["receipt_handles"].as_array().into_iter().flatten();
            let wait = Duration::from_millis(line["retry_in_ms"].as_u64()?);
            Some(Kept {
                handles: handles.filter_map(|it| it.as_str().map(str::to_owned)).collect(),
                receive_count: u32::try_from(line["receive_count"].as_u64()?).ok()?,
                shown_at: time_of(line).map(|at| at.plus(wait)),
            })
        };
        let shown_at = head.next_attempt_at.as_deref().and_then(people::time);
        let unknown = || Kept { shown_at, ..Kept::default() };
        kept.insert(head.group, line.and_then(kept_by).unwrap_or_else(unknown));
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(at: u32, event_id: &str, more: &Value) -> Value {
        let mut line = json!({
            "timestamp": format!("2026-01-01T00:00:{at:02}.000Z"), "message": "retry", "group": "g",
            "event_id": event_id, "sequence": event_id, "attempt": at, "retry_in_ms": 60_000,
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    }

    #[test]
    fn the_newest_handles_of_the_event_that_its_group_waits_for_count() {
        let with = |handles: &[&str], receives: u32| json!({ "receipt_handles": handles, "receive_count": receives });
        let lines = [
            line(1, "e-1", &with(&["old"], 1)),
            line(2, "e-1", &with(&["a", "b"], 2)),
            // Another destination of the same attempt.
            line(2, "e-1", &json!({})),
        ];
        let of_group = &kept(&lines)["g"];
        assert_eq!(
            (of_group.handles.as_slice(), of_group.receive_count),
            (&["a".to_owned(), "b".to_owned()][..], 2)
        );
        let shown_at = of_group.shown_at.unwrap().to_string();
        assert_eq!(shown_at, "2026-01-01T00:01:02.000Z");

        let next = [&lines[..], &[line(3, "e-2", &json!({}))]].concat();
        assert_eq!(kept(&next)["g"].handles, [""; 0], "those are of an event that has left");
        let delivered = [
            &lines[..],
            &[line(3, "e-1", &json!({ "message": "delivered", "retry_in_ms": null }))],
        ];
        assert!(kept(&delivered.concat()).is_empty());
    }

    #[test]
    fn an_event_that_was_sent_again_is_not_reached_by_its_handles_of_before() {
        let before = line(1, "e-1", &json!({ "receipt_handles": ["old"], "receive_count": 1 }));
        let again = line(2, "e-1", &json!({ "sequence": "another" }));
        let of_group = &kept(&[before, again])["g"];
        assert_eq!(of_group.handles, [""; 0]);
        // When it is shown again is known without them.
        let shown_at = of_group.shown_at.unwrap().to_string();
        assert_eq!(shown_at, "2026-01-01T00:01:02.000Z");
    }
}
