//! What a forwarder finds in its environment, by name: who starts it (the modules, the engine) and who
//! reads it must mean the same.

/// The name of the variable by which the forwarder gets its configuration.
pub const CONFIG_VARIABLE: &str = "WEBHOOK_QUEUE_CONFIG";
/// The name of the variable that holds the queue's URL.
pub const QUEUE_URL_VARIABLE: &str = "QUEUE_URL";
/// The name of the variable that holds the dead-letter queue's URL.
pub const DEAD_LETTER_QUEUE_URL_VARIABLE: &str = "DEAD_LETTER_QUEUE_URL";
/// The name of the variable that holds the unique id of the role that the ingest sends messages with.
pub const INGEST_SENDER_VARIABLE: &str = "WEBHOOK_QUEUE_INGEST_SENDER";
/// What is kept free in a function's environment for that id: `AROA` and 17 characters more; with room.
/// Source: IAM guide, "IAM identifiers", unique identifiers.
pub const INGEST_SENDER_BYTES: usize = 32;
/// The name of the variable that asks, by `emf`, for metrics in `CloudWatch`'s embedded metric format.
pub const METRICS_VARIABLE: &str = "WEBHOOK_QUEUE_METRICS";

/// The name of the variable that says where the skips are: `ssm:/NAME` or `file:/PATH`.
pub const SKIPS_VARIABLE: &str = "WEBHOOK_QUEUE_SKIPS";

/// The name of the list's file in the engine's data directory.
pub const SKIPS_FILE: &str = "skips.json";

/// How the names of the files in an engine's data directory begin.
const DATA_FILES: [&str; 12] = [
    "queues.db",
    "reserve.",
    "engine.",
    "pauses.",
    // Of a former version, which kept a pause there.
    "event-source-mapping.",
    "schedule.",
    "access-key-id",
    "notifications.",
    "lock",
    "audit.",
    "skips.",
    "history.",
];

/// Whether an engine's data directory has a file of this name; others in it are somebody else's.
#[must_use]
pub fn is_data_file(name: &str) -> bool {
    DATA_FILES.iter().any(|it| name.starts_with(it))
}

/// The name of the list's parameter of an environment on AWS, which `modules/webhook-forwarder` lets
/// the forwarder read.
#[must_use]
pub fn skips_parameter(environment: &str) -> String {
    format!("/{environment}/webhook/skips")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_s_files_are_known_by_how_their_names_begin() {
        for name in
            ["queues.db", "queues.db-wal", "reserve.bytes", SKIPS_FILE, "lock", "audit.jsonl"]
        {
            assert!(is_data_file(name), "{name}");
        }
        for name in ["", "queues", "my-queues.db", "notes.txt"] {
            assert!(!is_data_file(name), "{name}");
        }
    }
}
