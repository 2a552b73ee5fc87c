//! Who sent it, and who forwarded it: what is verified, what becomes of the rest, and what is signed.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use contract_tests::event::{Record, message};
use contract_tests::fake_aws::FakeAws;
use contract_tests::forwarder::Forwarder;
use contract_tests::settings::{config, config_with};
use contract_tests::sss::{Delivery, Sss};
use contract_tests::within_patience;
use domain::attribute::FAILURE;
use domain::config::{
    ConfigFile, HiddenText, HmacFile, RouteFile, SchemeName, SecretsFile, SignFile, TokenFile,
    VerifyFile,
};
use domain::dead_letter::Class;
use domain::freshness::FETCH_PAUSE;
use domain::route::OnReject;
use domain::time::Timestamp;
use standardwebhooks::Webhook;

use crate::{NONE, lines, status};

/// Never to be seen anywhere but in the file that it is in.
const SECRET: &str = "whsec_cGxhbnRlZCBzZWNyZXQgb2YgMjQgYnl0ZXM=";
const NEW_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM=";
const BODY: &str = "{\"注文\":\"承認済み\",\"id\":7}";

/// Files with secrets, at paths of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, secret: &str) {
        fs::write(self.path(name), format!("{secret}\n")).unwrap();
    }

    fn references(&self, names: &[&str]) -> SecretsFile {
        let reference = |name: &&str| HiddenText(format!("file:{}", self.path(name).display()));
        SecretsFile(names.iter().map(reference).collect())
    }
}

fn verify(scheme: SchemeName, secrets: SecretsFile) -> VerifyFile {
    VerifyFile { scheme, secrets, tolerance_seconds: 300, hmac: None, token: None }
}

fn verified(url: &str, secrets: SecretsFile) -> ConfigFile {
    config_with(url, |route| {
        route.verify = Some(verify(SchemeName::StandardWebhooks, secrets));
    })
}

fn signed(url: &str, secrets: SecretsFile) -> ConfigFile {
    config_with(url, |route| route.destinations[0].sign = Some(SignFile { secrets }))
}

/// What a provider sends, signed by the specification's own crate, `ago` from now.
fn from_provider(id: &str, group: &str, secret: &str, ago: Duration) -> Record {
    let at = Timestamp::from(SystemTime::now() - ago).as_ms() / 1_000;
    let provider_id = format!("msg_{id}");
    let signing = Webhook::new(secret).unwrap();
    let seconds = i64::try_from(at).unwrap();
    let signature = signing.sign(&provider_id, seconds, BODY.as_bytes()).unwrap();
    message(id, group).body(BODY).aged(ago).attribute(
        "headers",
        &format!(
            "webhook-id: {provider_id}\nwebhook-signature: {signature}\nwebhook-timestamp: {at}"
        ),
    )
}

fn good(id: &str, group: &str) -> Record {
    from_provider(id, group, SECRET, Duration::ZERO)
}

/// Accepted a while before any process of a test can have fetched a secret, so that there is no doubt.
const EARLIER: Duration = Duration::from_secs(10);

fn forged(id: &str, group: &str) -> Record {
    forged_at(id, group, EARLIER)
}

fn forged_at(id: &str, group: &str, ago: Duration) -> Record {
    from_provider(id, group, SECRET, ago).body("{\"注文\":\"却下\",\"id\":7}")
}

fn assert_no_secret(text: &str) {
    for secret in [SECRET, NEW_SECRET] {
        let base64 = &secret[6..];
        assert!(!text.contains(base64), "{text}");
    }
    assert!(!text.contains("planted secret"), "{text}");
}

#[tokio::test]
async fn a_verified_event_is_forwarded_without_the_provider_s_signature() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", SECRET);
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    assert_eq!(forwarder.invoke([good("m-1", "a"), good("m-2", "b")]).await, NONE);
    let mut ids = sss.event_ids();
    ids.sort();
    assert_eq!(ids, ["evt-m-1", "evt-m-2"]);
    let delivery = &sss.deliveries()[0];
    assert_eq!(delivery.request.body, BODY.as_bytes());
    assert_eq!(delivery.request.headers.get("webhook-signature"), None);
    assert_eq!(forwarder.sqs().calls(), []);
}

#[tokio::test]
async fn what_an_operator_has_edited_needs_no_signature_of_the_provider() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", SECRET);
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let edited = |id| forged(id, "a").attribute("edited_at", "1795428000000");
    assert_eq!(forwarder.invoke([edited("m-1").sent_by_operator()]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1"]);
    assert_eq!(forwarder.sqs().calls(), [], "it is no dead letter again");
    // The same mark, as a request could make it if the gateway did not escape headers.
    assert_eq!(forwarder.invoke([edited("m-2")]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1"]);
    let dead = forwarder.sqs().dead_letters();
    assert_eq!(dead[0].failure.class, Class::Unverified);
    assert!(!dead[0].attributes.contains_key("edited_at"), "nor does a redrive bring it back");
}

#[tokio::test]
async fn a_forged_event_is_dead_lettered_and_its_group_goes_on() {
    for on_reject in [OnReject::DeadLetter, OnReject::Block] {
        let (sss, files) = (Sss::start().await, Files::new());
        files.write("secret", SECRET);
        let mut config = verified(&sss.url(), files.references(&["secret"]));
        config.routes.get_mut("sss").unwrap().on_reject = on_reject;
        let forwarder = Forwarder::start(config).await;
        let batch = [
            good("m-1", "a"),
            forged("m-2", "a"),
            message("m-3", "a").body(BODY),
            from_provider("m-4", "a", NEW_SECRET, EARLIER),
            good("m-5", "a"),
        ];
        assert_eq!(forwarder.invoke(batch).await, NONE, "{on_reject:?}");
        assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-5"]);
        let dead = forwarder.sqs().dead_letters();
        let why: Vec<_> = dead
            .iter()
            .map(|dead| (dead.failure.class, dead.failure.error.as_deref().unwrap()))
            .collect();
        let mismatch =
            "header webhook-signature is not the signature of these bytes with this secret";
        assert_eq!(
            why,
            [
                (Class::Unverified, mismatch),
                (Class::Unverified, "header webhook-id is missing"),
                (Class::Unverified, mismatch),
            ]
        );
        // What the provider sent is kept whole, to be looked at and, after a mistake, redriven.
        assert_eq!(dead[0].body, "{\"注文\":\"却下\",\"id\":7}");
        assert!(dead[0].attributes["headers"].value.starts_with("webhook-id: msg_m-2\n"));
        assert_eq!((dead[0].failure.group.as_str(), dead[0].failure.attempts), ("a", 0));
        let log = forwarder.kill().await;
        let unverified = lines(&log, "unverified");
        assert_eq!(unverified.len(), 3, "{log:?}");
        assert_eq!(unverified[0]["error"], mismatch);
        assert_eq!(
            (&unverified[0]["route"], &unverified[0]["level"]),
            (&"sss".into(), &"WARN".into())
        );
        let dead = lines(&log, "dead_lettered");
        assert!(dead.iter().all(|line| line["reason"] == "unverified"), "{dead:?}");
    }
}

#[tokio::test]
async fn a_day_in_a_paused_queue_fails_nobody_and_a_replay_is_refused() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", SECRET);
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let day = Duration::from_hours(24);
    let waited = from_provider("m-1", "a", SECRET, day);
    let now = Timestamp::from(SystemTime::now()).as_ms().to_string();
    let sent_now = |record: Record| record.system_attribute("SentTimestamp", &now);
    let replayed = sent_now(from_provider("m-2", "b", SECRET, day)).attribute("accepted_at", &now);
    // As a request could say it, if the gateway did not escape headers.
    let forged_time = sent_now(from_provider("m-3", "c", SECRET, day));
    let redriven = sent_now(from_provider("m-4", "d", SECRET, day)).sent_by_operator();
    let batch = [waited, replayed, forged_time, redriven];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    let mut delivered = sss.event_ids();
    delivered.sort();
    assert_eq!(delivered, ["evt-m-1", "evt-m-4"]);
    let dead = forwarder.sqs().dead_letters();
    assert_eq!(dead.len(), 2);
    for dead in dead {
        let why = dead.failure.error.as_deref().unwrap();
        assert!(why.contains("before it was accepted, and the tolerance is 300 s"), "{why}");
    }
}

/// Forged, then rotated, then good: the good one waits for the next fetch, and is not refused.
#[tokio::test]
async fn a_changed_secret_needs_no_restart() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", SECRET);
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let early = [good("m-1", "a"), forged("m-0", "z")];
    assert_eq!(forwarder.invoke(early).await, NONE);
    files.write("secret", NEW_SECRET);
    let new = |id, group| from_provider(id, group, NEW_SECRET, Duration::ZERO);
    // Side by side: one of them fetches, all of them see it.
    let batch = [new("m-2", "a"), new("m-3", "b"), new("m-4", "c")];
    assert_eq!(forwarder.invoke(batch.clone()).await, ["m-2", "m-3", "m-4"]);
    for id in ["m-2", "m-3", "m-4"] {
        let seconds = forwarder.sqs().visibility(id).unwrap();
        assert!((1..=FETCH_PAUSE.as_secs() + 1).contains(&seconds), "{id}: {seconds} s");
    }
    within_patience("the next fetch", async {
        while forwarder.invoke(batch.clone()).await != NONE {}
    })
    .await;
    // One that was in time for the fetch may come again with the others.
    let mut delivered = sss.event_ids();
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered, ["evt-m-1", "evt-m-2", "evt-m-3", "evt-m-4"]);
    assert_eq!(forwarder.sqs().dead_letters().len(), 1, "the forged one only");
    let old = from_provider("m-5", "a", SECRET, Duration::from_mins(1));
    assert_eq!(forwarder.invoke([old]).await, NONE);
    assert_eq!(forwarder.sqs().dead_letters().len(), 2, "the old secret is good no more");
}

/// It was accepted by a clock that was set back since, and sent again: what its attribute says is still to
/// come, and would keep its group waiting until then.
#[tokio::test]
async fn an_event_that_says_it_is_of_tomorrow_waits_for_no_secret() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", SECRET);
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let tomorrow = Timestamp::from(SystemTime::now() + Duration::from_hours(26)).as_ms();
    let headers = format!(
        "webhook-id: msg_1\nwebhook-signature: v1,Zm9yZ2Vk\nwebhook-timestamp: {}",
        tomorrow / 1_000
    );
    let forged = message("m-1", "a").body(BODY).aged(EARLIER).sent_by_operator();
    let forged =
        forged.attribute("accepted_at", &tomorrow.to_string()).attribute("headers", &headers);
    assert_eq!(forwarder.invoke([forged]).await, NONE);
    assert_eq!(forwarder.sqs().dead_letters().len(), 1);
}

#[tokio::test]
async fn two_secrets_are_good_during_a_rotation() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("old", SECRET);
    files.write("new", NEW_SECRET);
    let secrets = files.references(&["new", "old"]);
    let forwarder = Forwarder::start(verified(&sss.url(), secrets)).await;
    let batch = [good("m-1", "a"), from_provider("m-2", "a", NEW_SECRET, Duration::ZERO)];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2"]);
}

/// Both keep the event: without the secret nobody knows what it is.
#[tokio::test]
async fn an_event_waits_for_a_secret_that_is_not_there_or_is_none() {
    let (sss, files) = (Sss::start().await, Files::new());
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let batch = || [good("m-1", "a"), good("m-2", "a")];
    assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"]);
    files.write("secret", "whsec_planted secret");
    within_patience("the broken secret", async {
        while !forwarder.log().iter().any(|line| line.to_string().contains("expected whsec_")) {
            assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2"]);
        }
    })
    .await;
    assert_eq!(forwarder.sqs().visibility("m-1"), Some(2));
    assert_eq!((sss.event_ids(), forwarder.sqs().dead_letters()), (vec![], vec![]));
    files.write("secret", SECRET);
    within_patience("the secret", async { while forwarder.invoke(batch()).await != NONE {} }).await;
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2"]);
    let log = forwarder.kill().await;
    let lines = lines(&log, "secret_unavailable");
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(lines[0]["attempt"], 1);
    assert_eq!(lines[0]["retry_in_ms"], 2_000);
    let error = lines[0]["error"].as_str().unwrap();
    assert!(error.contains("file:") && error.contains("No such file"), "{error}");
    assert_no_secret(&format!("{log:?}"));
}

/// It does not wait until the secret can be fetched again to say so.
#[tokio::test]
async fn each_event_that_a_broken_secret_keeps_says_what_is_wrong_with_it() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", "whsec_planted secret");
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let batch = || [good("m-1", "a"), good("m-2", "b"), good("m-3", "c")];
    for _ in 0..2 {
        assert_eq!(forwarder.invoke(batch()).await, ["m-1", "m-2", "m-3"]);
    }
    let log = forwarder.kill().await;
    let told = lines(&log, "secret_unavailable");
    assert_eq!(told.len(), 6, "{log:?}");
    assert!(told.iter().all(|line| line.to_string().contains("expected whsec_")), "{log:?}");
}

/// One that is there is enough, and one that is not makes the others wait for it.
#[tokio::test]
async fn one_bad_secret_of_two_stops_nobody() {
    for bad in ["nowhere", "broken"] {
        let (sss, files) = (Sss::start().await, Files::new());
        files.write("secret", SECRET);
        files.write("broken", "whsec_planted secret");
        let mut config = verified(&sss.url(), files.references(&[bad, "secret"]));
        config.routes.get_mut("sss").unwrap().destinations[0].sign =
            Some(SignFile { secrets: files.references(&[bad, "secret"]) });
        let forwarder = Forwarder::start(config).await;
        let batch = [good("m-1", "a"), from_provider("m-2", "b", NEW_SECRET, EARLIER)];
        assert_eq!(forwarder.invoke(batch).await, ["m-2"], "{bad}");
        assert!(is_taken(&sss.deliveries()[0], SECRET), "{bad}");
        assert_eq!(forwarder.sqs().dead_letters(), [], "{bad}");
    }
}

#[tokio::test]
async fn an_event_that_waited_too_long_for_a_secret_is_not_lost() {
    let (sss, files) = (Sss::start().await, Files::new());
    let forwarder = Forwarder::start(verified(&sss.url(), files.references(&["secret"]))).await;
    let old = from_provider("m-1", "a", SECRET, Duration::from_hours(73));
    assert_eq!(forwarder.invoke([old]).await, NONE);
    let dead = forwarder.sqs().dead_letters();
    assert_eq!(dead[0].failure.class, Class::GaveUp);
    assert!(dead[0].failure.error.as_deref().unwrap().contains("No such file"));
    assert_eq!(sss.event_ids(), [""; 0]);
}

/// The examples of their guides, through the built forwarder; Slack's is years old and in time.
#[tokio::test]
async fn github_and_slack_are_understood() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("github", "It's a Secret to Everybody");
    files.write("slack", "8f742231b10e8888abcd99yyyzzz85a5");
    let mut config = config(&sss.url());
    let route = |path: &str, scheme, name: &str| RouteFile {
        verify: Some(verify(scheme, files.references(&[name]))),
        ..contract_tests::settings::route(path, &sss.url())
    };
    config.routes.insert("github".to_owned(), route("/github", SchemeName::Github, "github"));
    config.routes.insert("slack".to_owned(), route("/slack", SchemeName::Slack, "slack"));
    let forwarder = Forwarder::start(config).await;
    let github = message("m-1", "a").route("github").body("Hello, World!").attribute(
        "header.x-hub-signature-256",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    );
    let slack = message("m-2", "b")
        .route("slack")
        .body(
            "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=\
             G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook\
             -collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F3977\
             00885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d1\
             0d2c447fce8b6703c",
        )
        .sent_by_operator()
        .attribute("accepted_at", "1531420620000")
        .attribute("header.x-slack-request-timestamp", "1531420618")
        .attribute(
            "header.x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        );
    assert_eq!(forwarder.invoke([github, slack]).await, NONE);
    assert_eq!(forwarder.sqs().dead_letters(), []);
    assert_eq!(sss.deliveries().len(), 2);
}

/// Signed by Svix's own library; its secret is in the old form of a rotation's second place.
#[tokio::test]
async fn svix_is_understood() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("next", NEW_SECRET);
    files.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let references = files.references(&["next", "secret"]);
    let forwarder = Forwarder::start(config_with(&sss.url(), |route| {
        route.verify = Some(verify(SchemeName::Svix, references));
    }))
    .await;
    let record = message("m-1", "a")
        .body("{\"type\":\"invoice.paid\",\"注文\":7}")
        .sent_by_operator()
        .attribute("accepted_at", "1614265331000")
        .attribute("header.svix-id", "msg_2b1Yz0")
        .attribute("header.svix-timestamp", "1614265330")
        .attribute("header.svix-signature", "v1,QQYOMBYJ6/xAzwH/zP2eYkupwwb3XgTZfbk6pnorJ/0=");
    assert_eq!(forwarder.invoke([record]).await, NONE);
    assert_eq!(sss.event_ids(), ["evt-m-1"]);
}

/// Several signatures, a key in base64 and a time by RFC 3339, all at once.
#[tokio::test]
async fn an_hmac_is_understood_in_the_provider_s_dialect() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", "Z2VuZXJpYw");
    let mut dialect = verify(SchemeName::Hmac, files.references(&["secret"]));
    let hmac = serde_json::json!({
        "header": "x-signature", "encoding": "base64", "prefix": "v1=", "secret_encoding": "base64",
        "signed_content": "{header.x-time}{body}", "timestamp_header": "x-time",
    });
    dialect.hmac = Some(serde_json::from_value::<HmacFile>(hmac).unwrap());
    let config = config_with(&sss.url(), |route| route.verify = Some(dialect));
    let forwarder = Forwarder::start(config).await;
    let record = |id: &str, signatures: &str| {
        message(id, id)
            .body("{\"注文\":7}")
            .sent_by_operator()
            .attribute("accepted_at", "1767225601000")
            .attribute("header.x-time", "2026-01-01T09:00:00.250+09:00")
            .attribute("header.x-signature", signatures)
    };
    let good = "v1=mAPuVf39VAG8zCx2B1dtjc530ExHs6jdWrBXk9QiMEQ=";
    let batch = [
        record("m-1", &format!("v1=AAAA,{good}")),
        record("m-2", &format!("{good} v0=AAAA")),
        record("m-3", &good[..good.len() - 4]),
        record("m-4", "v1="),
    ];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    let mut delivered = sss.event_ids();
    delivered.sort();
    assert_eq!(delivered, ["evt-m-1", "evt-m-2"]);
    assert_eq!(forwarder.sqs().dead_letters().len(), 2);
}

/// A token is the secret: see where it is, and where it is not.
#[tokio::test]
async fn a_token_is_verified_and_comes_out_nowhere() {
    const TOKEN: &str = "planted token";
    let sss = Sss::start_with_passed_headers(&["x-kind"]).await;
    let files = Files::new();
    files.write("secret", TOKEN);
    let mut token = verify(SchemeName::Token, files.references(&["secret"]));
    token.token = Some(TokenFile { header: "X-Acme-Token".to_owned() });
    let config = config_with(&sss.url(), |route| {
        route.verify = Some(token);
        route.pass_headers = vec!["x-kind".to_owned()];
    });
    let forwarder = Forwarder::start(config).await;
    let record = |id: &str, token: &str| {
        let record = message(id, id).aged(EARLIER);
        record.attribute("headers", "x-kind: push").attribute("token", token)
    };
    sss.answer("m-2", [status(422), status(200)]);
    let batch =
        [record("m-1", TOKEN), record("m-2", TOKEN), record("m-3", "planted token, or not")];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    let mut delivered = sss.event_ids();
    delivered.sort();
    assert_eq!(delivered, ["evt-m-1", "evt-m-2"]);
    let mut dead = forwarder.sqs().dead_letters();
    dead.sort_by_key(|dead| dead.failure.class);
    let why: Vec<_> = dead.iter().map(|dead| dead.failure.class).collect();
    assert_eq!(why, [Class::Rejected, Class::Unverified]);
    let error = dead[1].failure.error.as_deref();
    assert_eq!(error, Some("header x-acme-token is not the token"));

    // It is verified again by what stands for the token, and so is no other event.
    let redriven = |id: &str, body: &str| {
        let of = dead[0].attributes.iter().filter(|(name, _)| *name != FAILURE);
        of.fold(message(id, id), |record, (name, value)| record.attribute(name, &value.value))
            .body(body)
            .sent_by_operator()
    };
    let batch = [redriven("m-4", &dead[0].body), redriven("m-5", "{\"forged\":true}")];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    assert_eq!(sss.deliveries().len(), 3);
    let classes: Vec<_> =
        forwarder.sqs().dead_letters().iter().map(|dead| dead.failure.class).collect();
    assert_eq!(classes.len(), 3);
    assert_eq!(classes[2], Class::Unverified);

    for delivery in sss.deliveries() {
        assert_eq!(delivery.header("x-kind"), "push");
        assert!(!format!("{:?}", delivery.request.headers).contains("planted"));
        assert_eq!(delivery.request.headers.get("x-acme-token"), None);
    }
    for call in forwarder.sqs().calls() {
        assert!(!call.parameters.to_string().contains("planted"), "{call:?}");
    }
    let log = forwarder.kill().await;
    assert!(!format!("{log:?}").contains("planted"), "{log:?}");
}

#[tokio::test]
async fn a_changed_token_needs_no_restart() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", "old token");
    let token = verify(SchemeName::Gitlab, files.references(&["secret"]));
    let config = config_with(&sss.url(), |route| route.verify = Some(token));
    let forwarder = Forwarder::start(config).await;
    let record = |id: &str, token: &str| message(id, id).attribute("token", token);
    assert_eq!(forwarder.invoke([record("m-1", "old token")]).await, NONE);
    files.write("secret", "new token");
    let new = record("m-2", "new token");
    within_patience("the next fetch", async {
        while forwarder.invoke([new.clone()]).await != NONE {}
    })
    .await;
    assert_eq!(sss.event_ids(), ["evt-m-1", "evt-m-2"]);
}

/// Whether a receiver with this secret takes the delivery, by the specification's own crate.
fn is_taken(delivery: &Delivery, secret: &str) -> bool {
    let receiver = Webhook::new(secret).unwrap();
    receiver.verify(&delivery.request.body, &delivery.request.headers).is_ok()
}

#[tokio::test]
async fn what_is_forwarded_is_signed_anew_at_every_attempt() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("secret", SECRET);
    sss.answer("m-1", [status(503), status(200)]);
    let forwarder = Forwarder::start(signed(&sss.url(), files.references(&["secret"]))).await;
    // Old enough to be refused by its receiver, if the time were that of acceptance.
    let record = || message("m-1", "a").body(BODY).aged(Duration::from_hours(1));
    assert_eq!(forwarder.invoke([record()]).await, ["m-1"]);
    assert_eq!(forwarder.invoke([record()]).await, NONE);
    let deliveries = sss.deliveries();
    assert_eq!(deliveries.len(), 2);
    for delivery in &deliveries {
        assert!(is_taken(delivery, SECRET));
        assert!(!is_taken(delivery, NEW_SECRET));
        assert_eq!(delivery.header("webhook-id"), "evt-m-1");
    }
}

#[tokio::test]
async fn two_secrets_make_two_signatures() {
    let (sss, files) = (Sss::start().await, Files::new());
    files.write("old", SECRET);
    files.write("new", NEW_SECRET);
    let config = signed(&sss.url(), files.references(&["new", "old"]));
    let forwarder = Forwarder::start(config).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    let delivery = &sss.deliveries()[0];
    assert!(is_taken(delivery, SECRET) && is_taken(delivery, NEW_SECRET));
    assert_eq!(delivery.header("webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn only_the_destination_that_asks_for_it_gets_a_signature() {
    let (first, second, files) = (Sss::start().await, Sss::start().await, Files::new());
    files.write("secret", SECRET);
    let mut config = signed(&first.url(), files.references(&["secret"]));
    let destination = contract_tests::settings::destination("second", &second.url());
    config.routes.get_mut("sss").unwrap().destinations.push(destination);
    let forwarder = Forwarder::start(config).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, NONE);
    assert!(is_taken(&first.deliveries()[0], SECRET));
    let plain = &second.deliveries()[0].request.headers;
    assert!(!plain.contains_key("webhook-signature") && !plain.contains_key("webhook-timestamp"));
}

#[tokio::test]
async fn an_event_that_cannot_be_signed_waits() {
    let (sss, files) = (Sss::start().await, Files::new());
    let forwarder = Forwarder::start(signed(&sss.url(), files.references(&["secret"]))).await;
    assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
    files.write("secret", "whpk_cGxhbnRlZCBzZWNyZXQ=");
    within_patience("the public key", async {
        while !forwarder.log().iter().any(|line| line.to_string().contains("destination sss")) {
            assert_eq!(forwarder.invoke([message("m-1", "a")]).await, ["m-1"]);
        }
    })
    .await;
    assert_eq!((sss.event_ids(), forwarder.sqs().dead_letters()), (vec![], vec![]));
    files.write("secret", SECRET);
    let delivered = async { while forwarder.invoke([message("m-1", "a")]).await != NONE {} };
    within_patience("the secret", delivered).await;
    assert!(is_taken(&sss.deliveries()[0], SECRET));
}

#[tokio::test]
async fn secrets_of_aws_are_fetched_once_with_a_signature() {
    let sss = Sss::start().await;
    let aws = FakeAws::start().await;
    aws.put_parameter("/dev/webhook/in", SECRET);
    aws.put_secret("dev/webhook/out", NEW_SECRET);
    let mut config =
        verified(&sss.url(), SecretsFile(vec![HiddenText("ssm:/dev/webhook/in".to_owned())]));
    let secrets = SecretsFile(vec![HiddenText("secretsmanager:dev/webhook/out".to_owned())]);
    config.routes.get_mut("sss").unwrap().destinations[0].sign = Some(SignFile { secrets });
    let forwarder = Forwarder::start_on_aws(config, &aws).await;
    let batch = [good("m-1", "a"), good("m-2", "b"), good("m-3", "c")];
    assert_eq!(forwarder.invoke(batch).await, NONE);
    assert!(sss.deliveries().iter().all(|delivery| is_taken(delivery, NEW_SECRET)));
    assert_eq!(aws.calls(), ["AmazonSSM.GetParameter", "secretsmanager.GetSecretValue"]);
    // Forged events that are older than the secret are told at once, and the others wait: none of
    // them becomes a call.
    for id in ["m-4", "m-5", "m-6"] {
        let late = format!("late-{id}");
        let batch = [forged(id, "a"), forged_at(&late, "b", Duration::ZERO)];
        assert_eq!(forwarder.invoke(batch).await, [late]);
    }
    assert_eq!(aws.calls().len(), 2);
    assert_eq!(forwarder.sqs().dead_letters().len(), 3);
}

#[tokio::test]
async fn a_secret_that_aws_refuses_is_explained_and_never_shown() {
    let sss = Sss::start().await;
    let aws = FakeAws::start().await;
    let secrets = SecretsFile(vec![HiddenText("ssm:/dev/webhook/in".to_owned())]);
    let forwarder = Forwarder::start_on_aws(verified(&sss.url(), secrets), &aws).await;
    assert_eq!(forwarder.invoke([good("m-1", "a")]).await, ["m-1"]);
    let log = forwarder.kill().await;
    let error = lines(&log, "secret_unavailable")[0]["error"].as_str().unwrap();
    assert_eq!(error, "fetching ssm:/dev/webhook/in: ssm answered 400 ParameterNotFound");
}

/// Every path that could show one: good and forged events, broken secrets, failing destinations.
#[tokio::test]
async fn no_secret_is_ever_shown() {
    let (sss, files) = (Sss::start().await, Files::new());
    sss.answer("m-3", [status(503).set_body_string("down")]);
    sss.answer("m-4", [status(422).set_body_string("no")]);
    files.write("secret", SECRET);
    files.write("new", NEW_SECRET);
    files.write("broken", "whsec_planted secret");
    let mut config = verified(&sss.url(), files.references(&["secret", "new"]));
    config.routes.get_mut("sss").unwrap().destinations[0].sign =
        Some(SignFile { secrets: files.references(&["secret"]) });
    let broken = RouteFile {
        verify: Some(verify(SchemeName::StandardWebhooks, files.references(&["broken"]))),
        ..contract_tests::settings::route("/broken", &sss.url())
    };
    config.routes.insert("broken".to_owned(), broken);
    config.forwarder.log_level = domain::config::LogLevel::Debug;
    let forwarder = Forwarder::start(config).await;
    let batch = [
        good("m-1", "a"),
        forged("m-2", "b"),
        good("m-3", "c"),
        good("m-4", "d"),
        good("m-5", "e").route("broken"),
        from_provider("m-6", "f", SECRET, Duration::from_hours(99)).route("broken"),
    ];
    assert_eq!(forwarder.invoke(batch).await, ["m-3", "m-5"]);
    let dead = forwarder.sqs().dead_letters();
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert_no_secret(&format!("{dead:?} {:?}", forwarder.sqs().calls()));
    for delivery in sss.deliveries() {
        assert_no_secret(&format!("{:?}", delivery.request));
    }
    let log = forwarder.kill().await;
    for message in ["delivered", "unverified", "secret_unavailable", "retry", "rejected"] {
        assert!(!lines(&log, message).is_empty(), "{message}: {log:?}");
    }
    assert_no_secret(&format!("{log:?}"));
    let exit = forwarder.exit().await;
    assert_eq!(exit.stderr, [""; 0]);
}
