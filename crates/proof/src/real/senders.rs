//! Senders: each has keys of its own, and sends an event of a key only once the one before was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ring::hmac;
use serde_json::json;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::configuration::{FATES, KEYS, route};
use super::http;
use super::record::Record;
use crate::fate::Fate;
use crate::history::{Name, Seen};
use crate::kind::Kind;
use crate::random::Random;

/// How many send at the same time.
const SENDERS: u32 = 20;
/// Longest wait for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// How long a sender who was refused waits before he tries again, as a provider does.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// All senders. Ended when dropped.
#[derive(Debug)]
pub(super) struct Senders {
    permits: Arc<Semaphore>,
    tasks: JoinSet<anyhow::Result<()>>,
}

struct Sender {
    number: u32,
    seed: u64,
    record: Arc<Record>,
    permits: Arc<Semaphore>,
    engine: watch::Receiver<Option<SocketAddr>>,
    connection: Option<BufReader<TcpStream>>,
}

impl Senders {
    pub(super) fn start(
        seed: u64,
        record: &Arc<Record>,
        engine: &watch::Sender<Option<SocketAddr>>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..SENDERS {
            let sender = Sender {
                number,
                seed,
                record: Arc::clone(record),
                permits: Arc::clone(&permits),
                engine: engine.subscribe(),
                connection: None,
            };
            tasks.spawn(sender.run());
        }
        Self { permits, tasks }
    }

    /// Has them send this many more.
    pub(super) fn release(&self, events: u64) {
        self.permits.add_permits(usize::try_from(events).unwrap_or_default());
    }

    /// Fails if one of them has.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.tasks.try_join_next() {
            Some(ended) => ended.context("a sender")?,
            None => Ok(()),
        }
    }
}

impl Sender {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut random = Random::of(self.seed, 100 + u64::from(self.number));
        let keys: Vec<u32> = (0..KEYS).filter(|key| key % SENDERS == self.number).collect();
        let mut next = vec![0_u32; keys.len()];
        loop {
            let permit = self.permits.acquire().await.context("the senders' permits")?;
            permit.forget();
            let place = usize::try_from(random.below(keys.len() as u64)).unwrap_or_default();
            let name = Name { key: keys[place], number: next[place] };
            next[place] += 1;
            self.send(name).await;
            self.record.counts.sent.send_modify(|sent| *sent += 1);
        }
    }

    /// Sends an event until it is accepted, or nobody knows.
    async fn send(&mut self, name: Name) {
        let route = route(name.key);
        let fate = FATES.of(self.seed, route, name);
        let is_forged = fate.is_forged();
        let event_id = format!("event-{name}");
        let request = self.request(name, fate, &event_id);
        loop {
            let Some(address) = self.address().await else { return };
            let sent_at = self.record.now();
            let answer = self.exchange(address, &request).await;
            let answered = answer.as_ref().ok().and_then(http::Message::status);
            let route_name = route.name().to_owned();
            match (&answer, answered) {
                (Ok(answer), Some(200..300)) => {
                    let given = answer.header("apigw-requestid").unwrap_or_default();
                    let event_id = if route == Kind::Named { event_id } else { given.to_owned() };
                    let route = route_name;
                    self.record.push(Seen::Accepted { name, route, event_id, sent_at, is_forged });
                    return;
                }
                (_, status) => {
                    self.connection = None;
                    let route = route_name;
                    let seen = Seen::NotAccepted { name, route, status, sent_at, is_forged };
                    self.record.push(seen);
                }
            }
            match answered {
                // It has no signature.
                Some(400) => return,
                Some(_) => {
                    self.record.counts.refused.send_modify(|refused| *refused += 1);
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                // Only what has a name of its own can be sent again.
                None if route == Kind::Named => tokio::time::sleep(AGAIN_AFTER).await,
                None => return,
            }
        }
    }

    /// Where the engine listens, once it does.
    async fn address(&mut self) -> Option<SocketAddr> {
        let address = self.engine.wait_for(Option::is_some).await.ok()?;
        *address
    }

    fn request(&self, name: Name, fate: Fate, event_id: &str) -> Vec<u8> {
        let route = route(name.key);
        let planted = &self.record.planted;
        let body = json!({ "name": name.to_string(), "mark": planted.body }).to_string();
        let mut head = format!(
            "POST /{} HTTP/1.1\r\nhost: proof\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nx-key: key-{}\r\nx-event: {event_id}\r\n",
            route.name(),
            body.len(),
            name.key,
        );
        if route == Kind::Signed && fate != Fate::Unsigned {
            let rotations = *self.record.counts.rotations.borrow();
            let genuine = planted.provider(rotations);
            let secret = if fate == Fate::Forged { "another" } else { &genuine };
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let signature = hmac::sign(&key, body.as_bytes());
            head.push_str("x-hub-signature-256: sha256=");
            for byte in signature.as_ref() {
                head.extend([format!("{byte:02x}")]);
            }
            head.push_str("\r\n");
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    async fn exchange(
        &mut self,
        address: SocketAddr,
        request: &[u8],
    ) -> std::io::Result<http::Message> {
        let exchange = async {
            let is_there = |stream: &BufReader<TcpStream>| {
                stream.get_ref().peer_addr().is_ok_and(|peer| peer == address)
            };
            let mut stream = if let Some(stream) = self.connection.take().filter(is_there) {
                stream
            } else {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            };
            stream.write_all(request).await?;
            let answer = http::read(&mut stream).await?;
            let is_last = answer.header("connection").is_some_and(|value| value == "close");
            self.connection = Some(stream).filter(|_| !is_last);
            Ok(answer)
        };
        tokio::time::timeout(ANSWERED_WITHIN, exchange).await?
    }
}
