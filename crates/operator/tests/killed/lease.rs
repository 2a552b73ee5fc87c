//! What becomes of the lease of a redrive that is ended at once, or killed.

use std::time::Duration;

use serde_json::Value;

use crate::proxy::{Counted, Held, Moment};
use crate::site::Site;

const REDRIVE: [&str; 4] = ["dlq", "redrive", "test", "--all"];

/// When the first letter is about to be sent.
const HELD: Held = Held { counted: Counted::Sending, nth: 1, moment: Moment::Before };

async fn site() -> Site {
    let site = Site::start().await;
    site.add("a", "a-1", 1).await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_a_redrive_at_once_and_gives_its_lease_back() {
    let site = site().await;
    let ended = site.run_and_end_at_once(&REDRIVE, HELD).await;
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("ended at once"), "{}", ended.stderr);
    assert_eq!(site.get("/_engine/redrive-lease").await["lease"], Value::Null);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_one_that_was_killed_is_waited_for_by_the_next() {
    let site = site().await;
    assert!(site.run_and_kill(&REDRIVE, HELD).await);
    assert!(site.get("/_engine/redrive-lease").await["lease"]["token"].is_string());
    let refused = site.run(&[&REDRIVE[..], &["--wait", "1s"]].concat()).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("wait until that has ended"), "{}", refused.stderr);
    // Its lease, and what it has hidden.
    let next = site.run_later(&REDRIVE, "the lease: ", Duration::from_secs(121)).await;
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    let sent = site.take_webhooks().await;
    assert_eq!(sent.iter().map(|it| it.event_id.as_str()).collect::<Vec<_>>(), ["a-1"]);
    site.stop().await;
}
