//! What the stub has received.

use std::collections::{BTreeMap, VecDeque};

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

/// Webhooks that are kept; of more, the oldest are forgotten.
const KEPT_MAX: usize = 10_000;

/// One webhook, and what was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// `webhook-id`
    pub id: Option<String>,
    /// `webhook-group`
    pub group: Option<String>,
    /// `webhook-sequence`
    pub sequence: Option<String>,
    /// `webhook-attempt`
    pub attempt: Option<String>,
    /// Path and query string.
    pub path: String,
    /// All headers.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
    /// HTTP status of the answer; 0 if there was none.
    pub status: u16,
}

impl Received {
    /// A webhook that has not been answered yet.
    #[must_use]
    pub fn new(path: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).map(|value| lossy(value.as_bytes()));
        Self {
            id: header("webhook-id"),
            group: header("webhook-group"),
            sequence: header("webhook-sequence"),
            attempt: header("webhook-attempt"),
            path: path.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), lossy(value.as_bytes())))
                .collect(),
            body: lossy(body),
            status: 0,
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The webhooks that are kept, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Log {
    kept: VecDeque<Received>,
    pub(crate) total: u64,
}

impl Log {
    pub(crate) fn push(&mut self, webhook: Received) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(webhook);
        self.total += 1;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.kept)
    }
}
