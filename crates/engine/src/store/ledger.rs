//! The ledger: how many messages came into each queue and how many left it, by route and by the way
//! they took. It is what an operator's loss meter is read from.
//!
//! A way is counted in the transaction that takes it, once per transaction and not per message. What
//! is queued is not a sum of the ways: it is counted row by row as they come and go, and all rows are
//! counted again after each start. So the two sides can disagree, and a message that left by a way
//! that nobody takes on purpose (a retention that ran out, a purge, a delete by hand, a row that is
//! gone) shows.
//!
//! A message's route is its attribute; messages that were sent without one are counted under "".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::attribute::{EVENT_ID, ROUTE};
use domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::message::MessageAttributes;
use super::queue_time::{Now, QueueTime};
use super::sender::Sender;

/// The route of a stored message, in SQL. Of one whose attributes are damaged it is not known.
pub(super) const ROUTE_SQL: &str =
    "ifnull(iif(json_valid(attributes), attributes ->> '$.route.value.text', NULL), '')";

/// The id of a stored message's event, in SQL, as `domain::message` has it: what cannot be an id names
/// nothing.
pub(super) const EVENT_ID_SQL: &str = "ifnull(iif(json_valid(attributes),
    iif(attributes ->> '$.event_id.value.text' NOT GLOB '*[^!-~]*'
            AND length(attributes ->> '$.event_id.value.text') BETWEEN 1 AND 128,
        attributes ->> '$.event_id.value.text', NULL), NULL), message_id)";

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

/// What all queues' messages did, as of the last commit.
#[derive(Default)]
struct Counts {
    since: QueueTime,
    taken: BTreeMap<(i64, String), [i64; Way::ALL.len()]>,
    queued: BTreeMap<(i64, String), i64>,
}

/// The counts of the last commit, for those who look.
#[derive(Clone, Default)]
pub(super) struct Committed(Arc<Mutex<Counts>>);

/// All queues' ledgers, as the writer keeps them.
#[derive(Default)]
pub(super) struct Ledger {
    committed: Committed,
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

/// How many messages each queue holds, by route, counted row by row. Looks at every message.
pub(super) fn count_rows(
    connection: &Connection,
) -> rusqlite::Result<BTreeMap<(i64, String), i64>> {
    let mut counts = BTreeMap::<(i64, String), i64>::new();
    // Not grouped by the database, which would sort all rows in memory.
    let mut rows = connection.prepare(&format!("SELECT queue_id, {ROUTE_SQL} FROM message"))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        *counts.entry((row.get(0)?, row.get(1)?)).or_default() += 1;
    }
    Ok(counts)
}

/// How many messages each queue holds, by route, as they were counted when they came and went.
pub(super) fn queued(connection: &Connection) -> rusqlite::Result<BTreeMap<(i64, String), i64>> {
    let mut rows = connection.prepare("SELECT queue_id, route, messages FROM queued")?;
    rows.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?.collect()
}

impl Committed {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledgers of some queues, at one moment.
    pub(super) fn of<const N: usize>(&self, queue_ids: [i64; N], now: &Now) -> [QueueLedger; N] {
        let counts = self.lock();
        let since = now.shown(counts.since);
        queue_ids.map(|queue_id| QueueLedger { since, routes: counts.routes(queue_id) })
    }
}

impl Ledger {
    /// Reads the ledger, or begins one in a database that is new.
    pub(super) fn open(connection: &Connection, now: QueueTime) -> rusqlite::Result<Self> {
        let since =
            connection.query_row("SELECT ledger_since_ms FROM progress", [], |row| row.get(0))?;
        let mut counts = Counts { since, ..Counts::default() };
        if counts.since == QueueTime::default() {
            counts.since = now;
            connection.execute("UPDATE progress SET ledger_since_ms = ?1", [now])?;
        }
        counts.read(connection)?;
        Ok(Self { committed: Committed(Arc::new(Mutex::new(counts))), pending: Vec::new() })
    }

    /// For those who look.
    pub(super) fn committed_counts(&self) -> Committed {
        self.committed.clone()
    }

    /// Counts a message of the open transaction.
    pub(super) fn count(&mut self, queue_id: i64, route: &str, way: Way) {
        let queued = match way {
            Way::Opening | Way::Ingested | Way::Sent | Way::Returned | Way::MovedIn => 1,
            _ => -1,
        };
        self.add(queue_id, route, way, 1, queued);
    }

    /// Counts messages that turned out to be there, or, negative, not to be.
    pub(super) fn recount(&mut self, queue_id: i64, route: &str, queued: i64) {
        self.add(queue_id, route, Way::Opening, 0, queued);
    }

    /// How many messages of which route a queue holds.
    pub(super) fn held(&self, queue_id: i64) -> Vec<(String, i64)> {
        let counts = self.committed.lock();
        let committed = counts.queued.iter().map(|((queue, route), held)| (*queue, route, *held));
        let pending = self.pending.iter().map(|it| (it.queue_id, &it.route, it.queued));
        let mut held = BTreeMap::<&str, i64>::new();
        for (_, route, messages) in committed.chain(pending).filter(|(id, ..)| *id == queue_id) {
            *held.entry(route).or_default() += messages;
        }
        held.retain(|_, messages| *messages > 0);
        held.into_iter().map(|(route, messages)| (route.to_owned(), messages)).collect()
    }

    /// Counts all that a queue holds as gone; tells what that is.
    pub(super) fn purge(&mut self, queue_id: i64) -> Vec<(String, i64)> {
        let purged = self.held(queue_id);
        for (route, queued) in &purged {
            self.add(queue_id, route, Way::Purged, *queued, -queued);
        }
        purged
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
        for it in &self.pending {
            let way = params![it.queue_id, it.route, it.way.name(), it.messages];
            connection.prepare_cached(ADD_TO_WAY)?.execute(way)?;
            let queued = params![it.queue_id, it.route, it.queued];
            connection.prepare_cached(ADD_TO_QUEUED)?.execute(queued)?;
        }
        Ok(())
    }

    /// To be called when the transaction is committed.
    pub(super) fn committed(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut counts = self.committed.lock();
        for pending in self.pending.drain(..) {
            let key = (pending.queue_id, pending.route);
            *counts.queued.entry(key.clone()).or_default() += pending.queued;
            counts.taken.entry(key).or_default()[pending.way as usize] += pending.messages;
        }
    }

    /// To be called when the transaction is rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.pending.clear();
    }
}

impl Counts {
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
        self.queued = queued(connection)?;
        Ok(())
    }

    /// What the messages of a queue did, by route.
    fn routes(&self, queue_id: i64) -> BTreeMap<String, Ways> {
        let mut counts: BTreeMap<&str, ([i64; Way::ALL.len()], i64)> = BTreeMap::new();
        for ((_, route), taken) in self.taken.iter().filter(|((queue, _), _)| *queue == queue_id) {
            counts.entry(route).or_default().0 = *taken;
        }
        for ((_, route), queued) in self.queued.iter().filter(|((queue, _), _)| *queue == queue_id)
        {
            counts.entry(route).or_default().1 = *queued;
        }
        let routes = counts.into_iter();
        routes.map(|(route, (taken, queued))| (route.to_owned(), ways(&taken, queued))).collect()
    }
}

const ADD_TO_WAY: &str = "
    INSERT INTO ledger (queue_id, route, way, messages) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (queue_id, route, way) DO UPDATE SET messages = messages + excluded.messages";

const ADD_TO_QUEUED: &str = "
    INSERT INTO queued (queue_id, route, messages) VALUES (?1, ?2, ?3)
    ON CONFLICT (queue_id, route) DO UPDATE SET messages = messages + excluded.messages";

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

/// The route that a message is counted under.
pub(super) fn route(attributes: &MessageAttributes) -> &str {
    attributes.get(ROUTE).and_then(|attribute| attribute.text()).unwrap_or_default()
}
