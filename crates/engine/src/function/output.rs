//! What a function process writes becomes lines of the engine's log: JSON as it is, anything else
//! wrapped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::config::LogLevel;
use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};

use crate::deliveries::Deliveries;
use crate::log::Log;

/// A line longer than this is passed on in pieces, in bytes.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// One of a process's pipes.
pub(super) struct Output {
    pub(super) log: Log,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) pid: u32,
    /// Level of lines that are not JSON.
    pub(super) level: LogLevel,
    /// Whether lines are left out: a process that fails to start, again, in the same way.
    pub(super) quiet: Arc<AtomicBool>,
}

impl Output {
    /// Passes lines on until the pipe is closed.
    pub(super) async fn pass_on(self, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while let Ok(true) = read_line(&mut pipe, &mut line).await {
            if !line.is_empty() && !self.quiet.load(Ordering::Relaxed) {
                self.line(&line);
            }
            line.clear();
        }
    }

    fn line(&self, line: &[u8]) {
        if line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok() {
            self.deliveries.note(line);
            return self.log.pass_on(line);
        }
        let text = String::from_utf8_lossy(line);
        self.log.line(self.level, &text, json!({ "from": "forwarder", "pid": self.pid }));
    }
}

/// Reads a line without its end into `line`; false at the end of the pipe.
async fn read_line(
    pipe: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    loop {
        let read = pipe.fill_buf().await?;
        if read.is_empty() {
            return Ok(!line.is_empty());
        }
        let room = &read[..read.len().min(LINE_BYTES_MAX - line.len())];
        let end = room.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&room[..end.unwrap_or(room.len())]);
        let used = end.map_or(room.len(), |end| end + 1);
        pipe.consume(used);
        if end.is_some() || line.len() == LINE_BYTES_MAX {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_whole_and_the_last_needs_no_end() {
        let mut pipe = BufReader::with_capacity(4, "first\n\nsecond line\nlast".as_bytes());
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut pipe, &mut line).await.unwrap() {
            lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap());
        }
        assert_eq!(lines, ["first", "", "second line", "last"]);
    }

    /// A piece of JSON is no JSON: nobody would know what was delivered.
    #[tokio::test]
    async fn a_line_as_long_as_the_forwarder_writes_comes_whole() {
        let text = "x".repeat(100_000);
        let mut line = Vec::new();
        assert!(read_line(&mut text.as_bytes(), &mut line).await.unwrap());
        assert_eq!(line.len(), text.len());
    }

    #[tokio::test]
    async fn an_endless_line_comes_in_pieces() {
        let text = "x".repeat(LINE_BYTES_MAX + 1);
        let mut pipe = BufReader::with_capacity(1_000, text.as_bytes());
        let mut line = Vec::new();
        assert!(read_line(&mut pipe, &mut line).await.unwrap());
        assert_eq!(line.len(), LINE_BYTES_MAX);
        line.clear();
        assert!(read_line(&mut pipe, &mut line).await.unwrap());
        assert_eq!(line.len(), 1);
    }
}
