//! The alert rules and the dashboard that are shipped ask for metrics that there are, and lead to sections
//! of the runbook that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use domain::notification::kind::Kind;
use serde_json::{Value, json};

use crate::support::{config, http_client, options};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("packaging/monitoring/alerts.yml")).unwrap();
    let groups = file["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&read("packaging/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .chain(variables.map(|it| it["query"].as_str().unwrap().to_owned()))
        .collect()
}

/// The metrics that an expression asks for.
fn asked_for(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
    let ours = words.filter(|it| it.starts_with("webhook_") || it.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// The names of the samples that the metrics' families have.
async fn metrics() -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let notify = json!({ "notify": { "url": "http://127.0.0.1:9/" } });
    let mut options = options(&config(notify), Some(dir.path()));
    options.forwarder = Some("/nowhere".into());
    let engine = engine::Engine::start(options).await.unwrap();
    let url = format!("http://{}/metrics", engine.api_address());
    let text = http_client().get(url).send().await.unwrap().text().await.unwrap();
    engine.stop().await;
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = families.flat_map(|family| {
        let (name, kind) = family.split_once(' ').unwrap();
        let parts = if kind == "histogram" { &["_bucket", "_count", "_sum"][..] } else { &[""] };
        parts.iter().map(|part| format!("{name}{part}")).collect::<Vec<_>>()
    });
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let metrics = metrics().await;
    let of_rules = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let (mut asked, mut expressions) = (BTreeSet::new(), 0);
    for expression in of_rules.chain(dashboard_expressions()) {
        asked.extend(asked_for(&expression));
        expressions += 1;
    }
    assert!(expressions > 40, "{expressions}");
    for name in &asked {
        assert!(metrics.contains(name), "{name} is no metric");
    }
    // What nobody looks at: parts of a histogram, and what others say better.
    let looked_at = |name: &String| {
        asked.contains(name)
            || ["_sum", "_count"].iter().any(|end| name.ends_with(end))
            || name == "webhook_queue_in_flight"
    };
    let unseen: Vec<_> = metrics.iter().filter(|name| !looked_at(name)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_alert_says_what_is_wrong_and_leads_to_the_runbook() {
    let anchors: BTreeSet<String> = read("docs/runbook.md")
        .lines()
        .filter_map(|it| it.strip_prefix("## "))
        .map(anchor)
        .collect();
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        assert!(rule["annotations"]["summary"].as_str().unwrap().ends_with('.'), "{name}");
        let link = rule["annotations"]["runbook"].as_str().unwrap();
        let section = link.strip_prefix("docs/runbook.md#").unwrap();
        assert!(anchors.contains(section), "{name}: {section}");
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    for needed in
        ["WebhookQueueDown", "WebhookQueueEventsMissing", "WebhookQueueDeadLettersPresent"]
    {
        assert!(names.contains(needed), "{needed}");
    }
}

/// Who is notified hears of the same conditions as who scrapes, as urgent, and of the same sections.
#[test]
fn rules_and_notifications_are_of_the_same_conditions() {
    // An engine that is gone says nothing, one alone does not differ, and who does not hear cannot be told.
    let of_rules_only = ["Down", "VersionsDiffer", "NotificationsFail"];
    let mut kinds = BTreeMap::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().strip_prefix("WebhookQueue").unwrap().to_owned();
        let severity = rule["labels"]["severity"].as_str().unwrap().to_owned();
        let link = rule["annotations"]["runbook"].as_str().unwrap();
        let section = link.strip_prefix("docs/runbook.md#").unwrap().to_owned();
        let holds_for = rule["for"].as_str().map_or(Duration::ZERO, |it| {
            let (number, unit) = it.split_at(it.len() - 1);
            let number = number.parse().unwrap();
            match unit {
                "m" => Duration::from_mins(number),
                "h" => Duration::from_hours(number),
                "d" => Duration::from_hours(24 * number),
                _ => panic!("{it}"),
            }
        });
        kinds.insert(name, (severity, section, holds_for));
    }
    for name in of_rules_only {
        assert!(kinds.remove(name).is_some() && Kind::named(name).is_none(), "{name}");
    }
    for kind in Kind::ALL {
        // Prometheus sees no single end of an engine.
        let rule = kinds.remove(kind.name());
        let of_kind = (kind.severity().to_string(), kind.runbook().to_owned(), kind.holds_for());
        assert!(
            rule == Some(of_kind) || rule.is_none() && kind == Kind::Killed,
            "{kind:?}: {rule:?}"
        );
    }
    assert!(kinds.is_empty(), "nobody is notified of {kinds:?}");
}

/// Prometheus itself reads the rules, where its tool is.
#[test]
fn prometheus_understands_the_rules() {
    let check = Command::new("promtool")
        .args(["check", "rules"])
        .arg(repository("packaging/monitoring/alerts.yml"))
        .output();
    match check {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => eprintln!("not checked: promtool: {error}"),
    }
}
