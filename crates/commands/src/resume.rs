//! `resume`

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::output::Times;
use crate::pause::parse_name;

/// End a pause, and show how what has waited goes out
///
/// A single pause ends whoever made it, and whose it was is said. Of several one has to be named, or
/// --all be given: delivery goes on when the last one has ended. It ends with 1 once all that is left
/// waits behind events that the service rejects on a route that blocks: that does not go out by itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} resume dev\n  {program} resume dev --no-wait\n  {program} resume prod --name upgrade")
)]
pub struct Resume {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// The pause to end, as `status` shows it
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub name: Option<String>,

    /// End all pauses, whosever they are
    #[arg(long, conflicts_with = "name")]
    pub all: bool,

    /// Do not wait until the queue is empty
    #[arg(long)]
    pub no_wait: bool,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub times: Times,
}
