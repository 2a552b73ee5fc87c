//! What is wanted of a mapping. Who waits for it to change is woken in the order in which he came: a watch
//! channel wakes those who wait in an order of chance, and no simulation could repeat what comes of it.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Enabled,
    Disabled,
    Stopped,
}

/// The same, for those who wait for it.
#[derive(Debug)]
pub(super) struct Wanting {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

impl Wanting {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted: Mutex::new(wanted), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Wanted {
        *self.lock()
    }

    pub(super) fn set(&self, wanted: Wanted) {
        *self.lock() = wanted;
        self.changed.notify_waiters();
    }

    /// The same, unless it is to stop; tells whether that is another than it was.
    pub(super) fn switch(&self, wanted: Wanted) -> bool {
        let mut now = self.lock();
        if *now == Wanted::Stopped || *now == wanted {
            return false;
        }
        *now = wanted;
        drop(now);
        self.changed.notify_waiters();
        true
    }

    /// Is ready once it is not this.
    pub(super) async fn while_it_is(&self, wanted: Wanted) {
        self.until(|now| now != wanted).await;
    }

    /// Is ready once it is this.
    pub(super) async fn once_it_is(&self, wanted: Wanted) {
        self.until(|now| now == wanted).await;
    }

    async fn until(&self, reached: impl Fn(Wanted) -> bool) {
        loop {
            // Listening begins before the look.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached(self.get()) {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_in_the_order_in_which_he_came_until_it_stops() {
        let wanting = Arc::new(Wanting::new(Wanted::Disabled));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (wanting, order) = (Arc::clone(&wanting), Arc::clone(&order));
            tasks.spawn(async move {
                wanting.while_it_is(Wanted::Disabled).await;
                order.lock().unwrap().push(number);
                wanting.once_it_is(Wanted::Stopped).await;
            });
        }
        tokio::task::yield_now().await;
        assert!(!wanting.switch(Wanted::Disabled));
        assert!(wanting.switch(Wanted::Enabled));
        wanting.set(Wanted::Stopped);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert!(!wanting.switch(Wanted::Enabled), "it has stopped for good");
        assert_eq!(wanting.get(), Wanted::Stopped);
    }
}
