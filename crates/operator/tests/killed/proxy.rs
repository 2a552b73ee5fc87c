//! Between a command and the engine: counts what is asked, and holds on to one request or its answer for
//! good, so that the command can be killed just then.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// When it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The engine does not hear of the request.
    Before,
    /// The engine has done what was asked, and the command does not hear of that.
    After,
}

/// Which requests count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    All,
    /// Those by which a dead letter is sent and deleted.
    Sending,
}

/// The request that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) counted: Counted,
    /// From 1.
    pub(crate) nth: usize,
    pub(crate) moment: Moment,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    reached: Notify,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    all: usize,
    sending: usize,
}

impl Proxy {
    pub(crate) async fn to(engine: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let of_all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, engine, Arc::clone(&of_all)));
            }
        });
        Self { address, shared }
    }

    /// Counts from 0 again, and holds this one.
    pub(crate) fn hold(&self, held: Option<Held>) {
        *self.shared.state.lock().unwrap() = State { held, ..State::default() };
    }

    /// Once it is held.
    pub(crate) async fn reached(&self) {
        self.shared.reached.notified().await;
    }
}

impl Shared {
    /// Counts a request, and says when it is to be held.
    fn count(&self, request: &str) -> Option<Moment> {
        let mut state = self.state.lock().unwrap();
        let request = request.to_ascii_lowercase();
        let sends = ["amazonsqs.sendmessage", "amazonsqs.deletemessage"];
        let is_sending = sends.iter().any(|operation| request.contains(operation));
        state.all += 1;
        state.sending += usize::from(is_sending);
        let held = state.held?;
        let number = match held.counted {
            Counted::All => state.all,
            Counted::Sending if is_sending => state.sending,
            Counted::Sending => return None,
        };
        (number == held.nth).then_some(held.moment)
    }

    async fn stop_here(&self) {
        self.reached.notify_one();
        std::future::pending::<()>().await;
    }
}

/// One exchange, on connections of its own.
async fn pass_on(mut client: TcpStream, engine: SocketAddr, shared: Arc<Shared>) {
    let Some(request) = request(&mut client).await else { return };
    let (head, body) = request;
    let moment = shared.count(&head);
    if moment == Some(Moment::Before) {
        shared.stop_here().await;
    }
    let mut to_engine = TcpStream::connect(engine).await.unwrap();
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    to_engine.write_all(head.as_bytes()).await.unwrap();
    to_engine.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    let _closed = to_engine.read_to_end(&mut answer).await;
    if moment == Some(Moment::After) {
        shared.stop_here().await;
    }
    let _gone = client.write_all(&answer).await;
}

/// A head and a body; `None` where the client has gone.
async fn request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = read.split_off(end);
    let head = String::from_utf8(read).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    while body.len() < length.unwrap_or_default() {
        if client.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}
