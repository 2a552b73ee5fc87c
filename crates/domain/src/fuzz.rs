//! Fuzzers of what meets untrusted bytes: nothing panics, and what is said of each holds for whatever comes.
//! As tests they try a second's worth of random inputs; `cargo xtask fuzz` searches by coverage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::attribute::{Attribute, FAILURE};
use crate::config::Config;
use crate::dead_letter;
use crate::mapping::{Expression, Request, RequestParameters, parameter};
use crate::message::tests::changed;
use crate::message::{Message, Origin, Received};
use crate::pause::Pauses;
use crate::secret::Secret;
use crate::signature::hmac::Hmac;
use crate::signature::standard_webhooks::Names;
use crate::signature::token::Token;
use crate::signature::{Scheme, Verification};
use crate::skip::Skips;
use crate::time::Timestamp;

/// The first line, and what follows it.
fn two(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

#[test]
fn fuzz_expression() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(expression) = Expression::parse(text) else { return };
        assert_eq!(expression.source(), text);
        // A text without a variable is itself.
        assert!(expression.as_static().is_none_or(|it| it == text));
        assert_eq!(Expression::parse(expression.source()), Ok(expression));
    });
}

#[test]
fn fuzz_mapping() {
    // A caller's header, path, query and body never become an attribute of their own.
    const ATTRIBUTES: &str = r#"{"a":{"DataType":"String","StringValue":"${request.header.x}${request.path}${request.querystring.q}${request.body}"}}"#;
    let parameters = [
        (parameter::QUEUE_URL, "url"),
        (parameter::MESSAGE_BODY, "$request.body"),
        (parameter::MESSAGE_GROUP_ID, "$request.body.key"),
        (parameter::MESSAGE_ATTRIBUTES, ATTRIBUTES),
    ];
    let named = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let fixed = parameters.map(named).into_iter().collect();
    let fixed = RequestParameters::parse(&fixed).unwrap();
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let (expression, body) = two(text);
        let (header, path) = (expression, body);
        let request = Request {
            headers: vec![("x", header)],
            query: vec![("q".into(), path.into())],
            path,
            body,
            ..Request::default()
        };
        if let Ok(sent) = fixed.evaluate(&request) {
            assert_eq!(sent.attributes.keys().collect::<Vec<_>>(), ["a"]);
            assert_eq!(sent.attributes["a"].value, format!("{header}{path}{path}{body}"));
            assert_eq!(sent.body, body);
        }
        let mut all: BTreeMap<String, String> = parameters.map(named).into_iter().collect();
        all.insert(parameter::MESSAGE_GROUP_ID.to_owned(), expression.to_owned());
        all.insert(parameter::MESSAGE_ATTRIBUTES.to_owned(), expression.to_owned());
        if let Ok(parameters) = RequestParameters::parse(&all) {
            let _either = parameters.evaluate(&request);
        }
    });
}

#[test]
fn fuzz_configuration() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        match Config::parse(text) {
            Ok(config) => assert!(!config.routes().is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

#[test]
fn fuzz_dead_letter() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let (failure, body) = two(text);
        let received = Received {
            body: body.to_owned(),
            attributes: [(FAILURE.to_owned(), Attribute::string(failure))].into(),
            ..changed(1, "g", |_| {}).into_received()
        };
        let Ok(letter) = Message::parse(received, Origin::Sender) else { return };
        let redriven = dead_letter::redriven(&letter);
        assert_eq!(redriven.body, body);
        assert!(!redriven.group_id.is_empty() && !redriven.attributes.contains_key(FAILURE));
        assert_eq!(dead_letter::imported(&letter).body, body);
        let _for_people = (dead_letter::reason_of(&letter), dead_letter::redrive_order(&letter));
    });
}

#[test]
fn fuzz_signature() {
    let secret = b"whsec_c29tZXRoaW5nIHRoYXQgbm9ib2R5IGtub3dz";
    let secrets = [Arc::new(Secret::new(secret).unwrap())];
    let schemes = || {
        [
            Scheme::StandardWebhooks(Names::STANDARD),
            Scheme::Stripe,
            Scheme::Hmac(Hmac::github()),
            Scheme::Hmac(Hmac::slack()),
            Scheme::Token(Token::gitlab()),
        ]
    };
    let names = [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "stripe-signature",
        "x-hub-signature-256",
        "x-slack-signature",
        "x-slack-request-timestamp",
    ];
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let mut lines = text.split('\n');
        let message = changed(1, "g", |it| {
            it.sent_at = Timestamp::from_ms(1_700_000_000_000);
            for name in names {
                if let Some(value) = lines.next() {
                    it.attributes.insert(format!("header.{name}"), Attribute::string(value));
                }
            }
        });
        for scheme in schemes() {
            let tolerance = Duration::from_mins(5);
            let verification = Verification { scheme, secrets: Vec::new(), tolerance };
            // Who does not know the secret is never believed.
            assert!(verification.verify(&message, &secrets).is_err());
        }
    });
}

#[test]
fn fuzz_operators_marks() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(skips) = Skips::parse(bytes)
            && let Ok(json) = skips.to_json()
        {
            assert_eq!(Skips::parse(json.as_bytes()).unwrap(), skips);
        }
        if let Ok(pauses) = Pauses::parse(bytes) {
            assert_eq!(Pauses::parse(&pauses.to_json().unwrap()).unwrap(), pauses);
        }
    });
}
