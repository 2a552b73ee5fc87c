//! Messages that are older than the queue's retention disappear, in flight or not. They are the
//! first ones of their groups, so none is searched for: they go when somebody looks at the queue.

use super::error::StoreError;
use super::groups::{self, Removal};
use super::queue::Queue;
use super::queue_time::seconds;
use super::tx::Tx;
use crate::deliberate;

/// Messages that one look at the queue removes at most, so that no transaction grows without bound.
pub(super) const PER_LOOK: usize = 1_000;

/// Messages that a send removes at most: more than it adds, so that a queue that is never looked at
/// does not grow for ever.
pub(super) const PER_SEND: usize = 2;

/// Removes up to `most` expired messages; tells whether there may be more.
pub(super) fn expire(tx: &mut Tx<'_>, queue: &Queue, most: usize) -> Result<bool, StoreError> {
    if tx.now() < queue.nothing_expires_before.get() {
        return Ok(false);
    }
    let is_early = deliberate::is_there("expire-early");
    let retention = seconds(if is_early { 2 } else { queue.settings.retention_seconds });
    for _ in 0..most {
        let oldest = groups::oldest(tx, queue.id)?;
        let expires = oldest.map_or(tx.now(), |(_, sent)| sent).plus(retention);
        match oldest {
            Some((sequence, _)) if expires <= tx.now() => {
                groups::remove(tx, queue, sequence, &Removal::Expired)?;
            }
            _ => {
                queue.nothing_expires_before.set(expires);
                return Ok(false);
            }
        }
    }
    Ok(true)
}
