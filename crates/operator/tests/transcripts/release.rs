//! `docs/release-the-service.md`

use serde_json::json;

use crate::page::Page;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn release() {
    let mut page = Page::open("docs/release-the-service.md");
    let stage = Stage::start(json!({})).await;
    page.play(&stage, "pause local --why").await;
    for number in 1..=3_u64 {
        stage.post("order-7", "{}", |status| status["queue"]["events"] == number).await;
    }
    page.play(&stage, "resume local").await;
    page.finish();
}
