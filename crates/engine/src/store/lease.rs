//! Leases: that one redrive at a time works on the queues. They are measured by the queues' own time,
//! which nobody can set, and outlive the engine for as long as they have left.

use std::time::Duration;

use domain::lease::Lease;
use rusqlite::{Row, params};

use super::error::StoreError;
use super::queue_time::QueueTime;
use super::tx::Tx;
use super::view::View;

/// What a lease is asked for with.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Tells this holder from any other.
    pub token: String,
    /// Who it is.
    pub by: String,
    /// What for.
    pub reason: Option<String>,
    /// For how long, unless it is renewed.
    pub time: Duration,
}

/// How far a holder is.
#[derive(Debug, Clone, Copy)]
pub struct LeaseProgress {
    /// Of how many events, once that is known.
    pub of: Option<u64>,
    /// How many are done.
    pub done: u64,
}

/// The lease of this name, unless it has expired.
pub(super) fn look(view: &View<'_>, name: &str) -> Result<Option<Lease>, StoreError> {
    let lease = view.first(
        "SELECT token, holder, reason, since_ms, until_ms, events, done
         FROM lease WHERE name = ?1 AND until_ms > ?2",
        params![name, view.now()],
        |row| read(view, row),
    )?;
    Ok(lease)
}

fn read(view: &View<'_>, row: &Row<'_>) -> rusqlite::Result<Lease> {
    let count = |count: i64| count.unsigned_abs();
    Ok(Lease {
        token: row.get(0)?,
        by: row.get(1)?,
        reason: row.get(2)?,
        since: view.shown(row.get::<_, QueueTime>(3)?),
        until: view.shown(row.get::<_, QueueTime>(4)?),
        of: row.get::<_, Option<i64>>(5)?.map(count),
        done: count(row.get(6)?),
    })
}

/// Takes a lease that nobody else has, and gives whoever's it is then. Asked for again by its holder, as
/// who has not heard the answer does, it is theirs.
pub(super) fn acquire(
    tx: &mut Tx<'_>,
    name: &str,
    request: &LeaseRequest,
) -> Result<Option<Lease>, StoreError> {
    let there = look(tx, name)?;
    if there.is_none() {
        let (now, LeaseRequest { token, by, reason, time }) = (tx.now(), request);
        tx.execute(
            "INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, 0)",
            params![name, token, by, reason, now, now.plus(*time)],
        )?;
        return look(tx, name);
    }
    Ok(there)
}

/// Renews a holder's lease for `time` from now, and gives whoever's it is then: `None` if it has expired
/// or was released.
pub(super) fn renew(
    tx: &mut Tx<'_>,
    name: &str,
    token: &str,
    time: Duration,
    progress: LeaseProgress,
) -> Result<Option<Lease>, StoreError> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let until = tx.now().plus(time);
    tx.execute(
        "UPDATE lease SET until_ms = ?3, events = ?4, done = ?5
         WHERE name = ?1 AND token = ?2 AND until_ms > ?6",
        params![name, token, until, progress.of.map(count), count(progress.done), tx.now()],
    )?;
    look(tx, name)
}

/// Gives a holder's lease up. One that is another's stays.
pub(super) fn release(tx: &mut Tx<'_>, name: &str, token: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM lease WHERE name = ?1 AND token = ?2", [name, token])?;
    Ok(())
}
