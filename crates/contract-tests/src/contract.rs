//! The contract with SSS, `contracts/sss-webhook.yaml`, and whether a request keeps it.
//!
//! Understands as much of OpenAPI as the document uses, and refuses the rest, so that nothing in the
//! document goes unchecked.

use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};
use wiremock::Request;

/// The contract.
pub struct Contract {
    document: Value,
    headers: Vec<Header>,
}

/// What an answer leads to, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The event is done.
    Delivered,
    /// It will come again.
    Retried,
    /// It will not.
    Rejected,
}

struct Header {
    name: String,
    required: bool,
    schema: Schema,
}

/// The part of JSON Schema that the contract uses for headers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Schema {
    #[serde(rename = "type")]
    _type: TextType,
    pattern: Option<String>,
    #[serde(default)]
    min_length: usize,
}

/// Headers are texts.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum TextType {
    String,
}

/// Headers that say nothing about the event, and that every HTTP client sends.
const OF_HTTP: [&str; 3] = ["accept", "host", "user-agent"];

/// The contract, read once.
///
/// # Panics
///
/// When the document is not what [`Contract`] understands.
pub fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        Contract::parse(include_str!("../../../contracts/sss-webhook.yaml"))
            .expect("the contract in the repository is good")
    })
}

impl Contract {
    fn parse(yaml: &str) -> Result<Self, String> {
        let document: Value = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        let parameters = document["paths"]["/application-hook"]["post"]["parameters"].as_array();
        let headers = parameters.ok_or("no parameters")?.iter().map(Header::parse);
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Self { document, headers })
    }

    /// How `request` breaks the contract, if it does. `passed` are the headers that its route passes
    /// on beside those of the contract.
    ///
    /// # Errors
    ///
    /// The first breach, as a text.
    pub fn check(&self, request: &Request, passed: &[String]) -> Result<(), String> {
        if request.method.as_str() != "POST" {
            return Err(format!("method {} is not POST", request.method));
        }
        for header in &self.headers {
            let mut values = request.headers.get_all(&header.name).iter();
            match (values.next(), values.next()) {
                (None, _) if header.required => return Err(format!("no header {}", header.name)),
                (None, _) => {}
                (Some(value), None) => header.check(value.as_bytes())?,
                (Some(_), Some(_)) => return Err(format!("header {} twice", header.name)),
            }
        }
        let is_known = |name: &str| {
            self.headers.iter().any(|header| header.name == name)
                || OF_HTTP.contains(&name)
                || passed.iter().any(|passed| passed == name)
        };
        match request.headers.keys().find(|name| !is_known(name.as_str())) {
            Some(name) => Err(format!("header {name} is not in the contract")),
            None => self.check_length(request),
        }
    }

    #[expect(clippy::unused_self, reason = "a part of the check, apart for its length")]
    fn check_length(&self, request: &Request) -> Result<(), String> {
        let length = request.headers.get("content-length").and_then(|value| value.to_str().ok());
        let bytes = request.body.len().to_string();
        if length == Some(&bytes) {
            return Ok(());
        }
        Err(format!("content-length is {length:?}, the body has {bytes} bytes"))
    }

    /// What an answer with this status leads to.
    ///
    /// # Panics
    ///
    /// When the contract does not say.
    #[must_use]
    pub fn outcome(&self, status: u16) -> Outcome {
        let responses = &self.document["paths"]["/application-hook"]["post"]["responses"];
        let keys = [status.to_string(), format!("{}XX", status / 100), "default".to_owned()];
        let response = keys.iter().find_map(|key| responses.get(key)).expect("there is a default");
        let response = match response["$ref"].as_str().and_then(|text| text.strip_prefix('#')) {
            Some(pointer) => self.document.pointer(pointer).expect("the reference leads somewhere"),
            None => response,
        };
        let outcome = response["x-outcome"].clone();
        serde_json::from_value(outcome).expect("each response has an outcome")
    }
}

impl Header {
    fn parse(parameter: &Value) -> Result<Self, String> {
        let parameter: &Map<String, Value> = parameter.as_object().ok_or("not an object")?;
        if parameter["in"] != "header" {
            return Err(format!("only headers are understood, not {}", parameter["in"]));
        }
        let schema =
            Schema::deserialize(&parameter["schema"]).map_err(|error| error.to_string())?;
        let name = parameter["name"].as_str().ok_or("no name")?.to_owned();
        let required = parameter["required"].as_bool().ok_or("required or not?")?;
        let header = Self { name, required, schema };
        let example = parameter["example"].as_str().ok_or("no example")?;
        header.check(example.as_bytes())?;
        Ok(header)
    }

    fn check(&self, value: &[u8]) -> Result<(), String> {
        let Self { name, schema, .. } = self;
        let Ok(text) = std::str::from_utf8(value) else {
            return Err(format!("header {name} is not text"));
        };
        if text.chars().count() < schema.min_length {
            return Err(format!("header {name} is too short: {text:?}"));
        }
        let Some(pattern) = &schema.pattern else { return Ok(()) };
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        if regex.is_match(text) {
            return Ok(());
        }
        Err(format!("header {name} is {text:?}, against the pattern {pattern}"))
    }
}

#[cfg(test)]
mod tests {
    use wiremock::http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::*;

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("webhook-id", "evt-1"),
            ("webhook-attempt", "1"),
            ("webhook-group", "order-7"),
            ("webhook-sequence", "18849496460467696128"),
            ("webhook-accepted-at", "2026-01-31T12:00:00.123Z"),
            ("content-type", "application/json"),
            ("content-length", "2"),
        ]
    }

    fn request(headers: &[(&'static str, &'static str)]) -> Request {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Request {
            url: "http://localhost/".parse().unwrap(),
            method: Method::POST,
            headers: headers.iter().map(header).collect::<HeaderMap>(),
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn a_good_request_keeps_the_contract() {
        assert_eq!(contract().check(&request(&good()), &[]), Ok(()));
    }

    #[test]
    fn every_required_header_is_required() {
        for name in [
            "webhook-id",
            "webhook-attempt",
            "webhook-accepted-at",
            "content-type",
            "content-length",
        ] {
            let mut headers = good();
            headers.retain(|(other, _)| *other != name);
            let breach = contract().check(&request(&headers), &[]).unwrap_err();
            assert!(breach.contains(name), "{breach}");
        }
    }

    #[test]
    fn wrong_values_and_unknown_headers_are_breaches() {
        for (name, value) in [
            ("webhook-attempt", "0"),
            ("webhook-id", "has space"),
            ("webhook-accepted-at", "1767225600123"),
            ("webhook-repeat", "1"),
            ("content-length", "3"),
            ("content-type", ""),
        ] {
            let mut headers = good();
            headers.retain(|(other, _)| *other != name);
            headers.push((name, value));
            let breach = contract().check(&request(&headers), &[]).unwrap_err();
            assert!(breach.contains(name), "{breach}");
        }
        for more in [("x-workflow-id", "w"), ("connection", "keep-alive"), ("webhook-id", "evt-1")]
        {
            let mut headers = good();
            headers.push(more);
            assert!(contract().check(&request(&headers), &[]).unwrap_err().contains(more.0));
        }
    }

    #[test]
    fn a_header_that_the_route_passes_on_is_known() {
        let mut headers = good();
        headers.push(("x-workflow-id", "w"));
        assert_eq!(contract().check(&request(&headers), &["x-workflow-id".to_owned()]), Ok(()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let document = |schema: &str| {
            format!(
                "paths: {{/application-hook: {{post: {{parameters: [{{name: a, in: header, \
                 required: true, example: b, schema: {schema}}}]}}}}}}"
            )
        };
        assert!(Contract::parse(&document("{type: string}")).is_ok());
        for schema in
            ["{type: integer}", "{type: string, maxLength: 3}", "{type: string, pattern: c}"]
        {
            assert!(Contract::parse(&document(schema)).is_err(), "{schema}");
        }
    }
}
