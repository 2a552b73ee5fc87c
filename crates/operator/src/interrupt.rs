//! INT, TERM and HUP. Where nothing is under way that has to be brought to an end, the first ends the
//! program; under a [guard] it is noted, and whoever works asks [`interrupted`] between two steps. The
//! second ends the program at once, whatever is under way.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use terminal::exit::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What signals meet.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Whether there was one.
    asked: bool,
    /// How many things are under way that must not be cut off.
    guards: usize,
}

static STATE: LazyLock<watch::Sender<State>> =
    LazyLock::new(|| watch::Sender::new(State::default()));

/// Whether Ctrl-C is for a program that was started here, such as an editor.
static IS_FOR_CHILD: AtomicBool = AtomicBool::new(false);

/// What is still done when the second signal ends the program.
static BEFORE_END: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>> = Mutex::new(None);

/// How long that may take.
const LAST_FOR: Duration = Duration::from_secs(1);

/// Has this done even when a second signal ends the program at once, as long as what is given lives.
pub(crate) fn before_end_at_once(last: impl Future<Output = ()> + Send + 'static) -> BeforeEnd {
    *BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(last));
    BeforeEnd(())
}

/// See [`before_end_at_once`].
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub(crate) struct BeforeEnd(());

impl Drop for BeforeEnd {
    fn drop(&mut self) {
        *BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A signal ended it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

impl Interrupted {
    /// As an error of a command.
    pub(crate) fn error() -> anyhow::Error {
        Failure::Interrupted.of(Self.into())
    }
}

/// Listens from now on.
///
/// # Errors
///
/// When the system does not let us.
pub(crate) fn listen() -> anyhow::Result<()> {
    // Asked before: to listen is to ignore nothing.
    let ignores_hup = ignores_hup();
    let listen = |kind| signal(kind).context("listening for signals");
    let (mut int, mut term, mut hup) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
        listen(SignalKind::hangup())?,
    );
    tokio::spawn(async move {
        // Such as by `nohup`: a redrive may go on for hours without its terminal.
        let is_deaf = ignores_hup;
        loop {
            tokio::select! {
                _int = int.recv() => {
                    if IS_FOR_CHILD.load(Ordering::Relaxed) {
                        continue;
                    }
                }
                _term = term.recv() => {}
                _hup = hup.recv(), if !is_deaf => {}
            }
            if STATE.borrow().asked {
                let last = BEFORE_END.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(last) = last {
                    let _not_done = tokio::time::timeout(LAST_FOR, last).await;
                }
                eprintln!("ended at once; what was under way may be done in part");
                std::process::exit(i32::from(Failure::Interrupted as u8));
            }
            if STATE.borrow().guards > 0 {
                eprintln!(
                    "stopping, once what is under way has ended; a second signal ends it at once"
                );
            }
            STATE.send_modify(|state| state.asked = true);
        }
    });
    Ok(())
}

/// Whether this program was started so that HUP does nothing. Source: proc(5), `SigIgn`.
fn ignores_hup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// What must be brought to its end, as long as this lives.
#[derive(Debug)]
#[must_use = "it guards until it is dropped"]
pub(crate) struct Guard(());

/// From here on a signal is only noted.
pub(crate) fn guard() -> Guard {
    STATE.send_modify(|state| state.guards += 1);
    Guard(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        STATE.send_modify(|state| state.guards -= 1);
    }
}

/// Leaves Ctrl-C to a program that was started here, until this is dropped.
#[derive(Debug)]
#[must_use = "it holds until it is dropped"]
pub(crate) struct LeftToChild(());

/// See [`LeftToChild`].
pub(crate) fn leave_to_child() -> LeftToChild {
    IS_FOR_CHILD.store(true, Ordering::Relaxed);
    LeftToChild(())
}

impl Drop for LeftToChild {
    fn drop(&mut self) {
        IS_FOR_CHILD.store(false, Ordering::Relaxed);
    }
}

/// Ends with the first signal, and from then on at once.
pub(crate) async fn interrupted() {
    wait_for(|state| state.asked).await;
}

/// Fails if there was a signal: for between two steps.
///
/// # Errors
///
/// [`Interrupted`] then.
pub(crate) fn check() -> anyhow::Result<()> {
    if STATE.borrow().asked { Err(Interrupted::error()) } else { Ok(()) }
}

/// What comes of a command, unless a signal ends it while nothing is guarded.
///
/// # Errors
///
/// [`Interrupted`], or what it fails with.
pub(crate) async fn or_interrupted<T>(
    command: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        // What has come to its end is told, also if a signal came just before.
        done = command => done,
        () = wait_for(|state| state.asked && state.guards == 0) => Err(Interrupted::error()),
    }
}

/// What comes of `work`, unless a signal ends it before, guarded or not.
///
/// # Errors
///
/// [`Interrupted`], or what `work` fails with.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        () = interrupted() => Err(Interrupted::error()),
        done = work => done,
    }
}

async fn wait_for(wanted: impl Fn(&State) -> bool) {
    let mut state = STATE.subscribe();
    // Its sender is never gone.
    let _seen = state.wait_for(|state| wanted(state)).await;
}
