//! Who paused delivery, and why.

use std::time::Duration;

use domain::quota;
use domain::time::Timestamp;

use super::report::Pause;
use crate::audit::Line;
use crate::audit::read;
use crate::environment::Environment;
use crate::people;

/// The pause that is on, by the newest action that pauses or resumes. `None` if that is none, such as
/// when somebody switched the mapping off without this program.
pub(super) async fn of(
    environment: &Environment,
    paused: bool,
    now: Timestamp,
) -> anyhow::Result<Option<Pause>> {
    if !paused {
        return Ok(None);
    }
    // A pause that is longer than anything is kept has lost what waited.
    let longest = Duration::from_secs(quota::RETENTION_SECONDS_MAX.into());
    let switches = |line: &Line| ["pause", "resume"].contains(&line.action.as_str());
    let since = people::before(now, longest);
    let newest = read::newest(&environment.audit(), since, switches).await?;
    Ok(newest.filter(|line| line.action == "pause").map(|line| Pause {
        resumes_at: line.what["resumes_at"].as_str().map(str::to_owned),
        at: line.at,
        by: line.by,
        reason: line.reason,
    }))
}
