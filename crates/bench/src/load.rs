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
    let started = Instant::now();
    send(address, connections, total, None, request)?;
    Ok(started.elapsed())
}

/// The same, one request every `interval`. Returns since when each is under way: since it was sent, or,
/// where its connection was still busy, since it was due.
pub(crate) fn run_paced(
    address: SocketAddr,
    connections: usize,
    total: usize,
    interval: Duration,
    request: impl Fn(usize) -> Vec<u8> + Copy + 'static,
) -> anyhow::Result<Vec<Instant>> {
    // The first is due once all have connected.
    let first_due = Instant::now() + Duration::from_millis(100);
    send(address, connections, total, Some((first_due, interval)), request)
}

fn send(
    address: SocketAddr,
    connections: usize,
    total: usize,
    pace: Option<(Instant, Duration)>,
    request: impl Fn(usize) -> Vec<u8> + Copy + 'static,
) -> anyhow::Result<Vec<Instant>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let tasks: Vec<_> = (0..connections)
            .map(|first| {
                tokio::task::spawn_local(async move {
                    let mut stream =
                        TcpStream::connect(address).await.context("connecting to the engine")?;
                    stream.set_nodelay(true)?;
                    let mut answer = Vec::new();
                    let mut sent = Vec::new();
                    for number in (first..total).step_by(connections) {
                        let mut since = Instant::now();
                        if let Some((first_due, interval)) = pace {
                            let due = first_due + interval * u32::try_from(number)?;
                            if since < due {
                                tokio::time::sleep_until(due.into()).await;
                                since = Instant::now();
                            } else {
                                since = due;
                            }
                        }
                        sent.push((number, since));
                        stream.write_all(&request(number)).await?;
                        read(&mut stream, &mut answer).await?;
                    }
                    anyhow::Ok(sent)
                })
            })
            .collect();
        let mut sent = Vec::with_capacity(total);
        for task in tasks {
            sent.extend(task.await??);
        }
        sent.sort_unstable();
        Ok(sent.into_iter().map(|(_, since)| since).collect())
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
