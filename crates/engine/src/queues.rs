//! The two queues of an environment, with the attributes that its configuration asks for; on AWS
//! `modules/webhook-queue` does the same.

use domain::config::Config;
use domain::quota;
use serde_json::json;

use crate::store::{Attributes, Store, StoreError, arn};

/// Creates the queues, or brings those that exist up to date.
pub(crate) async fn ensure(store: &Store, config: &Config) -> Result<(), StoreError> {
    // First what the other one's redrive policy names.
    store.ensure_queue(&config.dead_letter_queue_name(), &dead_letter_queue(config)).await?;
    store.ensure_queue(&config.queue_name(), &queue(config)).await
}

/// The queues of environments that the directory had before, which this configuration does not serve,
/// and what waits in each.
pub(crate) async fn left_behind(
    store: &Store,
    config: &Config,
) -> Result<Vec<(String, u64)>, StoreError> {
    let ours = [config.queue_name(), config.dead_letter_queue_name()];
    let mut left = Vec::new();
    for name in store.queue_names("").await? {
        let is_an_environment_s =
            ["-webhook.fifo", "-webhook-dlq.fifo"].iter().any(|end| name.ends_with(end));
        if is_an_environment_s && !ours.contains(&name) {
            let found = store.statistics(&name).await?;
            let waiting = found.visible + found.in_flight + found.delayed;
            left.extend((waiting > 0).then_some((name, waiting)));
        }
    }
    Ok(left)
}

fn queue(config: &Config) -> Attributes {
    let queue = config.queue();
    let redrive_policy = json!({
        "deadLetterTargetArn": arn::of_queue(&config.dead_letter_queue_name()),
        "maxReceiveCount": queue.max_receive_count,
    });
    let (scope, limit) = if queue.high_throughput {
        ("messageGroup", "perMessageGroupId")
    } else {
        ("queue", "perQueue")
    };
    attributes([
        ("FifoQueue", "true".to_owned()),
        ("ContentBasedDeduplication", queue.content_based_deduplication.to_string()),
        ("DeduplicationScope", scope.to_owned()),
        ("FifoThroughputLimit", limit.to_owned()),
        ("MaximumMessageSize", queue.max_message_bytes.to_string()),
        ("MessageRetentionPeriod", queue.retention.as_secs().to_string()),
        ("VisibilityTimeout", queue.visibility_timeout.as_secs().to_string()),
        ("RedrivePolicy", redrive_policy.to_string()),
    ])
}

fn dead_letter_queue(config: &Config) -> Attributes {
    let redrive_allow_policy = json!({
        "redrivePermission": "byQueue",
        "sourceQueueArns": [arn::of_queue(&config.queue_name())],
    });
    attributes([
        ("FifoQueue", "true".to_owned()),
        ("MaximumMessageSize", quota::DEAD_LETTER_BYTES_MAX.to_string()),
        ("MessageRetentionPeriod", config.queue().dead_letter_retention.as_secs().to_string()),
        ("RedriveAllowPolicy", redrive_allow_policy.to_string()),
    ])
}

fn attributes<const N: usize>(attributes: [(&str, String); N]) -> Attributes {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::NewMessage;
    use crate::store::RedrivePermission;
    use std::sync::Arc;

    fn config(queue: &str) -> Config {
        Config::parse(&format!(
            r#"{{"environment":"local","queue":{queue},"routes":{{"sss":{{"path":"/sqs-hook",
                "ordering_key":"all","destinations":[{{"name":"sss","url":"http://127.0.0.1/h"}}]}}}}}}"#
        ))
        .unwrap()
    }

    #[tokio::test]
    async fn what_another_environment_has_left_is_found() {
        let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
        let before = config("{}");
        ensure(&store, &before).await.unwrap();
        let name = before.queue_name();
        for body in ["1", "2"] {
            let message = NewMessage {
                body: body.to_owned(),
                group_id: "g".to_owned(),
                deduplication_id: Some(body.to_owned()),
                ..NewMessage::default()
            };
            store.send(&name, message).await.unwrap();
        }
        assert_eq!(left_behind(&store, &before).await.unwrap(), []);
        let text = r#"{"environment":"prod","routes":{"sss":{"path":"/sqs-hook",
            "ordering_key":"all","destinations":[{"name":"sss","url":"http://127.0.0.1/h"}]}}}"#;
        let after = Config::parse(text).unwrap();
        ensure(&store, &after).await.unwrap();
        assert_eq!(left_behind(&store, &after).await.unwrap(), [(name, 2)]);
    }

    #[tokio::test]
    async fn queues_follow_the_configuration() {
        let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
        ensure(&store, &config("{}")).await.unwrap();
        let before = store.settings("local-webhook.fifo").await.unwrap();
        assert_eq!(before.retention_seconds, 1_209_600);
        assert_eq!(before.visibility_timeout_seconds, 360);
        ensure(&store, &config(r#"{"retention_seconds":604800,"max_receive_count":999}"#))
            .await
            .unwrap();
        let after = store.settings("local-webhook.fifo").await.unwrap();
        assert_eq!(after.retention_seconds, 604_800);
        assert_eq!(after.redrive_policy.unwrap().max_receive_count, 999);
        let dead_letters = store.settings("local-webhook-dlq.fifo").await.unwrap();
        let allowed = dead_letters.redrive_allow_policy.unwrap();
        assert_eq!(allowed.redrive_permission, RedrivePermission::ByQueue);
    }
}
