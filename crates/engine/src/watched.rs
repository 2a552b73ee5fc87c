//! A value that others wait for. They are woken in the order in which they came: a watch channel wakes them in
//! an order of chance, and no simulation could repeat what comes of it.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A value.
#[derive(Debug, Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Watched<T> {
    /// With this value to begin with.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is now.
    pub fn get(&self) -> T {
        *self.lock()
    }

    /// From now on it is this.
    pub fn set(&self, value: T) {
        self.change(|now| {
            *now = value;
            true
        });
    }

    /// Changes it, and tells what `change` does: whether it has.
    pub fn change(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let has_changed = change(&mut self.lock());
        if has_changed {
            self.changed.notify_waiters();
        }
        has_changed
    }

    /// Is ready once it is one of those that are waited for.
    pub async fn once(&self, reached: impl Fn(T) -> bool) {
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
    async fn who_waits_goes_on_in_the_order_in_which_he_came() {
        let watched = Arc::new(Watched::new(0));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (watched, order) = (Arc::clone(&watched), Arc::clone(&order));
            tasks.spawn(async move {
                watched.once(|now| now != 0).await;
                order.lock().unwrap().push(number);
                watched.once(|now| now == 2).await;
            });
        }
        tokio::task::yield_now().await;
        assert!(!watched.change(|_| false));
        assert!(watched.change(|now| {
            *now = 1;
            true
        }));
        watched.set(2);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert_eq!(watched.get(), 2);
    }
}
