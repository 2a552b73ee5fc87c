//! The engine's log: one JSON object a line, its own lines and the forwarder's through one writer,
//! so that lines never mix. Never a body, a header or a query string.
//!
//! A thread of its own writes, so that a slow terminal or a full pipe does not stop deliveries. What
//! waits for it is bounded; beyond that lines are counted and left out.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::Serialize;

use crate::clock::Clock;

/// Most bytes of lines that wait to be written.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where log lines go. Clones write to the same place; what waits is written when the last is gone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Handle>);

struct Handle {
    clock: Arc<dyn Clock>,
    least: LogLevel,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    left_out: u64,
    writing: bool,
    closed: bool,
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    timestamp: String,
    level: LogLevel,
    message: &'a str,
    #[serde(flatten)]
    fields: T,
}

impl Log {
    /// A log that writes lines of at least the level `least` to `out`.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        least: LogLevel,
        out: impl Write + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let (stamp, mut out) = (Arc::clone(&clock), out);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_to(&mut out, stamp.as_ref()))?;
        Ok(Self(Arc::new(Handle { clock, least, shared })))
    }

    /// Writes a line with `fields`, which must be an object.
    pub(crate) fn line(&self, level: LogLevel, message: &str, fields: impl Serialize) {
        if level >= self.0.least {
            self.announce(level, message, fields);
        }
    }

    /// Writes a line whatever the least level is: for what other programs wait for.
    pub(crate) fn announce(&self, level: LogLevel, message: &str, fields: impl Serialize) {
        self.0.shared.add(&encoded(self.0.clock.wall(), level, message, fields));
    }

    /// Passes on a line that is JSON already.
    pub(crate) fn pass_on(&self, line: &[u8]) {
        self.0.shared.add(line);
    }

    /// Returns once every line so far is written.
    pub(crate) fn flush(&self) {
        let mut lines = self.0.shared.lines();
        while lines.writing || !lines.waiting.is_empty() {
            lines = self.0.shared.wait(lines);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lines().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().expect("no code panics while it holds the lines")
    }

    fn wait<'a>(&self, lines: MutexGuard<'a, Lines>) -> MutexGuard<'a, Lines> {
        self.changed.wait(lines).expect("no code panics while it holds the lines")
    }

    fn add(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.waiting.len() + line.len() > WAITING_BYTES_MAX {
            lines.left_out += 1;
            return;
        }
        let idle = lines.waiting.is_empty();
        lines.waiting.extend_from_slice(line);
        lines.waiting.push(b'\n');
        if idle {
            self.changed.notify_all();
        }
    }

    fn write_to(&self, out: &mut impl Write, clock: &dyn Clock) {
        let mut taken = Vec::new();
        loop {
            let mut lines = self.lines();
            lines.writing = false;
            self.changed.notify_all();
            while lines.waiting.is_empty() && !lines.closed {
                lines = self.wait(lines);
            }
            if lines.waiting.is_empty() {
                return;
            }
            lines.writing = true;
            std::mem::swap(&mut taken, &mut lines.waiting);
            let left_out = std::mem::take(&mut lines.left_out);
            drop(lines);
            if left_out > 0 {
                let fields = serde_json::json!({ "lines": left_out });
                let line = encoded(clock.wall(), LogLevel::Warn, "log lines left out", fields);
                taken.extend_from_slice(&line);
                taken.push(b'\n');
            }
            // A log that nobody reads any more is no reason to stop delivering.
            let _closed_pipe = out.write_all(&taken).and_then(|()| out.flush());
            taken.clear();
        }
    }
}

fn encoded(now: Timestamp, level: LogLevel, message: &str, fields: impl Serialize) -> Vec<u8> {
    let line = Line { timestamp: now.to_string(), level, message, fields };
    serde_json::to_vec(&line).expect("fields are objects of strings and numbers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_json_and_those_below_the_level_are_left_out() {
        let out = Memory::default();
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(1_767_225_600_123)));
        let log = Log::new(clock, LogLevel::Info, out.clone()).unwrap();
        log.line(LogLevel::Info, "accepted", serde_json::json!({ "bytes": 3 }));
        log.line(LogLevel::Debug, "detail", serde_json::json!({}));
        log.pass_on(br#"{"message":"delivered"}"#);
        log.flush();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "{\"timestamp\":\"2026-01-01T00:00:00.123Z\",\"level\":\"INFO\",\
             \"message\":\"accepted\",\"bytes\":3}\n{\"message\":\"delivered\"}\n"
        );
    }

    #[test]
    fn what_others_wait_for_is_written_at_every_level() {
        let out = Memory::default();
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(0)));
        let log = Log::new(clock, LogLevel::Error, out.clone()).unwrap();
        log.line(LogLevel::Info, "accepted", serde_json::json!({}));
        log.announce(LogLevel::Info, "listening", serde_json::json!({}));
        log.flush();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("listening") && !text.contains("accepted"), "{text}");
    }
}
