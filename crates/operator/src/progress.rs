//! What is shown while something takes its time. On a terminal it moves; elsewhere, and where nothing
//! was foreseen, a line says after two seconds what is waited for: no command is silent for long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long nothing is said.
const SILENT_MOST: Duration = Duration::from_secs(2);

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is going on, the innermost last.
static GOING_ON: Mutex<Vec<Step>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Step {
    id: u64,
    /// `None` while a person is asked, or is shown it.
    text: Option<String>,
    since: Instant,
    is_told: bool,
}

/// Something that goes on until this is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub(crate) struct GoingOn(u64);

/// Something with a spinner, or with a line where there is no terminal.
#[derive(Debug)]
pub(crate) struct Shown {
    bar: ProgressBar,
    _going_on: GoingOn,
}

fn going_on() -> MutexGuard<'static, Vec<Step>> {
    GOING_ON.lock().unwrap_or_else(PoisonError::into_inner)
}

fn begin(text: Option<String>) -> GoingOn {
    let mut steps = going_on();
    let id = steps.iter().map(|step| step.id + 1).max().unwrap_or_default();
    steps.push(Step { id, text, since: Instant::now(), is_told: false });
    GoingOn(id)
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        going_on().retain(|step| step.id != self.0);
    }
}

/// Sees to it that something is said, from now on to the end of the program, also while its only thread
/// of tasks is held up.
pub(crate) fn never_silent() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(LOOK_EVERY);
            if let Some(text) = due(&mut going_on()) {
                eprintln!("waiting for {text}");
            }
        }
    });
}

/// What is to be said now.
fn due(steps: &mut [Step]) -> Option<String> {
    let step = steps.last_mut()?;
    let is_due = !step.is_told && step.since.elapsed() >= SILENT_MOST;
    step.is_told |= is_due;
    step.text.clone().filter(|_| is_due)
}

/// Says, should it take long, that `what` is waited for.
pub(crate) fn waiting_for(what: impl Into<String>) -> GoingOn {
    begin(Some(what.into()))
}

/// Says nothing: a person is asked something, or sees what goes on.
pub(crate) fn quiet() -> GoingOn {
    begin(None)
}

impl Shown {
    fn with(bar: ProgressBar, text: &str) -> Self {
        let text = bar.is_hidden().then(|| text.to_owned());
        Self { bar, _going_on: begin(text) }
    }

    /// Ends it, and leaves nothing of it.
    pub(crate) fn finish_and_clear(self) {
        self.bar.finish_and_clear();
    }
}

impl std::ops::Deref for Shown {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.bar
    }
}

/// Shows that `text` is what is waited for, until it is finished.
pub(crate) fn spinner(text: impl Into<String>) -> Shown {
    let text = text.into();
    let spinner = ProgressBar::new_spinner().with_message(format!("waiting for {text}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    Shown::with(spinner, &text)
}

/// A bar for `total` things of which each will be `done`; hidden where there is no terminal.
pub(crate) fn bar(total: u64, done: &str) -> Shown {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {done}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("braces that match");
    Shown::with(ProgressBar::new(total).with_style(style), &format!("{total} to be {done}"))
}

/// A bar for a queue that gets empty; its message says how long that may take.
pub(crate) fn drain(total: u64) -> Shown {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} went out, {msg}");
    let bar = ProgressBar::new(total).with_style(style.expect("braces that match"));
    Shown::with(bar, &format!("{total} events to go out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: Option<&str>, since: Duration) -> Step {
        let since = Instant::now().checked_sub(since).expect("the machine runs for longer");
        Step { id: 0, text: text.map(str::to_owned), since, is_told: false }
    }

    #[test]
    fn what_takes_long_is_said_once_and_the_innermost_of_it() {
        let long = SILENT_MOST;
        let mut steps = vec![step(Some("the engine"), long), step(Some("its log"), long)];
        assert_eq!(due(&mut steps).as_deref(), Some("its log"));
        assert_eq!(due(&mut steps), None, "once");
        steps.pop();
        assert_eq!(due(&mut steps).as_deref(), Some("the engine"));
        assert_eq!(due(&mut [step(Some("the engine"), Duration::ZERO)]), None);
        let mut asked = [step(Some("the engine"), long), step(None, long)];
        assert_eq!(due(&mut asked), None, "a person is asked");
        assert_eq!(due(&mut []), None);
    }
}
