//! What a request can make of a message's attributes, should API Gateway fill values into their JSON as
//! they are, and what that can do: nothing that the same sender could not do without.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::attribute::{Attribute, Attributes};
use domain::config::Config;
use domain::dead_letter::{Cause, Class, dead_letter, redriven};
use domain::message::{Message, Origin, Received};
use domain::secret::Secret;
use domain::signature::standard_webhooks;
use domain::time::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::json;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = "{\"id\":7}";
const NOW_MS: u64 = 1_767_225_600_000;

fn config() -> Config {
    let destination = json!([{ "name": "sss", "url": "https://sss.example.com/" }]);
    let config = json!({ "environment": "test", "routes": {
        "open": { "path": "/open", "ordering_key": "g", "pass_headers": ["x-kind"], "destinations": destination },
        "signed": {
            "path": "/signed", "ordering_key": "signed", "pass_headers": ["x-kind"],
            "verify": { "scheme": "standard_webhooks", "secrets": ["env:SECRET"] },
            "destinations": destination,
        },
    }});
    Config::parse(&config.to_string()).unwrap()
}

fn secret() -> Arc<Secret> {
    Arc::new(Secret::new(SECRET.as_bytes()).unwrap())
}

/// A message that was posted to `route` with these headers, as a gateway makes it that escapes nothing.
fn posted(route: &str, headers: &[(&str, &str)]) -> Option<Message> {
    let config = config();
    let mut json = config.routes()[route].request_parameters("q")["MessageAttributes"].clone();
    for (name, value) in headers {
        json = json.replace(&format!("${{request.header.{name}}}"), value);
    }
    json = json.replace("${context.requestId}", "request-1");
    json = json.replace("${context.requestTimeEpoch}", &NOW_MS.to_string());
    let Pairs(read) = serde_json::from_str(&json).ok()?;
    let mut attributes = Attributes::new();
    for (name, value) in read {
        let text = value.get("StringValue").cloned().unwrap_or_default();
        // Of two with the same name, the one that the sender wrote.
        attributes.entry(name).or_insert_with(|| Attribute::string(text));
    }
    Some(message(attributes, Origin::Ingest))
}

/// A JSON object with all its members, also those of the same name.
struct Pairs(Vec<(String, BTreeMap<String, String>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Pairs {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(pair) = map.next_entry()? {
            self.0.push(pair);
        }
        // Those that stand in the value of the headers come first: before the template's own.
        let forged = self.0.iter().position(|(name, _)| name == "headers").unwrap_or(0);
        self.0.rotate_left(forged);
        Ok(self)
    }
}

fn message(attributes: Attributes, origin: Origin) -> Message {
    let received = Received {
        message_id: "m-1".to_owned(),
        body: BODY.to_owned(),
        group_id: "g".to_owned(),
        sent_at: Timestamp::from_ms(NOW_MS),
        receive_count: 1,
        attributes,
        ..Received::default()
    };
    Message::parse(received, origin).unwrap()
}

/// A value of a header that closes its attribute and writes these.
fn forged(attributes: &[(&str, &str)]) -> String {
    let attribute = |(name, text): &(&str, &str)| {
        format!(",\"{name}\":{{\"DataType\":\"String\",\"StringValue\":\"{text}\"}}")
    };
    let attributes: String = attributes.iter().map(attribute).collect();
    let mut value = format!("push\"}}{attributes}");
    // The quotation mark and the brace that close it are the template's.
    value.truncate(value.len() - 2);
    value
}

/// The headers of an event that was signed at `at_ms`.
fn signed(id: &str, at_ms: u64) -> [(&'static str, String); 3] {
    let timestamp = standard_webhooks::timestamp(Timestamp::from_ms(at_ms));
    let signature = standard_webhooks::sign(&[secret()], id, &timestamp, BODY.as_bytes()).unwrap();
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", signature),
    ]
}

/// The same, posted with this `x-kind`.
fn posted_signed(id: &str, at_ms: u64, kind: &str) -> Message {
    let headers = signed(id, at_ms);
    let mut headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("x-kind", kind));
    posted("signed", &headers).unwrap()
}

fn is_verified(message: &Message) -> bool {
    let config = config();
    let route = config.route_of_message(message).unwrap();
    let verification = route.verification_of(message);
    verification.is_none_or(|verification| verification.verify(message, &[secret()]).is_ok())
}

#[test]
fn the_template_is_filled_in_as_the_tests_below_need_it() {
    let good = posted_signed("evt-1", NOW_MS, "push");
    assert!(is_verified(&good));
    assert_eq!((good.event_id(), good.header("x-kind")), ("evt-1", Some("push")));
    let kind = forged(&[("evil", "1")]);
    let shaped = posted_signed("evt-1", NOW_MS, &kind);
    assert_eq!(shaped.attributes["evil"].value, "1", "the gateway of these tests escapes nothing");
}

#[test]
fn a_mark_of_operators_does_not_switch_verification_off() {
    let kind = forged(&[("edited_at", "1")]);
    let message = posted("signed", &[("x-kind", &kind)]).unwrap();
    assert_eq!(message.attributes["edited_at"].value, "1");
    assert!(!is_verified(&message));
    // Not by way of a dead letter and its redrive either.
    let letter = dead_letter(&message, Class::Unverified, Cause::default(), 0, Vec::new());
    let back = redriven(&self::message(letter.attributes, Origin::Sender));
    assert!(!is_verified(&self::message(back.attributes, Origin::Sender)));
}

#[test]
fn another_route_s_name_brings_that_route_s_verification() {
    let kind = forged(&[("route", "signed")]);
    let message = posted("open", &[("x-kind", &kind)]).unwrap();
    assert_eq!(message.route_name(), Some("signed"));
    assert!(!is_verified(&message));
    // The other way round it is an event that the open route takes of everybody anyway.
    let kind = forged(&[("route", "open")]);
    let message = posted("signed", &[("x-kind", &kind)]).unwrap();
    assert_eq!(message.route_name(), Some("open"));
    assert!(is_verified(&message));
    assert!(is_verified(&posted("open", &[("x-kind", "push")]).unwrap()));
}

#[test]
fn another_time_of_acceptance_does_not_make_an_old_signature_good() {
    let day_ms = 24 * 3_600_000;
    let kind = forged(&[("accepted_at", &(NOW_MS - day_ms).to_string())]);
    let message = posted_signed("evt-1", NOW_MS - day_ms, &kind);
    assert_eq!(message.attributes["accepted_at"].value, (NOW_MS - day_ms).to_string());
    assert!(!is_verified(&message));
}

/// It is the genuine event all the same: what was signed is delivered, under another name.
#[test]
fn another_event_id_makes_no_event_that_was_not_signed() {
    let kind = forged(&[("event_id", "evt-9")]);
    let message = posted_signed("evt-1", NOW_MS, &kind);
    assert_eq!((message.event_id(), message.body.as_str()), ("evt-9", BODY));
    assert!(is_verified(&message));
    let other_body = message.clone().into_received();
    let other_body = Received { body: "{\"id\":8}".to_owned(), ..other_body };
    assert!(!is_verified(&Message::parse(other_body, Origin::Ingest).unwrap()));
}

#[test]
fn who_has_an_event_is_not_for_a_request_to_say() {
    let kind = forged(&[("delivered_to", "sss")]);
    let message = posted("open", &[("x-kind", &kind)]).unwrap();
    assert_eq!(message.attributes["delivered_to"].value, "sss");
    assert_eq!(message.delivered_to().count(), 0);
}

/// docs/signatures.md, "Replays".
#[test]
fn a_replay_is_what_the_documents_say() {
    // Within the tolerance it is delivered again, under the id that was signed, as a message of its own.
    let config = config();
    let route = &config.routes()["signed"];
    let parameters = route.request_parameters("q");
    assert_eq!(parameters["MessageDeduplicationId"], "$context.requestId");
    let replayed = posted_signed("evt-1", NOW_MS - 299_000, "push");
    assert!(is_verified(&replayed));
    assert_eq!(replayed.event_id(), "evt-1");
    let late = posted_signed("evt-1", NOW_MS - 302_000, "push");
    assert!(!is_verified(&late));
    // Schemes that sign no id name the event by the request, unless the route says by what.
    for (scheme, event_id) in [
        ("svix", "$request.header.svix-id"),
        ("slack", "$context.requestId"),
        ("stripe", "$context.requestId"),
        ("github", "$context.requestId"),
        ("gitlab", "$context.requestId"),
    ] {
        let route = json!({ "environment": "test", "routes": { "sss": {
            "path": "/hook", "ordering_key": "g",
            "verify": { "scheme": scheme, "secrets": ["env:SECRET"] },
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/" }],
        }}});
        let config = Config::parse(&route.to_string()).unwrap();
        let route = &config.routes()["sss"];
        assert_eq!(route.event_id().source(), event_id, "{scheme}");
        assert_eq!(route.request_parameters("q")["MessageDeduplicationId"], "$context.requestId");
        let signs_time = ["svix", "slack", "stripe"].contains(&scheme);
        assert_eq!(route.verify().unwrap().signs_time(), signs_time, "{scheme}");
        assert_eq!(route.verify().unwrap().tolerance, Duration::from_mins(5), "{scheme}");
    }
}
