//! What is done with a data directory besides serving from it: a copy, and back, and less room.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::time::Timestamp;
use engine::clock::{Clock as _, SystemClock};
use engine::store::{self, Copied, CopyError};
use rustix::fs::Mode;
use rustix::process::umask;
use serde_json::json;

use crate::output::{say, tell};
use crate::serve::is_of_the_data;
use crate::{Exit, fail};

/// How long something is done without a word on how far it is.
const SILENCE: Duration = Duration::from_secs(2);

/// Copy the queues, and whether delivery is paused, into a new file
///
/// An engine may be at work. What was accepted before this began is in the copy.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  webhook-engine backup --data-dir /var/lib/webhook-queue /var/backups/queue-$(date +%F).db

Exit codes:
  0  the copy is complete, on the disk, and was read back
  1  there is none, and why
  3  no queues there, or damaged ones")]
pub(crate) struct Backup {
    /// Directory of the queues
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The copy; nothing is overwritten
    file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Put a copy into a data directory, while no engine runs there
///
/// What was accepted after the copy was made is not in it, and what was delivered since is delivered
/// again, with the same `webhook-id`. Numbers of messages go on beyond any that were given before.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  systemctl stop 'webhook-queue*'
  webhook-engine restore --data-dir /var/lib/webhook-queue --replace /var/backups/queue-2026-01-31.db
  systemctl start webhook-queue.socket webhook-queue-api.socket webhook-queue

Exit codes:
  0  done
  1  nothing was changed, and why
  3  an engine runs there, or the copy is damaged or of a newer engine")]
pub(crate) struct Restore {
    /// Directory of the queues; made if it is not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The copy
    file: PathBuf,
    /// Put queues that are there aside, as queues.db.replaced-N, which is yours to remove
    #[arg(long)]
    replace: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Give room back to the disk, while no engine runs there
///
/// Needed once, for queues of an engine before 0.2: those of newer ones shrink by themselves. It needs
/// twice the room of what is in the queues, and looks before it begins.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  webhook-engine compact --data-dir /var/lib/webhook-queue

Exit codes:
  0  done
  1  nothing was changed, and why
  3  an engine runs there, or the queues are damaged")]
pub(crate) struct Compact {
    /// Directory of the queues
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(crate) fn run(self) -> Result<(), Exit> {
        let mut told = Instant::now();
        let progress = |left: u32, of: u32| {
            if told.elapsed() >= SILENCE {
                told = Instant::now();
                tell(&format_args!("{} of {of} pages copied", of - left.min(of)));
            }
        };
        let now = SystemClock::new().wall();
        let copied = store::backup(&self.data_dir, &self.file, now, progress)
            .map_err(|error| ended(&error))?;
        say(&shown(self.json, &copied, &format_args!("{} holds", self.file.display())))
    }
}

impl Restore {
    pub(crate) fn run(self) -> Result<(), Exit> {
        umask(Mode::RWXG | Mode::RWXO);
        let copied = store::restore(&self.file, &self.data_dir, self.replace)
            .map_err(|error| ended(&error))?;
        let has_again = format!("{} has again", self.data_dir.display());
        let mut lines = vec![shown(self.json, &copied, &has_again)];
        if !self.json {
            let replaced = copied.replaced.as_ref();
            lines.extend(
                replaced.map(|it| format!("the queues that were there are {}", it.display())),
            );
            lines.push(
                "what was accepted after the copy was made is not in it; what was delivered since is \
                 delivered again, with the same webhook-id"
                    .to_owned(),
            );
        }
        say(&lines.join("\n"))
    }
}

impl Compact {
    pub(crate) fn run(self) -> Result<(), Exit> {
        umask(Mode::RWXG | Mode::RWXO);
        let (before, after) = store::compact(&self.data_dir).map_err(|error| ended(&error))?;
        if self.json {
            return say(&json!({ "bytes_before": before, "bytes": after }));
        }
        say(&format_args!("{before} bytes before, {after} bytes now"))
    }
}

/// What is said of a copy.
fn shown(json: bool, copied: &Copied, what: &dyn Display) -> String {
    let taken_at = copied.taken_at_ms.map(|ms| Timestamp::from_ms(ms).to_string());
    if json {
        let messages: serde_json::Map<_, _> =
            copied.messages.iter().map(|(queue, count)| (queue.clone(), json!(count))).collect();
        let text = json!({
            "taken_at": taken_at, "bytes": copied.bytes, "messages": messages,
            "replaced": copied.replaced, "damaged": copied.damaged,
        });
        return text.to_string();
    }
    let of = taken_at.map_or_else(String::new, |at| format!(", as of {at}"));
    let mut lines = vec![format!("{what} {} bytes{of}:", copied.bytes)];
    lines.extend(copied.messages.iter().map(|(queue, messages)| format!("  {queue}  {messages}")));
    if copied.damaged > 0 {
        lines.push(format!(
            "{} of them are not what was accepted: their groups wait for you to drop them",
            copied.damaged
        ));
    }
    lines.join("\n")
}

fn ended(error: &CopyError) -> Exit {
    let exit = match error {
        CopyError::NoQueues(_) => Exit::DataDirectory,
        CopyError::Open(error) if is_of_the_data(error) => Exit::DataDirectory,
        _ => Exit::Failure,
    };
    fail(exit, &engine::in_full(error))
}
