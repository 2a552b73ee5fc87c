//! `docs/operations.md`

use serde_json::json;

use crate::page::Page;
use crate::stage::{Stage, dead, is_done};

const REFUSED: (u16, &str) = (422, r#"{"message":"not accepted"}"#);

#[tokio::test(flavor = "multi_thread")]
async fn operations() {
    let mut page = Page::open("docs/operations.md");
    dead_letters(&mut page).await;
    a_key_that_waits(&mut page).await;
    pauses(&mut page).await;
    one_event(&mut page).await;
    // On an emulator, by `crates/contract-tests/tests/emulator`.
    for words in ["deploy", "releases", "rollback"] {
        page.played_elsewhere(words);
    }
    // Of cargo xtask itself: `xtask/tests/local.rs`.
    page.played_elsewhere("send");
    page.finish();
}

async fn dead_letters(page: &mut Page) {
    let stage = Stage::start(json!({})).await;
    stage.answer(|attempt| {
        if attempt.body.contains("備考") && attempt.number == 1 { (503, "") } else { REFUSED }
    });
    let invoice = r#"{"種類":"請求","番号":1,"備考":"後で"}"#;
    stage.post("order-7", invoice, dead(1)).await;
    stage.post("order-7", r#"{"種類":"請求","番号":2}"#, dead(2)).await;
    stage.post("order-8", r#"{"種類":"請求","番号":3}"#, dead(3)).await;
    stage.post("order-8", r#"{"種類":"請求","番号":4}"#, dead(4)).await;
    page.play(&stage, "dlq stats local").await;
    page.play(&stage, "dlq list local").await;
    page.play(&stage, "dlq show local").await;

    stage.answer(|_| (200, ""));
    stage.post("order-8", r#"{"種類":"納品","番号":5}"#, |it| it["queue"]["events"] == 0).await;
    page.play(&stage, "dlq redrive local --class rejected --dry-run").await;
    page.play(&stage, "dlq redrive local --all --why").await;
    stage.until(is_done).await;

    stage.answer(|_| REFUSED);
    stage.post("order-9", r#"{"種類":"請求","番号":6}"#, dead(1)).await;
    page.play(&stage, "dlq list local").await;
    let editor = stage.editor(r#"{"種類":"請求","番号":"#);
    page.play_with(&stage, "dlq edit local", &[("EDITOR", &editor)]).await;
    stage.answer(|_| (200, ""));
    stage.correct(r#"{"種類":"請求","番号":7}"#);
    page.play(&stage, "dlq edit local").await;
    stage.until(is_done).await;

    stage.answer(|_| REFUSED);
    stage.post("order-9", r#"{"種類":"請求","番号":8}"#, dead(1)).await;
    page.play(&stage, "dlq export local").await;
    page.play(&stage, "dlq list local").await;
    page.play(&stage, "dlq drop local").await;
    page.play(&stage, "dlq import local").await;
    page.play(&stage, "dlq log local").await;
}

async fn a_key_that_waits(page: &mut Page) {
    let stage = Stage::start(json!({
        "on_reject": "block",
        // So long that the next attempt is still to come when it is looked at.
        "retry": { "initial_delay_seconds": 8, "max_delay_seconds": 300 },
    }))
    .await;
    stage.answer(|_| REFUSED);
    for number in 1..=3 {
        let body = format!(r#"{{"番号":{number}}}"#);
        stage.post("order-7", &body, |status| status["queue"]["events"] == number).await;
    }
    stage.until_printed("blocked local", |said| said.contains("rejected")).await;
    page.play(&stage, "blocked local").await;
    stage.answer(|attempt| if attempt.body.contains(":1}") { REFUSED } else { (200, "") });
    page.play(&stage, "skip local").await;
    page.play(&stage, "trace local").await;
}

async fn pauses(page: &mut Page) {
    let stage = Stage::start(json!({})).await;
    page.play(&stage, "pause local --why").await;
    page.play(&stage, "pause local --why").await;
    stage.post("order-7", "{}", |status| status["queue"]["events"] == 1).await;
    page.play(&stage, "resume local").await;
    page.play(&stage, "pause local --why").await;
    page.play(&stage, "resume local --json").await;
}

async fn one_event(page: &mut Page) {
    let stage = Stage::start(json!({})).await;
    stage.answer(|attempt| if attempt.number < 3 { (503, "") } else { REFUSED });
    stage.post("order-8", r#"{"番号":1}"#, dead(1)).await;
    page.play(&stage, "dlq list local").await;
    page.play(&stage, "dlq drop local").await;
    page.play(&stage, "trace local").await;
}
