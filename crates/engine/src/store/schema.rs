//! The tables, and what each is for.
//!
//! A message's row never changes after the send: what a receive changes lies in `delivery`, so that
//! receiving a large message does not write its body again. Nothing is counted or scanned: a queue's
//! counts are kept, a group knows its first message, and the groups are ordered by it.

/// The tables of version 1; what became of them since is in [`migrations`](super::migrations).
pub(super) const FIRST: &str = "
-- One row. `next_number` is the next sequence number or receive number, never used twice.
CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next_number INTEGER NOT NULL,
    last_time_ms INTEGER NOT NULL
) STRICT;
INSERT INTO progress VALUES (1, 1, 0);

CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    purged_ms INTEGER
) STRICT;

-- Apart from `queue`, because every send writes it.
CREATE TABLE queue_count (
    queue_id INTEGER PRIMARY KEY,
    queued INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    message_groups INTEGER NOT NULL
) STRICT;

-- Message groups that have messages. A group is locked while any of them is in flight.
CREATE TABLE message_group (
    id INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    head_sequence INTEGER NOT NULL,
    in_flight INTEGER NOT NULL DEFAULT 0,
    locked INTEGER NOT NULL GENERATED ALWAYS AS (in_flight > 0) VIRTUAL
) STRICT;
CREATE UNIQUE INDEX message_group_by_name ON message_group (queue_id, name);
CREATE INDEX message_group_by_head ON message_group (queue_id, locked, head_sequence);

CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    sent_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    dead_letter_source TEXT,
    trace_header TEXT,
    attributes TEXT,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX message_by_group ON message (group_id);

-- Messages that were received. `visible_at_ms` is NULL unless the message is in flight.
CREATE TABLE delivery (
    sequence INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    first_received_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    receive_number INTEGER NOT NULL,
    visible_at_ms INTEGER,
    receiver TEXT
) STRICT;
CREATE INDEX delivery_in_flight ON delivery (queue_id, visible_at_ms) WHERE visible_at_ms IS NOT NULL;

-- Outlives its message: a deduplication id counts for its time even when the message was deleted.
CREATE TABLE deduplication (
    key BLOB PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    message_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX deduplication_by_expiry ON deduplication (expires_ms);

CREATE TABLE receive_attempt (
    queue_id INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    receive_number INTEGER NOT NULL,
    visible_at_ms INTEGER NOT NULL,
    sequences TEXT NOT NULL,
    PRIMARY KEY (queue_id, attempt_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receive_attempt_by_expiry ON receive_attempt (expires_ms);

CREATE TABLE move_task (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    destination TEXT,
    per_second INTEGER,
    last_sequence INTEGER NOT NULL,
    status TEXT NOT NULL,
    failure TEXT,
    moved INTEGER NOT NULL DEFAULT 0,
    to_move INTEGER NOT NULL,
    started_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX move_task_by_source ON move_task (source, started_ms);
";
