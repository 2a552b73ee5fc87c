//! Messages that are older than the queue's retention disappear, in flight or not. They are the
//! first ones of their groups, so none is searched for: they go when somebody looks at the queue.

use std::sync::atomic::Ordering;

use super::error::StoreError;
use super::groups::{self, Removal};
use super::queues::Queue;
use super::tx::{Tx, seconds_ms};

/// Messages that one look at the queue removes at most, so that no transaction grows without bound.
pub(super) const PER_LOOK: usize = 1_000;

/// Messages that a send removes at most: more than it adds, so that a queue that is never looked at
/// does not grow for ever.
pub(super) const PER_SEND: usize = 2;

/// Removes up to `most` expired messages; tells whether there may be more.
pub(super) fn expire(tx: &mut Tx<'_>, queue: &Queue, most: usize) -> Result<bool, StoreError> {
    if tx.now_ms() < queue.nothing_expires_before_ms.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let retention_ms = seconds_ms(queue.settings.retention_seconds);
    for _ in 0..most {
        let oldest = groups::oldest(tx, queue.id)?;
        let expires_ms = oldest.map_or(tx.now_ms(), |(_, sent_ms)| sent_ms) + retention_ms;
        match oldest {
            Some((sequence, _)) if expires_ms <= tx.now_ms() => {
                groups::remove(tx, queue.id, sequence, &Removal::Expired)?;
            }
            _ => {
                queue.nothing_expires_before_ms.store(expires_ms, Ordering::Relaxed);
                return Ok(false);
            }
        }
    }
    Ok(true)
}
