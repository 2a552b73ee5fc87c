//! How a database of a former version becomes one of today's, and how a new one is made: by the same
//! steps. Each is taken in one transaction with the version that it leads to.

use rusqlite::{Connection, Transaction};

use super::ledger;

/// The step at place N leads from version N to N + 1. Never changed once released; a schema is changed
/// by one more.
const STEPS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 6] = [
    begin,
    count_what_is_queued,
    know_heads_in_flight,
    know_what_is_damaged,
    lease,
    keep_delivered,
];

/// The version that this engine works with. An engine refuses what a newer one wrote.
pub(super) const VERSION: usize = STEPS.len();

/// Marks the file as ours: "WHQE".
pub(super) const APPLICATION_ID: i64 = 0x5748_5145;

/// Brings a database from version `from` to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (step, version) in STEPS.iter().zip(1..).skip(from) {
        let transaction = connection.transaction()?;
        step(&transaction)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

fn begin(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(super::schema::FIRST)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)
}

/// Version 1 grew by columns and a table that its engines added where they were missing, so they may
/// be there. What a queue holds by route was counted at each start.
fn count_what_is_queued(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for (table, column, definition) in [
        // `ledger_number` is `next_number` as long as every transaction was counted.
        ("progress", "ledger_number", "INTEGER NOT NULL DEFAULT 0"),
        ("progress", "ledger_since_ms", "INTEGER NOT NULL DEFAULT 0"),
        // `clock_time_ms` is `last_time_ms` as long as whoever wrote that wrote the others as well.
        ("progress", "clock_time_ms", "INTEGER"),
        ("progress", "clock_wall_ms", "INTEGER"),
        ("progress", "clock_uptime_ms", "INTEGER"),
        ("progress", "clock_boot", "TEXT"),
        // Of what was stored without it nobody knows who sent it: it counts as a stranger's.
        ("message", "from_api", "INTEGER NOT NULL DEFAULT FALSE"),
    ] {
        let there: bool = transaction.query_row(
            "SELECT count(*) > 0 FROM pragma_table_info(?1) WHERE name = ?2",
            [table, column],
            |row| row.get(0),
        )?;
        if !there {
            transaction
                .execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {definition}"))?;
        }
    }
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS ledger (
             queue_id INTEGER NOT NULL,
             route TEXT NOT NULL,
             way TEXT NOT NULL,
             messages INTEGER NOT NULL,
             PRIMARY KEY (queue_id, route, way)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE queued (
             queue_id INTEGER NOT NULL,
             route TEXT NOT NULL,
             messages INTEGER NOT NULL,
             PRIMARY KEY (queue_id, route)
         ) STRICT, WITHOUT ROWID;",
    )?;
    for ((queue_id, route), messages) in ledger::count_rows(transaction)? {
        transaction
            .execute("INSERT INTO queued VALUES (?1, ?2, ?3)", (queue_id, route, messages))?;
    }
    // An engine that keeps no ledger has worked on the queues since: it begins anew.
    transaction.execute_batch(
        "DELETE FROM ledger WHERE (SELECT ledger_number <> next_number FROM progress);
         INSERT INTO ledger SELECT queue_id, route, 'opening', messages FROM queued
             WHERE (SELECT ledger_number <> next_number FROM progress);
         UPDATE progress SET ledger_since_ms = last_time_ms WHERE ledger_number <> next_number;
         ALTER TABLE progress DROP COLUMN ledger_number;",
    )
}

/// A group was locked while any of its messages was in flight; it is while its head is.
fn know_heads_in_flight(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DROP INDEX message_group_by_head;
         ALTER TABLE message_group DROP COLUMN locked;
         ALTER TABLE message_group DROP COLUMN in_flight;
         ALTER TABLE message_group ADD COLUMN head_in_flight INTEGER NOT NULL DEFAULT FALSE;
         UPDATE message_group SET head_in_flight = TRUE
             WHERE head_sequence IN (SELECT sequence FROM delivery WHERE visible_at_ms IS NOT NULL);
         CREATE INDEX message_group_by_head ON message_group (queue_id, head_in_flight, head_sequence);",
    )
}

/// What was stored before has no digest, and is taken as it is.
fn know_what_is_damaged(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE message ADD COLUMN digest BLOB;
         -- Messages that cannot be delivered as they were accepted. Each is in flight for good, so that
         -- it holds back what is behind it and nothing else.
         CREATE TABLE damaged (
             sequence INTEGER PRIMARY KEY,
             queue_id INTEGER NOT NULL,
             reason TEXT NOT NULL,
             found_ms INTEGER NOT NULL
         ) STRICT;",
    )
}

/// Times of a lease are the queues' own.
fn lease(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE lease (
             name TEXT PRIMARY KEY,
             token TEXT NOT NULL,
             holder TEXT NOT NULL,
             reason TEXT,
             since_ms INTEGER NOT NULL,
             until_ms INTEGER NOT NULL,
             events INTEGER,
             done INTEGER NOT NULL
         ) STRICT;",
    )
}

/// `bytes` stands before the large columns, so that nothing of them is read to remove a row.
fn keep_delivered(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE kept (
             id INTEGER PRIMARY KEY,
             queue_id INTEGER NOT NULL,
             event_id TEXT NOT NULL,
             group_name TEXT NOT NULL,
             message_id TEXT NOT NULL,
             deduplication_id TEXT NOT NULL,
             sequence INTEGER NOT NULL,
             sent_ms INTEGER NOT NULL,
             delivered_ms INTEGER NOT NULL,
             receive_count INTEGER NOT NULL,
             from_api INTEGER NOT NULL,
             bytes INTEGER NOT NULL,
             trace_header TEXT,
             attributes TEXT,
             body TEXT NOT NULL
         ) STRICT;
         CREATE INDEX kept_by_event ON kept (queue_id, event_id);
         CREATE TABLE kept_total (
             id INTEGER PRIMARY KEY CHECK (id = 1),
             events INTEGER NOT NULL,
             bytes INTEGER NOT NULL
         ) STRICT;
         INSERT INTO kept_total VALUES (1, 0, 0);",
    )
}
