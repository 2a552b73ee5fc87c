//! `docs/incidents.md`, played with the page alone; how many clicks each takes stands in `docs/page.md`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::browser::{Browser, Window};
use super::{Served, button};
use crate::stage::{Stage, dead, is_done};

/// What begins an act, once it was looked at.
const DO_IT: &str = "form[hx-post='/begin'] button";

/// The incident as `docs/page.md` calls it, its clicks, and the commands of `docs/incidents.md` beside
/// `status`, which the first screen is.
struct Played(&'static str, u32, u32);

fn check(browser: &Browser, Played(name, clicks, commands): Played) {
    assert_eq!(browser.clicks(), clicks, "{name}");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/page.md");
    let row = format!("| {name} | {clicks} | {commands} |");
    assert!(std::fs::read_to_string(file).unwrap().contains(&row), "docs/page.md: {row}");
}

async fn enter(served: &Served) -> Option<Browser> {
    let browser = served.enter(Window::default()).await?;
    // To be let in is no part of it.
    browser.clicks();
    Some(browser)
}

async fn go(browser: &Browser, path: &str) {
    browser.press(&format!("nav a[href='{path}']")).await;
}

/// Begins what was prepared.
async fn confirm(browser: &Browser, why: &str) {
    browser.fill("input[name=why]", why).await;
    browser.press(DO_IT).await;
    browser
        .until("that it is done", |text| text.starts_with("Skip") && text.contains("\ndone\n"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_down() {
    let retry = json!({ "initial_delay_seconds": 60, "max_delay_seconds": 300 });
    let stage = Stage::start(json!({ "retry": retry })).await;
    stage.answer(|_| (503, ""));
    for number in 0..40 {
        stage.post(&format!("order-{}", number % 20), "{}", |_| true).await;
    }
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = enter(&served).await else { return };
    let waits = |text: &str| text.contains("Nothing to do") && text.contains("sss answers 503");
    browser.until("that nobody has to act", waits).await;
    stage.answer(|_| (200, ""));
    // The breaker rests for five seconds after a failure.
    let is_rested = |status: &Value| {
        status["queue"]["oldest_age_ms"].as_u64() > Some(10_000)
            && status["queue"]["waiting_groups"] == 20
    };
    stage.until(is_rested).await;
    go(&browser, "/keys").await;
    browser.press(&button("retry_all", "")).await;
    confirm(&browser, "the service is up").await;
    stage.until(is_done).await;
    check(&browser, Played("the service is down", 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_rejects_events() {
    let stage = Stage::start(json!({})).await;
    stage.answer(|attempt| match attempt.body {
        body if body.contains("invoice") => (422, r#"{"error":"no such kind: invoice"}"#),
        _ => (422, r#"{"error":"amount must not be negative"}"#),
    });
    for number in 0..6 {
        let body = format!(r#"{{"kind":"invoice","number":{number}}}"#);
        stage.post(&format!("order-{}", number % 3), &body, dead(number + 1)).await;
    }
    stage.post("order-9", r#"{"kind":"order","amount":-1}"#, dead(7)).await;
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = enter(&served).await else { return };
    stage.answer(|attempt| if attempt.body.contains("-1") { (422, "") } else { (200, "") });
    go(&browser, "/dead-letters").await;
    browser.until("the causes", |text| text.contains("no such kind: invoice")).await;
    let issues: Value = serde_json::from_str(&stage.run("dlq issues local --json").await).unwrap();
    let issue = issues["issues"].as_array().unwrap().iter().find(|it| it["count"] == 6).unwrap();
    browser.press(&button("redrive", issue["name"].as_str().unwrap())).await;
    browser.until("what would go out", |text| text.contains("order-2")).await;
    confirm(&browser, "SSS 4.2 takes them").await;
    stage.until(is_done).await;
    stage.until(dead(1)).await;
    check(&browser, Played("a bad release rejects events", 3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_holds_back_its_key() {
    let stage = Stage::start(json!({
        "on_reject": "block",
        "retry": { "initial_delay_seconds": 5, "max_delay_seconds": 300 },
    }))
    .await;
    stage.answer(
        |attempt| if attempt.body.contains("poison") { (422, "closed") } else { (200, "") },
    );
    let is_blocked = |status: &Value| status["queue"]["waiting_groups"] == 1;
    stage.post("order-7", r#"{"state":"poison"}"#, is_blocked).await;
    stage.post("order-7", r#"{"state":"approved"}"#, |status| status["queue"]["events"] == 2).await;
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = enter(&served).await else { return };
    browser.until("who must act", |text| text.contains("key order-7 waits for a decision")).await;
    go(&browser, "/keys").await;
    browser.press("td a[href='/event?q=order-7']").await;
    browser.until("its body", |text| text.contains("poison")).await;
    browser.press(&button("skip", "")).await;
    confirm(&browser, "order 7 was cancelled by phone").await;
    stage.until(is_done).await;
    stage.until(dead(1)).await;
    check(&browser, Played("a poison event holds back its key", 4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_at_once() {
    let stage = Stage::start(json!({})).await;
    stage.answer(|_| (422, ""));
    stage.post("order-7", "{}", dead(1)).await;
    stage.answer(|_| (200, ""));
    let (one, two) = (Served::start(&stage, "--act").await, Served::start(&stage, "--act").await);
    let Some(first) = enter(&one).await else { return };
    let Some(second) = enter(&two).await else { return };
    first.fill("input[name=minutes]", "30").await;
    first.press(&button("pause", "")).await;
    confirm(&first, "release 42").await;
    go(&second, "/dead-letters").await;
    second.press(&format!("td {}", button("redrive", ""))).await;
    confirm(&second, "SSS 4.2 takes them").await;
    // It ends nothing that is not his.
    stage
        .until(|status| status["queue"]["events"] == 1 && status["delivery"]["paused"] == true)
        .await;
    go(&first, "/").await;
    first.until("who has paused", |text| text.contains("paused by owner")).await;
    first.press(&button("resume", "")).await;
    first.press(DO_IT).await;
    stage.until(is_done).await;
    check(&first, Played("a pause, and its end", 5, 2));
    check(&second, Played("a redrive meanwhile", 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_full_in_the_middle_of_an_outage() {
    let retry = json!({ "initial_delay_seconds": 200, "max_delay_seconds": 300 });
    let Some(stage) = Stage::start_on_a_small_disk(json!({ "retry": retry })).await else {
        println!("skipped: only root can mount a small disk");
        return;
    };
    stage.answer(|_| (503, ""));
    for key in ["order-0", "order-1", "order-2"] {
        stage.post(key, "{}", |_| true).await;
    }
    stage.until(|status| status["queue"]["waiting_groups"] == 3).await;
    let served = Served::start(&stage, "--act").await;
    let Some(browser) = enter(&served).await else { return };
    stage.disk().fill();
    browser.until("that room is to be made", |text| text.contains("webhooks are refused")).await;
    stage.answer(|_| (200, ""));
    stage.until(|status| status["queue"]["oldest_age_ms"].as_u64() > Some(10_000)).await;
    go(&browser, "/keys").await;
    browser.press(&button("retry_all", "")).await;
    confirm(&browser, "the service is up").await;
    stage.until(is_done).await;
    stage.disk().make_room();
    go(&browser, "/").await;
    browser.until("that it is over", |text| text.contains("Nothing to do")).await;
    check(&browser, Played("the disk is full in the middle of an outage", 4, 1));
}
