//! What API Gateway knows of a request, as far as an expression can ask for it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::expression::{Segment, Step, Variable};
use super::{Expression, Unresolvable};
use crate::quota::BODY_FIELD_BYTES_MAX;
use crate::time::Timestamp;

/// A request, borrowed from whatever received it.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// Names and values as received; names in any case, repeated ones in order.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Decoded names and values of the query string, in order.
    pub query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The path, without stage and query string.
    pub path: &'a str,
    /// The values of `{name}` in the route's path.
    pub path_parameters: Vec<(&'a str, &'a str)>,
    /// The body; HTTP APIs have no data path for other bytes than UTF-8 text.
    pub body: &'a str,
    /// `$context.…`
    pub context: Context<'a>,
    /// `$stageVariables.…`
    pub stage_variables: BTreeMap<String, String>,
}

/// The context variables that make sense without AWS around.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// `requestId`: unique per request.
    pub request_id: &'a str,
    /// `requestTimeEpoch`, in milliseconds.
    pub request_time: Timestamp,
    /// `identity.sourceIp`
    pub source_ip: &'a str,
    /// `routeKey`, such as `POST /sqs-hook`
    pub route_key: &'a str,
    /// `stage`
    pub stage: &'a str,
    /// `httpMethod`
    pub http_method: &'a str,
}

impl Request<'_> {
    /// The value of `expression` for `property`, with `escape` applied to what comes from variables.
    pub(super) fn resolve(
        &self,
        property: &str,
        expression: &Expression,
        escape: fn(Cow<'_, str>) -> Cow<'_, str>,
    ) -> Result<String, Unresolvable> {
        let mut value = String::new();
        for segment in &expression.segments {
            match segment {
                Segment::Text(text) => value.push_str(text),
                Segment::Variable(variable) => {
                    let resolved = self.variable(variable).ok_or_else(|| Unresolvable {
                        property: property.to_owned(),
                        source: expression.source().to_owned(),
                        missing: Some(variable.to_string()),
                    })?;
                    value.push_str(&escape(resolved));
                }
            }
        }
        Ok(value)
    }

    fn variable(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        match variable {
            Variable::Header(name) => joined(
                self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v),
            ),
            Variable::QueryString(name) => {
                joined(self.query.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_ref()))
            }
            Variable::PathParameter(name) => self
                .path_parameters
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| Cow::Borrowed(*value)),
            Variable::Path => Some(Cow::Borrowed(self.path)),
            Variable::Body => Some(Cow::Borrowed(self.body)),
            Variable::BodyField(steps) => body_field(self.body, steps).map(Cow::Owned),
            Variable::Context(name) => self.context.variable(name),
            Variable::Stage(name) => {
                self.stage_variables.get(name).map(|value| Cow::Borrowed(value.as_str()))
            }
        }
    }
}

impl<'a> Context<'a> {
    fn variable(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = match name {
            "requestId" => self.request_id,
            "requestTimeEpoch" => return Some(Cow::Owned(self.request_time.as_ms().to_string())),
            "identity.sourceIp" => self.source_ip,
            "routeKey" => self.route_key,
            "stage" => self.stage,
            "httpMethod" => self.http_method,
            _ => return None,
        };
        Some(Cow::Borrowed(value))
    }
}

/// Repeated headers and query parameters arrive joined by commas.
fn joined<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let first = values.next()?;
    let rest: Vec<&str> = values.collect();
    if rest.is_empty() {
        return Some(Cow::Borrowed(first));
    }
    Some(Cow::Owned(format!("{first},{}", rest.join(","))))
}

/// The field at `steps`, as text, if the whole of it stands in the part of the body that API Gateway
/// considers.
fn body_field(body: &str, steps: &[Step]) -> Option<String> {
    let considered = &body.as_bytes()[..body.len().min(BODY_FIELD_BYTES_MAX)];
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(considered);
    // What follows the field does not matter, least of all that a long body is cut off: the value
    // has been put into `found` by then.
    let _rest = Walk { steps, found: &mut found }.deserialize(&mut json);
    // The raw text, as a number with twenty digits must not come out rounded.
    let found: &str = found.map(RawValue::get)?;
    let end = found.as_ptr() as usize + found.len() - considered.as_ptr() as usize;
    // A number whose other digits are behind the end, or never came, would be another number.
    let may_go_on = found.ends_with(|c: char| c.is_ascii_digit());
    if may_go_on && end == considered.len() {
        return None;
    }
    match found {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        other => Some(other.to_owned()),
    }
}

/// Walks down to one value without building the rest.
struct Walk<'s, 'f, 'de> {
    steps: &'s [Step],
    found: &'f mut Option<&'de RawValue>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            *self.found = Some(serde::Deserialize::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.steps {
                [Step::Field(field), rest @ ..] if *field == key => {
                    map.next_value_seed(Walk { steps: rest, found: &mut *self.found })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut position = 0;
        loop {
            let more = match self.steps {
                [Step::Index(index), rest @ ..] if *index == position => {
                    seq.next_element_seed(Walk { steps: rest, found: &mut *self.found })?.is_some()
                }
                _ => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &Request<'_>, expression: &str, expected: Option<&str>) {
        let expression = Expression::parse(expression).unwrap();
        let value = request.resolve("MessageGroupId", &expression, |value| value).ok();
        assert_eq!(value.as_deref(), expected, "{}", expression.source());
    }

    #[test]
    fn headers_are_case_insensitive_and_joined() {
        let request = Request {
            headers: vec![("X-Id", "7"), ("Tag", "a"), ("tag", "b")],
            ..Request::default()
        };
        check(&request, "$request.header.x-id", Some("7"));
        check(&request, "$request.header.Tag", Some("a,b"));
        check(&request, "$request.header.absent", None);
        check(&request, "k-${request.header.x-id}-${request.header.tag}", Some("k-7-a,b"));
    }

    #[test]
    fn what_api_gateway_knows_of_a_request() {
        let context = Context {
            request_id: "r",
            source_ip: "192.0.2.7",
            request_time: Timestamp::from_ms(7),
            route_key: "POST /a",
            stage: "s",
            http_method: "POST",
        };
        let request = Request { context, ..Request::default() };
        for (name, value) in [
            ("requestId", "r"),
            ("requestTimeEpoch", "7"),
            ("identity.sourceIp", "192.0.2.7"),
            ("routeKey", "POST /a"),
            ("stage", "s"),
            ("httpMethod", "POST"),
        ] {
            check(&request, &format!("$context.{name}"), Some(value));
        }
    }

    /// Its last digits may be behind the end, or may never have come.
    #[test]
    fn a_number_at_the_end_of_a_body_is_not_whole() {
        let torn = Request { body: r#"{"id":12"#, ..Request::default() };
        check(&torn, "$request.body.id", None);
        let whole = Request { body: r#"{"id":12 "#, ..Request::default() };
        check(&whole, "$request.body.id", Some("12"));
    }

    #[test]
    fn query_parameters_are_case_sensitive() {
        let query =
            vec![("Id".into(), "7".into()), ("t".into(), "a".into()), ("t".into(), "b".into())];
        let request = Request { query, ..Request::default() };
        check(&request, "$request.querystring.Id", Some("7"));
        check(&request, "$request.querystring.id", None);
        check(&request, "$request.querystring.t", Some("a,b"));
    }

    #[test]
    fn path_context_and_stage() {
        let request = Request {
            path: "/hooks/42",
            path_parameters: vec![("id", "42")],
            context: Context {
                request_id: "r-1",
                request_time: Timestamp::from_ms(5),
                route_key: "POST /hooks/{id}",
                stage: "$default",
                ..Context::default()
            },
            stage_variables: BTreeMap::from([("q".to_owned(), "main".to_owned())]),
            ..Request::default()
        };
        check(&request, "$request.path", Some("/hooks/42"));
        check(&request, "$request.path.id", Some("42"));
        check(&request, "$request.path.no", None);
        check(&request, "$context.requestId", Some("r-1"));
        check(&request, "$context.requestTimeEpoch", Some("5"));
        check(&request, "$context.routeKey", Some("POST /hooks/{id}"));
        check(&request, "$context.stage", Some("$default"));
        check(&request, "$context.authorizer", None);
        check(&request, "$stageVariables.q", Some("main"));
        check(&request, "$stageVariables.r", None);
    }

    #[test]
    fn body_fields_become_text() {
        let body = r#"{"skip":[{"id":0}],"order":{"id":7,"name":"注文","items":[{"id":"a"},{"id":"b"}],
            "none":null,"open":true,"big":123456789012345678901234567890,"line.no":3}}"#;
        let request = Request { body, ..Request::default() };
        check(&request, "$request.body.order.id", Some("7"));
        check(&request, "$request.body.order.name", Some("注文"));
        check(&request, "$request.body.order.items[1].id", Some("b"));
        check(&request, "$request.body.order.items[2].id", None);
        check(&request, "$request.body['order']['line.no']", Some("3"));
        check(&request, "$request.body.order.open", Some("true"));
        check(&request, "$request.body.order.big", Some("123456789012345678901234567890"));
        check(&request, "$request.body.order.items[0]", Some(r#"{"id":"a"}"#));
        check(&request, "$request.body.order.none", None);
        check(&request, "$request.body.order.name.deeper", None);
        check(&request, "$request.body.absent", None);
        check(&request, "$request.body", Some(body));
    }

    #[test]
    fn a_body_that_is_no_json_has_no_fields() {
        for body in ["", "plain", "{\"a\":", "[1,2"] {
            check(&Request { body, ..Request::default() }, "$request.body.a.b", None);
        }
    }

    #[test]
    fn a_value_that_the_end_of_what_is_considered_cuts_is_none() {
        let head = |pad: usize| format!(r#"{{"pad":"{}","id":"#, "x".repeat(pad));
        let spare = BODY_FIELD_BYTES_MAX - head(0).len();
        for (value, expected) in [("123456", "123456"), ("\"123456\"", "123456"), ("true", "true")]
        {
            for behind in 0..=value.len() {
                // So many bytes of the value are behind the end.
                let body = format!("{}{value}}}", head(spare - value.len() + behind));
                let request = Request { body: &body, ..Request::default() };
                // With nothing behind the end, a number might still go on there.
                let whole = behind == 0 && !value.starts_with(|c: char| c.is_ascii_digit());
                check(&request, "$request.body.id", whole.then_some(expected));
            }
            let body = format!("{}{value} }}", head(spare - value.len() - 1));
            let request = Request { body: &body, ..Request::default() };
            check(&request, "$request.body.id", Some(expected));
        }
        let body = format!("{}7}}", head(10));
        check(&Request { body: &body, ..Request::default() }, "$request.body.id", Some("7"));
    }

    /// What stands before JSON: white space is part of it; with anything else it is no JSON, and the
    /// request is refused rather than read as another one.
    #[test]
    fn what_stands_before_json_does_not_change_the_key() {
        for before in ["", " ", "\r\n\t "] {
            let body = format!("{before}{{\"id\":7}}");
            check(&Request { body: &body, ..Request::default() }, "$request.body.id", Some("7"));
        }
        for before in ["\u{feff}", "x", "\0", ")]}',\n"] {
            let body = format!("{before}{{\"id\":7}}");
            check(&Request { body: &body, ..Request::default() }, "$request.body.id", None);
            check(&Request { body: &body, ..Request::default() }, "$request.body", Some(&body));
        }
        // UTF-16 that passes for UTF-8.
        let body: String = "{\"id\":7}".chars().flat_map(|c| [c, '\0']).collect();
        check(&Request { body: &body, ..Request::default() }, "$request.body.id", None);
    }

    #[test]
    fn only_the_first_100_kb_of_a_body_are_considered() {
        let early =
            format!(r#"{{"id":"7","pad":"{}","late":"8"}}"#, "x".repeat(BODY_FIELD_BYTES_MAX));
        let request = Request { body: &early, ..Request::default() };
        check(&request, "$request.body.id", Some("7"));
        check(&request, "$request.body.late", None);
        check(&request, "$request.body", Some(&early));
    }
}
