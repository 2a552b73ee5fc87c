//! Headers that travel with a message, to pass them on or to verify by them, in one attribute: a line
//! `name: value` for each, in the order of their names.
//!
//! A line feed is what no header's value can hold, so no value makes a line of its own. Should one get
//! in all the same, as API Gateway does not say how it escapes what it fills in, then a name is there
//! twice or out of order, and nothing of it is taken. The names travel with the values, so that a
//! later change of a route's headers gives no value another name.

use std::fmt::Write as _;

/// Most headers that a route can carry. API Gateway takes 10,240 bytes of request line and headers,
/// and a provider's headers are seldom below 50.
/// Source: API Gateway guide, "Quotas for configuring and running an HTTP API".
pub const CARRIED_HEADERS_MAX: usize = 40;

/// An attribute that is not what this module writes. It may be a secret, so its value is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the attribute headers is not a line for each header, in the order of their names")]
pub struct UnreadableHeaders;

/// The attribute's value as API Gateway is to fill it in, for headers in the order of their names.
pub(crate) fn template(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        let separator = if text.is_empty() { "" } else { "\n" };
        write!(text, "{separator}{name}: ${{request.header.{name}}}")
            .expect("a String takes everything");
    }
    text
}

/// Whether `text` is what is made from `template`.
///
/// # Errors
///
/// [`UnreadableHeaders`] if it is not.
pub fn check(text: &str) -> Result<(), UnreadableHeaders> {
    let mut before = "";
    for line in text.split('\n') {
        let (name, value) = split(line).ok_or(UnreadableHeaders)?;
        let good = name > before && !value.contains(|c: char| c.is_control() && c != '\t');
        if !good {
            return Err(UnreadableHeaders);
        }
        before = name;
    }
    Ok(())
}

/// Names and values in `text`, which has been checked. An empty value is as good as none.
pub(crate) fn read(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('\n').filter_map(split).filter(|(_, value)| !value.is_empty())
}

fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    // Whoever trims a text may take the blank before an empty value.
    Some((name, value.strip_prefix(' ').unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::attribute::HEADERS;
    use crate::config::Config;
    use crate::mapping::{Context, Request};
    use crate::message::Message;
    use crate::message::tests::changed;
    use crate::route::Route;

    const NAMES: [&str; 3] = ["x-a", "x-b", "x-c"];

    #[test]
    fn only_what_is_written_is_read() {
        assert_eq!(
            template(&["x-a", "x-b"]),
            "x-a: ${request.header.x-a}\nx-b: ${request.header.x-b}"
        );
        for (text, expected) in [
            ("x-a: 1", &[("x-a", "1")][..]),
            ("x-a: 1\nx-b:  a: b,c ", &[("x-a", "1"), ("x-b", " a: b,c ")]),
            ("x-a: \nx-b: \t注", &[("x-b", "\t注")]),
            ("x-a: 1\nx-b:", &[("x-a", "1")]),
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
            assert_eq!(read(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
        for text in [
            "",
            "x-a",
            ": 1",
            "x-a: 1\n",
            "x-a: 1\nx-a: 2",
            "x-b: 1\nx-a: 2",
            "x-a: 1\r",
            "x-a: \u{7f}",
        ] {
            assert_eq!(check(text), Err(UnreadableHeaders), "{text:?}");
        }
    }

    fn route() -> Route {
        let config = serde_json::json!({ "environment": "test", "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "g", "pass_headers": NAMES,
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/" }],
        }}});
        Config::parse(&config.to_string()).unwrap().routes()["sss"].clone()
    }

    /// The message that becomes of a request with these values, as the engine's ingest makes it.
    fn escaped(route: &Route, values: [&str; 3]) -> Option<Message> {
        let context = Context { request_id: "r-1", ..Context::default() };
        let headers = NAMES.into_iter().zip(values).collect();
        let request = Request { headers, body: "{}", context, ..Request::default() };
        let sent = route.integration("q").evaluate(&request).ok()?;
        Some(changed(1, "g", |it| it.attributes = sent.attributes))
    }

    /// As an API Gateway makes it that fills the values in as they are.
    fn naive(route: &Route, values: [&str; 3]) -> Option<Message> {
        let mut json = route.request_parameters("q")["MessageAttributes"].clone();
        for (name, value) in NAMES.into_iter().zip(values) {
            json = json.replace(&format!("${{request.header.{name}}}"), value);
        }
        let read: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&json).ok()?;
        let attribute = |value: &BTreeMap<String, String>| {
            crate::attribute::Attribute::string(
                value.get("StringValue").cloned().unwrap_or_default(),
            )
        };
        let attributes = read.iter().map(|(name, value)| (name.clone(), attribute(value)));
        Some(changed(1, "g", |it| it.attributes = attributes.collect()))
    }

    /// What the service would get, if the message is one.
    fn passed(route: &Route, message: &Message) -> Option<Vec<(String, String)>> {
        check(&message.attributes[HEADERS].value).ok()?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Some(route.passed_headers(message).map(owned).collect())
    }

    /// Pieces from which somebody would build a line, an attribute or a variable of his own.
    fn evil() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "\n",
            "\r",
            "\r\n",
            "\\n",
            "\\r",
            "\\",
            "\\u000a",
            "\u{0}",
            "\u{b}",
            "\u{85}",
            "\u{2028}",
            "\t",
            " ",
            ",",
            ";",
            ":",
            "=",
            "'",
            "%0a",
            "x-b: forged",
            "x-bb: forged",
            "x-c: forged",
            "${request.header.x-b}",
            "1",
            "注",
        ]);
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_value_makes_the_value_of_another_header(value in evil(), at in 0..3_usize) {
            let route = route();
            let mut values = ["true-a", "true-b", "true-c"];
            values[at] = &value;
            for make in [escaped, naive] {
                // Refused by the API, or dead-lettered as malformed, or:
                let Some(message) = make(&route, values) else { continue };
                let Some(passed) = passed(&route, &message) else { continue };
                for (name, value) in passed {
                    let position = NAMES.iter().position(|known| *known == name).unwrap();
                    if position != at {
                        prop_assert_eq!(&value, values[position]);
                    }
                }
            }
        }

        #[test]
        fn every_value_of_a_header_arrives_as_it_is(
            value in "[\\t -~\u{a1}-\u{ff}\u{2028}注文]{1,200}", at in 0..3_usize
        ) {
            let route = route();
            let mut values = ["a", "b", "c"];
            values[at] = &value;
            let message = escaped(&route, values).unwrap();
            let passed = passed(&route, &message).unwrap();
            prop_assert_eq!(&passed[at].1, &value);
        }

        /// With a quotation mark of his own, and an API Gateway that fills values in as they are, a
        /// sender shapes all attributes. It gives him no header that he could not have sent.
        #[test]
        fn no_header_is_made_that_could_not_have_been_sent(before in evil(), after in evil()) {
            let route = route();
            let value = format!("{before}\"}},\"headers\":{{\"DataType\":\"String\",\"StringValue\":\"{after}");
            if let Some(message) = naive(&route, [&value, "true-b", "true-c"])
                && let Some(passed) = passed(&route, &message)
            {
                for (name, value) in passed {
                    prop_assert!(NAMES.contains(&name.as_str()));
                    prop_assert!(!value.contains(|c: char| c.is_control() && c != '\t'));
                }
            }
        }
    }
}
