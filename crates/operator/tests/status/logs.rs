//! `logs`: what is written, and what is written from then on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::fake_cloudwatch::{Answers, FakeCloudWatch};
use crate::support::{Service, Site};

/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn it_is_printed_in_words_or_as_it_is_and_followed_until_it_is_interrupted() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let first = site.post("/sqs-hook", "order-7", "1").await;
    site.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 1).await;
    let done = site.operate(&["logs", "local"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stdout.contains(&format!("  accepted  {first}  route sss, group ")),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains(&format!("  delivered  {first}  service (")), "{}", done.stdout);
    let none = site.operate(&["logs", "local", "--since", "2199-01-01T00:00:00Z"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));

    let mut following = site.start_command(&["logs", "local", "-f", "-o", "json"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut accepted = async || loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap();
        let line: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        if line["message"] == "accepted" {
            return line["event_id"].as_str().unwrap().to_owned();
        }
    };
    assert_eq!(accepted().await, first);
    for key in ["a", "b", "c"] {
        let id = site.post("/sqs-hook", key, "1").await;
        assert_eq!(accepted().await, id, "each once, in order");
    }
    let pid = following.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended =
        tokio::time::timeout(PATIENCE, following.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), said.as_str()), (Some(130), ""));
}

/// `CloudWatch` has a line only seconds after it was written, and by then maybe later ones.
#[tokio::test]
async fn on_aws_each_line_is_printed_once_also_one_that_comes_late() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let now = domain::time::Timestamp::from(std::time::SystemTime::now());
    let line = |seconds_ago: u64, id: &str| {
        let at = domain::time::Timestamp::from_ms(now.as_ms() - 1_000 * seconds_ago);
        json!({ "timestamp": at.to_string(), "message": "delivered", "event_id": id })
    };
    let log = vec![line(90_000, "yesterday"), line(60, "first"), line(50, "second")];
    let fake = FakeCloudWatch::start(Answers { log, log_page: 1, ..Answers::default() }).await;
    let done = site.operate_on_aws(&fake, &["logs", "local", "--since", "1h"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let ids: Vec<&str> = done.stdout.lines().map(|it| it.split("  ").nth(2).unwrap()).collect();
    assert_eq!(ids, ["first", "second"]);

    let words = ["logs", "local", "-f", "-o", "json", "--since", "1h"];
    let mut following = site.command_on_aws(&fake, &words).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap();
        let line: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        line["event_id"].as_str().unwrap().to_owned()
    };
    assert_eq!([next().await, next().await], ["first", "second"]);
    fake.log(line(55, "late"));
    assert_eq!(next().await, "late");
    fake.log(line(0, "newest"));
    assert_eq!(next().await, "newest");
    following.kill().await.unwrap();
}
