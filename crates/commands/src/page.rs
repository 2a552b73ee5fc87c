//! `page`

use crate::environment::EnvironmentArgs;

/// Show the environment in a browser, and act there
///
/// A server on this machine alone, that ends with this command: nothing is hosted, and on AWS it is your
/// credentials and rights that it uses. What it shows is what the commands say, and what it does is those
/// commands, with the same lines in the audit log. It only shows unless --act is given.
///
/// A browser is let in once, by a file that only you can read and whose path is printed: other users of
/// this machine are not. Of an engine on a server, forward the port (`ssh -L 9000:127.0.0.1:PORT SERVER`),
/// open `http://127.0.0.1:9000/` and paste the token that stands in the file.
///
/// Acts go on when the browser is closed, and end as by Ctrl-C when this command does.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} page local\n  {program} page local --act\n  {program} page prod --act --port 9000 --no-open")
)]
pub struct Page {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Let acts be begun there
    #[arg(long)]
    pub act: bool,

    /// Port on 127.0.0.1 [default: any that is free]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,

    /// Do not open a browser
    #[arg(long)]
    pub no_open: bool,
}
