//! What the stub prints: a JSON object a line, in the shape of the forwarder's log.

use std::time::SystemTime;

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::received::Received;

/// Prints that a webhook was received; its body is not shown.
pub fn webhook(webhook: &Received) {
    line(&json!({
        "message": "received",
        "event_id": webhook.id,
        "group": webhook.group,
        "sequence": webhook.sequence,
        "attempt": webhook.attempt,
        "status": webhook.status,
        "bytes": webhook.body.len(),
    }));
}

/// Prints `fields`, after the time.
pub fn line(fields: &Value) {
    let mut line =
        json!({ "timestamp": Timestamp::from(SystemTime::now()).to_string(), "level": "INFO" });
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    println!("{line}");
}
