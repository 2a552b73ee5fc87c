//! Those who post events, and the API that takes them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use domain::mapping::{Context, Request, RequestParameters};
use ring::hmac;
use serde_json::json;
use tokio::time::{sleep, sleep_until};

use super::configuration::{FATES, Kind};
use super::machine::Undone;
use super::plan::Event;
use super::sqs::Sending;
use super::world::{INGEST, World};
use crate::fate::Fate;
use crate::history::{Micros, Name, Seen};
use crate::random::Random;
use crate::schedule::Fault;

/// One answer in so many is lost.
const LOST: u64 = 60;
/// How long whoever got no answer waits at most until it is sent again, and for how long that goes on: the
/// queue knows a repeat for five minutes.
const AGAIN_AFTER_SECONDS: u64 = 120;
const AGAIN_FOR: Micros = 150_000_000;

/// The senders of a day.
pub(super) struct Senders {
    world: Rc<World>,
    /// What the API makes a message of, by the route.
    parameters: BTreeMap<String, RequestParameters>,
    random: RefCell<Random>,
}

impl Senders {
    pub(super) fn new(world: &Rc<World>) -> Rc<Self> {
        let config = world.configuration.borrow().config();
        let routes = config.routes().iter();
        let parameters = routes.map(|(name, route)| (name.clone(), route.integration("queue")));
        let random = RefCell::new(world.random(41));
        Rc::new(Self { random, world: Rc::clone(world), parameters: parameters.collect() })
    }

    fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end)
    }

    /// Sends an event in its time.
    pub(super) async fn send(self: Rc<Self>, event: Event) {
        sleep_until(self.world.instant(event.at)).await;
        let name = event.name;
        let kind = self.world.configuration.borrow().route(name.key);
        let is_forged = FATES.of(self.world.seed, kind, name).is_forged();
        let route = kind.name().to_owned();
        for attempt in 0.. {
            let sent_at = self.world.now();
            sleep(Duration::from_micros(2_000 + self.below(80_000))).await;
            let id = format!("request-{name}-{attempt}");
            let status = self.take(name, kind, &id).await;
            sleep(Duration::from_micros(2_000 + self.below(80_000))).await;
            let is_lost = self.below(LOST) == 0;
            let status = status.filter(|_| !is_lost);
            if status == Some(200) {
                let event_id = if kind == Kind::Named { event_id(name) } else { id };
                self.world.push(Seen::Accepted { name, route, event_id, sent_at, is_forged });
                return;
            }
            let seen = Seen::NotAccepted { name, route: route.clone(), status, sent_at, is_forged };
            self.world.push(seen);
            // Only what has a name of its own can be sent again.
            let is_late = self.world.now() > event.at + AGAIN_FOR;
            if kind != Kind::Named || status.is_some() || is_late {
                return;
            }
            sleep(Duration::from_secs(1 + self.below(AGAIN_AFTER_SECONDS))).await;
        }
    }

    /// What the API does with a request: by the route's own mapping, into the queue. Gives the status, unless
    /// there is nobody who answers.
    async fn take(&self, name: Name, kind: Kind, request_id: &str) -> Option<u16> {
        let planted = &self.world.planted;
        let body = json!({ "name": name.to_string(), "mark": planted.body }).to_string();
        let (key, event_id, path) =
            (format!("key-{}", name.key), event_id(name), format!("/{}", kind.name()));
        let fate = FATES.of(self.world.seed, kind, name);
        let signature = self.signature(fate, &body);
        let mut headers = vec![
            ("content-type", "application/json"),
            ("x-key", key.as_str()),
            ("x-event", event_id.as_str()),
        ];
        if kind == Kind::Signed && fate != Fate::Unsigned {
            headers.push(("x-hub-signature-256", signature.as_str()));
        }
        let request = Request {
            headers,
            path: &path,
            body: &body,
            context: Context {
                request_id,
                request_time: self.world.wall(),
                source_ip: "192.0.2.1",
                route_key: "POST /",
                stage: "$default",
                http_method: "POST",
            },
            stage_variables: BTreeMap::new(),
            query: Vec::new(),
            path_parameters: Vec::new(),
        };
        let Some(parameters) = self.parameters.get(kind.name()) else { return Some(404) };
        let Ok(message) = parameters.evaluate(&request) else { return Some(400) };
        let sending = Sending {
            deduplication_id: message.deduplication_id.unwrap_or_else(|| body.clone()),
            body: message.body,
            group_id: message.group_id,
            attributes: message.attributes,
            sender: INGEST,
        };
        match self.world.send(sending).await {
            Ok(()) => Some(200),
            Err(Undone::Refused) => {
                self.world.hit(Fault::FullDisk);
                Some(503)
            }
            Err(Undone::Unheard) => None,
        }
    }

    fn signature(&self, fate: Fate, body: &str) -> String {
        let secret = self.world.provider_signs_with();
        let secret = if fate == Fate::Forged { "another" } else { &secret };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut text = "sha256=".to_owned();
        for byte in hmac::sign(&key, body.as_bytes()).as_ref() {
            text.extend([format!("{byte:02x}")]);
        }
        text
    }
}

/// How the provider names an event.
fn event_id(name: Name) -> String {
    format!("event-{name}")
}
