//! `status --history`: what happened in each minute, and that what is not known is no 0.

use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch, Found};
use crate::on_aws::{QUEUE, series, this_minute};
use crate::support::{Service, Site};

/// All figures of a kind, together.
fn sum(history: &Value, name: &str) -> u64 {
    let minutes = history["minutes"].as_array().unwrap();
    minutes.iter().filter_map(|minute| minute[name].as_u64()).sum()
}

#[tokio::test]
async fn an_engine_tells_what_came_and_went_and_nothing_of_when_it_was_not_there() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    site.post_three_and_a_rejected_one(&service).await;
    site.wait_for(|status| status["dead_letter_queue"]["visible"] == 1).await;

    for (back, minutes) in [("hour", 60), ("day", 1_440)] {
        let history = site.json(&["status", "local", "--history", back]).await;
        assert_eq!(history["minutes"].as_array().unwrap().len(), minutes);
        let counts = ["accepted", "delivered", "failed", "dead_lettered"];
        assert_eq!(counts.map(|name| sum(&history, name)), [4, 3, 1, 1], "{history:#}");
        assert_eq!(history["minutes"][0]["accepted"], Value::Null, "no engine ran");
        let minutes = history["minutes"].as_array().unwrap();
        let ages = minutes.iter().filter(|it| it["p50_ms"].is_u64() && it["p99_ms"].is_u64());
        assert!(ages.count() > 0, "{history:#}");
        assert_eq!(history["newest"]["accepted"], minutes.last().unwrap()["at"]);
    }
    let table = site.operate(&["status", "local", "--history=hour"]).await.stdout;
    let newest = table.lines().rev().nth(1).unwrap();
    assert!(table.starts_with("FROM (UTC)") && !newest.contains('?'), "{table}");
    assert!(table.lines().nth(1).unwrap().contains('?'), "{table}");
    let both = site.operate(&["status", "local", "--history=hour", "--watch"]).await;
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[tokio::test]
async fn on_aws_the_metrics_tell_it_and_what_they_do_not_tell_yet_is_unknown() {
    let site = Site::start(&format!("http://{}", Service::nowhere().await)).await;
    let now = this_minute();
    let of_route = |name, points| Found { label: "sss", ..series("sss", name, points) };
    let fake = FakeCloudWatch::start(Answers {
        series: vec![
            series(QUEUE, "NumberOfMessagesSent", vec![(now - 20, 7.0), (now - 10, 0.0)]),
            of_route("Delivered", vec![(now - 20, 6.0)]),
            of_route("Failed", vec![(now - 20, 2.0)]),
            of_route("AgeAtDelivery", vec![(now - 20, 1_340.0)]),
        ],
        ..Answers::default()
    })
    .await;
    let arguments = ["status", "local", "--history", "hour", "--json"];
    let done = site.operate_on_aws(&fake, &arguments).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let history: Value = serde_json::from_str(&done.stdout).unwrap();
    let minutes = history["minutes"].as_array().unwrap();
    let known: Vec<&Value> =
        minutes.iter().filter(|it| it["accepted"].is_u64() || it["delivered"].is_u64()).collect();
    let counts = |it: &Value| {
        ["accepted", "delivered", "failed", "dead_lettered", "p99_ms"].map(|name| it[name].clone())
    };
    assert_eq!(known.len(), 2, "{known:#?}");
    assert_eq!(json!(counts(known[0])), json!([7, 6, 2, null, 1340]));
    assert_eq!(json!(counts(known[1])), json!([0, null, null, null, null]));
    assert_eq!(history["newest"]["delivered"], known[0]["at"]);
    assert_eq!(history["newest"]["accepted"], known[1]["at"]);

    let fake =
        FakeCloudWatch::start(Answers { trouble: Some("AccessDenied"), ..Answers::default() })
            .await;
    let done = site.operate_on_aws(&fake, &arguments).await;
    let history: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(history["unknown"][0].as_str().unwrap().contains("on demand"), "{history:#}");
}
