//! An engine that is down: since when.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use domain::time::Timestamp;
use domain::verdict::Finding;
use serde_json::Value;

use crate::history::time_of;

/// The log in an engine's data directory, to which it writes as long as it runs.
const LOG_FILE: &str = "engine.log";

/// So much of the log's end is read, in bytes: many lines.
const END_BYTES: u64 = 64 * 1024;

/// What was found. `error` says how, and what to type to start it.
pub(super) fn finding(data_dir: Option<&Path>, error: &anyhow::Error) -> Finding {
    let last = data_dir.map(|dir| last_line_at(&dir.join(LOG_FILE)));
    let (last_line_at, unknown) = match last {
        Some(Ok(Some(at))) => (Some(at), None),
        Some(Ok(None)) => (None, Some(format!("{LOG_FILE} has no line with a time"))),
        Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
            (None, Some(format!("there is no {LOG_FILE}")))
        }
        Some(Err(error)) => (None, Some(format!("{LOG_FILE}: {error}"))),
        None => (None, None),
    };
    Finding::EngineDown { last_line_at, unknown, reason: format!("{error:#}") }
}

/// When the last line was written that has a time.
fn last_line_at(log: &Path) -> io::Result<Option<Timestamp>> {
    let mut file = File::open(log)?;
    let begin = file.metadata()?.len().saturating_sub(END_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut end = Vec::new();
    file.take(END_BYTES).read_to_end(&mut end)?;
    let time = |line: &[u8]| time_of(&serde_json::from_slice::<Value>(line).ok()?);
    Ok(end.rsplit(|byte| *byte == b'\n').find_map(time))
}

#[cfg(test)]
mod tests {
    use domain::verdict::Verdict;

    use super::*;
    use crate::status::sentence::Speaker;

    #[test]
    fn it_is_down_since_its_last_line_that_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        let error = anyhow::anyhow!("no engine is running; start it with `x`");
        let said_of = |data_dir: Option<&Path>| {
            let verdict = Verdict::of_findings([finding(data_dir, &error)]);
            Speaker::above("local", now, 0).sentence(&verdict)
        };
        let said = || said_of(Some(dir.path()));
        let unknown = "since when is unknown (there is no engine.log)";
        assert!(said().contains(unknown), "{}", said());
        let line = |minute: u32| {
            format!("{{\"timestamp\":\"2026-01-01T00:0{minute}:00.000Z\",\"message\":\"x\"}}\n")
        };
        // More than is read, and a line that was torn.
        let log = line(1).repeat(2_000) + &line(4) + &line(5)[..30];
        std::fs::write(dir.path().join(LOG_FILE), log).unwrap();
        assert_eq!(
            said(),
            "You: the engine is down, and nothing is accepted or delivered; the last line of its log is of \
             2026-01-01 00:04:00 UTC (6 min ago): no engine is running; start it with `x`"
        );
        std::fs::write(dir.path().join(LOG_FILE), "torn").unwrap();
        assert!(said().contains("no line with a time"), "{}", said());
        assert!(said_of(None).contains("since when its log says"));
    }
}
