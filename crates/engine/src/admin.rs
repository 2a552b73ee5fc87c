//! The engine's own API, beside the queues' on the API listener: is it well, what is in it, is it to
//! deliver. What Lambda's and SQS's APIs have for this on AWS would be three services' worth.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::config::{Config, LogLevel};
use domain::json::JsonError;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Uptime;
use crate::conditions::Conditions;
use crate::deliveries::Deliveries;
use crate::disk::Disk;
use crate::event_source_mapping::MappingHandle;
use crate::function::ms;
use crate::http::{answer, failed};
use crate::ingest::Ingest;
use crate::log::Log;
use crate::receiver::Receiver;
use crate::storage_health::{StorageHealth, StorageState};
use crate::store::{QueueStatistics, Store};

/// What the API tells of, and changes.
pub(crate) struct Admin {
    pub(crate) store: Store,
    pub(crate) queue: String,
    pub(crate) dead_letter_queue: String,
    pub(crate) ingest: Arc<Ingest>,
    /// `None` in an engine without a function.
    pub(crate) mapping: Option<MappingHandle>,
    pub(crate) health: StorageHealth,
    /// `None` in an engine that keeps nothing on a disk.
    pub(crate) disk: Option<Arc<Disk>>,
    pub(crate) log: Log,
    pub(crate) deliveries: Arc<Deliveries>,
    /// `None` where nobody is notified.
    pub(crate) receiver: Option<Arc<Receiver>>,
    /// What the forwarder does not log is missing in `deliveries`.
    pub(crate) log_level: LogLevel,
    /// What it saw of itself.
    pub(crate) conditions: Conditions,
    pub(crate) limits: Limits,
    /// Where deliveries go, by route and destination: scheme, host and port, as the rest of a URL may
    /// hold a token.
    pub(crate) origins: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether people depend on this environment.
    pub(crate) production: bool,
    pub(crate) started: Uptime,
    pub(crate) about: About,
}

/// How long events are kept and tried, as it is configured, in seconds.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "a plain number carries its unit in its name")]
pub(crate) struct Limits {
    retention_seconds: u64,
    dead_letter_retention_seconds: u64,
    /// At which age a failing event is given up, by route.
    give_up_after_seconds: BTreeMap<String, u64>,
}

/// What `engine.json` says as well, for who cannot read that and knows what opens the API.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct About {
    pub(crate) environment: String,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
    /// By which command this engine is started again.
    pub(crate) start_command: Option<String>,
    /// Where its configuration was read.
    pub(crate) config_file: Option<PathBuf>,
    /// Which directory it works in, whatever that is called where somebody looks: a copy of it has this
    /// file, too.
    pub(crate) data_dir_inode: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct QueueStats {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    delayed: u64,
    message_groups: u64,
    /// Groups that wait for a message in flight.
    groups_in_flight: u64,
    /// Messages that cannot be delivered as they were accepted; they count as in flight, too.
    pub(crate) damaged: u64,
    /// Since it was sent; of a dead letter, since it became one.
    pub(crate) oldest_age_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    enabled: bool,
}

/// The routes below `/_engine/`.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/_engine/health", get(health))
        .route("/_engine/about", get(about))
        .route("/_engine/event-source-mapping", get(mapping).put(set_mapping))
        .with_state(admin)
}

async fn health(State(admin): State<Arc<Admin>>) -> Response {
    let asked = admin.health.read(admin.store.statistics(&admin.queue).await);
    let storage = match asked {
        Ok(_) => admin.health.state(&admin.store, &admin.queue, admin.disk.as_deref()).await,
        Err(_noted) => StorageState::Failing,
    };
    let trouble = admin.mapping.as_ref().and_then(MappingHandle::function_trouble);
    let well = storage == StorageState::Ok && trouble.is_none();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if well { "ok" } else { "failing" },
        "storage": storage,
        "forwarder": trouble.as_deref().unwrap_or("ok"),
    });
    answer(status, &body)
}

async fn about(State(admin): State<Arc<Admin>>) -> Response {
    answer(StatusCode::OK, &admin.about)
}

async fn mapping(State(admin): State<Arc<Admin>>) -> Response {
    match &admin.mapping {
        Some(mapping) => answer(StatusCode::OK, &mapping.status()),
        None => no_mapping(),
    }
}

async fn set_mapping(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let Some(mapping) = &admin.mapping else { return no_mapping() };
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => {
            let message =
                format!("expected {{\"enabled\": true}} or false: {}", JsonError::from(error));
            return answer(StatusCode::BAD_REQUEST, &json!({ "message": message }));
        }
    };
    match mapping.set_enabled(change.enabled).await {
        Ok(()) => answer(StatusCode::OK, &mapping.status()),
        Err(error) => failed(&format!("the change cannot be kept: {error}")),
    }
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        let give_up_after = config
            .routes()
            .iter()
            .map(|(name, route)| (name.clone(), route.give_up_after().as_secs()));
        Self {
            retention_seconds: config.queue().retention.as_secs(),
            dead_letter_retention_seconds: config.queue().dead_letter_retention.as_secs(),
            give_up_after_seconds: give_up_after.collect(),
        }
    }
}

impl Admin {
    /// How long the engine runs.
    pub(crate) fn up(&self) -> Duration {
        self.store.clock().uptime().since(self.started)
    }
}

impl QueueStats {
    pub(crate) fn of(queue: &QueueStatistics) -> Self {
        Self {
            visible: queue.visible,
            in_flight: queue.in_flight,
            delayed: queue.delayed,
            message_groups: queue.message_groups,
            groups_in_flight: queue.groups_in_flight,
            damaged: queue.damaged,
            oldest_age_ms: queue.oldest_age.map(ms),
        }
    }

    /// All messages.
    pub(crate) fn messages(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

fn no_mapping() -> Response {
    answer(StatusCode::NOT_FOUND, &json!({ "message": "this engine runs no function" }))
}
