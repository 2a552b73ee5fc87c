//! What comes in and goes out, as the log tells of it. However many look, the log is followed once, and
//! only while somebody looks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::{Notify, watch};

use crate::operator::{Operator, Words};

/// Lines that are shown.
const SHOWN_MAX: usize = 200;

/// How far back the first look goes.
const SINCE: &str = "10min";

/// How long the log is followed after the last one has looked away.
const FOLLOWED_FOR: Duration = Duration::from_secs(30);

/// Between two looks at whether somebody looks, and before a log that ended is followed again.
const PAUSE: Duration = Duration::from_secs(2);

/// How much of what a command that ended has told is shown, in bytes.
const TOLD_BYTES_MAX: u64 = 4_096;

/// What the lines are about that are shown: an event came, or was sent somewhere.
const SHOWN: [&str; 11] = [
    "accepted",
    "delivered",
    "retry",
    "rejected",
    "blocked",
    "gave_up",
    "skipped",
    "unverified",
    "dead_lettered",
    "repeated",
    "repeat_failed",
];

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The newest first.
    pub(crate) lines: VecDeque<Value>,
    /// Why nothing more is seen, if that is so.
    pub(crate) trouble: Option<String>,
}

/// Follows the log.
#[derive(Debug)]
pub(crate) struct Live {
    operator: Operator,
    seen: watch::Sender<Seen>,
    last_viewed: Mutex<Option<Instant>>,
    wanted: Notify,
}

impl Live {
    pub(crate) fn new(operator: Operator) -> Self {
        Self {
            operator,
            seen: watch::Sender::default(),
            last_viewed: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// What is seen, by somebody who looks now.
    pub(crate) fn look(&self) -> watch::Receiver<Seen> {
        *self.last_viewed() = Some(Instant::now());
        self.wanted.notify_one();
        self.seen.subscribe()
    }

    /// Told whenever something is seen; who only hears of it does not look.
    pub(crate) fn changes(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    fn last_viewed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_viewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_viewed(&self) -> bool {
        self.last_viewed().is_some_and(|at| at.elapsed() < FOLLOWED_FOR)
    }

    /// Follows the log while somebody looks, without end.
    pub(crate) async fn follow(&self) {
        let words = Words::new(&["logs"]).flag("--follow").option("--since", SINCE);
        loop {
            if !self.is_viewed() {
                self.wanted.notified().await;
                continue;
            }
            match self.operator.follow(&words) {
                Ok(child) => self.read(child).await,
                Err(error) => self.ended(error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes note of lines until there are no more, or nobody looks.
    async fn read(&self, mut child: Child) {
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return;
        };
        // It tells again what it told before.
        self.seen.send_modify(|seen| seen.lines.clear());
        let mut lines = BufReader::new(stdout).lines();
        let told = tokio::spawn(async move {
            let mut told = String::new();
            let _read = stderr.take(TOLD_BYTES_MAX).read_to_string(&mut told).await;
            told
        });
        loop {
            tokio::select! {
                line = lines.next_line() => {
                    let Ok(Some(line)) = line else {
                        let told = told.await.unwrap_or_default();
                        return self.ended(match told.trim() {
                            "" => "the log is not followed any more".to_owned(),
                            told => told.to_owned(),
                        });
                    };
                    self.note(&line);
                }
                () = tokio::time::sleep(PAUSE) => {}
            }
            if !self.is_viewed() {
                told.abort();
                // Dropped, it is ended.
                return;
            }
        }
    }

    fn note(&self, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        let is_shown = line["message"].as_str().is_some_and(|message| SHOWN.contains(&message));
        if is_shown && line["event_id"].is_string() {
            self.seen.send_modify(|seen| {
                seen.trouble = None;
                seen.lines.truncate(SHOWN_MAX - 1);
                seen.lines.push_front(line);
            });
        }
    }

    fn ended(&self, why: String) {
        self.seen.send_modify(|seen| seen.trouble = Some(why));
    }
}
