//! The service: an address for each destination, each failing as it is told.
//!
//! Not the stand-in of `crates/sss-stub`, whose HTTP library would neither reset a connection nor write
//! half an answer; and what it saw has to be told by the senders' clock.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::configuration::{FATES, TIMEOUT_SECONDS};
use super::http;
use super::mounts::Hosts;
use super::record::Record;
use crate::history::{Answer, Name, Seen, Written};
use crate::kind::Kind;
use crate::random::Random;
use crate::schedule::Fault;

/// How long a fault waits for the first who meets it.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// Where a destination is while it is not on the usual address: on loopback as well.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long a listener that was taken away is waited for.
const BIND_WITHIN: Duration = Duration::from_secs(10);

/// All destinations.
#[derive(Debug)]
pub(super) struct Service {
    destinations: BTreeMap<&'static str, Arc<Destination>>,
    is_healthy: Arc<AtomicBool>,
}

/// One destination.
#[derive(Debug)]
pub(super) struct Destination {
    name: &'static str,
    route: Kind,
    /// Where it listens now.
    address: Mutex<SocketAddr>,
    /// By which it is called by its name.
    hosts: Option<Arc<Hosts>>,
    seed: u64,
    record: Arc<Record>,
    is_healthy: Arc<AtomicBool>,
    fault: Mutex<Option<Fault>>,
    /// One fault at a time.
    turn: tokio::sync::Mutex<()>,
    /// How many requests met the fault.
    hits: watch::Sender<u64>,
    /// How often each event came.
    attempts: Mutex<HashMap<Name, u32>>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What stands in a body, as far as the service looks.
#[derive(Debug, Deserialize)]
struct Body {
    name: String,
}

impl Service {
    pub(super) async fn start(
        seed: u64,
        record: &Arc<Record>,
        hosts: Option<&Arc<Hosts>>,
    ) -> anyhow::Result<Self> {
        let is_healthy = Arc::new(AtomicBool::new(false));
        let mut destinations = BTreeMap::new();
        for route in Kind::ALL {
            for name in route.destinations() {
                let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
                let destination = Arc::new(Destination {
                    name,
                    route,
                    address: Mutex::new(listener.local_addr().context("listening")?),
                    hosts: hosts.cloned(),
                    seed,
                    record: Arc::clone(record),
                    is_healthy: Arc::clone(&is_healthy),
                    fault: Mutex::default(),
                    turn: tokio::sync::Mutex::default(),
                    hits: watch::Sender::default(),
                    attempts: Mutex::default(),
                    accepting: Mutex::default(),
                });
                destination.accept(listener);
                destinations.insert(*name, destination);
            }
        }
        Ok(Self { destinations, is_healthy })
    }

    /// Where each is, as it is called.
    pub(super) fn authorities(&self) -> BTreeMap<&'static str, String> {
        self.destinations.iter().map(|(name, it)| (*name, it.authority())).collect()
    }

    /// The destination that a number chooses.
    pub(super) fn chosen(&self, choice: u64) -> Arc<Destination> {
        let place = usize::try_from(choice % self.destinations.len() as u64).unwrap_or_default();
        let chosen = self.destinations.values().nth(place);
        Arc::clone(chosen.expect("a number below how many there are"))
    }

    /// From now on it takes whatever it can take at all.
    pub(super) fn be_well(&self) {
        self.is_healthy.store(true, Ordering::Relaxed);
    }
}

impl Destination {
    /// Has it fail until it met `hits` requests, or until `within` is over and it met one; gives how many it
    /// met.
    pub(super) async fn fail(
        self: &Arc<Self>,
        fault: Fault,
        hits: u64,
        within: Duration,
    ) -> anyhow::Result<u64> {
        let _turn = self.turn.lock().await;
        self.hits.send_replace(0);
        self.record.push(Seen::Began { fault });
        let met = if fault == Fault::Refuse {
            self.refuse(hits, within).await?
        } else if let (Fault::MoveName, Some(hosts)) = (fault, &self.hosts) {
            self.move_away(hosts).await?
        } else {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            let mut seen = self.hits.subscribe();
            let met = async { seen.wait_for(|seen| *seen >= hits).await.is_ok() };
            let _met = tokio::time::timeout(within, met).await;
            // Delivery may have been paused, or a breaker open: where nobody ever comes, the table says so.
            let met = async { seen.wait_for(|seen| *seen >= 1).await.is_ok() };
            let _met = tokio::time::timeout(COMES_WITHIN, met).await;
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *self.hits.borrow()
        };
        self.record.push(Seen::Ended { fault, hits: met });
        Ok(met)
    }

    /// Nobody listens; that somebody came can only be seen in the log.
    async fn refuse(self: &Arc<Self>, hits: u64, within: Duration) -> anyhow::Result<u64> {
        let failed = |failed: &HashMap<String, u64>| failed.get(self.name).copied().unwrap_or(0);
        let mut seen = self.record.counts.failed.subscribe();
        let before = failed(&seen.borrow());
        self.be_gone().await;
        let met = async { seen.wait_for(|seen| failed(seen) >= before + hits).await.is_ok() };
        let _met = tokio::time::timeout(within, met).await;
        let met = async { seen.wait_for(|seen| failed(seen) > before).await.is_ok() };
        let _met = tokio::time::timeout(COMES_WITHIN, met).await;
        self.accept(listen(self.address()).await?);
        Ok(failed(&self.record.counts.failed.borrow()) - before)
    }

    /// Its name leads to another address, where it listens from now on, and no longer where it was; gives how
    /// many came there.
    async fn move_away(self: &Arc<Self>, hosts: &Hosts) -> anyhow::Result<u64> {
        let from = self.address();
        let ip = if from.ip() == Ipv4Addr::LOCALHOST { ELSEWHERE } else { Ipv4Addr::LOCALHOST };
        let to = SocketAddr::new(IpAddr::V4(ip), from.port());
        let listener = listen(to).await?;
        hosts.point(self.name, ip)?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.be_gone().await;
        self.accept(listener);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fault::MoveName);
        let mut seen = self.hits.subscribe();
        let met = async { seen.wait_for(|seen| *seen >= 1).await.is_ok() };
        let _met = tokio::time::timeout(COMES_WITHIN, met).await;
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(*self.hits.borrow())
    }

    /// Nobody listens any more, and every connection ends.
    async fn be_gone(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // It ends because it was asked to.
            let _ended = accepting.await;
        }
    }

    fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authority(&self) -> String {
        let address = self.address();
        match self.hosts {
            Some(_) => format!("{}:{}", Hosts::name(self.name), address.port()),
            None => address.to_string(),
        }
    }
    fn accept(self: &Arc<Self>, listener: TcpListener) {
        let destination = Arc::clone(self);
        let accepting = tokio::spawn(async move {
            // Ends with this task, and every connection with it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let destination = Arc::clone(&destination);
                connections.spawn(async move {
                    // A connection that breaks is what this is for.
                    let _broken = destination.serve(stream).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepting);
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while !stream.fill_buf().await?.is_empty() {
            let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            if fault.is_some() {
                self.hits.send_modify(|hits| *hits += 1);
            }
            if fault == Some(Fault::ResetBefore) {
                return reset(&stream);
            }
            let request = http::read(&mut stream).await?;
            if !self.answer(&mut stream, &request, fault).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the connection goes on.
    async fn answer(
        &self,
        stream: &mut BufReader<TcpStream>,
        request: &http::Message,
        fault: Option<Fault>,
    ) -> std::io::Result<bool> {
        let body: Option<Body> = serde_json::from_slice(&request.body).ok();
        let Some(name) = body.and_then(|body| Name::parse(&body.name)) else {
            // What nobody sent is noted under a name that nobody has.
            let name = Name { key: u32::MAX, number: 0 };
            self.note(name, request);
            return Ok(false);
        };
        let place = self.note(name, request);
        let read_at = Instant::now();
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = attempts.entry(name).or_default();
            *count += 1;
            *count - 1
        };
        let is_healthy = self.is_healthy.load(Ordering::Relaxed);
        let status = FATES.of(self.seed, self.route, name).status(attempt, self.route, is_healthy);
        let reply = Reply::of(fault, status, self.seed ^ place as u64);
        match reply.wait {
            Wait::None => {}
            Wait::For(time) => tokio::time::sleep(time).await,
            Wait::ForEver => {
                // Until the other side has had enough.
                let _gone = stream.read(&mut [0]).await;
                return Ok(false);
            }
        }
        if reply.text.is_empty() {
            reset(stream)?;
            return Ok(false);
        }
        let written = stream.write_all(reply.text.as_bytes()).await;
        if written.is_ok() {
            let after_ms = u32::try_from(read_at.elapsed().as_millis()).unwrap_or(u32::MAX);
            let answer = Answer { status: reply.status, written: reply.written, after_ms };
            self.record.answered(place, answer);
        }
        written?;
        if !reply.goes_on {
            stream.shutdown().await?;
        }
        Ok(reply.goes_on)
    }

    fn note(&self, name: Name, request: &http::Message) -> usize {
        let event_id = request.header("webhook-id").unwrap_or_default().to_owned();
        let destination = self.name.to_owned();
        self.record.push(Seen::Got { name, destination, event_id, answer: Answer::NONE })
    }
}

/// Listens there, once nobody else does.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let started = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if started.elapsed() > BIND_WITHIN => {
                return Err(error).context("listening where the service is to be");
            }
            Err(_taken) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Has the system reset the connection.
fn reset(stream: &BufReader<TcpStream>) -> std::io::Result<()> {
    stream.get_ref().set_zero_linger()
}

enum Wait {
    None,
    For(Duration),
    ForEver,
}

/// What is answered.
struct Reply {
    wait: Wait,
    /// Nothing if the connection is reset.
    text: String,
    status: Option<u16>,
    written: Written,
    goes_on: bool,
}

impl Reply {
    fn of(fault: Option<Fault>, status: u16, choice: u64) -> Self {
        let whole = |status: u16, headers: &str| Self {
            wait: Wait::None,
            text: format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n"),
            status: Some(status),
            written: Written::StatusLine,
            goes_on: true,
        };
        let cut = |text: &str, status: Option<u16>, written: Written| Self {
            wait: Wait::None,
            text: text.to_owned(),
            status,
            written,
            goes_on: false,
        };
        match fault {
            Some(Fault::Fail) => whole(500, ""),
            Some(Fault::Unavailable) => whole(503, ""),
            Some(Fault::TooMany) => whole(429, "retry-after: 1\r\n"),
            Some(Fault::Hang) => Self { wait: Wait::ForEver, ..cut("", None, Written::Nothing) },
            Some(Fault::ResetAfter) => cut("", None, Written::Nothing),
            Some(Fault::Slow) => {
                let time = Duration::from_millis(u64::from(TIMEOUT_SECONDS) * 200);
                Self { wait: Wait::For(time), ..whole(status, "") }
            }
            Some(Fault::Garbage) => {
                cut("\u{16}\u{3}\u{1} no HTTP at all\r\n\r\n", None, Written::Nothing)
            }
            Some(Fault::HalfAnswer) => cut("HTTP/1.1 200 O", None, Written::Part),
            Some(Fault::StatusLineOnly) => {
                cut("HTTP/1.1 200 OK\r\n", Some(200), Written::StatusLine)
            }
            Some(Fault::OddSuccess) => Self::odd(choice),
            _ => whole(status, ""),
        }
    }

    /// A 2xx that nobody uses, or a body that is not as long as it says.
    fn odd(choice: u64) -> Self {
        let mut random = Random::of(choice, 4);
        let status = [201_u16, 202, 204, 206, 226, 299];
        let status = random.pick(&status).copied().unwrap_or(200);
        let rest = [
            "content-length: 50\r\n\r\nshort",
            "transfer-encoding: chunked\r\n\r\nzz\r\n",
            "content-length: -1\r\n\r\n",
            "\r\nwithout a length",
            "no header at all\r\n\r\n",
        ];
        let rest = random.pick(&rest).copied().unwrap_or_default();
        Self {
            wait: Wait::None,
            text: format!("HTTP/1.1 {status} Odd\r\n{rest}"),
            status: Some(status),
            written: Written::StatusLine,
            goes_on: false,
        }
    }
}
