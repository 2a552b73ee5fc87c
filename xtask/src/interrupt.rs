//! Ctrl-C while a child process works that must end in good order: it is passed on once, and we wait.
//!
//! A second signal would make Terraform drop its lock and maybe the state of what it was making.

use std::process::ExitStatus;
use std::sync::{Mutex, Once, PoisonError};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Failure;

/// The child that a signal is for, and whether it got one.
static CHILD: Mutex<Option<(Pid, bool)>> = Mutex::new(None);
static LISTEN: Once = Once::new();

/// Waits for `child`, which must be in a process group of its own, and passes a signal on to it.
///
/// # Errors
///
/// [`Failure::Interrupted`], after the child has ended, if there was a signal.
pub(crate) fn wait(name: &str, child: &mut std::process::Child) -> anyhow::Result<ExitStatus> {
    listen()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    *lock() = pid.map(|pid| (pid, false));
    let status = child.wait().with_context(|| format!("waiting for {name}"));
    let interrupted = lock().take().is_some_and(|(_, interrupted)| interrupted);
    if interrupted {
        return Err(
            anyhow::anyhow!("{name} was asked to stop and has").context(Failure::Interrupted)
        );
    }
    status
}

fn listen() -> anyhow::Result<()> {
    let mut result = Ok(());
    LISTEN.call_once(|| {
        result = Signals::new([SIGINT, SIGTERM]).map(|mut signals| {
            std::thread::spawn(move || signals.forever().for_each(|_signal| pass_on()));
        });
    });
    result.context("listening for Ctrl-C")
}

fn pass_on() {
    match lock().as_mut() {
        // Nothing needs an end in good order.
        None => std::process::exit(Failure::Interrupted as i32),
        Some((pid, interrupted @ false)) => {
            *interrupted = true;
            eprintln!("stopping: waiting until what has begun is done and the lock is released");
            // A child that has ended already needs no signal.
            let _ended = kill_process(*pid, Signal::INT);
        }
        Some((pid, true)) => {
            eprintln!("still waiting; `kill -9 {}` would leave the state locked", pid.as_raw_pid());
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<(Pid, bool)>> {
    CHILD.lock().unwrap_or_else(PoisonError::into_inner)
}
