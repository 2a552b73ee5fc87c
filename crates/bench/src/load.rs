//! Load on the engine: many connections from one thread, so that the client takes little of the
//! machine it shares with what it measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends `total` requests over `connections` connections and returns how long that took.
/// `request` makes the bytes of the n-th request.
pub(crate) fn run(
    address: SocketAddr,
    connections: usize,
    total: usize,
    request: impl Fn(usize) -> Vec<u8> + Copy + 'static,
) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let started = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|first| {
                tokio::task::spawn_local(async move {
                    let mut stream =
                        TcpStream::connect(address).await.context("connecting to the engine")?;
                    stream.set_nodelay(true)?;
                    let mut answer = Vec::new();
                    for number in (first..total).step_by(connections) {
                        stream.write_all(&request(number)).await?;
                        read(&mut stream, &mut answer).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(started.elapsed())
    })
}

/// Reads one answer and checks that it is a 200.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the engine closed the connection");
        }
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end]).context("an answer's head")?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("the engine answered {}", head.lines().next().unwrap_or_default());
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if answer.len() >= end + 4 + length.context("an answer without a length")? {
            return Ok(());
        }
    }
}
