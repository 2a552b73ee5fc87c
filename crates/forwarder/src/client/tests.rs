//! Servers that answer byte for byte as a test says.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::outcome::TransportError;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{advance, pause, resume};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::{Answer, Client, Exchange, may_try_again, public_location};
use crate::lock;
use crate::resolve::Resolver;
use crate::timeout::Timers;

/// Longer than any exchange takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what never comes.
const SHORT: Duration = Duration::from_secs(1);

/// What a server does with a connection.
#[derive(Debug, Clone)]
enum Step {
    /// Reads a request.
    Take,
    /// Reads a byte of one.
    Begin,
    Send(Vec<u8>),
    /// Sends this for every request that comes.
    Serve(&'static str),
    /// Waits until the test says so.
    Await,
    /// Tells the test.
    Tell,
    Reset,
    /// Is a proxy's connection to this address from now on.
    Relay(SocketAddr),
    /// Does nothing for ever.
    Hang,
}

use Step::{Await, Begin, Hang, Relay, Reset, Serve, Take, Tell};

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A server whose first connections do as it was told, and all others as the last of those.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    go: mpsc::UnboundedSender<()>,
    told: mpsc::UnboundedReceiver<()>,
}

impl Server {
    async fn start(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::start_with(scripts, None).await
    }

    async fn start_with(
        scripts: impl IntoIterator<Item = Vec<Step>>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let scripts: Vec<Vec<Step>> = scripts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (go, awaited) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let awaited = Arc::new(tokio::sync::Mutex::new(awaited));
        let (requests, connections) = (Arc::default(), Arc::new(Mutex::new(0)));
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut count = lock(&count);
                    *count += 1;
                    *count - 1
                };
                let script = scripts[number.min(scripts.len() - 1)].clone();
                let (log, tell, tls) = (Arc::clone(&log), tell.clone(), tls.clone());
                let awaited = Arc::clone(&awaited);
                tokio::spawn(async move {
                    let mut host = Host { log, tell, awaited };
                    match tls {
                        None => host.play(stream, &script).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => host.play(stream, &script).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, requests, connections, go, told }
    }

    fn url(&self) -> Url {
        Url::parse(&format!("http://{}/hook?a=b", self.address)).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }

    fn connections(&self) -> usize {
        *lock(&self.connections)
    }

    /// Lets the server go on where it waits.
    fn go(&self) {
        self.go.send(()).unwrap();
    }

    async fn told(&mut self) {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.unwrap().unwrap();
    }
}

struct Host {
    log: Arc<Mutex<Vec<String>>>,
    tell: mpsc::UnboundedSender<()>,
    awaited: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>>,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset(self);
}

impl Io for TcpStream {
    fn reset(self) {
        self.set_zero_linger().unwrap();
    }
}

impl Io for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.set_zero_linger().unwrap();
    }
}

impl Host {
    /// `None` when the client hung up.
    async fn play(&mut self, mut stream: impl Io, script: &[Step]) -> Option<()> {
        for step in script {
            match step {
                Take => self.take(&mut stream).await?,
                Begin => drop(stream.read_u8().await.ok()?),
                Relay(address) => {
                    let mut next = TcpStream::connect(address).await.unwrap();
                    tokio::io::copy_bidirectional(&mut stream, &mut next).await.ok()?;
                }
                Step::Send(bytes) => {
                    stream.write_all(bytes).await.ok()?;
                    stream.flush().await.ok()?;
                }
                Serve(answer) => loop {
                    self.take(&mut stream).await?;
                    stream.write_all(answer.as_bytes()).await.ok()?;
                },
                Await => self.awaited.lock().await.recv().await?,
                Tell => self.tell.send(()).ok()?,
                Reset => {
                    stream.reset();
                    return None;
                }
                Hang => std::future::pending().await,
            }
        }
        stream.shutdown().await.ok()
    }

    async fn take(&mut self, stream: &mut impl Io) -> Option<()> {
        let mut request = Vec::new();
        loop {
            if let Some(length) = request_length(&request)
                && request.len() >= length
            {
                lock(&self.log).push(String::from_utf8(request).unwrap());
                return Some(());
            }
            (stream.read_buf(&mut request).await.ok()? > 0).then_some(())?;
        }
    }
}

fn request_length(request: &[u8]) -> Option<usize> {
    let end = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&request[..end]).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    Some(end + length.parse::<usize>().unwrap())
}

fn client() -> Client {
    Client::new(crate::tls::client_config(None).unwrap(), None)
}

async fn post_within(client: &Client, url: &Url, timeout: Duration) -> Exchange {
    let body = Bytes::from_static(b"{\"n\":1}");
    client.post(&Timers::default(), url, timeout, HeaderMap::new(), body).await
}

async fn post(client: &Client, url: &Url) -> Result<u16, TransportError> {
    post_within(client, url, PATIENCE).await.answer.map(|answer| answer.status)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// What only a second connection says.
const OTHER: &str = "HTTP/1.1 204 No Content\r\n\r\n";
/// What only a connection says that is used once more.
const REUSED: &str = "HTTP/1.1 299 Reused\r\ncontent-length: 0\r\n\r\n";

/// What an event and the one after it are answered, if the first answer is `answer` and then nothing,
/// or the end of the connection.
async fn two(
    answer: &[u8],
    then: Option<Step>,
    timeout: Duration,
) -> (Result<Answer, TransportError>, u16) {
    let first = [Take, Step::Send(answer.to_vec())];
    let server = Server::start([first.into_iter().chain(then).collect(), vec![Serve(OTHER)]]).await;
    let client = client();
    let answer = post_within(&client, &server.url(), timeout).await.answer;
    (answer, post(&client, &server.url()).await.unwrap())
}

#[tokio::test]
async fn an_answer_that_ends_leaves_the_connection_to_the_next() {
    for (answer, status) in [
        (OK, 200),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("HTTP/1.1 503 \r\ncontent-length: 4\r\n\r\nbusy", 503),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: a\r\n\r\n0\r\na: b\r\n\r\n",
            200,
        ),
        ("HTTP/1.1 103 \r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nno", 200),
    ] {
        let (first, second) = two(answer.as_bytes(), Some(Serve(REUSED)), PATIENCE).await;
        assert_eq!(first.map(|answer| answer.status), Ok(status), "{answer:?}");
        assert_eq!(second, 299, "{answer:?}");
    }
}

#[tokio::test]
async fn a_whole_status_line_is_the_answer_whatever_follows() {
    let many = format!("{}\r\n", "a: b\r\n".repeat(1_000));
    let long = format!("a: {}\r\n\r\n", "b".repeat(1_000_000));
    let body = format!("content-length: 100000\r\n\r\n{}", "b".repeat(100_000));
    let mut rows = Vec::new();
    for rest in [
        "x-old : 1\r\ncontent-length: 2\r\n\r\nok",
        "set-cookie: a=b; domain=\x7fx\r\ncontent-length: 2\r\n\r\nok",
        "x-a: one\r\n two\r\ncontent-length: 2\r\n\r\nok",
        "Warning without colon\r\ncontent-length: 2\r\n\r\nok",
        "\x00\x01\x02 garbage\r\n\r\n\r\n",
        "content-length: many\r\n\r\nok",
        "content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "content-length: -1\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\nok no\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
        "transfer-encoding: gzip\r\n\r\n",
        "connection: close\r\n\r\nok",
        "content-length: 100\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n64\r\nhalf",
        "content-le",
        "",
        &many,
        &long,
        &body,
        // Behind a whole answer, another one that nobody asked for.
        "content-length: 0\r\n\r\nHTTP/1.1 299 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        for status in [200, 204, 503, 422] {
            for (then, timeout) in [(None, PATIENCE), (Some(Serve(REUSED)), SHORT)] {
                rows.push(async move {
                    let answer = format!("HTTP/1.1 {status} Whatever\r\n{rest}");
                    let (first, second) = two(answer.as_bytes(), then, timeout).await;
                    let rest = &rest[..rest.len().min(50)];
                    assert_eq!(first.map(|answer| answer.status), Ok(status), "{status} {rest:?}");
                    assert_eq!(second, 204, "{status} {rest:?}");
                });
            }
        }
    }
    join_all(rows).await;
}

/// Readers do not agree where such an answer ends: what is left of it may come when the next event was sent.
#[tokio::test]
async fn an_answer_whose_end_is_disputed_ends_the_connection() {
    for answer in [
        "204 \r\ncontent-length: 38\r\n\r\n",
        "204 \r\ntransfer-encoding: chunked\r\n\r\n",
        "304 \r\ncontent-length: 38\r\n\r\n",
        "200 \r\ntransfer-encoding: chunked\r\ncontent-length: 38\r\n\r\n0\r\n\r\n",
        "500 \r\ncontent-length: 38\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = format!("HTTP/1.1 {answer}");
        let (_, second) = two(answer.as_bytes(), Some(Serve(REUSED)), PATIENCE).await;
        assert_eq!(second, 204, "{answer:?}");
    }
    let answer = "HTTP/1.1 204 \r\ncontent-length: 0\r\n\r\n";
    assert_eq!(two(answer.as_bytes(), Some(Serve(REUSED)), PATIENCE).await.1, 299);
}

#[tokio::test]
async fn less_than_a_status_line_is_no_answer() {
    use TransportError::{Closed, InvalidAnswer, Timeout};

    for (answer, then, expected) in [
        ("", None, Closed),
        ("", Some(Reset), Closed),
        ("HTTP/1.1 200 O", None, Closed),
        ("HTTP/1.1 200 OK\r", None, Closed),
        ("HTTP/1.1 200 O", Some(Reset), Closed),
        ("HTTP/1.1 200 O", Some(Hang), Timeout),
        ("HTTP/1.1 100 Continue\r\n\r\n", None, Closed),
        ("HTTP/1.1 100 Continue\r\n\r\n", Some(Hang), Timeout),
        ("SSH-2.0-OpenSSH_9.9\r\n", None, InvalidAnswer),
        ("HTTP/2 200 OK\r\n\r\n", None, InvalidAnswer),
    ] {
        let timeout = if expected == Timeout { SHORT } else { PATIENCE };
        let (first, second) = two(answer.as_bytes(), then, timeout).await;
        assert_eq!((first, second), (Err(expected), 204), "{answer:?}");
    }
}

/// What follows it is not read, so the connection cannot be used again.
#[tokio::test]
async fn an_answer_is_read_up_to_a_limit() {
    for (bytes, next) in [(64 * 1_024, 299), (64 * 1_024 + 1, 204)] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        let answer = head + &"b".repeat(bytes);
        let (first, second) = two(answer.as_bytes(), Some(Serve(REUSED)), PATIENCE).await;
        assert_eq!((first.unwrap().status, second), (200, next), "{bytes}");
    }
}

#[tokio::test]
async fn what_an_answer_says_is_told() {
    let body = "b".repeat(2_000);
    let answer = format!(
        "HTTP/1.1 307 \r\nretry-after: 7\r\nlocation: /other/?token=x#y\r\ncontent-length: 2000\r\n\r\n{body}"
    );
    let (first, _) = two(answer.as_bytes(), None, PATIENCE).await;
    let first = first.unwrap();
    assert_eq!(first.retry_after.as_deref(), Some("7"));
    assert!(first.location.is_some_and(|location| location.ends_with("/other/")));
    assert_eq!(first.excerpt.as_deref(), Some(&body[..1_024]));
    let chunk = format!("2bc\r\n{}\r\n", "c".repeat(700));
    let chunks =
        format!("HTTP/1.1 503 \r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let (first, _) = two(chunks.as_bytes(), None, PATIENCE).await;
    assert_eq!(first.unwrap().excerpt.map(|excerpt| excerpt.len()), Some(1_024));
    // What came before it stopped is told as well.
    let stopped = b"HTTP/1.1 503 \r\nretry-after : 7\r\ncontent-length: 100\r\n\r\nbusy";
    let (first, _) = two(stopped, Some(Hang), SHORT).await;
    let first = first.unwrap();
    assert_eq!((first.status, first.excerpt.as_deref()), (503, Some("busy")));
    assert_eq!(first.retry_after.as_deref(), Some("7"));
    assert_eq!(first.location, None);
}

#[test]
fn a_location_is_told_without_what_may_be_secret() {
    let url = Url::parse("https://sss.example.com/hook?token=x").unwrap();
    for (location, expected) in [
        ("/hook/", Some("https://sss.example.com/hook/")),
        ("hook/?a=b#c", Some("https://sss.example.com/hook/")),
        ("http://user:secret@other.example.com:81/a?b", Some("http://other.example.com:81/a")),
        ("https://[", None),
        ("mailto:somebody@example.com", None),
    ] {
        assert_eq!(public_location(&url, location).as_deref(), expected, "{location}");
    }
    assert_eq!(public_location(&url, &"/long".repeat(1_000)).map(|text| text.len()), Some(512));
}

/// The request as it is on the wire.
#[tokio::test]
async fn a_request_looks_like_that_of_other_clients() {
    let server = Server::start([vec![Serve(OK)]]).await;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(""));
    headers.insert("webhook-id", HeaderValue::from_static("evt-1"));
    let (client, timers, url) = (client(), Timers::default(), server.url());
    let exchange = client.post(&timers, &url, PATIENCE, headers, Bytes::new()).await;
    assert_eq!(exchange.answer.unwrap().status, 200);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "POST /hook?a=b HTTP/1.1\r\nhost: {}\r\nwebhook-id: evt-1\r\nuser-agent: webhook-queue/{version}\r\naccept: */*\r\ncontent-length: 0\r\n\r\n",
        server.address
    );
    assert_eq!(server.requests(), [expected]);
}

/// Bytes that came on an idle connection belong to nothing that is sent on it.
#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_taken_for_the_next() {
    for first in [OK, "HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n", OTHER] {
        for late in ["HTTP/1.1 299 Late\r\ncontent-length: 0\r\n\r\n", "H"] {
            let script = vec![Take, send(first), Await, send(late), Tell, Serve(REUSED)];
            let mut server = Server::start([script, vec![Serve(OTHER)]]).await;
            let client = client();
            post(&client, &server.url()).await.unwrap();
            server.go();
            server.told().await;
            assert_eq!(post(&client, &server.url()).await, Ok(204), "{first:?} {late:?}");
            assert_eq!(server.requests().len(), 2, "it was not even sent there");
        }
    }
}

/// The system has the bytes, and nobody told the runtime: it is this test that it runs.
#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_seen_though_the_runtime_is_busy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let (go, awaited) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        read_head(&mut first);
        first.write_all(OK.as_bytes()).unwrap();
        awaited.recv().unwrap();
        first.write_all(REUSED.as_bytes()).unwrap();
        tell.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        read_head(&mut second);
        second.write_all(OTHER.as_bytes()).unwrap();
    });
    let client = client();
    let timers = Timers::default();
    let post = async || {
        let exchange = client.post(&timers, &url, PATIENCE, HeaderMap::new(), Bytes::new());
        exchange.await.answer.map(|answer| answer.status)
    };
    assert_eq!(post().await, Ok(200));
    go.send(()).unwrap();
    told.recv().unwrap();
    assert_eq!(post().await, Ok(204));
    server.join().unwrap();
}

/// Reads a request without a body.
fn read_head(stream: &mut std::net::TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
}

/// Larger than what the system takes without a reader.
fn large() -> Bytes {
    Bytes::from(vec![b'x'; 32 << 20])
}

/// On a used connection, what comes before the whole request was sent may be for another one.
#[tokio::test]
async fn a_refusal_of_half_a_request_on_a_used_connection_is_none() {
    let refusal = send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
    let script = vec![Take, send(OK), Begin, refusal, Hang];
    let server = Server::start([script, vec![Serve(OTHER)]]).await;
    let client = client();
    assert_eq!(post(&client, &server.url()).await, Ok(200));
    let (timers, url) = (Timers::default(), server.url());
    let exchange = client.post(&timers, &url, PATIENCE, HeaderMap::new(), large()).await;
    assert_eq!(exchange.answer.map(|answer| answer.status), Ok(204));
}

async fn early(answer: &str, then: Option<Step>) -> (Result<u16, TransportError>, usize) {
    let script = [Step::Send(answer.as_bytes().to_vec())].into_iter().chain(then).collect();
    let server = Server::start([script]).await;
    let timers = Timers::default();
    let exchange = client().post(&timers, &server.url(), PATIENCE, HeaderMap::new(), large()).await;
    (exchange.answer.map(|answer| answer.status), server.connections())
}

#[tokio::test]
async fn a_success_before_the_whole_request_was_there_is_none() {
    let none = (Err(TransportError::InvalidAnswer), 1);
    assert_eq!(early("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Some(Hang)).await, none);
    assert_eq!(early("HTTP/1.1 204 No Content\r\n\r\n", Some(Hang)).await, none);
}

#[tokio::test]
async fn a_refusal_before_the_whole_request_was_there_is_one() {
    let answer = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(early(answer, Some(Hang)).await, (Ok(413), 1));
}

#[tokio::test]
async fn a_connection_that_ended_as_the_request_left_costs_no_attempt() {
    for ended in [None, Some(Reset)] {
        let script = [Take, send(OK), Take].into_iter().chain(ended).collect();
        let server = Server::start([script, vec![Serve(OTHER)]]).await;
        let client = client();
        assert_eq!(post(&client, &server.url()).await, Ok(200));
        assert_eq!(post(&client, &server.url()).await, Ok(204));
        let requests = server.requests();
        assert_eq!((requests.len(), server.connections()), (3, 2));
        assert_eq!(requests[1], requests[2], "the same request");
    }
}

#[tokio::test]
async fn a_second_try_is_the_last() {
    let server = Server::start([vec![Take, send(OK), Take], vec![Take]]).await;
    let client = client();
    assert_eq!(post(&client, &server.url()).await, Ok(200));
    assert_eq!(post(&client, &server.url()).await, Err(TransportError::Closed));
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn a_new_connection_is_not_tried_twice() {
    let server = Server::start([vec![Take], vec![Serve(OK)]]).await;
    assert_eq!(post(&client(), &server.url()).await, Err(TransportError::Closed));
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn nothing_is_tried_twice_after_a_byte_of_an_answer_or_a_timeout() {
    for (more, timeout, expected) in [
        (vec![send("H")], PATIENCE, TransportError::Closed),
        (vec![send("H"), Reset], PATIENCE, TransportError::Closed),
        (vec![send("no HTTP\r\n")], PATIENCE, TransportError::InvalidAnswer),
        (vec![Hang], SHORT, TransportError::Timeout),
    ] {
        let script = [Take, send(OK), Take].into_iter().chain(more).collect();
        let server = Server::start([script, vec![Serve(OTHER)]]).await;
        let client = client();
        assert_eq!(post(&client, &server.url()).await, Ok(200));
        let second = post_within(&client, &server.url(), timeout).await;
        assert_eq!(second.answer, Err(expected));
        assert_eq!((server.requests().len(), server.connections()), (2, 1), "{expected}");
    }
}

#[test]
fn only_silence_that_took_no_time_is_tried_again() {
    for (error, answered, again) in [
        (TransportError::Closed, false, true),
        (TransportError::Tls, false, true),
        (TransportError::Closed, true, false),
        (TransportError::Timeout, false, false),
    ] {
        assert_eq!(may_try_again(error, answered), again, "{error} {answered}");
    }
}

/// A client whose idle connections nobody closes but who takes them.
fn unswept(url: &Url) -> Client {
    let client = client();
    lock(&client.endpoint(url).unwrap().pool.0).swept = true;
    client
}

/// Moves the clock, which stands still meanwhile.
async fn later(seconds: u64) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
}

#[tokio::test]
async fn a_connection_is_not_used_when_it_is_old() {
    let server = Server::start([vec![Take, send(OK), Serve(REUSED)], vec![Serve(OTHER)]]).await;
    let client = unswept(&server.url());
    assert_eq!(post(&client, &server.url()).await, Ok(200));
    later(30).await;
    assert_eq!(post(&client, &server.url()).await, Ok(299));
    later(29).await;
    assert_eq!(post(&client, &server.url()).await, Ok(299));
    later(2).await;
    assert_eq!(post(&client, &server.url()).await, Ok(204), "it is 61 s old");
}

#[tokio::test]
async fn a_connection_is_not_used_when_it_was_idle_for_long() {
    let server = Server::start([vec![Take, send(OK), Serve(REUSED)], vec![Serve(OTHER)]]).await;
    let client = unswept(&server.url());
    assert_eq!(post(&client, &server.url()).await, Ok(200));
    later(51).await;
    assert_eq!(post(&client, &server.url()).await, Ok(204));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end_though_nobody_comes() {
    let server = Server::start([vec![Take, send(OK), Hang]]).await;
    let client = client();
    assert_eq!(post(&client, &server.url()).await, Ok(200));
    let pool = Arc::clone(&client.endpoint(&server.url()).unwrap().pool);
    assert_eq!(lock(&pool.0).connections.len(), 1);
    later(51).await;
    let closed = async {
        while !lock(&pool.0).connections.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
    assert!(!lock(&pool.0).swept);
}

#[tokio::test]
async fn paths_of_one_host_share_their_connections() {
    let server = Server::start([vec![Take, send(OK), Serve(REUSED)], vec![Serve(OTHER)]]).await;
    let client = client();
    assert_eq!(post(&client, &server.url()).await, Ok(200));
    assert_eq!(post(&client, &server.url().join("/other").unwrap()).await, Ok(299));
    let other_port = Server::start([vec![Serve(OTHER)]]).await;
    assert_eq!(post(&client, &other_port.url()).await, Ok(204));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_its_time_is_given_up() {
    // A server that says nothing is one whose handshake never ends.
    let server = Server::start([vec![Hang]]).await;
    let url = Url::parse(&format!("https://{}/", server.address)).unwrap();
    for (timeout, expected) in [(20, 2), (1, 1)] {
        let started = tokio::time::Instant::now();
        let exchange = post_within(&client(), &url, Duration::from_secs(timeout)).await;
        assert_eq!(exchange.answer, Err(TransportError::ConnectTimeout));
        let took = started.elapsed();
        assert_eq!(took.as_secs(), expected, "{took:?}");
    }
}

fn resolving(addresses: &[&str]) -> Client {
    let addresses = addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
    let tls = crate::tls::client_config(None).unwrap();
    Client::with_resolver(tls, None, Resolver::Always(addresses))
}

#[tokio::test]
async fn the_addresses_of_a_name_are_tried_in_turn() {
    let server = Server::start([vec![Serve(OK)]]).await;
    let url = Url::parse(&format!("http://sss.test:{}/", server.address.port())).unwrap();
    assert_eq!(post(&resolving(&["127.0.0.2", "127.0.0.1"]), &url).await, Ok(200));
}

#[tokio::test]
async fn a_name_that_leads_to_a_metadata_service_is_not_called() {
    let url = Url::parse("http://sss.internal/").unwrap();
    let error = post(&resolving(&["169.254.169.254"]), &url).await;
    assert_eq!(error, Err(TransportError::ForbiddenAddress));
}

#[tokio::test]
async fn a_name_that_is_not_there_and_a_closed_port_are_told_apart() {
    let url = Url::parse("http://sss.nope.invalid/").unwrap();
    assert_eq!(post(&client(), &url).await, Err(TransportError::NameNotFound));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    assert_eq!(post(&client(), &url).await, Err(TransportError::Refused));
}

#[tokio::test]
async fn an_answer_that_is_not_tls_is_a_tls_error() {
    let server = Server::start([vec![send("HTTP/1.1 400 Bad Request\r\n\r\n"), Hang]]).await;
    let url = Url::parse(&format!("https://{}/", server.address)).unwrap();
    assert_eq!(post(&client(), &url).await, Err(TransportError::Tls));
}

fn ca_of_tests() -> CertificateParams {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca
}

/// A server with a certificate for `host`, and a client that trusts who issued it.
async fn over_tls(host: &str, expired: bool, trusted: bool) -> (Server, Client, Url) {
    let (server, config, url) = tls_server(host, expired, trusted).await;
    (server, Client::new(config, None), url)
}

async fn tls_server(host: &str, expired: bool, trusted: bool) -> (Server, ClientConfig, Url) {
    let ca_key = KeyPair::generate().unwrap();
    let ca = CertifiedIssuer::self_signed(ca_of_tests(), ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::new([host.to_owned()]).unwrap();
    if expired {
        certificate.not_before = date_time_ymd(2020, 1, 1);
        certificate.not_after = date_time_ymd(2021, 1, 1);
    }
    let certificate = certificate.signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let script = [vec![Take, send(OK), Serve(REUSED)], vec![Serve(OTHER)]];
    let server = Server::start_with(script, Some(tls)).await;
    let mut roots = RootCertStore::empty();
    if trusted {
        roots.add(ca.der().clone()).unwrap();
    } else {
        // Of another authority, of the same name.
        let key = KeyPair::generate().unwrap();
        roots.add(CertifiedIssuer::self_signed(ca_of_tests(), key).unwrap().der().clone()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = Url::parse(&format!("https://{}/", server.address)).unwrap();
    (server, config, url)
}

#[tokio::test]
async fn a_connection_over_tls_is_used_again() {
    let (_server, client, url) = over_tls("127.0.0.1", false, true).await;
    assert_eq!(post(&client, &url).await, Ok(200));
    assert_eq!(post(&client, &url).await, Ok(299));
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    for (host, expired, trusted, expected) in [
        ("127.0.0.1", true, true, TransportError::CertificateExpired),
        ("other.example.com", false, true, TransportError::CertificateOtherHost),
        ("127.0.0.1", false, false, TransportError::CertificateUnknownIssuer),
    ] {
        let (_server, client, url) = over_tls(host, expired, trusted).await;
        assert_eq!(post(&client, &url).await, Err(expected));
    }
    let (_server, _trusting, url) = over_tls("127.0.0.1", false, true).await;
    assert_eq!(post(&client(), &url).await, Err(TransportError::CertificateUnknownIssuer));
}

/// A client that calls everything through a proxy which does this.
async fn through_proxy(scripts: Vec<Vec<Step>>, tls: ClientConfig) -> (Server, Client) {
    let proxy = Server::start(scripts).await;
    let url = Url::parse(&format!("http://{}", proxy.address)).unwrap();
    let client = Client::with_resolver(tls, Some(&url), Resolver::Always(Vec::new()));
    (proxy, client)
}

const TUNNEL: &str = "HTTP/1.1 200 Connection established\r\nvia: proxy\r\n\r\n";

#[tokio::test]
async fn a_destination_is_called_through_a_tunnel_of_the_proxy() {
    let (server, tls, url) = tls_server("sss.example.com", false, true).await;
    let script = vec![Take, send(TUNNEL), Relay(server.address)];
    let (proxy, client) = through_proxy(vec![script], tls).await;
    // Only the proxy has to know the name.
    let mut named = url.clone();
    named.set_host(Some("sss.example.com")).unwrap();
    assert_eq!(post(&client, &named).await, Ok(200));
    assert_eq!(post(&client, &named).await, Ok(299), "on the same connection");
    let requests = proxy.requests();
    let port = url.port().unwrap();
    let connect =
        format!("CONNECT sss.example.com:{port} HTTP/1.1\r\nhost: sss.example.com:{port}\r\n");
    assert!(requests.len() == 1 && requests[0].starts_with(&connect), "{requests:?}");
}

#[tokio::test]
async fn what_a_proxy_answers_to_connect_is_no_delivery() {
    for (answer, then, expected) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Hang, TransportError::ProxyRefused),
        ("HTTP/1.1 302 Found\r\n\r\n", Hang, TransportError::ProxyRefused),
        ("no HTTP\r\n", Hang, TransportError::ProxyRefused),
        ("HTTP/1.1 200 OK\r\n", Reset, TransportError::Closed),
        (TUNNEL, Reset, TransportError::Closed),
        (TUNNEL, send(OK), TransportError::Tls),
    ] {
        let tls = crate::tls::client_config(None).unwrap();
        let (_proxy, client) = through_proxy(vec![vec![Take, send(answer), then]], tls).await;
        let url = Url::parse("https://sss.example.com/").unwrap();
        assert_eq!(post(&client, &url).await, Err(expected), "{answer:?}");
    }
}

#[tokio::test]
async fn a_proxy_is_told_where_a_request_without_tls_goes() {
    let tls = crate::tls::client_config(None).unwrap();
    let (proxy, client) = through_proxy(vec![vec![Serve(OK)]], tls).await;
    let url = Url::parse("http://sss.internal:81/hook?a=b").unwrap();
    assert_eq!(post(&client, &url).await, Ok(200));
    let requests = proxy.requests();
    assert!(
        requests[0].starts_with("POST http://sss.internal:81/hook?a=b HTTP/1.1\r\n"),
        "{requests:?}"
    );
    assert!(requests[0].contains("\r\nhost: sss.internal:81\r\n"), "{requests:?}");
}
