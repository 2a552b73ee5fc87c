//! As much of HTTP/1.1 as senders and the service need; no library would misbehave as they have to.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Longest head and body that are read.
const BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// A request or an answer.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The request line or the status line.
    pub(super) first: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }
}

/// Reads a message with a `content-length`, or without a body.
pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Message> {
    let mut message = Message { first: line(stream).await?, ..Message::default() };
    loop {
        let line = line(stream).await?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let length = message.header("content-length").and_then(|length| length.parse().ok());
    let chunked = message.header("transfer-encoding").is_some();
    message.body = match length {
        Some(length) if length <= BYTES_MAX => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            body
        }
        None if chunked => chunks(stream).await?,
        _ => Vec::new(),
    };
    Ok(message)
}

async fn chunks(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(line(stream).await?.trim(), 16);
        let length = length.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        let mut chunk = vec![0; length.min(BYTES_MAX)];
        stream.read_exact(&mut chunk).await?;
        line(stream).await?;
        if length == 0 {
            return Ok(body);
        }
        body.extend(chunk);
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 || !line.ends_with('\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// Asks `address`, on a connection of its own; `headers` are whole lines.
pub(super) async fn ask(
    address: SocketAddr,
    what: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<Message> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let request = format!(
        "{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\
         {headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    read(&mut stream).await
}
