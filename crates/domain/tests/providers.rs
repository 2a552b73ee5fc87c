//! docs/providers.md: a request of each provider's shape, through exactly the configuration shown.
//! Signatures are made here as the providers' documents say, not by the rules that check them.
#![expect(clippy::disallowed_methods, reason = "the files of the repository are what is tested")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::config::Config;
use domain::mapping::{Context, Request};
use domain::message::{Message, Origin, Received};
use domain::route::Route;
use domain::secret::Secret;
use domain::time::Timestamp;
use ring::hmac::{
    self, HMAC_SHA1_FOR_LEGACY_USE_ONLY as SHA1, HMAC_SHA256 as SHA256, HMAC_SHA512 as SHA512,
};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z: when all requests are accepted.
const NOW: u64 = 1_767_225_600;
const KEY: &[u8] = b"the key of a provider, 32 bytes.";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A request as a provider sends it: more headers, the body, and the message group that it belongs to.
struct Sample {
    headers: Vec<(&'static str, String)>,
    body: String,
    group: &'static str,
    /// `None` where the route has no `verify`.
    secret: Option<String>,
}

/// The key as it stands in a header of those who send it as a token.
fn token() -> &'static str {
    std::str::from_utf8(KEY).unwrap()
}

fn hex(algorithm: hmac::Algorithm, content: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(algorithm, KEY), content.as_bytes());
    let digits: Vec<String> = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn base64(algorithm: hmac::Algorithm, content: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(algorithm, KEY), content.as_bytes()))
}

fn signed(group: &'static str, body: &str, headers: &[(&'static str, &str)]) -> Sample {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Sample { headers, body: body.to_owned(), group, secret: Some(token().to_owned()) }
}

fn unsigned(group: &'static str, body: &str, headers: &[(&'static str, &str)]) -> Sample {
    Sample { secret: None, ..signed(group, body, headers) }
}

fn standard(prefix: [&'static str; 3]) -> Sample {
    let body = r#"{"type":"user.created","data":{"id":"user_7"}}"#;
    let time = NOW.to_string();
    let signature = format!("v1,{}", base64(SHA256, &format!("msg_1.{time}.{body}")));
    let [id, at, sig] = prefix;
    let sample = signed("user_7", body, &[(id, "msg_1"), (at, &time), (sig, &signature)]);
    Sample { secret: Some(format!("whsec_{}", STANDARD.encode(KEY))), ..sample }
}

#[expect(clippy::too_many_lines, reason = "a table: a request of each provider")]
fn sample(route: &str) -> Sample {
    let time = NOW.to_string();
    match route {
        "github" => {
            let body = r#"{"action":"opened","repository":{"id":1296269}}"#;
            let signature = format!("sha256={}", hex(SHA256, body));
            signed(
                "1296269",
                body,
                &[
                    ("X-GitHub-Event", "issues"),
                    ("X-GitHub-Delivery", "72d3162e-cc78"),
                    ("X-GitHub-Hook-ID", "292430182"),
                    ("X-Hub-Signature-256", &signature),
                ],
            )
        }
        "gitlab" => signed(
            "15",
            r#"{"object_kind":"push","project":{"id":15}}"#,
            &[
                ("X-Gitlab-Event", "Push Hook"),
                ("X-Gitlab-Event-UUID", "13792a34"),
                ("X-Gitlab-Token", token()),
            ],
        ),
        "stripe" => {
            let body = r#"{"id":"evt_1","data":{"object":{"id":"pi_7"}}}"#;
            let value = format!("t={time},v1={},v0=6ffbb5", hex(SHA256, &format!("{time}.{body}")));
            signed("pi_7", body, &[("Stripe-Signature", &value)])
        }
        "shopify" => {
            let body = r#"{"id":820982911946154508,"total_price":"99.00"}"#;
            signed(
                "820982911946154508",
                body,
                &[
                    ("X-Shopify-Topic", "orders/create"),
                    ("X-Shopify-Shop-Domain", "a.myshopify.com"),
                    ("X-Shopify-Webhook-Id", "b54557e4"),
                    ("X-Shopify-API-Version", "2026-01"),
                    ("X-Shopify-Hmac-Sha256", &base64(SHA256, body)),
                ],
            )
        }
        "slack" => {
            let body = r#"{"type":"event_callback","event_id":"Ev1","event":{"channel":"C7"}}"#;
            let value = format!("v0={}", hex(SHA256, &format!("v0:{time}:{body}")));
            signed(
                "C7",
                body,
                &[("X-Slack-Signature", &value), ("X-Slack-Request-Timestamp", &time)],
            )
        }
        "zoom" => {
            let body = r#"{"event":"meeting.started","payload":{"object":{"id":"123"}}}"#;
            let value = format!("v0={}", hex(SHA256, &format!("v0:{time}:{body}")));
            signed("123", body, &[("x-zm-signature", &value), ("x-zm-request-timestamp", &time)])
        }
        "meta" => {
            let body = r#"{"object":"page","entry":[{"id":"107","changes":[]}]}"#;
            signed(
                "107",
                body,
                &[("X-Hub-Signature-256", &format!("sha256={}", hex(SHA256, body)))],
            )
        }
        "graph" => unsigned(
            "7f105c7d",
            r#"{"value":[{"subscriptionId":"7f105c7d","clientState":"s"}]}"#,
            &[],
        ),
        "twilio" => unsigned(
            "order-7",
            "MessageSid=SM1&MessageStatus=sent",
            &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("I-Twilio-Idempotency-Token", "t-1"),
            ],
        ),
        "sendgrid" => unsigned("sendgrid", r#"[{"event":"delivered","sg_event_id":"1"}]"#, &[]),
        "pagerduty" => {
            let body = r#"{"event":{"id":"01","data":{"id":"PGR0VU2"}}}"#;
            let value = format!("v1={},v1={}", "00".repeat(32), hex(SHA256, body));
            signed("PGR0VU2", body, &[("X-PagerDuty-Signature", &value)])
        }
        "zendesk" => {
            let (body, at) =
                (r#"{"id":"e-1","subject":"zen:ticket:5158"}"#, "2026-01-01T00:00:07Z");
            signed(
                "zen:ticket:5158",
                body,
                &[
                    ("X-Zendesk-Webhook-Id", "01"),
                    ("X-Zendesk-Webhook-Signature-Timestamp", at),
                    ("X-Zendesk-Webhook-Signature", &base64(SHA256, &format!("{at}{body}"))),
                ],
            )
        }
        "jira" => {
            let body = r#"{"webhookEvent":"jira:issue_updated","issue":{"id":"10002"}}"#;
            signed(
                "10002",
                body,
                &[
                    ("X-Atlassian-Webhook-Identifier", "w-1"),
                    ("X-Hub-Signature", &format!("sha256={}", hex(SHA256, body))),
                ],
            )
        }
        "bitbucket" => {
            let body = r#"{"repository":{"uuid":"{673a6070}"}}"#;
            signed(
                "{673a6070}",
                body,
                &[
                    ("X-Event-Key", "repo:push"),
                    ("X-Request-UUID", "u-1"),
                    ("X-Hub-Signature", &format!("sha256={}", hex(SHA256, body))),
                ],
            )
        }
        "servicenow" => signed(
            "INC7",
            r#"{"number":"INC7"}"#,
            &[("X-Record-Id", "INC7"), ("X-Event-Id", "e-1"), ("X-Webhook-Token", token())],
        ),
        "docusign" => {
            let body = r#"{"event":"envelope-completed","data":{"envelopeId":"9f1a"}}"#;
            signed("9f1a", body, &[("X-DocuSign-Signature-1", &base64(SHA256, body))])
        }
        "svix" => standard(["svix-id", "svix-timestamp", "svix-signature"]),
        "standard" => standard(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        "linear" => {
            let body = r#"{"action":"update","data":{"id":"2174add1"}}"#;
            signed(
                "2174add1",
                body,
                &[
                    ("Linear-Event", "Issue"),
                    ("Linear-Delivery", "d-1"),
                    ("Linear-Signature", &hex(SHA256, body)),
                ],
            )
        }
        "paystack" => {
            let body = r#"{"event":"charge.success","data":{"reference":"qTPrJoy9Bx"}}"#;
            signed("qTPrJoy9Bx", body, &[("x-paystack-signature", &hex(SHA512, body))])
        }
        "kintone" => unsigned(
            "1-7",
            r#"{"id":"n-1","type":"UPDATE_STATUS","app":{"id":"1"},"record":{"$id":{"type":"__ID__","value":"7"}}}"#,
            &[],
        ),
        "kintone-deleted" => unsigned(
            "1-7",
            r#"{"id":"n-2","type":"DELETE_RECORD","app":{"id":"1"},"recordId":"7"}"#,
            &[],
        ),
        "chatwork" => {
            let body =
                r#"{"webhook_event_type":"message_created","webhook_event":{"room_id":567792674}}"#;
            let sample =
                signed("567792674", body, &[("X-ChatWorkWebhookSignature", &base64(SHA256, body))]);
            Sample { secret: Some(STANDARD.encode(KEY)), ..sample }
        }
        "line" => {
            let body = r#"{"destination":"U7","events":[]}"#;
            signed("U7", body, &[("x-line-signature", &base64(SHA256, body))])
        }
        "box" => {
            let (body, at) =
                (r#"{"id":"e-1","source":{"id":"1234"}}"#, "2025-12-31T17:00:00-07:00");
            signed(
                "1234",
                body,
                &[
                    ("BOX-DELIVERY-ID", "d-1"),
                    ("BOX-DELIVERY-TIMESTAMP", at),
                    ("BOX-SIGNATURE-PRIMARY", &base64(SHA256, &format!("{body}{at}"))),
                ],
            )
        }
        "hubspot" => {
            let (body, at) = (r#"[{"eventId":1,"objectId":1246965}]"#, "1767225600123");
            let content = format!("POSThttps://hooks.example.com/hubspot{body}{at}");
            signed(
                "1246965",
                body,
                &[
                    ("X-HubSpot-Signature-v3", &base64(SHA256, &content)),
                    ("X-HubSpot-Request-Timestamp", at),
                ],
            )
        }
        "trello" => {
            let body = r#"{"action":{"id":"a-1"},"model":{"id":"4d5ea62f"}}"#;
            let content = format!("{body}https://hooks.example.com/trello");
            signed("4d5ea62f", body, &[("X-Trello-Webhook", &base64(SHA1, &content))])
        }
        "typeform" => {
            let body = r#"{"event_id":"e-1","form_response":{"form_id":"lT4Z3j"}}"#;
            signed(
                "lT4Z3j",
                body,
                &[("Typeform-Signature", &format!("sha256={}", base64(SHA256, body)))],
            )
        }
        "square" => {
            let body = r#"{"event_id":"e-1","data":{"id":"KkAkhdMs"}}"#;
            let content = format!("https://hooks.example.com/square{body}");
            signed(
                "KkAkhdMs",
                body,
                &[("x-square-hmacsha256-signature", &base64(SHA256, &content))],
            )
        }
        "notion" => {
            let body = r#"{"id":"e-1","entity":{"id":"153104cd"}}"#;
            signed(
                "153104cd",
                body,
                &[("X-Notion-Signature", &format!("sha256={}", hex(SHA256, body)))],
            )
        }
        "backlog" => unsigned("3", r#"{"id":7,"project":{"id":3}}"#, &[]),
        other => panic!("docs/providers.md has {other}, and no test has"),
    }
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    fs::read_to_string(path).unwrap()
}

/// The configurations of the page, each by itself.
fn routes(page: &str) -> BTreeMap<String, Route> {
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut all = BTreeMap::new();
    for block in blocks {
        let routes: Value = serde_json::from_str(block).unwrap();
        let config = json!({ "environment": "docs", "routes": routes });
        let config =
            Config::parse(&config.to_string()).unwrap_or_else(|error| panic!("{block}\n{error}"));
        all.extend(config.routes().iter().map(|(name, route)| (name.clone(), route.clone())));
    }
    all
}

/// The message that becomes of a request, as it is received from the queue.
fn accepted(route: &Route, sample: &Sample, body: &str) -> Message {
    let given = sample.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let headers = if sample.headers.iter().any(|(name, _)| *name == "content-type") {
        given.collect()
    } else {
        given.chain([JSON]).collect()
    };
    let context = Context { request_id: "r-1", ..Context::default() };
    let query = vec![("key".into(), "order-7".into())];
    let request = Request { headers, body, context, query, ..Request::default() };
    let sent = route.integration("q").evaluate(&request).unwrap();
    assert_eq!(sent.group_id, sample.group);
    let received = Received {
        message_id: "m-1".to_owned(),
        receipt_handle: "r-1".to_owned(),
        body: sent.body,
        group_id: sent.group_id,
        sequence_number: "1".to_owned(),
        receive_count: 1,
        sent_at: Timestamp::from_ms(NOW * 1_000 + 9),
        attributes: sent.attributes,
        trace_header: None,
    };
    Message::parse(received, Origin::Ingest).unwrap()
}

#[test]
fn every_provider_of_the_page_can_be_received() {
    let page = page();
    for (name, route) in routes(&page) {
        let sample = sample(&name);
        let message = accepted(&route, &sample, &sample.body);
        assert_eq!(message.check_headers(), Ok(()), "{name}");
        assert_eq!(message.body, sample.body, "{name}");
        // Where an id is configured it has to be one, or the message's would stand in its place.
        let sent = &message.attributes["event_id"].value;
        assert_eq!(message.event_id(), sent, "{name}");
        let is_the_requests = route.event_id().source() == "$context.requestId";
        assert_eq!(sent == "r-1", is_the_requests, "{name}: {sent}");
        for header in route.carried_headers() {
            assert!(message.header(header).is_some(), "{name}: {header}");
        }
        let (Some(verify), Some(secret)) = (route.verify(), &sample.secret) else {
            assert!(route.verify().is_none() && sample.secret.is_none(), "{name}");
            continue;
        };
        let secrets = |text: &str| vec![Arc::new(Secret::new(text.as_bytes()).unwrap())];
        assert_eq!(verify.verify(&message, &secrets(secret)), Ok(()), "{name}");
        let other = secret.replace('a', "b").replace('t', "u").replace('V', "W");
        assert!(verify.verify(&message, &secrets(&other)).is_err(), "{name}");
        if verify.token_header().is_none() {
            let forged = accepted(&route, &sample, &format!("{} ", sample.body));
            assert!(verify.verify(&forged, &secrets(secret)).is_err(), "{name}");
        }
    }
}

#[test]
fn every_row_that_says_can_has_a_configuration() {
    let page = page();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| provider"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 25, "{}", rows.len());
    for row in rows {
        let (provider, received) = (row[0], row[1]);
        let has = page.contains(&format!("### {provider}\n\n```json"));
        assert_eq!(has, !received.starts_with("not"), "{provider}: {received}");
    }
}
