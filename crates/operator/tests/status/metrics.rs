//! `/metrics`: what Prometheus reads is what the status says.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::support::{Service, Site};

/// The samples by name and labels. Every one must belong to a family that was announced.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut families = HashSet::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name.to_owned()), "{name} twice");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let of_histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| family.strip_suffix(end).is_some_and(|it| families.contains(it)));
            assert!(of_histogram || families.contains(family), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(name.to_owned(), value.to_owned()).is_none(), "{line}");
        }
    }
    samples
}

#[tokio::test]
async fn metrics_agree_with_the_status() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    site.post_three_and_a_rejected_one(&service).await;
    site.post("/strict", "k", "{}").await;
    let settled = |status: &Value| {
        status["dead_letter_queue"]["visible"] == 1 && status["waiting_groups"] == 1
    };
    site.wait_for(settled).await;

    let answer = site.get("/metrics").await;
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    let samples = parse(&answer.body);
    let report = site.json(&["status", "local"]).await;
    let routes = &report["loss_meter"]["routes"];
    for (name, figure) in [
        ("webhook_accepted_total{route=\"sss\"}", &routes["sss"]["accepted"]),
        ("webhook_delivered_total{route=\"sss\"}", &routes["sss"]["delivered"]),
        ("webhook_dead_lettered_total{route=\"sss\"}", &routes["sss"]["dead_lettered"]),
        ("webhook_missing{route=\"strict\"}", &routes["strict"]["missing"]),
        ("webhook_queue_messages{queue=\"webhook\"}", &report["queue"]["events"]),
        ("webhook_queue_messages{queue=\"dead_letter\"}", &report["dead_letters"]["count"]),
        ("webhook_groups_waiting", &report["queue"]["waiting_groups"]),
    ] {
        assert_eq!(samples[name], figure.to_string(), "{name}");
    }
    let labels = "route=\"sss\",destination=\"service\"";
    let sample = |name: &str, more: &str| -> u64 {
        samples[&format!("{name}{{{labels}{more}}}")].parse().unwrap()
    };
    let attempts =
        |outcome: &str| sample("webhook_attempts_total", &format!(",outcome=\"{outcome}\""));
    assert_eq!((attempts("delivered"), attempts("rejected")), (3, 1));
    let bucket = |le: &str| sample("webhook_delivery_seconds_bucket", &format!(",le=\"{le}\""));
    assert!(bucket("0.005") <= bucket("0.25") && bucket("0.25") <= bucket("+Inf"));
    assert_eq!((bucket("+Inf"), sample("webhook_delivery_seconds_count", "")), (3, 3));
}
