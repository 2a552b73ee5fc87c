//! Message move tasks: bringing dead letters back, oldest first, a few in each transaction.
//!
//! A message leaves one queue and enters the other in one transaction, and a task that was running
//! when the process died goes on when the store opens again: nothing is lost and nothing doubled.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::error::{StorageError, StoreError};
use super::groups::{FreeGroup, GroupLock};
use super::queue::Queue;
use super::queues;
use super::redrive::{self, Identity};
use super::sender::Sender;
use super::tx::Tx;
use super::writer::WeakJobs;
use super::{arn, groups, limits, retention, visibility};
use crate::clock::Clock;

/// A message move task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTask {
    /// Its id.
    pub id: String,
    /// Where messages go; where they came from if `None`.
    pub destination: Option<String>,
    /// Messages a second, at most.
    pub per_second: Option<u32>,
    /// How far it is.
    pub status: MoveTaskStatus,
    /// Why it failed.
    pub failure: Option<String>,
    /// Messages moved.
    pub moved: u64,
    /// Messages that there were to move when it started.
    pub to_move: u64,
    /// When it was started.
    pub started_at: Timestamp,
}

/// How far a [`MoveTask`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveTaskStatus {
    /// Moving.
    Running,
    /// All that was there at the start is moved.
    Completed,
    /// About to stop.
    Cancelling,
    /// Stopped; what was moved stays moved.
    Cancelled,
    /// Stopped by a message that it cannot move.
    Failed,
}

impl MoveTaskStatus {
    const ALL: [Self; 5] =
        [Self::Running, Self::Completed, Self::Cancelling, Self::Cancelled, Self::Failed];

    /// Whether it still moves messages.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }
}

/// SQS's name of it.
impl fmt::Display for MoveTaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MoveTaskStatus {
    type Err = FromSqlError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for MoveTaskStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse()
    }
}

/// Starts a task and returns its id.
pub(super) fn start(
    tx: &mut Tx<'_>,
    source: &str,
    destination: Option<&str>,
    per_second: Option<u32>,
) -> Result<String, StoreError> {
    let queue = existing(tx, source, "SourceArn")?;
    check(tx, &queue, destination, per_second)?;
    visibility::expire(tx, &queue)?;
    let id = Uuid::new_v4().to_string();
    let last_sequence = tx.next_number();
    tx.execute(
        "INSERT INTO move_task (id, source, destination, per_second, last_sequence, status, to_move,
                                started_ms)
         SELECT ?1, ?2, ?3, ?4, ?5, 'RUNNING', queued - in_flight, ?7
         FROM queue_count WHERE queue_id = ?6",
        params![id, source, destination, per_second, last_sequence, queue.id, tx.now()],
    )?;
    Ok(id)
}

fn check(
    tx: &mut Tx<'_>,
    source: &Queue,
    destination: Option<&str>,
    per_second: Option<u32>,
) -> Result<(), StoreError> {
    let refuse = |reason: &str| Err(StoreError::InvalidParameterValue(reason.to_owned()));
    if let Some(destination) = destination {
        existing(tx, destination, "DestinationArn")?;
        if destination == source.name {
            return refuse("Source queue arn and destination queue arn cannot be the same.");
        }
    }
    if per_second.is_some_and(|rate| !(1..=limits::MOVE_RATE_MAX).contains(&rate)) {
        return refuse("Value for parameter MaxNumberOfMessagesPerSecond must be from 1 to 500.");
    }
    if queues::dead_letter_sources(tx, &source.name)?.is_empty() {
        return refuse("Source queue must be configured as a Dead Letter Queue.");
    }
    if list(tx, &source.name, 1)?.first().is_some_and(|task| task.status.is_active()) {
        return refuse(
            "There is already a task running. Only one active task is allowed for a source queue \
             arn at a given time.",
        );
    }
    Ok(())
}

fn existing(tx: &mut Tx<'_>, name: &str, parameter: &str) -> Result<Arc<Queue>, StoreError> {
    tx.queue(name).map_err(|error| match error {
        StoreError::QueueDoesNotExist(_) => StoreError::ResourceNotFound(format!(
            "The resource that you specified for the {parameter} parameter doesn't exist."
        )),
        other => other,
    })
}

/// A source's latest tasks, the latest first.
pub(super) fn list(tx: &mut Tx<'_>, source: &str, most: u32) -> Result<Vec<MoveTask>, StoreError> {
    existing(tx, source, "SourceArn")?;
    if !(1..=limits::MOVE_TASKS_LISTED_MAX).contains(&most) {
        return Err(StoreError::InvalidParameterValue(format!(
            "Value {most} for parameter MaxResults is invalid. Reason: Must be from 1 to {}.",
            limits::MOVE_TASKS_LISTED_MAX
        )));
    }
    let tasks = tx.all(
        "SELECT id, destination, per_second, status, failure, moved, to_move, started_ms
         FROM move_task WHERE source = ?1 ORDER BY started_ms DESC, last_sequence DESC LIMIT ?2",
        params![source, most],
        |row| read_task(tx, row),
    )?;
    Ok(tasks)
}

fn read_task(tx: &Tx<'_>, row: &Row<'_>) -> rusqlite::Result<MoveTask> {
    Ok(MoveTask {
        id: row.get(0)?,
        destination: row.get(1)?,
        per_second: row.get(2)?,
        status: row.get(3)?,
        failure: row.get(4)?,
        moved: row.get::<_, i64>(5)?.unsigned_abs(),
        to_move: row.get::<_, i64>(6)?.unsigned_abs(),
        started_at: tx.shown(row.get(7)?),
    })
}

/// Tells a task to stop; returns how many messages it has moved.
pub(super) fn cancel(tx: &mut Tx<'_>, id: &str) -> Result<u64, StoreError> {
    let task: Option<(MoveTaskStatus, i64)> =
        tx.first("SELECT status, moved FROM move_task WHERE id = ?1", [id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    match task {
        Some((MoveTaskStatus::Running, moved)) => {
            set_status(tx, id, MoveTaskStatus::Cancelling, None)?;
            Ok(moved.unsigned_abs())
        }
        Some(_) => {
            Err(StoreError::InvalidParameterValue("Only active tasks can be cancelled.".to_owned()))
        }
        None => Err(StoreError::ResourceNotFound("Task does not exist.".to_owned())),
    }
}

fn set_status(
    tx: &Tx<'_>,
    id: &str,
    status: MoveTaskStatus,
    failure: Option<&str>,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE move_task SET status = ?2, failure = ?3 WHERE id = ?1",
        params![id, status.name(), failure],
    )?;
    Ok(())
}

/// A task that is to be gone on with.
#[derive(Debug, Clone)]
pub(super) struct Drive {
    pub(super) id: String,
    pub(super) per_second: Option<u32>,
}

/// The tasks that were running when the store was closed.
pub(super) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Drive>> {
    connection
        .prepare("SELECT id, per_second FROM move_task WHERE status IN ('RUNNING', 'CANCELLING')")?
        .query_map([], |row| Ok(Drive { id: row.get(0)?, per_second: row.get(1)? }))?
        .collect()
}

impl Drive {
    /// Messages in one transaction when no rate is asked for.
    const STEP: u32 = 100;

    /// How long a step waits after one that failed.
    const PAUSE: Duration = Duration::from_secs(1);

    /// Messages in a step, and the pause after it: a rate is kept in tenths of a second.
    fn pace(&self) -> (u32, Duration) {
        let Some(rate) = self.per_second else { return (Self::STEP, Duration::ZERO) };
        let messages = rate.div_ceil(10);
        let pause_ms = u64::from(messages) * 1_000 / u64::from(rate.max(1));
        (messages, Duration::from_millis(pause_ms))
    }

    /// Takes step after step until the task is over or the store is closed.
    pub(super) async fn run(self, jobs: WeakJobs, clock: Arc<dyn Clock>) {
        let (messages, pause) = self.pace();
        while let Some(jobs) = jobs.upgrade() {
            let id = self.id.clone();
            let result = jobs.run(move |tx| step(tx, &id, messages)).await;
            drop(jobs); // Or a store could not close while this waits.
            let pause = match result {
                Ok(Step::More) => pause,
                Ok(Step::Over) | Err(StoreError::Storage(StorageError::Closed)) => return,
                Err(_) => Self::PAUSE,
            };
            if !pause.is_zero() {
                clock.wait_until(clock.uptime().plus(pause)).await;
            }
        }
    }
}

/// Whether a task goes on.
enum Step {
    More,
    Over,
}

struct Work {
    source: String,
    destination: Option<String>,
    last_sequence: i64,
    status: MoveTaskStatus,
}

fn step(tx: &mut Tx<'_>, id: &str, messages: u32) -> Result<Step, StoreError> {
    let work = tx.first(
        "SELECT source, destination, last_sequence, status FROM move_task WHERE id = ?1",
        [id],
        |row| {
            Ok(Work {
                source: row.get(0)?,
                destination: row.get(1)?,
                last_sequence: row.get(2)?,
                status: row.get(3)?,
            })
        },
    )?;
    let Some(work) = work else { return Ok(Step::Over) };
    if work.status != MoveTaskStatus::Running {
        set_status(tx, id, MoveTaskStatus::Cancelled, None)?;
        return Ok(Step::Over);
    }
    let source = tx.queue(&work.source)?;
    visibility::expire(tx, &source)?;
    if retention::expire(tx, &source, retention::PER_LOOK)? {
        return Ok(Step::More);
    }
    for _ in 0..messages {
        let head = groups::first_free(tx, source.id, GroupLock::Behind)?;
        let Some(head) = head.filter(|head| head.head_sequence < work.last_sequence) else {
            set_status(tx, id, MoveTaskStatus::Completed, None)?;
            return Ok(Step::Over);
        };
        if let Err(reason) = move_one(tx, &source, &head, &work)? {
            set_status(tx, id, MoveTaskStatus::Failed, Some(reason))?;
            return Ok(Step::Over);
        }
        tx.execute("UPDATE move_task SET moved = moved + 1 WHERE id = ?1", [id])?;
    }
    Ok(Step::More)
}

/// Moves the first message of a group, or says why that cannot be done.
fn move_one(
    tx: &mut Tx<'_>,
    source: &Queue,
    head: &FreeGroup,
    work: &Work,
) -> Result<Result<(), &'static str>, StoreError> {
    let destination = match &work.destination {
        Some(name) => name.clone(),
        None => match came_from(tx, head.head_sequence)? {
            Some(name) => name,
            None => return Ok(Err("CouldNotDetermineMessageSource")),
        },
    };
    let destination = match tx.queue(&destination) {
        Err(StoreError::QueueDoesNotExist(_)) => {
            return Ok(Err("AWS.SimpleQueueService.NonExistentQueue"));
        }
        other => other?,
    };
    let identity = Identity {
        message_id: Some(Uuid::new_v4().to_string()),
        dead_letter_source: None,
        sender: Some(Sender::Api),
    };
    redrive::relocate(tx, source, head.head_sequence, &destination, &identity)?;
    Ok(Ok(()))
}

fn came_from(tx: &Tx<'_>, sequence: i64) -> Result<Option<String>, StoreError> {
    let source: Option<Option<String>> = tx.first(
        "SELECT dead_letter_source FROM message WHERE sequence = ?1",
        [sequence],
        |row| row.get(0),
    )?;
    Ok(source.flatten().as_deref().and_then(arn::queue_name).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_in_tenths_of_a_second() {
        for (per_second, messages, pause_ms) in
            [(None, 100, 0), (Some(1), 1, 1_000), (Some(25), 3, 120), (Some(100), 10, 100)]
        {
            let pace = Drive { id: String::new(), per_second }.pace();
            assert_eq!(pace, (messages, Duration::from_millis(pause_ms)), "{per_second:?}");
        }
    }
}
