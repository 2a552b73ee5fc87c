//! The ledger: how many messages came into each queue and how many left it, by route and by the way
//! they took. It is what an operator's loss meter is read from.
//!
//! A way is counted in the transaction that takes it, once per transaction and not per message. What
//! is queued is not a sum of the ways: it is counted from the rows when the store opens, and row by
//! row from then on. So the two sides can disagree, and a message that left by a way that nobody
//! takes on purpose (a retention that ran out, a purge, a delete by hand, a row that is gone) shows.
//!
//! A message's route is its attribute; messages that were sent without one are counted under "".

use std::collections::BTreeMap;

use domain::attribute::{EVENT_ID, ROUTE};
use domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::message::MessageAttributes;
use super::queue_time::QueueTime;
use super::sender::Sender;
use super::tx::Tx;

/// The route of a stored message, in SQL.
pub(super) const ROUTE_SQL: &str = "ifnull(attributes ->> '$.route.value.text', '')";

/// A way into a queue or out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// There when the ledger began.
    Opening,
    /// Accepted by ingest.
    Ingested,
    /// Sent over the API, as a new event.
    Sent,
    /// Sent over the API as an event that has an id already.
    Returned,
    /// Moved here from another queue.
    MovedIn,
    /// Deleted because the function was done with it.
    Done,
    /// The same, and the dead-letter queue had got a copy.
    DeadLettered,
    /// Deleted over the API.
    Deleted,
    /// Moved to another queue.
    MovedOut,
    /// Older than the retention.
    Expired,
    /// Purged, or gone with its queue.
    Purged,
}

impl Way {
    const ALL: [Self; 11] = [
        Self::Opening,
        Self::Ingested,
        Self::Sent,
        Self::Returned,
        Self::MovedIn,
        Self::Done,
        Self::DeadLettered,
        Self::Deleted,
        Self::MovedOut,
        Self::Expired,
        Self::Purged,
    ];

    /// Its name in the database.
    fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Ingested => "ingested",
            Self::Sent => "sent",
            Self::Returned => "returned",
            Self::MovedIn => "moved_in",
            Self::Done => "done",
            Self::DeadLettered => "dead_lettered",
            Self::Deleted => "deleted",
            Self::MovedOut => "moved_out",
            Self::Expired => "expired",
            Self::Purged => "purged",
        }
    }

    /// The way of a message that is sent.
    pub(super) fn in_by(sender: Sender, attributes: &MessageAttributes) -> Self {
        match sender {
            Sender::Ingest => Self::Ingested,
            Sender::Api if attributes.contains_key(EVENT_ID) => Self::Returned,
            Sender::Api => Self::Sent,
        }
    }
}

/// What a queue's messages of one route did since the ledger began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ways {
    /// There when the ledger began.
    pub opening: u64,
    /// Accepted by ingest.
    pub ingested: u64,
    /// Sent over the API, as a new event.
    pub sent: u64,
    /// Sent over the API as an event that has an id already: a dead letter, or one that comes back.
    pub returned: u64,
    /// Moved here from another queue, by a redrive policy or a move task.
    pub moved_in: u64,
    /// Deleted because the function was done with it, and no dead letter was made of it.
    pub done: u64,
    /// Deleted because the function was done with it, once the dead-letter queue had a copy.
    pub dead_lettered: u64,
    /// Deleted over the API.
    pub deleted: u64,
    /// Moved to another queue.
    pub moved_out: u64,
    /// Gone because they were older than the retention.
    pub expired: u64,
    /// Purged, or gone with their queue.
    pub purged: u64,
    /// In the queue now.
    pub queued: u64,
}

/// A queue's ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueLedger {
    /// When it began.
    pub since: Timestamp,
    /// By route; "" for messages without one.
    pub routes: BTreeMap<String, Ways>,
}

/// All queues' ledgers, as the writer keeps them.
#[derive(Default)]
pub(super) struct Ledger {
    since: QueueTime,
    taken: BTreeMap<(i64, String), [i64; Way::ALL.len()]>,
    queued: BTreeMap<(i64, String), i64>,
    /// Of the open transaction: few, so that they are looked through.
    pending: Vec<Pending>,
}

struct Pending {
    queue_id: i64,
    route: String,
    way: Way,
    messages: i64,
    queued: i64,
}

impl Ledger {
    /// Reads the ledger, or begins one: where there is none yet, and where an engine that keeps
    /// none has worked on the queues since.
    pub(super) fn open(connection: &Connection, now: QueueTime) -> rusqlite::Result<Self> {
        ensure_tables(connection)?;
        let mut ledger = Self::default();
        // Not grouped by the database, which would sort all rows in memory.
        let mut rows = connection.prepare(&format!("SELECT queue_id, {ROUTE_SQL} FROM message"))?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            *ledger.queued.entry((row.get(0)?, row.get(1)?)).or_default() += 1;
        }
        let (is_current, since): (bool, QueueTime) = connection.query_row(
            "SELECT ledger_number = next_number, ledger_since_ms FROM progress",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if is_current {
            ledger.since = since;
            ledger.read(connection)?;
        } else {
            ledger.begin(connection, now)?;
        }
        Ok(ledger)
    }

    fn read(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut rows = connection.prepare("SELECT queue_id, route, way, messages FROM ledger")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let way: String = row.get(2)?;
            if let Some(place) = Way::ALL.iter().position(|known| known.name() == way) {
                let key = (row.get(0)?, row.get(1)?);
                self.taken.entry(key).or_default()[place] = row.get(3)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, connection: &Connection, now: QueueTime) -> rusqlite::Result<()> {
        self.since = now;
        let transaction = connection.unchecked_transaction()?;
        transaction.execute("DELETE FROM ledger", [])?;
        for ((queue_id, route), messages) in &self.queued {
            write(&transaction, *queue_id, route, Way::Opening, *messages)?;
            let taken = self.taken.entry((*queue_id, route.clone())).or_default();
            taken[Way::Opening as usize] = *messages;
        }
        transaction.execute(
            "UPDATE progress SET ledger_number = next_number, ledger_since_ms = ?1",
            [now],
        )?;
        transaction.commit()
    }

    /// Counts a message of the open transaction.
    pub(super) fn count(&mut self, queue_id: i64, route: &str, way: Way) {
        let queued = match way {
            Way::Opening | Way::Ingested | Way::Sent | Way::Returned | Way::MovedIn => 1,
            _ => -1,
        };
        self.add(queue_id, route, way, 1, queued);
    }

    /// Counts all that a queue holds as gone.
    pub(super) fn purge(&mut self, queue_id: i64) {
        for (route, ways) in self.of(queue_id) {
            let queued = i64::try_from(ways.queued).unwrap_or(i64::MAX);
            if queued > 0 {
                self.add(queue_id, &route, Way::Purged, queued, -queued);
            }
        }
    }

    fn add(&mut self, queue_id: i64, route: &str, way: Way, messages: i64, queued: i64) {
        let same = |pending: &&mut Pending| {
            pending.queue_id == queue_id && pending.way == way && pending.route == route
        };
        match self.pending.iter_mut().find(same) {
            Some(pending) => {
                pending.messages += messages;
                pending.queued += queued;
            }
            None => {
                self.pending.push(Pending {
                    queue_id,
                    route: route.to_owned(),
                    way,
                    messages,
                    queued,
                });
            }
        }
    }

    /// Writes what the open transaction counted.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.pending
            .iter()
            .try_for_each(|it| write(connection, it.queue_id, &it.route, it.way, it.messages))
    }

    /// To be called when the transaction is committed.
    pub(super) fn committed(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            let key = (pending.queue_id, pending.route);
            *self.queued.entry(key.clone()).or_default() += pending.queued;
            self.taken.entry(key).or_default()[pending.way as usize] += pending.messages;
        }
    }

    /// To be called when the transaction is rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.pending.clear();
    }

    /// What the messages of a queue did by route, the open transaction included.
    pub(super) fn of(&self, queue_id: i64) -> BTreeMap<String, Ways> {
        let mut counts: BTreeMap<&str, ([i64; Way::ALL.len()], i64)> = BTreeMap::new();
        for ((_, route), taken) in self.taken.iter().filter(|((queue, _), _)| *queue == queue_id) {
            counts.entry(route).or_default().0 = *taken;
        }
        for ((_, route), queued) in self.queued.iter().filter(|((queue, _), _)| *queue == queue_id)
        {
            counts.entry(route).or_default().1 = *queued;
        }
        for pending in self.pending.iter().filter(|pending| pending.queue_id == queue_id) {
            let (taken, queued) = counts.entry(&pending.route).or_default();
            taken[pending.way as usize] += pending.messages;
            *queued += pending.queued;
        }
        let routes = counts.into_iter();
        routes.map(|(route, (taken, queued))| (route.to_owned(), ways(&taken, queued))).collect()
    }
}

fn ways(taken: &[i64; Way::ALL.len()], queued: i64) -> Ways {
    let count = |way: Way| u64::try_from(taken[way as usize]).unwrap_or_default();
    Ways {
        opening: count(Way::Opening),
        ingested: count(Way::Ingested),
        sent: count(Way::Sent),
        returned: count(Way::Returned),
        moved_in: count(Way::MovedIn),
        done: count(Way::Done),
        dead_lettered: count(Way::DeadLettered),
        deleted: count(Way::Deleted),
        moved_out: count(Way::MovedOut),
        expired: count(Way::Expired),
        purged: count(Way::Purged),
        queued: u64::try_from(queued).unwrap_or_default(),
    }
}

/// A queue's ledger.
pub(super) fn of(tx: &mut Tx<'_>, name: &str) -> Result<QueueLedger, super::StoreError> {
    let queue = tx.queue(name)?;
    let since = tx.ledger().since;
    Ok(QueueLedger { since: tx.shown(since), routes: tx.ledger().of(queue.id) })
}

/// The route that a message is counted under.
pub(super) fn route(attributes: &MessageAttributes) -> &str {
    attributes.get(ROUTE).and_then(|attribute| attribute.text()).unwrap_or_default()
}

/// Engines that know nothing of these pass over them, so the schema keeps its version.
fn ensure_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS ledger (
             queue_id INTEGER NOT NULL,
             route TEXT NOT NULL,
             way TEXT NOT NULL,
             messages INTEGER NOT NULL,
             PRIMARY KEY (queue_id, route, way)
         ) STRICT, WITHOUT ROWID;",
    )?;
    let there: bool = connection.query_row(
        "SELECT count(*) > 0 FROM pragma_table_info('progress') WHERE name = 'ledger_number'",
        [],
        |row| row.get(0),
    )?;
    if there {
        return Ok(());
    }
    // `ledger_number` is `next_number` as long as every transaction was counted.
    connection.execute_batch(
        "BEGIN;
         ALTER TABLE progress ADD COLUMN ledger_number INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE progress ADD COLUMN ledger_since_ms INTEGER NOT NULL DEFAULT 0;
         COMMIT;",
    )
}

fn write(
    connection: &Connection,
    queue_id: i64,
    route: &str,
    way: Way,
    messages: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO ledger (queue_id, route, way, messages) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (queue_id, route, way) DO UPDATE SET messages = messages + excluded.messages",
        )?
        .execute(params![queue_id, route, way.name(), messages])?;
    Ok(())
}
