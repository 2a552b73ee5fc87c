//! `docs/incidents.md`

use serde_json::{Value, json};

use crate::page::Page;
use crate::stage::{Stage, dead, is_done};

#[tokio::test(flavor = "multi_thread")]
async fn incidents() {
    let mut page = Page::open("docs/incidents.md");
    the_service_is_down(&mut page).await;
    a_bad_release(&mut page).await;
    a_poison_event(&mut page).await;
    two_people(&mut page).await;
    a_full_disk(&mut page).await;
    page.finish();
}

async fn the_service_is_down(page: &mut Page) {
    let retry = json!({ "initial_delay_seconds": 60, "max_delay_seconds": 300 });
    let stage = Stage::start(json!({ "retry": retry })).await;
    stage.answer(|_| (503, ""));
    for number in 0..40 {
        stage.post(&format!("order-{}", number % 20), "{}", |_| true).await;
    }
    let is_waiting = |said: &str| said.contains("20 waiting") && !said.contains("under way");
    page.play_until(&stage, "status local", &[], is_waiting).await;
    stage.answer(|_| (200, ""));
    // The breaker rests for five seconds after a failure.
    stage.until(|status| status["queue"]["oldest_age_ms"].as_u64() > Some(10_000)).await;
    page.play(&stage, "retry local --all").await;
    stage.until(is_done).await;
    page.play(&stage, "status local").await;
}

async fn a_bad_release(page: &mut Page) {
    let stage = Stage::start(json!({})).await;
    stage.answer(|attempt| match attempt.body {
        body if body.contains("invoice") => (422, r#"{"error":"no such kind: invoice"}"#),
        body if body.contains("-1") => (422, r#"{"error":"amount must not be negative"}"#),
        _ => (200, ""),
    });
    for number in 0..6 {
        let key = format!("order-{}", number % 3);
        let body = format!(r#"{{"kind":"invoice","number":{number}}}"#);
        stage.post(&key, &body, dead(number + 1)).await;
    }
    stage.post("order-9", r#"{"kind":"order","amount":-1}"#, dead(7)).await;
    page.play(&stage, "dlq issues local").await;
    stage.answer(|attempt| if attempt.body.contains("-1") { (422, "") } else { (200, "") });
    page.play(&stage, "dlq redrive local --issue").await;
    stage.until(is_done).await;
    page.play(&stage, "status local").await;
}

async fn a_poison_event(page: &mut Page) {
    let stage = Stage::start(json!({
        "on_reject": "block",
        "retry": { "initial_delay_seconds": 20, "max_delay_seconds": 300 },
    }))
    .await;
    stage.answer(|attempt| {
        if attempt.body.contains("poison") {
            (422, r#"{"error":"order 7 is closed"}"#)
        } else {
            (200, "")
        }
    });
    // Blocked before the next one comes: received in one batch, both would be in flight.
    let is_blocked = |status: &Value| status["queue"]["waiting_groups"] == 1;
    stage.post("order-7", r#"{"state":"poison"}"#, is_blocked).await;
    stage.post("order-7", r#"{"state":"approved"}"#, |status| status["queue"]["events"] == 2).await;
    let is_blocked = |said: &str| said.contains("You:") && !said.contains("under way");
    page.play_until(&stage, "status local", &[], is_blocked).await;
    page.play(&stage, "show local order-7").await;
    page.play(&stage, "skip local").await;
    stage.until(is_done).await;
    page.play(&stage, "status local").await;
}

async fn two_people(page: &mut Page) {
    let stage = Stage::start(json!({})).await;
    stage.answer(|_| (422, ""));
    stage.post("order-7", "{}", dead(1)).await;
    stage.answer(|_| (200, ""));
    page.play(&stage, "pause local --why").await;
    let second = [("USER", "night-shift")];
    page.play_with(&stage, "dlq redrive local --all --pause-first", &second).await;
    page.play(&stage, "status local").await;
    page.play(&stage, "resume local").await;
}

async fn a_full_disk(page: &mut Page) {
    let retry = json!({ "initial_delay_seconds": 200, "max_delay_seconds": 300 });
    let Some(stage) = Stage::start_on_a_small_disk(json!({ "retry": retry })).await else {
        println!("passed over: only root can mount a small disk");
        for words in ["status local", "retry local", "status local", "status local"] {
            page.played_elsewhere(words);
        }
        return;
    };
    stage.answer(|_| (503, ""));
    for key in ["order-0", "order-1", "order-2"] {
        stage.post(key, "{}", |_| true).await;
    }
    stage.until(|status| status["queue"]["waiting_groups"] == 3).await;
    stage.disk().fill();
    stage.until_printed("status local", |said| said.contains("webhooks are refused")).await;
    let refused = stage.offer("order-9", "{}").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    page.play_until(&stage, "status local", &[], |said| said.contains("3 waiting")).await;
    stage.answer(|_| (200, ""));
    // The breaker rests for five seconds after a failure.
    stage.until(|status| status["queue"]["oldest_age_ms"].as_u64() > Some(10_000)).await;
    page.play(&stage, "retry local").await;
    stage.until(is_done).await;
    page.play(&stage, "status local").await;
    stage.disk().make_room();
    page.play_until(&stage, "status local", &[], |said| said.contains("Nothing to do")).await;
    let again = stage.offer("order-9", "{}").await;
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
}
