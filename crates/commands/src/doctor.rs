//! `doctor`

use crate::environment::EnvironmentArgs;
use crate::output::Output;

/// Check what deliveries depend on, and say what to do
///
/// The first line says whether you must act, or may wait, as that of `status` does. A line fails for each
/// thing that needs somebody, or that could not be seen; one warns where waiting is right, as for a
/// destination that is down.
///
/// The configuration, credentials and permissions, the queues' settings, the function's mapping, the
/// destinations (a connection, its TLS, and `OPTIONS *`, which does nothing there), certificates, the
/// clock, the loss meter, and on one machine the disk. Destinations are tried from where this runs; a
/// function in a VPC may reach others. Before the first deployment to AWS: the tools, the credentials,
/// the buckets, the account's quota, and whether the names are free.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} doctor local\n  {program} doctor dev --json | jq \
                  '.checks[] | select(.verdict != \"ok\")'\n\n\
                  Exit codes: 0 nothing to do (warnings may be there); 1 somebody must act, or \
                  something could not be seen")
)]
pub struct Doctor {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    #[command(flatten)]
    pub output: Output,
}
