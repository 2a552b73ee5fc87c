//! What comes in comes out only where it belongs. A value is planted in every input, and looked for in
//! every output: texts name names, never values.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use contract_tests::event::{Record, message};
use contract_tests::fake_sqs::Fault;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, route};
use contract_tests::sss::Sss;
use domain::config::{
    ConfigFile, HiddenText, LogLevel, SchemeName, SecretsFile, SignFile, TokenFile, VerifyFile,
};
use domain::environment::{
    CONFIG_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE, METRICS_VARIABLE, QUEUE_URL_VARIABLE,
};
use serde_json::json;

use crate::{lines, status};

const PLANTED: &str = "planted";
/// Before the secrets were fetched, by more than clocks differ.
const EARLIER: Duration = Duration::from_mins(1);

fn assert_not_planted(what: &str, output: &str) {
    assert!(!output.contains(PLANTED), "{what}: {output}");
}

/// A message with something planted wherever a stranger can put something.
fn planted(id: &str) -> Record {
    message(id, id)
        .body(r#"{"planted":"planted body"}"#)
        .attribute("headers", "x-tenant: planted header")
        .attribute("planted", "planted attribute")
        .attribute("token", "planted token")
}

/// Routes with something planted wherever an operator can put a secret or a person's name.
fn planting(sss: &Sss, file: &dyn Fn(&str) -> String) -> ConfigFile {
    let secrets = |name: &str| SecretsFile(vec![HiddenText(file(name))]);
    let verify = |scheme, name| VerifyFile {
        scheme,
        secrets: secrets(name),
        tolerance_seconds: 300,
        hmac: None,
        token: (scheme == SchemeName::Token).then(|| TokenFile { header: "x-token".to_owned() }),
    };
    let mut plain = route("/sqs-hook", &format!("{}?token=planted-query", sss.url()));
    plain.pass_headers = vec!["x-tenant".to_owned()];
    let headers = [("x-literal", "planted literal".to_owned()), ("x-secret", file("value"))];
    plain.destinations[0].headers =
        headers.map(|(name, value)| (name.to_owned(), HiddenText(value))).into();
    plain.destinations[0].sign = Some(SignFile { secrets: secrets("signing") });
    let with = |name: &str, verify| {
        let mut route = plain.clone();
        route.path = format!("/{name}");
        route.verify = Some(verify);
        (name.to_owned(), route)
    };
    let mut nobody = plain.clone();
    "/nobody".clone_into(&mut nobody.path);
    "https://127.0.0.1:9/?planted".clone_into(&mut nobody.destinations[0].url);
    let (mut no_value, mut no_key, mut no_certificate) =
        (nobody.clone(), nobody.clone(), nobody.clone());
    "/no-value".clone_into(&mut no_value.path);
    no_value.destinations[0].headers =
        BTreeMap::from([("x-secret".to_owned(), HiddenText(file("no-value")))]);
    "/no-key".clone_into(&mut no_key.path);
    no_key.destinations[0].sign = Some(SignFile { secrets: secrets("none") });
    "/no-certificate".clone_into(&mut no_certificate.path);
    no_certificate.destinations[0].client_certificate = Some(HiddenText(file("none")));
    let mut config = config(&sss.url());
    config.routes = BTreeMap::from([
        ("sss".to_owned(), plain.clone()),
        ("nobody".to_owned(), nobody),
        ("no-value".to_owned(), no_value),
        ("no-key".to_owned(), no_key),
        ("no-certificate".to_owned(), no_certificate),
        with("token", verify(SchemeName::Token, "token")),
        with("hmac", verify(SchemeName::Github, "token")),
        with("standard", verify(SchemeName::StandardWebhooks, "none")),
    ]);
    config.forwarder.log_level = LogLevel::Debug;
    config
}

#[tokio::test]
async fn nothing_of_an_event_or_a_secret_is_in_a_log_line_or_a_failure_record() {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("file:{}", files.path().join(name).display());
    for (name, secret) in [
        ("value", "planted value"),
        ("no-value", "planted\nvalue"),
        ("signing", "whsec_cGxhbnRlZCBwbGFudGVkIHBsYW50ZWQgcGxhbnRlZA=="),
        ("none", "planted, no key and no certificate"),
        ("token", "another planted token"),
    ] {
        fs::write(files.path().join(name), secret).unwrap();
    }
    let sss = Sss::start_with_passed_headers(&["x-tenant", "x-literal", "x-secret"]).await;
    sss.answer("retry", [status(503)]);
    sss.answer("rejected", [status(422)]);
    let elsewhere = "http://planted:planted@elsewhere.example.com/a?planted#planted";
    sss.answer("redirected", [status(307).insert_header("location", elsewhere)]);
    let metrics = [(METRICS_VARIABLE, "emf".to_owned())];
    let forwarder = Forwarder::start_with_more(planting(&sss, &file), metrics).await;

    let outside_ascii = "x-tenant: planted\u{7f}\u{1}";
    let batch = [
        planted("delivered"),
        planted("retry"),
        planted("rejected"),
        planted("redirected"),
        planted("refused").route("nobody"),
        planted("other-token").aged(EARLIER).route("token"),
        planted("unsigned").aged(EARLIER).route("hmac"),
        planted("no-secret").route("standard"),
    ];
    let failed = ["no-secret", "redirected", "refused", "retry"];
    let kept = forwarder.invoke(batch).await;
    assert!(kept.iter().all(|id| failed.contains(&id.as_str())), "{kept:?}");
    let batch = [
        planted("no-value").route("no-value"),
        planted("no-key").route("no-key"),
        planted("no-certificate").route("no-certificate"),
        planted("malformed").attribute("headers", outside_ascii),
        planted("no-header").attribute("headers", "planted"),
        planted("unroutable").route("gone"),
        planted("trace").system_attribute("AWSTraceHeader", "planted\n"),
        planted("no-number").system_attribute("ApproximateReceiveCount", "planted"),
        planted("no-time").system_attribute("SentTimestamp", "planted"),
        planted("no-body").field("body", json!({ "planted": ["planted"] })),
    ];
    let kept = forwarder.invoke(batch).await;
    assert!(kept.iter().all(|id| id.starts_with("no-")), "{kept:?}");

    let dead_letters = forwarder.sqs().dead_letters();
    assert!(dead_letters.len() >= 6, "{dead_letters:#?}");
    for dead in &dead_letters {
        assert_not_planted("a failure record", &format!("{:?}", dead.failure));
    }
    forwarder.sqs().fail("SendMessage", Fault::Refused);
    forwarder.sqs().fail("ChangeMessageVisibility", Fault::EntriesFailed);
    assert_eq!(forwarder.invoke([planted("unsaved").route("gone")]).await, ["unsaved"]);
    let unsaved = planted("no-group").system_attribute("MessageGroupId", "planted planted");
    for event in [
        forwarder.begin([unsaved.without("messageId")]),
        forwarder.begin_event(r#"{"Records":"planted"}"#.to_owned()),
        forwarder.begin_event(r#"{"planted":["planted"]}"#.to_owned()),
        forwarder.begin_event("planted".to_owned()),
    ] {
        assert_not_planted("an answer to Lambda", &format!("{:?}", event.answer().await));
    }

    let log = forwarder.kill().await;
    for told in ["delivered", "retry", "rejected", "unverified", "secret_unavailable"] {
        assert!(!lines(&log, told).is_empty(), "{told}: {log:#?}");
    }
    for line in log {
        assert_not_planted("a log line", &line.to_string());
    }
    let exit = forwarder.exit().await;
    assert_not_planted("standard error", &exit.stderr.join("\n"));
}

/// A start that fails is told to Lambda and in the log: neither is a place for what was written where
/// it does not belong.
#[tokio::test]
async fn nothing_of_a_configuration_that_may_be_secret_is_in_an_init_error() {
    let destination = |more: serde_json::Value| {
        let mut destination = json!({ "name": "sss", "url": "https://sss.example.com/" });
        destination.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "destinations": [destination] })
    };
    let verify = |secrets: serde_json::Value| json!({ "verify": { "scheme": "github", "secrets": secrets } });
    for wrong in [
        destination(json!({ "url": "https://planted:planted@sss.example.com/?planted" })),
        destination(json!({ "url": "http://sss.example.com/planted?planted#planted" })),
        destination(json!({ "url": "https://sss.example.com:planted/?planted" })),
        destination(json!({ "url": ["planted"] })),
        destination(json!({ "headers": { "x-key": "planted " } })),
        destination(json!({ "headers": { "x-key": ["planted"] } })),
        destination(json!({ "headers": { "host": "planted" } })),
        destination(json!({ "headers": "planted" })),
        destination(json!({ "sign": { "secrets": ["planted"] } })),
        destination(json!({ "sign": { "secrets": "planted" } })),
        destination(json!({ "client_certificate": "-----BEGIN planted" })),
        destination(json!({ "client_certificate": ["planted"] })),
        verify(json!(["planted"])),
        verify(json!("planted")),
        verify(json!([["planted"]])),
        verify(json!({ "planted": "planted" })),
        // The proxy.
        json!({}),
    ] {
        let mut route = json!({
            "path": "/sqs-hook",
            "ordering_key": "a",
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/" }],
        });
        route.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let mut config = json!({ "environment": "test", "routes": { "sss": route } });
        if wrong == json!({}) {
            config["forwarder"] = json!({ "proxy": "http://planted:planted@a.internal/?planted" });
        }
        let environment = BTreeMap::from([
            (CONFIG_VARIABLE.to_owned(), config.to_string()),
            (QUEUE_URL_VARIABLE.to_owned(), "http://127.0.0.1:9/a/b.fifo".to_owned()),
            (DEAD_LETTER_QUEUE_URL_VARIABLE.to_owned(), "http://127.0.0.1:9/a/c.fifo".to_owned()),
        ]);
        let exit = Forwarder::start_with(&environment).await.exit().await;
        assert!(!exit.status.success(), "{wrong} was accepted");
        let told = exit.init_error.as_ref().unwrap();
        assert!(told.error_message.contains("configuration: "), "{told:?}");
        assert_not_planted(&wrong.to_string(), &format!("{exit:?}"));
    }
}
