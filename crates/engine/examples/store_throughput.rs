//! Measures the store: durable sends over HTTP from 32 connections, and what a message costs when
//! few and when many are queued, with the memory that takes.
//!
//! ```text
//! cargo run --release -p engine --example store_throughput -- [QUEUED]
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::clock::SystemClock;
use engine::store::{NewMessage, ReceiveRequest, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const QUEUE: &str = "bench.fifo";
const CONNECTIONS: usize = 32;
const GROUPS: usize = 1_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let queued = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<usize>())?;
    let dir = std::env::temp_dir().join(format!("store-throughput-{}", std::process::id()));
    let store = Store::open(&dir, Arc::new(SystemClock::new()))?;
    let attributes = [("FifoQueue".to_owned(), "true".to_owned())].into();
    store.ensure_queue(QUEUE, &attributes).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = engine::sqs::router(store.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let sends = 40_000;
    let took = over_http(address, sends).await?;
    println!("HTTP, {CONNECTIONS} connections: {:.0} durable sends/s", rate(sends, took));

    drain(&store).await?;
    fill(&store, 1_000, 0).await?;
    let few = cost(&store, "1,000 queued").await?;
    let filled = Instant::now();
    fill(&store, queued, 1).await?;
    println!("{queued} more sent in {:.1} s, {}", filled.elapsed().as_secs_f64(), resident()?);
    let many = cost(&store, &format!("{queued} queued")).await?;
    println!("ratio {:.2}; {}", many.as_secs_f64() / few.as_secs_f64(), resident()?);

    let closing = Instant::now();
    drop(store);
    println!("{:.1} s to drop", closing.elapsed().as_secs_f64());
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn rate(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

fn resident() -> Result<String, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    Ok(format!("{}, {}", line("VmRSS"), line("VmHWM")))
}

async fn over_http(address: std::net::SocketAddr, sends: usize) -> Result<Duration, Failure> {
    let started = Instant::now();
    let clients = (0..CONNECTIONS).map(|client| {
        tokio::spawn(async move { connection(address, client, sends / CONNECTIONS).await })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    Ok(started.elapsed())
}

async fn connection(
    address: std::net::SocketAddr,
    client: usize,
    sends: usize,
) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 4_096];
    for number in 0..sends {
        let body = format!(
            r#"{{"QueueUrl":"http://x/0/{QUEUE}","MessageBody":"{}","MessageGroupId":"g{}","MessageDeduplicationId":"h{client}-{number}"}}"#,
            "x".repeat(1_000),
            number % GROUPS
        );
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSQS.SendMessage\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let read = stream.read(&mut answer).await?;
        if !answer[..read].starts_with(b"HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(&answer[..read]).into_owned().into());
        }
    }
    Ok(())
}

fn message(id: &str, group: usize) -> NewMessage {
    NewMessage {
        body: "x".repeat(1_000),
        group_id: format!("group-{group}"),
        deduplication_id: Some(id.to_owned()),
        ..NewMessage::default()
    }
}

async fn fill(store: &Store, messages: usize, run: usize) -> Result<(), Failure> {
    let senders = (0..CONNECTIONS).map(|sender| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (sender..messages).step_by(CONNECTIONS) {
                store.send(QUEUE, message(&format!("f{run}-{number}"), number % GROUPS)).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await??;
    }
    Ok(())
}

async fn drain(store: &Store) -> Result<(), Failure> {
    while receive_and_delete(store).await? > 0 {}
    Ok(())
}

async fn receive_and_delete(store: &Store) -> Result<usize, Failure> {
    let request = ReceiveRequest { max_messages: 10, ..ReceiveRequest::default() };
    let messages = store.receive(QUEUE, request).await?;
    let handles = messages.iter().map(|message| message.receipt_handle.clone()).collect();
    store.delete_batch(QUEUE, handles).await?;
    Ok(messages.len())
}

/// What a message costs from its send to its delete, with 32 senders and a receiver each.
async fn cost(store: &Store, what: &str) -> Result<Duration, Failure> {
    let messages = 20_000;
    let started = Instant::now();
    let label = what.len();
    let workers = (0..CONNECTIONS).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (worker..messages).step_by(CONNECTIONS) {
                let id = format!("c{label}-{number}");
                store.send(QUEUE, message(&id, number % GROUPS)).await?;
                if number / CONNECTIONS % 10 == 9 {
                    receive_and_delete(&store).await?;
                }
            }
            Ok::<_, Failure>(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    let each = started.elapsed() / u32::try_from(messages)?;
    println!("{what}: {each:?} from send to delete");
    Ok(each)
}
