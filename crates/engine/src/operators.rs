//! What operators and this engine share: the list of skips, the audit log, the engine's log. Operators
//! are other users, who may not be able to read or write a file of the engine's, nor it one of theirs;
//! so they ask here, and every file is written by the engine.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::get;
use domain::environment::SKIPS_FILE;
use domain::json::JsonError;
use domain::skip::{Skips, SkipsError};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::files::{explained, own_file, read_if_there, write_durably};
use crate::http::{answer, failed, streamed};
use crate::log_file;
use crate::spare_room::{is_full, with_room};

/// The audit log's file in the data directory.
const AUDIT_FILE: &str = "audit.jsonl";

/// Pieces of a log that wait for their reader.
const PIECES: usize = 4;

/// Size of such a piece, in bytes, and more by a line.
const PIECE_BYTES: usize = 64 * 1024;

/// What operators ask for.
#[derive(Debug)]
struct Operators {
    data_dir: PathBuf,
    /// Two operators may change something at the same time, and neither's change is lost.
    changing: Mutex<()>,
}

/// A change of the list of skips: sequence numbers by event id.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    add: Skips,
    #[serde(default)]
    remove: Skips,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
enum OperatorsError {
    #[error("{}: {source}", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("{}: {source}; remove the file to begin with an empty list", file.display())]
    Kept { file: PathBuf, source: SkipsError },
    #[error(transparent)]
    Skips(#[from] SkipsError),
}

/// The routes below `/_engine/` that take a data directory; without one there are none.
pub fn router(data_dir: Option<&Path>) -> Router {
    let Some(data_dir) = data_dir else { return Router::new() };
    let operators = Operators { data_dir: data_dir.to_owned(), changing: Mutex::default() };
    Router::new()
        .route("/_engine/skips", get(skips).post(change_skips))
        .route("/_engine/audit", get(audit).post(add_to_audit))
        .route("/_engine/log", get(log))
        .route("/_engine/log/{event_id}", get(log_of))
        .route("/_engine/log/after/{position}", get(log_after))
        .with_state(Arc::new(operators))
}

async fn skips(State(operators): State<Arc<Operators>>) -> Response {
    done(spawn_blocking(move || operators.skips()).await, |skips| answer(StatusCode::OK, &skips))
}

async fn change_skips(State(operators): State<Arc<Operators>>, body: Bytes) -> Response {
    // An array would do for a struct.
    let object = serde_json::from_slice::<Map<String, Value>>(&body);
    let change: Change = match object.and_then(|object| serde_json::from_value(object.into())) {
        Ok(change) => change,
        Err(error) => return refused(&format!("the change is none: {}", JsonError::from(error))),
    };
    let changed = spawn_blocking(move || operators.change_skips(&change)).await;
    done(changed, |skips| answer(StatusCode::OK, &skips))
}

async fn audit(State(operators): State<Arc<Operators>>) -> Response {
    done(spawn_blocking(move || operators.audit()).await, |lines| {
        Response::builder()
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(Body::from(lines))
            .expect("a fixed header")
    })
}

async fn add_to_audit(State(operators): State<Arc<Operators>>, body: Bytes) -> Response {
    let line: Map<String, Value> = match serde_json::from_slice(&body) {
        Ok(line) => line,
        Err(error) => return refused(&format!("the line is none: {}", JsonError::from(error))),
    };
    let added = spawn_blocking(move || operators.add_to_audit(line)).await;
    done(added, |()| answer(StatusCode::OK, &json!({})))
}

async fn log(State(operators): State<Arc<Operators>>) -> Response {
    stream_log(operators, None)
}

async fn log_of(
    State(operators): State<Arc<Operators>>,
    UrlPath(event_id): UrlPath<String>,
) -> Response {
    stream_log(operators, Some(event_id))
}

/// The lines behind a position, `0-0` for all; the last line has the next.
async fn log_after(
    State(operators): State<Arc<Operators>>,
    UrlPath(position): UrlPath<String>,
) -> Response {
    let Ok(position) = position.parse() else {
        return refused("a position is as the last line of an answer has it");
    };
    let (pieces, body) = mpsc::channel(PIECES);
    spawn_blocking(move || operators.read_log_after(position, &pieces));
    streamed(body)
}

fn stream_log(operators: Arc<Operators>, event_id: Option<String>) -> Response {
    let (pieces, body) = mpsc::channel(PIECES);
    spawn_blocking(move || operators.read_log(event_id.as_deref(), &pieces));
    streamed(body)
}

impl Operators {
    fn skips(&self) -> Result<Skips, OperatorsError> {
        let file = self.data_dir.join(SKIPS_FILE);
        match read_if_there(&file) {
            Ok(None) => Ok(Skips::default()),
            Ok(Some(json)) => {
                Skips::parse(&json).map_err(|source| OperatorsError::Kept { file, source })
            }
            Err(source) => Err(OperatorsError::File { file, source }),
        }
    }

    fn change_skips(&self, change: &Change) -> Result<Skips, OperatorsError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut skips = self.skips()?;
        skips.remove_all(&change.remove);
        skips.add_all(&change.add);
        let file = self.data_dir.join(SKIPS_FILE);
        write_durably(&file, skips.to_json()?.as_bytes())
            .map_err(|source| OperatorsError::File { file, source })?;
        Ok(skips)
    }

    fn audit(&self) -> Result<Vec<u8>, OperatorsError> {
        let file = self.data_dir.join(AUDIT_FILE);
        let audit = read_if_there(&file);
        Ok(audit.map_err(|source| OperatorsError::File { file, source })?.unwrap_or_default())
    }

    fn add_to_audit(&self, line: Map<String, Value>) -> Result<(), OperatorsError> {
        let file = self.data_dir.join(AUDIT_FILE);
        let line = format!("{}\n", Value::Object(line));
        let add = || {
            let log = own_file().append(true).read(true).open(&file);
            let mut log = log.map_err(explained(&file))?;
            // What a full disk has left of a line does not swallow the next one.
            let before = if ends_with_a_line(&mut log)? { "" } else { "\n" };
            // In one write, so that a line of an operator of before does not mix with it.
            log.write_all(format!("{before}{line}").as_bytes())?;
            log.sync_data()
        };
        with_room(&self.data_dir, is_full, add)
            .map_err(|source| OperatorsError::File { file: file.clone(), source })
    }

    /// Sends the log, the oldest lines first; of an event the lines that name it, and maybe others. The
    /// last line says that it is the last, and what is missing.
    fn read_log(&self, event_id: Option<&str>, pieces: &mpsc::Sender<io::Result<Bytes>>) {
        let named = event_id.map(|event_id| Value::from(event_id).to_string());
        let (mut piece, mut gaps) = (Vec::new(), log_file::Gaps::default());
        log_file::read(&self.data_dir, &mut gaps, |line| {
            if named.as_ref().is_none_or(|named| contains(line, named.as_bytes())) {
                piece.extend_from_slice(line);
            }
            piece.len() < PIECE_BYTES || send(pieces, &mut piece)
        });
        piece.extend_from_slice(format!("{}\n", json!({ "log_read": gaps.found() })).as_bytes());
        send(pieces, &mut piece);
    }

    fn read_log_after(
        &self,
        position: log_file::Position,
        pieces: &mpsc::Sender<io::Result<Bytes>>,
    ) {
        let (mut piece, mut gaps) = (Vec::new(), log_file::Gaps::default());
        let position = log_file::read_after(&self.data_dir, position, &mut gaps, |line| {
            piece.extend_from_slice(line);
            piece.len() < PIECE_BYTES || send(pieces, &mut piece)
        });
        let read = json!({ "log_read": gaps.found(), "position": position.to_string() });
        piece.extend_from_slice(format!("{read}\n").as_bytes());
        send(pieces, &mut piece);
    }
}

/// Whether there is still somebody who reads.
fn send(pieces: &mpsc::Sender<io::Result<Bytes>>, piece: &mut Vec<u8>) -> bool {
    pieces.blocking_send(Ok(std::mem::take(piece).into())).is_ok()
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

fn refused(message: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}

/// What was done, or why not.
fn done<T>(
    result: Result<Result<T, OperatorsError>, tokio::task::JoinError>,
    response: impl FnOnce(T) -> Response,
) -> Response {
    match result {
        Ok(Ok(value)) => response(value),
        Ok(Err(OperatorsError::Skips(error))) => refused(&error.to_string()),
        Ok(Err(error)) => failed(&error.to_string()),
        Err(error) => failed(&format!("the engine stops: {error}")),
    }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_full_disk_has_torn_swallows_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let operators = Operators { data_dir: dir.path().to_owned(), changing: Mutex::default() };
        let line = |action: &str| Map::from_iter([("action".to_owned(), Value::from(action))]);
        operators.add_to_audit(line("pause")).unwrap();
        let file = dir.path().join(AUDIT_FILE);
        let mut log = own_file().append(true).open(&file).unwrap();
        log.write_all(b"{\"action\":\"res").unwrap();
        operators.add_to_audit(line("drop")).unwrap();
        let text = String::from_utf8(operators.audit().unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["{\"action\":\"pause\"}", "{\"action\":\"res", "{\"action\":\"drop\"}"]);
    }
}
