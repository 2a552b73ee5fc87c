//! Which environment a command is about.

use std::path::PathBuf;

/// Which environment, and where its files are
#[derive(Debug, clap::Args)]
pub struct EnvironmentArgs {
    /// Environment, such as `local` or `dev`: a folder of `environments/`. With --data-dir or --api
    /// the engine says which, and a name is compared with that
    #[arg(value_name = "ENV", required_unless_present_any = ["data_dir", "api"])]
    pub environment: Option<String>,

    /// Configuration file [default: the engine's own, or environments/ENV/terraform.tfvars.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Data directory of an engine on this machine [default: .webhook-queue/ENV]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where an engine's API listens, instead of its data directory; its access key id is in
    /// `AWS_ACCESS_KEY_ID`
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "data_dir")]
    pub api: Option<String>,
}
