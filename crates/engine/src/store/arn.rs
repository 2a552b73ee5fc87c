//! Queue ARNs. The engine has one account and one region; a client that is configured for another
//! region means the same queues.

/// The engine's account.
pub const ACCOUNT_ID: &str = "000000000000";

/// The engine's region.
pub const REGION: &str = "us-east-1";

/// The ARN of a queue.
#[must_use]
pub fn of_queue(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}")
}

/// The name of the queue that an ARN stands for, whatever the region.
#[must_use]
pub fn queue_name(arn: &str) -> Option<&str> {
    let (_region, rest) = arn.strip_prefix("arn:aws:sqs:")?.split_once(':')?;
    let (_account, name) = rest.split_once(':')?;
    (!name.is_empty() && !name.contains(':')).then_some(name)
}

/// Whether this is a queue's ARN.
#[must_use]
pub fn is_queue(arn: &str) -> bool {
    queue_name(arn).is_some()
}

/// Whether two ARNs stand for one queue.
#[must_use]
pub fn same_queue(one: &str, other: &str) -> bool {
    queue_name(one).is_some_and(|name| Some(name) == queue_name(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_arn_leads_back_to_its_name() {
        assert_eq!(queue_name(&of_queue("a.fifo")), Some("a.fifo"));
        assert!(same_queue(&of_queue("a.fifo"), "arn:aws:sqs:ap-northeast-1:000000000000:a.fifo"));
        for no_queue in ["", "a.fifo", "arn:aws:sns:r:0:a", "arn:aws:sqs:r:0", "arn:aws:sqs:r:0:"] {
            assert!(!is_queue(no_queue), "{no_queue}");
        }
    }
}
