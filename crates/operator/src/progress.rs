//! What is shown on a terminal while something takes its time.

use std::time::Duration;

use indicatif::ProgressBar;

/// Shows that `text` is what is going on, until it is finished.
pub(crate) fn spinner(text: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
