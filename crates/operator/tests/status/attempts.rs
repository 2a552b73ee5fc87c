//! The number of an attempt, as the service sees it, by `contracts/sss-webhook.yaml`.

use std::time::Instant;

use crate::support::{Behavior, Service, Site};

#[tokio::test]
async fn its_number_goes_on_after_a_restart_and_is_never_more_than_the_schedule_allows() {
    let service = Service::anywhere().await;
    // No breaker opens by it: each receive is an attempt.
    service.set(Behavior::Answer(500));
    let site = Site::start(&service.url()).await;
    let accepted = Instant::now();
    site.post("/sqs-hook", "order-7", "1").await;
    service.requested(3).await;
    assert_eq!(service.attempts()[..3], [1, 2, 3], "exact while the process lives");
    site.kill_forwarders();
    let before = service.requests();
    service.requested(before + 3).await;
    let site = site.restarted().await;
    let restarted = service.requests();
    service.requested(restarted + 3).await;

    let attempts = service.attempts();
    // The first is followed by one more for each second, the shortest delay.
    let most = 1 + accepted.elapsed().as_secs();
    assert!(attempts.is_sorted() && attempts.iter().all(|it| *it <= most), "{most}: {attempts:?}");
    assert!(attempts[before] >= 3, "the forwarder begins again: {attempts:?}");
    assert!(attempts[restarted] > attempts[before], "the engine begins again: {attempts:?}");

    // What has stood behind it was never attempted.
    site.post("/sqs-hook", "order-7", "2").await;
    let behind = service.requests();
    service.requested(behind + 2).await;
    service.set(Behavior::Answer(200));
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    assert_eq!(service.attempts().last(), Some(&1));
    assert_eq!(service.delivered(), ["1", "2"]);
}
