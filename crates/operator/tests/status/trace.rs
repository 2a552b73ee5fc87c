//! `trace`: the life of one event.

use serde_json::Value;

use crate::support::{Behavior, Service, Site};

fn whats(trace: &Value) -> Vec<&str> {
    let steps = trace["steps"].as_array().unwrap();
    let mut whats: Vec<&str> = steps.iter().map(|step| step["what"].as_str().unwrap()).collect();
    whats.dedup();
    whats
}

#[tokio::test]
async fn an_event_is_followed_from_its_acceptance_to_its_end() {
    let service = Service::anywhere().await;
    service.set(Behavior::Answer(503));
    let site = Site::start(&service.url()).await;
    let id = site.post("/sqs-hook", "order-7", "{\"n\":1}").await;
    let behind = site.post("/sqs-hook", "order-7", "{\"n\":2}").await;
    service.requested(2).await;
    let trace = site.json(&["trace", "local", &behind]).await;
    assert_eq!(trace["places"][0]["ahead"], 1, "{trace:#}");

    service.set(Behavior::Answer(422));
    site.wait_for(|status| status["queue"]["message_groups"] == 0).await;
    let trace = site.json(&["trace", "local", &id]).await;
    assert_eq!(whats(&trace), ["accepted", "retry", "rejected", "dead_lettered"], "{trace:#}");
    assert!(trace["steps"].as_array().unwrap().is_sorted_by_key(|step| step["at"].as_str()));
    assert_eq!(trace["places"][0]["dead_letter"], true);
    let text = site.operate(&["trace", "local", &id]).await.stdout;
    assert!(text.contains("accepted       route sss, group "), "{text}");
    let host = service.url().trim_start_matches("http://").split('/').next().unwrap().to_owned();
    assert!(text.contains(&format!("retry          service ({host}) answered 503 in ")), "{text}");
    assert!(text.contains("dead_lettered  for rejected\n"), "{text}");
    assert!(text.contains(&format!("`webhook-operator dlq show local {id} --data-dir ")), "{text}");

    service.set(Behavior::Answer(200));
    for id in [&id, &behind] {
        let redriven = site.operate(&["dlq", "redrive", "local", id]).await;
        assert_eq!(redriven.code, Some(0), "{}", redriven.stderr);
    }
    site.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 2).await;
    let trace = site.json(&["trace", "local", &id]).await;
    // A redrive is noted when it starts and when it has ended: the delivery is before that or after.
    let mut last = whats(&trace)[3..].to_vec();
    last.sort_unstable();
    last.dedup();
    assert_eq!(last, ["dead_lettered", "delivered", "dlq redrive", "redriven"], "{trace:#}");
    let text = site.operate(&["trace", "local", &id]).await.stdout;
    assert!(text.ends_with("now: in no queue\n"), "{text}");
}

#[tokio::test]
async fn an_unknown_event_is_a_failure() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let failed = site.operate(&["trace", "local", "evt/1"]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    assert!(failed.stderr.contains("nothing is known of event \"evt/1\""), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("engine.log and of the audit log, and in no queue"),
        "{}",
        failed.stderr
    );
}
