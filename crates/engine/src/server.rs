//! An HTTP/1.1 listener: connections bounded in number and in patience, idle ones closed for new ones,
//! stopped without cutting off an answer. What is answered is the handler's business.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::{CONNECTION, HeaderValue};
use axum::response::Response;
use domain::config::LogLevel;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::log::Log;

/// What connections may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Open connections of one listener. For a further one that which was idle for longest is closed;
    /// only where none is idle does it wait.
    connections_max: usize,
    /// How long a client may take to send a request's head, idle time between two requests included.
    head_timeout: Duration,
    /// How long a client that has had an answer may take to begin its next request once the listener
    /// stops. Who sends one after another is about to, and loses what is sent to a connection that
    /// closes.
    next_timeout: Duration,
}

const LIMITS: Limits = Limits {
    connections_max: 1_024,
    head_timeout: Duration::from_secs(75),
    // A round trip around the world.
    next_timeout: Duration::from_millis(300),
};

/// How long what has begun may take to be answered once the listener stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a new connection may take to begin a request once the listener stops: who has connected
/// just now is about to.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may take to end that is closed for another one. One that has sent nothing does
/// at once.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Pause after an accept that failed, as when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running listener. Dropped without [`stop`](Server::stop), it ends at once.
pub(crate) struct Server {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Answers what arrives at `listener` with `handler`.
    pub(crate) fn start<H, F>(listener: TcpListener, log: Log, handler: H) -> io::Result<Self>
    where
        H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        Self::with_limits(listener, log, LIMITS, handler)
    }

    fn with_limits<H, F>(
        listener: TcpListener,
        log: Log,
        limits: Limits,
        handler: H,
    ) -> io::Result<Self>
    where
        H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let (stopping, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, log, limits, handler, stopped));
        Ok(Self { address, stopping, accepting })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it accepts connections: nothing has ended that but a stop.
    pub(crate) fn is_accepting(&self) -> bool {
        !self.accepting.is_finished()
    }

    /// Accepts no more, and returns once the answers under way have left.
    pub(crate) async fn stop(mut self) {
        self.stopping.send_replace(true);
        let _aborted_or_done = tokio::time::timeout(STOP_TIMEOUT, &mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How far a connection is with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing came yet.
    New,
    /// A part of a request is there.
    Begun,
    /// The request is, and its answer is awaited.
    Asked,
    /// The answer is on its way, or has gone.
    Answered,
}

/// A connection that notes when a request begins. hyper takes one whose next request is there in part
/// for idle, and would close it.
struct Watched {
    stream: TcpStream,
    progress: watch::Sender<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.progress.send_if_modified(|progress| {
                let begins = matches!(progress, Progress::New | Progress::Answered);
                if begins {
                    *progress = Progress::Begun;
                }
                begins
            });
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// In the place of the time since when a connection is idle, while it is not.
const BUSY: u64 = u64::MAX;

/// How long connections have been idle.
#[derive(Default)]
struct Idle(Mutex<Connections>);

#[derive(Default)]
struct Connections {
    /// Counts what connections begin and end to do, which is older the lower it is.
    clock: u64,
    /// Who closes them, by when they were last busy.
    idle: BTreeMap<u64, Arc<Notify>>,
}

impl Idle {
    /// A connection has nothing to do; `close` asks it to end. Gives what [`busy`](Self::busy) wants.
    fn idle(&self, close: &Arc<Notify>) -> u64 {
        let mut connections = self.lock();
        connections.clock += 1;
        let since = connections.clock;
        connections.idle.insert(since, Arc::clone(close));
        since
    }

    /// A connection has something to do again, or has ended.
    fn busy(&self, since: u64) {
        self.lock().idle.remove(&since);
    }

    /// Closes the connection that has been idle for longest.
    fn close_oldest(&self) {
        if let Some((_, close)) = self.lock().idle.pop_first() {
            close.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().expect("no code panics while it holds the connections")
    }
}

/// That no connections can be accepted, as when no file descriptors are left: said once when it begins
/// and once when it is over.
struct Failing {
    log: Log,
    is_told: bool,
}

impl Failing {
    fn told(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_told, true) {
            let fields = json!({ "error": error.to_string() });
            self.log.line(LogLevel::Error, "connections cannot be accepted", fields);
        }
    }

    fn over(&mut self) {
        if std::mem::replace(&mut self.is_told, false) {
            self.log.line(LogLevel::Info, "connections are accepted again", json!({}));
        }
    }
}

async fn accept<H, F>(
    listener: TcpListener,
    log: Log,
    limits: Limits,
    handler: H,
    mut stopping: watch::Receiver<bool>,
) where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let idle = Arc::<Idle>::default();
    let mut failing = Failing { log, is_told: false };
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                failing.told(&error);
                // What it is that is used up, a connection that is idle has some of it.
                idle.close_oldest();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failing.over();
        if permits.available_permits() == 0 {
            idle.close_oldest();
        }
        // A stop does not end this wait: who was taken is served, and a stop has others end soon.
        let permit = Arc::clone(&permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let idle = Arc::clone(&idle);
        let connection = serve(stream, peer, handler.clone(), limits, idle, stopping.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: H,
    limits: Limits,
    idle: Arc<Idle>,
    mut stopping: watch::Receiver<bool>,
) where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Answers are small and whole: waiting for more to send with them costs 40 ms and gains nothing.
    let _refused = stream.set_nodelay(true);
    let close = Arc::<Notify>::default();
    let since = Arc::new(AtomicU64::new(idle.idle(&close)));
    let progress = watch::Sender::new(Progress::New);
    let service = service_fn({
        let (idle, close, since) = (Arc::clone(&idle), Arc::clone(&close), Arc::clone(&since));
        let (progress, stopping) = (progress.clone(), stopping.clone());
        move |request| {
            progress.send_replace(Progress::Asked);
            idle.busy(since.swap(BUSY, Ordering::Relaxed));
            let answer = handler(peer, request);
            let (idle, close, since) = (Arc::clone(&idle), Arc::clone(&close), Arc::clone(&since));
            let (progress, stopping) = (progress.clone(), stopping.clone());
            async move {
                let mut answer = answer.await;
                if *stopping.borrow() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                progress.send_replace(Progress::Answered);
                since.store(idle.idle(&close), Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .serve_connection(TokioIo::new(Watched { stream, progress: progress.clone() }), service);
    let mut connection = std::pin::pin!(connection);
    // A connection that breaks concerns its client only, who knows already.
    tokio::select! {
        _broken = connection.as_mut() => {}
        () = stopped(&mut stopping) => {
            let mut progress = progress.subscribe();
            let patience = match *progress.borrow_and_update() {
                Progress::New => BEGIN_TIMEOUT,
                Progress::Answered => limits.next_timeout,
                Progress::Begun | Progress::Asked => Duration::ZERO,
            };
            let begins = tokio::time::timeout(patience, progress.changed());
            let is_broken = tokio::select! {
                _broken = connection.as_mut() => true,
                _begun_or_not = begins => false,
            };
            let progress = *progress.borrow();
            if !is_broken && progress != Progress::New {
                if progress == Progress::Answered {
                    connection.as_mut().graceful_shutdown();
                }
                // The answers say themselves that they are the last.
                let _broken = connection.await;
            }
        }
        () = close.notified() => {
            connection.as_mut().graceful_shutdown();
            // A request that has just arrived is answered; the beginning of one is not waited for.
            while tokio::time::timeout(CLOSE_TIMEOUT, connection.as_mut()).await.is_err()
                && since.load(Ordering::Relaxed) == BUSY
            {}
        }
    }
    idle.busy(since.load(Ordering::Relaxed));
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _dropped = stopping.wait_for(|stopping| *stopping).await;
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n";
    const LIMIT: Duration = Duration::from_secs(30);
    /// What is closed at once is closed by then.
    const SHORT: Duration = Duration::from_millis(100);

    /// A server for four connections, whose answers leave when they are let go.
    async fn server() -> (Server, Arc<Semaphore>) {
        server_with(Limits { connections_max: 4, ..LIMITS }).await
    }

    async fn server_with(limits: Limits) -> (Server, Arc<Semaphore>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = Arc::new(Semaphore::new(0));
        let handler = {
            let answers = Arc::clone(&answers);
            move |_peer, _request| {
                let answers = Arc::clone(&answers);
                async move {
                    answers.acquire().await.unwrap().forget();
                    Response::new(Body::from("answer"))
                }
            }
        };
        (Server::with_limits(listener, Log::nowhere(), limits, handler).unwrap(), answers)
    }

    async fn connect(server: &Server) -> TcpStream {
        TcpStream::connect(server.address()).await.unwrap()
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"answer") {
            let read = tokio::time::timeout(LIMIT, stream.read_buf(&mut answer)).await.unwrap();
            assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
        }
        String::from_utf8(answer).unwrap()
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        let read = tokio::time::timeout(LIMIT, stream.read(&mut [0; 16])).await.unwrap();
        read.is_ok_and(|bytes| bytes == 0)
    }

    #[tokio::test]
    async fn who_takes_too_long_for_a_request_or_for_the_next_one_is_cut_off() {
        let limits = Limits { head_timeout: Duration::from_secs(2), ..LIMITS };
        let (server, answers) = server_with(limits).await;
        answers.add_permits(1);
        let (mut slow, mut idle) = (connect(&server).await, connect(&server).await);
        slow.write_all(&REQUEST[..20]).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
        assert!(is_closed(&mut slow).await && is_closed(&mut idle).await);
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_out() {
        let (server, answers) = server().await;
        answers.add_permits(100);
        let mut silent = Vec::new();
        for number in 0..20 {
            let mut stream = connect(&server).await;
            if number % 2 == 0 {
                // The beginning of a request is not one.
                stream.write_all(&REQUEST[..20]).await.unwrap();
            }
            silent.push(stream);
        }
        let mut stream = connect(&server).await;
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        for stream in &mut silent[..16] {
            assert!(is_closed(stream).await, "the oldest went first");
        }
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_gets_it() {
        let (server, answers) = server().await;
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let mut stream = connect(&server).await;
            stream.write_all(REQUEST).await.unwrap();
            waiting.push(stream);
        }
        let mut late = connect(&server).await;
        late.write_all(REQUEST).await.unwrap();
        answers.add_permits(4);
        for stream in &mut waiting {
            assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
        }
        // They are idle now, and the oldest of them makes room.
        answers.add_permits(1);
        let mut more = connect(&server).await;
        assert!(answer(&mut late).await.starts_with("HTTP/1.1 200"));
        more.write_all(REQUEST).await.unwrap();
        answers.add_permits(1);
        assert!(answer(&mut more).await.starts_with("HTTP/1.1 200"));
    }

    /// What came before `server` read something else, it has read.
    async fn has_read(server: &Server) {
        let mut other = connect(server).await;
        other.write_all(REQUEST).await.unwrap();
        answer(&mut other).await;
    }

    /// Connections in every state that a stop can find them in.
    #[tokio::test]
    async fn a_stop_answers_what_has_begun_and_waits_for_nobody_else() {
        let (server, answers) = server().await;
        answers.add_permits(3);
        let mut half_of_second = connect(&server).await;
        half_of_second.write_all(REQUEST).await.unwrap();
        answer(&mut half_of_second).await;
        let mut half_of_first = connect(&server).await;
        for stream in [&mut half_of_second, &mut half_of_first] {
            stream.write_all(&REQUEST[..20]).await.unwrap();
        }
        has_read(&server).await;
        let mut idle = connect(&server).await;
        idle.write_all(REQUEST).await.unwrap();
        answer(&mut idle).await;
        let address = server.address();
        let stopping = tokio::spawn(server.stop());
        assert!(is_closed(&mut idle).await);
        // Who has closed the idle one goes on with the others only while it is asked to.
        answers.add_permits(2);
        for stream in [&mut half_of_second, &mut half_of_first] {
            stream.write_all(&REQUEST[20..]).await.unwrap();
            let answer = answer(stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
            assert!(is_closed(stream).await);
        }
        tokio::time::timeout(LIMIT, stopping).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    /// It sends one request after another, and a stop comes between two.
    #[tokio::test]
    async fn a_stop_answers_who_sends_the_next_request_soon() {
        let limits = Limits { next_timeout: STOP_TIMEOUT / 2, ..LIMITS };
        let (server, answers) = server_with(limits).await;
        answers.add_permits(2);
        let mut stream = connect(&server).await;
        stream.write_all(REQUEST).await.unwrap();
        answer(&mut stream).await;
        let address = server.address();
        let stopping = tokio::spawn(server.stop());
        while TcpStream::connect(address).await.is_ok() {}
        for part in [&REQUEST[..20], &REQUEST[20..]] {
            let more = tokio::time::timeout(SHORT, stream.read(&mut [0; 16])).await;
            assert!(more.is_err(), "it waits for the rest: {more:?}");
            stream.write_all(part).await.unwrap();
        }
        let answer = answer(&mut stream).await;
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(is_closed(&mut stream).await);
        tokio::time::timeout(LIMIT, stopping).await.unwrap().unwrap();
    }

    /// A load balancer connects ahead of need.
    #[tokio::test]
    async fn a_connection_without_a_request_delays_a_stop_little() {
        let (server, answers) = server().await;
        answers.add_permits(1);
        let mut silent = connect(&server).await;
        has_read(&server).await;
        let before = std::time::Instant::now();
        server.stop().await;
        assert!((BEGIN_TIMEOUT..STOP_TIMEOUT).contains(&before.elapsed()));
        assert!(is_closed(&mut silent).await);
    }

    #[test]
    fn that_nobody_can_be_accepted_is_said_once_and_that_it_is_over() {
        let lines = crate::log::Memory::default();
        let log = crate::log::Log::to_memory(&lines);
        let mut failing = Failing { log: log.clone(), is_told: false };
        failing.over();
        for _ in 0..10 {
            failing.told(&io::Error::other("no file descriptors"));
        }
        failing.over();
        failing.over();
        log.flush();
        let text = lines.text();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("no file descriptors") && text.contains("accepted again"), "{text}");
    }
}
