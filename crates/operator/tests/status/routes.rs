//! `status --routes`: what goes where, and whether it is production.

use serde_json::{Value, json};

use crate::support::{Service, Site};

#[tokio::test]
async fn what_goes_where_is_told_without_what_may_be_secret_and_can_be_tried() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let file = site.file("../config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let url = format!("{}?token=s3cret", service.url());
    config["routes"]["sss"]["destinations"][0]["url"] = json!(url);
    config["production"] = json!(true);
    std::fs::write(&file, config.to_string()).unwrap();
    let config = file.to_str().unwrap();
    let done = site.operate(&["status", "local", "--routes", "--json", "--config", config]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(!done.stdout.contains("s3cret"), "{}", done.stdout);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&told["production"], &told["unknown"]), (&json!(true), &json!([])));
    let sss = told["routes"].as_array().unwrap().iter().find(|it| it["route"] == "sss").unwrap();
    assert!(sss["url"].as_str().unwrap().ends_with("/sqs-hook"), "{sss:#}");
    let origin = service.url().parse::<url::Url>().unwrap().origin().ascii_serialization();
    assert_eq!(sss["destinations"][0]["origin"], origin);
    let command = sss["test_event"]["command"].as_str().unwrap();
    let tried = tokio::process::Command::new("sh").args(["-c", command]).output().await;
    let tried = String::from_utf8(tried.unwrap().stdout).unwrap();
    assert!(tried.starts_with("HTTP/1.1 200"), "{command}: {tried}");
    site.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 1).await;
    let text = site.operate(&["status", "local", "--routes", "--config", config]).await.stdout;
    assert!(
        text.starts_with("local (PRODUCTION)\n") && text.contains("\nto try it:\ncurl "),
        "{text}"
    );
}
