//! `send`: an event is posted as its provider would, by whoever may, and is noted.

use serde_json::{Value, json};

use crate::support::{Done, Service, Site};

/// The site's configuration with this changed, in a file of its own.
fn configured(site: &Site, change: impl FnOnce(&mut Value)) -> String {
    let file = site.file("../config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut config);
    let changed = site.file("../changed.json");
    std::fs::write(&changed, config.to_string()).unwrap();
    changed.to_str().unwrap().to_owned()
}

/// The lines of the audit log.
async fn log(site: &Site) -> Vec<Value> {
    let done = site.operate(&["dlq", "log", "local", "--json"]).await;
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_event_is_posted_with_what_the_route_needs_and_noted() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let shown = site.operate(&["send", "local", "--route", "sss", "--dry-run", "--json"]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let origin = service.url().parse::<url::Url>().unwrap().origin().ascii_serialization();
    assert!(shown["destinations"].as_object().unwrap().values().all(|it| *it == origin), "{shown}");
    assert_eq!((&shown["production"], &shown["route"]), (&json!(false), &json!("sss")));
    assert_eq!(
        serde_json::from_str::<Value>(shown["body"].as_str().unwrap()).unwrap()["test_event"],
        true
    );
    assert_eq!(log(&site).await, Vec::<Value>::new(), "what is only shown is no act");

    let more = ["--count", "3", "--keys", "2", "--why", "new route", "--json"];
    let done = site.operate(&[&["send", "local", "--route", "sss"], &more[..]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let told = format!("to be delivered to {origin}");
    assert!(done.stderr.contains(&told), "{}", done.stderr);
    let lines = done.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert!(lines.len() == 3 && lines.iter().all(|it| it["status"] == 200), "{lines:?}");
    site.wait_for(|status| status["loss_meter"]["routes"]["sss"]["delivered"] == 3).await;
    let event_id = lines[0]["event_id"].as_str().unwrap();
    let trace = site.operate(&["trace", "local", event_id]).await.stdout;
    assert!(trace.contains("delivered"), "{trace}");
    let log = log(&site).await;
    let ended = log.iter().find(|it| it["what"]["state"] == "ended").unwrap();
    assert_eq!((&ended["action"], &ended["reason"]), (&json!("send"), &json!("new route")));
    assert_eq!(
        (&ended["what"]["accepted"], &ended["what"]["event_ids"][0]),
        (&json!(3), &json!(event_id))
    );
    assert!(!format!("{log:?}").contains("test_event"), "no body: {log:?}");
}

#[tokio::test]
async fn who_would_get_it_elsewhere_is_named_and_asked_for() {
    let site = Site::start("https://192.0.2.1/hook?token=s3cret").await;
    let refused = |done: &Done| {
        assert_eq!(done.code, Some(2), "{}", done.stderr);
        assert!(
            done.stderr.contains("--yes") && !done.stderr.contains("s3cret"),
            "{}",
            done.stderr
        );
    };
    let done = site.operate(&["send", "local", "--route", "sss"]).await;
    refused(&done);
    assert!(done.stderr.contains("local delivers to https://192.0.2.1"), "{}", done.stderr);
    // Also what is delivered on this machine, if people depend on it.
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let config = configured(&site, |config| config["production"] = json!(true));
    let of_production = ["send", "local", "--route", "sss", "--config", config.as_str()];
    let done = site.operate(&of_production).await;
    refused(&done);
    assert!(
        done.stderr.contains("which is PRODUCTION, delivers to http://127.0.0.1"),
        "{}",
        done.stderr
    );
    assert_eq!(log(&site).await, Vec::<Value>::new());
    let done = site.operate(&[&of_production[..], &["--yes"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[tokio::test]
async fn what_would_come_to_nothing_is_not_sent() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let signed = json!({ "scheme": "stripe", "secrets": ["env:S"] });
    let config = configured(&site, |config| config["routes"]["sss"]["verify"] = signed);
    let done = site.operate(&["send", "local", "--route", "sss", "--config", &config]).await;
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("nothing is signed here"), "{}", done.stderr);
    let routes = site.json(&["status", "local", "--routes", "--config", &config]).await;
    let sss = routes["routes"].as_array().unwrap().iter().find(|it| it["route"] == "sss").unwrap();
    assert_eq!(sss["test_event"]["cannot"]["kind"], "unsigned");
    assert_eq!(sss["test_event"]["command"], json!(null));
    let done = site.operate(&["send", "local", "--route", "sos"]).await;
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("choose a route with --route: sss, strict"), "{}", done.stderr);
    // What the API refuses is told, and the command fails.
    let config = configured(&site, |config| config["routes"]["sss"]["path"] = json!("/nowhere"));
    let done = site.operate(&["send", "local", "--route", "sss", "--config", &config]).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("refused with 404"), "{}", done.stderr);
    let log = log(&site).await;
    assert!(log.iter().any(|line| line["what"]["result"] == "failed"), "{log:?}");
}

#[tokio::test]
async fn an_address_that_is_typed_needs_no_environment() {
    let service = Service::anywhere().await;
    let site = Site::start(&service.url()).await;
    let shown = site.json(&["send", "local", "--route", "sss", "--dry-run"]).await;
    let url = shown["url"].as_str().unwrap();
    let config = site.file("../config.json");
    let send = ["send", "local", "--route", "sss", "--config", config.to_str().unwrap(), "--url"];
    let done = crate::support::operator(&[&send[..], &[url]].concat()).output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let nobody = "http://127.0.0.1:1";
    let done = crate::support::operator(&[&send[..], &[nobody]].concat()).output().await.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("asking {nobody}/sqs-hook")), "{said}");
}

#[tokio::test]
async fn without_credentials_there_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let config = root.join("environments/dev/terraform.tfvars.json");
    for words in [
        &["status", "dev"][..],
        &["dlq", "list", "dev"],
        &["page", "dev", "--no-open"],
        &["send", "dev"],
        &["doctor", "dev"],
    ] {
        let mut command = crate::support::operator(words);
        command.arg("--config").arg(&config).current_dir(dir.path());
        command.env("HOME", dir.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        for name in
            ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"]
        {
            command.env_remove(name);
        }
        let done = command.output().await.unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        let sentence = "there are no AWS credentials; log in and set AWS_PROFILE, or set AWS_ACCESS_KEY_ID \
                        and AWS_SECRET_ACCESS_KEY; --debug tells more";
        assert!(said.contains(sentence), "{words:?}: {said}");
        for odd in ["dispatch", "Attempted", "\u{fffd}"] {
            assert!(!said.contains(odd), "{words:?}: {said}");
        }
        assert!(words[0] == "doctor" || said.lines().count() == 1, "{words:?}: {said}");
    }
}
