//! A value that others wait for, and that wakes them in the order in which they came: a watch channel wakes
//! them in an order of chance, and no day would pass in the same way again.

use std::cell::Cell;
use std::pin::pin;

use tokio::sync::Notify;

/// A value.
#[derive(Debug, Default)]
pub(super) struct Watched<T: Copy> {
    value: Cell<T>,
    changed: Notify,
}

impl<T: Copy> Watched<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Cell::new(value), changed: Notify::new() }
    }

    pub(super) fn get(&self) -> T {
        self.value.get()
    }

    pub(super) fn set(&self, value: T) {
        self.value.set(value);
        self.changed.notify_waiters();
    }

    /// Is ready once it is one of those that are waited for.
    pub(super) async fn once(&self, reached: impl Fn(T) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached(self.get()) {
                return;
            }
            changed.await;
        }
    }
}

impl Watched<u64> {
    pub(super) fn add(&self) {
        self.set(self.get() + 1);
    }

    pub(super) fn subtract(&self) {
        self.set(self.get() - 1);
    }
}
