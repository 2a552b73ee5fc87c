//! Destinations that do not speak HTTP as they should.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::within_patience;

/// What such a destination does with a connection, once the request is there.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Ends the connection with a reset.
    Resets,
    /// Closes the connection without a byte.
    Closes,
    /// Writes this, then closes the connection.
    WritesAndCloses(&'static [u8]),
    /// Writes this, then nothing for ever.
    WritesAndHangs(&'static [u8]),
    /// Writes this, then bytes for ever.
    NeverEnds(&'static [u8]),
    /// Answers this many requests with 200, reads one more, and closes the connection.
    AnswersAndCloses(usize),
    /// Writes this slowly, a byte at a time, with a pause before each.
    Trickles(&'static [u8], Duration),
    /// Answers the first bytes with this, whatever they were, and then with nothing for ever.
    Interrupts(&'static [u8]),
    /// Ends the connection with a reset as soon as it is there.
    RefusesToTalk,
}

/// A destination at a port of its own.
pub struct Wire {
    url: String,
    connections: watch::Receiver<usize>,
}

impl Wire {
    /// Starts one that does this with every connection.
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
        let (sender, connections) = watch::channel(0);
        let behaviour = Arc::new(behaviour);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                sender.send_modify(|count| *count += 1);
                let behaviour = Arc::clone(&behaviour);
                // An error is the forwarder's closing first, which is its right.
                tokio::spawn(async move { behave(stream, &behaviour).await.ok() });
            }
        });
        Self { url, connections }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns when this many connections have come.
    pub async fn connections(&self, count: usize) {
        let mut connections = self.connections.clone();
        let come = connections.wait_for(|connections| *connections >= count);
        within_patience("a connection", come)
            .await
            .expect("the listener lives as long as the test");
    }
}

/// A URL at which nobody listens, and nobody else will: its port stays taken.
#[must_use]
pub fn nobody() -> String {
    let socket = tokio::net::TcpSocket::new_v4().expect("there are sockets");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    std::mem::forget(socket);
    format!("http://{address}/hook")
}

async fn behave(mut stream: TcpStream, behaviour: &Behaviour) -> std::io::Result<()> {
    if matches!(behaviour, Behaviour::RefusesToTalk) {
        return stream.set_zero_linger();
    }
    if let Behaviour::Interrupts(bytes) = behaviour {
        stream.readable().await?;
        stream.write_all(bytes).await?;
        std::future::pending::<()>().await;
    }
    read_request(&mut stream).await?;
    match behaviour {
        Behaviour::Resets | Behaviour::RefusesToTalk | Behaviour::Interrupts(_) => {
            stream.set_zero_linger()
        }
        Behaviour::Closes => Ok(()),
        Behaviour::WritesAndCloses(bytes) => {
            stream.write_all(bytes).await?;
            stream.shutdown().await
        }
        Behaviour::WritesAndHangs(bytes) => {
            stream.write_all(bytes).await?;
            std::future::pending().await
        }
        Behaviour::NeverEnds(bytes) => {
            stream.write_all(bytes).await?;
            loop {
                stream.write_all(&[b'x'; 1_024]).await?;
            }
        }
        Behaviour::AnswersAndCloses(count) => {
            for _ in 0..*count {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
                read_request(&mut stream).await?;
            }
            Ok(())
        }
        Behaviour::Trickles(bytes, pause) => {
            for byte in *bytes {
                tokio::time::sleep(*pause).await;
                stream.write_all(&[*byte]).await?;
            }
            std::future::pending().await
        }
    }
}

/// Reads head and body, as a close with unread bytes would become a reset.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..count]);
        if is_complete(&request) {
            return Ok(());
        }
    }
}

fn is_complete(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    request.len() >= end + 4 + length
}
