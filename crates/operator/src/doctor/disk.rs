//! Room for the engine's data on this machine.

use std::path::Path;

use super::checks::Checks;
use crate::people;

/// Below this the engine may have to refuse events soon, in bytes: its write-ahead log alone may take
/// 64 MB, its log 100 MB.
const ROOM_LEAST_BYTES: u64 = 256 * 1024 * 1024;

/// Below this somebody should look, in bytes.
const ROOM_GOOD_BYTES: u64 = 2 * 1024 * 1024 * 1024;

pub(super) fn check(data_dir: &Path, checks: &mut Checks) {
    const NAME: &str = "disk space";
    match rustix::fs::statvfs(data_dir) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            judge(free, &data_dir.display().to_string(), checks);
        }
        Err(error) => checks.fail(
            NAME,
            format!("{}: {error}", data_dir.display()),
            "is the data directory's disk still there?",
        ),
    }
}

fn judge(free: u64, place: &str, checks: &mut Checks) {
    const NAME: &str = "disk space";
    let found = format!("{} free for {place}", people::bytes(free));
    let advice = "make room: with a full disk the engine answers senders 503 until there is some";
    match free {
        0..ROOM_LEAST_BYTES => checks.fail(NAME, found, advice),
        ROOM_LEAST_BYTES..ROOM_GOOD_BYTES => checks.warn(NAME, found, advice),
        _ => checks.ok(NAME, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::Verdict;
    use super::*;

    #[test]
    fn a_disk_that_gets_full_is_said_before_it_is() {
        for (free, expected) in [
            (10_000, Verdict::Fail),
            (ROOM_LEAST_BYTES, Verdict::Warn),
            (ROOM_GOOD_BYTES, Verdict::Ok),
        ] {
            let mut checks = Checks::default();
            judge(free, "/data", &mut checks);
            assert_eq!(checks.worst(), expected);
        }
    }
}
