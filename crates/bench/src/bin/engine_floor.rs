//! The engine's floor: what a durable accept and a delivery cost at least, on hyper and `SQLite` alone.
//! A body is a row, answered once its commit is on the disk; what waits meanwhile shares the next commit.
//! Two threads post rows to the target, ten at a time, and delete them. No groups, no deduplication, no
//! retry, no log.
//!
//! `engine_floor DIR [ADDRESS]` keeps its rows in DIR, posts them to ADDRESS, and writes where it listens
//! into DIR/engine.json.

use std::convert::Infallible;
use std::error::Error;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bench::http::Connection;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rusqlite::params;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// As the engine's.
const JOBS_PER_COMMIT_MAX: usize = 256;
const BATCH: u32 = 10;
const POSTERS: usize = 2;

enum Job {
    Insert {
        body: Bytes,
        done: oneshot::Sender<()>,
    },
    /// Rows that nobody has; kept back until there are some.
    Take {
        rows: SyncSender<Vec<(i64, Vec<u8>)>>,
    },
    Delete {
        rows: Vec<i64>,
        done: SyncSender<()>,
    },
}

/// Who is answered once the commit is on the disk.
enum Answer {
    Inserted(oneshot::Sender<()>),
    Deleted(SyncSender<()>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("no directory")?);
    let (jobs, waiting) = sync_channel(1_024);
    let connection = open(&dir)?;
    std::thread::spawn(move || {
        store(&connection, &waiting).expect("SQLite keeps what it is given");
    });
    if let Some(target) = arguments.next() {
        for _ in 0..POSTERS {
            let (jobs, stream) = (jobs.clone(), TcpStream::connect(&target)?);
            std::thread::spawn(move || post(&jobs, stream).expect("the target answers"));
        }
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(&dir, jobs))
}

fn open(dir: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(dir.join("rows.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE message (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL);",
    )?;
    Ok(connection)
}

fn store(connection: &rusqlite::Connection, jobs: &Receiver<Job>) -> rusqlite::Result<()> {
    // Counted here: SQLite would use the number of a row that is gone again.
    let mut sequence = 0_i64;
    let (mut taken, mut takers) = (0, Vec::new());
    while let Ok(first) = jobs.recv() {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut answers = Vec::new();
        let more = std::iter::from_fn(|| jobs.try_recv().ok());
        for job in std::iter::once(first).chain(more).take(JOBS_PER_COMMIT_MAX) {
            match job {
                Job::Insert { body, done } => {
                    let insert = "INSERT INTO message (sequence, body) VALUES (?1, ?2)";
                    sequence += 1;
                    connection.prepare_cached(insert)?.execute(params![sequence, &body[..]])?;
                    answers.push(Answer::Inserted(done));
                }
                Job::Delete { rows, done } => {
                    let mut delete =
                        connection.prepare_cached("DELETE FROM message WHERE sequence = ?1")?;
                    rows.iter().try_for_each(|row| delete.execute([row]).map(drop))?;
                    answers.push(Answer::Deleted(done));
                }
                Job::Take { rows } => takers.push(rows),
            }
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        for answer in answers {
            // Who has gone needs none.
            match answer {
                Answer::Inserted(done) => drop(done.send(())),
                Answer::Deleted(done) => drop(done.send(())),
            }
        }
        while !takers.is_empty() {
            let rows = after(connection, taken)?;
            let Some((last, _)) = rows.last() else { break };
            taken = *last;
            drop(takers.swap_remove(0).send(rows));
        }
    }
    Ok(())
}

fn after(connection: &rusqlite::Connection, taken: i64) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let mut select = connection.prepare_cached(
        "SELECT sequence, body FROM message WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    select.query_map(params![taken, BATCH], row)?.collect()
}

fn post(jobs: &SyncSender<Job>, stream: TcpStream) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    let mut target = Connection::new(stream);
    loop {
        let (rows, taken) = sync_channel(1);
        jobs.send(Job::Take { rows })?;
        let taken = taken.recv()?;
        for (_, body) in &taken {
            let head = format!(
                "POST /application-hook HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            target.write(&[head.as_bytes(), body].concat())?;
            target.read()?.ok_or("the target has gone")?;
        }
        let (done, deleted) = sync_channel(1);
        jobs.send(Job::Delete { rows: taken.iter().map(|(row, _)| *row).collect(), done })?;
        deleted.recv()?;
    }
}

async fn serve(dir: &Path, jobs: SyncSender<Job>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let file = serde_json::json!({ "ingest": listener.local_addr()? });
    std::fs::write(dir.join("new"), file.to_string())?;
    std::fs::rename(dir.join("new"), dir.join("engine.json"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let jobs = jobs.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| accept(request, jobs.clone()));
            // A connection ends with who measures.
            let _ended =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn accept(
    request: Request<Incoming>,
    jobs: SyncSender<Job>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (done, committed) = oneshot::channel();
    let kept = match request.into_body().collect().await {
        // Never full: fewer connections than it holds are there.
        Ok(body) => jobs.try_send(Job::Insert { body: body.to_bytes(), done }).is_ok(),
        Err(_) => false,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    if !kept || committed.await.is_err() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
