//! `kill -9` in the middle of sending: every message that was acknowledged is there afterwards.
//!
//! Without a test harness, because the process that is killed is this program again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::store::{NewMessage, ReceiveRequest, Store};

const QUEUE: &str = "webhook.fifo";
const SENDERS: usize = 8;
const ACKNOWLEDGED_BEFORE_KILL: usize = 400;

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--sender") => {
            let dir = std::env::args().nth(2).expect("the parent gives the directory");
            send_until_killed(Path::new(&dir)).await;
        }
        _ => check_that_nothing_acknowledged_is_lost().await,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Arc::new(SystemClock::new())).expect("the store opens")
}

/// Sends from several tasks, and prints each message once it was acknowledged.
async fn send_until_killed(dir: &Path) {
    let store = open(dir);
    let fifo = [("FifoQueue".to_owned(), "true".to_owned())].into();
    store.ensure_queue(QUEUE, &fifo).await.expect("the queue is created");
    let senders = (0..SENDERS).map(|sender| tokio::spawn(send(store.clone(), sender)));
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("sending goes on until the kill");
    }
}

async fn send(store: Store, sender: usize) {
    for number in 0.. {
        let body = format!("{sender}-{number}");
        let message = NewMessage {
            body: body.clone(),
            group_id: format!("group-{sender}"),
            deduplication_id: Some(body.clone()),
            ..NewMessage::default()
        };
        store.send(QUEUE, message).await.expect("the disk is in order");
        let mut out = std::io::stdout().lock();
        writeln!(out, "{body}").expect("the parent reads");
    }
}

async fn check_that_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("--sender")
        .arg(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        acknowledged.push(line.expect("lines are text"));
        if acknowledged.len() == ACKNOWLEDGED_BEFORE_KILL {
            child.kill().expect("the child is there");
        }
    }
    child.wait().expect("the child has ended");
    assert!(acknowledged.len() >= ACKNOWLEDGED_BEFORE_KILL, "the child ended by itself");

    let found = drain(dir.path()).await;
    let missing: Vec<_> = acknowledged.iter().filter(|body| !found.contains(body)).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    for sender in 0..SENDERS {
        let of_group = |body: &&String| body.starts_with(&format!("{sender}-"));
        let bodies: Vec<_> = found.iter().filter(of_group).cloned().collect();
        let expected: Vec<_> =
            (0..bodies.len()).map(|number| format!("{sender}-{number}")).collect();
        assert_eq!(bodies, expected, "each once, in order, and nothing left out");
    }
    println!("{} acknowledged, {} found, none lost", acknowledged.len(), found.len());
}

async fn drain(dir: &Path) -> Vec<String> {
    let store = open(dir);
    let mut found = Vec::new();
    loop {
        let request = ReceiveRequest { max_messages: 10, ..ReceiveRequest::default() };
        let messages = store.receive(QUEUE, request).await.expect("the store works");
        if messages.is_empty() {
            return found;
        }
        let handles = messages.iter().map(|message| message.receipt_handle.clone()).collect();
        store.delete_batch(QUEUE, handles).await.expect("the store works");
        found.extend(messages.into_iter().map(|message| message.body));
    }
}
