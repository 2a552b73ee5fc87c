//! INT, TERM and HUP: a child that must end in good order gets one of them as INT, once, and is waited
//! for; while something is under way that must be brought to an end, they are only noted.
//!
//! A second INT would make Terraform drop its lock and maybe the state of what it was making.

use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use terminal::exit::Failure;

/// What a signal meets.
struct State {
    /// Whether something is under way that a signal must not cut off.
    guarded: bool,
    /// Whether there was a signal that did not end us.
    asked: bool,
    /// The child that a signal is for.
    child: Option<Pid>,
}

static STATE: Mutex<State> = Mutex::new(State { guarded: false, asked: false, child: None });
static LISTEN: Once = Once::new();

/// What must be brought to an end, as long as this lives.
#[derive(Debug)]
pub(crate) struct Guard(());

/// From here on a signal ends nothing by itself: whoever works asks [`check`] between two steps.
pub(crate) fn guard() -> anyhow::Result<Guard> {
    listen()?;
    lock().guarded = true;
    Ok(Guard(()))
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock().guarded = false;
    }
}

/// Fails if there was a signal.
///
/// # Errors
///
/// [`Failure::Interrupted`] then.
pub(crate) fn check() -> anyhow::Result<()> {
    if lock().asked {
        return Err(Failure::Interrupted.of(anyhow!("interrupted, as it was asked to stop")));
    }
    Ok(())
}

/// Does `wait`, which waits for the child `pid` in a process group of its own, and passes a signal on
/// to the child.
///
/// # Errors
///
/// [`Failure::Interrupted`], after the child has ended, if there was a signal.
pub(crate) fn during<T>(name: &str, pid: u32, wait: impl FnOnce() -> T) -> anyhow::Result<T> {
    listen()?;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    {
        let mut state = lock();
        state.child = pid;
        if let (true, Some(pid)) = (state.asked, pid) {
            // It came before the child did.
            pass_on(pid);
        }
    }
    let waited = wait();
    let mut state = lock();
    state.child = None;
    if state.asked {
        return Err(
            Failure::Interrupted.of(anyhow!("interrupted: {name} was asked to stop and has"))
        );
    }
    Ok(waited)
}

/// Listens from now on. Where nothing is under way, a signal ends us at once.
///
/// # Errors
///
/// When the system does not let us.
pub(crate) fn listen() -> anyhow::Result<()> {
    let mut result = Ok(());
    LISTEN.call_once(|| {
        result = Signals::new([SIGINT, SIGTERM, SIGHUP]).map(|mut signals| {
            std::thread::spawn(move || signals.forever().for_each(|_signal| on_signal()));
        });
    });
    result.context("listening for Ctrl-C")
}

fn on_signal() {
    let mut state = lock();
    match *state {
        // Nothing needs an end in good order.
        State { guarded: false, child: None, .. } => {
            std::process::exit(Failure::Interrupted as i32)
        }
        State { asked: false, child, .. } => {
            state.asked = true;
            if let Some(pid) = child {
                pass_on(pid);
            }
            eprintln!("stopping: waiting until what has begun is done and the lock is released");
        }
        State { child: Some(pid), .. } => {
            eprintln!("still waiting; `kill -9 {}` would leave the state locked", pid.as_raw_pid());
        }
        State { child: None, .. } => eprintln!("still waiting, until what was done is on record"),
    }
}

fn pass_on(pid: Pid) {
    // A child that has ended already needs no signal.
    let _ended = kill_process(pid, Signal::INT);
}

fn lock() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
