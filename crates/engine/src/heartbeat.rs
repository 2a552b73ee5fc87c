//! Says every minute that webhooks can be accepted, to somebody who notices when that ends: an engine that
//! is gone can tell nobody.

use std::sync::Arc;
use std::time::Duration;

use domain::config::{Config, LogLevel};
use serde_json::json;

use crate::admin::Admin;
use crate::error_text::in_full;
use crate::receiver::Caller;
use crate::storage_health::StorageState;

/// How often. Those who expect it alarm after some minutes without.
const EVERY: Duration = Duration::from_mins(1);

/// How long storage may take to say that it works.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Who expects to hear of an engine.
pub(crate) struct Heartbeat {
    caller: Caller,
    admin: Arc<Admin>,
}

impl Heartbeat {
    /// The heartbeat of an engine; `None` where nobody expects it.
    pub(crate) fn new(config: &Config, admin: &Arc<Admin>) -> Option<Self> {
        Some(Self { caller: Caller::of_heartbeat(config)?, admin: Arc::clone(admin) })
    }

    /// Goes on for as long as it is polled. A failure is told when it begins and when it is over.
    pub(crate) async fn run(self) {
        let (clock, log) = (Arc::clone(self.admin.store.clock()), self.admin.log.clone());
        let mut fails = false;
        loop {
            let next = clock.uptime().plus(EVERY);
            if self.accepts_webhooks().await {
                match self.caller.beat().await {
                    Ok(_answer) if fails => {
                        log.line(LogLevel::Info, "heartbeat arrives again", json!({}));
                        fails = false;
                    }
                    Err(error) if !fails => {
                        let fields = json!({ "error": in_full(&error) });
                        log.line(LogLevel::Warn, "heartbeat failed", fields);
                        fails = true;
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            clock.wait_until(next).await;
        }
    }

    async fn accepts_webhooks(&self) -> bool {
        let Admin { health, store, queue, disk, .. } = &*self.admin;
        let state = health.state(store, queue, disk.as_deref());
        tokio::time::timeout(LOOK_TIMEOUT, state).await == Ok(StorageState::Ok)
    }
}
