//! An event that tries a route: what is posted, as the provider would, and why that would come to nothing.

use serde::Serialize;
use serde_json::json;

use crate::attribute::EVENT_ID;
use crate::mapping::{Context, Expression, Request, Unresolvable};
use crate::route::{Deduplication, Route};
use crate::signature::Verification;

/// The header that every event has.
const CONTENT_TYPE: &str = "content-type";

/// An event as it is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestEvent {
    headers: Vec<(String, String)>,
    body: String,
}

/// What of an event somebody has chosen; the rest is made.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// Why an event that is posted would not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Obstacle {
    /// Nobody here knows what stands there.
    #[error("the path {path} has parameters, which the provider fills in: post to it with curl")]
    PathParameters {
        /// The route's.
        path: String,
    },
    /// It would become a dead letter.
    #[error(
        "what comes is verified, and nothing is signed here: such an event would become a dead letter, \
         `unverified`. Have the provider send a test event, or give one that he has signed by --body and \
         --header"
    )]
    Unsigned,
    /// It would be refused.
    #[error("an event without {what} is refused: give one by --body and --header")]
    Lacks {
        /// As an expression names it.
        what: String,
    },
}

impl TestEvent {
    /// An event of `key` for `route`, with what was `chosen`, and else with what the route needs. `unique`
    /// tells it apart from every other one, to the route as well.
    #[must_use]
    pub fn new(route: &Route, key: &str, unique: &str, chosen: Chosen) -> Self {
        let Chosen { mut headers, body } = chosen;
        let verified: Vec<&str> = route.verify().map(Verification::headers).unwrap_or_default();
        let passed = route.carried_headers();
        let passed = passed.into_iter().filter(|name| !verified.contains(name));
        let by = match route.deduplication() {
            Deduplication::By(expression) => Some(expression),
            Deduplication::Request | Deduplication::Content => None,
        };
        let named = route.event_id().headers().chain(by.into_iter().flat_map(Expression::headers));
        let needed = named.map(|name| (name, unique));
        let needed = needed.chain(route.ordering_key().headers().chain(passed).map(|it| (it, key)));
        for (name, value) in needed.chain([(CONTENT_TYPE, "application/json")]) {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let made = || json!({ "test_event": true, "key": key, "id": unique }).to_string();
        Self { headers, body: body.unwrap_or_else(made) }
    }

    /// Names and values.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Why `route` would not deliver it, if that can be told before.
    #[must_use]
    pub fn obstacle(&self, route: &Route) -> Option<Obstacle> {
        if route.path().parameters().next().is_some() {
            return Some(Obstacle::PathParameters { path: route.path().to_string() });
        }
        let is_signed = |name: &str| {
            let mut given = self.headers.iter();
            given.any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        if let Some(verify) = route.verify()
            && !verify.headers().into_iter().chain(verify.token_header()).any(is_signed)
        {
            return Some(Obstacle::Unsigned);
        }
        let lacks = self.event_id(route, "any").err()?;
        let what = lacks.missing().unwrap_or_else(|| lacks.property()).to_owned();
        Some(Obstacle::Lacks { what })
    }

    /// The id that it has in logs and at the service, if the API answers with this request id.
    ///
    /// # Errors
    ///
    /// If the API refuses it for want of something.
    pub fn event_id(&self, route: &Route, request_id: &str) -> Result<String, Unresolvable> {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let context = Context { request_id, ..Context::default() };
        let request = Request { headers, body: &self.body, context, ..Request::default() };
        let mut message = route.integration("none").evaluate(&request)?;
        let id = message.attributes.remove(EVENT_ID);
        Ok(id.map_or_else(|| request_id.to_owned(), |id| id.value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Config;

    fn route(more: &Value) -> Route {
        let mut route = json!({
            "path": "/hook", "ordering_key": "$request.header.x-order",
            "destinations": [{ "name": "service", "url": "http://127.0.0.1:1/" }],
        });
        for (name, value) in more.as_object().unwrap() {
            route[name] = value.clone();
        }
        let config = json!({ "environment": "test", "routes": { "r": route } });
        Config::parse(&config.to_string()).unwrap().routes()["r"].clone()
    }

    fn made(route: &Route, headers: &[(&str, &str)], body: Option<&str>) -> TestEvent {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let chosen = Chosen { headers: headers.collect(), body: body.map(str::to_owned) };
        TestEvent::new(route, "key-1", "u-1", chosen)
    }

    #[test]
    fn it_has_what_the_route_needs_and_what_was_chosen() {
        let route = route(&json!({
            "event_id": "$request.header.x-id", "pass_headers": ["x-kind"],
        }));
        let event = made(&route, &[], None);
        assert_eq!(event.obstacle(&route), None);
        assert_eq!(event.event_id(&route, "request-1"), Ok("u-1".to_owned()));
        let header = |event: &TestEvent, name: &str| {
            let found = event.headers().iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        assert_eq!(header(&event, "x-order"), "key-1");
        assert_eq!(header(&event, "x-kind"), "key-1");
        assert_eq!(header(&event, "content-type"), "application/json");
        assert_eq!(event.body(), r#"{"id":"u-1","key":"key-1","test_event":true}"#);
        let chosen =
            made(&route, &[("X-Order", "order-7"), ("Content-Type", "text/plain")], Some("b"));
        assert_eq!(header(&chosen, "X-Order"), "order-7");
        assert_eq!(
            (header(&chosen, "x-order"), header(&chosen, "content-type")),
            (String::new(), String::new())
        );
        assert_eq!(chosen.body(), "b");
    }

    #[test]
    fn what_would_come_to_nothing_is_told_before() {
        let check = |more: Value, headers: &[(&str, &str)], body: Option<&str>, expected| {
            let route = route(&more);
            assert_eq!(made(&route, headers, body).obstacle(&route), expected, "{route:?}");
        };
        let by_body = || json!({ "ordering_key": "$request.body.order.id" });
        let lacks = Some(Obstacle::Lacks { what: "$request.body.order.id".to_owned() });
        check(by_body(), &[], None, lacks);
        check(by_body(), &[], Some(r#"{"order":{"id":"7"}}"#), None);
        let path = json!({ "path": "/hook/{shop}" });
        let parameters = Obstacle::PathParameters { path: "/hook/{shop}".to_owned() };
        check(path, &[], None, Some(parameters));
        let signed = || json!({ "verify": { "scheme": "stripe", "secrets": ["env:S"] } });
        check(signed(), &[], None, Some(Obstacle::Unsigned));
        check(signed(), &[("Stripe-Signature", "t=1,v1=0")], None, None);
        let token = || json!({ "verify": { "scheme": "token", "token": { "header": "x-token" }, "secrets": ["env:S"] } });
        check(token(), &[("x-other", "s")], None, Some(Obstacle::Unsigned));
        check(token(), &[("X-Token", "s")], None, None);
    }
}
