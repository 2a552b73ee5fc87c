//! Where another implementation is not like SQS. Each entry is checked: one that is wrong, or no
//! longer true, fails the suite.

/// Something that an implementation does otherwise.
#[derive(Debug)]
pub struct Difference {
    /// The scenario's path below `scenarios`.
    pub scenario: &'static str,
    /// What it checks.
    pub subject: &'static str,
    /// What the implementation does, as Rust writes it (`{:?}`).
    pub seen: &'static str,
    /// Why, as far as can be told.
    pub reason: &'static str,
}

/// What the engine does otherwise: nothing.
pub const ENGINE: &[Difference] = &[];

/// What [`MiniStack`](super::ministack) does otherwise.
pub const MINISTACK: &[Difference] = &[
    differs("dead_letters::move_task", "from what is none", "Err(\"InvalidAction\")", NOT_THERE),
    differs("dead_letters::move_task", "starting", "Err(\"InvalidAction\")", NOT_THERE),
    differs(
        "dead_letters::redrive_policy",
        "sources of the dead-letter queue",
        "Err(\"InvalidAction\")",
        NOT_THERE,
    ),
    differs("messages::attributes", "a control character", "Ok(())", NOT_CHECKED),
    differs("messages::attributes", "a number too large", "Ok(())", NOT_CHECKED),
    differs("messages::attributes", "a reserved name", "Ok(())", NOT_CHECKED),
    differs("messages::attributes", "an empty value", "Ok(())", NOT_CHECKED),
    differs("messages::attributes", "an unknown type", "Ok(())", NOT_CHECKED),
    differs("messages::attributes", "eleven attributes", "Ok(())", NOT_CHECKED),
    differs("messages::attributes", "no number", "Ok(())", NOT_CHECKED),
    differs("messages::limits", "a group with a space", "Ok(())", NOT_CHECKED),
    differs("messages::limits", "an id that is not ASCII", "Ok(())", NOT_CHECKED),
    differs("messages::limits", "an id too long", "Ok(())", NOT_CHECKED),
    differs("messages::limits", "waiting 21 seconds", "Ok(())", NOT_CHECKED),
    differs("queues::settings", "an unknown one", "Ok(())", NOT_CHECKED),
    differs("visibility::change", "beyond 12 hours", "Ok(())", NOT_CHECKED),
    differs("messages::batches", "one is refused", "Ok(([\"3\", \"4\"], []))", GROUP_WITH_SPACE),
    differs(
        "messages::batches",
        "what was accepted is there",
        "[\"1\", \"2\", \"3\", \"4\", \"5\"]",
        GROUP_WITH_SPACE,
    ),
    differs(
        "messages::batches",
        "one without a group refuses all",
        "Ok(([\"5\"], [(\"6\", \"MissingParameter\")]))",
        "The entry alone is refused.",
    ),
    differs("messages::batches", "deleting", "5", GROUP_WITH_SPACE),
    differs(
        "messages::batches",
        "a handle that is none",
        "[(\"5\", \"ReceiptHandleIsInvalid\")]",
        GROUP_WITH_SPACE,
    ),
    differs(
        "dead_letters::redrive_allow_policy",
        "a dead-letter queue that is not there",
        "Err(\"InvalidAttributeValue\")",
        "The code is that of an attribute.",
    ),
    differs("dead_letters::redrive_allow_policy", "none", "Ok(())", ALLOW_POLICY),
    differs("dead_letters::redrive_allow_policy", "another one", "Ok(())", ALLOW_POLICY),
    differs(
        "dead_letters::redrive_policy",
        "which is its deduplication id",
        "false",
        DEAD_LETTER_ID,
    ),
    differs("order::of_a_head_that_fails", "comes back alone", "[]", WHOLE_GROUP),
    differs("order::of_what_comes_back", "it comes back alone", "[]", WHOLE_GROUP),
    differs("order::of_what_is_held_for_longer", "the second", "\"\"", WHOLE_GROUP),
    differs("order::of_what_is_held_for_longer", "the third", "\"\"", WHOLE_GROUP),
    differs(
        "order::of_a_part_that_is_deleted",
        "the other group is not between",
        "[\"a1\", \"b1\"]",
        BY_SEQUENCE,
    ),
    differs(
        "order::of_a_part_that_is_deleted",
        "behind the second",
        "[\"a2\", \"a3\", \"a4\"]",
        BY_SEQUENCE,
    ),
    differs("order::of_a_part_that_is_deleted", "the group goes on", "[\"b2\"]", BY_SEQUENCE),
    differs("deduplication::after_a_purge", "the same id again", "[]", PURGED_ID),
    differs("messages::attributes", "asked for by an asterisk", "None", ASTERISK),
    differs("queues::purge", "again within 60 seconds", "Ok(())", PURGE_INTERVAL),
    differs("queues::life", "tagging with nothing", "Ok(())", NOT_CHECKED),
    differs("queues::settings", "is one", "Some(\"True\")", NOT_CHECKED),
    differs("queues::settings", "scope", "None", UNSET),
    differs("queues::settings", "throughput", "None", UNSET),
    differs(
        "visibility::change",
        "deleting it again",
        "Err(\"ReceiptHandleIsInvalid\")",
        FORGOTTEN_HANDLE,
    ),
    differs(
        "visibility::change",
        "what is gone",
        "Err(\"ReceiptHandleIsInvalid\")",
        FORGOTTEN_HANDLE,
    ),
    differs(
        "visibility::expired_handle",
        "changing what is visible again",
        "Err(\"ReceiptHandleIsInvalid\")",
        FORGOTTEN_HANDLE,
    ),
    differs(
        "visibility::expired_handle",
        "deleting by the old handle",
        "Err(\"ReceiptHandleIsInvalid\")",
        FORGOTTEN_HANDLE,
    ),
    differs(
        "visibility::expired_handle",
        "deleting what is visible again",
        "Ok(())",
        EXPIRED_HANDLE,
    ),
    differs("visibility::expired_handle", "it was not deleted", "[]", EXPIRED_HANDLE),
    differs("visibility::receive_attempt", "the same batch again", "[]", RECEIVE_ATTEMPT),
    differs("visibility::receive_attempt", "no longer once it was changed", "[]", RECEIVE_ATTEMPT),
];

const NOT_THERE: &str = "The operation is not implemented.";
const NOT_CHECKED: &str = "The value is accepted unchecked.";
const GROUP_WITH_SPACE: &str =
    "Ids are not checked in a batch either, so the entry to be refused is accepted.";
const ALLOW_POLICY: &str = "The redrive allow policy is kept but not enforced.";
const DEAD_LETTER_ID: &str =
    "A dead letter keeps the sender's deduplication id, so the dead-letter queue can swallow one.";
const WHOLE_GROUP: &str = "A message in flight holds back its whole group.";
const BY_SEQUENCE: &str = "Messages of several groups come in the order of their sends.";
const PURGED_ID: &str = "A deduplication id outlives the purge of its message.";
const ASTERISK: &str = "Only the documented names for all attributes are known.";
const PURGE_INTERVAL: &str = "Purges are not limited to one a minute.";
const UNSET: &str = "The attribute is shown only when it was set.";
const FORGOTTEN_HANDLE: &str =
    "A handle is forgotten with its message or its receive, and then it is no handle.";
const EXPIRED_HANDLE: &str =
    "A handle deletes even after the message became visible again, as on a standard queue.";
const RECEIVE_ATTEMPT: &str =
    "The receive request attempt id is ignored, so the group stays locked.";

const fn differs(
    scenario: &'static str,
    subject: &'static str,
    seen: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { scenario, subject, seen, reason }
}
