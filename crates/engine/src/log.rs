//! The engine's log: one JSON object a line, its own lines and the forwarder's through one writer,
//! so that lines never mix. Never a body, a header or a query string.
//!
//! Each place that it goes to has a thread of its own, so that neither a slow terminal nor a full pipe
//! stops deliveries, or the other place. What waits for one is bounded; beyond that lines are counted
//! and left out.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::Serialize;

use crate::clock::Clock;
use crate::failure::Failures;

/// Most bytes of lines that wait to be written to one place.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a line waits for others, so that all of them are one write. Waking the writer for each costs
/// more than the line.
const GATHER_TIME: Duration = Duration::from_millis(2);

/// How long the end of an engine waits for what has not been written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where log lines go. Clones write to the same places; what waits is written when the last is gone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Handle>);

struct Handle {
    clock: Arc<dyn Clock>,
    least: LogLevel,
    places: Vec<Arc<Place>>,
}

/// A place that lines go to.
struct Place {
    waiting_bytes_max: usize,
    lines: Mutex<Lines>,
    changed: Condvar,
    left_out: AtomicU64,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    /// Lines that were left out since the last ones were written.
    left_out: u64,
    writing: bool,
    /// Somebody waits until they are written.
    awaited: bool,
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
    /// A log that writes lines of at least the level `least` to each of `outs`.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        least: LogLevel,
        outs: Vec<Box<dyn Write + Send>>,
        failures: &Failures,
    ) -> std::io::Result<Self> {
        Self::with_limit(clock, least, outs, failures, WAITING_BYTES_MAX)
    }

    fn with_limit(
        clock: Arc<dyn Clock>,
        least: LogLevel,
        outs: Vec<Box<dyn Write + Send>>,
        failures: &Failures,
        waiting_bytes_max: usize,
    ) -> std::io::Result<Self> {
        let start = |mut out: Box<dyn Write + Send>| {
            let place = Arc::new(Place {
                waiting_bytes_max,
                lines: Mutex::default(),
                changed: Condvar::new(),
                left_out: AtomicU64::new(0),
            });
            let (writer, clock) = (Arc::clone(&place), Arc::clone(&clock));
            failures.thread("the log", move || writer.write_to(&mut out, clock.as_ref()))?;
            Ok(place)
        };
        let places = outs.into_iter().map(start).collect::<std::io::Result<_>>()?;
        Ok(Self(Arc::new(Handle { clock, least, places })))
    }

    /// A log of a test that looks at it.
    #[cfg(test)]
    pub(crate) fn to_memory(lines: &Memory) -> Self {
        let clock = Arc::new(crate::clock::SystemClock::new());
        let outs: Vec<Box<dyn Write + Send>> = vec![Box::new(lines.clone())];
        Self::new(clock, LogLevel::Info, outs, &Failures::new()).expect("there are threads")
    }

    /// A log of a test that looks at none.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        let clock = Arc::new(crate::clock::SystemClock::new());
        Self::new(clock, LogLevel::Error, Vec::new(), &Failures::new()).expect("it needs no thread")
    }

    /// Writes a line with `fields`, which must be an object.
    pub(crate) fn line(&self, level: LogLevel, message: &str, fields: impl Serialize) {
        if level >= self.0.least {
            self.announce(level, message, fields);
        }
    }

    /// Writes a line whatever the least level is: for what other programs wait for.
    pub(crate) fn announce(&self, level: LogLevel, message: &str, fields: impl Serialize) {
        self.pass_on(&encoded(self.0.clock.wall(), level, message, fields));
    }

    /// Passes on a line that is JSON already.
    pub(crate) fn pass_on(&self, line: &[u8]) {
        self.0.places.iter().for_each(|place| place.add(line));
    }

    /// Lines that were left out or could not be written since the engine started, where it is most.
    pub(crate) fn lines_left_out(&self) -> u64 {
        let left_out = |place: &Arc<Place>| place.left_out.load(Ordering::Relaxed);
        self.0.places.iter().map(left_out).max().unwrap_or_default()
    }

    /// Returns once every line so far is written, or cannot be for a while.
    pub(crate) fn flush(&self) {
        let limit = Instant::now() + FLUSH_TIMEOUT;
        self.0.places.iter().for_each(|place| place.flush(limit));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        for place in &self.places {
            place.lines().closed = true;
            place.changed.notify_all();
        }
    }
}

impl Place {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().expect("no code panics while it holds the lines")
    }

    fn wait<'a>(&self, lines: MutexGuard<'a, Lines>) -> MutexGuard<'a, Lines> {
        self.changed.wait(lines).expect("no code panics while it holds the lines")
    }

    fn add(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.waiting.len() + line.len() > self.waiting_bytes_max {
            lines.left_out += 1;
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let idle = lines.waiting.is_empty();
        lines.waiting.extend_from_slice(line);
        lines.waiting.push(b'\n');
        if idle {
            self.changed.notify_all();
        }
    }

    fn flush(&self, limit: Instant) {
        let mut lines = self.lines();
        lines.awaited = true;
        self.changed.notify_all();
        while lines.writing || !lines.waiting.is_empty() {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(lines, left);
            lines = waited.expect("no code panics while it holds the lines").0;
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
            let more = |lines: &mut Lines| !lines.awaited && !lines.closed;
            let gathered = self.changed.wait_timeout_while(lines, GATHER_TIME, more);
            lines = gathered.expect("no code panics while it holds the lines").0;
            (lines.writing, lines.awaited) = (true, false);
            std::mem::swap(&mut taken, &mut lines.waiting);
            let left_out = std::mem::take(&mut lines.left_out);
            drop(lines);
            if left_out > 0 {
                let fields = serde_json::json!({ "lines": left_out });
                let line = encoded(clock.wall(), LogLevel::Warn, "log lines left out", fields);
                taken.extend_from_slice(&line);
                taken.push(b'\n');
            }
            // A log that nobody reads any more, or has no room, is no reason to stop delivering.
            if out.write_all(&taken).and_then(|()| out.flush()).is_err() {
                let lines = taken.split_inclusive(|byte| *byte == b'\n').count() as u64;
                self.left_out.fetch_add(lines, Ordering::Relaxed);
            }
            taken.clear();
        }
    }
}

fn encoded(now: Timestamp, level: LogLevel, message: &str, fields: impl Serialize) -> Vec<u8> {
    let line = Line { timestamp: now.to_string(), level, message, fields };
    serde_json::to_vec(&line).expect("fields are objects of strings and numbers")
}

/// What was logged, for tests.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Memory {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nobody panics meanwhile")).into_owned()
    }
}

#[cfg(test)]
impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics meanwhile").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn log(least: LogLevel, out: &Memory) -> Log {
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(1_767_225_600_123)));
        Log::new(clock, least, vec![Box::new(out.clone())], &Failures::new()).unwrap()
    }

    #[test]
    fn lines_are_json_and_those_below_the_level_are_left_out() {
        let out = Memory::default();
        let log = log(LogLevel::Info, &out);
        log.line(LogLevel::Info, "accepted", serde_json::json!({ "bytes": 3 }));
        log.line(LogLevel::Debug, "detail", serde_json::json!({}));
        log.pass_on(br#"{"message":"delivered"}"#);
        log.flush();
        assert_eq!(
            out.text(),
            "{\"timestamp\":\"2026-01-01T00:00:00.123Z\",\"level\":\"INFO\",\
             \"message\":\"accepted\",\"bytes\":3}\n{\"message\":\"delivered\"}\n"
        );
    }

    #[test]
    fn what_others_wait_for_is_written_at_every_level() {
        let out = Memory::default();
        let log = log(LogLevel::Error, &out);
        log.line(LogLevel::Info, "accepted", serde_json::json!({}));
        log.announce(LogLevel::Info, "listening", serde_json::json!({}));
        log.flush();
        assert!(out.text().contains("listening") && !out.text().contains("accepted"));
    }

    /// How often it was written to.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicU64>);

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_come_together_are_written_together() {
        let writes = Counting::default();
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(0)));
        let outs: Vec<Box<dyn Write + Send>> = vec![Box::new(writes.clone())];
        let log = Log::new(clock, LogLevel::Info, outs, &Failures::new()).unwrap();
        // Each wakes the writer, if it does not wait for more.
        for _ in 0..200 {
            log.pass_on(b"line");
            std::thread::sleep(Duration::from_micros(100));
        }
        log.flush();
        let writes = writes.0.load(Ordering::Relaxed);
        assert!((1..100).contains(&writes), "{writes}");
    }

    /// A pipe whose reader has stopped: it takes nothing until it is let go.
    struct Stopped(std::sync::mpsc::Receiver<()>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _let_go = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_neither_stops_the_other_place_nor_the_end() {
        let out = Memory::default();
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(0)));
        let (let_go, stopped) = std::sync::mpsc::channel();
        let outs: Vec<Box<dyn Write + Send>> =
            vec![Box::new(Stopped(stopped)), Box::new(out.clone())];
        let log = Log::with_limit(clock, LogLevel::Info, outs, &Failures::new(), 100).unwrap();
        log.pass_on(b"first");
        while !log.0.places[0].lines().writing {
            std::thread::yield_now();
        }
        for _ in 0..30 {
            log.pass_on(b"0123456789");
            log.0.places[1].flush(Instant::now() + Duration::from_secs(30));
        }
        log.flush();
        assert_eq!(out.text().lines().count(), 31, "the other place has all of them");
        assert_eq!(log.lines_left_out(), 21, "a hundred bytes wait: nine lines");
        drop(let_go);
    }
}
