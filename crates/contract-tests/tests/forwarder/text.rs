//! Text in every script, and text that looks like bytes: unchanged, in both directions.

use contract_tests::event::message;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, config_with};
use contract_tests::sss::Sss;
use domain::quota::is_body_char;

use crate::{NONE, status};

const BODIES: [&str; 18] = [
    "注文7が承認されました。",
    "{\"名前\":\"山田 太郎\",\"住所\":\"東京都千代田区\"}",
    "🦀👩‍👩‍👧‍👦🏳️‍🌈 \u{1f1ef}\u{1f1f5}",
    "e\u{301} is not \u{e9}",
    "\u{feff}{\"a\":1}",
    "مرحبا \u{202e}שלום",
    "\u{80}\u{85}\u{9f}\u{a0}\u{ad}\u{200b}\u{2028}\u{2029}\u{d7ff}\u{e000}\u{fffd}",
    "\u{10000}\u{10ffff}",
    "\t\r\n \n\r\t",
    "\"quoted\" \\backslash\\ \\u00e9 \\n /slash/",
    "{\"n\":1.0000000000000000001,\"big\":123456789012345678901234567890,\"e\":1E+2}",
    "{\"a\":1,\"a\":2}",
    "[ ]",
    "null",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b='c'>&amp;</a>\r\n",
    "a=1&b=%E6%B3%A8+%2B",
    "H4sIAAAAAAAA/8tIzcnJVyjPL8pJUQQAlRmFGwwAAAA=",
    "data: {\"stream\":true}\n\ndata: [DONE]\n\n",
];

#[tokio::test]
async fn bodies_arrive_unchanged() {
    let sss = Sss::start().await;
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for (n, body) in BODIES.iter().enumerate() {
        let record = message(&format!("m-{n}"), "a").body(body);
        assert_eq!(forwarder.invoke([record]).await, NONE, "{body:?}");
        let arrived = sss.deliveries().pop().expect("it was delivered").request.body;
        assert_eq!(arrived, body.as_bytes(), "{body:?}");
    }
}

#[tokio::test]
async fn bodies_are_dead_lettered_unchanged() {
    let sss = Sss::start().await;
    sss.answer_all(status(422));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    for (n, body) in BODIES.iter().enumerate() {
        let record = message(&format!("m-{n}"), "a").body(body);
        assert_eq!(forwarder.invoke([record]).await, NONE, "{body:?}");
        let dead = forwarder.sqs().dead_letters().pop().expect("it was sent");
        assert_eq!(dead.body, *body);
    }
}

#[tokio::test]
async fn header_values_in_other_scripts_arrive_as_utf_8() {
    let sss = Sss::start_with_passed_headers(&["x-workflow-id"]).await;
    let config = config_with(&sss.url(), |route| {
        route.pass_headers = vec!["x-workflow-id".to_owned()];
    });
    let forwarder = Forwarder::start(config).await;
    let record = message("m-1", "a").attribute("header.x-workflow-id", "注文-7 🦀");
    assert_eq!(forwarder.invoke([record]).await, NONE);
    let delivery = sss.deliveries().pop().expect("it was delivered");
    assert_eq!(delivery.request.headers["x-workflow-id"].as_bytes(), "注文-7 🦀".as_bytes());
}

/// The excerpt of an answer in the record of a dead letter.
async fn excerpt(answer: impl Into<Vec<u8>>) -> String {
    let sss = Sss::start().await;
    sss.answer_all(status(422).set_body_bytes(answer));
    let forwarder = Forwarder::start(config(&sss.url())).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let dead = forwarder.sqs().dead_letters().pop().expect("it was sent");
    dead.failure.response.unwrap_or_default()
}

#[tokio::test]
async fn a_long_answer_in_japanese_is_cut_between_characters() {
    let answer = "受注番号が見つかりません。".repeat(100);
    let excerpt = excerpt(answer.clone()).await;
    assert!(answer.starts_with(&excerpt) && excerpt.len() > 1_000, "{excerpt}");
}

#[tokio::test]
async fn an_answer_that_is_no_text_becomes_text_that_sqs_takes() {
    let shift_jis = [0x8e, 0xf3, 0x92, 0x8d, b' ', b'7', 0x00, 0x1b, 0xff, b'!'];
    let excerpt = excerpt(shift_jis).await;
    assert!(excerpt.contains(" 7") && excerpt.ends_with('!'), "{excerpt:?}");
    assert!(excerpt.chars().all(is_body_char), "{excerpt:?}");
}

#[tokio::test]
async fn an_empty_answer_is_no_excerpt_of_another() {
    assert_eq!(excerpt("").await, "");
}
