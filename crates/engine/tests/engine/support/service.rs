//! A service to deliver to, that fails in ways that no HTTP library would let it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It is answered 200.
    Well,
    /// It is answered 503.
    Unavailable,
    /// It is never answered.
    Hang,
    /// The connection is reset.
    Reset,
    /// It is answered something that is not HTTP.
    Garbage,
    /// The answer ends before its status line does: a whole one would be a delivery.
    HalfAnswer,
    /// It is answered 200, after this time.
    Slow(Duration),
}

/// A service. It is gone when dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    behavior: Mutex<Behavior>,
    /// Requests that came, whatever became of them.
    requests: watch::Sender<usize>,
    /// Bodies that were answered 200.
    delivered: watch::Sender<Vec<String>>,
}

impl Service {
    /// A service at `address`, port 0 for any.
    pub(crate) async fn start(address: SocketAddr, behavior: Behavior) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let shared = Arc::new(Shared {
            behavior: Mutex::new(behavior),
            requests: watch::Sender::new(0),
            delivered: watch::Sender::default(),
        });
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    pub(crate) fn set(&self, behavior: Behavior) {
        *self.shared.behavior.lock().unwrap() = behavior;
    }

    /// Waits until this many requests have come.
    pub(crate) async fn requested(&self, least: usize) {
        let mut requests = self.shared.requests.subscribe();
        let requests = requests.wait_for(|requests| *requests >= least);
        tokio::time::timeout(Duration::from_mins(1), requests).await.unwrap().unwrap();
    }

    /// Waits until the bodies that were answered 200 are as `accepts` wants, and gives them.
    pub(crate) async fn delivered(&self, accepts: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut delivered = self.shared.delivered.subscribe();
        let found = delivered.wait_for(|delivered| accepts(delivered));
        let found = tokio::time::timeout(Duration::from_mins(2), found).await;
        let Ok(found) = found else { panic!("{:?}", self.shared.delivered.borrow()) };
        found.unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _peer) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A connection that breaks is what this is for.
            let _broken = shared.serve(stream).await;
        });
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while !stream.fill_buf().await?.is_empty() {
            let behavior = *self.behavior.lock().unwrap();
            if behavior == Behavior::Reset {
                self.count();
                // The system resets a connection that is closed with bytes unread.
                let unread = stream.into_inner();
                unread.peek(&mut [0]).await?;
                return Ok(());
            }
            let body = read_request(&mut stream).await?;
            self.count();
            let answer: &[u8] = match behavior {
                Behavior::Well => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                Behavior::Unavailable => b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
                Behavior::Hang | Behavior::Reset => std::future::pending().await,
                Behavior::Garbage => b"\x16\x03\x01 no HTTP at all\r\n\r\n",
                Behavior::HalfAnswer => b"HTTP/1.1 200 O",
                Behavior::Slow(delay) => {
                    tokio::time::sleep(delay).await;
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                }
            };
            if matches!(behavior, Behavior::Well | Behavior::Slow(_)) {
                self.delivered.send_modify(|delivered| delivered.push(body));
            }
            stream.write_all(answer).await?;
            if matches!(behavior, Behavior::Garbage | Behavior::HalfAnswer) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn count(&self) {
        self.requests.send_modify(|requests| *requests += 1);
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(String::from_utf8(body).unwrap())
}
