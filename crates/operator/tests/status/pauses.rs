//! What `pause` and `resume` say of the queue, and what is scheduled on AWS.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::on_aws::{QUEUE, series, this_minute};
use crate::support::{Service, Site};

#[tokio::test]
async fn resume_says_how_the_queue_got_empty_only_if_it_watched() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let said = async |arguments: &[&str]| {
        let done = site.operate(arguments).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout
    };
    let pause = ["pause", "local", "--why", "r"];
    said(&pause).await;
    let text = said(&["resume", "local"]).await;
    assert!(text.contains("resumed: 0 events wait\n"), "{text}");
    assert!(text.ends_with("\nthe queue is empty\n"), "{text}");

    said(&pause).await;
    site.post("/sqs-hook", "order-7", "1").await;
    let text = said(&["resume", "local", "--no-wait"]).await;
    assert!(text.contains("resumed: 1 event waits\n") && !text.contains("empty"), "{text}");
    service.requested(1).await;

    said(&pause).await;
    site.post("/sqs-hook", "order-7", "2").await;
    let text = said(&["resume", "local"]).await;
    assert!(text.contains("\nthe queue is empty after "), "{text}");
    assert_eq!(service.delivered(), ["1", "2"]);

    let done = site.operate(&["resume", "local", "--name", "nobody"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    let none = "there is no pause \"nobody\", nor any other: delivery was not changed";
    assert!(done.stderr.contains(none), "{}", done.stderr);
}

#[tokio::test]
async fn an_empty_queue_holds_for_all_of_its_retention_whatever_was_in_it_before() {
    let site = Site::start("http://127.0.0.1:9").await;
    let old = vec![(this_minute() - 2, 86_400.0)];
    let fake = FakeCloudWatch::start(Answers {
        series: vec![series(QUEUE, "ApproximateAgeOfOldestMessage", old)],
        ..Answers::default()
    })
    .await;
    let pause = ["pause", "local", "--why", "r", "--json"];
    let paused = site.operate_on_aws(&fake, &pause).await;
    let paused: Value = serde_json::from_str(&paused.stdout).unwrap();
    let holds = &paused["holds"];
    let retention = Duration::from_hours(14 * 24).as_millis();
    assert_eq!((&holds["by"], &holds["for_ms"]), (&json!("empty"), &json!(retention)), "{holds}");
}

#[tokio::test]
async fn the_end_of_a_pause_is_scheduled_once_at_the_very_time_and_says_why() {
    let site = Site::start("http://127.0.0.1:9").await;
    let fake = FakeCloudWatch::start(Answers::default()).await;
    let long = "x".repeat(600);
    for (name, why) in [("release", "release 42"), ("upgrade", &long)] {
        let pause = ["pause", "local", "--why", why, "--name", name, "--for", "30m"];
        let done = site.operate_on_aws(&fake, &pause).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let schedule = fake.schedule().unwrap();
    let description = schedule["Description"].as_str().unwrap();
    assert!(description.starts_with("release 42; xxx"), "{description}");
    assert_eq!(description.len(), 512, "as long as it may be");
    assert_eq!(schedule["FlexibleTimeWindow"], json!({ "Mode": "OFF" }));
    assert_eq!(
        (&schedule["ScheduleExpressionTimezone"], &schedule["ActionAfterCompletion"]),
        (&json!("UTC"), &json!("DELETE"))
    );
    let target = &schedule["Target"];
    assert!(target["Arn"].as_str().unwrap().ends_with(":lambda:updateEventSourceMapping"));
    let input: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
    assert!(input["Enabled"] == true && input["Uuid"].is_string(), "{input}");
}

/// One that is still scheduled would end a pause that has no end.
#[tokio::test]
async fn an_end_that_cannot_be_taken_back_or_scheduled_is_an_error() {
    let site = Site::start("http://127.0.0.1:9").await;
    let trouble = Some("AccessDeniedException");
    let fake = FakeCloudWatch::start(Answers { trouble, ..Answers::default() }).await;
    for (more, said) in [
        (&["--for", "30m"][..], "scheduling the end of the pause, local-webhook-resume"),
        (&["--name", "another"], "deleting the scheduled end local-webhook-resume"),
    ] {
        let pause = [&["pause", "local", "--why", "r"], more].concat();
        let done = site.operate_on_aws(&fake, &pause).await;
        assert_eq!(done.code, Some(1), "{}", done.stdout);
        assert!(done.stderr.contains(said), "{}", done.stderr);
        let resumed = site.operate_on_aws(&fake, &["resume", "local", "--all", "--no-wait"]).await;
        assert_eq!(resumed.code, Some(1), "{}", resumed.stdout);
    }
}
