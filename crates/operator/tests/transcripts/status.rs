//! `docs/status.md`

use serde_json::json;

use crate::page::Page;
use crate::stage::{Stage, dead, is_done};

#[tokio::test(flavor = "multi_thread")]
async fn status() {
    let mut page = Page::open("docs/status.md");
    let stage = Stage::start(json!({})).await;
    stage.answer(|_| (503, ""));
    // As many as open the breaker of each process, whichever gets them.
    for number in 0..20 {
        stage.post(&format!("order-{number}"), "{}", |_| true).await;
    }
    let is_waiting = |said: &str| {
        ["OPEN", "20 in flight", "20 waiting"].iter().all(|it| said.contains(it))
            && !said.contains("under way")
    };
    page.play_until(&stage, "status local", &[], is_waiting).await;
    page.play(&stage, "doctor local").await;

    let stage = Stage::start(json!({})).await;
    stage.answer(|attempt| if attempt.body.contains('1') { (422, "") } else { (200, "") });
    stage.post("order-8", r#"{"number":1}"#, dead(1)).await;
    page.play(&stage, "dlq list local").await;
    let editor = stage.editor(r#"{"number":2}"#);
    // So that it is delivered once the command has ended.
    stage.run("pause local --why edit").await;
    page.play_with(&stage, "dlq edit local", &[("EDITOR", &editor)]).await;
    stage.run("resume local").await;
    stage.until(is_done).await;
    page.play(&stage, "trace local").await;
    page.finish();
}
