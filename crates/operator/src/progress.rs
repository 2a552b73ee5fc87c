//! What is shown on a terminal while something takes its time.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows that `text` is what is going on, until it is finished.
pub(crate) fn spinner(text: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar for `total` things of which each will be `done`; hidden where there is no terminal.
pub(crate) fn bar(total: u64, done: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {done}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("braces that match");
    ProgressBar::new(total).with_style(style)
}

/// A bar for a queue that gets empty; its message says how long that may take.
pub(crate) fn drain(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} went out, {msg}");
    ProgressBar::new(total).with_style(style.expect("braces that match"))
}
