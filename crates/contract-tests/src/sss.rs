//! SSS, as a receiver that does what a test tells it and holds every request to the
//! [contract](crate::contract).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::contract::contract;
use crate::event::event_id;
use crate::within_patience;

/// A receiver of webhooks at a port of its own.
///
/// It answers 200 unless told otherwise. When it is dropped, the test fails if a request broke the
/// contract.
pub struct Sss {
    server: MockServer,
    state: Arc<State>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The request.
    pub request: Request,
    /// When it arrived.
    pub at: Instant,
}

struct State {
    deliveries: watch::Sender<Vec<Delivery>>,
    script: Mutex<Script>,
    passed_headers: Vec<String>,
    breaches: Mutex<Vec<String>>,
}

/// What is answered: per event, one template after another and the last of them for ever.
struct Script {
    by_event: HashMap<String, Vec<ResponseTemplate>>,
    otherwise: ResponseTemplate,
}

impl Sss {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with_passed_headers(&[]).await
    }

    /// Starts one that gets these headers, too.
    pub async fn start_with_passed_headers(passed_headers: &[&str]) -> Self {
        let script = Script { by_event: HashMap::new(), otherwise: ResponseTemplate::new(200) };
        let state = Arc::new(State {
            deliveries: watch::Sender::default(),
            script: Mutex::new(script),
            passed_headers: passed_headers.iter().map(|&name| name.to_owned()).collect(),
            breaches: Mutex::default(),
        });
        let server = MockServer::builder().disable_request_recording().start().await;
        Mock::given(any()).respond_with(Responder(Arc::clone(&state))).mount(&server).await;
        Self { server, state }
    }

    /// Where it takes webhooks.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/application-hook", self.server.uri())
    }

    /// Answers everything like this that has no answer of its own.
    pub fn answer_all(&self, template: ResponseTemplate) {
        self.script().otherwise = template;
    }

    /// Answers the event of this message like this: one template after another, the last for ever.
    pub fn answer(&self, message_id: &str, templates: impl IntoIterator<Item = ResponseTemplate>) {
        let templates: Vec<ResponseTemplate> = templates.into_iter().collect();
        assert!(!templates.is_empty(), "no answer is not an answer");
        self.script().by_event.insert(event_id(message_id), templates);
    }

    /// What has arrived so far, in order.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.deliveries.borrow().clone()
    }

    /// The event ids of what has arrived so far, in order.
    #[must_use]
    pub fn event_ids(&self) -> Vec<String> {
        self.deliveries().iter().map(|delivery| delivery.header("webhook-id").to_owned()).collect()
    }

    /// Returns when this many requests have arrived, answered or not.
    pub async fn arrivals(&self, count: usize) {
        let mut deliveries = self.state.deliveries.subscribe();
        let arrived = deliveries.wait_for(|deliveries| deliveries.len() >= count);
        within_patience("a request", arrived).await.expect("the sender is in self");
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.state.script.lock().expect("no holder panics")
    }
}

impl Drop for Sss {
    fn drop(&mut self) {
        let breaches = self.state.breaches.lock().expect("no holder panics");
        if !std::thread::panicking() {
            assert!(breaches.is_empty(), "against the contract: {breaches:#?}");
        }
    }
}

impl Delivery {
    /// The value of a header.
    ///
    /// # Panics
    ///
    /// When it is absent or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.request.headers.get(name);
        let value =
            value.unwrap_or_else(|| panic!("no header {name} in {:?}", self.request.headers));
        value.to_str().unwrap_or_else(|_| panic!("header {name} is {value:?}"))
    }
}

struct Responder(Arc<State>);

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let Self(state) = self;
        if let Err(breach) = contract().check(request, &state.passed_headers) {
            state.breaches.lock().expect("no holder panics").push(breach);
        }
        let event = request.headers.get("webhook-id").and_then(|id| id.to_str().ok());
        let answer = state.script.lock().expect("no holder panics").answer(event);
        let delivery = Delivery { request: request.clone(), at: Instant::now() };
        state.deliveries.send_modify(|deliveries| deliveries.push(delivery));
        answer
    }
}

impl Script {
    fn answer(&mut self, event: Option<&str>) -> ResponseTemplate {
        match event.and_then(|event| self.by_event.get_mut(event)) {
            Some(templates) if templates.len() > 1 => templates.remove(0),
            Some(templates) => templates[0].clone(),
            None => self.otherwise.clone(),
        }
    }
}
