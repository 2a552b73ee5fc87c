//! Messages that are older than the queue's retention disappear, in flight or not. They are the
//! first ones of their groups, so none is searched for: they go when somebody looks at the queue.

use super::error::StoreError;
use super::groups;
use super::queues::Queue;
use super::tx::{Tx, seconds_ms};

/// Messages that one look at the queue removes at most, so that no transaction grows without bound.
pub(super) const PER_LOOK: usize = 1_000;

/// Messages that a send removes at most: more than it adds, so that a queue that is never looked at
/// does not grow for ever.
pub(super) const PER_SEND: usize = 2;

/// Removes up to `most` expired messages; tells whether there may be more.
pub(super) fn expire(tx: &mut Tx<'_>, queue: &Queue, most: usize) -> Result<bool, StoreError> {
    let expired_ms = tx.now_ms() - seconds_ms(queue.settings.retention_seconds);
    for _ in 0..most {
        match groups::oldest(tx, queue.id)? {
            Some((sequence, sent_ms)) if sent_ms <= expired_ms => {
                groups::remove(tx, queue.id, sequence)?;
            }
            _ => return Ok(false),
        }
    }
    Ok(true)
}
