//! Acts that were begun from the page. They go on when nobody looks, can be stopped as by Ctrl-C, are
//! seen by everybody who looks, and end when the page does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;

use crate::act::{Act, ActError};
use crate::guard;
use crate::operator::Operator;

/// Acts that are remembered at most; those that ended go first.
const REMEMBERED_MAX: usize = 200;

/// The last lines of what an act told that are kept.
const LINES_MAX: usize = 200;

/// The longest answer of an act that is shown, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// An act that was begun, as everybody sees it.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) id: String,
    pub(crate) act: Act,
    pub(crate) typed: String,
    /// What it tells on its way.
    pub(crate) lines: Vec<String>,
    pub(crate) ended: Option<Ended>,
    pid: Option<Pid>,
    /// Of the form that began it: sent again, it begins nothing.
    token: String,
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The command's exit code; `None` if it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) answer: Option<Value>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Acts {
    begun: Arc<Mutex<BTreeMap<u64, Begun>>>,
    /// Prepared and not begun yet, by the token of the form.
    prepared: Mutex<BTreeMap<String, (u64, Act)>>,
    next: Mutex<u64>,
    changes: watch::Sender<u64>,
}

/// Why an act does not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error("this form is too old, or is not one of this page")]
    Token,
    #[error(transparent)]
    Act(#[from] ActError),
    #[error("a NUL character stands in it, which no command takes: leave it out")]
    Nul,
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
}

impl Acts {
    pub(crate) fn new() -> Self {
        Self {
            begun: Arc::default(),
            prepared: Mutex::default(),
            next: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Takes note of an act that somebody looks at, and gives the token that begins it, once.
    pub(crate) fn prepare(&self, act: Act) -> String {
        let (token, number) = (guard::secret(), self.number());
        let mut prepared = lock(&self.prepared);
        if prepared.len() >= REMEMBERED_MAX {
            let oldest = prepared.iter().min_by_key(|(_, (number, _))| *number);
            if let Some(oldest) = oldest.map(|(token, _)| token.clone()) {
                prepared.remove(&oldest);
            }
        }
        prepared.insert(token.clone(), (number, act));
        token
    }

    /// The act that this token would begin.
    pub(crate) fn prepared(&self, token: &str) -> Option<Act> {
        lock(&self.prepared).get(token).map(|(_, act)| act.clone())
    }

    /// Begins the act of this token, and says its id. Sent again, it is the act that has begun.
    pub(crate) fn begin(
        &self,
        operator: &Operator,
        token: &str,
        why: &str,
        number: Option<usize>,
    ) -> Result<String, BeginError> {
        // Held until it has begun: of two that send the same form at once one begins it.
        let mut prepared = lock(&self.prepared);
        if let Some(begun) = lock(&self.begun).values().find(|act| act.token == token) {
            return Ok(begun.id.clone());
        }
        let (_, act) = prepared.get(token).ok_or(BeginError::Token)?;
        act.check(why, number)?;
        let words = act.words(why);
        let child = operator.start(&words).map_err(|error| match error.kind() {
            // Source: std, `Command::arg`.
            std::io::ErrorKind::InvalidInput => BeginError::Nul,
            _ => BeginError::Start(error),
        })?;
        let act = act.clone();
        prepared.remove(token);
        Ok(self.follow(child, act, operator.typed(&words), token.to_owned()))
    }

    fn number(&self) -> u64 {
        let mut next = lock(&self.next);
        *next += 1;
        *next
    }

    fn follow(&self, child: Child, act: Act, typed: String, token: String) -> String {
        let number = self.number();
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let begun = Begun {
            id: number.to_string(),
            act,
            typed,
            lines: Vec::new(),
            ended: None,
            pid,
            token,
        };
        let id = begun.id.clone();
        let mut all = lock(&self.begun);
        all.insert(number, begun);
        let ended = all.iter().find(|(_, act)| act.ended.is_some()).map(|(number, _)| *number);
        if let Some(oldest) = ended.filter(|_| all.len() > REMEMBERED_MAX) {
            all.remove(&oldest);
        }
        drop(all);
        tokio::spawn(attend(child, number, Arc::clone(&self.begun), self.changes.clone()));
        self.changed();
        id
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Told whenever an act begins, tells something or ends.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All that are remembered, the newest first.
    pub(crate) fn all(&self) -> Vec<Begun> {
        lock(&self.begun).values().rev().cloned().collect()
    }

    /// The one with this id.
    pub(crate) fn one(&self, id: &str) -> Option<Begun> {
        lock(&self.begun).get(&id.parse().ok()?).cloned()
    }

    /// Interrupts an act, as Ctrl-C does; what it says then tells how far it came. By TERM, which, unlike INT,
    /// is not ignored by what a shell has started in the background.
    pub(crate) fn stop(&self, id: &str) -> Option<()> {
        let act = self.one(id)?;
        if let (None, Some(pid)) = (&act.ended, act.pid) {
            // One that has just ended is as good as stopped.
            let _gone = kill_process(pid, Signal::TERM);
        }
        Some(())
    }

    /// Interrupts all, and waits until they have ended.
    pub(crate) async fn end(&self, patience: Duration) {
        let mut changes = self.changes();
        let under_way = || self.all().into_iter().filter(|act| act.ended.is_none());
        for act in under_way() {
            self.stop(&act.id);
        }
        let all_ended = async {
            while under_way().next().is_some() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _in_time = tokio::time::timeout(patience, all_ended).await;
    }
}

/// Keeps what an act tells, until it ends.
async fn attend(
    mut child: Child,
    number: u64,
    begun: Arc<Mutex<BTreeMap<u64, Begun>>>,
    changes: watch::Sender<u64>,
) {
    let change = |change: &dyn Fn(&mut Begun)| {
        if let Some(act) = lock(&begun).get_mut(&number) {
            change(act);
        }
        changes.send_modify(|count| *count += 1);
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let answer = async {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            // What cannot be read is not shown; how it ended says the exit code.
            let _read = stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await;
        }
        serde_json::from_slice(&bytes).ok()
    };
    let told = async {
        let Some(stderr) = stderr else { return };
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            change(&|act: &mut Begun| {
                if act.lines.len() == LINES_MAX {
                    act.lines.remove(0);
                }
                act.lines.push(line.clone());
            });
        }
    };
    let (answer, ()) = tokio::join!(answer, told);
    let code = child.wait().await.ok().and_then(|status| status.code());
    change(&|act: &mut Begun| act.ended = Some(Ended { code, answer: answer.clone() }));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
