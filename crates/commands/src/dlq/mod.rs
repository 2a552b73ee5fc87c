//! `dlq`: dead letters.

mod drop;
mod edit;
mod export;
mod import;
mod issues;
mod list;
mod log;
mod looking;
mod redrive;
mod select;
mod show;
mod stats;
mod which;

pub use drop::Drop;
pub use edit::Edit;
pub use export::Export;
pub use import::Import;
pub use issues::Issues;
pub use list::List;
pub use log::Log;
pub use redrive::Redrive;
pub use select::{SelectArgs, SelectOrReason, When};
pub use show::Show;
pub use stats::Stats;
pub use which::Which;

/// Look at dead letters and send them again
///
/// A dead letter is an event that could not be delivered: a destination rejected it, it failed until
/// it was too old, or nobody could make sense of it. It waits in the dead-letter queue with the reason.
#[derive(Debug, clap::Subcommand)]
pub enum Dlq {
    List(List),
    Stats(Stats),
    Issues(Issues),
    Show(Show),
    Redrive(Redrive),
    Edit(Edit),
    Export(Export),
    Import(Import),
    Drop(Drop),
    Log(Log),
}
