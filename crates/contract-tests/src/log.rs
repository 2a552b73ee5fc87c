//! What a process wrote, line by line, while it writes.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

use crate::within_patience;

/// The lines of one stream.
#[derive(Debug, Clone)]
pub struct Log(watch::Receiver<Lines>);

/// The lines so far.
#[derive(Debug, Clone, Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Reads `stream` to its end, in the background.
    pub(crate) fn of(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Lines::default());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|log| log.lines.push(line));
            }
            sender.send_modify(|log| log.ended = true);
        });
        Self(receiver)
    }

    /// All lines, once the process has ended.
    pub async fn all(&self) -> Vec<String> {
        let mut log = self.0.clone();
        let ended = within_patience("the end of the log", log.wait_for(|log| log.ended)).await;
        ended.expect("the reader says so before it ends").lines.clone()
    }

    /// The lines so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<String> {
        self.0.borrow().lines.clone()
    }

    /// Returns when the process has ended.
    pub(crate) async fn ended(&self) {
        // An error means that the reader is gone, with the test's runtime.
        let mut log = self.0.clone();
        let _gone = log.wait_for(|log| log.ended).await;
    }
}

/// Parses lines of the forwarder's log.
///
/// # Panics
///
/// When one is not a JSON object.
#[must_use]
pub fn parse(lines: &[String]) -> Vec<Value> {
    let parse = |line: &String| match serde_json::from_str(line) {
        Ok(value @ Value::Object(_)) => value,
        _ => panic!("not a JSON object: {line}"),
    };
    lines.iter().map(parse).collect()
}
